#include "app/fallback_source.hpp"

#include "poll/poll_source.hpp"

namespace drainwatch {

FallbackSource::FallbackSource(std::unique_ptr<Source> first, SourceOptions options)
    : options_(std::move(options)), first_(std::move(first)), current_(first_.get())
{}

FallbackSource::~FallbackSource() = default;

Result<void> FallbackSource::fall_back(const std::string& why)
{
    SourceOptions options = options_;
    FollowedProcesses followed = first_->followed();
    options.targets.pids = std::move(followed.by_pid);
    options.children = std::move(followed.children);
    auto polling = PollSource::open(options, why);
    if (!polling) {
        return tl::unexpected(polling.error());
    }
    (void)first_->pause();  // whatever it could not look through, it is detached
    polling_ = std::move(*polling);
    current_ = polling_.get();
    return {};
}

Losses FallbackSource::losses() const
{
    Losses all = first_->losses();
    all += lost_before_;
    if (polling_) {
        all += polling_->losses();
    }
    return all;
}

Result<void> FallbackSource::return_to_hooks()
{
    if (!polling_) {
        return {};  // it never came to that
    }
    if (auto resumed = first_->resume(polling_->followed()); !resumed) {
        return resumed;
    }
    lost_before_ += polling_->losses();
    polling_.reset();
    current_ = first_.get();
    return {};
}

}  // namespace drainwatch
