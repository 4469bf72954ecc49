#include "cmlog/reader.hpp"

#include <utility>

namespace drainwatch::cmlog {

Reader::Reader(const std::vector<std::string>& paths, TimeZone zone)
    : logs_(paths.begin(), paths.end()), zone_(zone)
{}

std::vector<Logged> Reader::take(std::uint64_t now_ns)
{
    std::vector<Logged> found;
    for (Follower& log : logs_) {
        for (const std::string& line : log.take_lines()) {
            auto entry = parse(line);
            const auto at_ns = entry ? zone_.to_realtime(entry->time, now_ns) : std::nullopt;
            if (!at_ns) {
                unreadable_++;
            } else if (entry->error) {
                found.push_back({log.path(), *at_ns, std::move(entry->process),
                                 std::move(entry->level), std::move(*entry->error)});
            }
        }
    }
    return found;
}

std::uint64_t Reader::unreadable() const
{
    std::uint64_t sum = unreadable_;
    for (const Follower& log : logs_) {
        sum += log.too_long();
    }
    return sum;
}

std::vector<Reader::Unopened> Reader::unopened() const
{
    std::vector<Unopened> unopened;
    for (const Follower& log : logs_) {
        if (!log.is_open()) {
            unopened.push_back({log.path(), log.error()});
        }
    }
    return unopened;
}

}  // namespace drainwatch::cmlog
