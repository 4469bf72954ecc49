#include "app/tiers.hpp"

#include "bpf/bpf_source.hpp"
#include "host/capabilities.hpp"

#include <fmt/format.h>

namespace drainwatch {

Result<std::unique_ptr<Source>> open_source(const WatchOptions& options)
{
    set_libbpf_verbosity(options.verbose);
    auto source = BpfSource::open({options.targets, options.limits.warn_after, options.tick,
                                   options.max_sockets, options.without});
    if (!source) {
        return tl::unexpected(source.error());
    }
    return source;
}

}  // namespace drainwatch
