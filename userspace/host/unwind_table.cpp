#include "host/unwind_table.hpp"

#include <dwarf.h>
#include <gelf.h>
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace drainwatch {
namespace {

/// libdw reads the whole section; without a sorted .eh_frame_hdr it looks through it from the
/// beginning.
constexpr std::uint64_t kMostBytes = 32U << 20U;
constexpr std::uint64_t kMostUnsortedBytes = 2U << 20U;

Elf_Scn* find_section(Elf* elf, std::string_view wanted, GElf_Shdr& header)
{
    std::size_t names = 0;
    if (elf_getshdrstrndx(elf, &names) != 0) {
        return nullptr;
    }
    Elf_Scn* section = nullptr;
    while ((section = elf_nextscn(elf, section)) != nullptr) {
        const char* name = gelf_getshdr(section, &header) != nullptr
                               ? elf_strptr(elf, names, header.sh_name)
                               : nullptr;
        if (name != nullptr && name == wanted && header.sh_type != SHT_NOBITS) {
            return section;
        }
    }
    return nullptr;
}

/// Is there a table to search, of the form that all linkers make?
bool is_sorted(Elf* elf)
{
    GElf_Shdr header{};
    Elf_Scn* section = find_section(elf, ".eh_frame_hdr", header);
    const Elf_Data* data = section != nullptr && header.sh_size <= kMostBytes
                               ? elf_rawdata(section, nullptr)
                               : nullptr;
    constexpr std::size_t kHead = 4;  // version, encodings of: .eh_frame's address, count, table
    if (data == nullptr || data->d_buf == nullptr || data->d_size < kHead) {
        return false;
    }
    const auto* head = static_cast<const unsigned char*>(data->d_buf);
    return head[0] == 1 && head[2] == DW_EH_PE_udata4 &&
           head[3] == (DW_EH_PE_datarel | DW_EH_PE_sdata4);
}

/// "" if there is none.
std::string objection(Elf* elf)
{
    GElf_Ehdr header{};
    if (gelf_getehdr(elf, &header) == nullptr || header.e_machine != EM_X86_64 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 ||
        (header.e_type != ET_EXEC && header.e_type != ET_DYN)) {
        return "not x86-64 code";
    }
    GElf_Shdr table{};
    if (find_section(elf, ".eh_frame", table) == nullptr || table.sh_size == 0) {
        return "no unwind information";
    }
    return table.sh_size > (is_sorted(elf) ? kMostBytes : kMostUnsortedBytes)
               ? "too much unwind information"
               : "";
}

std::optional<Image> image_of(Elf* elf, const Mapping& mapping, std::uint64_t address)
{
    const std::uint64_t file_begin = mapping.begin - mapping.offset;
    const std::uint64_t offset = address - file_begin;
    std::size_t headers = 0;
    elf_getphdrnum(elf, &headers);
    std::optional<std::uint64_t> bias;
    std::optional<std::uint64_t> lowest;
    std::uint64_t highest = 0;
    for (std::size_t i = 0; i < headers; i++) {
        GElf_Phdr header{};
        if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr ||
            header.p_type != PT_LOAD) {
            continue;
        }
        if (!lowest) {
            lowest = header.p_vaddr & -header.p_align;  // as libdwfl reckons: open_elf(), 0.188
        }
        highest = std::max(highest, header.p_vaddr + header.p_memsz);
        if (offset >= header.p_offset && offset - header.p_offset < header.p_filesz) {
            bias = file_begin + header.p_offset - header.p_vaddr;
        }
    }
    if (!bias) {
        return std::nullopt;
    }
    const Image image{*bias + *lowest, *bias + highest, *bias};
    const bool inside = address >= image.begin && address < image.end;
    return inside ? std::optional(image) : std::nullopt;
}

}  // namespace

Result<Image> image_to_unwind(Elf* elf, const Mapping& mapping, std::uint64_t address)
{
    if (std::string why = objection(elf); !why.empty()) {
        return fail(std::move(why));
    }
    const auto image = image_of(elf, mapping, address);
    return image ? Result<Image>(*image) : fail("not in a segment of its file");
}

}  // namespace drainwatch
