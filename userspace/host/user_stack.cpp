#include "host/user_stack.hpp"

#include "host/clock.hpp"
#include "host/stack_walk.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <array>
#include <optional>
#include <string_view>

namespace drainwatch {
namespace {

bool is_32_bit(std::uint32_t tid)
{
    const File program(open(fmt::format("/proc/{}/exe", tid).c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, EI_CLASS + 1> head{};
    return pread(program.get(), head.data(), head.size(), 0) == static_cast<ssize_t>(head.size()) &&
           std::string_view(head.data(), SELFMAG) == ELFMAG && head[EI_CLASS] == ELFCLASS32;
}

/// What runs is the same: files where they were. (Code that is made at run time comes and goes.)
bool same_files(const std::vector<Mapping>& before, const std::vector<Mapping>& after)
{
    const auto files_of = [](const std::vector<Mapping>& mappings) {
        std::vector<Mapping> files;
        for (Mapping mapping : mappings) {
            mapping.path.clear();  // may be "(deleted)" by now
            if (mapping.inode != 0) {
                files.push_back(std::move(mapping));
            }
        }
        return files;
    };
    return files_of(before) == files_of(after);
}

}  // namespace

std::string UserStack::missing() const
{
    if (incomplete.empty()) {
        return {};
    }
    return (frames.empty() ? "user stack: " : "rest of the user stack: ") + incomplete;
}

UserStack read_user_stack(std::uint32_t pid, std::uint32_t tid, const UserRegisters& registers,
                          Symbols& symbols, std::uint64_t limit_ns)
{
    const std::uint64_t begun_ns = monotonic_ns();
    if (access(fmt::format("/proc/{}/task/{}", pid, tid).c_str(), F_OK) != 0) {
        return {{}, "the thread has ended"};
    }
    if (is_32_bit(tid)) {
        return {{}, "a 32-bit program"};
    }
    const auto mappings = read_code(pid, tid, begun_ns + limit_ns);
    if (!mappings) {
        return {{}, kNoTimeLeft};
    }
    if (mappings->empty()) {
        return {{}, "what is mapped cannot be read"};
    }
    // They are read once more in the end, and that takes as long again.
    const std::uint64_t deadline_ns = begun_ns + limit_ns - (monotonic_ns() - begun_ns);
    MappedFiles files(tid);
    StackWalk walk(tid, *mappings, files, registers, {deadline_ns, kMostUserFrames});
    walk.run();

    UserStack stack{{}, walk.incomplete()};
    for (const StackWalk::Place& place : walk.places()) {
        if (monotonic_ns() >= deadline_ns) {
            stack.incomplete = kNoTimeLeft;
            break;
        }
        stack.frames.push_back(
            symbols.mapped(*place.mapping, files.of(*place.mapping), place.address));
    }
    if (stack.frames.empty()) {
        return stack;
    }
    const auto after = read_code(pid, tid, monotonic_ns() + limit_ns);
    if (!after) {
        return {{}, kNoTimeLeft};
    }
    if (!same_files(*mappings, *after) || !files.are_unchanged()) {
        return {{}, "the process has changed meanwhile"};
    }
    return stack;
}

}  // namespace drainwatch
