#pragma once

#include "cause/thread_view.hpp"
#include "drainwatch/result.hpp"
#include "host/elf_file.hpp"
#include "host/mapped_files.hpp"
#include "host/unwind_rules.hpp"

#include <elfutils/libdwfl.h>
#include <sys/types.h>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace drainwatch {

/// Why a walk ended, if so.
inline constexpr auto kNoTimeLeft = "no time left";

/// One way up a stack, as libdwfl goes it. It calls back; nothing here throws but for memory.
class StackWalk {
public:
    struct Limits {
        std::uint64_t deadline_ns = 0;  ///< by CLOCK_MONOTONIC
        std::size_t frames = 0;
    };
    struct Place {
        std::uint64_t address = 0;  ///< in the call, not where that returns to
        const Mapping* mapping = nullptr;
    };

    /// What is referred to has to outlive it.
    StackWalk(std::uint32_t tid, const std::vector<Mapping>& mappings, MappedFiles& files,
              const UserRegisters& registers, Limits limits);
    void run();

    /// One in each function, innermost first.
    [[nodiscard]] const std::vector<Place>& places() const { return places_; }
    /// Why there are no more; "" if the thread's first function is there.
    [[nodiscard]] const std::string& incomplete() const { return incomplete_; }

private:
    /// A file that libdwfl knows.
    struct Module {
        Dwfl_Module* module = nullptr;
        Mapping mapping;
        ElfFile elf;
    };
    struct DwflCloser {
        void operator()(Dwfl* dwfl) const { dwfl_end(dwfl); }
    };

    [[nodiscard]] bool is_late() const;
    [[nodiscard]] Result<Dwfl_Module*> module_of(const Mapping& mapping, std::uint64_t address);
    [[nodiscard]] Result<Dwfl_Module*> report(const Mapping& mapping, std::uint64_t address);
    [[nodiscard]] Result<UnwindRules> rules_of(const Mapping& mapping, std::uint64_t address);
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

    std::uint32_t tid_;
    const std::vector<Mapping>& mappings_;
    MappedFiles& files_;
    const UserRegisters& registers_;
    Limits limits_;

    std::vector<Place> places_;
    std::string incomplete_;
    bool ended_ = false;
    bool interrupted_ = false;     ///< the frame to come is one that a signal interrupted
    std::uint64_t lowest_sp_ = 0;  ///< what the frame to come may have
    std::string unreadable_;       ///< what could not be read since the last frame

    std::vector<Module> modules_;
    std::unique_ptr<Dwfl, DwflCloser> dwfl_;  // ends before the files that it knows
};

}  // namespace drainwatch
