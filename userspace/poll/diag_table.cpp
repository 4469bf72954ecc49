#include "poll/diag_table.hpp"

#include "drainwatch/socket_track.h"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// Answers wait in our receive buffer until all questions of a batch are put: so few that they
/// fit.
constexpr std::size_t kBatch = 32;

constexpr std::uint32_t bit(int state)
{
    return 1U << state;
}

/// Connections that may hold unread data: not those that are being made or are over.
constexpr std::uint32_t kConnections = bit(DW_TCP_ESTABLISHED) | bit(DW_TCP_FIN_WAIT1) |
                                       bit(DW_TCP_FIN_WAIT2) | bit(DW_TCP_CLOSE_WAIT) |
                                       bit(DW_TCP_LAST_ACK) | bit(DW_TCP_CLOSING);

/// The older form has no family in a dump, and lists all. What a walk costs is the table's size.
constexpr std::uint8_t kAnyFamily = AF_UNSPEC;

/// The messages of a datagram, each with its payload.
class Messages {
public:
    explicit Messages(std::span<const std::byte> bytes) : rest_(bytes) {}

    [[nodiscard]] bool next()
    {
        if (rest_.size() < sizeof(header)) {
            return false;
        }
        std::memcpy(&header, rest_.data(), sizeof(header));
        if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > rest_.size()) {
            return false;
        }
        payload = rest_.subspan(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
        rest_ = rest_.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest_.size()));
        return true;
    }

    nlmsghdr header{};
    std::span<const std::byte> payload;

private:
    std::span<const std::byte> rest_;
};

/// The error number in an NLMSG_ERROR, or at the end of a dump.
int error_in(std::span<const std::byte> payload)
{
    int error = 0;
    if (payload.size() >= sizeof(error)) {
        std::memcpy(&error, payload.data(), sizeof(error));
    }
    return -error;
}

/// The socket does not exist any more, or another has its place. Any other error, such as a lack
/// of memory, says nothing about the socket.
bool is_gone(int error)
{
    return error == ENOENT || error == ESTALE;
}

/// So many questions may wait for the lock of a socket, and leave one line for those that take
/// none.
constexpr std::size_t kLinesForInfo = 2;
constexpr std::size_t kLines = kLinesForInfo + 1;

/// Two ticks as they are by default; questions take microseconds, and a thread that waits for a CPU
/// may take milliseconds.
constexpr auto kPatience = 100ms;
/// To find those with a port among a hundred thousand sockets takes a tenth of it.
constexpr auto kPatienceWithLists = 1s;

}  // namespace

struct DiagTable::Batch {
    const Query& query;
    std::vector<std::size_t> which;  ///< of its sockets, in the order of the questions
    std::uint32_t first_sequence = 0;
    std::size_t answered = 0;  ///< the kernel keeps the order
    int error = 0;
};

Result<std::unique_ptr<DiagTable>> DiagTable::open(DiagForm form,
                                                   std::unique_ptr<SocketTable> without_locks,
                                                   SideThreads& threads)
{
    std::unique_ptr<DiagTable> table(new DiagTable(form, std::move(without_locks)));
    for (std::size_t i = 0; i < kLines; i++) {
        auto line = DiagSocket::open(threads);
        if (!line) {
            return tl::unexpected(line.error());
        }
        table->lines_.push_back(std::move(*line));
    }
    return table;
}

Result<void> DiagTable::choose_walks(bool may_use_compat)
{
    if (auto answered = try_dump({form_, AF_INET}); !answered) {
        return tl::unexpected(answered.error());
    }
    const Walk through_all{DiagForm::compat, kAnyFamily};
    if (form_ == DiagForm::compat || (may_use_compat && try_dump(through_all))) {
        walks_ = {through_all};
    } else {
        walks_ = {{form_, AF_INET}, {form_, AF_INET6}};
    }
    return {};
}

/// Listeners are few: a cheap question to see whether it is understood, as one is that is not
/// answered soon.
Result<bool> DiagTable::try_dump(const Walk& walk)
{
    return dump(walk, bit(DW_TCP_LISTEN), {}, [](const SocketState&) {});
}

std::optional<std::size_t> DiagTable::free_line(std::size_t most)
{
    for (std::size_t line = 0; line < most; line++) {
        if (lines_[line].is_free()) {
            return line;
        }
    }
    return std::nullopt;
}

void DiagTable::take(std::span<const std::byte> answers, Batch& batch)
{
    for (Messages messages(answers); messages.next();) {
        const std::uint32_t index = messages.header.nlmsg_seq - batch.first_sequence;
        if (index >= batch.which.size()) {
            continue;  // of an earlier question that was given up
        }
        batch.answered++;
        if (messages.header.nlmsg_type == NLMSG_ERROR) {
            const int error = error_in(messages.payload);
            batch.error = is_gone(error) ? batch.error : error;
            continue;
        }
        auto& state = batch.query.states[batch.which[index]];
        state = parse_socket(messages.payload);
        undecoded_ += !state;
    }
}

