#pragma once

#include "bpf/decode.hpp"
#include "bpf/programs.hpp"
#include "bpf/slots.hpp"
#include "bpf/stream_buffer.hpp"
#include "drainwatch/source.hpp"
#include "host/file.hpp"
#include "host/net_namespaces.hpp"
#include "host/target_processes.hpp"

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
    [[nodiscard]] Look look(const std::vector<Cookie>& followed) override;
    [[nodiscard]] std::optional<SocketSample> sample(Cookie cookie) const override;
    [[nodiscard]] std::vector<ProcessNotice> find_targets() override;
    [[nodiscard]] Result<void> heal() override;
    [[nodiscard]] bool relies_on_finding() const override;
    [[nodiscard]] bool relies_on_healing() const override;
    [[nodiscard]] bool is_short_of_room() const override;
    [[nodiscard]] bool tells_of_filling() const override { return !relies_on_healing(); }
    [[nodiscard]] bool enters_namespaces() const override;
    [[nodiscard]] const std::vector<Holder>& holders() const override { return holders_; }
    void refresh_holders() override;
    [[nodiscard]] std::vector<Holder> all_holders() override;
    void stop() override;
    [[nodiscard]] Result<void> pause() override;
    [[nodiscard]] Result<void> resume(const std::vector<std::uint32_t>& pids) override;
    [[nodiscard]] std::vector<std::uint32_t> followed_by_pid() const override
    {
        return processes_.not_by_name();
    }
    [[nodiscard]] Losses losses() const override;
    [[nodiscard]] NoticeAccounts accounts() const override;
    [[nodiscard]] std::uint64_t events_seen() const override;
    [[nodiscard]] std::vector<HookUse> hooks() const override;
    [[nodiscard]] Result<void> set_attached(const std::string& hook, bool attached) override;

    /// For programs that share its maps. Slots from slots_in_use() on have never been in use.
    [[nodiscard]] const drainwatch_bpf& kernel_side() const { return *skeleton_; }
    [[nodiscard]] std::uint32_t slots_in_use() const;
    /// Processes that are targets, or held a watched socket at the last full look.
    [[nodiscard]] std::set<std::uint32_t> target_pids() const;

private:
    struct RingDeleter {
        void operator()(ring_buffer* ring) const;
    };

    BpfSource(Targets targets, Skeleton skeleton, SlotTable table);

    static int on_record(void* context, void* data, std::size_t size);
    [[nodiscard]] Result<void> open_wake();
    [[nodiscard]] Result<void> fill_free_slots();
    [[nodiscard]] Result<void> fill_free_slots_one_by_one();
    void add_target(std::uint32_t pid, std::uint32_t flags);
    [[nodiscard]] std::uint32_t target_flags(const ProcessNotice& process) const;
    [[nodiscard]] std::vector<dw_descriptor> walk_descriptors();
    [[nodiscard]] bool is_attached(std::string_view hook) const;
    [[nodiscard]] bool may_have_missed_processes();
    void make_room();
    [[nodiscard]] Result<void> look_through_sockets();
    void look_through(const std::set<std::uint32_t>& namespaces);
    void find_waiting_connections();
    [[nodiscard]] std::uint64_t count(dw_counter counter) const;

    Targets targets_;
    SourceReport report_;
    std::vector<std::string> paused_;  ///< hooks that were attached when it was paused
    // Destroyed in the opposite order: the ring, then what it reads from, then the programs.
    Skeleton skeleton_;
    bool by_address_;  ///< how the kernel side remembers sockets
    SlotTable table_;
    std::unique_ptr<ring_buffer, RingDeleter> ring_;
    std::optional<StreamBuffer> streams_;  ///< nothing: TLS is not looked for
    File wake_;                            ///< an epoll of both

    std::vector<Record> records_;  ///< taken from the ring, not passed on yet
    std::uint64_t decoded_ = 0;
    std::uint64_t undecoded_ = 0;
    std::uint64_t ring_full_at_scan_ = 0;
    bool scanned_ = false;
    TargetProcesses processes_;
    std::unordered_map<Cookie, std::uint32_t> slot_of_;
    std::vector<dw_descriptor> descriptors_;  ///< as of the last full look
    std::vector<Holder> holders_;             ///< the same
    std::set<std::uint64_t> listeners_;       ///< by inode: those that were there at the last one
    std::uint32_t own_namespace_;
    NetNamespaces net_namespaces_;
    std::set<std::uint32_t> looked_through_;  ///< namespaces for find_connections()
};

}  // namespace drainwatch
