#pragma once

#include "tls/hello.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace drainwatch::tls {

/// Puts the segments of one direction in order. They may come in any order, more than once, and
/// overlap: of a byte, the first copy counts.
class Reassembly {
public:
    /// Of what came too early, so much is kept at most; more is dropped, and the gap stays open.
    static constexpr std::size_t kMostPendingBytes = 32768;
    static constexpr std::size_t kMostPendingPieces = 64;

    /// Takes bytes that begin at this place of the stream. Returns what is in order now and was
    /// not before.
    [[nodiscard]] std::vector<std::uint8_t> add(std::uint32_t offset, Bytes bytes);

    [[nodiscard]] std::size_t pending_bytes() const { return pending_bytes_; }

private:
    void keep(std::uint32_t offset, Bytes bytes);

    std::uint32_t next_ = 0;  ///< place of the stream up to which all bytes have come
    std::map<std::uint32_t, std::vector<std::uint8_t>> pending_;  ///< by where they begin
    std::size_t pending_bytes_ = 0;
};

}  // namespace drainwatch::tls
