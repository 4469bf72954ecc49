#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace drainwatch {

/// Why something could not be done: one sentence for a person, that says what
/// failed, on what, and what to do.
struct Error {
    std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;

/// "attach tcp_probe: Operation not permitted"; what to do, where that is not plain, behind it.
[[nodiscard]] Error system_error(const std::string& operation, const std::string& object,
                                 int error_number, std::string_view advice = {});

[[nodiscard]] inline tl::unexpected<Error> fail(std::string message)
{
    return tl::unexpected<Error>(Error{std::move(message)});
}

}  // namespace drainwatch
