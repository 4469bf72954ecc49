#include "bench/twins.hpp"

#include "twins.skel.h"

#include <fcntl.h>
#include <stdexcept>

namespace drainwatch::bench {
namespace {

std::string tracepoint_of(const bpf_program* program)
{
    const std::string section = bpf_program__section_name(program);  // "tp_btf/tcp_probe"
    return section.substr(section.find('/') + 1);
}

}  // namespace

Twins::Twins() : skeleton_(twins_bpf__open())
{
    if (!skeleton_) {
        throw std::runtime_error("cannot open the empty twins");
    }
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton_->obj)
    {
        const bool has_tracepoint =
            libbpf_find_vmlinux_btf_id(tracepoint_of(program).c_str(), BPF_TRACE_RAW_TP) > 0;
        bpf_program__set_autoload(program, has_tracepoint);
    }
    if (twins_bpf__load(skeleton_.get()) != 0) {
        throw std::runtime_error("cannot load the empty twins");
    }
}

std::vector<HookedProgram> Twins::programs(const std::string& prefix) const
{
    std::vector<HookedProgram> programs;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton_->obj)
    {
        const std::string tracepoint = tracepoint_of(program);
        if (bpf_program__autoload(program) && bpf_program__name(program) == prefix + tracepoint) {
            programs.push_back({tracepoint, tracepoint,
                                File(fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0))});
        }
    }
    return programs;
}

void Twins::Deleter::operator()(twins_bpf* skeleton) const
{
    twins_bpf__destroy(skeleton);
}

}  // namespace drainwatch::bench
