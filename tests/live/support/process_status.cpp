#include "support/process_status.hpp"

#include <gtest/gtest.h>
#include <fstream>

namespace drainwatch::live {

std::map<std::string, std::string> status_of(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    std::map<std::string, std::string> words;
    for (std::string key, value; file >> key >> value; file.ignore(1000, '\n')) {
        words[key] = value;
    }
    return words;
}

void expect_small(pid_t pid)
{
    constexpr unsigned long kMostKiB = 32 * 1024;
    const unsigned long resident_kib = std::stoul(status_of(pid)["VmRSS:"]);
    testing::Test::RecordProperty("resident_kib", std::to_string(resident_kib));
    EXPECT_LT(resident_kib, kMostKiB);
}

}  // namespace drainwatch::live
