// What may come over the wire, from bytes that mean nothing to mutated handshakes: no input may
// crash the reader of TLS, nor make it keep more than it says. An input is a list of steps; each
// begins with one byte that says what it is, for which side, and of which of a few connections.
#include "tls/alert.hpp"
#include "tls/cipher_suite.hpp"
#include "tls/tracker.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

namespace drainwatch::tls {
namespace {

constexpr unsigned kConnections = 4;

class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

    [[nodiscard]] bool at_end() const { return rest_.empty(); }

    Bytes take(std::size_t count)
    {
        const Bytes taken = rest_.first(std::min(count, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }

    std::uint32_t number(std::size_t bytes)
    {
        std::uint32_t value = 0;
        for (const std::uint8_t byte : take(bytes)) {
            value = value << 8 | byte;
        }
        return value;
    }

private:
    Bytes rest_;
};

void expect(bool holds)
{
    if (!holds) {
        std::abort();
    }
}

void read_out(const std::vector<Fact>& facts)
{
    for (const Fact& fact : facts) {
        if (const auto* handshake = std::get_if<Handshake>(&fact.what)) {
            expect(!handshake->offered || handshake->offered->server_name.size() <= 255);
            expect(!handshake->selected ||
                   !cipher_suite_name(handshake->selected->cipher_suite).empty());
        } else if (const auto* alert = std::get_if<Alert>(&fact.what)) {
            expect(!alert->description || !alert_name(*alert->description).empty());
        }
    }
}

/// One step: so many bytes of a connection, in order or elsewhere; or its end; or a look.
void play(Input& input, Tracker& tracker,
          std::array<std::array<std::uint32_t, 2>, kConnections>& next)
{
    enum Kind : unsigned { in_order, anywhere, past_handshake, end, look, glimpse, kinds };
    const std::uint32_t step = input.number(1);
    const unsigned which = step / 2 % kConnections;
    const Cookie cookie{which + 1};
    StreamBytes segment;
    segment.socket.cookie = cookie;
    segment.from = (step & 1) != 0 ? Side::peer : Side::local;
    segment.at_ns = 1;
    const auto kind = static_cast<Kind>(step / 8 % kinds);
    switch (kind) {
        case in_order:
        case anywhere:
        case past_handshake:
        case glimpse: {
            std::uint32_t& at = next[which][step & 1];
            if (kind == past_handshake || kind == glimpse) {
                segment.part =
                    kind == glimpse ? StreamBytes::Part::glimpse : StreamBytes::Part::alert;
            }
            segment.offset = kind == in_order ? at : input.number(3);
            const Bytes bytes = input.take(input.number(2));
            segment.bytes.assign(bytes.begin(), bytes.end());
            segment.segment_bytes = static_cast<std::uint32_t>(bytes.size());
            at = segment.offset + segment.segment_bytes;
            read_out(tracker.take(segment));
            break;
        }
        case end: read_out(tracker.end(cookie, Result::closed, 2)); break;
        default: {
            SocketSample sample;
            sample.cookie = cookie;
            sample.taken_ns = 5;
            sample.unread = {{100, 1}};
            sample.data_end = 100;
            (void)tracker.look(sample);
        }
    }
}

}  // namespace
}  // namespace drainwatch::tls

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it so
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace drainwatch::tls;
    Tracker tracker(kTls12, std::chrono::nanoseconds(1));
    Input input(data, size);
    std::array<std::array<std::uint32_t, 2>, kConnections> next{};
    while (!input.at_end()) {
        play(input, tracker, next);
        expect(tracker.kept_bytes() <= size);
        expect(tracker.take_settled().size() <= kConnections);
    }
    return 0;
}
