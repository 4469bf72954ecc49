#include "corpus/schedule.hpp"

#include "support/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <list>
#include <stdexcept>

namespace drainwatch::corpus {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// No run takes as long, or it hangs.
constexpr auto kLongestRun = 90s;
constexpr auto kProgressSpacing = 10s;

/// A run under way.
struct Job {
    Task task;
    live::Process process;
    int out;
    Clock::time_point began;
    std::string text;
};

Job start(const Task& task)
{
    std::array<int, 2> out{};
    if (pipe2(out.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe");
    }
    auto process = live::Process::spawn(
        {"/proc/self/exe", "one", task.name, std::to_string(task.seed)}, out[1], STDERR_FILENO);
    close(out[1]);
    return {task, std::move(process), out[0], Clock::now(), ""};
}

Result result_of(const Job& job, const std::string& why)
{
    const std::size_t end = job.text.find('\n');
    if (end == std::string::npos) {
        Result result;
        result.name = job.task.name;
        result.seed = job.task.seed;
        result.broken = why;
        return result;
    }
    return parse_line(job.text.substr(0, end));
}

class Progress {
public:
    explicit Progress(std::size_t tasks) : tasks_(tasks), is_terminal_(isatty(STDERR_FILENO) != 0)
    {}

    void count() { done_++; }

    void show()
    {
        const auto now = Clock::now();
        if (now - shown_ <
            (is_terminal_ ? Clock::duration(1s) : Clock::duration(kProgressSpacing))) {
            return;
        }
        shown_ = now;
        const auto gone = std::chrono::duration<double>(now - began_).count();
        const double left =
            done_ == 0 ? 0
                       : gone / static_cast<double>(done_) * static_cast<double>(tasks_ - done_);
        fmt::print(stderr, "{}corpus: {} of {} runs, {:.0f} min left{}", is_terminal_ ? "\r" : "",
                   done_, tasks_, left / 60, is_terminal_ ? "   " : "\n");
        std::fflush(stderr);
    }

    void end() const
    {
        if (is_terminal_) {
            fmt::print(stderr, "\n");
        }
    }

private:
    std::size_t tasks_;
    bool is_terminal_;
    std::size_t done_ = 0;
    Clock::time_point began_ = Clock::now();
    Clock::time_point shown_ = Clock::now();
};

/// Takes what the job has printed. True when it has ended.
bool take_output(Job& job)
{
    std::array<char, 65536> buffer;
    const ssize_t length = read(job.out, buffer.data(), buffer.size());
    if (length > 0) {
        job.text.append(buffer.data(), static_cast<std::size_t>(length));
        return false;
    }
    return length == 0 || errno != EINTR;
}

bool may_join(const Task& task, const std::list<Job>& running, std::uint32_t jobs)
{
    return running.empty() || (running.size() < jobs && !task.alone && !running.front().task.alone);
}

}  // namespace

void run_all(const std::vector<Task>& tasks, std::uint32_t jobs,
             const std::function<void(Result)>& done)
{
    std::list<Job> running;
    Progress progress(tasks.size());
    auto next = tasks.begin();
    const auto finish = [&](std::list<Job>::iterator job, const std::string& why) {
        done(result_of(*job, why));
        progress.count();
        close(job->out);
        return running.erase(job);
    };
    while (next != tasks.end() || !running.empty()) {
        while (next != tasks.end() && may_join(*next, running, jobs)) {
            running.push_back(start(*next++));
        }
        std::vector<pollfd> watched;
        std::transform(running.begin(), running.end(), std::back_inserter(watched),
                       [](const Job& job) {
                           return pollfd{job.out, POLLIN, 0};
                       });
        poll(watched.data(), watched.size(), 1000);
        auto ready = watched.begin();
        for (auto job = running.begin(); job != running.end();) {
            const bool has_output = (ready++)->revents != 0;
            if (has_output && take_output(*job)) {
                job = finish(job, "it ended without a result");
            } else if (Clock::now() - job->began > kLongestRun) {
                job->process.signal(SIGKILL);
                job = finish(job, "it took too long");
            } else {
                ++job;
            }
        }
        progress.show();
    }
    progress.end();
}

}  // namespace drainwatch::corpus
