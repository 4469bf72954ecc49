#include "tls/tracker.hpp"

#include "drainwatch/tls_phase.h"
#include "durations.hpp"
#include "support/tls_bytes.hpp"
#include "tls/alert.hpp"

#include <gtest/gtest.h>
#include <cerrno>

namespace drainwatch::tls::tls_tracker_test {
namespace {

using test::kMs;

using namespace drainwatch::test;

constexpr std::uint32_t kStartSeq = 0xffffff00;  // the sequence numbers of each stream wrap

/// One connection, watched at the local end; each step takes a millisecond.
class Dialogue {
public:
    explicit Dialogue(Tracker& tracker, std::uint64_t cookie = 7)
        : tracker_(tracker), cookie_(cookie)
    {}

    std::vector<Fact> says(Side side, const ByteVector& bytes)
    {
        std::uint32_t& next = side == Side::local ? sent_ : received_;
        auto facts = segment(side, next, bytes);
        next += static_cast<std::uint32_t>(bytes.size());
        return facts;
    }

    std::vector<Fact> segment(Side side, std::uint32_t offset, const ByteVector& bytes)
    {
        StreamBytes piece;
        piece.socket = socket();
        piece.from = side;
        piece.at_ns = now_ns_ += kMs;
        piece.start_seq = kStartSeq;
        piece.offset = offset;
        piece.bytes = bytes;
        piece.segment_bytes = static_cast<std::uint32_t>(bytes.size());
        return tracker_.take(piece);
    }

    std::vector<Fact> ends(Result result)
    {
        return tracker_.end(Cookie{cookie_}, result, now_ns_ += kMs);
    }

    /// The kernel's word: 0, or an errno.
    std::vector<Fact> completes(int error)
    {
        return tracker_.complete(Cookie{cookie_}, error, now_ns_ += kMs);
    }

    /// What follows is in a new stream.
    void begins()
    {
        tracker_.begin(Cookie{cookie_});
        sent_ = received_ = 0;
    }

    [[nodiscard]] SocketSample socket() const
    {
        SocketSample sample;
        sample.cookie = Cookie{cookie_};
        sample.remote.family = 2;
        sample.remote.address = {10, 1, 2, 3};
        return sample;
    }

private:
    Tracker& tracker_;
    std::uint64_t cookie_;
    std::uint32_t sent_ = 0;
    std::uint32_t received_ = 0;
    std::uint64_t now_ns_ = 0;
};

template <typename T>
std::optional<T> find(const std::vector<Fact>& facts)
{
    for (const Fact& fact : facts) {
        if (const auto* what = std::get_if<T>(&fact.what)) {
            return *what;
        }
    }
    return std::nullopt;
}

class TlsTracker : public ::testing::Test {
protected:
    Tracker tracker_{kTls12, std::chrono::seconds(1)};
    Dialogue dialogue_{tracker_};

