#include "host/user_stack.hpp"

#include "drainwatch/result.hpp"
#include "host/clock.hpp"
#include "host/elf_file.hpp"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace drainwatch {
namespace {

/// As DWARF numbers them: System V ABI, AMD64 supplement, figure 3.36.
constexpr std::array kRegisterNames{"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
                                    "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};
constexpr int kBx = 3;
constexpr int kBp = 6;
constexpr int kSp = 7;
constexpr int kIp = 16;

/// libdw reads the whole section; without .eh_frame_hdr it looks through it from the beginning.
constexpr std::uint64_t kMaxEhFrameBytes = 32U << 20U;
constexpr std::uint64_t kMaxUnsortedEhFrameBytes = 2U << 20U;

struct DwflCloser {
    void operator()(Dwfl* dwfl) const { dwfl_end(dwfl); }
};

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};
using CfiFrame = std::unique_ptr<Dwarf_Frame, Free>;

/// Where a file lies in memory: all its segments.
struct Image {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t bias = 0;  ///< from the file's addresses to those in memory
};

/// By the segment that has the address, which is in the mapping.
std::optional<Image> image_of(Elf* elf, const Mapping& mapping, std::uint64_t address)
{
    const std::uint64_t file_begin = mapping.begin - mapping.offset;
    const std::uint64_t offset = address - file_begin;
    std::size_t headers = 0;
    elf_getphdrnum(elf, &headers);
    std::optional<std::uint64_t> bias;
    std::optional<std::uint64_t> lowest;
    std::uint64_t highest = 0;
    for (std::size_t i = 0; i < headers; i++) {
        GElf_Phdr header{};
        if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr ||
            header.p_type != PT_LOAD) {
            continue;
        }
        if (!lowest) {
            lowest = header.p_vaddr & -header.p_align;  // as libdwfl reckons: open_elf(), 0.188
        }
        highest = std::max(highest, header.p_vaddr + header.p_memsz);
        if (offset >= header.p_offset && offset - header.p_offset < header.p_filesz) {
            bias = file_begin + header.p_offset - header.p_vaddr;
        }
    }
    if (!bias) {
        return std::nullopt;
    }
    const Image image{*bias + *lowest, *bias + highest, *bias};
    const bool inside = address >= image.begin && address < image.end;
    return inside ? std::optional(image) : std::nullopt;
}

/// Size of a section; 0 if there is none.
std::uint64_t section_bytes(Elf* elf, std::string_view wanted)
{
    std::size_t names = 0;
    if (elf_getshdrstrndx(elf, &names) != 0) {
        return 0;
    }
    Elf_Scn* section = nullptr;
    while ((section = elf_nextscn(elf, section)) != nullptr) {
        GElf_Shdr header{};
        const char* name = gelf_getshdr(section, &header) != nullptr
                               ? elf_strptr(elf, names, header.sh_name)
                               : nullptr;
        if (name != nullptr && name == wanted && header.sh_type != SHT_NOBITS) {
            return header.sh_size;
        }
    }
    return 0;
}

/// Why libdw is not to look at it; "" if it may.
std::string objection(Elf* elf)
{
    GElf_Ehdr header{};
    if (gelf_getehdr(elf, &header) == nullptr || header.e_machine != EM_X86_64 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 ||
        (header.e_type != ET_EXEC && header.e_type != ET_DYN)) {
        return "not x86-64 code";
    }
    const std::uint64_t bytes = section_bytes(elf, ".eh_frame");
    const bool sorted = section_bytes(elf, ".eh_frame_hdr") != 0;
    if (bytes == 0) {
        return "no unwind information";
    }
    return bytes > (sorted ? kMaxEhFrameBytes : kMaxUnsortedEhFrameBytes)
               ? "too much unwind information"
               : "";
}

std::string register_name(std::uint64_t number)
{
    return number < kRegisterNames.size() ? kRegisterNames.at(number)
                                          : fmt::format("register {}", number);
}