/// With tcp_info, what is not answered then waits for the lock of the first one that is not.
Result<void> DiagTable::ask(std::size_t line, WithInfo info, Batch& batch)
{
    const std::vector<SocketState>& sockets = batch.query.sockets;
    DiagSocket& socket = lines_[line];
    batch.first_sequence = sequence_ + 1;
    std::vector<std::byte> questions;
    for (const std::size_t index : batch.which) {
        const auto question = exact_request(form_, sockets[index], info, ++sequence_);
        questions.insert(questions.end(), question.begin(), question.end());
    }
    const auto in_time = socket.send(std::move(questions), kPatience);
    if (!in_time) {
        return tl::unexpected(in_time.error());
    }
    while (batch.answered < batch.which.size()) {
        if (*in_time) {
            const auto answers = socket.receive();
            if (!answers) {
                return tl::unexpected(answers.error());
            }
            take(*answers, batch);
        } else if (const auto answers = socket.receive_now()) {
            take(*answers, batch);
        } else {
            if (info == WithInfo::yes && socket.is_waiting()) {
                held_up_.try_emplace(sockets[batch.which[batch.answered]].cookie, line);
            }
            break;
        }
    }
    if (batch.error != 0) {
        return tl::unexpected(system_error("ask", DiagSocket::kName, batch.error));
    }
    return {};
}

Result<std::vector<std::size_t>> DiagTable::ask_for(const Query& query,
                                                    const std::vector<std::size_t>& which,
                                                    WithInfo info)
{
    std::vector<std::size_t> unanswered;
    for (auto next = which.begin(); next != which.end();) {
        const auto line = free_line(info == WithInfo::yes ? kLinesForInfo : kLines);
        if (!line) {
            unanswered.insert(unanswered.end(), next, which.end());
            break;
        }
        const auto end = next + std::min<std::ptrdiff_t>(kBatch, which.end() - next);
        Batch batch{.query = query, .which = {next, end}};
        if (auto asked = ask(*line, info, batch); !asked) {
            return tl::unexpected(asked.error());
        }
        next += static_cast<std::ptrdiff_t>(batch.answered);
        unanswered.insert(unanswered.end(), next, end);
        next = end;
    }
    return unanswered;
}

Result<std::vector<std::optional<SocketState>>> DiagTable::query(
    const std::vector<SocketState>& sockets)
{
    std::erase_if(held_up_, [&](const auto& entry) { return lines_[entry.second].is_free(); });
    std::vector<std::optional<SocketState>> states(sockets.size());
    const Query query{sockets, states};
    std::vector<std::size_t> wanted;
    std::vector<std::size_t> locked;
    for (std::size_t i = 0; i < sockets.size(); i++) {
        (held_up_.contains(sockets[i].cookie) ? locked : wanted).push_back(i);
    }
    auto unanswered = ask_for(query, wanted, WithInfo::yes);
    if (unanswered) {
        unanswered->insert(unanswered->end(), locked.begin(), locked.end());
        unanswered = ask_for(query, *unanswered, WithInfo::no);
    }
    if (!unanswered) {
        return tl::unexpected(unanswered.error());
    }
    if (auto asked = ask_without_locks(query, *unanswered); !asked) {
        return tl::unexpected(asked.error());
    }
    return states;
}

/// What no line can ask for.
Result<void> DiagTable::ask_without_locks(const Query& query, const std::vector<std::size_t>& which)
{
    if (which.empty()) {
        return {};
    }
    if (!without_locks_) {
        return fail(fmt::format("ask {}: it does not answer; a reader may hold a socket's lock",
                                DiagSocket::kName));
    }
    std::vector<SocketState> wanted;
    std::transform(which.begin(), which.end(), std::back_inserter(wanted),
                   [&](std::size_t index) { return query.sockets[index]; });
    const auto answers = without_locks_->query(wanted);
    if (!answers) {
        return tl::unexpected(answers.error());
    }
    for (std::size_t i = 0; i < which.size(); i++) {
        query.states[which[i]] = (*answers)[i];
    }
    return {};
}

Result<bool> DiagTable::dump(const Walk& walk, std::uint32_t states,
                             const std::vector<std::uint16_t>& ports,
                             const std::function<void(const SocketState&)>& found)
{
    const std::uint32_t sequence = ++sequence_;
    const auto line = free_line(kLines);
    if (!line) {
        return false;
    }
    DiagSocket& asked = lines_[*line];
    auto in_time = asked.send(dump_request(walk.form, walk.family, states, ports, sequence),
                              kPatienceWithLists);
    if (!in_time || !*in_time) {
        return in_time;
    }
    while (true) {
        const auto part = asked.receive_part(kPatienceWithLists);
        if (!part) {
            return tl::unexpected(part.error());
        }
        if (!*part) {
            return false;
        }
        for (Messages messages(**part); messages.next();) {
            if (messages.header.nlmsg_seq != sequence) {
                continue;
            }
            const bool done = messages.header.nlmsg_type == NLMSG_DONE;
            if (done || messages.header.nlmsg_type == NLMSG_ERROR) {
                const int error = error_in(messages.payload);
                if (error != 0) {
                    return tl::unexpected(system_error("list", DiagSocket::kName, error));
                }
                return true;
            }
            if (const auto socket = parse_socket(messages.payload)) {
                found(*socket);
            } else {
                undecoded_++;
            }
        }
    }
}

std::uint64_t DiagTable::undecoded() const
{
    return undecoded_ + (without_locks_ ? without_locks_->undecoded() : 0);
}

Result<void> DiagTable::list(const std::vector<std::uint16_t>& ports,
                             const std::function<void(const SocketState&)>& found)
{
    for (const Walk& walk : walks_) {
        auto listed = dump(walk, bit(DW_TCP_LISTEN), {}, found);
        if (listed && *listed) {
            listed = dump(walk, kConnections, ports, found);
        }
        if (!listed) {
            return tl::unexpected(listed.error());
        }
        if (!*listed) {
            return fail(
                fmt::format("list {}: it does not answer; a reader may hold a socket's lock",
                            DiagSocket::kName));
        }
    }
    return {};
}

}  // namespace drainwatch
