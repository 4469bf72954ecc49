#include "bench/programs.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

namespace drainwatch::bench {
namespace {

/// The number behind "link_id:" of a descriptor's fdinfo.
std::optional<std::uint32_t> link_id(const std::filesystem::path& fdinfo)
{
    std::ifstream file(fdinfo);
    for (std::string word; file >> word;) {
        std::uint32_t id = 0;
        if (word == "link_id:" && file >> id) {
            return id;
        }
    }
    return std::nullopt;
}

template <class Info>
Info info_of(int fd)
{
    Info info{};
    __u32 length = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) {
        throw std::runtime_error(fmt::format("a BPF object gives no info: {}", errno));
    }
    return info;
}

/// Nothing for a link that is not one to a tracepoint.
std::optional<HookedProgram> program_of(std::uint32_t id)
{
    const File link(bpf_link_get_fd_by_id(id));
    std::array<char, 128> name{};
    bpf_link_info info{};
    info.raw_tracepoint.tp_name = reinterpret_cast<std::uint64_t>(name.data());
    info.raw_tracepoint.tp_name_len = name.size();
    __u32 length = sizeof(info);
    if (!link || bpf_obj_get_info_by_fd(link.get(), &info, &length) != 0) {
        throw std::runtime_error(fmt::format("cannot look at BPF link {}", id));
    }
    if (info.type != BPF_LINK_TYPE_RAW_TRACEPOINT) {
        return std::nullopt;
    }
    HookedProgram found{name.data(), {}, File(bpf_prog_get_fd_by_id(info.prog_id))};
    found.name = info_of<bpf_prog_info>(found.program.get()).name;
    return found;
}

}  // namespace

RunCounters HookedProgram::counters() const
{
    const auto info = info_of<bpf_prog_info>(program.get());
    return {info.run_cnt, info.run_time_ns};
}

std::vector<File> attach(const std::vector<HookedProgram>& programs)
{
    std::vector<File> links;
    for (const HookedProgram& hooked : programs) {
        links.emplace_back(bpf_raw_tracepoint_open(nullptr, hooked.program.get()));
        if (!links.back()) {
            throw std::runtime_error("cannot attach to " + hooked.tracepoint);
        }
    }
    return links;
}

std::vector<HookedProgram> programs_of(pid_t pid)
{
    std::vector<HookedProgram> found;
    for (const auto& entry :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/fdinfo", pid))) {
        const auto id = link_id(entry.path());
        auto program = id ? program_of(*id) : std::nullopt;
        if (program) {
            found.push_back(std::move(*program));
        }
    }
    return found;
}

File count_runs()
{
    File statistics(bpf_enable_stats(BPF_STATS_RUN_TIME));
    if (!statistics) {
        throw std::runtime_error("the kernel does not count the runs of BPF programs");
    }
    return statistics;
}

}  // namespace drainwatch::bench
