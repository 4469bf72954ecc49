#pragma once

#include <libelf.h>
#include <memory>

namespace drainwatch {

struct ElfCloser {
    void operator()(Elf* elf) const { elf_end(elf); }
};
using ElfFile = std::unique_ptr<Elf, ElfCloser>;

/// Null where it is no ELF file. Of the file, only its headers are read, and each section as it is
/// asked for, so `fd` has to stay open. It is not mapped: if its owner cut it off meanwhile, that
/// would be a SIGBUS.
[[nodiscard]] inline ElfFile open_elf(int fd)
{
    elf_version(EV_CURRENT);
    ElfFile elf(elf_begin(fd, ELF_C_READ, nullptr));
    return elf && elf_kind(elf.get()) == ELF_K_ELF ? std::move(elf) : nullptr;
}

}  // namespace drainwatch
