#include "bpf/decode.hpp"
#include "state/slot.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <cstring>
#include <vector>

namespace drainwatch::decode_test {
namespace {

dw_record record(std::uint32_t kind)
{
    dw_record r{};
    r.kind = kind;
    r.slot = 12;
    r.cookie = 0x1122334455667788;
    r.at_ns = 99'000'000'001;
    r.value = 34;
    r.pid = 56;
    std::memcpy(r.comm, "gip", 3);
    return r;
}

std::optional<Record> decode(const dw_record& r)
{
    return decode_record(std::as_bytes(std::span(&r, 1)));
}

TEST(DecodeRecord, OfSockets)
{
    using Kind = SocketNotice::Kind;
    struct Case {
        std::uint32_t kind;
        Kind decoded;
    };
    for (const Case& c :
         {Case{DW_REC_DANGER, Kind::filling}, Case{DW_REC_ZERO, Kind::zero_window},
          Case{DW_REC_REOPENED, Kind::reopened}, Case{DW_REC_RESET_IN, Kind::reset_received},
          Case{DW_REC_RESET_OUT, Kind::reset_sent}, Case{DW_REC_ENDED, Kind::ended},
          Case{DW_REC_CLOSED, Kind::closed}, Case{DW_REC_ALERT_OUT, Kind::alert_sent},
          Case{DW_REC_ALERT_IN, Kind::alert_received},
          Case{DW_REC_HANDSHAKE_BEGUN, Kind::handshake_begun},
          Case{DW_REC_HANDSHAKE_OVER, Kind::handshake_over}}) {
        const auto decoded = decode(record(c.kind));
        ASSERT_TRUE(decoded) << c.kind;
        ASSERT_TRUE(std::holds_alternative<SocketRecord>(*decoded)) << c.kind;
        const auto& [notice, slot] = std::get<SocketRecord>(*decoded);
        EXPECT_EQ(notice.kind, c.decoded) << c.kind;
        EXPECT_EQ(notice.cookie, Cookie{0x1122334455667788}) << c.kind;
        EXPECT_EQ(notice.at_ns, 99'000'000'001U) << c.kind;
        EXPECT_EQ(notice.value, 34U) << c.kind;
        EXPECT_EQ(notice.pid, 56U) << c.kind;
        EXPECT_EQ(slot, 12U) << c.kind;
    }
}

TEST(DecodeRecord, OfProcesses)
{
    using Kind = ProcessNotice::Kind;
    struct Case {
        std::uint32_t kind;
        Kind decoded;
        std::uint32_t parent;
    };
    for (const Case& c : {Case{DW_REC_EXEC, Kind::renamed, 0}, Case{DW_REC_FORK, Kind::forked, 34},
                          Case{DW_REC_EXIT, Kind::ended, 0}}) {
        const auto decoded = decode(record(c.kind));
        ASSERT_TRUE(decoded) << c.kind;
        ASSERT_TRUE(std::holds_alternative<ProcessNotice>(*decoded)) << c.kind;
        const auto& notice = std::get<ProcessNotice>(*decoded);
        EXPECT_EQ(notice.kind, c.decoded) << c.kind;
        EXPECT_EQ(notice.pid, 56U) << c.kind;
        EXPECT_EQ(notice.parent, c.parent) << c.kind;
        EXPECT_EQ(notice.comm, "gip") << c.kind;
        EXPECT_TRUE(notice.target) << c.kind;
    }
}

TEST(DecodeRecord, AnExecMayEndATarget)
{
    dw_record r = record(DW_REC_EXEC);
    r.value = 0;
    EXPECT_FALSE(std::get<ProcessNotice>(*decode(r)).target);
}

TEST(DecodeRecord, ANameMayFillItsField)
{
    dw_record r = record(DW_REC_EXIT);
    std::memcpy(r.comm, "0123456789abcdef", 16);
    EXPECT_EQ(std::get<ProcessNotice>(*decode(r)).comm, "0123456789abcdef");
    std::memset(r.comm, 0, 16);
    EXPECT_EQ(std::get<ProcessNotice>(*decode(r)).comm, "");
}

TEST(DecodeRecord, UnknownKindsAreNone)
{
    for (const std::uint32_t kind :
         {0U, 0U + DW_REC_KINDS, 1U + DW_REC_KINDS, 0x7fffffffU, 0xffffffffU}) {
        EXPECT_FALSE(decode(record(kind))) << kind;
    }
}

TEST(DecodeRecord, OtherSizesAreNone)
{
    std::vector<std::byte> bytes(128);
    const dw_record r = record(DW_REC_ZERO);
    std::memcpy(bytes.data(), &r, sizeof(r));
    for (std::size_t size = 0; size <= bytes.size(); size++) {
        EXPECT_EQ(decode_record(std::span(bytes).first(size)).has_value(), size == 48) << size;
    }
}

TEST(DecodeRecord, NeedsNoAlignment)
{
    std::vector<std::byte> bytes(49);
    const dw_record r = record(DW_REC_ZERO);
    std::memcpy(bytes.data() + 1, &r, sizeof(r));
    const auto decoded = decode_record(std::span(bytes).subspan(1));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<SocketRecord>(*decoded).notice.cookie, Cookie{0x1122334455667788});
}

TEST(DecodeSlot, CopiesEveryField)
{
    dw_slot slot{};
    slot.cookie = 77;
    slot.window.rcv_nxt = 5000;
    slot.copied_seq = 4000;
    slot.window.rcv_wnd = 65536;
    slot.window.flags = DW_SCALING_RATIO;
    slot.data_end = 4999;
    slot.rcvlowat = 3;
    slot.last_read_ns = 11;
    slot.zero_ns = 12;
    slot.reopened_ns = 13;
    slot.zero_count = 14;
    slot.reader_tgid = 15;
    slot.reader_tid = 16;
    slot.owner_tgid = 17;
    slot.netns = 18;
    slot.family = AF_INET;
    slot.local_port = 8765;
    slot.remote_port = 40000;
    const std::uint8_t local[] = {10, 0, 0, 1};
    const std::uint8_t remote[] = {10, 0, 0, 2};
    std::memcpy(slot.local, local, 4);
    std::memcpy(slot.remote, remote, 4);

    const SocketSample s = decode_slot(slot, 99);
    EXPECT_EQ(s.cookie, Cookie{77});
    EXPECT_EQ(to_string(s.local), "10.0.0.1:8765");
    EXPECT_EQ(to_string(s.remote), "10.0.0.2:40000");
    EXPECT_EQ(s.taken_ns, 99U);
    EXPECT_EQ(s.window.rcv_nxt, 5000U);
    EXPECT_EQ(s.window.copied_seq, 4000U);
    EXPECT_EQ(s.window.rcv_wnd, 65536U);
    EXPECT_EQ(s.window.flags, DW_SCALING_RATIO);
    EXPECT_EQ(s.data_end, 4999U);
    EXPECT_EQ(s.unread_bytes(), 999U);
    EXPECT_EQ(s.rcvlowat, 3U);
    EXPECT_EQ(s.last_read_ns, 11U);
    EXPECT_EQ(s.zero_ns, 12U);
    EXPECT_EQ(s.reopened_ns, 13U);
    EXPECT_EQ(s.zero_count, 14U);
    EXPECT_EQ(s.reader_tgid, 15U);
    EXPECT_EQ(s.reader_tid, 16U);
    EXPECT_EQ(s.owner_tgid, 17U);
    EXPECT_EQ(s.netns, 18U);
    EXPECT_TRUE(s.unread.empty());
}

TEST(DecodeSlot, Flags)
{
    dw_slot slot{};
    slot.flags = DW_SLOT_LOWER_BOUND;
    EXPECT_TRUE(decode_slot(slot, 1).age_is_lower_bound);
    EXPECT_FALSE(decode_slot(slot, 1).closed);
    slot.flags = DW_SLOT_CLOSED;
    EXPECT_FALSE(decode_slot(slot, 1).age_is_lower_bound);
    EXPECT_TRUE(decode_slot(slot, 1).closed);
    slot.flags = DW_SLOT_WAS_CLOSED;
    EXPECT_FALSE(decode_slot(slot, 1).closed);
}

TEST(DecodeSlot, UnreadIsOldestFirstWhereverTheRingBegins)
{
    dw_slot slot{};
    slot.unread.head = 14;
    slot.unread.count = 4;
    for (std::uint32_t i = 0; i < 4; i++) {
        slot.unread.entry[(14 + i) % 16].end_seq = 100 + i;
        slot.unread.entry[(14 + i) % 16].at_ns = 1000 + i;
    }
    const SocketSample s = decode_slot(slot, 1);
    ASSERT_EQ(s.unread.size(), 4U);
    for (std::uint32_t i = 0; i < 4; i++) {
        EXPECT_EQ(s.unread[i].end_seq, 100 + i);
        EXPECT_EQ(s.unread[i].at_ns, 1000 + i);
    }
}

TEST(DecodeSlot, ATornCopyReadsNothingBeyondTheRing)
{
    dw_slot slot{};
    slot.unread.head = 0xf1;
    slot.unread.count = 0xff;
    for (dw_arrival& entry : slot.unread.entry) {
        entry.end_seq = 1;
    }
    EXPECT_EQ(decode_slot(slot, 1).unread.size(), 16U);
}

TEST(DecodeSlot, LeavesOutWhatIsReadAlready)
{
    dw_slot slot{};
    slot.copied_seq = 0xffffffff;
    slot.unread.count = 3;
    slot.unread.entry[0] = {10, 0xfffffff0};
    slot.unread.entry[1] = {20, 0xffffffff};
    slot.unread.entry[2] = {30, 0x00000005};
    const SocketSample s = decode_slot(slot, 100);
    ASSERT_EQ(s.unread.size(), 1U);
    EXPECT_EQ(s.unread[0].at_ns, 30U);
}

TEST(DecodeSlot, HabitIsTheGreaterOfBothPeriods)
{
    dw_slot slot{};
    slot.habit.longest_gap_ns[0] = 5;
    slot.habit.longest_gap_ns[1] = 7;
    slot.habit.deepest_bytes[0] = 300;
    slot.habit.deepest_bytes[1] = 200;
    const SocketSample s = decode_slot(slot, 1);
    EXPECT_EQ(s.habit_gap_ns, 7U);
    EXPECT_EQ(s.habit_depth_bytes, 300U);
}

}  // namespace
}  // namespace drainwatch::decode_test
