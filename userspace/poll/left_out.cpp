#include "poll/left_out.hpp"

#include <utility>

namespace drainwatch {

void LeftOut::begin_look()
{
    before_ = std::exchange(now_, {});
}

const LeftOut::Socket* LeftOut::before(Cookie cookie) const
{
    const auto known = before_.find(cookie);
    return known != before_.end() ? &known->second : nullptr;
}

void LeftOut::keep(Cookie cookie)
{
    now_[cookie] = before_.at(cookie);
}

void LeftOut::give_up(Cookie cookie, std::uint32_t owner)
{
    now_[cookie] = {owner, 0, false};
}

bool LeftOut::add(Cookie cookie, std::uint32_t owner, bool has_unread, std::uint64_t found_ns)
{
    const Socket* known = before(cookie);
    const bool was_told = known != nullptr && known->had_unread;
    now_[cookie] = {owner, known != nullptr ? known->found_ns : found_ns, was_told || has_unread};
    return has_unread && !was_told;
}

void LeftOut::keep_all()
{
    now_.insert(before_.begin(), before_.end());
}

}  // namespace drainwatch
