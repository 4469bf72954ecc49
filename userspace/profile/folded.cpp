#include "profile/folded.hpp"

#include "output/escape.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <map>

namespace drainwatch {
namespace {

/// A semicolon would be the end of the frame.
std::string frame(std::string name)
{
    std::replace(name.begin(), name.end(), ';', ':');
    return ";" + escape(name);
}

/// The road from the scheduler to the program that took the stack.
bool is_of_tracing(const std::string& name)
{
    return name.starts_with("bpf_prog_") || name.starts_with("bpf_trace_run") ||
           name.starts_with("__bpf_trace_") || name.starts_with("__traceiter_");
}

std::string fold(const StackWait& wait, const std::string& process, const FrameNames& names)
{
    std::string line = frame(process).substr(1);
    if (wait.user.empty() && wait.kernel.empty()) {
        line += wait.state == DW_THREAD_SLEEPING ? ";[asleep since before]" : ";[unknown]";
    }
    // All but the innermost are where a call returns to, which may be the next function's begin.
    for (std::size_t i = wait.user.size(); i-- > 0;) {
        line += frame(names.user(wait.tgid, wait.user[i] - (i != 0 ? 1 : 0)));
    }
    for (std::size_t i = wait.kernel.size(); i-- > 0;) {
        const std::string name = names.kernel(wait.kernel[i] - (i != 0 ? 1 : 0));
        if (is_of_tracing(name)) {
            break;
        }
        line += frame(name + "_[k]");
    }
    if (wait.state == DW_THREAD_RUNNABLE) {
        line += ";[no CPU]";
    }
    return line;
}

}  // namespace

std::string fold_stacks(const Measurement& measurement, const FrameNames& names)
{
    std::map<std::string, std::uint64_t> folded;
    for (const StackWait& wait : measurement.stacks) {
        const auto process = measurement.processes.find(wait.tgid);
        const std::string name = process != measurement.processes.end()
                                     ? process->second
                                     : fmt::format("?({})", wait.tgid);
        folded[fold(wait, name, names)] += wait.ns;
    }
    std::string text;
    for (const auto& [line, ns] : folded) {
        text += fmt::format("{} {}\n", line, ns);
    }
    return text;
}

}  // namespace drainwatch
