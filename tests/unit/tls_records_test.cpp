#include "tls/records.hpp"

#include "support/tls_bytes.hpp"
#include "tls/reassembly.hpp"

#include <gtest/gtest.h>
#include <numeric>

namespace drainwatch::tls::tls_records_test {
namespace {

using namespace drainwatch::test;

ByteVector counted(std::size_t size)
{
    ByteVector bytes(size);
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
    return bytes;
}

struct Piece {
    std::uint32_t offset;
    std::size_t size;
};

TEST(TlsReassembly, AnyOrderComesOutRight)
{
    const ByteVector stream = counted(100);
    const std::vector<std::vector<Piece>> cases{
        {{0, 100}},
        {{0, 40}, {40, 60}},
        {{40, 60}, {0, 40}},
        {{80, 20}, {40, 40}, {0, 40}},
        {{0, 40}, {0, 40}, {40, 60}, {40, 60}},  // sent again
        {{0, 50}, {30, 40}, {60, 40}},           // overlapping
        {{30, 40}, {20, 30}, {60, 40}, {0, 25}},
        {{50, 10}, {50, 50}, {0, 50}},  // sent again, longer
    };
    for (const auto& pieces : cases) {
        Reassembly reassembly;
        ByteVector out;
        for (const Piece& piece : pieces) {
            put_bytes(
                out, reassembly.add(piece.offset, Bytes(stream).subspan(piece.offset, piece.size)));
        }
        EXPECT_EQ(out, stream);
        EXPECT_EQ(reassembly.pending_bytes(), 0U);
    }
}

TEST(TlsReassembly, OfAByteTheFirstCopyCounts)
{
    Reassembly reassembly;
    const ByteVector first(10, 1);
    const ByteVector second(20, 2);
    ByteVector out = reassembly.add(0, first);
    put_bytes(out, reassembly.add(0, second));
    EXPECT_EQ(out, ByteVector(10, 1) + ByteVector(10, 2));
}

TEST(TlsReassembly, WhatComesTooEarlyIsBounded)
{
    Reassembly reassembly;
    const ByteVector piece(4096, 1);
    for (std::uint32_t i = 1; i < 1000; i++) {
        EXPECT_TRUE(reassembly.add(i * 5000, piece).empty());
        EXPECT_LE(reassembly.pending_bytes(), Reassembly::kMostPendingBytes);
    }
    Reassembly crumbs;
    for (std::uint32_t i = 1; i < 1000; i++) {
        EXPECT_TRUE(crumbs.add(2 * i, Bytes(piece).first(1)).empty());
        EXPECT_LE(crumbs.pending_bytes(), Reassembly::kMostPendingPieces);
    }
}

template <typename T>
const T& only(const std::vector<Item>& items)
{
    EXPECT_EQ(items.size(), 1U);
    return std::get<T>(items.at(0).what);
}

/// A stream as it comes in, in pieces of this size.
std::vector<Item> read_in_pieces(RecordReader& reader, const ByteVector& stream, std::size_t size)
{
    std::vector<Item> items;
    for (std::size_t at = 0; at < stream.size(); at += size) {
        auto more = reader.feed(Bytes(stream).subspan(at, std::min(size, stream.size() - at)));
        std::move(more.begin(), more.end(), std::back_inserter(items));
    }
    return items;
}

TEST(TlsRecords, SplitAnywhere)
{
    const ByteVector hello = client_hello({kTls12, {kTls13, kTls12}, "a.example", 0});
    const ByteVector stream = hello + change_cipher_spec() + finished() + application_data(100);
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{100}, stream.size()}) {
        RecordReader reader;
        const auto items = read_in_pieces(reader, stream, size);
        ASSERT_EQ(items.size(), 4U) << size;
        EXPECT_EQ(std::get<ClientHello>(items[0].what).max_version(), kTls13);
        EXPECT_EQ(items[0].end_offset, hello.size());
        EXPECT_TRUE(std::holds_alternative<ChangeCipherSpec>(items[1].what));
        EXPECT_TRUE(std::holds_alternative<EncryptedHandshake>(items[2].what));
        EXPECT_EQ(std::get<ApplicationData>(items[3].what).length, 100U);
        EXPECT_EQ(items[3].end_offset, stream.size());
        EXPECT_FALSE(reader.is_broken());
        EXPECT_EQ(reader.kept_bytes(), 0U);
    }
}

