#pragma once

#include "host/elf_symbols.hpp"
#include "host/mapping.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace drainwatch {

/// Names of places in the code. What cannot be told is said so, never guessed.
class Symbols {
public:
    /// "tcp_recvmsg", or "[unknown]"
    [[nodiscard]] std::string kernel(std::uint64_t address);

    /// "main", "libfoo.so.1+0x1234" where the file has no symbol for it, or "[unknown]": no file,
    /// or the process has ended. The process's mappings are those of its first address, until it
    /// is forgotten.
    [[nodiscard]] std::string user(std::uint32_t pid, std::uint64_t address);

    /// What of its memory can hold code.
    [[nodiscard]] const std::vector<Mapping>& mappings(std::uint32_t pid);

    /// For it may run another program by now, have loaded libraries, or be another process.
    void forget(std::uint32_t pid) { mappings_.erase(pid); }

private:
    /// Device, inode, size, and the time of its last change, ns.
    using FileVersion = std::tuple<std::uint64_t, std::uint64_t, std::int64_t, std::int64_t>;

    void read_kernel_symbols();
    [[nodiscard]] const ElfSymbols& symbols_of(std::uint32_t pid, const Mapping& mapping);

    bool kernel_is_read_ = false;
    std::map<std::uint64_t, std::string> kernel_;
    std::map<std::uint32_t, std::vector<Mapping>> mappings_;
    std::map<FileVersion, ElfSymbols> files_;
};

}  // namespace drainwatch
