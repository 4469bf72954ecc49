#include "bench/twins.hpp"

#include "twins.skel.h"

#include <fcntl.h>
#include <stdexcept>

namespace drainwatch::bench {

Twins::Twins() : skeleton_(twins_bpf__open())
{
    if (!skeleton_) {
        throw std::runtime_error("cannot open the empty twins");
    }
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton_->obj)
    {
        const bool has_tracepoint =
            libbpf_find_vmlinux_btf_id(bpf_program__name(program), BPF_TRACE_RAW_TP) > 0;
        bpf_program__set_autoload(program, has_tracepoint);
    }
    if (twins_bpf__load(skeleton_.get()) != 0) {
        throw std::runtime_error("cannot load the empty twins");
    }
}

std::vector<HookedProgram> Twins::programs() const
{
    std::vector<HookedProgram> programs;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton_->obj)
    {
        if (!bpf_program__autoload(program)) {
            continue;
        }
        const std::string name = bpf_program__name(program);  // that of its tracepoint
        programs.push_back({name, name, File(fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0))});
    }
    return programs;
}

void Twins::Deleter::operator()(twins_bpf* skeleton) const
{
    twins_bpf__destroy(skeleton);
}

}  // namespace drainwatch::bench
