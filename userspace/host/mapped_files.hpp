#pragma once

#include "host/file.hpp"
#include "host/file_version.hpp"
#include "host/mapping.hpp"

#include <cstdint>
#include <list>
#include <optional>

namespace drainwatch {

/// The files that a thread's process has mapped, each opened as it is first asked for.
class MappedFiles {
public:
    explicit MappedFiles(std::uint32_t tid) : tid_(tid) {}

    /// None if it cannot be opened, or is no file. Stays where it is.
    [[nodiscard]] const File& of(const Mapping& mapping);

    /// None was written to since it was opened.
    [[nodiscard]] bool are_unchanged() const;

private:
    struct Opened {
        Mapping mapping;
        File file;
        std::optional<FileVersion> version;
    };

    std::uint32_t tid_;
    std::list<Opened> opened_;
};

}  // namespace drainwatch
