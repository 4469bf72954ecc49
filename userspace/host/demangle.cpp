#include "host/demangle.hpp"

#include <cxxabi.h>
#include <cstddef>
#include <cstdlib>
#include <memory>

namespace drainwatch {
namespace {

/// It takes two to double: some thousand times the length of the name at most.
constexpr std::size_t kMostReferences = 24;

/// To a substitution (S_, S0_) or a template's parameter (T_, T0_). Itanium C++ ABI, 5.1.
bool begins_reference(char first, char second)
{
    return (first == 'S' || first == 'T') &&
           (second == '_' || (second >= '0' && second <= '9') || (second >= 'A' && second <= 'Z'));
}

bool may_grow(std::string_view name)
{
    std::size_t references = 0;
    for (std::size_t i = 1; i < name.size(); i++) {
        references += begins_reference(name[i - 1], name[i]) ? 1 : 0;
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
