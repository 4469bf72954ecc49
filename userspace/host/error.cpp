#include "drainwatch/result.hpp"

#include <fmt/format.h>
#include <system_error>

namespace drainwatch {

Error system_error(const std::string& operation, const std::string& object, int error_number,
                   std::string_view advice)
{
    return Error{fmt::format("{} {}: {}{}{}", operation, object,
                             std::generic_category().message(error_number),
                             advice.empty() ? "" : "; ", advice)};
}

}  // namespace drainwatch
