#pragma once

#include "bpf/decode.hpp"
#include "bpf/programs.hpp"
#include "bpf/slots.hpp"
#include "drainwatch/result.hpp"
#include "drainwatch/sample.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

struct ring_buffer;

namespace drainwatch {

/// What to watch.
struct Targets {
    std::vector<std::string> names;  ///< exact comm, at most 15 bytes each
    std::vector<std::uint32_t> pids;
    std::vector<std::uint16_t> ports;  ///< local or remote; none: every port
    bool all = false;                  ///< every process
};

struct SourceOptions {
    Targets targets;
    /// Silences as long as this are never taken for a habit of the reader.
    std::chrono::nanoseconds warn_after = std::chrono::seconds(1);
    /// Watched at once, rounded up to the next 256; each costs 0.5 KiB of kernel memory from the
    /// start.
    std::uint32_t max_sockets = 65536;
    /// Tracepoints not to hook.
    std::vector<std::string> without;
};

/// What was not seen, since the start.
struct Losses {
    std::uint64_t ring_full = 0;       ///< notices that found the ring full
    std::uint64_t table_full = 0;      ///< sockets for which no slot was free
    std::uint64_t storage_failed = 0;  ///< sockets that the kernel gave no storage
    std::uint64_t runs_missed = 0;     ///< program runs that the kernel left out
    std::uint64_t undecoded = 0;       ///< records of unknown shape

    bool operator==(const Losses&) const = default;
};

/// What a look has found.
struct Look {
    std::vector<SocketSample> samples;  ///< sockets with unread data, and those asked for
    std::vector<Cookie> gone;           ///< of those asked for
};

using Notice = std::variant<SocketNotice, ProcessNotice>;

/// The BPF tier: everything about sockets that the kernel side knows.
class Source {
public:
    [[nodiscard]] static Result<std::unique_ptr<Source>> open(const SourceOptions& options);
    ~Source();
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    [[nodiscard]] const ProgramReport& programs() const { return programs_; }

    /// Without one of its hooks, an arrival or a read may be seen no sooner than by heal().
    [[nodiscard]] bool relies_on_healing() const;

    /// Readable when there are notices.
    [[nodiscard]] int wake_fd() const;
    [[nodiscard]] std::vector<Notice> take_notices();

    /// Sockets with unread data, and those of `followed`.
    [[nodiscard]] Look look(const std::vector<Cookie>& followed);

    /// The latest of one socket that a look or a notice has named, even if it has ended since.
    [[nodiscard]] std::optional<SocketSample> sample(Cookie cookie) const;

    /// Looks for targets and sockets that no event told of. Returns what is new about processes.
    [[nodiscard]] std::vector<ProcessNotice> find_targets();

    /// Takes the counters of every watched socket again, for what an event may have missed.
    [[nodiscard]] Result<void> heal();

    /// Who held which watched socket at the last full look.
    [[nodiscard]] const std::vector<dw_descriptor>& descriptors() const { return descriptors_; }
    void refresh_descriptors();
    /// The same of every process on the host: a look that costs.
    [[nodiscard]] std::vector<dw_descriptor> all_holders();

    [[nodiscard]] Losses losses() const;
    [[nodiscard]] std::uint64_t events_seen() const;
    [[nodiscard]] ProgramCounters program_counters() const;

private:
    struct RingDeleter {
        void operator()(ring_buffer* ring) const;
    };

    Source(Targets targets, Skeleton skeleton, SlotTable table);

    static int on_record(void* context, void* data, std::size_t size);
    [[nodiscard]] Result<void> fill_free_slots();
    void add_target(std::uint32_t pid, std::uint32_t flags);
    [[nodiscard]] bool is_attached(std::string_view hook) const;
    [[nodiscard]] bool may_have_missed_processes();
    void scan_processes(std::vector<ProcessNotice>& notices);
    void note_process(const ProcessNotice& notice, std::vector<Notice>& notices);
    void find_queued_connections();
    [[nodiscard]] std::uint64_t count(dw_counter counter) const;

    Targets targets_;
    ProgramReport programs_;
    // Destroyed in the opposite order: the ring, then what it reads from, then the programs.
    Skeleton skeleton_;
    SlotTable table_;
    std::unique_ptr<ring_buffer, RingDeleter> ring_;

    std::vector<Record> records_;
    std::uint64_t undecoded_ = 0;
    std::uint64_t ring_full_at_scan_ = 0;
    bool scanned_ = false;
    std::unordered_map<std::uint32_t, std::string> processes_;  ///< targets that live, by pid
    std::unordered_map<Cookie, std::uint32_t> slot_of_;
    std::vector<dw_descriptor> descriptors_;
    std::set<std::pair<std::uint32_t, std::uint16_t>>
        listeners_;  ///< netns and port, looked through
};

}  // namespace drainwatch
