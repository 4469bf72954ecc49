#include "support/profile_run.hpp"

#include "support/control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <stdexcept>

namespace drainwatch::live {

ProfileRun::ProfileRun(const std::string& comm, const std::vector<std::string>& more)
{
    std::vector<std::string> command{drainwatch_executable(),
                                     "profile",
                                     "--output",
                                     "json",
                                     "--process",
                                     comm,
                                     "--duration",
                                     "100s"};
    command.insert(command.end(), more.begin(), more.end());
    std::array<int, 2> out{};
    std::array<int, 2> err{};
    if (pipe2(out.data(), O_CLOEXEC) != 0 || pipe2(err.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe");
    }
    process_.emplace(Process::spawn(command, out[1], err[1]));
    close(out[1]);
    close(err[1]);
    out_ = out[0];
    err_ = err[0];
    std::string said;
    const bool measuring = wait_until(
        [&] {
            pollfd ready{err_, POLLIN, 0};
            std::array<char, 512> buffer{};
            if (poll(&ready, 1, 10) > 0) {
                const ssize_t length = read(err_, buffer.data(), buffer.size());
                said.append(buffer.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
            }
            return said.find("measuring") != std::string::npos;
        },
        std::chrono::seconds(10));
    if (!measuring) {
        throw std::runtime_error("drainwatch does not measure: " + said);
    }
}

ProfileRun::~ProfileRun()
{
    process_.reset();
    close(out_);
    close(err_);
}

Json ProfileRun::stop()
{
    process_->signal(SIGINT);
    std::string text;
    std::array<char, 65536> buffer;
    for (ssize_t length = 0; (length = read(out_, buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(length));
    }
    if (process_->wait() != 0) {
        return nullptr;
    }
    return Json::parse(text, nullptr, false);
}

double call_share(const Json& profile, const std::string& call)
{
    const Json& waiting = profile.at("waiting");
    return waiting.is_null() ? 0 : waiting.at("calls").value(call, 0.0);
}

}  // namespace drainwatch::live
