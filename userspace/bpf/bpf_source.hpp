#pragma once

#include "bpf/decode.hpp"
#include "bpf/programs.hpp"
#include "bpf/slots.hpp"
#include "bpf/stream_buffer.hpp"
#include "bpf/target_finder.hpp"
#include "drainwatch/source.hpp"
#include "host/file.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <vector>

struct ring_buffer;

namespace drainwatch {

/// The BPF tier: everything about sockets that the kernel side knows.
class BpfSource final : public Source {
public:
    /// Called when all is loaded and nothing attached. What it attaches sees each event before
    /// the source's own programs do.
    using BeforeAttach = std::function<Result<void>(const drainwatch_bpf&)>;

    [[nodiscard]] static Result<std::unique_ptr<BpfSource>> open(
        const SourceOptions& options, const BeforeAttach& before_attach = nullptr);
    ~BpfSource() override;

    [[nodiscard]] Tier tier() const override { return Tier::bpf; }
    [[nodiscard]] const SourceReport& report() const override { return report_; }
    [[nodiscard]] int wake_fd() const override;
    [[nodiscard]] std::vector<Notice> take_notices() override;
    [[nodiscard]] std::vector<StreamBytes> take_stream_bytes() override;
    [[nodiscard]] bool takes_streams() const override;
    void take_streams(bool taken) override;
    [[nodiscard]] HookRuns stream_runs() const override;
    void settle_handshake(Cookie cookie, std::uint64_t place, std::uint8_t alert_bytes) override;
    [[nodiscard]] Look look(const std::vector<Cookie>& followed,
                            const std::unordered_set<Cookie>& all_told) override;
    [[nodiscard]] std::optional<SocketSample> sample(Cookie cookie) const override;
    [[nodiscard]] std::vector<ProcessNotice> find_targets() override;
    [[nodiscard]] Result<void> heal() override;
    [[nodiscard]] bool relies_on_finding() const override;
    [[nodiscard]] bool relies_on_healing() const override;
    [[nodiscard]] bool is_short_of_room() const override;
    [[nodiscard]] bool tells_of_filling() const override { return !relies_on_healing(); }
    [[nodiscard]] bool enters_namespaces() const override { return targets_.enters_namespaces(); }
    [[nodiscard]] const std::vector<Holder>& holders() const override { return targets_.holders(); }
    void refresh_holders() override { targets_.refresh_holders(); }
    [[nodiscard]] std::vector<Holder> all_holders() override { return targets_.all_holders(); }
    [[nodiscard]] HeldSockets sockets_of(std::uint32_t pid, std::size_t most) const override;
    void stop() override;
    [[nodiscard]] Result<void> pause() override;
    [[nodiscard]] Result<void> resume(const FollowedProcesses& followed) override;
    [[nodiscard]] FollowedProcesses followed() const override { return targets_.followed(); }
    [[nodiscard]] Losses losses() const override;
    [[nodiscard]] NoticeAccounts accounts() const override;
    [[nodiscard]] std::uint64_t events_seen() const override;
    [[nodiscard]] std::vector<HookUse> hooks() const override;
    [[nodiscard]] Result<void> set_attached(const std::string& hook, bool attached) override;

    /// For programs that share its maps. Slots from slots_in_use() on have never been in use.
    [[nodiscard]] const drainwatch_bpf& kernel_side() const { return *skeleton_; }
    [[nodiscard]] std::uint32_t slots_in_use() const;
    /// Processes that are targets, or held a watched socket at the last full look.
    [[nodiscard]] std::set<std::uint32_t> target_pids() const { return targets_.pids(); }

private:
    struct RingDeleter {
        void operator()(ring_buffer* ring) const;
    };
    /// A socket that the last look, or a notice since, has named.
    struct Seen {
        std::uint32_t slot = 0;
        std::uint64_t look = 0;              ///< the last one that has named it
        std::optional<std::size_t> content;  ///< hash of the slot, where it was to be compared
    };

    BpfSource(Targets targets, Skeleton skeleton, SlotTable table);

    static int on_record(void* context, void* data, std::size_t size);
    [[nodiscard]] Result<void> open_wake();
    [[nodiscard]] Result<void> fill_free_slots();
    [[nodiscard]] Result<void> fill_free_slots_one_by_one();
    [[nodiscard]] Result<void> give_back(std::uint32_t slot);
    void clear_slots();
    [[nodiscard]] bool is_attached(std::string_view hook) const;
    void make_room();
    [[nodiscard]] Result<void> look_through_sockets();
    [[nodiscard]] Result<void> release_all();
    [[nodiscard]] std::uint64_t count(dw_counter counter) const;

    SourceReport report_;
    std::uint64_t way_ns_ = 0;         ///< to a program and back
    std::vector<std::string> paused_;  ///< hooks that were attached when it was paused
    // Destroyed in the opposite order: the ring, then what it reads from, then the programs.
    Skeleton skeleton_;
    SlotTable table_;
    TargetFinder targets_;
    std::unique_ptr<ring_buffer, RingDeleter> ring_;
    std::optional<StreamBuffer> streams_;  ///< nothing: TLS is not looked for
    File wake_;                            ///< an epoll of both

    std::vector<Record> records_;  ///< taken from the ring, not passed on yet
    std::uint64_t decoded_ = 0;
    std::uint64_t undecoded_ = 0;
    std::uint64_t looks_failed_ = 0;
    std::uint64_t ring_full_at_scan_ = 0;
    std::unordered_map<Cookie, Seen> seen_;
    std::uint64_t looks_ = 0;
};

}  // namespace drainwatch
