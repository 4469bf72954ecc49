#include "host/elf_symbols.hpp"

#include "host/elf_file.hpp"

#include <cxxabi.h>
#include <gelf.h>
#include <algorithm>
#include <cstdlib>
#include <memory>

namespace drainwatch {
namespace {

std::string demangled(const char* name)
{
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> plain(
        abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
    return status == 0 && plain ? plain.get() : name;
}

std::vector<ElfSegment> segments_of(Elf* elf)
{
    std::vector<ElfSegment> segments;
    std::size_t headers = 0;
    elf_getphdrnum(elf, &headers);
    for (std::size_t i = 0; i < headers; i++) {
        GElf_Phdr header{};
        if (gelf_getphdr(elf, static_cast<int>(i), &header) != nullptr &&
            header.p_type == PT_LOAD) {
            segments.push_back({header.p_offset, header.p_vaddr, header.p_filesz});
        }
    }
    return segments;
}

/// take(symbol, name) for every function that is defined there.
template <typename Take>
void for_each_function(Elf* elf, Take&& take)
{
    Elf_Scn* section = nullptr;
    while ((section = elf_nextscn(elf, section)) != nullptr) {
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
            const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
            if (name != nullptr && *name != '\0') {
                take(symbol, name);
            }
        }
    }
}

}  // namespace

ElfSymbols::ElfSymbols(int fd)
{
    const ElfFile elf = open_elf(fd);
    if (!elf) {
        return;
    }
    segments_ = segments_of(elf.get());
    for_each_function(elf.get(), [&](const GElf_Sym& symbol, const char* name) {
        functions_.push_back({symbol.st_value, symbol.st_size, name});
    });
    std::stable_sort(functions_.begin(), functions_.end(),
                     [](const Function& a, const Function& b) { return a.address < b.address; });
}

std::optional<std::string> ElfSymbols::at(std::uint64_t file_offset) const
{
    for (const ElfSegment& segment : segments_) {
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

ElfFunctions find_functions(int fd, std::span<const std::string_view> names)
{
    ElfFunctions found;
    const ElfFile elf = open_elf(fd);
    if (!elf) {
        return found;
    }
    GElf_Ehdr header{};
    found.machine = gelf_getehdr(elf.get(), &header) != nullptr ? header.e_machine : EM_NONE;
    const auto segments = segments_of(elf.get());
    for_each_function(elf.get(), [&](const GElf_Sym& symbol, const char* name) {
        if (std::find(names.begin(), names.end(), name) == names.end()) {
            return;
        }
        for (const ElfSegment& segment : segments) {
            if (symbol.st_value >= segment.address &&
                symbol.st_value - segment.address < segment.size) {
                found.offsets[name] = symbol.st_value - segment.address + segment.offset;
            }
        }
    });
    return found;
}

}  // namespace drainwatch