/// A register that leads to the caller's frame and is not known.
std::optional<std::string> missing_register(Dwfl_Frame* state, Dwarf_Frame* frame)
{
    Dwarf_Op* operations = nullptr;
    std::size_t count = 0;
    if (dwarf_frame_cfa(frame, &operations, &count) != 0) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < count; i++) {
        const Dwarf_Op& operation = operations[i];
        std::uint64_t number = operation.number;
        if (operation.atom >= DW_OP_breg0 && operation.atom <= DW_OP_breg31) {
            number = operation.atom - DW_OP_breg0;
        } else if (operation.atom != DW_OP_bregx) {
            continue;
        }
        Dwarf_Word value = 0;
        if (dwfl_frame_reg(state, static_cast<unsigned>(number), &value) != 0) {
            return register_name(number);
        }
    }
    return std::nullopt;
}

/// The thread's first function says that its return address is undefined. A return address that
/// could not be read ends libdwfl's walk just the same.
bool is_first_function(Dwarf_Frame* frame, int return_address)
{
    std::array<Dwarf_Op, 3> memory{};
    Dwarf_Op* operations = nullptr;
    std::size_t count = 0;
    return dwarf_frame_register(frame, return_address, memory.data(), &operations, &count) == 0 &&
           count == 0 && operations == memory.data();
}

/// One stack, as libdwfl goes through it. It calls back; nothing here throws but for memory.
class Walk {
public:
    Walk(pid_t tid, const std::vector<Mapping>& mappings, const UserRegisters& registers,
         std::uint64_t deadline_ns)
        : tid_(tid), mappings_(mappings), registers_(registers), deadline_ns_(deadline_ns)
    {}

    void run();
    /// An address in each function, innermost first.
    [[nodiscard]] const std::vector<std::uint64_t>& places() const { return places_; }
    [[nodiscard]] const std::string& incomplete() const { return incomplete_; }

private:
    /// A file that libdwfl knows, and reads until the end.
    struct Module {
        Dwfl_Module* module = nullptr;
        Mapping mapping;
        File file;
        ElfFile elf;
    };

    [[nodiscard]] const Mapping* mapping_of(std::uint64_t address) const;
    [[nodiscard]] Result<Dwfl_Module*> module_of(const Mapping& mapping, std::uint64_t address);
    [[nodiscard]] Result<CfiFrame> cfi_of(const Mapping& mapping, std::uint64_t address);
    [[nodiscard]] bool read(std::uint64_t address, Dwarf_Word& value);
    [[nodiscard]] bool set_registers(Dwfl_Thread* thread) const;
    /// What libdwfl is to do next: DWARF_CB_OK or DWARF_CB_ABORT.
    int take(Dwfl_Frame* state);
    int stop(std::string why);
    int stop_at(const Mapping& mapping, const Error& error);

    static int find_elf(Dwfl_Module* module, void** userdata, const char* name, Dwarf_Addr base,
                        char** file_name, Elf** elf);
    static const Dwfl_Callbacks kFiles;
    static const Dwfl_Thread_Callbacks kThread;

    pid_t tid_;
    const std::vector<Mapping>& mappings_;
    const UserRegisters& registers_;
    std::uint64_t deadline_ns_;

    std::vector<std::uint64_t> places_;
    std::string incomplete_;
    bool ended_ = false;
    bool interrupted_ = false;     ///< the frame to come is one that a signal interrupted
    std::uint64_t lowest_sp_ = 0;  ///< what the frame to come may have
    std::string unreadable_;       ///< what could not be read since the last frame

    std::vector<Module> modules_;
    std::unique_ptr<Dwfl, DwflCloser> dwfl_;
};

int Walk::find_elf(Dwfl_Module* /*module*/, void** userdata, const char* /*name*/,
                   Dwarf_Addr /*base*/, char** /*file_name*/, Elf** elf)
{
    *elf = elf_begin(-1, ELF_C_READ, static_cast<Elf*>(*userdata));  // one more reference to it
    return -1;                                                       // the descriptor is ours
}

const Dwfl_Callbacks Walk::kFiles{find_elf,
                                  // No other file is looked for.
                                  [](Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*,
                                     const char*, GElf_Word, char**) { return -1; },
                                  nullptr, nullptr};

