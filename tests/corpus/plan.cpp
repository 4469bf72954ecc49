#include "corpus/plan.hpp"

#include "corpus/random.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace drainwatch::corpus {
namespace {

/// Payload that a buffer takes until its window is closed, for each byte of SO_RCVBUF; about.
constexpr double kPayloadOfBuffer = 1.2;

constexpr std::uint32_t kMostSpacingUs = 25'000;
constexpr std::uint32_t kLeastSpacingUs = 400;

/// Ways to zero that a run may take: from what leaves no time to what an idle link takes.
constexpr std::uint32_t kShortestFillMs = 350;
constexpr std::uint32_t kLongestFillMs = 9000;

/// Sends so that the buffer is full `fill_ms` after the last read.
void fill_in(Plan& plan, std::uint32_t fill_ms)
{
    const double capacity = plan.rcvbuf * kPayloadOfBuffer;
    const double bytes_per_us = capacity / (fill_ms * 1000.0);
    const auto spacing = [&] { return plan.message_bytes / bytes_per_us; };
    while (spacing() < kLeastSpacingUs) {
        plan.message_bytes *= 2;
    }
    plan.spacing_us = static_cast<std::uint32_t>(std::min<double>(spacing(), kMostSpacingUs));
    plan.trouble_ms = 2 * fill_ms + 3000;
}

void keep_up(Plan& plan, Random& random)
{
    plan.spacing_us = random.scaled(800, 20'000);
    plan.trouble = Trouble::none;
    plan.to_zero = false;
    plan.trouble_ms = random.between(2000, 4000);
    plan.rcvbuf = random.one_of({0U, plan.rcvbuf});
}

void stall(Plan& plan, Random& random)
{
    plan.trouble = Trouble::sleep;
    fill_in(plan, random.scaled(kShortestFillMs, kLongestFillMs));
    plan.reset = random.between(1, 8) == 1;
}

template <Trouble kTrouble>
void stall_by(Plan& plan, Random& random)
{
    stall(plan, random);
    plan.trouble = kTrouble;
}

void steady(Plan& plan, Random& random)
{
    keep_up(plan, random);
}

void bursty(Plan& plan, Random& random)
{
    keep_up(plan, random);
    plan.burst = random.between(5, 40);
    plan.reading = random.one_of({Reading::at_once, Reading::in_batches});
    plan.step_us = random.scaled(5'000, 60'000);
    plan.warm_ms = 3000;
    // What comes between two reads, and a burst more, fits twice: else this reader loses ground.
    const std::uint64_t at_once = plan.step_us / plan.spacing_us + plan.burst;
    if (plan.rcvbuf < 2 * at_once * plan.message_bytes) {
        plan.rcvbuf = 0;
    }
}

void requests(Plan& plan, Random& random)
{
    keep_up(plan, random);
    plan.reading = Reading::by_requests;
}

void bulk(Plan& plan, Random& random)
{
    keep_up(plan, random);
    plan.links = 1;
    plan.threads = 1;
    plan.message_bytes = random.scaled(8'000, 60'000);
    plan.spacing_us = random.scaled(1'000, 8'000);
    plan.rcvbuf = 0;
}

void idle_crowd(Plan& plan, Random& random)
{
    keep_up(plan, random);
    plan.idle_links = random.between(1000, 3000);
}

void half_open(Plan& plan, Random& random)
{
    keep_up(plan, random);
    plan.half_open = random.between(10, 100);
}

/// Below --warn-after.
void pauses(Plan& plan, Random& random, std::uint32_t rcvbuf, std::uint32_t fill_ms)
{
    plan.rcvbuf = rcvbuf;
    fill_in(plan, fill_ms);
    plan.to_zero = false;
    plan.trouble = Trouble::pauses;
    for (int i = 0; i < 4; i++) {
        plan.pauses_ms.push_back(random.between(100, 900));
    }
}

/// Of a rate at which they close no window and come near none.
void short_pauses(Plan& plan, Random& random)
{
    keep_up(plan, random);
    pauses(plan, random, 128 * 1024, random.between(9'000, 20'000));
}

/// Over before the window is closed, but not long before.
void pauses_near_zero(Plan& plan, Random& random)
{
    keep_up(plan, random);
    pauses(plan, random, 64 * 1024, random.between(1'500, 6'000));
}

void slow_but_sufficient(Plan& plan, Random& random)
{
    keep_up(plan, random);
    plan.reading = Reading::in_steps;
    plan.step_us = random.scaled(2'000, 20'000);
    const double arriving =
        static_cast<double>(plan.message_bytes) * plan.step_us / plan.spacing_us;
    plan.step_bytes = static_cast<std::uint32_t>(arriving * 1.3) + plan.message_bytes / 4 + 1;
    plan.warm_ms = 2000;
}

void starvation(Plan& plan, Random& random)
{
    stall(plan, random);
    plan.trouble = Trouble::starvation;
    plan.links = random.between(2, 4);
    plan.threads = 1;
    plan.message_bytes = random.scaled(100, 1400);
    fill_in(plan, random.scaled(700, 5000));
    plan.spacing_us = std::max(plan.spacing_us, 2000U);
    // A fifth of a CPU, or whoever shares the machine starves it before and after, too.
    plan.work_us = std::min(300U, plan.spacing_us / (5 * plan.links));
    plan.trouble_ms = 15'000;
    plan.reset = false;
}

/// Longer than --warn-after, and over before the window is closed.
void long_pause(Plan& plan, Random& random)
{
    stall(plan, random);
    fill_in(plan, random.between(4'000, kLongestFillMs));
    plan.to_zero = false;
    plan.trouble_ms = random.between(1300, 2600);
    plan.reset = false;
}

void unread_hello(Plan& plan, Random& random)
{
    plan.trouble = Trouble::unread_hello;
    plan.rcvbuf = random.one_of({0U, plan.rcvbuf});
    plan.to_zero = false;
    plan.warm_ms = 100;
    plan.trouble_ms = random.between(1500, 3000);
}

void slow_reader(Plan& plan, Random& random)
{
    plan.trouble = Trouble::too_slow;
    fill_in(plan, random.scaled(300, 3000));
    plan.step_us = random.scaled(2'000, 40'000);
    const double arriving =
        static_cast<double>(plan.message_bytes) * plan.step_us / plan.spacing_us;
    plan.slow_bytes =
        std::max(1U, static_cast<std::uint32_t>(arriving * (0.1 + 0.6 * random.share())));
    plan.trouble_ms = 20'000;
}

void one_byte_reader(Plan& plan, Random& random)
{
    plan.trouble = Trouble::too_slow;
    fill_in(plan, random.scaled(500, 5000));
    plan.step_us = random.scaled(1'000, 40'000);
    plan.slow_bytes = 1;
    plan.trouble_ms = 20'000;
}

void fixed_small(Plan& plan, Random& random)
{
    plan.rcvbuf = random.scaled(4'600, 16'000);
    plan.message_bytes = random.scaled(14, 400);
    stall(plan, random);
}

/// Fast enough for the autotuned buffer to be filled.
void default_buffer(Plan& plan, Random& random)
{
    plan.rcvbuf = 128 * 1024;  // about what it grows to
    stall(plan, random);
    plan.rcvbuf = 0;
}

/// So slow that the window never closes: only the age tells.
void autotuned(Plan& plan, Random& random)
{
    stall(plan, random);
    plan.rcvbuf = 0;
    plan.message_bytes = random.scaled(14, 200);
    plan.spacing_us = random.scaled(10'000, 200'000);
    plan.to_zero = false;
    plan.trouble_ms = random.between(2500, 4000);
}

void tiny_segments(Plan& plan, Random& random)
{
    plan.rcvbuf = random.scaled(10'000, 40'000);
    stall(plan, random);
    plan.message_bytes = random.between(1, 20);
    plan.spacing_us = random.scaled(500, 2000);
    plan.links = random.between(2, 3);
    plan.threads = 1;
    plan.trouble_ms = 15'000;
}

void odd_mss(Plan& plan, Random& random)
{
    plan.mss = random.between(536, 1460) | 1U;
    stall(plan, random);
}

void shrink_window(Plan& plan, Random& random)
{
    plan.shrink_window = true;
    stall(plan, random);
}

void many_at_once(Plan& plan, Random& random)
{
    plan.links = random.between(16, 48);
    plan.threads = random.between(1, 4);
    stall(plan, random);
    plan.spacing_us = std::max(plan.spacing_us, 5000U);
    plan.trouble_ms = 20'000;
}

void tool_restart(Plan& plan, Random& random)
{
    plan.trouble = Trouble::tool_restart;
    fill_in(plan, random.scaled(2500, kLongestFillMs));
}

struct Kind {
    std::string_view name;
    Group group;
    void (*shape)(Plan&, Random&);
    bool polled = false;
};

constexpr std::array kKinds{
    Kind{"steady", Group::healthy, steady},
    Kind{"bursty", Group::healthy, bursty},
    Kind{"request-response", Group::healthy, requests},
    Kind{"bulk", Group::healthy, bulk},
    Kind{"idle-crowd", Group::healthy, idle_crowd},
    Kind{"half-open", Group::healthy, half_open},
    Kind{"short-pauses", Group::healthy, short_pauses},
    Kind{"pauses-near-zero", Group::healthy, pauses_near_zero},
    Kind{"slow-but-sufficient", Group::healthy, slow_but_sufficient},
    Kind{"sleep", Group::stalls, stall_by<Trouble::sleep>},
    Kind{"sigstop", Group::stalls, stall_by<Trouble::sigstop>},
    Kind{"deadlock", Group::stalls, stall_by<Trouble::deadlock>},
    Kind{"epoll-without-read", Group::stalls, stall_by<Trouble::epoll_without_read>},
    Kind{"starvation", Group::stalls, starvation},
    Kind{"never-accepted", Group::stalls, stall_by<Trouble::never_accepted>},
    Kind{"long-pause", Group::stalls, long_pause},
    Kind{"unread-hello", Group::stalls, unread_hello},
    Kind{"slow-reader", Group::losing_ground, slow_reader},
    Kind{"one-byte-reader", Group::losing_ground, one_byte_reader},
    Kind{"fixed-small", Group::buffers, fixed_small},
    Kind{"default-buffer", Group::buffers, default_buffer},
    Kind{"autotuned", Group::buffers, autotuned},
    Kind{"tiny-segments", Group::buffers, tiny_segments},
    Kind{"odd-mss", Group::buffers, odd_mss},
    Kind{"shrink-window", Group::buffers, shrink_window},
    Kind{"many-at-once", Group::many, many_at_once},
    Kind{"target-restart", Group::many, stall_by<Trouble::target_restart>},
    Kind{"tool-restart", Group::many, tool_restart},
    Kind{"poll-steady", Group::polled, steady, true},
    Kind{"poll-short-pauses", Group::polled, short_pauses, true},
    Kind{"poll-sleep", Group::polled, stall_by<Trouble::sleep>, true},
    Kind{"poll-sigstop", Group::polled, stall_by<Trouble::sigstop>, true},
    Kind{"poll-never-accepted", Group::polled, stall_by<Trouble::never_accepted>, true},
    Kind{"poll-autotuned", Group::polled, autotuned, true},
    Kind{"poll-slow-reader", Group::polled, slow_reader, true},
};

const Kind* find(std::string_view name)
{
    const auto* found = std::find_if(kKinds.begin(), kKinds.end(),
                                     [&](const Kind& kind) { return kind.name == name; });
    return found != kKinds.end() ? found : nullptr;
}

/// What varies in every class; its own shape may change it again.
Plan vary(Random& random)
{
    Plan plan;
    plan.family =
        random.one_of({Family::v4, Family::v4, Family::v4, Family::v6, Family::v4_mapped});
    plan.links = random.between(1, 4);
    plan.threads = random.between(1, plan.links);
    plan.message_bytes = random.scaled(14, 1400);
    plan.rcvbuf = random.scaled(8 * 1024, 96 * 1024);
    plan.warm_ms = random.between(700, 1500);
    return plan;
}

}  // namespace

std::vector<std::string_view> class_names()
{
    std::vector<std::string_view> names;
    names.reserve(kKinds.size());
    for (const Kind& kind : kKinds) {
        names.push_back(kind.name);
    }
    return names;
}

bool is_class(std::string_view name)
{
    return find(name) != nullptr;
}

Plan make_plan(std::string_view name, std::uint64_t seed)
{
    const Kind* kind = find(name);
    if (kind == nullptr) {
        throw std::invalid_argument("no class " + std::string(name));
    }
    // Classes do not share their numbers.
    std::uint64_t mixed = seed;
    for (const char c : name) {
        mixed = (mixed ^ static_cast<unsigned char>(c)) * 0x100000001b3U;  // FNV-1a
    }
    Random random(mixed);
    Plan plan = vary(random);
    plan.name = name;
    plan.seed = seed;
    plan.group = kind->group;
    plan.polled = kind->polled;
    kind->shape(plan, random);
    return plan;
}

nlohmann::json to_json(const Plan& plan)
{
    return {{"class", plan.name},
            {"seed", plan.seed},
            {"family", static_cast<int>(plan.family)},
            {"links", plan.links},
            {"idle_links", plan.idle_links},
            {"half_open", plan.half_open},
            {"threads", plan.threads},
            {"message_bytes", plan.message_bytes},
            {"spacing_us", plan.spacing_us},
            {"burst", plan.burst},
            {"mss", plan.mss},
            {"rcvbuf", plan.rcvbuf},
            {"step_us", plan.step_us},
            {"step_bytes", plan.step_bytes},
            {"slow_bytes", plan.slow_bytes},
            {"work_us", plan.work_us},
            {"pauses_ms", plan.pauses_ms},
            {"warm_ms", plan.warm_ms},
            {"trouble_ms", plan.trouble_ms},
            {"to_zero", plan.to_zero},
            {"reset", plan.reset}};
}

}  // namespace drainwatch::corpus
