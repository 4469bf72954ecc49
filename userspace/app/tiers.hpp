#pragma once

#include "app/fallback_source.hpp"
#include "app/options.hpp"

#include <memory>

namespace drainwatch {

/// May this process use BPF? The error is one sentence.
[[nodiscard]] Result<void> check_bpf_is_allowed();

/// Opens the best source that works on this host, or the one asked for. Its report says why a
/// better one does not. Fails if none does.
[[nodiscard]] Result<std::unique_ptr<FallbackSource>> open_source(const WatchOptions& options);

}  // namespace drainwatch
