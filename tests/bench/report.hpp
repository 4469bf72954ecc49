#pragma once

#include <filesystem>

namespace drainwatch::bench {

/// Writes benchmarks.md into `docs`, and its plots beside it, of every part's result in `results`.
/// Throws if one is missing.
void write_report(const std::filesystem::path& results, const std::filesystem::path& docs);

}  // namespace drainwatch::bench
