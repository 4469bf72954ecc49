#include "bench/results.hpp"

#include <algorithm>
#include <fstream>

namespace drainwatch::bench {
namespace {

std::filesystem::path file_of(const std::filesystem::path& directory, const std::string& part)
{
    return directory / (part + ".json");
}

/// About the same traffic, or the same number of sockets.
bool same_subject(const Json& a, const Json& b)
{
    const char* const subject = a.contains("traffic") ? "traffic" : "sockets";
    return b.contains(subject) && a.at(subject) == b.at(subject);
}

}  // namespace

Json merge(Json before, const Json& anew)
{
    if (before.is_object() && anew.is_object()) {
        before.update(anew);
        return before;
    }
    Json rows = Json::array();
    for (const Json& row : before) {
        if (std::none_of(anew.begin(), anew.end(),
                         [&](const Json& other) { return same_subject(row, other); })) {
            rows.push_back(row);
        }
    }
    rows.insert(rows.end(), anew.begin(), anew.end());
    return rows;
}

void keep(const std::filesystem::path& directory, const std::string& part, const Json& result,
          const std::string& version, bool some)
{
    const auto path = file_of(directory, part);
    Json whole{{"version", version}, {"result", result}};
    if (const Json before = kept(directory, part); some && !before.is_null()) {
        whole["result"] = merge(before.at("result"), result);
        if (const std::string other = before.at("version");
            other.find(version) == std::string::npos) {
            whole["version"] = other + " and " + version;
        }
    }
    std::filesystem::create_directories(directory);
    std::ofstream(path) << whole.dump(1) << '\n';
}

Json kept(const std::filesystem::path& directory, const std::string& part)
{
    std::ifstream file(file_of(directory, part));
    return file ? Json::parse(file) : Json(nullptr);
}

}  // namespace drainwatch::bench
