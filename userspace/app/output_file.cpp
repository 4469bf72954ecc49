#include "app/output_file.hpp"

#include "output/escape.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <string_view>

namespace drainwatch {
namespace {

constexpr std::string_view kAdvice = "name another file, or make room";

/// Whoever may read and write what the user makes, by the umask.
constexpr mode_t kMode = 0666;

/// A pipe or a terminal has nothing that would have to go.
bool empty_file(int fd)
{
    struct stat status {};
    return fstat(fd, &status) == 0 && (!S_ISREG(status.st_mode) || ftruncate(fd, 0) == 0);
}

/// A file, in which one would overwrite the other.
bool is_same_file(int a, int b)
{
    struct stat one {};
    struct stat other {};
    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && S_ISREG(one.st_mode) &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
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
        return tl::unexpected(system_error("write", escape(output.path_), errno, kAdvice));
    }
    if (is_same_file(output.file_.get(), STDOUT_FILENO)) {
        return fail(escape(output.path_) + " is where the output goes: name another file");
    }
    return output;
}

bool OutputFile::overwrites(const OutputFile& other) const
{
    return file_ && other.file_ && is_same_file(file_.get(), other.file_.get());
}

Result<void> OutputFile::write(const std::string& text) const
{
    if (!file_) {
        return {};
    }
    if (!empty_file(file_.get()) || !write_all(file_.get(), text)) {
        return tl::unexpected(system_error("write", escape(path_), errno, kAdvice));
    }
    return {};
}

}  // namespace drainwatch
