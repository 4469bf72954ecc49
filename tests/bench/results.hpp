#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace drainwatch::bench {

using Json = nlohmann::ordered_json;

/// What was measured before, with what has been measured anew in its place: members of objects by
/// their names, rows of lists by the traffic or the number of sockets that they are about.
[[nodiscard]] Json merge(Json before, const Json& anew);

/// Keeps a part's result in `directory`, with the version that it is about. What is there already
/// is replaced, or merged with if only some of the part was measured.
void keep(const std::filesystem::path& directory, const std::string& part, const Json& result,
          const std::string& version, bool some);

/// What keep() has kept: {version, result}; null if nothing was.
[[nodiscard]] Json kept(const std::filesystem::path& directory, const std::string& part);

}  // namespace drainwatch::bench
