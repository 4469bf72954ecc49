#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

/// What a run of the corpus is to be, made from its class and a seed: pure, the same everywhere.
namespace drainwatch::corpus {

/// What goals hold for a class, and what a warning in it means.
enum class Group {
    healthy,        ///< a warning is a false alarm
    stalls,         ///< the reader stops
    losing_ground,  ///< it reads, but too little
    buffers,        ///< it stops, and the buffer is out of the ordinary
    many,           ///< many at once, and restarts
    polled,         ///< some of these in the poll tier
};

/// How the target's readers read while all is well.
enum class Reading {
    at_once,      ///< all there is, as soon as it is there
    in_batches,   ///< all there is, every `step`
    in_steps,     ///< `step_bytes` at most, every `step`
    by_requests,  ///< at once, and each message is answered; the peer waits for the answer
};

/// What befalls them.
enum class Trouble {
    none,
    pauses,              ///< several, of the lengths in `pauses_ms`
    sleep,               ///< the readers sleep
    sigstop,             ///< the process is stopped
    deadlock,            ///< each reader waits for a lock that another holds
    epoll_without_read,  ///< they wait in epoll, and do not read what it reports
    starvation,          ///< the process gets a thousandth of a CPU
    never_accepted,      ///< nobody accepts the connections
    unread_hello,        ///< the peer's TLS hello is not read, and nothing follows it
    too_slow,            ///< from now on they read `slow_bytes` every `step`
    tool_restart,        ///< they sleep; drainwatch is killed, and started again
    target_restart,      ///< the process is killed, another takes its place, and sleeps
};

enum class Family { v4, v6, v4_mapped };

struct Plan {
    std::string name;  ///< the class
    std::uint64_t seed = 0;
    Group group{};
    bool polled = false;

    Family family{};
    std::uint32_t links = 1;
    std::uint32_t idle_links = 0;  ///< besides, never used
    std::uint32_t half_open = 0;   ///< besides, whose peer has gone without a word
    std::uint32_t threads = 1;     ///< that read; links are spread over them

    std::uint32_t message_bytes = 150;
    std::uint32_t spacing_us = 4167;  ///< of the messages of one link
    std::uint32_t burst = 1;          ///< messages that are sent together, as many spacings apart
    std::uint32_t mss = 0;            ///< TCP_MAXSEG of the peers; 0: the interface's

    std::uint32_t rcvbuf = 0;  ///< SO_RCVBUF; 0: autotuned
    bool shrink_window = false;

    Reading reading{};
    std::uint32_t step_us = 0;
    std::uint32_t step_bytes = 0;
    std::uint32_t work_us = 0;  ///< CPU time that each read takes
    Trouble trouble{};
    std::uint32_t slow_bytes = 0;
    std::vector<std::uint32_t> pauses_ms;

    std::uint32_t warm_ms = 1000;     ///< before the trouble
    std::uint32_t trouble_ms = 3000;  ///< ends so long after its begin, at the latest
    bool to_zero = true;              ///< ends as every window is closed, if that is sooner
    bool reset = false;               ///< the process is killed in its trouble
};

/// Every class, in the order of the report.
[[nodiscard]] std::vector<std::string_view> class_names();
[[nodiscard]] bool is_class(std::string_view name);

/// `name` is a class.
[[nodiscard]] Plan make_plan(std::string_view name, std::uint64_t seed);

/// For a person who asks what a run is.
[[nodiscard]] nlohmann::json to_json(const Plan& plan);

}  // namespace drainwatch::corpus
