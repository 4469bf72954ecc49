#include "bpf/iterator_run.hpp"

#include "host/file.hpp"

#include <bpf/bpf.h>
#include <unistd.h>
#include <array>
#include <cerrno>

namespace drainwatch {

Result<Link> attach_iterator(bpf_program* program, const char* name, bpf_iter_link_info* limits)
{
    bpf_iter_attach_opts options{};
    options.sz = sizeof(options);
    options.link_info = limits;
    options.link_info_len = limits != nullptr ? sizeof(*limits) : 0;
    Link link(bpf_program__attach_iter(program, &options));
    if (!link) {
        return tl::unexpected(system_error("attach iterator", name, errno));
    }
    return link;
}

Result<std::vector<std::byte>> run_iterator(const bpf_link& link, const char* name)
{
    const File file(bpf_iter_create(bpf_link__fd(&link)));
    if (!file) {
        return tl::unexpected(system_error("open iterator", name, errno));
    }
    std::vector<std::byte> output;
    std::array<std::byte, std::size_t{64} << 10> chunk;
    while (true) {
        const ssize_t length = read(file.get(), chunk.data(), chunk.size());
        if (length > 0) {
            output.insert(output.end(), chunk.begin(), chunk.begin() + length);
        } else if (length == 0) {
            return output;
        } else if (errno != EINTR && errno != EAGAIN) {
            return tl::unexpected(system_error("read iterator", name, errno));
        }
    }
}

}  // namespace drainwatch
