#include "bpf/kernel_btf.hpp"

#include "host/file.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fmt/format.h>
#include <unistd.h>
#include <array>
#include <cerrno>

namespace drainwatch {

void KernelBtf::Deleter::operator()(btf* types) const
{
    btf__free(types);
}

std::optional<KernelBtf> KernelBtf::load()
{
    btf* types = btf__load_vmlinux_btf();
    return types != nullptr ? std::optional(KernelBtf(types)) : std::nullopt;
}

bool KernelBtf::has_tracepoint(std::string_view name) const
{
    const std::string type = fmt::format("btf_trace_{}", name);
    return btf__find_by_name_kind(types_.get(), type.c_str(), BTF_KIND_TYPEDEF) > 0;
}

int KernelBtf::refuses_iterator(std::string_view kind) const
{
    const std::string target = fmt::format("bpf_iter_{}", kind);
    const int id = btf__find_by_name_kind(types_.get(), target.c_str(), BTF_KIND_FUNC);
    if (id < 0) {
        return -id;
    }
    const std::array<bpf_insn, 2> returns_zero{
        bpf_insn{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
        bpf_insn{BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    LIBBPF_OPTS(bpf_prog_load_opts, options);
    options.expected_attach_type = BPF_TRACE_ITER;
    options.attach_btf_id = static_cast<__u32>(id);
    const File program(bpf_prog_load(BPF_PROG_TYPE_TRACING, nullptr, "GPL", returns_zero.data(),
                                     returns_zero.size(), &options));
    return program ? 0 : errno;
}

}  // namespace drainwatch
