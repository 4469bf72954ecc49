#include "host/threads.hpp"

#include "host/text_file.hpp"

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

std::optional<Call> call(std::uint32_t pid, std::uint32_t tid)
{
    // "232 0x5 ... 0x7ffd... 0x7f..."; "-1 0x7ffd... 0x..." outside of one; "running"
    std::istringstream fields(read_text(fmt::format("/proc/{}/task/{}/syscall", pid, tid)));
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
    std::istringstream numbers(read_text(fmt::format("/proc/{}/task/{}/schedstat", pid, tid)));
    CpuTime time;
    numbers >> time.ran_ns >> time.waited_ns >> time.times;
    return numbers && time.times != 0 ? std::optional(time) : std::nullopt;
}

std::optional<std::string> descriptor(std::uint32_t tid, std::uint32_t fd)
{
    std::string target(PATH_MAX, '\0');
    const ssize_t length =
        readlink(fmt::format("/proc/{}/fd/{}", tid, fd).c_str(), target.data(), target.size());
    if (length <= 0) {
        return std::nullopt;
    }
    target.resize(static_cast<std::size_t>(length));
    return target;
}

std::optional<std::vector<EpollMember>> epoll_set(std::uint32_t tid, std::uint32_t fd,
                                                  std::size_t most)
{
    // "tfd:        5 events:       19 data:                5  pos:0 ino:1a2b sdev:8"
    constexpr std::size_t kLineBytes = 96;
    const std::size_t most_bytes = most * kLineBytes;
    if (descriptor(tid, fd) != "anon_inode:[eventpoll]") {
        return std::nullopt;
    }
    const std::string text = read_text(fmt::format("/proc/{}/fdinfo/{}", tid, fd), most_bytes);
    if (text.empty() || text.size() == most_bytes) {
        return std::nullopt;
    }
    std::istringstream lines(text);
    std::vector<EpollMember> members;
    for (std::string line; std::getline(lines, line);) {
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
    return members;
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

bool hangs_in_kernel(std::uint32_t pid, std::size_t most)
{
    const auto ids = thread_ids(pid, most + 1);
    return ids.size() > most || std::any_of(ids.begin(), ids.end(), [&](std::uint32_t tid) {
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
