#include "output/cause_json.hpp"

#include "cause/waiting.hpp"
#include "output/escape.hpp"
#include "profile/system_calls.hpp"

#include <cmath>

namespace drainwatch {
namespace {

double rounded(double share)
{
    return std::round(share * 1e3) / 1e3;
}

std::string_view to_string(Chosen chosen)
{
    switch (chosen) {
        case Chosen::last_reader: return "it read this socket last";
        case Chosen::only_thread: return "the process has no other";
        case Chosen::waits_for_it: return "it waits for this socket";
        case Chosen::first_thread: return "who read last is not known; it is the first thread";
    }
    return "";
}

std::string_view to_string(DescriptorFacts::Kind kind)
{
    switch (kind) {
        case DescriptorFacts::Kind::pipe: return "pipe";
        case DescriptorFacts::Kind::file: return "file";
        case DescriptorFacts::Kind::socket: return "socket";
        case DescriptorFacts::Kind::epoll: return "epoll";
        case DescriptorFacts::Kind::other: return "other";
    }
    return "";
}

Json call_json(const CauseFacts& facts)
{
    if (!facts.call) {
        return nullptr;
    }
    Json json{{"name", system_call_name(facts.call->number)}};
    const auto fd = waiting_in(*facts.call).fd;
    json["fd"] = fd ? Json(*fd) : Json(nullptr);
    if (facts.waits_on) {
        json["kind"] = to_string(facts.waits_on->kind);
        json["object"] = escape(facts.waits_on->name);
    }
    if (facts.polls_this_socket) {
        json["asks_for_this_socket"] = *facts.polls_this_socket;
    }
    return json;
}

Json cpu_json(const std::optional<CpuFacts>& cpu)
{
    if (!cpu) {
        return nullptr;
    }
    Json json{{"over_ms", cpu->over_ns / 1'000'000},
              {"running", rounded(cpu->ran)},
              {"runnable", rounded(cpu->waited)}};
    json["throttled"] = cpu->throttled ? Json(rounded(*cpu->throttled)) : Json(nullptr);
    return json;
}

Json since_json(const Cause& cause)
{
    const auto& kernel = cause.facts.kernel;
    const auto queued_ns = kernel ? kernel->queued_ns : std::nullopt;
    const auto ns = cause.state == ThreadState::runnable ? queued_ns : cause.facts.off_cpu_ns;
    return ns ? Json(*ns / 1'000'000) : Json(nullptr);
}

Json scope_json(const CauseFacts& facts)
{
    if (!facts.reads_others) {
        return nullptr;
    }
    return *facts.reads_others ? "socket" : "process";
}

Json names_json(const std::vector<std::string>& names)
{
    Json json = Json::array();
    for (const std::string& name : names) {
        json.push_back(escape(name));
    }
    return json;
}

}  // namespace

Json to_json(const Cause& cause)
{
    const CauseFacts& facts = cause.facts;
    Json json;
    json["sentence"] = cause.sentence;
    json["state"] = to_string(cause.state);
    json["thread"] = Json{{"tid", facts.tid},
                          {"comm", escape(facts.thread_comm)},
                          {"chosen", to_string(facts.chosen)}};
    json["syscall"] = call_json(facts);
    json["since_ms"] = since_json(cause);
    json["cpu"] = cpu_json(facts.cpu);
    json["scope"] = scope_json(facts);
    json["sockets"] = facts.sockets ? Json(*facts.sockets) : Json(nullptr);
    json["threads"] = facts.threads;
    json["kernel_stack"] = names_json(facts.kernel_stack);
    json["user_stack"] = names_json(facts.user_stack);
    json["missing"] = names_json(facts.missing);
    return json;
}

}  // namespace drainwatch
