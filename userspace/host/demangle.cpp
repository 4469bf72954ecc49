#include "host/demangle.hpp"

#include <cxxabi.h>
#include <cstddef>
#include <cstdlib>
#include <memory>

namespace drainwatch {
namespace {

/// It takes two references to double what is printed. An expansion of a pack prints what it holds
/// once for each element of that, so within another one some hundred times as much: it counts as
/// many. Together, they make some megabytes at most.
constexpr std::size_t kMostReferences = 24;
constexpr std::size_t kExpansion = 9;

/// To a substitution (S_, S0_) or a template's parameter (T_, T0_). Itanium C++ ABI, 5.1.
bool begins_reference(char first, char second)
{
    return (first == 'S' || first == 'T') &&
           (second == '_' || (second >= '0' && second <= '9') || (second >= 'A' && second <= 'Z'));
}

/// Of a pack of types (Dp) or of an expression (sp); ABI, 5.1.5.10.
bool begins_expansion(char first, char second)
{
    return (first == 'D' || first == 's') && second == 'p';
}

bool may_grow(std::string_view name)
{
    std::size_t references = 0;
    for (std::size_t i = 1; i < name.size(); i++) {
        references += begins_reference(name[i - 1], name[i]) ? 1 : 0;
        references += begins_expansion(name[i - 1], name[i]) ? kExpansion : 0;
    }
    return references > kMostReferences;
}

std::string cut(std::string text)
{
    if (text.size() > kLongestName) {
        text.resize(kLongestName - 3);
        text += "...";
    }
    return text;
}

}  // namespace

std::string demangled(std::string_view name)
{
    if (name.size() > kLongestName || may_grow(name)) {
        return cut(std::string(name.substr(0, kLongestName + 1)));
    }
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> plain(
        abi::__cxa_demangle(std::string(name).c_str(), nullptr, nullptr, &status), std::free);
    return cut(status == 0 && plain ? plain.get() : std::string(name));
}

}  // namespace drainwatch
