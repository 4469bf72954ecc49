#pragma once

#include "drainwatch/result.hpp"
#include "host/file.hpp"

#include <string>

namespace drainwatch {

/// A file that the user named for what will be known at the end. It is opened at the start, so that
/// a wrong name is told of at once; what is in it stays there until it is written.
class OutputFile {
public:
    /// An empty path: none is wanted, and nothing will be written.
    [[nodiscard]] static Result<OutputFile> open(std::string path);

    /// Are they one file? Then what is written last would be all that is in it.
    [[nodiscard]] bool overwrites(const OutputFile& other) const;

    /// All of it, in place of what was there.
    [[nodiscard]] Result<void> write(const std::string& text) const;

private:
    std::string path_;
    File file_;
};

}  // namespace drainwatch
