#include "host/kernel.hpp"

#include <sys/utsname.h>
#include <charconv>
#include <utility>

namespace drainwatch {

std::string kernel_release()
{
    utsname name{};
    return uname(&name) == 0 ? name.release : "unknown";
}

bool kernel_is_at_least(unsigned major, unsigned minor)
{
    const std::string release = kernel_release();
    const char* end = release.data() + release.size();
    std::pair<unsigned, unsigned> found;
    const auto first = std::from_chars(release.data(), end, found.first);
    if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.' ||
        std::from_chars(first.ptr + 1, end, found.second).ec != std::errc{}) {
        return false;
    }
    return found >= std::pair(major, minor);
}

}  // namespace drainwatch
