#include "output/losses.hpp"

#include <fmt/format.h>
#include <vector>

namespace drainwatch {

std::string losses_in_words(const Losses& losses, const Losses& told)
{
    const auto more = [&](std::uint64_t Losses::*count) { return losses.*count > told.*count; };
    std::vector<std::string> words;
    if (more(&Losses::table_full)) {
        words.emplace_back("some sockets with unread data are not followed: raise --max-sockets");
    }
    if (more(&Losses::storage_failed)) {
        words.emplace_back("some sockets are not watched: there was no room to remember them");
    }
    if (more(&Losses::multipath)) {
        words.emplace_back(
            "some connections of Multipath TCP are not followed: how far they are read is not to "
            "be seen");
    }
    if (more(&Losses::bytes_lost) || more(&Losses::handshakes_given_up)) {
        words.emplace_back("some TLS handshakes or alerts may be missed");
    }
    if (more(&Losses::ring_full) || more(&Losses::runs_missed) || more(&Losses::undecoded)) {
        words.emplace_back(
            "some events were lost: a reset or a new connection may be missed; stalls and zero "
            "windows rest on the kernel's counters and hold");
    }
    if (more(&Losses::looks_failed)) {
        words.emplace_back(
            "some looks failed, as when memory is short or a socket locked for long: what only "
            "they find is found by a later one");
    }
    return fmt::format("{}", fmt::join(words, "; "));
}

}  // namespace drainwatch