/// The message's own bounds count, not those of its records.
TEST(TlsRecords, HelloOverSeveralRecords)
{
    const ByteVector whole = message(1, client_hello_body({kTls12, {kTls13}, "", 17000}));
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{3}, std::size_t{5000}, std::size_t{16384}}) {
        RecordReader reader;
        ByteVector stream;
        for (std::size_t at = 0; at < whole.size(); at += size) {
            const auto from = whole.begin() + static_cast<std::ptrdiff_t>(at);
            put_bytes(stream, record(22, {from, from + static_cast<std::ptrdiff_t>(
                                                           std::min(size, whole.size() - at))}));
        }
        EXPECT_EQ(only<ClientHello>(reader.feed(stream)).max_version(), kTls13) << size;
    }
}

TEST(TlsRecords, SeveralMessagesInARecord)
{
    RecordReader reader;
    const ByteVector certificate = message(11, ByteVector(3000, 0x55));
    const ByteVector done = message(14, {});
    const auto items =
        reader.feed(record(22, message(2, server_hello_body(kTls12)) + certificate + done));
    ASSERT_EQ(items.size(), 3U);
    EXPECT_EQ(std::get<ServerHello>(items[0].what).version, kTls12);
    EXPECT_EQ(std::get<OtherMessage>(items[1].what).type, 11);
    EXPECT_EQ(std::get<OtherMessage>(items[2].what).type, 14);
}

TEST(TlsRecords, Alerts)
{
    RecordReader reader;
    const auto items =
        reader.feed(server_hello(kTls12) + alert_record(1, 112) + change_cipher_spec() +
                    finished() + record(21, ByteVector(26, 0x77)) + record(21, {2, 40}));
    ASSERT_EQ(items.size(), 6U);
    EXPECT_EQ(std::get<AlertMessage>(items[1].what).level, 1);
    EXPECT_EQ(std::get<AlertMessage>(items[1].what).description, 112);
    EXPECT_EQ(std::get<AlertMessage>(items[4].what).description, std::nullopt);
    EXPECT_EQ(std::get<AlertMessage>(items[5].what).description, std::nullopt)
        << "behind the cipher";
}

TEST(TlsRecords, HelloBehindAChangeCipherSpecForShow)
{
    RecordReader reader;
    EXPECT_EQ(reader.feed(client_hello({}) + change_cipher_spec()).size(), 2U);
    reader.ignore_change_cipher_spec();
    EXPECT_EQ(only<ClientHello>(reader.feed(client_hello({kTls12, {kTls13}, "", 0}))).max_version(),
              kTls13);
}

TEST(TlsRecords, InTheFormatOfSsl2)
{
    ByteVector stream{0x80, 0x2b, 1, 3, 1, 0, 0x12, 0, 0, 0, 0x10};
    stream.resize(2 + 0x2b);
    for (const std::size_t size : {std::size_t{1}, stream.size()}) {
        RecordReader reader;
        EXPECT_EQ(only<ClientHello>(read_in_pieces(reader, stream, size)).max_version(), kTls10);
    }
}

TEST(TlsRecords, WhatIsNotTls)
{
    const std::vector<std::pair<const char*, ByteVector>> cases{
        {"text", {'G', 'E', 'T', ' ', '/', ' ', 'H', 'T', 'T', 'P'}},
        {"zeros", ByteVector(100, 0)},
        {"data first", application_data(100)},
        {"a version of another protocol", record(22, message(1, client_hello_body({})), 0x0101)},
        {"too long a record", {22, 3, 1, 0x48, 0x01}},
        {"an empty one", {22, 3, 1, 0, 0}},
        {"another message first", record(22, message(11, ByteVector(100, 0)))},
        {"a hello of 16 MB", record(22, {1, 0xff, 0xff, 0xff})},
        {"a hello that is not well formed", record(22, message(1, ByteVector(100, 0xff)))},
        {"an SSL 2.0 hello of nothing", {0x80, 0x03, 1, 3, 1}},
    };
    for (const auto& [name, bytes] : cases) {
        RecordReader reader;
        EXPECT_TRUE(reader.feed(bytes).empty()) << name;
        EXPECT_TRUE(reader.is_broken()) << name;
        EXPECT_TRUE(reader.feed(client_hello({})).empty()) << name;
        EXPECT_EQ(reader.kept_bytes(), 0U) << name;
    }
}

TEST(TlsRecords, InsideAHandshake)
{
    const ByteVector hello = client_hello({});
    RecordReader reader;
    EXPECT_FALSE(reader.is_inside_handshake());
    (void)reader.feed(Bytes(hello).first(3));
    EXPECT_FALSE(reader.is_inside_handshake()) << "it may be anything";
    (void)reader.feed(Bytes(hello).subspan(3, 20));
    EXPECT_TRUE(reader.is_inside_handshake());
    (void)reader.feed(Bytes(hello).subspan(23));
    EXPECT_FALSE(reader.is_inside_handshake());
}

}  // namespace
}  // namespace drainwatch::tls::tls_records_test
