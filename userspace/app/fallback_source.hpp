#pragma once

#include "drainwatch/source.hpp"

#include <memory>
#include <string>
#include <vector>

namespace drainwatch {

/// A source that can be exchanged for polling, and taken up again, while it is in use. Everything
/// else is what the source in charge does.
class FallbackSource final : public Source {
public:
    FallbackSource(std::unique_ptr<Source> first, SourceOptions options);
    ~FallbackSource() override;

    /// Polls from now on; nothing of ours runs in the kernel.
    [[nodiscard]] Result<void> fall_back(const std::string& why);
    /// Hooks everything again.
    [[nodiscard]] Result<void> return_to_hooks();

    [[nodiscard]] Tier tier() const override { return current_->tier(); }
    [[nodiscard]] const SourceReport& report() const override { return current_->report(); }
    [[nodiscard]] int wake_fd() const override { return current_->wake_fd(); }
    [[nodiscard]] std::vector<Notice> take_notices() override { return current_->take_notices(); }
    [[nodiscard]] Streams* streams() override { return current_->streams(); }
    [[nodiscard]] Look look(const std::vector<Cookie>& followed,
                            const std::unordered_set<Cookie>& all_told) override
    {
        return current_->look(followed, all_told);
    }
    [[nodiscard]] std::optional<SocketSample> sample(Cookie cookie) const override
    {
        return current_->sample(cookie);
    }
    [[nodiscard]] std::vector<ProcessNotice> find_targets() override
    {
        return current_->find_targets();
    }
    [[nodiscard]] Result<void> heal() override { return current_->heal(); }
    [[nodiscard]] bool relies_on_finding() const override { return current_->relies_on_finding(); }
    [[nodiscard]] bool relies_on_healing() const override { return current_->relies_on_healing(); }
    [[nodiscard]] bool is_short_of_room() const override { return current_->is_short_of_room(); }
    [[nodiscard]] bool enters_namespaces() const override { return current_->enters_namespaces(); }
    [[nodiscard]] const std::vector<Holder>& holders() const override
    {
        return current_->holders();
    }
    void refresh_holders() override { current_->refresh_holders(); }
    [[nodiscard]] std::vector<Holder> all_holders() override { return current_->all_holders(); }
    [[nodiscard]] HeldSockets sockets_of(std::uint32_t pid, std::size_t most) const override
    {
        return current_->sockets_of(pid, most);
    }
    void stop() override { first_->stop(); }
    [[nodiscard]] Result<void> pause() override { return first_->pause(); }
    [[nodiscard]] Result<void> resume(const FollowedProcesses& followed) override
    {
        return first_->resume(followed);
    }
    [[nodiscard]] FollowedProcesses followed() const override { return current_->followed(); }
    /// Those of polling, too.
    [[nodiscard]] Losses losses() const override;
    [[nodiscard]] NoticeAccounts accounts() const override { return first_->accounts(); }
    [[nodiscard]] std::uint64_t events_seen() const override { return first_->events_seen(); }
    [[nodiscard]] std::vector<HookUse> hooks() const override { return first_->hooks(); }
    [[nodiscard]] Result<void> set_attached(const std::string& hook, bool attached) override
    {
        return first_->set_attached(hook, attached);
    }

private:
    SourceOptions options_;
    std::unique_ptr<Source> first_;
    std::unique_ptr<Source> polling_;  ///< while it stands in
    Losses lost_before_;               ///< by polling that stood in
    Source* current_;
};

}  // namespace drainwatch
