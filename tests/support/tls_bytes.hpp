#pragma once

#include "tls/version.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

/// Records and messages of TLS as they go over the wire, for tests.
namespace drainwatch::test {

using ByteVector = std::vector<std::uint8_t>;

inline void put_number(ByteVector& to, std::uint32_t value, int bytes)
{
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
        to.push_back(static_cast<std::uint8_t>(value >> shift));
    }
}

inline void put_bytes(ByteVector& to, const ByteVector& bytes)
{
    to.insert(to.end(), bytes.begin(), bytes.end());
}

/// A vector with its length in front.
inline void put_vector(ByteVector& to, const ByteVector& bytes, int length_bytes)
{
    put_number(to, static_cast<std::uint32_t>(bytes.size()), length_bytes);
    put_bytes(to, bytes);
}

inline ByteVector extension(std::uint16_t type, const ByteVector& data)
{
    ByteVector bytes;
    put_number(bytes, type, 2);
    put_vector(bytes, data, 2);
    return bytes;
}

struct HelloBytes {
    tls::Version legacy_version = tls::kTls12;
    std::vector<tls::Version> supported_versions;  ///< none: no such extension
    std::string_view server_name;
    std::size_t padding = 0;  ///< size of an extension that means nothing
};

/// A ClientHello, from behind its type and length.
inline ByteVector client_hello_body(const HelloBytes& hello)
{
    ByteVector body;
    put_number(body, hello.legacy_version, 2);
    body.insert(body.end(), 32, 0x11);
    put_vector(body, ByteVector(32, 0x22), 1);
    put_vector(body, {0x13, 0x01, 0xc0, 0x2f}, 2);
    put_vector(body, {0}, 1);
    ByteVector extensions;
    if (!hello.server_name.empty()) {
        ByteVector list{0};
        put_vector(list, ByteVector(hello.server_name.begin(), hello.server_name.end()), 2);
        ByteVector data;
        put_vector(data, list, 2);
        put_bytes(extensions, extension(0, data));
    }
    if (!hello.supported_versions.empty()) {
        ByteVector list;
        for (const tls::Version version : hello.supported_versions) {
            put_number(list, version, 2);
        }
        ByteVector data;
        put_vector(data, list, 1);
        put_bytes(extensions, extension(0x2b, data));
    }
    if (hello.padding > 0) {
        put_bytes(extensions, extension(0x15, ByteVector(hello.padding, 0)));
    }
    if (!extensions.empty()) {
        put_vector(body, extensions, 2);
    }
    return body;
}

constexpr std::uint16_t kSomeSuite = 0xc02f;

/// A ServerHello; of TLS 1.3 if `selected` is given.
inline ByteVector server_hello_body(tls::Version legacy_version, tls::Version selected = 0,
                                    const ByteVector& random = ByteVector(32, 0x33))
{
    ByteVector body;
    put_number(body, legacy_version, 2);
    put_bytes(body, random);
    put_vector(body, ByteVector(32, 0x22), 1);
    put_number(body, selected != 0 ? 0x1301 : kSomeSuite, 2);
    body.push_back(0);
    if (selected != 0) {
        ByteVector data;
        put_number(data, selected, 2);
        put_vector(body, extension(0x2b, data), 2);
    }
    return body;
}

/// The random of a HelloRetryRequest: SHA-256 of "HelloRetryRequest" (RFC 8446, section 4.1.3).
inline ByteVector retry_random()
{
    return {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
            0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
            0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
}

inline ByteVector message(std::uint8_t type, const ByteVector& body)
{
    ByteVector bytes{type};
    put_vector(bytes, body, 3);
    return bytes;
}

inline ByteVector record(std::uint8_t type, const ByteVector& content,
                         tls::Version version = tls::kTls12)
{
    ByteVector bytes{type};
    put_number(bytes, version, 2);
    put_vector(bytes, content, 2);
    return bytes;
}

inline ByteVector operator+(ByteVector left, const ByteVector& right)
{
    put_bytes(left, right);
    return left;
}

inline ByteVector client_hello(const HelloBytes& hello)
{
    return record(22, message(1, client_hello_body(hello)), tls::kTls10);
}

inline ByteVector server_hello(tls::Version legacy_version, tls::Version selected = 0)
{
    return record(22, message(2, server_hello_body(legacy_version, selected)));
}

inline ByteVector retry_request()
{
    return record(22, message(2, server_hello_body(tls::kTls12, tls::kTls13, retry_random())));
}

inline ByteVector change_cipher_spec()
{
    return record(20, {1});
}

/// A handshake record that cannot be looked into.
inline ByteVector finished()
{
    return record(22, ByteVector(40, 0x99));
}

inline ByteVector application_data(std::size_t length)
{
    return record(23, ByteVector(length, 0x88));
}

inline ByteVector alert_record(std::uint8_t level, std::uint8_t description)
{
    return record(21, {level, description});
}

}  // namespace drainwatch::test
