#pragma once

#include "app/options.hpp"
#include "drainwatch/result.hpp"

namespace drainwatch {

/// Exit code of everything that could not watch, or was used wrongly.
constexpr int kExitCannot = 3;

/// Each runs a command to its end. The result is the exit code.
[[nodiscard]] Result<int> run_watch(const WatchOptions& options);
[[nodiscard]] Result<int> run_profile(const ProfileOptions& options);
[[nodiscard]] Result<int> run_demo(const DemoOptions& options);
[[nodiscard]] Result<int> run_doctor(const DoctorOptions& options);

}  // namespace drainwatch
