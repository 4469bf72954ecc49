#pragma once

#include "poll/socket_state.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// Messages of sock_diag(7), as bytes. Pure.
namespace drainwatch {

/// inet_diag_req_v2 since 3.3; before it inet_diag_req, which newer kernels still take.
enum class DiagForm { v2, compat };

/// To tell a socket's tcp_info the kernel takes its lock (since 4.10).
enum class WithInfo { yes, no };

/// Asks for one socket, with its memory and tcp_info if wanted. `sequence` comes back with the
/// answer.
[[nodiscard]] std::vector<std::byte> exact_request(DiagForm form, const SocketState& socket,
                                                   WithInfo info, std::uint32_t sequence);

/// Asks for all sockets of a family in one of `states` (bits, 1 << TCP_ESTABLISHED) that have
/// one of `ports` at either end; no ports: all.
[[nodiscard]] std::vector<std::byte> dump_request(DiagForm form, std::uint8_t family,
                                                  std::uint32_t states,
                                                  const std::vector<std::uint16_t>& ports,
                                                  std::uint32_t sequence);

/// The program by which the kernel picks sockets with one of these ports: inet_diag_bc_op.
[[nodiscard]] std::vector<std::byte> port_filter(const std::vector<std::uint16_t>& ports);

/// An answer: inet_diag_msg and its attributes. Nothing if it is too short to be one.
[[nodiscard]] std::optional<SocketState> parse_socket(std::span<const std::byte> payload);

}  // namespace drainwatch
