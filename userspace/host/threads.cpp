#include "host/threads.hpp"

#include "host/text_file.hpp"

#include <elf.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <climits>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace drainwatch::proc {
namespace {

/// The value behind `key` in a file of lines such as "throttled_usec 1234".
std::optional<std::uint64_t> value_of(const std::string& path, const std::string& key)
{
    std::ifstream file(path);
    std::string name;
    for (std::uint64_t value = 0; file >> name >> value;) {
        if (name == key) {
            return value;
        }
    }
    return std::nullopt;
}

/// Where control groups are mounted that may have a CPU quota.
struct Hierarchy {
    std::string_view mount;
    std::string_view key;  ///< in cpu.stat
    std::uint64_t unit_ns;
};
constexpr Hierarchy kUnified{"/sys/fs/cgroup", "throttled_usec", 1000};
constexpr Hierarchy kOwn{"/sys/fs/cgroup/cpu", "throttled_time", 1};

/// The longest of the group's own and those of the groups above it.
std::optional<std::uint64_t> throttled_ns(const Hierarchy& hierarchy, std::string group)
{
    std::optional<std::uint64_t> longest;
    while (true) {
        const std::string path = fmt::format("{}{}/cpu.stat", hierarchy.mount, group);
        if (const auto value = value_of(path, std::string(hierarchy.key))) {
            longest = std::max(longest.value_or(0), *value * hierarchy.unit_ns);
        }
        if (group.empty()) {
            return longest;
        }
        const auto last = group.rfind('/');
        group.resize(last != std::string::npos ? last : 0);
    }
}

}  // namespace

std::optional<Thread> thread(std::uint32_t pid, std::uint32_t tid)
{
    // "1234 (any name) S 1 ...": the name may hold any byte, a bracket too.
    const std::string text = read_text(fmt::format("/proc/{}/task/{}/stat", pid, tid));
    const auto begin = text.find('(');
    const auto end = text.rfind(") ");
    if (begin == std::string::npos || end == std::string::npos || end + 2 >= text.size()) {
        return std::nullopt;
    }
    return Thread{text.substr(begin + 1, end - begin - 1), text[end + 2]};
}

std::vector<std::uint32_t> thread_ids(std::uint32_t pid, std::size_t most)
{
    std::vector<std::uint32_t> ids;
    std::error_code error;
    for (std::filesystem::directory_iterator it(fmt::format("/proc/{}/task", pid), error), end;
         !error && it != end && ids.size() < most; it.increment(error)) {
        const std::string name = it->path().filename().string();
        std::uint32_t tid = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), tid).ec == std::errc{}) {
            ids.push_back(tid);
        }
    }
    return ids;
}

std::optional<Call> call(std::uint32_t tid)
{
    // "232 0x5 ... 0x7ffd... 0x7f..."; "-1 0x7ffd... 0x..." outside of one; "running"
    std::istringstream fields(read_text(fmt::format("/proc/{}/syscall", tid)));
    Call found;
    fields >> std::dec >> found.number >> std::hex;
    for (std::uint64_t& argument : found.arguments) {
        fields >> argument;
    }
    fields >> found.sp >> found.ip;
    return fields && found.number >= 0 ? std::optional(found) : std::nullopt;
}

std::optional<CpuTime> cpu_time(std::uint32_t pid, std::uint32_t tid)
{
    std::ifstream file(fmt::format("/proc/{}/task/{}/schedstat", pid, tid));
    CpuTime time;
    file >> time.ran_ns >> time.waited_ns;
    return file ? std::optional(time) : std::nullopt;
}

std::optional<std::uint64_t> throttled_ns(std::uint32_t pid)
{
    // "0::/user.slice" of the unified hierarchy, "4:cpu,cpuacct:/x" of an older one
    std::istringstream lines(read_text(fmt::format("/proc/{}/cgroup", pid)));
    std::optional<std::uint64_t> longest;
    for (std::string line; std::getline(lines, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const bool own = controllers.find(",cpu,") != std::string::npos;
        if (!own && controllers != ",,") {
            continue;
        }
        std::string group = line.substr(second + 1);
        if (group == "/") {
            group.clear();
        }
        if (const auto ns = throttled_ns(own ? kOwn : kUnified, group)) {
            longest = std::max(longest.value_or(0), *ns);
        }
    }
    return longest;
}

std::optional<std::string> descriptor(std::uint32_t pid, std::uint32_t fd)
{
    std::string target(PATH_MAX, '\0');
    const ssize_t length =
        readlink(fmt::format("/proc/{}/fd/{}", pid, fd).c_str(), target.data(), target.size());
    if (length <= 0) {
        return std::nullopt;
    }
    target.resize(static_cast<std::size_t>(length));
    return target;
}

std::optional<std::vector<EpollMember>> epoll_set(std::uint32_t pid, std::uint32_t fd)
{
    // "tfd:        5 events:       19 data:                5  pos:0 ino:1a2b sdev:8"
    std::istringstream lines(read_text(fmt::format("/proc/{}/fdinfo/{}", pid, fd)));
    std::vector<EpollMember> members;
    bool any = false;
    for (std::string line; std::getline(lines, line); any = true) {
        std::istringstream fields(line);
        std::string tfd;
        std::string events;
        EpollMember member;
        fields >> tfd >> member.fd >> events >> std::hex >> member.events;
        if (!fields || tfd != "tfd:" || events != "events:") {
            continue;
        }
        constexpr std::string_view kInode = " ino:";
        if (const auto at = line.find(kInode); at != std::string::npos) {
            std::istringstream(line.substr(at + kInode.size())) >> std::hex >>
                member.inode.emplace();
        }
        members.push_back(member);
    }
    return any ? std::optional(std::move(members)) : std::nullopt;
}

std::vector<std::string> kernel_stack(std::uint32_t pid, std::uint32_t tid)
{
    // "[<0>] do_nanosleep+0x67/0x180"
    std::istringstream lines(read_text(fmt::format("/proc/{}/task/{}/stack", pid, tid)));
    std::vector<std::string> stack;
    for (std::string line; std::getline(lines, line);) {
        const auto begin = line.find(' ') + 1;
        stack.push_back(line.substr(begin, line.find('+', begin) - begin));
    }
    return stack;
}

bool is_32_bit(std::uint32_t pid)
{
    const std::string header = read_text(fmt::format("/proc/{}/exe", pid), EI_NIDENT);
    return header.size() == EI_NIDENT && header[EI_CLASS] == ELFCLASS32;
}

bool hangs_in_kernel(std::uint32_t pid, std::size_t most)
{
    const auto ids = thread_ids(pid, most);
    return std::any_of(ids.begin(), ids.end(), [&](std::uint32_t tid) {
        const auto found = thread(pid, tid);
        return found && found->state == 'D';
    });
}

std::optional<std::vector<std::byte>> memory(std::uint32_t pid, std::uint64_t address,
                                             std::size_t size)
{
    std::vector<std::byte> bytes(size);
    iovec here{bytes.data(), size};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of another process
    iovec there{reinterpret_cast<void*>(address), size};
    const ssize_t length = process_vm_readv(static_cast<pid_t>(pid), &here, 1, &there, 1, 0);
    return length == static_cast<ssize_t>(size) ? std::optional(std::move(bytes)) : std::nullopt;
}

}  // namespace drainwatch::proc
