#include "bpf/thread_reader.hpp"

#include "bpf/iterator_run.hpp"
#include "cause.skel.h"
#include "drainwatch/profile_abi.h"
#include "drainwatch/thread_look.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

namespace drainwatch {
namespace {

constexpr auto kName = "task";

std::optional<UserRegisters> registers_of(const dw_thread_look& look)
{
    if (!look.is_64_bit) {
        return std::nullopt;
    }
    return UserRegisters{look.ip,  look.sp,  look.bp,  look.bx,
                         look.r12, look.r13, look.r14, look.r15};
}

/// Names of places, a line each: "do_nanosleep+0x67/0x180 [module]".
std::vector<std::string> stack_of(const std::vector<std::byte>& output)
{
    std::string text(output.size() - sizeof(dw_thread_look), '\0');
    std::memcpy(text.data(), output.data() + sizeof(dw_thread_look), text.size());
    std::vector<std::string> stack;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        stack.push_back(line.substr(0, line.find('+')));
    }
    return stack;
}

KernelView decode(const dw_thread_look& look)
{
    KernelView view;
    view.on_cpu = look.on_cpu != 0;
    const bool clock_is_known = look.asked_ns != 0 && look.arrived_ns != 0;
    const auto since = [&](std::uint64_t then_ns) {
        return look.asked_ns > then_ns ? look.asked_ns - then_ns : 0;
    };
    if (clock_is_known) {
        view.arrived_ns = look.arrived_ns;
    }
    if (clock_is_known && look.queued_ns != 0) {
        view.queued_ns = since(look.queued_ns);
    } else if (clock_is_known && !view.on_cpu) {
        const std::uint64_t at_most_ns = since(look.arrived_ns);
        // What is more than the whole was not counted from there: sched_ext.
        if (look.ran_ns > at_most_ns) {
            view.off_cpu_at_most_ns = at_most_ns;
        } else {
            view.off_cpu_ns = at_most_ns - look.ran_ns;
        }
    }
    if (look.call != DW_NO_CALL) {
        view.last_call = look.call;
    }
    view.stop_signal = look.stop_signal;
    view.registers = registers_of(look);
    return view;
}

}  // namespace

void ThreadReader::SkeletonDeleter::operator()(cause_bpf* skeleton) const
{
    cause_bpf__destroy(skeleton);
}

ThreadReader::ThreadReader(Skeleton skeleton) : skeleton_(std::move(skeleton)) {}

ThreadReader::~ThreadReader() = default;

Result<std::unique_ptr<ThreadReader>> ThreadReader::open()
{
    Skeleton skeleton(cause_bpf__open_and_load());
    if (!skeleton) {
        return tl::unexpected(system_error("load", "the program that looks at threads", errno));
    }
    return std::unique_ptr<ThreadReader>(new ThreadReader(std::move(skeleton)));
}

/// What the iterator writes; nothing if it found no such thread.
std::optional<std::vector<std::byte>> ThreadReader::run(bpf_iter_link_info* limits)
{
    const auto link = attach_iterator(skeleton_->progs.look_at_thread, kName, limits);
    if (!link) {
        return std::nullopt;
    }
    auto output = run_iterator(**link, kName);
    if (!output || output->size() < sizeof(dw_thread_look)) {
        return std::nullopt;
    }
    return std::move(*output);
}

std::optional<KernelView> ThreadReader::look(std::uint32_t pid, std::uint32_t tid)
{
    skeleton_->bss->wanted_tid = tid;
    bpf_iter_link_info limits{};
    limits.task.tid = tid;
    auto output = finds_by_tid_ ? run(&limits) : std::nullopt;
    if (!output) {
        // Before 6.1 there is no such limit, and up to 6.11 it finds first threads alone
        // (9495a5b731fc mended that): the program itself passes the others over.
        output = run(nullptr);
        finds_by_tid_ = finds_by_tid_ && !output;
    }
    dw_thread_look found{};
    if (!output) {
        return std::nullopt;
    }
    std::memcpy(&found, output->data(), sizeof(found));
    if (found.tgid != pid) {
        return std::nullopt;  // the number is another's by now
    }
    KernelView view = decode(found);
    view.stack = stack_of(*output);
    return view;
}

std::optional<bool> ThreadReader::any_hangs(std::uint32_t pid, std::size_t threads)
{
    skeleton_->bss->wanted_tgid = pid;
    bpf_iter_link_info limits{};
    limits.task.pid = pid;
    // Before 6.1 there is no such limit: the program itself passes the others over.
    auto link =
        attach_iterator(skeleton_->progs.find_hanging, kName, finds_by_pid_ ? &limits : nullptr);
    if (!link && finds_by_pid_) {
        finds_by_pid_ = false;
        link = attach_iterator(skeleton_->progs.find_hanging, kName, nullptr);
    }
    const auto hangs = link ? run_iterator(**link, kName) : tl::unexpected(link.error());
    if (!hangs) {
        return std::nullopt;
    }
    const bool any =
        std::any_of(hangs->begin(), hangs->end(), [](std::byte one) { return one != std::byte{}; });
    return any || hangs->size() >= threads ? std::optional(any) : std::nullopt;
}

}  // namespace drainwatch