    /// The facts of the last of these steps; those before tell nothing.
    std::vector<Fact> play(const std::vector<std::pair<Side, ByteVector>>& steps)
    {
        std::vector<Fact> facts;
        for (const auto& [side, bytes] : steps) {
            EXPECT_TRUE(facts.empty());
            facts = dialogue_.says(side, bytes);
        }
        return facts;
    }
};

const HelloBytes kOffers13{kTls12, {kTls13, kTls12}, "a.example", 0};
const HelloBytes kOffersUpTo10{kTls10, {}, "", 0};
const HelloBytes kOffersUpTo12{kTls12, {}, "", 0};

TEST_F(TlsTracker, Handshakes)
{
    struct Case {
        const char* name;
        Version version;
        std::uint64_t duration_ms;
        std::vector<std::pair<Side, ByteVector>> steps;
    };
    const Side client = Side::peer;
    const Side server = Side::local;
    const std::vector<Case> cases{
        {"TLS 1.2",
         kTls12,
         3,
         {{client, client_hello(kOffers13)},
          {server, server_hello(kTls12)},
          {client, change_cipher_spec() + finished()},
          {server, change_cipher_spec() + finished()}}},
        {"TLS 1.2, resumed",
         kTls12,
         2,
         {{client, client_hello(kOffers13)},
          {server, server_hello(kTls12) + change_cipher_spec() + finished()},
          {client, change_cipher_spec() + finished()}}},
        {"TLS 1.2, data before the server has finished",
         kTls12,
         2,
         {{client, client_hello(kOffers13)},
          {server, server_hello(kTls12)},
          {client, change_cipher_spec() + finished() + application_data(40)}}},
        {"TLS 1.3",
         kTls13,
         2,
         {{client, client_hello(kOffers13)},
          {server, server_hello(kTls12, kTls13) + change_cipher_spec() + application_data(23) +
                       application_data(900) + application_data(53)},
          {client, change_cipher_spec() + application_data(53)}}},
        {"TLS 1.3, early data",
         kTls13,
         2,
         {{client, client_hello(kOffers13) + change_cipher_spec() + application_data(500)},
          {server, server_hello(kTls12, kTls13) + application_data(100)},
          {client, application_data(69)}}},
        {"TLS 1.3, retried",
         kTls13,
         4,
         {{client, client_hello(kOffers13)},
          {server, retry_request() + change_cipher_spec()},
          {client, change_cipher_spec() + client_hello(kOffers13)},
          {server, server_hello(kTls12, kTls13) + application_data(900)},
          {client, application_data(53)}}},
    };
    for (const Case& c : cases) {
        Tracker tracker(kTls12, std::chrono::seconds(1));
        Dialogue dialogue(tracker);
        std::vector<Fact> facts;
        for (const auto& [side, bytes] : c.steps) {
            EXPECT_TRUE(facts.empty()) << c.name;
            facts = dialogue.says(side, bytes);
        }
        ASSERT_EQ(facts.size(), 1U) << c.name;
        const auto handshake = find<Handshake>(facts);
        ASSERT_TRUE(handshake) << c.name;
        EXPECT_EQ(handshake->client, Side::peer) << c.name;
        EXPECT_EQ(handshake->result, Result::completed) << c.name;
        EXPECT_EQ(handshake->selected->version, c.version) << c.name;
        EXPECT_EQ(handshake->offered->server_name, "a.example") << c.name;
        EXPECT_EQ(handshake->duration_ns, c.duration_ms * kMs) << c.name;
        const auto settled = tracker.take_settled();
        ASSERT_EQ(settled.size(), 1U) << c.name;
        EXPECT_EQ(settled[0].alert_bytes, c.version == kTls13 ? 0 : 31) << c.name;
        EXPECT_EQ(tracker.versions().begin()->second, std::set<Version>{c.version}) << c.name;
        EXPECT_TRUE(dialogue.says(server, application_data(40)).empty()) << "it is over";
        const auto late = dialogue.says(client, record(21, ByteVector(26, 0x77)));
        ASSERT_EQ(late.size(), 1U) << "alerts are told all the same";
        EXPECT_EQ(find<Alert>(late)->description, std::nullopt);
        EXPECT_EQ(tracker.kept_bytes(), 0U);
    }
}

TEST_F(TlsTracker, AsTheClient)
{
    const auto facts = play({{Side::local, client_hello(kOffers13)},
                             {Side::peer, server_hello(kTls12) + change_cipher_spec() + finished()},
                             {Side::local, change_cipher_spec() + finished()}});
    EXPECT_EQ(find<Handshake>(facts)->client, Side::local);
}

TEST_F(TlsTracker, RefusedForTheVersion)
{
    const auto facts = play({{Side::peer, client_hello(kOffersUpTo10)},
                             {Side::local, alert_record(kAlertFatal, kProtocolVersion)}});
    ASSERT_EQ(facts.size(), 3U);
    EXPECT_EQ(find<Alert>(facts)->from, Side::local);
    EXPECT_EQ(find<Alert>(facts)->description, kProtocolVersion);
    EXPECT_EQ(find<Handshake>(facts)->result, Result::refused);
    EXPECT_FALSE(find<Handshake>(facts)->selected);
    const auto mismatch = find<VersionMismatch>(facts);
    EXPECT_EQ(mismatch->kind, VersionMismatch::Kind::alert);
    EXPECT_EQ(mismatch->by, Side::local);
    EXPECT_EQ(mismatch->offered_max, kTls10);
}

TEST_F(TlsTracker, RefusedByTheClient)
{
    const auto facts = play({{Side::peer, client_hello(kOffersUpTo12)},
                             {Side::local, server_hello(kTls10)},
                             {Side::peer, alert_record(kAlertFatal, kProtocolVersion)}});
    EXPECT_EQ(find<VersionMismatch>(facts)->by, Side::peer);
    EXPECT_EQ(find<VersionMismatch>(facts)->selected, kTls10);
}

TEST_F(TlsTracker, RefusedForTheCertificateIsNoMismatch)
{
    const auto facts = play({{Side::local, client_hello(kOffersUpTo12)},
                             {Side::peer, server_hello(kTls12)},
                             {Side::local, alert_record(kAlertFatal, 45)}});
    ASSERT_EQ(facts.size(), 2U);
    EXPECT_EQ(find<Alert>(facts)->description, 45);
    EXPECT_EQ(find<Handshake>(facts)->result, Result::refused);
    EXPECT_EQ(find<Handshake>(facts)->selected->version, kTls12);
}

TEST_F(TlsTracker, RefusedInSecret)
{
    const auto facts = play({{Side::local, client_hello(kOffers13)},
                             {Side::peer, server_hello(kTls12, kTls13) + application_data(900)},
                             {Side::local, change_cipher_spec() + application_data(19)}});
    ASSERT_EQ(facts.size(), 2U);
    EXPECT_EQ(find<Alert>(facts)->from, Side::local);
    EXPECT_EQ(find<Alert>(facts)->description, std::nullopt);
    EXPECT_EQ(find<Handshake>(facts)->result, Result::refused);
}

TEST_F(TlsTracker, AWarningEndsNothing)
{
    EXPECT_TRUE(dialogue_.says(Side::peer, client_hello(kOffersUpTo12)).empty());
    const auto warned = dialogue_.says(Side::local, alert_record(kAlertWarning, 112));
    ASSERT_EQ(warned.size(), 1U);
    EXPECT_EQ(find<Alert>(warned)->description, 112);
    EXPECT_TRUE(dialogue_.says(Side::local, server_hello(kTls12)).empty());
    const auto facts = dialogue_.says(Side::peer, application_data(40));
    EXPECT_EQ(find<Handshake>(facts)->result, Result::completed);
}

TEST_F(TlsTracker, ClosedByHellosThatDoNotMeet)
{
    const HelloBytes only_new{kTls12, {kTls13, kTls12}, "", 0};
    for (const Result result : {Result::closed, Result::reset}) {
        Tracker tracker(kTls12, std::chrono::seconds(1));
        Dialogue dialogue(tracker);
        EXPECT_TRUE(dialogue.says(Side::local, client_hello(only_new)).empty());
        EXPECT_TRUE(dialogue.says(Side::peer, server_hello(kTls10)).empty());
        const auto facts = dialogue.ends(result);
        EXPECT_EQ(find<Handshake>(facts)->result, result);
        ASSERT_TRUE(find<VersionMismatch>(facts));
        EXPECT_EQ(find<VersionMismatch>(facts)->kind, VersionMismatch::Kind::no_common_version);
    }
}

/// No alert, and nothing that speaks of versions: why it was closed is not known.
TEST_F(TlsTracker, ClosedIsNoMismatchByItself)
{
    EXPECT_TRUE(dialogue_.says(Side::local, client_hello(kOffers13)).empty());
    const auto facts = dialogue_.ends(Result::closed);
    ASSERT_EQ(facts.size(), 1U);
    EXPECT_EQ(find<Handshake>(facts)->result, Result::closed);
    EXPECT_FALSE(find<Handshake>(facts)->selected);
    EXPECT_TRUE(dialogue_.ends(Result::closed).empty()) << "told already";
}

/// What its bytes do not say, the kernel does.
TEST_F(TlsTracker, TheKernelsWord)
{
    struct Case {
        const char* name;
        int error;
        Result result;
    };
    for (const Case& c :
         {Case{"done", 0, Result::completed}, Case{"not trusted", EACCES, Result::refused},
          Case{"something else", EIO, Result::refused},
          Case{"no answer", ETIMEDOUT, Result::closed}}) {
        Tracker tracker(kTls12, std::chrono::seconds(1));
        Dialogue dialogue(tracker);
        EXPECT_TRUE(dialogue.says(Side::local, client_hello(kOffers13)).empty()) << c.name;
        EXPECT_TRUE(
            dialogue.says(Side::peer, server_hello(kTls12, kTls13) + application_data(900)).empty())
            << c.name;
        EXPECT_TRUE(tracker.take_settled().empty()) << c.name;
        const auto facts = dialogue.completes(c.error);
        ASSERT_EQ(facts.size(), 1U) << c.name;
        const auto handshake = find<Handshake>(facts);
        EXPECT_EQ(handshake->result, c.result) << c.name;
        EXPECT_EQ(handshake->client, Side::local) << c.name;
        EXPECT_EQ(handshake->selected->version, kTls13) << c.name;
        EXPECT_EQ(handshake->duration_ns, 2 * kMs) << c.name;
        EXPECT_EQ(tracker.take_settled().size(), 1U) << c.name;
        EXPECT_EQ(tracker.versions().size(), c.error == 0 ? 1U : 0U) << c.name;

        EXPECT_TRUE(dialogue.says(Side::local, application_data(53)).empty()) << "it is over";
        EXPECT_TRUE(dialogue.completes(0).empty()) << "told already";
        EXPECT_TRUE(dialogue.completes(EACCES).empty()) << "told already";
        EXPECT_TRUE(dialogue.ends(Result::closed).empty()) << "told already";
    }
}

/// It was told by the client's last words, before the kernel's.
TEST_F(TlsTracker, TheKernelsWordOnOneThatIsOver)
{
    const auto facts = play({{Side::local, client_hello(kOffers13)},
                             {Side::peer, server_hello(kTls12, kTls13) + application_data(900)},
                             {Side::local, application_data(53)}});
    ASSERT_EQ(facts.size(), 1U);
    EXPECT_TRUE(dialogue_.completes(0).empty());
    EXPECT_TRUE(dialogue_.completes(EIO).empty());
}

/// Nothing was said, or nothing that is TLS.
TEST_F(TlsTracker, TheKernelsWordOnOneThatNeverBegan)
{
    EXPECT_TRUE(dialogue_.completes(EIO).empty());
    EXPECT_TRUE(dialogue_.says(Side::peer, {'G', 'E', 'T', ' ', '/'}).empty());
    EXPECT_TRUE(dialogue_.completes(EIO).empty());
    EXPECT_TRUE(dialogue_.completes(0).empty());
}

/// That it is done is known in spite of a gap; what was agreed on in it is not.
TEST_F(TlsTracker, TheKernelsWordInSpiteOfAGap)
{
    for (const int error : {0, EACCES}) {
        Tracker tracker(kTls12, std::chrono::seconds(1));
        Dialogue dialogue(tracker);
        EXPECT_TRUE(dialogue.says(Side::local, client_hello(kOffers13)).empty());
        EXPECT_TRUE(dialogue.says(Side::peer, server_hello(kTls12, kTls13)).empty());
        EXPECT_TRUE(dialogue.segment(Side::peer, 5000, application_data(100)).empty());
        EXPECT_EQ(find<Handshake>(dialogue.completes(error))->result,
                  error == 0 ? Result::completed : Result::unknown);
    }
    EXPECT_TRUE(dialogue_.says(Side::local, client_hello(kOffers13)).empty());
    EXPECT_TRUE(dialogue_.segment(Side::peer, 1000, application_data(100)).empty());
    EXPECT_EQ(find<Handshake>(dialogue_.completes(0))->result, Result::unknown);
}

/// A handshake that begins after something in the clear, and one after another.
TEST_F(TlsTracker, BeginsAnew)
{
    EXPECT_TRUE(dialogue_.says(Side::local, ByteVector(44, 0)).empty());
    EXPECT_EQ(tracker_.take_settled().size(), 1U);
    for (int i = 0; i < 2; i++) {
        dialogue_.begins();
        const auto facts = play({{Side::local, client_hello(kOffers13)},
                                 {Side::peer, server_hello(kTls12, kTls13) + application_data(900)},
                                 {Side::local, application_data(53)}});
        ASSERT_EQ(facts.size(), 1U);
        EXPECT_EQ(find<Handshake>(facts)->result, Result::completed);
    }
    dialogue_.begins();
    EXPECT_TRUE(dialogue_.says(Side::local, client_hello(kOffers13)).empty());
    dialogue_.begins();
    EXPECT_EQ(tracker_.kept_bytes(), 0U);
    EXPECT_TRUE(dialogue_.completes(EIO).empty()) << "nothing of what was before";
}

TEST_F(TlsTracker, AgreedOnTooOldAVersion)
{
    struct Case {
        Version minimum;
        Version version;
        bool mismatch;
    };
    for (const Case& c :
         {Case{kTls12, kTls10, true}, Case{kTls12, kTls12, false}, Case{kTls12, kTls13, false},
          Case{kTls13, kTls12, true}, Case{kTls10, kTls10, false}, Case{kTls10, kSsl3, true}}) {
        Tracker tracker(c.minimum, std::chrono::seconds(1));
        Dialogue dialogue(tracker);
        EXPECT_TRUE(dialogue.says(Side::peer, client_hello(kOffers13)).empty());
        EXPECT_TRUE(dialogue
                        .says(Side::local, c.version == kTls13 ? server_hello(kTls12, kTls13)
                                                               : server_hello(c.version))
                        .empty());
        const auto facts = dialogue.says(Side::peer, application_data(100));
        EXPECT_EQ(find<Handshake>(facts)->result, Result::completed);
        EXPECT_EQ(find<VersionMismatch>(facts).has_value(), c.mismatch) << c.version;
        if (c.mismatch) {
            EXPECT_EQ(find<VersionMismatch>(facts)->kind, VersionMismatch::Kind::below_minimum);
        }
    }
}

TEST_F(TlsTracker, OutOfOrderAndAgain)
{
    const ByteVector hello = client_hello({kTls12, {kTls13}, "", 3000});
    const ByteVector first(hello.begin(), hello.begin() + 1448);
    const ByteVector second(hello.begin() + 1448, hello.begin() + 2896);
    const ByteVector third(hello.begin() + 2896, hello.end());
    for (const auto& [offset, bytes] : {std::pair{2896, third}, std::pair{0, first},
                                        std::pair{0, first}, std::pair{1448, second}}) {
        EXPECT_TRUE(
            dialogue_.segment(Side::peer, static_cast<std::uint32_t>(offset), bytes).empty());
    }
    EXPECT_TRUE(dialogue_.says(Side::local, server_hello(kTls12, kTls13)).empty());
    const auto facts = dialogue_.segment(Side::peer, static_cast<std::uint32_t>(hello.size()),
                                         application_data(53));
    EXPECT_EQ(find<Handshake>(facts)->offered->max_version(), kTls13);
}

/// What was not seen is not guessed at.
TEST_F(TlsTracker, Gaps)
{
    EXPECT_TRUE(dialogue_.segment(Side::peer, 600, client_hello(kOffers13)).empty());
    EXPECT_TRUE(dialogue_.says(Side::local, server_hello(kTls12)).empty());
    const auto facts = dialogue_.ends(Result::closed);
    ASSERT_EQ(facts.size(), 1U);
    EXPECT_EQ(find<Handshake>(facts)->result, Result::unknown);
    EXPECT_FALSE(find<Handshake>(facts)->offered);
    EXPECT_EQ(find<Handshake>(facts)->selected->version, kTls12);
    EXPECT_EQ(find<Handshake>(facts)->client, Side::peer);
}

/// Beyond what the kernel side takes nothing comes, so it is given up there.
TEST_F(TlsTracker, TooLongAHandshake)
{
    EXPECT_TRUE(dialogue_.says(Side::peer, client_hello(kOffersUpTo12)).empty());
    EXPECT_TRUE(dialogue_.says(Side::local, server_hello(kTls12)).empty());
    const ByteVector chain = record(22, message(11, ByteVector(16000, 0)));
    std::vector<Fact> facts;
    for (std::uint32_t i = 0; facts.empty() && i < 10; i++) {
        facts = dialogue_.says(Side::local, chain);
    }
    EXPECT_EQ(find<Handshake>(facts)->result, Result::unknown);
    EXPECT_EQ(tracker_.take_settled().size(), 1U);
}

TEST_F(TlsTracker, NotTls)
{
    EXPECT_TRUE(dialogue_.says(Side::peer, {'G', 'E', 'T', ' ', '/'}).empty());
    const auto settled = tracker_.take_settled();
    ASSERT_EQ(settled.size(), 1U);
    EXPECT_EQ(settled[0].alert_bytes, 0);
    EXPECT_TRUE(dialogue_.says(Side::local, client_hello(kOffers13)).empty());
    EXPECT_TRUE(dialogue_.ends(Result::reset).empty());
}

TEST_F(TlsTracker, AlertPastTheHandshake)
{
    struct Case {
        ByteVector bytes;
        std::uint32_t segment_bytes;
        bool is_alert;
    };
    for (const Case& c : {Case{{21, 3, 3, 0, 26}, 31, true}, Case{{21, 3, 3, 0, 26}, 32, false},
                          Case{{23, 3, 3, 0, 26}, 31, false}, Case{{21, 2, 3, 0, 26}, 31, false},
                          Case{{21, 3, 3}, 3, false}}) {
        StreamBytes segment;
        segment.socket = dialogue_.socket();
        segment.from = Side::peer;
        segment.part = StreamBytes::Part::alert;
        segment.bytes = c.bytes;
        segment.segment_bytes = c.segment_bytes;
        const auto facts = tracker_.take(segment);
        ASSERT_EQ(facts.size(), c.is_alert ? 1U : 0U);
        if (c.is_alert) {
            EXPECT_EQ(find<Alert>(facts)->from, Side::peer);
            EXPECT_EQ(find<Alert>(facts)->description, std::nullopt);
        }
    }
}

/// Of a connection that was there before, the headers of its data tell, up to TLS 1.2.
TEST_F(TlsTracker, GlimpseOfAnEarlierConnection)
{
    struct Case {
        ByteVector bytes;
        std::uint32_t segment_bytes;
        std::optional<Version> told;
    };
    std::uint64_t cookie = 100;
    for (const Case& c : {Case{{23, 3, 1, 0, 26}, 31, kTls10}, Case{{23, 3, 2, 0, 26}, 31, 0x0302},
                          Case{{23, 3, 3, 0, 26}, 31, {}}, Case{{23, 3, 1, 0, 26}, 32, {}},
                          Case{{22, 3, 1, 0, 26}, 31, {}}, Case{{23, 3, 1}, 3, {}}}) {
        StreamBytes segment;
        segment.socket.cookie = Cookie{cookie++};
        segment.part = StreamBytes::Part::glimpse;
        segment.bytes = c.bytes;
        segment.segment_bytes = c.segment_bytes;
        const auto facts = tracker_.take(segment);
        ASSERT_EQ(facts.size(), c.told ? 1U : 0U);
        if (c.told) {
            EXPECT_EQ(find<VersionMismatch>(facts)->selected, c.told);
            EXPECT_EQ(find<VersionMismatch>(facts)->kind,
                      VersionMismatch::Kind::in_use_below_minimum);
        }
        EXPECT_TRUE(tracker_.take(segment).empty()) << "told once";
    }
}

/// `read` bytes of it are read, and the oldest unread one has been there for `age_ns`.
SocketSample unread_since(const Dialogue& dialogue, std::uint32_t read, std::uint32_t bytes,
                          std::uint64_t age_ns)
{
    SocketSample sample = dialogue.socket();
    sample.window.copied_seq = kStartSeq + read;
    sample.data_end = kStartSeq + bytes;
    sample.taken_ns = 100'000 * kMs;
    sample.unread = {{sample.data_end, sample.taken_ns - age_ns}};
    return sample;
}

TEST_F(TlsTracker, Stalled)
{
    const ByteVector hello = client_hello({kTls12, {}, "", 300});
    const auto size = static_cast<std::uint32_t>(hello.size());
    EXPECT_TRUE(dialogue_.says(Side::peer, hello).empty());
    EXPECT_EQ(tracker_.unread(unread_since(dialogue_, 0, size, 0)), "a TLS 1.2 ClientHello");
    EXPECT_EQ(tracker_.unread(unread_since(dialogue_, 5, size, 0)), "a TLS 1.2 ClientHello")
        << "its header was read";
    EXPECT_EQ(tracker_.unread(unread_since(dialogue_, size, size, 0)), std::nullopt);
    EXPECT_FALSE(tracker_.look(unread_since(dialogue_, 0, size, 1000 * kMs - 1)));
    const auto fact = tracker_.look(unread_since(dialogue_, 0, size, 1000 * kMs));
    ASSERT_TRUE(fact);
    const auto& stalled = std::get<Stalled>(fact->what);
    EXPECT_EQ(stalled.what, "a TLS 1.2 ClientHello");
    EXPECT_EQ(stalled.unread_bytes, size);
    EXPECT_EQ(stalled.age_ns, 1000 * kMs);
    EXPECT_FALSE(tracker_.look(unread_since(dialogue_, 0, size, 2000 * kMs))) << "told once";
    const auto facts = dialogue_.ends(Result::closed);
    EXPECT_EQ(find<Handshake>(facts)->result, Result::closed);
}

TEST_F(TlsTracker, StalledInTheMiddleOfAHello)
{
    ByteVector hello = client_hello({kTls12, {}, "", 300});
    hello.resize(100);
    EXPECT_TRUE(dialogue_.says(Side::peer, hello).empty());
    EXPECT_EQ(tracker_.unread(unread_since(dialogue_, 0, 100, 0)),
              "the beginning of a TLS handshake message");
}

TEST_F(TlsTracker, WhatAnotherSourceDidNotSeeIsNoHandshake)
{
    ByteVector hello = client_hello({kTls12, {}, "", 300});
    EXPECT_TRUE(dialogue_.says(Side::peer, hello).empty());
    ASSERT_TRUE(tracker_.unread(unread_since(dialogue_, 0, 100, 0)));
    tracker_.source_changed();
    EXPECT_FALSE(tracker_.unread(unread_since(dialogue_, 0, 100, 0)));
    EXPECT_EQ(tracker_.kept_bytes(), 0U);
}

/// The source gave its place away, and has it again: what came meanwhile is not known.
TEST_F(TlsTracker, HandshakeThatWasLostSightOfIsGivenUp)
{
    EXPECT_TRUE(dialogue_.says(Side::peer, client_hello(kOffersUpTo12)).empty());
    StreamBytes later;
    later.socket = dialogue_.socket();
    later.part = StreamBytes::Part::glimpse;
    later.from = Side::peer;
    later.bytes = application_data(100);
    later.segment_bytes = static_cast<std::uint32_t>(later.bytes.size());
    later.bytes.resize(DW_TLS_HEADER_BYTES);
    EXPECT_TRUE(tracker_.take(later).empty());
    EXPECT_EQ(tracker_.given_up(), 1U);
    EXPECT_EQ(tracker_.kept_bytes(), 0U);
    EXPECT_FALSE(tracker_.unread(unread_since(dialogue_, 0, 100, 0)));
    EXPECT_TRUE(dialogue_.ends(Result::closed).empty());
}

TEST_F(TlsTracker, BoundedWhateverComes)
{
    const ByteVector piece(30'000, 1);
    for (std::uint64_t i = 1; i <= 2 * Tracker::kMostConnections; i++) {
        Dialogue many(tracker_, i);
        EXPECT_TRUE(many.segment(Side::peer, 1000, piece).empty());
        EXPECT_LE(tracker_.kept_bytes(), Tracker::kMostBytes);
    }
    EXPECT_GT(tracker_.given_up(), Tracker::kMostConnections);
}

}  // namespace
}  // namespace drainwatch::tls::tls_tracker_test
