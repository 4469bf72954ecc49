#include "host/symbols.hpp"

#include "host/file.hpp"
#include "host/text_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <fstream>
#include <sstream>

namespace drainwatch {
namespace {

constexpr auto kUnknown = "[unknown]";

/// What is known of more files is read again.
constexpr std::size_t kMostFiles = 256;

}  // namespace

std::vector<Mapping> parse_maps(const std::string& text)
{
    // "55d0c8a00000-55d0c8a21000 r-xp 00002000 fe:01 1234    /usr/bin/cat"
    std::vector<Mapping> mappings;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        Mapping mapping;
        char dash = 0;
        std::string rights;
        unsigned major = 0;
        unsigned minor = 0;
        char colon = 0;
        fields >> std::hex >> mapping.begin >> dash >> mapping.end >> rights >> mapping.offset >>
            major >> colon >> minor >> std::dec >> mapping.inode;
        mapping.device = makedev(major, minor);
        if (!fields || rights.find('x') == std::string::npos) {
            continue;
        }
        std::getline(fields >> std::ws, mapping.path);
        mappings.push_back(std::move(mapping));
    }
    return mappings;
}

std::vector<Mapping> code_of(std::uint32_t pid)
{
    return parse_maps(read_text(fmt::format("/proc/{}/maps", pid)));
}

File open_mapped(std::uint32_t pid, const Mapping& mapping)
{
    const auto open_file = [](const std::string& path, struct stat& status) {
        File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        const bool regular = file && fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode);
        return regular ? std::move(file) : File();
    };
    struct stat status {};
    // By the mapping itself, where we may.
    if (File file = open_file(
            fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, mapping.begin, mapping.end), status)) {
        return file;
    }
    // Else by its name as the process sees it, which may be a newer file's by now.
    File file = open_file(fmt::format("/proc/{}/root{}", pid, mapping.path), status);
    const bool same = status.st_dev == mapping.device && status.st_ino == mapping.inode;
    return file && same ? std::move(file) : File();
}

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
    const auto key = std::pair(mapping.device, mapping.inode);
    if (const auto known = files_.find(key); known != files_.end()) {
        return known->second;
    }
    const File file = open_mapped(pid, mapping);
    if (!file) {
        static const ElfSymbols kNone;
        return kNone;
    }
    if (files_.size() >= kMostFiles) {
        files_.clear();
    }
    return files_.emplace(key, ElfSymbols(file.get())).first->second;
}

std::string Symbols::user(std::uint32_t pid, std::uint64_t address)
{
    auto process = mappings_.find(pid);
    if (process == mappings_.end()) {
        process = mappings_.emplace(pid, code_of(pid)).first;
    }
    for (const Mapping& mapping : process->second) {
        if (address < mapping.begin || address >= mapping.end) {
            continue;
        }
        if (mapping.path.empty()) {
            return kUnknown;  // code that was made at run time
        }
        const std::uint64_t offset = address - mapping.begin + mapping.offset;
        if (auto name = symbols_of(pid, mapping).at(offset)) {
            return *name;
        }
        return fmt::format("{}+0x{:x}", mapping.path.substr(mapping.path.rfind('/') + 1), offset);
    }
    return kUnknown;
}

}  // namespace drainwatch
