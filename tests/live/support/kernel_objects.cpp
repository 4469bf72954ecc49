#include "support/kernel_objects.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace drainwatch::live {
namespace {

namespace fs = std::filesystem;

using Ids = std::set<std::uint32_t>;

Ids all_ids(int (*next)(std::uint32_t, std::uint32_t*))
{
    Ids ids;
    for (std::uint32_t id = 0; next(id, &id) == 0;) {
        ids.insert(id);
    }
    return ids;
}

/// "prog_id: 17" in /proc/<pid>/fdinfo/<fd>
void add_id(Ids& to, const fs::path& fdinfo, const std::string& key)
{
    std::ifstream file(fdinfo);
    for (std::string word; file >> word;) {
        std::uint32_t id = 0;
        if (word == key && file >> id) {
            to.insert(id);
        }
    }
}

void take_away(Ids& from, const Ids& what)
{
    Ids left;
    std::set_difference(from.begin(), from.end(), what.begin(), what.end(),
                        std::inserter(left, left.end()));
    from = std::move(left);
}

void take_away(KernelObjects& from, const KernelObjects& what)
{
    take_away(from.programs, what.programs);
    take_away(from.maps, what.maps);
    take_away(from.links, what.links);
}

}  // namespace

KernelObjects kernel_objects()
{
    return {all_ids(bpf_prog_get_next_id), all_ids(bpf_map_get_next_id),
            all_ids(bpf_link_get_next_id)};
}

KernelObjects objects_of(pid_t pid)
{
    KernelObjects objects;
    const fs::path process = "/proc/" + std::to_string(pid);
    std::error_code gone;  // a process, or a descriptor, may go at any time
    for (fs::directory_iterator fd(process / "fd", gone), end; !gone && fd != end;
         fd.increment(gone)) {
        std::error_code closed;
        const std::string kind = fs::read_symlink(fd->path(), closed);
        const fs::path fdinfo = process / "fdinfo" / fd->path().filename();
        if (kind == "anon_inode:bpf-prog") {
            add_id(objects.programs, fdinfo, "prog_id:");
        } else if (kind == "anon_inode:bpf-map") {
            add_id(objects.maps, fdinfo, "map_id:");
        } else if (kind == "anon_inode:bpf_link") {
            add_id(objects.links, fdinfo, "link_id:");
        }
    }
    return objects;
}

KernelObjects left_behind_since(const KernelObjects& before)
{
    KernelObjects left = kernel_objects();
    take_away(left, before);
    std::error_code error;
    for (fs::directory_iterator entry("/proc", error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename();
        pid_t pid = 0;
        if (left != KernelObjects{} &&
            std::from_chars(name.data(), name.data() + name.size(), pid).ec == std::errc{}) {
            take_away(left, objects_of(pid));
        }
    }
    return left;
}

std::string to_string(const KernelObjects& objects)
{
    return fmt::format("programs {}, maps {}, links {}", objects.programs, objects.maps,
                       objects.links);
}

}  // namespace drainwatch::live
