#pragma once

#include "host/elf_symbols.hpp"
#include "host/file_version.hpp"
#include "host/mapping.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace drainwatch {

/// Names of places in the code. What cannot be told is said so, never guessed. What is known of
/// files is kept, of the same version of the same file: 64 MiB at most, or one file.
class Symbols {
public:
    /// "tcp_recvmsg", or "[unknown]"
    [[nodiscard]] std::string kernel(std::uint64_t address);

    /// "main", "libfoo.so.1+0x1234" where the file has no symbol for it, or "[unknown]": no file,
    /// or the process has ended. What is mapped where is as it was at its first address, until it
    /// is forgotten.
    [[nodiscard]] std::string user(std::uint32_t pid, std::uint64_t address);

    /// The process may run another program by now, have loaded libraries, or be another one.
    void forget(std::uint32_t pid) { processes_.erase(pid); }

    /// The same, by the mapping that has the address, and its file if that could be opened.
    [[nodiscard]] std::string mapped(const Mapping& mapping, const File& file,
                                     std::uint64_t address);

private:
    void read_kernel_symbols();
    /// None of a file that is written to meanwhile.
    [[nodiscard]] const ElfSymbols& symbols_of(const File& file);

    bool kernel_is_read_ = false;
    std::map<std::uint64_t, std::string> kernel_;
    std::map<std::uint32_t, ProcessCode> processes_;
    std::map<FileVersion, ElfSymbols> files_;
    std::size_t bytes_of_files_ = 0;
};

}  // namespace drainwatch
