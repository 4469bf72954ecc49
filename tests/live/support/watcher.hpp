#pragma once

#include "support/process.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace drainwatch::live {

using Json = nlohmann::json;

/// A line of drainwatch's output, and when the test had read it from the pipe.
struct Line {
    Json json;
    std::uint64_t read_ns = 0;  ///< CLOCK_REALTIME

    [[nodiscard]] std::string event() const { return json.at("event"); }
    [[nodiscard]] bool is_trouble() const
    {
        return event() == "not_draining" || event() == "falling_behind";
    }
};

using Predicate = std::function<bool(const Line&)>;

[[nodiscard]] Predicate event_is(std::string name);
[[nodiscard]] bool is_trouble(const Line& line);

/// "2026-11-23T07:25:01.123456Z" in nanoseconds since 1970.
[[nodiscard]] std::uint64_t parse_time(const std::string& text);

/// What a whole run of tests wants of every watch, from DRAINWATCH_WATCH_OPTIONS in its
/// environment:
/// "--tier poll", "--without sk_storage".
[[nodiscard]] std::string watch_options_of_the_run();

/// The real executable, running `drainwatch watch --output json` and more arguments, its lines
/// being read all the time. Is watching when constructed. DRAINWATCH_WATCH_OPTIONS in the
/// environment holds options for every watch, so that the same scenes can be run as on another
/// kernel.
class Watcher {
public:
    /// `wrapper`: a command that runs it, such as "setpriv --reuid=1 --".
    explicit Watcher(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& wrapper = {});
    ~Watcher();
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    /// The first line for which this holds, also of those that came before the call.
    [[nodiscard]] std::optional<Line> wait_for(const Predicate& wanted,
                                               std::chrono::milliseconds limit);
    [[nodiscard]] std::vector<Line> lines(const Predicate& wanted);
    /// Every line, for a failure's message.
    [[nodiscard]] std::string transcript();

    /// SIGTERM; returns the exit code.
    int stop();
    [[nodiscard]] pid_t pid() const { return process_->pid(); }
    [[nodiscard]] Process& process() { return *process_; }

private:
    void read_lines();

    int out_ = -1;
    std::optional<Process> process_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Line> lines_;
    bool ended_ = false;
    std::thread reader_;
};

}  // namespace drainwatch::live
