#pragma once

#include <elfutils/libdwfl.h>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

namespace drainwatch {

struct FrameFree {
    void operator()(Dwarf_Frame* frame) const { std::free(frame); }
};
/// What the unwind table says of one place in the code.
using UnwindRules = std::unique_ptr<Dwarf_Frame, FrameFree>;

/// "rbp": a register that leads to the caller's frame and is not known.
[[nodiscard]] std::optional<std::string> missing_register(Dwfl_Frame* state, Dwarf_Frame* rules);

/// The thread's first function says that its return address is undefined. A return address that
/// could not be read ends libdwfl's walk just the same.
[[nodiscard]] bool is_first_function(Dwarf_Frame* rules, int return_address);

}  // namespace drainwatch
