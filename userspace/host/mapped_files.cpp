#include "host/mapped_files.hpp"

#include <algorithm>
#include <utility>

namespace drainwatch {

const File& MappedFiles::of(const Mapping& mapping)
{
    const auto known = std::find_if(opened_.begin(), opened_.end(), [&](const Opened& opened) {
        return opened.mapping.same_file(mapping);
    });
    if (known != opened_.end()) {
        return known->file;
    }
    File file = open_mapping(tid_, mapping);
    const auto version = version_of(file.get());
    return opened_.emplace_back(Opened{mapping, std::move(file), version}).file;
}

bool MappedFiles::are_unchanged() const
{
    return std::all_of(opened_.begin(), opened_.end(), [](const Opened& opened) {
        return version_of(opened.file.get()) == opened.version;
    });
}

}  // namespace drainwatch
