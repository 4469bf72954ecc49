#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace drainwatch {

/// The functions of an ELF file, by where their code is in the file.
class ElfSymbols {
public:
    ElfSymbols() = default;
    /// Of a file that is no ELF file, or has no symbols, nothing is known. `fd` is read, not kept.
    explicit ElfSymbols(int fd);

    /// The function that has this byte of the file, C++ names demangled; nothing if no symbol
    /// says so.
    [[nodiscard]] std::optional<std::string> at(std::uint64_t file_offset) const;

private:
    struct Segment {
        std::uint64_t offset = 0;
        std::uint64_t address = 0;
        std::uint64_t size = 0;
    };
    struct Function {
        std::uint64_t address = 0;
        std::uint64_t size = 0;
        std::string name;
    };

    std::vector<Segment> segments_;
    std::vector<Function> functions_;  ///< by address
};

}  // namespace drainwatch
