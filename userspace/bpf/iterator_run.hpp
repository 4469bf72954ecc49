#pragma once

#include "drainwatch/result.hpp"

#include <bpf/libbpf.h>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

/// How an iterator, a walk through one of the kernel's lists, is taken.
namespace drainwatch {

struct LinkDeleter {
    void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using Link = std::unique_ptr<bpf_link, LinkDeleter>;

/// `limits`: what part of the list is wanted; NULL: all of it. `name` is for the error.
[[nodiscard]] Result<Link> attach_iterator(bpf_program* program, const char* name,
                                           bpf_iter_link_info* limits);

/// Runs the iterator to its end and hands on what it writes, piece by piece.
[[nodiscard]] Result<void> run_iterator(
    const bpf_link& link, const char* name,
    const std::function<void(std::span<const std::byte>)>& take);

/// Returns what it wrote.
[[nodiscard]] Result<std::vector<std::byte>> run_iterator(const bpf_link& link, const char* name);

}  // namespace drainwatch
