#include "host/stack_walk.hpp"

#include "host/clock.hpp"
#include "host/unwind_table.hpp"

#include <fmt/format.h>
#include <sys/uio.h>
#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

namespace drainwatch {
namespace {

/// As DWARF numbers them.
constexpr int kBx = 3;
constexpr int kBp = 6;
constexpr int kSp = 7;
constexpr int kR12 = 12;
constexpr int kR13 = 13;
constexpr int kR14 = 14;
constexpr int kR15 = 15;
constexpr int kIp = 16;

}  // namespace

StackWalk::StackWalk(std::uint32_t tid, const std::vector<Mapping>& mappings, MappedFiles& files,
                     const UserRegisters& registers, Limits limits)
    : tid_(tid), mappings_(mappings), files_(files), registers_(registers), limits_(limits)
{}

int StackWalk::find_elf(Dwfl_Module* /*module*/, void** userdata, const char* /*name*/,
                        Dwarf_Addr /*base*/, char** /*file_name*/, Elf** elf)
{
    *elf = elf_begin(-1, ELF_C_READ, static_cast<Elf*>(*userdata));  // one more reference to it
    return -1;                                                       // the descriptor is ours
}

const Dwfl_Callbacks StackWalk::kFiles{
    find_elf,
    // No other file is looked for.
    [](Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word, char**) {
        return -1;
    },
    nullptr, nullptr};

const Dwfl_Thread_Callbacks StackWalk::kThread{
    [](Dwfl*, void*, void**) -> pid_t { return 0; },
    [](Dwfl*, pid_t, void* walk, void** thread) {
        *thread = walk;
        return true;
    },
    [](Dwfl*, Dwarf_Addr address, Dwarf_Word* value, void* walk) {
        return static_cast<StackWalk*>(walk)->read(address, *value);
    },
    [](Dwfl_Thread* thread, void* walk) {
        return static_cast<StackWalk*>(walk)->set_registers(thread);
    },
    nullptr,
    nullptr};

bool StackWalk::is_late() const
{
    return monotonic_ns() >= limits_.deadline_ns;
}

bool StackWalk::read(std::uint64_t address, Dwarf_Word& value)
{
    if (is_late()) {
        unreadable_ = kNoTimeLeft;
        return false;
    }
    const iovec here{&value, sizeof(value)};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of another process
    const iovec there{reinterpret_cast<void*>(address), sizeof(value)};
    const ssize_t bytes = process_vm_readv(static_cast<pid_t>(tid_), &here, 1, &there, 1, 0);
    if (bytes == sizeof(value)) {
        return true;
    }
    const int error = bytes < 0 ? errno : EFAULT;
    unreadable_ = fmt::format("memory at 0x{:x} cannot be read: {}", address,
                              std::generic_category().message(error));
    return false;
}

bool StackWalk::set_registers(Dwfl_Thread* thread) const
{
    const auto set = [thread](int number, std::optional<std::uint64_t> value) {
        const Dwarf_Word word = value.value_or(0);
        return !value || dwfl_thread_state_registers(thread, number, 1, &word);
    };
    return set(kIp, registers_.ip) && set(kSp, registers_.sp) && set(kBp, registers_.bp) &&
           set(kBx, registers_.bx) && set(kR12, registers_.r12) && set(kR13, registers_.r13) &&
           set(kR14, registers_.r14) && set(kR15, registers_.r15);
}

Result<Dwfl_Module*> StackWalk::module_of(const Mapping& mapping, std::uint64_t address)
{
    if (mapping.inode == 0) {
        return fail(mapping.path.empty() ? "code that was made at run time" : "this is no file");
    }
    Dwfl_Module* known = dwfl_addrmodule(dwfl_.get(), address);
    if (known == nullptr) {
        return report(mapping, address);
    }
    const bool same = std::any_of(modules_.begin(), modules_.end(), [&](const Module& module) {
        return module.module == known && module.mapping.same_file(mapping);
    });
    return same ? Result<Dwfl_Module*>(known) : fail("mapped into another file");
}

Result<Dwfl_Module*> StackWalk::report(const Mapping& mapping, std::uint64_t address)
{
    const File& file = files_.of(mapping);
    if (!file) {
        return fail("the file that is mapped cannot be opened");
    }
    ElfFile elf = open_elf(file.get());
    if (!elf) {
        return fail("not an ELF file");
    }
    const auto image = image_to_unwind(elf.get(), mapping, address);
    if (!image) {
        return tl::unexpected(image.error());
    }
    if (is_late()) {
        return fail(kNoTimeLeft);
    }
    dwfl_report_begin_add(dwfl_.get());
    Dwfl_Module* module = dwfl_report_module(dwfl_.get(), "", image->begin, image->end);
    dwfl_report_end(dwfl_.get(), nullptr, nullptr);
    void** userdata = nullptr;
    if (module == nullptr || dwfl_module_info(module, &userdata, nullptr, nullptr, nullptr, nullptr,
                                              nullptr, nullptr) == nullptr) {
        return fail("no memory");
    }
    *userdata = elf.get();
    modules_.push_back({module, mapping, std::move(elf)});
    GElf_Addr bias = 0;
    if (dwfl_module_getelf(module, &bias) == nullptr || bias != image->bias ||
        dwfl_addrmodule(dwfl_.get(), address) != module) {
        return fail("its segments are not where they should be");
    }
    return module;
}

Result<UnwindRules> StackWalk::rules_of(const Mapping& mapping, std::uint64_t address)
{
    const auto module = module_of(mapping, address);
    if (!module) {
        return tl::unexpected(module.error());
    }
    Dwarf_Addr bias = 0;
    Dwarf_Frame* frame = nullptr;
    Dwarf_CFI* table = dwfl_module_eh_cfi(*module, &bias);
    if (table == nullptr || dwarf_cfi_addrframe(table, address - bias, &frame) != 0) {
        // libdwfl would go on by what rbp may be.
        return fail("no unwind information");
    }
    return UnwindRules(frame);
}

int StackWalk::stop(std::string why)
{
    incomplete_ = std::move(why);
    ended_ = true;
    return DWARF_CB_ABORT;
}

int StackWalk::stop_at(const Mapping& mapping, const Error& error)
{
    const std::string name = mapping.file_name();
    const bool of_the_file = !name.empty() && error.message != kNoTimeLeft;
    return stop(of_the_file ? fmt::format("{}: {}", name, error.message) : error.message);
}

int StackWalk::take(Dwfl_Frame* state)
{
    Dwarf_Addr ip = 0;
    Dwarf_Word sp = 0;
    if (!dwfl_frame_pc(state, &ip, nullptr) || dwfl_frame_reg(state, kSp, &sp) != 0) {
        return stop("ip or sp is not known");
    }
    const bool first = places_.empty();
    // A return address is behind the call, and that may be the last of its function.
    const std::uint64_t place = first || interrupted_ ? ip : ip - 1;
    const Mapping* mapping = mapping_at(mappings_, place);
    if (mapping == nullptr) {
        return stop(fmt::format("0x{:x} is no code", ip));
    }
    if (sp < lowest_sp_) {
        return stop("the stack pointer goes the wrong way");
    }
    places_.push_back({place, mapping});
    unreadable_.clear();
    if (is_late()) {
        return stop(kNoTimeLeft);
    }

    const auto rules = rules_of(*mapping, place);
    if (!rules) {
        return stop_at(*mapping, rules.error());
    }
    bool is_trampoline = false;
    const int return_address = dwarf_frame_info(rules->get(), nullptr, nullptr, &is_trampoline);
    if (is_trampoline) {
        places_.back().address = ip;  // nobody called it: it begins there
    }
    if (is_first_function(rules->get(), return_address)) {
        ended_ = true;
        return DWARF_CB_ABORT;
    }
    if (places_.size() >= limits_.frames) {
        return stop(fmt::format("more than {} functions", limits_.frames));
    }
    if (const auto missing = missing_register(state, rules->get())) {
        return stop(fmt::format("{} is not known", *missing));
    }
    interrupted_ = is_trampoline;
    // The handler of a signal may have a stack of its own.
    lowest_sp_ = is_trampoline ? 0 : sp + 1;
    return DWARF_CB_OK;
}

void StackWalk::run()
{
    dwfl_.reset(dwfl_begin(&kFiles));
    if (!dwfl_) {
        stop("no memory");
        return;
    }
    // Attaching wants a file, to know the machine by.
    if (const Mapping* mapping = mapping_at(mappings_, registers_.ip)) {
        if (auto module = module_of(*mapping, registers_.ip); !module) {
            places_.push_back({registers_.ip, mapping});
            stop_at(*mapping, module.error());
            return;
        }
    }
    if (!dwfl_attach_state(dwfl_.get(), nullptr, static_cast<pid_t>(tid_), &kThread, this)) {
        stop(fmt::format("0x{:x} is no code", registers_.ip));
        return;
    }
    dwfl_getthread_frames(
        dwfl_.get(), static_cast<pid_t>(tid_),
        [](Dwfl_Frame* state, void* walk) { return static_cast<StackWalk*>(walk)->take(state); },
        this);
    if (!ended_) {
        stop(unreadable_.empty() ? "there is no return address" : unreadable_);
    }
}

}  // namespace drainwatch
