#pragma once

#include "drainwatch/hook_runs.hpp"
#include "drainwatch/result.hpp"
#include "drainwatch/sample.hpp"
#include "drainwatch/stream_bytes.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <variant>
#include <vector>

/// What watches sockets: BPF where the kernel takes it, polling elsewhere. Whoever uses a source
/// need not know which it is.
namespace drainwatch {

/// What to watch.
struct Targets {
    std::vector<std::string> names;  ///< exact comm, at most 15 bytes each
    std::vector<std::uint32_t> pids;
    std::vector<std::uint16_t> ports;  ///< local or remote; none: every port
    bool all = false;                  ///< every process
};

/// Processes that are targets, or awaited, though their name need not lead to them.
struct FollowedProcesses {
    std::vector<std::uint32_t> by_pid;    ///< they were named by pid
    std::vector<std::uint32_t> children;  ///< of targets; those may have ended
};

struct SourceOptions {
    Targets targets;
    /// Targets as well: children of targets, known from before.
    std::vector<std::uint32_t> children;
    /// Silences as long as this are never taken for a habit of the reader.
    std::chrono::nanoseconds warn_after = std::chrono::seconds(1);
    /// How often sockets are polled, where no event tells of them.
    std::chrono::nanoseconds tick = std::chrono::milliseconds(50);
    /// Watched at once, rounded up to the next 256; each costs 0.5 KiB from the start in tier bpf.
    std::uint32_t max_sockets = 65536;
    /// Look into streams for what TLS says in the clear.
    bool tls = true;
    /// Parts not to use: tracepoints, or facilities by the names that part_names() gives.
    std::vector<std::string> without;
};

/// How sockets are watched, best first.
enum class Tier { bpf, poll };

[[nodiscard]] constexpr std::string_view to_string(Tier tier)
{
    return tier == Tier::bpf ? "bpf" : "poll";
}

/// A part that does not run here.
struct MissingPart {
    std::string name;
    std::string reason;
    std::string cost;  ///< what is not seen without it
};

/// What a source stands on.
struct SourceReport {
    std::vector<std::string> attached;  ///< programs, in tier bpf
    std::vector<MissingPart> missing;
    std::uint64_t memory_bytes = 0;  ///< kernel memory that is taken for the whole time
};

/// A descriptor of a process behind which there is a watched socket.
struct Holder {
    Cookie cookie{};
    std::uint64_t inode = 0;
    std::uint32_t pid = 0;
    std::uint32_t fd = 0;
};

/// Connections that a process holds, as of the last full look.
struct HeldSockets {
    struct Socket {
        Cookie cookie{};
        std::uint32_t fd = 0;
        std::uint64_t inode = 0;
        std::optional<SocketSample> sample;  ///< nothing: it is not followed
    };
    std::vector<Socket> sockets;
    bool all = true;  ///< there are no more of them
};

/// What was not seen, since the start.
struct Losses {
    std::uint64_t ring_full = 0;       ///< notices that found the ring full
    std::uint64_t table_full = 0;      ///< sockets with unread data for which no slot was free
    std::uint64_t storage_failed = 0;  ///< sockets that the kernel gave no storage
    std::uint64_t multipath = 0;       ///< connections of Multipath TCP, which are not followed
    std::uint64_t runs_missed = 0;     ///< program runs that the kernel left out
    std::uint64_t bytes_lost = 0;      ///< segments that might have told of TLS
    std::uint64_t undecoded = 0;       ///< records, or replies, of unknown shape
    std::uint64_t looks_failed = 0;    ///< full looks, or polls, that the kernel did not answer
    /// TLS handshakes that could not be followed to their end, which no source counts.
    std::uint64_t handshakes_given_up = 0;

    bool operator==(const Losses&) const = default;
    Losses& operator+=(const Losses& more)
    {
        ring_full += more.ring_full;
        table_full += more.table_full;
        storage_failed += more.storage_failed;
        multipath += more.multipath;
        runs_missed += more.runs_missed;
        bytes_lost += more.bytes_lost;
        undecoded += more.undecoded;
        looks_failed += more.looks_failed;
        handshakes_given_up += more.handshakes_given_up;
        return *this;
    }
};

/// What became of the notices of the kernel side, since the start. After stop(), what was produced
/// is what was consumed and what was lost, exactly; before, some may be on their way.
struct NoticeAccounts {
    std::uint64_t produced = 0;
    std::uint64_t consumed = 0;
    std::uint64_t lost = 0;  ///< found the ring full, or had an unknown shape
};

/// A tracepoint that is hooked, or was, and what that costs.
struct HookUse {
    std::string name;
    std::string cost;   ///< what is not seen without it
    unsigned need = 0;  ///< how much that is, 1 the least; 0: it cannot go alone
    bool attached = false;
    HookRuns runs;
};

/// What a look has found.
struct Look {
    std::vector<SocketSample> samples;  ///< sockets with unread data, and those asked for
    std::vector<Cookie> unchanged;      ///< of `all_told`; a source may give samples instead
    std::vector<Cookie> gone;           ///< of those asked for
};

using Notice = std::variant<SocketNotice, ProcessNotice>;

/// Where a source looks into streams for what TLS says in the clear.
class Streams {
public:
    Streams() = default;
    virtual ~Streams() = default;
    Streams(const Streams&) = delete;
    Streams& operator=(const Streams&) = delete;

