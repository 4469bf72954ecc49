#include "host/elf_symbols.hpp"

#include <cxxabi.h>
#include <gelf.h>
#include <algorithm>
#include <cstdlib>
#include <memory>

namespace drainwatch {
namespace {

struct ElfCloser {
    void operator()(Elf* elf) const { elf_end(elf); }
};
using ElfFile = std::unique_ptr<Elf, ElfCloser>;

std::string demangled(const char* name)
{
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> plain(
        abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
    return status == 0 && plain ? plain.get() : name;
}

}  // namespace

ElfSymbols::ElfSymbols(int fd)
{
    elf_version(EV_CURRENT);
    const ElfFile elf(elf_begin(fd, ELF_C_READ_MMAP, nullptr));
    if (!elf || elf_kind(elf.get()) != ELF_K_ELF) {
        return;
    }
    std::size_t headers = 0;
    elf_getphdrnum(elf.get(), &headers);
    for (std::size_t i = 0; i < headers; i++) {
        GElf_Phdr header{};
        if (gelf_getphdr(elf.get(), static_cast<int>(i), &header) != nullptr &&
            header.p_type == PT_LOAD) {
            segments_.push_back({header.p_offset, header.p_vaddr, header.p_filesz});
        }
    }
    Elf_Scn* section = nullptr;
    while ((section = elf_nextscn(elf.get(), section)) != nullptr) {
        GElf_Shdr header{};
        if (gelf_getshdr(section, &header) == nullptr || header.sh_entsize == 0 ||
            (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM)) {
            continue;
        }
        Elf_Data* data = elf_getdata(section, nullptr);
        const auto count = static_cast<int>(header.sh_size / header.sh_entsize);
        for (int i = 0; data != nullptr && i < count; i++) {
            GElf_Sym symbol{};
            if (gelf_getsym(data, i, &symbol) == nullptr ||
                GELF_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF ||
                symbol.st_size == 0) {
                continue;
            }
            const char* name = elf_strptr(elf.get(), header.sh_link, symbol.st_name);
            if (name != nullptr && *name != '\0') {
                functions_.push_back({symbol.st_value, symbol.st_size, name});
            }
        }
    }
    std::stable_sort(functions_.begin(), functions_.end(),
                     [](const Function& a, const Function& b) { return a.address < b.address; });
}

std::optional<std::string> ElfSymbols::at(std::uint64_t file_offset) const
{
    for (const Segment& segment : segments_) {
        if (file_offset < segment.offset || file_offset - segment.offset >= segment.size) {
            continue;
        }
        const std::uint64_t address = file_offset - segment.offset + segment.address;
        auto after = std::upper_bound(
            functions_.begin(), functions_.end(), address,
            [](std::uint64_t wanted, const Function& f) { return wanted < f.address; });
        if (after == functions_.begin()) {
            return std::nullopt;
        }
        const Function& function = *--after;
        if (address - function.address < function.size) {
            return demangled(function.name.c_str());
        }
        return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace drainwatch
