#include "bpf/tls_probes.hpp"

#include "host/file.hpp"
#include "host/proc.hpp"
#include "output/escape.hpp"
#include "profile.skel.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

namespace drainwatch {
namespace {

/// Each takes some twenty descriptors.
constexpr std::size_t kMostProcesses = 256;

/// What is run as a function is called, and as it returns; NULL: nothing.
struct Programs {
    bpf_program* begin;
    bpf_program* end;
};

Programs programs_for(const profile_bpf& skeleton, const TlsLibrary& library, TlsCall call)
{
    const auto& programs = skeleton.progs;
    const bool gnutls = library.name == "GnuTLS";
    switch (call) {
        case TlsCall::read:
            return {programs.tls_read_begin,
                    gnutls ? programs.gnutls_read_end : programs.openssl_read_end};
        case TlsCall::handshake:
            return {programs.tls_handshake_begin,
                    gnutls ? programs.gnutls_handshake_end : programs.openssl_handshake_end};
        case TlsCall::peek: return {programs.tls_peek_begin, programs.tls_peek_end};
        case TlsCall::ask_error: return {programs.openssl_error_begin, programs.openssl_error_end};
        case TlsCall::free: return {programs.tls_free, nullptr};
    }
    return {nullptr, nullptr};
}

std::string key_of(const TlsLibrary& library)
{
    return library.path + ' ' + library.name;
}

}  // namespace

void TlsProbes::LinkCloser::operator()(bpf_link* link) const
{
    bpf_link__destroy(link);
}

void TlsProbes::follow(profile_bpf& skeleton, const std::set<std::uint32_t>& pids)
{
    std::erase_if(processes_, [&](const auto& known) { return !pids.contains(known.first); });
    for (const std::uint32_t pid : pids) {
        for (const TlsLibrary& library : libraries_.of(pid)) {
            trace(skeleton, pid, library);
        }
    }
}

void TlsProbes::trace(profile_bpf& skeleton, std::uint32_t pid, const TlsLibrary& library)
{
    if (!processes_.contains(pid) && processes_.size() >= kMostProcesses) {
        note_missing(library, fmt::format("more than {} processes use it", kMostProcesses));
        return;
    }
    Process& process = processes_[pid];
    if (!process.seen.emplace(library.id, key_of(library)).second) {
        return;
    }
    if (library.functions.empty()) {
        note_missing(library, library.why_not);
        return;
    }
    std::vector<Link> links;
    if (!attach(skeleton, pid, library, links)) {
        const int error = errno;
        if (proc::comm(pid)) {  // else it has ended meanwhile
            note_missing(library, std::generic_category().message(error));
        }
        return;
    }
    std::move(links.begin(), links.end(), std::back_inserter(process.links));
    TlsTracedLibrary& traced = traced_[key_of(library)];
    traced.name = library.name;
    traced.path = library.path;
    traced.calls = library.measured_calls();
    traced.processes++;
    skeleton.bss->tls_traced = 1;
}

namespace {

/// The kernel reads the page of a probe itself where nobody has, in a way of which ext4 warns (seen
/// with 6.18): so it is read before.
void read_pages(const TlsLibrary& library)
{
    const File file(open(library.file.c_str(), O_RDONLY | O_CLOEXEC));
    for (const TlsFunction& function : library.functions) {
        char byte = 0;
        (void)pread(file.get(), &byte, sizeof(byte), static_cast<off_t>(function.offset));
    }
}

}  // namespace

/// All of its functions, or none.
bool TlsProbes::attach(profile_bpf& skeleton, std::uint32_t pid, const TlsLibrary& library,
                       std::vector<Link>& links)
{
    read_pages(library);
    for (const TlsFunction& function : library.functions) {
        const Programs programs = programs_for(skeleton, library, function.call);
        // The return first: a call that is seen to begin is seen to end.
        for (const auto& [program, at_return] :
             {std::pair{programs.end, true}, std::pair{programs.begin, false}}) {
            if (program == nullptr) {
                continue;
            }
            bpf_link* link = bpf_program__attach_uprobe(program, at_return, static_cast<pid_t>(pid),
                                                        library.file.c_str(), function.offset);
            if (link == nullptr) {
                return false;
            }
            links.emplace_back(link);
        }
    }
    return true;
}

void TlsProbes::note_missing(const TlsLibrary& library, const std::string& reason)
{
    missing_.try_emplace(
        key_of(library),
        MissingPart{fmt::format("{} {}", library.name, escape(library.path)), reason, ""});
}

void TlsProbes::detach()
{
    processes_.clear();
}

TlsTraced TlsProbes::traced() const
{
    TlsTraced all;
    for (const auto& [key, library] : traced_) {
        all.libraries.push_back(library);
    }
    for (const auto& [key, part] : missing_) {
        all.missing.push_back(part);
        all.missing.back().cost = traced_.contains(key)
                                      ? "its calls are not measured in every process that has it"
                                      : "its calls are not measured";
    }
    return all;
}

}  // namespace drainwatch
