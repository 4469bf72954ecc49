#include "support/watcher.hpp"

#include "support/control.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace drainwatch::live {

using namespace std::chrono_literals;

Predicate event_is(std::string name)
{
    return [name = std::move(name)](const Line& line) { return line.event() == name; };
}

bool is_trouble(const Line& line)
{
    return line.is_trouble();
}

std::uint64_t parse_time(const std::string& text)
{
    std::tm t{};
    const char* fraction = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S.", &t);
    if (fraction == nullptr || text.size() != std::strlen("2026-11-23T07:25:01.123456Z")) {
        throw std::runtime_error("no time: " + text);
    }
    const std::uint64_t microseconds = std::stoull(std::string(fraction, 6));
    return static_cast<std::uint64_t>(timegm(&t)) * 1'000'000'000 + microseconds * 1000;
}

std::string watch_options_of_the_run()
{
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
    const char* options = getenv("DRAINWATCH_WATCH_OPTIONS");
    return options != nullptr ? options : "";
}

namespace {

std::vector<std::string> words_of(const std::string& text)
{
    std::istringstream words(text);
    return {std::istream_iterator<std::string>(words), {}};
}

}  // namespace

Watcher::Watcher(const std::vector<std::string>& arguments, const std::vector<std::string>& wrapper)
{
    std::vector<std::string> command(wrapper);
    command.insert(command.end(), {drainwatch_executable(), "watch", "--output", "json"});
    const auto more = words_of(watch_options_of_the_run());
    command.insert(command.end(), more.begin(), more.end());
    command.insert(command.end(), arguments.begin(), arguments.end());
    std::array<int, 2> out{};
    if (pipe2(out.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe");
    }
    process_.emplace(Process::spawn(command, out[1], STDERR_FILENO));
    close(out[1]);
    out_ = out[0];
    reader_ = std::thread([this] { read_lines(); });
    if (!wait_for(event_is("start"), 10s)) {
        process_.reset();
        reader_.join();
        close(out_);
        throw std::runtime_error("drainwatch did not start");
    }
    // `start` comes when everything is attached; the first look may be under way still.
    std::this_thread::sleep_for(100ms);
}

Watcher::~Watcher()
{
    process_.reset();
    reader_.join();
    close(out_);
}

void Watcher::read_lines()
{
    std::string text;
    std::array<char, 65536> buffer;
    while (true) {
        const ssize_t length = read(out_, buffer.data(), buffer.size());
        if (length <= 0) {
            break;
        }
        const std::uint64_t now_ns = realtime_ns();
        text.append(buffer.data(), static_cast<std::size_t>(length));
        const std::lock_guard lock(mutex_);
        for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;) {
            lines_.push_back({Json::parse(text.substr(0, end)), now_ns});
            text.erase(0, end + 1);
        }
        changed_.notify_all();
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
}

std::optional<Line> Watcher::wait_for(const Predicate& wanted, std::chrono::milliseconds limit)
{
    std::unique_lock lock(mutex_);
    const auto end = std::chrono::steady_clock::now() + limit;
    std::size_t looked_at = 0;
    while (true) {
        for (; looked_at < lines_.size(); looked_at++) {
            if (wanted(lines_[looked_at])) {
                return lines_[looked_at];
            }
        }
        if (ended_ || changed_.wait_until(lock, end) == std::cv_status::timeout) {
            return std::nullopt;
        }
    }
}

std::vector<Line> Watcher::lines(const Predicate& wanted)
{
    const std::lock_guard lock(mutex_);
    std::vector<Line> found;
    for (const Line& line : lines_) {
        if (wanted(line)) {
            found.push_back(line);
        }
    }
    return found;
}

std::string Watcher::transcript()
{
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const Line& line : lines_) {
        text += line.json.dump() + "\n";
    }
    return text;
}

int Watcher::stop()
{
    process_->signal(SIGTERM);
    const int code = process_->wait();
    // What it said last may be in the pipe still.
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 10s, [this] { return ended_; });
    return code;
}

}  // namespace drainwatch::live
