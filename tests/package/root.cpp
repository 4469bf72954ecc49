#include "root.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <fstream>
#include <functional>
#include <iterator>
#include <regex>
#include <stdexcept>

namespace drainwatch::package {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string describe(const fs::path& path)
{
    struct stat s {};
    if (lstat(path.c_str(), &s) != 0) {
        throw std::runtime_error("cannot look at " + path.string());
    }
    std::string what;
    if (S_ISLNK(s.st_mode)) {
        what = "link to " + fs::read_symlink(path).string();
    } else if (S_ISREG(s.st_mode)) {
        what = fmt::format("file {:016x}", std::hash<std::string>{}(content(path)));
    } else if (S_ISDIR(s.st_mode)) {
        what = "directory";
    }
    return fmt::format("{:04o} {}:{} {}", s.st_mode & 07777, s.st_uid, s.st_gid, what);
}

}  // namespace

Root::Root()
{
    std::string name = fs::temp_directory_path() / "drainwatch-root-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) {
        throw std::runtime_error("cannot make " + name);
    }
    path_ = name;
    for (const char* directory :
         {"dev", "etc/systemd/system", "tmp", "usr/bin", "usr/lib/systemd/system", "usr/share/doc",
          "usr/share/man/man1", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/rpm",
          "var/tmp"}) {
        fs::create_directories(path_ / directory);
        std::ofstream(path_ / directory / "of-another-package");
    }
    const std::ofstream no_packages(path_ / "var/lib/dpkg/status");
    mknod((path_ / "dev/null").c_str(), S_IFCHR | 0666, makedev(1, 3));
    copy_program("/bin/sh");
    copy_program("/bin/systemctl");
}

Root::~Root()
{
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

void Root::copy_program(const std::string& program) const
{
    const std::string needs = live::run({"ldd", program}).out + program;
    const std::regex file("/[^ \n]+");
    for (std::sregex_iterator it(needs.begin(), needs.end(), file), end; it != end; ++it) {
        const fs::path inside = path_ / it->str().substr(1);
        fs::create_directories(inside.parent_path());
        fs::copy_file(it->str(), inside, fs::copy_options::skip_existing);
    }
}

Snapshot Root::snapshot() const
{
    Snapshot found;
    for (fs::recursive_directory_iterator it(path_), end; it != end; ++it) {
        const std::string path = "/" + it->path().lexically_relative(path_).string();
        if (path == "/var/lib/dpkg" || path == "/var/lib/rpm") {
            it.disable_recursion_pending();
        } else {
            found[path] = describe(it->path());
        }
    }
    return found;
}

live::Outcome Root::run(const std::vector<std::string>& command) const
{
    std::vector<std::string> inside{"chroot", path_};
    inside.insert(inside.end(), command.begin(), command.end());
    return live::run(inside);
}

}  // namespace drainwatch::package
