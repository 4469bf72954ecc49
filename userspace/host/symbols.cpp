#include "host/symbols.hpp"

#include <fmt/format.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace drainwatch {
namespace {

constexpr auto kUnknown = "[unknown]";

/// What is known of more is read again.
constexpr std::size_t kMostFiles = 256;
constexpr std::size_t kMostBytes = std::size_t{64} << 20;

/// It has no memory any more, though others of its process may.
bool has_ended(std::uint32_t tid)
{
    std::error_code error;
    (void)std::filesystem::read_symlink(fmt::format("/proc/{}/exe", tid), error);
    return static_cast<bool>(error);
}

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

const ElfSymbols& Symbols::symbols_of(const File& file)
{
    static const ElfSymbols kNone;
    const auto version = version_of(file.get());
    if (!version) {
        return kNone;
    }
    if (const auto known = files_.find(*version); known != files_.end()) {
        return known->second;
    }
    ElfSymbols symbols(file.get());
    if (version_of(file.get()) != version) {
        return kNone;
    }
    if (files_.size() >= kMostFiles || bytes_of_files_ + symbols.bytes() > kMostBytes) {
        files_.clear();
        bytes_of_files_ = 0;
    }
    bytes_of_files_ += symbols.bytes();
    return files_.emplace(*version, std::move(symbols)).first->second;
}

std::string Symbols::mapped(const Mapping& mapping, const File& file, std::uint64_t address)
{
    if (mapping.path.empty()) {
        return kUnknown;  // code that was made at run time
    }
    const std::uint64_t offset = address - mapping.begin + mapping.offset;
    if (auto name = symbols_of(file).at(offset)) {
        return *name;
    }
    return fmt::format("{}+0x{:x}", mapping.file_name(), offset);
}

std::string Symbols::user(std::uint32_t pid, std::uint64_t address)
{
    auto process = processes_.find(pid);
    if (process == processes_.end()) {
        process = processes_.emplace(pid, read_code(pid)).first;
    }
    const Mapping* mapping = mapping_at(process->second.mappings, address);
    if (mapping == nullptr) {
        return kUnknown;
    }
    File file = open_mapping(process->second.tid, *mapping);
    if (!file && has_ended(process->second.tid)) {
        process->second = read_code(pid);  // of another thread
        mapping = mapping_at(process->second.mappings, address);
        if (mapping == nullptr) {
            return kUnknown;
        }
        file = open_mapping(process->second.tid, *mapping);
    }
    return mapped(*mapping, file, address);
}

}  // namespace drainwatch
