#include "support/process.hpp"

#include "support/control.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace drainwatch::live {
namespace {

std::string read_to_end(int fd)
{
    std::string text;
    std::array<char, 4096> buffer;
    for (ssize_t length = 0; (length = read(fd, buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(length));
    }
    close(fd);
    return text;
}

}  // namespace

std::string drainwatch_executable()
{
    const char* other = secure_getenv("DRAINWATCH_EXECUTABLE");
    return other != nullptr ? other : DRAINWATCH_EXECUTABLE;
}

Outcome run(const std::vector<std::string>& command)
{
    std::array<int, 2> out{};
    std::array<int, 2> err{};
    if (pipe2(out.data(), O_CLOEXEC) != 0 || pipe2(err.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe");
    }
    Process process = Process::spawn(command, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    Outcome outcome;
    outcome.out = read_to_end(out[0]);
    outcome.err = read_to_end(err[0]);
    outcome.code = process.wait(30'000);
    return outcome;
}

Process Process::fork(const std::function<void()>& body)
{
    const pid_t pid = ::fork();
    if (pid < 0) {
        throw std::runtime_error("cannot fork");
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    return Process(pid);
}

Process Process::spawn(const std::vector<std::string>& arguments, int out, int err)
{
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    return fork([&] {
        const int null = open("/dev/null", O_RDWR);
        dup2(null, STDIN_FILENO);
        dup2(out < 0 ? null : out, STDOUT_FILENO);
        dup2(err < 0 ? null : err, STDERR_FILENO);
        close_range(STDERR_FILENO + 1, ~0U, 0);
        execvp(argv[0], argv.data());
        _exit(127);
    });
}

Process::Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Process::~Process()
{
    if (pid_ > 0) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
}

void Process::signal(int number) const
{
    if (pid_ > 0) {
        kill(pid_, number);
    }
}

bool Process::is_asleep() const
{
    std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
    std::string stat;
    std::getline(file, stat);
    const std::size_t after_name = stat.rfind(") ");
    return after_name != std::string::npos && stat[after_name + 2] == 'S';
}

int Process::wait(int limit_ms)
{
    int status = 0;
    const bool ended = wait_until([&] { return waitpid(pid_, &status, WNOHANG) == pid_; },
                                  std::chrono::milliseconds(limit_ms));
    if (!ended) {
        return -1;
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace drainwatch::live
