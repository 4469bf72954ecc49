#include "host/symbols.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <fstream>
#include <iterator>
#include <sstream>

namespace drainwatch {
namespace {

constexpr auto kUnknown = "[unknown]";

/// Of so many files the symbols are kept; libraries are mostly those of the last process, too.
constexpr std::size_t kMaxFiles = 256;

}  // namespace

void Symbols::read_kernel_symbols()
{
    // "ffffffff81000000 T _stext [module]"; all addresses are 0 for who may not see them.
    std::ifstream file("/proc/kallsyms");
    std::uint64_t address = 0;
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        char type = 0;
        std::string name;
        fields >> std::hex >> address >> type >> name;
        // What is no code ends the code before it, too.
        if (fields && address != 0) {
            const bool code = type == 't' || type == 'T' || type == 'w' || type == 'W';
            kernel_.try_emplace(address, code ? name : "");
        }
    }
    kernel_is_read_ = true;
}

std::string Symbols::kernel(std::uint64_t address)
{
    if (!kernel_is_read_) {
        read_kernel_symbols();
    }
    auto after = kernel_.upper_bound(address);
    if (after == kernel_.begin() || after == kernel_.end()) {
        return kUnknown;
    }
    const std::string& name = std::prev(after)->second;
    return name.empty() ? kUnknown : name;
}

const ElfSymbols& Symbols::symbols_of(std::uint32_t pid, const Mapping& mapping)
{
    const File file = open_mapping(pid, mapping);
    struct stat status {};
    if (!file || fstat(file.get(), &status) != 0) {
        static const ElfSymbols kNone;
        return kNone;
    }
    // A file can be written again where it is, and an inode be given to another file.
    constexpr std::int64_t kNs = 1'000'000'000;
    const FileVersion version(status.st_dev, status.st_ino, status.st_size,
                              status.st_ctim.tv_sec * kNs + status.st_ctim.tv_nsec);
    if (const auto known = files_.find(version); known != files_.end()) {
        return known->second;
    }
    if (files_.size() == kMaxFiles) {
        files_.clear();
    }
    return files_.emplace(version, ElfSymbols(file.get())).first->second;
}

const std::vector<Mapping>& Symbols::mappings(std::uint32_t pid)
{
    const auto known = mappings_.find(pid);
    return known != mappings_.end() ? known->second
                                    : mappings_.emplace(pid, read_maps(pid)).first->second;
}

std::string Symbols::user(std::uint32_t pid, std::uint64_t address)
{
    for (const Mapping& mapping : mappings(pid)) {
        if (!mapping.has(address)) {
            continue;
        }
        if (mapping.path.empty()) {
            return kUnknown;  // code that was made at run time
        }
        const std::uint64_t offset = address - mapping.begin + mapping.offset;
        if (auto name = symbols_of(pid, mapping).at(offset)) {
            return *name;
        }
        return fmt::format("{}+0x{:x}", mapping.file_name(), offset);
    }
    return kUnknown;
}

}  // namespace drainwatch
