#include "bpf/iterator_run.hpp"

#include "host/file.hpp"

#include <bpf/bpf.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <utility>

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

Result<void> run_iterator(const bpf_link& link, const char* name,
                          const std::function<void(std::span<const std::byte>)>& take)
{
    const File file(bpf_iter_create(bpf_link__fd(&link)));
    if (!file) {
        return tl::unexpected(system_error("open iterator", name, errno));
    }
    std::array<std::byte, std::size_t{64} << 10> chunk;
    while (true) {
        const ssize_t length = read(file.get(), chunk.data(), chunk.size());
        if (length > 0) {
            take({chunk.data(), static_cast<std::size_t>(length)});
        } else if (length == 0) {
            return {};
        } else if (errno != EINTR && errno != EAGAIN) {
            return tl::unexpected(system_error("read iterator", name, errno));
        }
    }
}

Result<std::vector<std::byte>> run_iterator(const bpf_link& link, const char* name)
{
    std::vector<std::byte> output;
    auto ran = run_iterator(link, name, [&](std::span<const std::byte> piece) {
        output.insert(output.end(), piece.begin(), piece.end());
    });
    return ran.map([&] { return std::move(output); });
}

}  // namespace drainwatch
