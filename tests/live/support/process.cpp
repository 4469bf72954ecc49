#include "support/process.hpp"

#include "support/control.hpp"

#include <csignal>
#include <fcntl.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace drainwatch::live {

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
