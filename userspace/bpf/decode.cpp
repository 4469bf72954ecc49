#include "bpf/decode.hpp"

#include <cstring>

namespace drainwatch {
namespace {

std::string comm_of(const dw_record& record)
{
    return {record.comm, strnlen(record.comm, sizeof(record.comm))};
}

SocketRecord socket_record(const dw_record& record, SocketNotice::Kind kind)
{
    return {{kind, Cookie{record.cookie}, record.at_ns, record.value, record.pid}, record.slot};
}

}  // namespace

std::optional<Record> decode_record(std::span<const std::byte> bytes)
{
    dw_record record{};
    if (bytes.size() != sizeof(record)) {
        return std::nullopt;
    }
    std::memcpy(&record, bytes.data(), sizeof(record));
    using SocketKind = SocketNotice::Kind;
    using ProcessKind = ProcessNotice::Kind;
    switch (record.kind) {
        case DW_REC_DANGER: return socket_record(record, SocketKind::filling);
        case DW_REC_ZERO: return socket_record(record, SocketKind::zero_window);
        case DW_REC_REOPENED: return socket_record(record, SocketKind::reopened);
        case DW_REC_RESET_IN: return socket_record(record, SocketKind::reset_received);
        case DW_REC_RESET_OUT: return socket_record(record, SocketKind::reset_sent);
        case DW_REC_BROKEN: return socket_record(record, SocketKind::broken);
        case DW_REC_ENDED: return socket_record(record, SocketKind::ended);
        case DW_REC_ALERT_OUT: return socket_record(record, SocketKind::alert_sent);
        case DW_REC_ALERT_IN: return socket_record(record, SocketKind::alert_received);
        case DW_REC_HANDSHAKE_BEGUN: return socket_record(record, SocketKind::handshake_begun);
        case DW_REC_HANDSHAKE_OVER: return socket_record(record, SocketKind::handshake_over);
        case DW_REC_CONNECTED: return socket_record(record, SocketKind::connected);
        case DW_REC_CLOSED: return socket_record(record, SocketKind::closed);
        case DW_REC_EXEC:
            return ProcessNotice{ProcessKind::renamed, record.pid, 0, record.value != 0,
                                 comm_of(record)};
        case DW_REC_FORK:
            return ProcessNotice{ProcessKind::forked, record.pid, record.value, true,
                                 comm_of(record)};
        case DW_REC_EXIT:
            return ProcessNotice{ProcessKind::ended, record.pid, 0, true, comm_of(record)};
        default: return std::nullopt;
    }
}

}  // namespace drainwatch
