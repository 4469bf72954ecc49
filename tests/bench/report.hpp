#pragma once

#include <filesystem>

namespace drainwatch::bench {

/// Writes benchmarks.md into `docs`, and its plots beside it, of what `results` has of each part; a
/// part that is missing is said to be.
void write_report(const std::filesystem::path& results, const std::filesystem::path& docs);

}  // namespace drainwatch::bench
