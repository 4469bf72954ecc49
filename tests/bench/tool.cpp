#include "bench/tool.hpp"

#include "support/control.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <stdexcept>

namespace drainwatch::bench {

Tool::Tool(const std::vector<std::string>& command)
{
    std::array<int, 2> out{};
    if (pipe2(out.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe");
    }
    process_.emplace(live::Process::spawn(command, out[1]));
    close(out[1]);
    out_ = out[0];
    reader_ = std::thread([this] { read_lines(); });
}

Tool::~Tool()
{
    process_->signal(SIGINT);
    process_->wait();
    process_.reset();
    reader_.join();
    close(out_);
}

std::vector<TimedLine> Tool::lines() const
{
    const std::lock_guard lock(mutex_);
    return lines_;
}

void Tool::read_lines()
{
    std::string text;
    std::array<char, 65536> buffer;
    for (ssize_t length = 0; (length = read(out_, buffer.data(), buffer.size())) > 0;) {
        const std::uint64_t now_ns = live::realtime_ns();
        text.append(buffer.data(), static_cast<std::size_t>(length));
        const std::lock_guard lock(mutex_);
        for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;) {
            lines_.push_back({now_ns, text.substr(0, end)});
            text.erase(0, end + 1);
        }
    }
}

}  // namespace drainwatch::bench
