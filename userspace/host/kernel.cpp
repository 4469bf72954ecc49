#include "host/kernel.hpp"

#include <sys/utsname.h>

namespace drainwatch {

std::string kernel_release()
{
    utsname name{};
    return uname(&name) == 0 ? name.release : "unknown";
}

}  // namespace drainwatch
