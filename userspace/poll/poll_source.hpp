#pragma once

#include "drainwatch/source.hpp"
#include "poll/namespace.hpp"
#include "poll/polled_targets.hpp"
#include "poll/socket_finder.hpp"
#include "poll/watched_sockets.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
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
    [[nodiscard]] FollowedProcesses followed() const override { return targets_.followed(); }
    [[nodiscard]] Losses losses() const override;
    [[nodiscard]] NoticeAccounts accounts() const override { return {}; }
    [[nodiscard]] std::uint64_t events_seen() const override { return watched_.answers(); }
    [[nodiscard]] std::vector<HookUse> hooks() const override { return {}; }
    [[nodiscard]] Result<void> set_attached(const std::string& hook, bool attached) override;

private:
    PollSource(const SourceOptions& options, const Namespace& own, std::string why_not_bpf);

    void take_from_parts();

    SourceReport report_;
    PolledTargets targets_;
    WatchedSockets watched_;
    SocketFinder finder_;
    std::vector<Holder> holders_;
    std::vector<Notice> notices_;
};

}  // namespace drainwatch
