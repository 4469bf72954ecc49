#include "app/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <string_view>

namespace drainwatch {
namespace {

/// Whoever may read and write what the user makes, by the umask.
constexpr mode_t kMode = 0666;

/// A pipe or a terminal has nothing that would have to go.
bool empty_file(int fd)
{
    struct stat status {};
    return fstat(fd, &status) == 0 && (!S_ISREG(status.st_mode) || ftruncate(fd, 0) == 0);
}

/// A file, of which one would overwrite the other.
bool is_stdout(int fd)
{
    struct stat file {};
    struct stat out {};
    return fstat(fd, &file) == 0 && fstat(STDOUT_FILENO, &out) == 0 && S_ISREG(file.st_mode) &&
           file.st_dev == out.st_dev && file.st_ino == out.st_ino;
}

bool write_all(int fd, std::string_view text)
{
    while (!text.empty()) {
        const ssize_t written = write(fd, text.data(), text.size());
        if (written < 0 && errno != EINTR) {
            return false;
        }
        text.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
    }
    return true;
}

}  // namespace

Result<OutputFile> OutputFile::open(std::string path)
{
    OutputFile output;
    output.path_ = std::move(path);
    if (output.path_.empty()) {
        return output;
    }
    output.file_ =
        File(::open(output.path_.c_str(), O_WRONLY | O_CREAT | O_NOCTTY | O_CLOEXEC, kMode));
    if (!output.file_) {
        return tl::unexpected(system_error("write", output.path_, errno));
    }
    if (is_stdout(output.file_.get())) {
        return fail(output.path_ + " is where the output goes: name another file");
    }
    return output;
}

Result<void> OutputFile::write(const std::string& text) const
{
    if (!file_) {
        return {};
    }
    if (!empty_file(file_.get()) || !write_all(file_.get(), text)) {
        return tl::unexpected(system_error("write", path_, errno));
    }
    return {};
}

}  // namespace drainwatch
