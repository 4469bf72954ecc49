#include "tls/hello.hpp"

#include "support/tls_bytes.hpp"
#include "tls/alert.hpp"
#include "tls/cipher_suite.hpp"

#include <gtest/gtest.h>

namespace drainwatch::tls::tls_hello_test {
namespace {

using namespace drainwatch::test;

TEST(TlsHello, OfClient)
{
    struct Case {
        const char* name;
        HelloBytes bytes;
        ClientHello hello;
        Version max;
    };
    const std::vector<Case> cases{
        {"no extensions", {kTls10, {}, "", 0}, {{kTls10}, false, ""}, kTls10},
        {"TLS 1.2 and a name",
         {kTls12, {}, "a.example", 0},
         {{kTls12}, false, "a.example"},
         kTls12},
        {"a list", {kTls12, {kTls13, kTls12}, "", 0}, {{kTls13, kTls12}, true, ""}, kTls13},
        {"a list with GREASE and a draft",
         {kTls12, {0x7a7a, 0x7f1c, kTls12}, "", 0},
         {{0x7f1c, kTls12}, true, ""},
         0x7f1c},
        {"only GREASE", {kTls12, {0x7a7a}, "", 0}, {{kTls12}, false, ""}, kTls12},
        {"SSL 3.0", {kSsl3, {}, "", 0}, {{kSsl3}, false, ""}, kSsl3},
        {"16 KB", {kTls12, {kTls13}, "b.example", 16384}, {{kTls13}, true, "b.example"}, kTls13},
    };
    for (const Case& c : cases) {
        const auto hello = parse_client_hello(client_hello_body(c.bytes));
        ASSERT_TRUE(hello) << c.name;
        EXPECT_EQ(*hello, c.hello) << c.name;
        EXPECT_EQ(hello->max_version(), c.max) << c.name;
    }
}

TEST(TlsHello, WhatIsOffered)
{
    const ClientHello up_to{{kTls12}, false, ""};
    EXPECT_TRUE(up_to.offers(kTls10));
    EXPECT_TRUE(up_to.offers(kTls12));
    EXPECT_FALSE(up_to.offers(kTls13));
    const ClientHello listed{{kTls13, kTls12}, true, ""};
    EXPECT_FALSE(listed.offers(kTls10));
    EXPECT_TRUE(listed.offers(kTls12));
}

TEST(TlsHello, OfServer)
{
    EXPECT_EQ(parse_server_hello(server_hello_body(kTls10)),
              (ServerHello{kTls10, kSomeSuite, false, false}));
    EXPECT_EQ(parse_server_hello(server_hello_body(kTls12, kTls13)),
              (ServerHello{kTls13, 0x1301, false, false}));
    EXPECT_EQ(parse_server_hello(server_hello_body(kTls12, kTls13, retry_random())),
              (ServerHello{kTls13, 0x1301, false, true}));
}

/// Cut anywhere, a hello is none; with a block of extensions that may be left out, it may be one.
TEST(TlsHello, CutShort)
{
    const ByteVector client = client_hello_body({kTls12, {kTls13}, "a.example", 0});
    const std::size_t without_extensions = client_hello_body({}).size();
    for (std::size_t length = 0; length < client.size(); length++) {
        const auto hello = parse_client_hello(Bytes(client).first(length));
        EXPECT_EQ(hello.has_value(), length == without_extensions) << length;
    }
    const ByteVector server = server_hello_body(kTls12, kTls13);
    const std::size_t plain = server_hello_body(kTls12).size();
    for (std::size_t length = 0; length < server.size(); length++) {
        EXPECT_EQ(parse_server_hello(Bytes(server).first(length)).has_value(), length == plain)
            << length;
    }
}

TEST(TlsHello, OfSsl2Format)
{
    ByteVector bytes{1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 0x2f};
    bytes.resize(bytes.size() + 16);
    EXPECT_EQ(parse_v2_client_hello(bytes), (ClientHello{{kTls10}, false, ""}));
    bytes[4] = 2;  // suites of three bytes each
    EXPECT_EQ(parse_v2_client_hello(bytes), std::nullopt);
    EXPECT_EQ(parse_v2_client_hello(Bytes(bytes).first(10)), std::nullopt);
}

/// By RFC 5246, section 6.2.3, RFC 7366 and the ciphers' own.
TEST(TlsHello, LengthOfAnEncryptedAlert)
{
    struct Case {
        ServerHello selected;
        int bytes;
    };
    for (const Case& c :
         {Case{{kTls12, 0xc02f, false, false}, 31},  // AES_128_GCM
          Case{{kTls12, 0xcca8, false, false}, 23},  // CHACHA20_POLY1305
          Case{{kTls12, 0xc0a2, false, false}, 23},  // AES_128_CCM_8
          Case{{kTls10, 0xc014, false, false}, 37},  // AES_256_CBC_SHA
          Case{{kTls12, 0xc014, false, false}, 53},  // with an IV
          Case{{kTls12, 0xc014, true, false}, 57},   // encrypt, then MAC
          Case{{kTls12, 0xc028, false, false}, 85},  // AES_256_CBC_SHA384
          Case{{kTls10, 0x000a, false, false}, 29},  // 3DES_EDE_CBC_SHA
          Case{{kTls10, 0x0005, false, false}, 27},  // RC4_128_SHA
          Case{{kTls13, 0x1301, false, false}, 0}, Case{{kTls12, 0xfffe, false, false}, 0}}) {
        EXPECT_EQ(encrypted_alert_bytes(c.selected), c.bytes)
            << cipher_suite_name(c.selected.cipher_suite);
    }
}

TEST(TlsHello, Names)
{
    EXPECT_EQ(to_string(kSsl3), "SSLv3");
    EXPECT_EQ(to_string(kTls10), "TLSv1.0");
    EXPECT_EQ(to_string(kTls13), "TLSv1.3");
    EXPECT_EQ(to_string(Version{0x7f1c}), "0x7f1c");
    EXPECT_EQ(in_words(kTls12), "TLS 1.2");
    EXPECT_EQ(parse_version("1.2"), kTls12);
    EXPECT_EQ(parse_version("TLSv1.3"), kTls13);
    for (const char* wrong : {"", "1", "1.4", "2.0", "1.22", "tls1.2"}) {
        EXPECT_EQ(parse_version(wrong), std::nullopt) << wrong;
    }
    EXPECT_EQ(cipher_suite_name(0x1301), "TLS_AES_128_GCM_SHA256");
    EXPECT_EQ(cipher_suite_name(0xc02f), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    EXPECT_EQ(cipher_suite_name(0x0000), "TLS_NULL_WITH_NULL_NULL");
    EXPECT_EQ(cipher_suite_name(0xfffe), "0xfffe");
    EXPECT_EQ(alert_name(70), "protocol_version");
    EXPECT_EQ(alert_name(48), "unknown_ca");
    EXPECT_EQ(alert_name(200), "200");
    EXPECT_EQ(alert_level_name(2), "fatal");
}

}  // namespace
}  // namespace drainwatch::tls::tls_hello_test
