#pragma once

#include "drainwatch/source.hpp"
#include "host/pace.hpp"
#include "host/target_processes.hpp"
#include "poll/descriptors.hpp"
#include "poll/left_out.hpp"
#include "poll/namespace.hpp"
#include "poll/polled_socket.hpp"

#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace drainwatch {

/// The poll tier: asks the kernel for the watched sockets again and again. Needs no BPF, and no
/// privilege beyond that of reading the target's descriptors.
class PollSource final : public Source {
public:
    /// `why_not_bpf` goes into the report.
    [[nodiscard]] static Result<std::unique_ptr<Source>> open(const SourceOptions& options,
                                                              std::string why_not_bpf);

    /// What this tier does not see, in one sentence.
    [[nodiscard]] static std::string blind_spots();

    [[nodiscard]] Tier tier() const override { return Tier::poll; }
    [[nodiscard]] const SourceReport& report() const override { return report_; }
    [[nodiscard]] int wake_fd() const override { return -1; }
    [[nodiscard]] std::vector<Notice> take_notices() override;
    [[nodiscard]] Streams* streams() override { return nullptr; }
    [[nodiscard]] Look look(const std::vector<Cookie>& followed,
                            const std::unordered_set<Cookie>& all_told) override;
    [[nodiscard]] std::optional<SocketSample> sample(Cookie cookie) const override;
    [[nodiscard]] std::vector<ProcessNotice> find_targets() override;
    [[nodiscard]] Result<void> heal() override { return {}; }
    [[nodiscard]] bool relies_on_finding() const override { return true; }
    [[nodiscard]] bool relies_on_healing() const override { return false; }
    [[nodiscard]] bool is_short_of_room() const override { return false; }
    [[nodiscard]] bool enters_namespaces() const override { return true; }
    [[nodiscard]] const std::vector<Holder>& holders() const override { return holders_; }
    void refresh_holders() override;
    [[nodiscard]] std::vector<Holder> all_holders() override;
    [[nodiscard]] HeldSockets sockets_of(std::uint32_t pid, std::size_t most) const override;
    void stop() override {}
    [[nodiscard]] Result<void> pause() override { return {}; }
    [[nodiscard]] Result<void> resume(const FollowedProcesses& /*followed*/) override { return {}; }
    [[nodiscard]] FollowedProcesses followed() const override { return processes_.followed(); }
    [[nodiscard]] Losses losses() const override;
    [[nodiscard]] NoticeAccounts accounts() const override { return {}; }
    [[nodiscard]] std::uint64_t events_seen() const override { return answers_; }
    [[nodiscard]] std::vector<HookUse> hooks() const override { return {}; }
    [[nodiscard]] Result<void> set_attached(const std::string& hook, bool attached) override;

private:
    /// What one look through a namespace has found that is not watched yet.
    struct Unwatched {
        std::vector<SocketState> listeners;
        std::vector<SocketState> connections;
        bool has_unknown = false;        ///< connections whose owner is still to be found
        std::uint64_t all_known_ns = 0;  ///< what was there then is known; 0: it need not be
    };

    /// Sockets that no target holds, with their inodes, 0 before they are accepted: kernels
    /// before 4.2 make the cookie of an address that the next socket may have again, and /proc has
    /// but ports to make it of.
    using Strangers = std::unordered_map<Cookie, std::uint32_t>;

    PollSource(const SourceOptions& options, const Namespace& own, std::string why_not_bpf);

    void follow_namespaces();
    /// May its sockets be seen, and its descriptors?
    [[nodiscard]] bool can_watch(std::uint32_t pid) const;
    void find_sockets();
    void find_unwatched(bool recheck);
    void count_connections();
    void find_new_sockets();
    /// Returns those that were asked.
    std::vector<Cookie> ask_some(const std::unordered_set<Cookie>& all_told);
    void look_failed();
    [[nodiscard]] Unwatched list(Namespace& in, bool recheck, Strangers& strangers);
    [[nodiscard]] std::vector<Cookie> idle_sockets() const;
    [[nodiscard]] bool make_room();
    void watch(std::uint32_t netns, Namespace& in, const Unwatched& found, Strangers& strangers);
    [[nodiscard]] std::optional<std::uint32_t> owner_of(const SocketState& connection,
                                                        const Unwatched& found) const;
    void walk_descriptors();
    void poll(const std::vector<Cookie>& cookies);
    /// Returns those of them that hold unread data.
    std::vector<SocketState> ask(SocketTable& table, const std::vector<SocketState>& sockets);
    void end(Cookie cookie, std::uint64_t now_ns);
    [[nodiscard]] std::unordered_map<std::uint64_t, Cookie> cookies_by_inode() const;
    [[nodiscard]] std::vector<std::uint32_t> target_pids() const;

    SourceOptions options_;
    SourceReport report_;
    TargetProcesses processes_;
    std::unordered_map<std::uint32_t, Namespace> namespaces_;  ///< by inode number
    std::unordered_map<Cookie, PolledSocket> sockets_;
    std::unordered_map<Cookie, SocketSample> ended_;  ///< since the last look
    Strangers strangers_;                             ///< as of the last look
    LeftOut left_out_;
    std::optional<std::vector<Cookie>> idle_;  ///< in the look that is under way, if needed
    std::unordered_set<Cookie> filled_;        ///< watched ones in which it has seen unread data
    std::unordered_set<Cookie> followed_;      ///< by whoever asks, as of the last look
    std::unordered_set<Cookie> lively_;        ///< the last sweep, or a look since, found new data
    Descriptors descriptors_;                  ///< of the targets, as of the last walk
    std::vector<Holder> holders_;
    std::vector<Notice> notices_;

    Pace sweeping_;  ///< looks at all watched sockets
    Pace looking_at_lively_;
    Pace looking_closely_;  ///< at those with unread data
    Pace counting_;         ///< connections
    Pace finding_new_;
    Pace listing_;             ///< looks for new sockets though none were counted
    Pace rechecking_;          ///< strangers
    bool has_looked_ = false;  ///< what is found from now on is new
    bool has_new_ = false;     ///< connections that have not been looked for yet
    bool accepted_ = false;    ///< a watched socket has got a descriptor since the last walk
    std::uint64_t answers_ = 0;
    std::uint64_t table_full_ = 0;
    std::uint64_t failed_ = 0;  ///< questions without an answer
};

}  // namespace drainwatch
