#pragma once

#include "host/elf_symbols.hpp"
#include "host/file.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace drainwatch {

/// A part of a process's memory that is a file's.
struct Mapping {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t offset = 0;  ///< in the file
    std::uint64_t device = 0;  ///< as stat() has it
    std::uint64_t inode = 0;
    std::string path;  ///< as /proc/<pid>/maps has it: "[vdso]", "" where it is no file
};

/// Of the lines of /proc/<pid>/maps, those that can hold code.
[[nodiscard]] std::vector<Mapping> parse_maps(const std::string& text);
/// Those of a process; none if it has ended.
[[nodiscard]] std::vector<Mapping> code_of(std::uint32_t pid);

/// The very file that is mapped there, whatever has its name by now; none if it cannot be had.
[[nodiscard]] File open_mapped(std::uint32_t pid, const Mapping& mapping);

/// Names of places in the code. What cannot be told is said so, never guessed.
class Symbols {
public:
    /// "tcp_recvmsg", or "[unknown]"
    [[nodiscard]] std::string kernel(std::uint64_t address);

    /// "main", "libfoo.so.1+0x1234" where the file has no symbol for it, or "[unknown]": no file,
    /// or the process has ended.
    [[nodiscard]] std::string user(std::uint32_t pid, std::uint64_t address);

    /// What is mapped where in the process may have changed, or the number be another's by now.
    void forget(std::uint32_t pid) { mappings_.erase(pid); }

private:
    void read_kernel_symbols();
    [[nodiscard]] const ElfSymbols& symbols_of(std::uint32_t pid, const Mapping& mapping);

    bool kernel_is_read_ = false;
    std::map<std::uint64_t, std::string> kernel_;
    std::map<std::uint32_t, std::vector<Mapping>> mappings_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, ElfSymbols> files_;  ///< by device, inode
};

}  // namespace drainwatch
