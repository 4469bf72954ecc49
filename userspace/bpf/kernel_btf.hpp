#pragma once

#include <memory>
#include <optional>
#include <string_view>

struct btf;

namespace drainwatch {

/// How this kernel describes itself: /sys/kernel/btf/vmlinux. Some 15 to 50 ms to load, and twice
/// 5 MB as long as it is there.
class KernelBtf {
public:
    /// Nothing if the kernel does not.
    [[nodiscard]] static std::optional<KernelBtf> load();

    [[nodiscard]] bool has_tracepoint(std::string_view name) const;

    /// 0 if the kernel takes BPF iterators of this kind ("task_file"), else the error number.
    /// The least program is loaded to know: far less than trying with all the others.
    [[nodiscard]] int refuses_iterator(std::string_view kind) const;

private:
    struct Deleter {
        void operator()(btf* types) const;
    };

    explicit KernelBtf(btf* types) : types_(types) {}

    std::unique_ptr<btf, Deleter> types_;
};

}  // namespace drainwatch
