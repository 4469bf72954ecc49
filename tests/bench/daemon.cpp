#include "bench/daemon.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <stdexcept>

namespace drainwatch::bench {
namespace {

using Clock = std::chrono::steady_clock;

void discard(int fd)
{
    std::array<char, 65536> buffer;
    while (read(fd, buffer.data(), buffer.size()) > 0) {
    }
}

}  // namespace

Daemon::Daemon(const std::vector<std::string>& arguments)
{
    std::vector<std::string> command{live::drainwatch_executable(), "watch", "--output", "json"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    std::array<int, 2> out{};
    if (pipe2(out.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe");
    }
    out_ = out[0];
    const auto began = Clock::now();
    process_.emplace(live::Process::spawn(command, out[1], STDERR_FILENO));
    close(out[1]);
    char byte = 0;
    const bool started = read(out_, &byte, 1) == 1;
    start_time_ = Clock::now() - began;
    if (!started) {
        close(out_);
        throw std::runtime_error("drainwatch did not start");
    }
    drain_ = std::thread(discard, out_);
}

Daemon::~Daemon()
{
    process_->signal(SIGTERM);
    process_->wait();
    drain_.join();
    close(out_);
}

}  // namespace drainwatch::bench