const Dwfl_Thread_Callbacks Walk::kThread{
    [](Dwfl*, void*, void**) -> pid_t { return 0; },
    [](Dwfl*, pid_t, void* walk, void** thread) {
        *thread = walk;
        return true;
    },
    [](Dwfl*, Dwarf_Addr address, Dwarf_Word* value, void* walk) {
        return static_cast<Walk*>(walk)->read(address, *value);
    },
    [](Dwfl_Thread* thread, void* walk) { return static_cast<Walk*>(walk)->set_registers(thread); },
    nullptr,
    nullptr};

bool Walk::read(std::uint64_t address, Dwarf_Word& value)
{
    if (monotonic_ns() >= deadline_ns_) {
        unreadable_ = "no time left";
        return false;
    }
    const iovec here{&value, sizeof(value)};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of another process
    const iovec there{reinterpret_cast<void*>(address), sizeof(value)};
    const ssize_t bytes = process_vm_readv(tid_, &here, 1, &there, 1, 0);
    if (bytes == sizeof(value)) {
        return true;
    }
    const int error = bytes < 0 ? errno : EFAULT;
    unreadable_ = fmt::format("memory at 0x{:x} cannot be read: {}", address,
                              std::generic_category().message(error));
    return false;
}

bool Walk::set_registers(Dwfl_Thread* thread) const
{
    const auto set = [thread](int number, std::optional<std::uint64_t> value) {
        const Dwarf_Word word = value.value_or(0);
        return !value || dwfl_thread_state_registers(thread, number, 1, &word);
    };
    return set(kIp, registers_.ip) && set(kSp, registers_.sp) && set(kBp, registers_.bp) &&
           set(kBx, registers_.bx) && set(12, registers_.r12) && set(13, registers_.r13) &&
           set(14, registers_.r14) && set(15, registers_.r15);
}

const Mapping* Walk::mapping_of(std::uint64_t address) const
{
    const auto found = std::find_if(mappings_.begin(), mappings_.end(),
                                    [&](const Mapping& mapping) { return mapping.has(address); });
    return found != mappings_.end() ? &*found : nullptr;
}

