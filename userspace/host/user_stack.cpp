#include "host/user_stack.hpp"

#include "host/clock.hpp"
#include "host/threads.hpp"

#include <elfutils/libdwfl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <set>

namespace drainwatch {
namespace {

constexpr std::size_t kMostFrames = 64;
constexpr std::uint64_t kMostNs = 50'000'000;

struct DwflCloser {
    void operator()(Dwfl* dwfl) const { dwfl_end(dwfl); }
};
using DwflSession = std::unique_ptr<Dwfl, DwflCloser>;

struct ElfCloser {
    void operator()(Elf* elf) const { elf_end(elf); }
};

/// What the unwind table of a place says of its caller.
enum class Caller { unknown, found, none };

/// One unwinding.
struct Walk {
    std::uint32_t pid;
    std::uint32_t tid;
    const UserRegisters& registers;
    Symbols& symbols;
    Dwfl* dwfl;
    std::uint64_t ends_ns;
    Caller caller = Caller::unknown;  ///< of the last frame
    UserStack stack;
};

/// What has to be added to an address in the file to have that in memory; nothing if the mapping is
/// of no part of the file that is loaded.
std::optional<std::uint64_t> bias_of(int fd, const Mapping& mapping)
{
    elf_version(EV_CURRENT);
    const std::unique_ptr<Elf, ElfCloser> elf(elf_begin(fd, ELF_C_READ, nullptr));
    std::size_t headers = 0;
    if (!elf || elf_getphdrnum(elf.get(), &headers) != 0) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < headers; i++) {
        GElf_Phdr header{};
        if (gelf_getphdr(elf.get(), static_cast<int>(i), &header) == nullptr ||
            header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0) {
            continue;
        }
        // Mappings begin at whole pages.
        const std::uint64_t page = mapping.offset + (mapping.end - mapping.begin);
        if (header.p_offset < page && header.p_offset + header.p_filesz > mapping.offset) {
            return mapping.begin - (header.p_vaddr - header.p_offset + mapping.offset);
        }
    }
    return std::nullopt;
}

/// Tells the library which files are mapped where. Only code is of interest.
void report_modules(Dwfl* dwfl, std::uint32_t pid)
{
    std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
    dwfl_report_begin(dwfl);
    for (const Mapping& mapping : read_code(pid).mappings) {
        if (!mapping.path.starts_with('/') ||
            !seen.insert({mapping.device, mapping.inode}).second) {
            continue;
        }
        File file = open_mapping(pid, mapping);
        const auto bias = file ? bias_of(file.get(), mapping) : std::nullopt;
        if (!bias) {
            continue;
        }
        const char* name = mapping.path.c_str();
        if (dwfl_report_elf(dwfl, name, name, file.get(), *bias, true) != nullptr) {
            (void)file.release();  // it is the library's now
        }
    }
    dwfl_report_end(dwfl, nullptr, nullptr);
}

/// Nothing is looked for in other files, nor in the net.
int no_debuginfo(Dwfl_Module* /*module*/, void** /*data*/, const char* /*name*/,
                 Dwarf_Addr /*base*/, const char* /*file*/, const char* /*link*/, GElf_Word /*crc*/,
                 char** /*found*/)
{
    return -1;
}

int no_elf(Dwfl_Module* /*module*/, void** /*data*/, const char* /*name*/, Dwarf_Addr /*base*/,
           char** /*file*/, Elf** /*elf*/)
{
    return -1;
}

pid_t next_thread(Dwfl* /*dwfl*/, void* /*walk*/, void** /*argument*/)
{
    return 0;
}

bool get_thread(Dwfl* /*dwfl*/, pid_t /*tid*/, void* walk, void** argument)
{
    *argument = walk;
    return true;
}

bool read_word(Dwfl* /*dwfl*/, Dwarf_Addr address, Dwarf_Word* result, void* argument)
{
    const auto* walk = static_cast<const Walk*>(argument);
    const auto bytes = proc::memory(walk->pid, address, sizeof(*result));
    if (!bytes) {
        return false;
    }
    std::memcpy(result, bytes->data(), sizeof(*result));
    return true;
}

/// By their numbers in DWARF (System V ABI for AMD64, figure 3.36). What is not known stays
/// unknown.
bool set_registers(Dwfl_Thread* thread, void* argument)
{
    const UserRegisters& from = static_cast<const Walk*>(argument)->registers;
    struct Known {
        int number;
        std::optional<std::uint64_t> value;
    };
    const std::array<Known, 7> known{{{3, from.bx},
                                      {6, from.bp},
                                      {7, from.sp},
                                      {12, from.r12},
                                      {13, from.r13},
                                      {14, from.r14},
                                      {15, from.r15}}};
    for (const auto& [number, value] : known) {
        if (value) {
            const Dwarf_Word word = *value;
            dwfl_thread_state_registers(thread, number, 1, &word);
        }
    }
    dwfl_thread_state_register_pc(thread, from.ip);
    return true;
}

constexpr Dwfl_Callbacks kModules{no_elf, no_debuginfo, nullptr, nullptr};
constexpr Dwfl_Thread_Callbacks kThreads{next_thread,   get_thread, read_word,
                                         set_registers, nullptr,    nullptr};

Caller caller_of(Dwfl* dwfl, Dwarf_Addr place)
{
    Dwfl_Module* module = dwfl_addrmodule(dwfl, place);
    Dwarf_Addr bias = 0;
    Dwarf_CFI* table = module != nullptr ? dwfl_module_eh_cfi(module, &bias) : nullptr;
    Dwarf_Frame* found = nullptr;
    if (table == nullptr || dwarf_cfi_addrframe(table, place - bias, &found) != 0) {
        return Caller::unknown;
    }
    const std::unique_ptr<Dwarf_Frame, void (*)(void*)> frame(found, std::free);
    const int return_address = dwarf_frame_info(frame.get(), nullptr, nullptr, nullptr);
    std::array<Dwarf_Op, 3> room{};
    Dwarf_Op* rule = nullptr;
    std::size_t length = 0;
    if (dwarf_frame_register(frame.get(), return_address, room.data(), &rule, &length) != 0) {
        return Caller::unknown;
    }
    const bool undefined = length == 0 && rule == room.data();
    return undefined ? Caller::none : Caller::found;
}

int take_frame(Dwfl_Frame* frame, void* argument)
{
    auto* walk = static_cast<Walk*>(argument);
    Dwarf_Addr pc = 0;
    bool innermost = false;
    if (!dwfl_frame_pc(frame, &pc, &innermost)) {
        return DWARF_CB_ABORT;
    }
    // What it returns to may be the first byte of another function.
    const Dwarf_Addr place = innermost ? pc : pc - 1;
    UserStack& stack = walk->stack;
    stack.frames.push_back(walk->symbols.user(walk->pid, place));
    if (stack.frames.size() == kMostFrames) {
        stack.incomplete = fmt::format("it is deeper than {} frames", kMostFrames);
    } else if (monotonic_ns() > walk->ends_ns) {
        stack.incomplete = "it took too long";
    } else if (walk->caller = caller_of(walk->dwfl, place); walk->caller == Caller::unknown) {
        // The library would guess.
        stack.incomplete = fmt::format("nothing tells who called {}", stack.frames.back());
    }
    return stack.incomplete.empty() ? DWARF_CB_OK : DWARF_CB_ABORT;
}

}  // namespace

UserStack read_user_stack(std::uint32_t pid, std::uint32_t tid, const UserRegisters& registers,
                          Symbols& symbols)
{
    symbols.forget(pid);
    const DwflSession dwfl(dwfl_begin(&kModules));
    Walk walk{pid, tid, registers, symbols, dwfl.get(), monotonic_ns() + kMostNs, {}, {}};
    if (!dwfl) {
        walk.stack.incomplete = "no memory";
        return walk.stack;
    }
    report_modules(dwfl.get(), pid);
    if (!dwfl_attach_state(dwfl.get(), nullptr, static_cast<pid_t>(pid), &kThreads, &walk)) {
        walk.stack.incomplete = dwfl_errmsg(-1);
        return walk.stack;
    }
    (void)dwfl_getthread_frames(dwfl.get(), static_cast<pid_t>(tid), take_frame, &walk);
    UserStack& stack = walk.stack;
    if (walk.caller != Caller::none && stack.incomplete.empty()) {
        stack.incomplete = stack.frames.empty()
                               ? std::string(dwfl_errmsg(-1))
                               : fmt::format("who called {} is not known", stack.frames.back());
    }
    return std::move(walk.stack);
}

}  // namespace drainwatch
