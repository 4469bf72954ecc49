#include "host/text_file.hpp"

#include "host/file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>

namespace drainwatch {

std::string read_text(const std::string& path, std::size_t most)
{
    constexpr std::size_t kChunk = 65536;
    std::string text;
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    while (file && text.size() < most) {
        const std::size_t filled = text.size();
        text.resize(std::min(most, filled + kChunk));
        const ssize_t length = read(file.get(), text.data() + filled, text.size() - filled);
        text.resize(filled + (length > 0 ? static_cast<std::size_t>(length) : 0));
        if (length == 0 || (length < 0 && errno != EINTR)) {
            break;
        }
    }
    return text;
}

}  // namespace drainwatch
