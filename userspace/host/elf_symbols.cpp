#include "host/elf_symbols.hpp"

#include "host/demangle.hpp"
#include "host/elf_file.hpp"

#include <gelf.h>
#include <algorithm>

namespace drainwatch {
namespace {

/// Of a file that is searched for a few functions.
constexpr std::uint64_t kMostBytesSearched = std::uint64_t{256} << 20;

/// Linkers make a handful.
constexpr std::size_t kMostSegments = 64;

std::vector<ElfSegment> segments_of(Elf* elf)
{
    std::vector<ElfSegment> segments;
    std::size_t headers = 0;
    elf_getphdrnum(elf, &headers);
    for (std::size_t i = 0; i < headers && segments.size() < kMostSegments; i++) {
        GElf_Phdr header{};
        if (gelf_getphdr(elf, static_cast<int>(i), &header) != nullptr &&
            header.p_type == PT_LOAD) {
            segments.push_back({header.p_offset, header.p_vaddr, header.p_filesz});
        }
    }
    return segments;
}

/// Symbols and their names.
struct SymbolTable {
    Elf_Data* symbols = nullptr;
    int count = 0;
    std::string_view names;  ///< each with a zero behind it
};

/// What is read of the file is taken from `bytes_left`.
std::optional<SymbolTable> read_table(Elf* elf, Elf_Scn* section, std::uint64_t& bytes_left)
{
    GElf_Shdr header{};
    GElf_Shdr names_header{};
    if (gelf_getshdr(section, &header) == nullptr ||
        (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM)) {
        return std::nullopt;
    }
    Elf_Scn* names_section = elf_getscn(elf, header.sh_link);
    if (gelf_getshdr(names_section, &names_header) == nullptr ||
        names_header.sh_type != SHT_STRTAB || header.sh_size > bytes_left ||
        names_header.sh_size > bytes_left - header.sh_size) {
        return std::nullopt;
    }
    bytes_left -= header.sh_size + names_header.sh_size;
    Elf_Data* symbols = elf_getdata(section, nullptr);
    const Elf_Data* names = elf_getdata(names_section, nullptr);
    if (symbols == nullptr || names == nullptr || names->d_buf == nullptr || names->d_size == 0 ||
        static_cast<const char*>(names->d_buf)[names->d_size - 1] != 0) {
        return std::nullopt;
    }
    const std::size_t count = symbols->d_size / gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
    return SymbolTable{
        symbols, static_cast<int>(count), {static_cast<const char*>(names->d_buf), names->d_size}};
}

std::vector<SymbolTable> read_tables(Elf* elf, std::uint64_t bytes_left)
{
    std::vector<SymbolTable> tables;
    Elf_Scn* section = nullptr;
    while ((section = elf_nextscn(elf, section)) != nullptr) {
        if (const auto table = read_table(elf, section, bytes_left)) {
            tables.push_back(*table);
        }
    }
    return tables;
}

/// take(symbol) for every function that is defined there and has a name.
template <typename Take>
void for_each_function(const SymbolTable& table, Take&& take)
{
    for (int i = 0; i < table.count; i++) {
        GElf_Sym symbol{};
        if (gelf_getsym(table.symbols, i, &symbol) != nullptr &&
            GELF_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
            symbol.st_size != 0 && symbol.st_name < table.names.size() &&
            table.names[symbol.st_name] != 0) {
            take(symbol);
        }
    }
}

}  // namespace

ElfSymbols::ElfSymbols(int fd, std::size_t most_table_bytes)
{
    const ElfFile elf = open_elf(fd);
    if (!elf) {
        return;
    }
    segments_ = segments_of(elf.get());
    for (const SymbolTable& table : read_tables(elf.get(), most_table_bytes)) {
        const auto number = static_cast<std::uint32_t>(names_.size());
        for_each_function(table, [&](const GElf_Sym& symbol) {
            functions_.push_back({symbol.st_value, symbol.st_size, symbol.st_name, number});
        });
        names_.emplace_back(table.names);
    }
    std::stable_sort(functions_.begin(), functions_.end(),
                     [](const Function& a, const Function& b) { return a.address < b.address; });
    functions_.shrink_to_fit();
}

std::size_t ElfSymbols::bytes() const
{
    std::size_t bytes = sizeof(*this) + functions_.capacity() * sizeof(Function);
    for (const std::string& names : names_) {
        bytes += names.capacity();
    }
    return bytes;
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
            const auto name =
                std::string_view(names_[function.table]).substr(function.name, kLongestName + 1);
            return demangled(name.substr(0, name.find('\0')));
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
    for (const SymbolTable& table : read_tables(elf.get(), kMostBytesSearched)) {
        for_each_function(table, [&](const GElf_Sym& symbol) {
            // which may go on to the end of the table
            const std::string_view rest = table.names.substr(symbol.st_name);
            const auto name =
                std::find_if(names.begin(), names.end(), [&](std::string_view wanted) {
                    return rest.starts_with(wanted) && rest[wanted.size()] == 0;
                });
            if (name == names.end()) {
                return;
            }
            for (const ElfSegment& segment : segments) {
                if (symbol.st_value >= segment.address &&
                    symbol.st_value - segment.address < segment.size) {
                    found.offsets[std::string(*name)] =
                        symbol.st_value - segment.address + segment.offset;
                }
            }
        });
    }
    return found;
}

}  // namespace drainwatch
