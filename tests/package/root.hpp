#pragma once

#include "support/process.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace drainwatch::package {

/// Path to kind, mode, owner and content of everything in a tree.
using Snapshot = std::map<std::string, std::string>;

/// The root of a system that has nothing but a shell, systemctl, and the directories that every
/// host has. It goes when this goes out of scope.
class Root {
public:
    Root();
    ~Root();
    Root(const Root&) = delete;
    Root& operator=(const Root&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    /// Without the package managers' own databases.
    [[nodiscard]] Snapshot snapshot() const;
    /// Runs a program inside.
    [[nodiscard]] live::Outcome run(const std::vector<std::string>& command) const;

private:
    void copy_program(const std::string& program) const;

    std::filesystem::path path_;
};

}  // namespace drainwatch::package
