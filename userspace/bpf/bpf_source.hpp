#pragma once

#include "bpf/decode.hpp"
#include "bpf/kernel_streams.hpp"
#include "bpf/programs.hpp"
#include "bpf/slot_looks.hpp"
#include "bpf/slot_pool.hpp"
#include "bpf/slots.hpp"
#include "bpf/target_finder.hpp"
#include "drainwatch/source.hpp"
#include "host/file.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
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
    [[nodiscard]] Streams* streams() override { return streams_ ? &*streams_ : nullptr; }
    [[nodiscard]] Look look(const std::vector<Cookie>& followed,
                            const std::unordered_set<Cookie>& all_told) override;
    [[nodiscard]] std::optional<SocketSample> sample(Cookie cookie) const override
    {
        return looks_.sample(cookie);
    }
    [[nodiscard]] std::vector<ProcessNotice> find_targets() override;
    [[nodiscard]] Result<void> heal() override;
    [[nodiscard]] bool relies_on_finding() const override;
    [[nodiscard]] bool relies_on_healing() const override;
    [[nodiscard]] bool is_short_of_room() const override { return pool_.is_short(); }
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

    /// Who does not look at sockets takes no more of them than that targets come and go.
    void pass_over_notices();

    /// For programs that share its maps.
    [[nodiscard]] const drainwatch_bpf& kernel_side() const { return *skeleton_; }
    [[nodiscard]] std::uint32_t slots_in_use() const { return pool_.in_use(); }
    /// Processes that are targets, or held a watched socket at the last full look.
    [[nodiscard]] std::set<std::uint32_t> target_pids() const { return targets_.pids(); }

private:
    struct RingDeleter {
        void operator()(ring_buffer* ring) const;
    };

    BpfSource(Targets targets, Skeleton skeleton, SlotTable table);

    static int on_record(void* context, void* data, std::size_t size);
    [[nodiscard]] Result<void> open_wake();
    void tell_streams_of_hooks();
    [[nodiscard]] bool is_attached(std::string_view hook) const;
    [[nodiscard]] Result<void> look_through_sockets();
    [[nodiscard]] Result<void> release_all();
    /// Detaches, and forgets every socket.
    [[nodiscard]] Result<void> let_go();
    [[nodiscard]] std::uint64_t count(dw_counter counter) const;

    SourceReport report_;
    std::uint64_t way_ns_ = 0;         ///< to a program and back
    std::vector<std::string> paused_;  ///< hooks that were attached when it was paused
    // Destroyed in the opposite order: the ring, then what it reads from, then the programs.
    Skeleton skeleton_;
    SlotTable table_;
    SlotPool pool_;
    SlotLooks looks_;
    TargetFinder targets_;
    std::unique_ptr<ring_buffer, RingDeleter> ring_;
    std::optional<KernelStreams> streams_;  ///< nothing: TLS is not looked for
    File wake_;                             ///< an epoll of both

    std::vector<Record> records_;  ///< taken from the ring, not passed on yet
    std::uint64_t decoded_ = 0;
    std::uint64_t undecoded_ = 0;
    std::uint64_t looks_failed_ = 0;
    std::uint64_t ring_full_at_scan_ = 0;
};

}  // namespace drainwatch
