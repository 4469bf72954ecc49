#include "poll/poll_source.hpp"

#include "drainwatch/socket_track.h"
#include "host/proc.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <iterator>
#include <utility>

namespace drainwatch {
namespace {

constexpr auto kBlindSpots =
    "what happens between two looks is seen at the second one: ages are right to a tick, a zero "
    "window that opens again within one is not seen; a link that this side resets is told as "
    "ended; SO_RCVLOWAT and urgent data are not known; there are no TLS facts";
constexpr auto kBlindSpotsOfProc = "no windows and no forecast: a stall is told by its age alone";

}  // namespace

Result<std::unique_ptr<Source>> PollSource::open(const SourceOptions& options,
                                                 std::string why_not_bpf)
{
    if (auto readable = PolledTargets::check_can_be_read(options.targets); !readable) {
        return tl::unexpected(readable.error());
    }
    SideThreads threads;
    const auto own = open_namespace(static_cast<std::uint32_t>(getpid()), options.without, threads);
    if (!own) {
        return tl::unexpected(own.error());
    }
    return std::unique_ptr<Source>(new PollSource(options, *own, std::move(why_not_bpf)));
}

PollSource::PollSource(const SourceOptions& options, const Namespace& own, std::string why_not_bpf)
    : targets_(options),
      watched_(options, targets_, own.tells_windows),
      finder_(options, targets_, watched_)
{
    report_.missing.push_back({"bpf", std::move(why_not_bpf), kBlindSpots});
    if (!own.tells_windows) {
        report_.missing.push_back({"sock_diag", "only " + own.way + " answers", kBlindSpotsOfProc});
    }
}

std::string PollSource::blind_spots()
{
    return kBlindSpots;
}

std::vector<Notice> PollSource::take_notices()
{
    return std::exchange(notices_, {});
}

/// Notices, in the order of the looks that found them, and who holds what.
void PollSource::take_from_parts()
{
    for (const auto& more : {watched_.take_notices(), finder_.take_notices()}) {
        notices_.insert(notices_.end(), more.begin(), more.end());
    }
    if (finder_.take_holders_changed()) {
        holders_ = targets_.descriptors().holders(watched_.cookies_by_inode());
    }
}

std::vector<ProcessNotice> PollSource::find_targets()
{
    auto notices = targets_.find(watched_.namespaces());
    const bool has_come = std::any_of(
        notices.begin(), notices.end(),
        [](const ProcessNotice& notice) { return notice.kind != ProcessNotice::Kind::ended; });
    if (has_come || !finder_.has_looked()) {
        finder_.find(has_come);
        take_from_parts();
    }
    return notices;
}

Look PollSource::look(const std::vector<Cookie>& followed,
                      const std::unordered_set<Cookie>& all_told)
{
    const std::vector<Cookie> asked_for = watched_.ask_some(followed, all_told);
    finder_.find_new();
    take_from_parts();
    Look look;
    for (const Cookie cookie : asked_for) {
        if (!watched_.contains(cookie)) {
            continue;
        }
        const PolledSocket& socket = watched_.at(cookie);
        if (dw_unread_bytes(&socket.slot()) != 0 || watched_.is_followed(cookie)) {
            look.samples.push_back(socket.sample());
        }
    }
    std::copy_if(followed.begin(), followed.end(), std::back_inserter(look.gone),
                 [&](Cookie cookie) { return !watched_.contains(cookie); });
    return look;
}

std::optional<SocketSample> PollSource::sample(Cookie cookie) const
{
    return watched_.sample(cookie);
}

void PollSource::refresh_holders()
{
    targets_.walk_descriptors();
    holders_ = targets_.descriptors().holders(watched_.cookies_by_inode());
}

std::vector<Holder> PollSource::all_holders()
{
    Descriptors everyone;
    everyone.walk(proc::pids());
    return everyone.holders(watched_.cookies_by_inode());
}

HeldSockets PollSource::sockets_of(std::uint32_t pid, std::size_t most) const
{
    HeldSockets held;
    for (const Holder& holder : holders_) {
        if (holder.pid != pid || !watched_.contains(holder.cookie)) {
            continue;
        }
        if (held.sockets.size() == most) {
            held.all = false;
            break;
        }
        held.sockets.push_back(
            {holder.cookie, holder.fd, holder.inode, watched_.at(holder.cookie).sample()});
    }
    return held;
}

Result<void> PollSource::set_attached(const std::string& hook, bool /*attached*/)
{
    return fail(fmt::format("{} is not hooked by polling", hook));
}

Losses PollSource::losses() const
{
    Losses losses;
    losses.table_full = finder_.table_full();
    losses.looks_failed = watched_.failed() + finder_.failed();
    for (const auto& [netns, in] : targets_.namespaces()) {
        losses.undecoded += in.table->undecoded();
    }
    return losses;
}

}  // namespace drainwatch
