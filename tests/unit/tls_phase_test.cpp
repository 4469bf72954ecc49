#include "drainwatch/tls_phase.h"

#include <gtest/gtest.h>

namespace drainwatch::tls_phase_test {
namespace {

__u32 wanted(dw_slot& slot, __u32 offset, __u32 bytes, __u8 part)
{
    __u8 as = 0xff;
    const __u32 count = dw_tls_part(&slot.tls, offset, bytes, &as);
    if (count != 0) {
        EXPECT_EQ(as, part);
    }
    return count;
}

TEST(TlsPhase, HandshakeThenAlertsOnly)
{
    dw_slot slot{};
    slot.generation = 3;
    dw_tls_begin(&slot);
    EXPECT_TRUE(dw_tls_wants(&slot.tls));
    EXPECT_EQ(wanted(slot, 0, 517, DW_PART_HANDSHAKE), 517U);
    EXPECT_EQ(wanted(slot, DW_STREAM_WINDOW - 1, 100, DW_PART_HANDSHAKE), 1U);
    EXPECT_EQ(wanted(slot, 0, 65000, DW_PART_HANDSHAKE), DW_STREAM_WINDOW);
    EXPECT_EQ(wanted(slot, DW_STREAM_WINDOW, 100, DW_PART_HANDSHAKE), 0U);
    EXPECT_EQ(wanted(slot, static_cast<__u32>(-1), 1, DW_PART_HANDSHAKE), 0U) << "a window probe";
    slot.tls.alert_bytes = 31;
    slot.tls.settled = slot.tls.round;
    EXPECT_TRUE(dw_tls_wants(&slot.tls));
    EXPECT_EQ(wanted(slot, 600, 31, DW_PART_ALERT), 5U);
    EXPECT_EQ(wanted(slot, 600, 30, DW_PART_ALERT), 0U);
    slot.tls.alert_bytes = 0;
    EXPECT_FALSE(dw_tls_wants(&slot.tls)) << "not TLS, or TLS 1.3";
}

/// What was said of one socket does not hold for the next one in its slot.
TEST(TlsPhase, WhatComesTooLateMeansNothing)
{
    dw_slot slot{};
    for (unsigned i = 0; i < 3 * DW_TLS_ROUNDS; i++) {
        const __u8 earlier = slot.tls.round;
        slot.generation++;
        dw_tls_begin(&slot);
        slot.tls.settled = earlier;
        EXPECT_TRUE(dw_tls_in_handshake(&slot.tls));
    }
}

/// In the middle of a connection, after something in the clear.
TEST(TlsPhase, BeginsHere)
{
    for (const bool late : {false, true}) {
        dw_slot slot{};
        slot.generation = 3;
        late ? dw_tls_begin_late(&slot) : dw_tls_begin(&slot);
        for (const bool settled : {false, true}) {
            const __u8 earlier = slot.tls.round;
            if (settled) {
                slot.tls.settled = earlier;
            }
            slot.tls.alert_bytes = 31;
            dw_tls_begin_here(&slot, 5000, 7000);
            EXPECT_EQ(slot.received_from, 5000U);
            EXPECT_EQ(slot.sent_from, 7000U);
            EXPECT_EQ(wanted(slot, 0, 517, DW_PART_HANDSHAKE), 517U);
            slot.tls.settled = earlier;
            EXPECT_TRUE(dw_tls_in_handshake(&slot.tls)) << "that was about what came before";
            slot.tls.settled = slot.tls.round;
            EXPECT_FALSE(dw_tls_wants(&slot.tls));
        }
    }
}

/// Nor does what is said of this one hold for the next socket in its slot.
TEST(TlsPhase, ARoundThatBeginsHereIsNotTheNextSockets)
{
    dw_slot slot{};
    for (unsigned i = 0; i < 3 * DW_TLS_ROUNDS; i++) {
        slot.generation++;
        dw_tls_begin(&slot);
        dw_tls_begin_here(&slot, 0, 0);
        const __u8 earlier = slot.tls.round;
        slot.generation++;
        dw_tls_begin(&slot);
        EXPECT_NE(slot.tls.round, earlier);
    }
}

/// Nor does it make an earlier connection a new one.
TEST(TlsPhase, WhatComesTooLateBeginsNoHandshake)
{
    dw_slot slot{};
    dw_tls_begin(&slot);
    const __u8 earlier = slot.tls.round;
    dw_tls_begin_late(&slot);
    slot.tls.settled = earlier;
    EXPECT_FALSE(dw_tls_in_handshake(&slot.tls));
    EXPECT_EQ(wanted(slot, 0, 200, DW_PART_GLIMPSE), 5U);
}

TEST(TlsPhase, AlertsAreKnownAgainWithANewSlot)
{
    dw_slot slot{};
    dw_tls_begin_late(&slot);
    dw_tls_keep_alerts(&slot, 31);
    EXPECT_FALSE(dw_tls_in_handshake(&slot.tls));
    EXPECT_EQ(wanted(slot, 1U << 30, 31, DW_PART_ALERT), 5U);
    EXPECT_EQ(wanted(slot, 1U << 30, 200, DW_PART_ALERT), 0U);

    dw_tls_begin_late(&slot);
    dw_tls_keep_alerts(&slot, 0);
    EXPECT_EQ(wanted(slot, 1U << 30, 31, DW_PART_GLIMPSE), 5U) << "nothing is known of it";

    dw_tls_begin(&slot);
    dw_tls_keep_alerts(&slot, 31);
    EXPECT_EQ(wanted(slot, 0, 31, DW_PART_HANDSHAKE), 31U) << "another connection of the socket";
    EXPECT_EQ(slot.tls.alert_bytes, 0U);
}

TEST(TlsPhase, GlimpsesOfAnEarlierConnection)
{
    dw_slot slot{};
    dw_tls_begin_late(&slot);
    EXPECT_FALSE(dw_tls_in_handshake(&slot.tls));
    unsigned taken = 0;
    for (unsigned i = 0; i < 100; i++) {
        taken += wanted(slot, 1U << 30, 200, DW_PART_GLIMPSE) == DW_TLS_HEADER_BYTES;
    }
    EXPECT_EQ(taken, static_cast<unsigned>(DW_TLS_GLIMPSES));
    EXPECT_FALSE(dw_tls_wants(&slot.tls));
}

}  // namespace
}  // namespace drainwatch::tls_phase_test
