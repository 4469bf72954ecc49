#include "host/symbols.hpp"

#include "host/file.hpp"
#include "host/text_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <fstream>
#include <sstream>

namespace drainwatch {
namespace {

constexpr auto kUnknown = "[unknown]";

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
        std::string device;
        std::string inode;
        fields >> std::hex >> mapping.begin >> dash >> mapping.end >> rights >> mapping.offset >>
            device >> inode;
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
    // By the mapping itself: the path may be of another mount namespace, or a newer file by now.
    const std::string path =
        fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, mapping.begin, mapping.end);
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
        static const ElfSymbols kNone;
        return kNone;
    }
    const auto key = std::pair(std::uint64_t{status.st_dev}, std::uint64_t{status.st_ino});
    const auto known = files_.find(key);
    return known != files_.end() ? known->second
                                 : files_.emplace(key, ElfSymbols(file.get())).first->second;
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
