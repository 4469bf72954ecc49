#include "host/unwind_rules.hpp"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fmt/format.h>
#include <array>
#include <cstdint>

namespace drainwatch {
namespace {

/// As DWARF numbers them: System V ABI, AMD64 supplement, figure 3.36.
constexpr std::array kRegisterNames{"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
                                    "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

std::string register_name(std::uint64_t number)
{
    return number < kRegisterNames.size() ? kRegisterNames.at(number)
                                          : fmt::format("register {}", number);
}

}  // namespace

std::optional<std::string> missing_register(Dwfl_Frame* state, Dwarf_Frame* rules)
{
    Dwarf_Op* operations = nullptr;
    std::size_t count = 0;
    if (dwarf_frame_cfa(rules, &operations, &count) != 0) {
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

bool is_first_function(Dwarf_Frame* rules, int return_address)
{
    std::array<Dwarf_Op, 3> memory{};
    Dwarf_Op* operations = nullptr;
    std::size_t count = 0;
    return dwarf_frame_register(rules, return_address, memory.data(), &operations, &count) == 0 &&
           count == 0 && operations == memory.data();
}

}  // namespace drainwatch
