#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drainwatch {

/// A part of the file that is loaded.
struct ElfSegment {
    std::uint64_t offset = 0;
    std::uint64_t address = 0;
    std::uint64_t size = 0;
};

/// The functions of an ELF file, by where their code is in the file. Nothing else is read of it,
/// however much it has to tell to debuggers.
class ElfSymbols {
public:
    /// Tables of symbols that are longer, with their names, are as if they were not there.
    static constexpr std::size_t kMostTableBytes = std::size_t{32} << 20;

    ElfSymbols() = default;
    /// Of a file that is no ELF file, or has no symbols, nothing is known. `fd` is read, not kept.
    explicit ElfSymbols(int fd, std::size_t most_table_bytes = kMostTableBytes);

    /// The function that has this byte of the file, C++ names demangled; nothing if no symbol
    /// says so.
    [[nodiscard]] std::optional<std::string> at(std::uint64_t file_offset) const;

    /// Of memory.
    [[nodiscard]] std::size_t bytes() const;

private:
    struct Function {
        std::uint64_t address = 0;
        std::uint64_t size = 0;
        std::uint32_t name = 0;   ///< where it begins
        std::uint32_t table = 0;  ///< in which of the names
    };

    std::vector<ElfSegment> segments_;
    std::vector<Function> functions_;  ///< by address
    std::vector<std::string> names_;   ///< as the file has them, each with a zero behind it
};

/// Functions that were looked for by their names, not demangled.
struct ElfFunctions {
    std::uint16_t machine = 0;                     ///< e_machine; 0: this is no ELF file
    std::map<std::string, std::uint64_t> offsets;  ///< where the code of each is in the file
};

/// Those that the file itself has, not those that it calls. `fd` is read, not kept.
[[nodiscard]] ElfFunctions find_functions(int fd, std::span<const std::string_view> names);

}  // namespace drainwatch