    /// What came since. Whatever happened before a notice that was taken before is in it.
    [[nodiscard]] virtual std::vector<StreamBytes> take() = 0;

    /// They are wanted, and both directions are hooked.
    [[nodiscard]] virtual bool are_taken() const = 0;
    /// From now on, or no more. Handshakes that are under way then cannot be followed.
    virtual void want(bool wanted) = 0;

    /// What taking it has cost the hooks.
    [[nodiscard]] virtual HookRuns runs() const = 0;

    /// No more of the handshake of the socket in this place is wanted; from now on, only segments
    /// of this length, which may be alerts (0: none).
    virtual void settle_handshake(Cookie cookie, std::uint64_t place, std::uint8_t alert_bytes) = 0;
};

class Source {
public:
    Source() = default;
    virtual ~Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    [[nodiscard]] virtual Tier tier() const = 0;
    [[nodiscard]] virtual const SourceReport& report() const = 0;

    /// Readable when there are notices, and, unless it relies on healing, when a queue fills,
    /// before there is a verdict to be made of it. -1 if none ever come by themselves.
    [[nodiscard]] virtual int wake_fd() const = 0;
    [[nodiscard]] virtual std::vector<Notice> take_notices() = 0;

    /// Null: none are looked into.
    [[nodiscard]] virtual Streams* streams() = 0;

    /// Sockets with unread data, and those of `followed`. Of `all_told`, which are of these, no
    /// sample is wanted while nothing but time changes there.
    [[nodiscard]] virtual Look look(const std::vector<Cookie>& followed,
                                    const std::unordered_set<Cookie>& all_told) = 0;

    /// The latest of one socket that a look or a notice has named, even if it has ended since.
    [[nodiscard]] virtual std::optional<SocketSample> sample(Cookie cookie) const = 0;

    /// The full look for targets and sockets that no event told of. Returns what is new about
    /// processes.
    [[nodiscard]] virtual std::vector<ProcessNotice> find_targets() = 0;

    /// Takes the counters of every watched socket again, for what an event may have missed.
    [[nodiscard]] virtual Result<void> heal() = 0;
    /// A new target may be seen no sooner than by find_targets().
    [[nodiscard]] virtual bool relies_on_finding() const = 0;
    /// An arrival or a read may be seen no sooner than by heal().
    [[nodiscard]] virtual bool relies_on_healing() const = 0;
    /// Few more sockets can be followed, unless heal() finds some that are idle.
    [[nodiscard]] virtual bool is_short_of_room() const = 0;

    /// Targets may have to be looked for in network namespaces other than our own.
    [[nodiscard]] virtual bool enters_namespaces() const = 0;

    /// Who held which watched socket at the last full look.
    [[nodiscard]] virtual const std::vector<Holder>& holders() const = 0;
    virtual void refresh_holders() = 0;
    /// The same of every process on the host: a look that costs.
    [[nodiscard]] virtual std::vector<Holder> all_holders() = 0;
    /// Watched connections that the process held at the last full look, `most` of them at most.
    [[nodiscard]] virtual HeldSockets sockets_of(std::uint32_t pid, std::size_t most) const = 0;

    /// Detaches. Notices that were on their way can be taken still, and sockets looked at.
    virtual void stop() = 0;

    /// Detaches for a while, and forgets every socket: nothing of ours runs in the kernel.
    [[nodiscard]] virtual Result<void> pause() = 0;
    /// Attaches again, with these targets beside those that are known by their name; the full looks
    /// that follow find what is there now.
    [[nodiscard]] virtual Result<void> resume(const FollowedProcesses& followed) = 0;
    /// These, as of now: they end, and have children.
    [[nodiscard]] virtual FollowedProcesses followed() const = 0;

    [[nodiscard]] virtual Losses losses() const = 0;
    [[nodiscard]] virtual NoticeAccounts accounts() const = 0;
    [[nodiscard]] virtual std::uint64_t events_seen() const = 0;

    /// What is hooked in the kernel.
    [[nodiscard]] virtual std::vector<HookUse> hooks() const = 0;
    /// Attaches one of them, or detaches it.
    [[nodiscard]] virtual Result<void> set_attached(const std::string& hook, bool attached) = 0;
};

}  // namespace drainwatch
