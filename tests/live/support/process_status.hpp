#pragma once

#include <sys/types.h>
#include <map>
#include <string>

namespace drainwatch::live {

/// First word of each line of /proc/<pid>/status, by its key with the colon.
[[nodiscard]] std::map<std::string, std::string> status_of(pid_t pid);

/// Whatever a watch goes through, it stays as small as it may be with 100,000 sockets.
void expect_small(pid_t pid);

}  // namespace drainwatch::live
