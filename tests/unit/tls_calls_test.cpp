#include "drainwatch/tls_calls.h"

#include <gtest/gtest.h>

namespace drainwatch::tls_calls_test {
namespace {

constexpr std::uint64_t kSession = 0x5500;
constexpr std::uint64_t kOther = 0x6600;
constexpr std::uint64_t kStack = 0x7fff0000;
constexpr std::uint64_t kReturned = kStack + 8;  ///< the address to return to is taken off

TEST(TlsCalls, a_return_belongs_to_its_call)
{
    dw_tls_call call{};
    EXPECT_FALSE(dw_tls_returns(&call, DW_TLS_READ, kReturned)) << "nobody has called";
    ASSERT_TRUE(dw_tls_begin(&call, DW_TLS_READ, kSession, kStack, 100));
    EXPECT_EQ(call.session, kSession);
    EXPECT_EQ(call.began_ns, 100U);
    EXPECT_FALSE(dw_tls_returns(&call, DW_TLS_READ, kStack)) << "from elsewhere";
    EXPECT_FALSE(dw_tls_returns(&call, DW_TLS_HANDSHAKE, kReturned)) << "another function";
    EXPECT_TRUE(dw_tls_returns(&call, DW_TLS_READ, kReturned));
}

TEST(TlsCalls, a_call_within_a_call_is_part_of_it)
{
    dw_tls_call call{};
    ASSERT_TRUE(dw_tls_begin(&call, DW_TLS_READ, kSession, kStack, 100));
    EXPECT_FALSE(dw_tls_begin(&call, DW_TLS_READ, kOther, kStack - 64, 200));
    EXPECT_EQ(call.session, kSession);
    EXPECT_FALSE(dw_tls_returns(&call, DW_TLS_READ, kStack - 64 + 8));
    EXPECT_TRUE(dw_tls_returns(&call, DW_TLS_READ, kReturned));
}

TEST(TlsCalls, what_never_returned_makes_place)
{
    dw_tls_call call{};
    ASSERT_TRUE(dw_tls_begin(&call, DW_TLS_READ, kSession, kStack, 100));
    call.failed = kSession;
    ASSERT_TRUE(dw_tls_begin(&call, DW_TLS_HANDSHAKE, kOther, kStack, 200));
    EXPECT_EQ(call.session, kOther);
    EXPECT_EQ(call.kind, std::uint32_t{DW_TLS_HANDSHAKE});
    EXPECT_EQ(call.began_ns, 200U);
    EXPECT_EQ(call.failed, 0U) << "nobody will ask about the call before";
}

TEST(TlsCalls, no_session_is_no_call)
{
    dw_tls_call call{};
    EXPECT_FALSE(dw_tls_begin(&call, DW_TLS_READ, 0, kStack, 100));
    EXPECT_FALSE(dw_tls_returns(&call, DW_TLS_READ, kReturned));
}

TEST(TlsOutcome, of_openssl)
{
    EXPECT_EQ(dw_openssl_outcome(1), std::uint32_t{DW_TLS_DONE});
    EXPECT_EQ(dw_openssl_outcome(16384), std::uint32_t{DW_TLS_DONE});
    EXPECT_EQ(dw_openssl_outcome(0), std::uint32_t{DW_TLS_ASK});
    EXPECT_EQ(dw_openssl_outcome(-1), std::uint32_t{DW_TLS_ASK});
    EXPECT_EQ(dw_openssl_error_outcome(1), std::uint32_t{DW_TLS_FAILED});
    EXPECT_EQ(dw_openssl_error_outcome(2), std::uint32_t{DW_TLS_AGAIN}) << "WANT_READ";
    EXPECT_EQ(dw_openssl_error_outcome(3), std::uint32_t{DW_TLS_AGAIN}) << "WANT_WRITE";
    EXPECT_EQ(dw_openssl_error_outcome(5), std::uint32_t{DW_TLS_FAILED});
    EXPECT_EQ(dw_openssl_error_outcome(6), std::uint32_t{DW_TLS_END});
}

TEST(TlsOutcome, of_gnutls)
{
    EXPECT_EQ(dw_gnutls_outcome(100, DW_TLS_READ), std::uint32_t{DW_TLS_DONE});
    EXPECT_EQ(dw_gnutls_outcome(0, DW_TLS_READ), std::uint32_t{DW_TLS_END});
    EXPECT_EQ(dw_gnutls_outcome(0, DW_TLS_HANDSHAKE), std::uint32_t{DW_TLS_DONE});
    for (const int code : {-16, -28, -37, -38, -52, -292, -293}) {
        EXPECT_EQ(dw_gnutls_outcome(code, DW_TLS_READ), std::uint32_t{DW_TLS_AGAIN}) << code;
    }
    for (const int code : {-1, -10, -12, -110}) {
        EXPECT_EQ(dw_gnutls_outcome(code, DW_TLS_HANDSHAKE), std::uint32_t{DW_TLS_FAILED}) << code;
    }
}

TEST(TlsHandshake, is_from_the_first_call_to_the_last)
{
    dw_tls_session s{};
    dw_tls_handshake_begin(&s, 1000);
    s.handshake_returned_ns = 1100;
    dw_tls_handshake_begin(&s, 5000);
    s.handshake_returned_ns = 5200;
    ASSERT_TRUE(dw_tls_was_handshake(&s));
    EXPECT_EQ(dw_tls_handshake_end(&s), 4200U);
    EXPECT_FALSE(dw_tls_was_handshake(&s)) << "it is over";
    dw_tls_handshake_begin(&s, 9000);
    EXPECT_EQ(s.handshake_ns, 9000U) << "the next one begins anew";
    EXPECT_EQ(s.handshake_calls, 1U);
}

TEST(TlsHandshake, a_call_that_had_nothing_to_do_is_none)
{
    dw_tls_session s{};
    s.taken_ns = 500;
    dw_tls_handshake_begin(&s, 1000);
    EXPECT_FALSE(dw_tls_was_handshake(&s));
    s.taken_ns = 1500;
    EXPECT_TRUE(dw_tls_was_handshake(&s)) << "it read the socket";
}

TEST(TlsHandshake, that_was_never_seen_to_return_took_no_time)
{
    dw_tls_session s{};
    s.handshake_returned_ns = 900;
    dw_tls_handshake_begin(&s, 1000);
    EXPECT_EQ(dw_tls_handshake_end(&s), 0U);
}

}  // namespace
}  // namespace drainwatch::tls_calls_test
