#include "tls/hello.hpp"

#include <algorithm>
#include <array>

namespace drainwatch::tls {
namespace {

constexpr std::uint16_t kServerName = 0x0000;
constexpr std::uint16_t kEncryptThenMac = 0x0016;
constexpr std::uint16_t kSupportedVersions = 0x002b;
constexpr std::size_t kRandomBytes = 32;
/// RFC 1035, section 2.3.4.
constexpr std::size_t kMostNameBytes = 255;

/// The random of a ServerHello that is a HelloRetryRequest (RFC 8446, section 4.1.3).
constexpr std::array<std::uint8_t, kRandomBytes> kRetryRandom{
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

/// Reads from the front. What is not there reads as nothing, and from then on nothing is ok.
class Reader {
public:
    explicit Reader(Bytes bytes) : rest_(bytes) {}

    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] bool at_end() const { return rest_.empty(); }

    Bytes take(std::size_t count)
    {
        if (count > rest_.size()) {
            ok_ = false;
            rest_ = {};
            return {};
        }
        const Bytes taken = rest_.first(count);
        rest_ = rest_.subspan(count);
        return taken;
    }

    /// Of 1 or 2 bytes, in network order.
    std::uint16_t number(std::size_t bytes)
    {
        std::uint16_t value = 0;
        for (const std::uint8_t byte : take(bytes)) {
            value = static_cast<std::uint16_t>(value << 8 | byte);
        }
        return value;
    }

    /// What a length of so many bytes announces.
    Bytes vector(std::size_t length_bytes) { return take(number(length_bytes)); }

private:
    Bytes rest_;
    bool ok_ = true;
};

/// Calls `visit` with each extension's type and data. False if the block is not well formed.
template <typename Visit>
bool visit_extensions(Reader& message, const Visit& visit)
{
    if (message.at_end()) {
        return message.ok();  // before TLS 1.3 there need not be any
    }
    Reader block(message.vector(2));
    while (message.ok() && block.ok() && !block.at_end()) {
        const std::uint16_t type = block.number(2);
        const Bytes data = block.vector(2);
        if (block.ok()) {
            visit(type, data);
        }
    }
    return message.ok() && block.ok();
}

std::vector<Version> listed_versions(Bytes extension)
{
    Reader list(Reader(extension).vector(1));
    std::vector<Version> versions;
    while (!list.at_end()) {
        const Version version = list.number(2);
        if (list.ok() && !is_grease(version)) {
            versions.push_back(version);
        }
    }
    return versions;
}

/// The first name of the list: there is only one kind, a host's.
std::string listed_name(Bytes extension)
{
    constexpr std::uint16_t kHostName = 0;
    Reader list(Reader(extension).vector(2));
    if (list.number(1) != kHostName) {
        return "";
    }
    const Bytes name = list.vector(2);
    const std::size_t length = std::min(name.size(), kMostNameBytes);
    return {name.begin(), name.begin() + static_cast<std::ptrdiff_t>(length)};
}

}  // namespace

Version ClientHello::max_version() const
{
    const auto highest = std::max_element(versions.begin(), versions.end());
    return highest == versions.end() ? Version{0} : *highest;
}

bool ClientHello::offers(Version version) const
{
    if (lists_versions) {
        return std::find(versions.begin(), versions.end(), version) != versions.end();
    }
    return version <= max_version();
}

std::optional<ClientHello> parse_client_hello(Bytes message)
{
    Reader reader(message);
    ClientHello hello;
    const Version legacy_version = reader.number(2);
    reader.take(kRandomBytes);
    reader.vector(1);  // session id
    const Bytes suites = reader.vector(2);
    const Bytes compressions = reader.vector(1);
    if (!reader.ok() || suites.empty() || suites.size() % 2 != 0 || compressions.empty()) {
        return std::nullopt;
    }
    const bool whole = visit_extensions(reader, [&](std::uint16_t type, Bytes data) {
        if (type == kSupportedVersions) {
            hello.versions = listed_versions(data);
        } else if (type == kServerName) {
            hello.server_name = listed_name(data);
        }
    });
    if (!whole) {
        return std::nullopt;
    }
    hello.lists_versions = !hello.versions.empty();
    if (!hello.lists_versions) {
        hello.versions = {legacy_version};
    }
    return hello;
}

std::optional<ServerHello> parse_server_hello(Bytes message)
{
    Reader reader(message);
    ServerHello hello;
    hello.version = reader.number(2);
    const Bytes random = reader.take(kRandomBytes);
    reader.vector(1);  // session id
    hello.cipher_suite = reader.number(2);
    reader.take(1);  // compression
    if (!reader.ok()) {
        return std::nullopt;
    }
    hello.is_retry = std::equal(random.begin(), random.end(), kRetryRandom.begin());
    const bool whole = visit_extensions(reader, [&](std::uint16_t type, Bytes data) {
        if (type == kSupportedVersions && data.size() == 2) {
            hello.version = Reader(data).number(2);
        } else if (type == kEncryptThenMac) {
            hello.encrypt_then_mac = true;
        }
    });
    return whole ? std::optional(hello) : std::nullopt;
}

std::optional<ClientHello> parse_v2_client_hello(Bytes message)
{
    constexpr std::uint16_t kV2ClientHello = 1;
    constexpr std::uint16_t kV2SuiteBytes = 3;
    Reader reader(message);
    const std::uint16_t type = reader.number(1);
    const Version version = reader.number(2);
    const std::uint16_t suites = reader.number(2);
    const std::uint16_t session_id = reader.number(2);
    const std::uint16_t challenge = reader.number(2);
    reader.take(suites);
    reader.take(session_id);
    reader.take(challenge);
    if (!reader.ok() || type != kV2ClientHello || version < kSsl3 || suites == 0 ||
        suites % kV2SuiteBytes != 0) {
        return std::nullopt;
    }
    return ClientHello{{version}, false, ""};
}

}  // namespace drainwatch::tls