Result<Dwfl_Module*> Walk::module_of(const Mapping& mapping, std::uint64_t address)
{
    if (mapping.inode == 0) {
        return fail(mapping.path.empty() ? "code that was made at run time"
                                         : "no unwind information");
    }
    if (Dwfl_Module* known = dwfl_addrmodule(dwfl_.get(), address); known != nullptr) {
        const bool same = std::any_of(modules_.begin(), modules_.end(), [&](const Module& module) {
            return module.module == known && module.mapping.same_file(mapping);
        });
        return same ? Result<Dwfl_Module*>(known) : fail("mapped into another file");
    }
    File file = open_mapping(static_cast<std::uint32_t>(tid_), mapping);
    if (!file) {
        return fail("the file that is mapped cannot be opened");
    }
    ElfFile elf = open_elf(file.get());
    if (!elf) {
        return fail("not an ELF file");
    }
    if (std::string why = objection(elf.get()); !why.empty()) {
        return fail(std::move(why));
    }
    const auto image = image_of(elf.get(), mapping, address);
    if (!image) {
        return fail("not in a segment of its file");
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
    modules_.push_back({module, mapping, std::move(file), std::move(elf)});
    GElf_Addr bias = 0;
    if (dwfl_module_getelf(module, &bias) == nullptr || bias != image->bias ||
        dwfl_addrmodule(dwfl_.get(), address) != module) {
        return fail("its segments are not where they should be");
    }
    return module;
}

Result<CfiFrame> Walk::cfi_of(const Mapping& mapping, std::uint64_t address)
{
    const auto module = module_of(mapping, address);
    if (!module) {
        return tl::unexpected(module.error());
    }
    Dwarf_Addr bias = 0;
    Dwarf_Frame* frame = nullptr;
    Dwarf_CFI* cfi = dwfl_module_eh_cfi(*module, &bias);
    if (cfi == nullptr || dwarf_cfi_addrframe(cfi, address - bias, &frame) != 0) {
        // libdwfl would go on by what rbp may be.
        return fail("no unwind information");
    }
    return CfiFrame(frame);
}

int Walk::stop(std::string why)
{
    incomplete_ = std::move(why);
    ended_ = true;
    return DWARF_CB_ABORT;
}

int Walk::stop_at(const Mapping& mapping, const Error& error)
{
    const std::string name = mapping.file_name();
    return stop(name.empty() ? error.message : fmt::format("{}: {}", name, error.message));
}

int Walk::take(Dwfl_Frame* state)
{
    Dwarf_Addr ip = 0;
    Dwarf_Word sp = 0;
    if (!dwfl_frame_pc(state, &ip, nullptr) || dwfl_frame_reg(state, kSp, &sp) != 0) {
        return stop("ip or sp is not known");
    }
    const bool first = places_.empty();
    // A return address is behind the call, and that may be the last of its function.
    const std::uint64_t place = first || interrupted_ ? ip : ip - 1;
    const Mapping* mapping = mapping_of(place);
    if (mapping == nullptr) {
        return stop(fmt::format("0x{:x} is no code", ip));
    }
    if (sp < lowest_sp_) {
        return stop("the stack pointer goes the wrong way");
    }
    places_.push_back(place);
    unreadable_.clear();
    if (monotonic_ns() >= deadline_ns_) {
        return stop("no time left");
    }

    const auto frame = cfi_of(*mapping, place);
    if (!frame) {
        return stop_at(*mapping, frame.error());
    }
    bool is_trampoline = false;
    const int return_address = dwarf_frame_info(frame->get(), nullptr, nullptr, &is_trampoline);
    if (is_trampoline) {
        places_.back() = ip;  // nobody called it: it begins there
    }
    if (is_first_function(frame->get(), return_address)) {
        ended_ = true;
        return DWARF_CB_ABORT;
    }
    if (places_.size() == UserStacks::kMaxFrames) {
        return stop(fmt::format("more than {} functions", UserStacks::kMaxFrames));
    }
    if (const auto missing = missing_register(state, frame->get())) {
        return stop(fmt::format("{} is not known", *missing));
    }
    interrupted_ = is_trampoline;
    // The handler of a signal may have a stack of its own.
    lowest_sp_ = is_trampoline ? 0 : sp + 1;
    return DWARF_CB_OK;
}

void Walk::run()
{
    dwfl_.reset(dwfl_begin(&kFiles));
    if (!dwfl_) {
        stop("no memory");
        return;
    }
    // Attaching wants a file, to know the machine by.
    if (const Mapping* mapping = mapping_of(registers_.ip)) {
        if (auto module = module_of(*mapping, registers_.ip); !module) {
            places_.push_back(registers_.ip);
            stop_at(*mapping, module.error());
            return;
        }
    }
    if (!dwfl_attach_state(dwfl_.get(), nullptr, tid_, &kThread, this)) {
        stop(fmt::format("0x{:x} is no code", registers_.ip));
        return;
    }
    dwfl_getthread_frames(
        dwfl_.get(), tid_,
        [](Dwfl_Frame* state, void* walk) { return static_cast<Walk*>(walk)->take(state); }, this);
    if (!ended_) {
        stop(unreadable_.empty() ? "there is no return address" : unreadable_);
    }
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

UserStack UserStacks::of(std::uint32_t pid, std::uint32_t tid, const UserRegisters& registers)
{
    const std::uint64_t deadline_ns = monotonic_ns() + limit_ns_;
    // All is asked of the thread: the process's first thread may have ended.
    if (access(fmt::format("/proc/{}/task/{}", pid, tid).c_str(), F_OK) != 0) {
        return {{}, "the thread has ended"};
    }
    symbols_.forget(tid);
    const std::vector<Mapping> mappings = symbols_.mappings(tid);
    Walk walk(static_cast<pid_t>(tid), mappings, registers, deadline_ns);
    walk.run();

    UserStack stack{{}, walk.incomplete()};
    for (const std::uint64_t place : walk.places()) {
        if (monotonic_ns() >= deadline_ns) {
            stack.incomplete = "no time left";
            break;
        }
        stack.frames.push_back(symbols_.user(tid, place));
    }
    symbols_.forget(tid);
    if (!same_files(mappings, read_maps(tid))) {
        return {{}, "the process has changed meanwhile"};
    }
    return stack;
}

}  // namespace drainwatch
