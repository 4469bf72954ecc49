// Who has a place in the table of sockets: those in trouble before the idle ones, and each of a
// crowd.
#include "drainwatch/abi.h"
#include "host/file.hpp"
#include "support/kernel_objects.hpp"
#include "support/process_status.hpp"
#include "support/scenario.hpp"

#include <bpf/bpf.h>
#include <sys/socket.h>
#include <memory>
#include <span>
#include <string_view>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Table : public Scenario {};

void accept_all(int listener, Control& own)
{
    while (!own.quit) {
        accept(listener, nullptr, nullptr);
        own.accepted++;
    }
}

/// Four times as many sockets as the table holds: whichever stops being read is told of.
TEST_F(Table, sockets_in_trouble_are_kept_before_the_idle_ones)
{
    const std::size_t room = polls() ? 100 : 250;
    const std::size_t sockets = 4 * room;
    // Those among the first have a slot; of the others, more than there is room for at once: most
    // have to be given one that was idle.
    constexpr std::size_t kStalled = 60;
    constexpr std::size_t kTogether = 10;
    // One that polls finds a socket that it does not follow in a full look, which may take 0.3 % of
    // a CPU: how soon it comes is a matter of how fast that is.
    constexpr auto kFound = 20s;
    make_target({.backlog = static_cast<int>(sockets)}, accept_all);
    for (std::size_t i = 0; i < sockets; i++) {
        connect({.message = 150, .spacing = 20'000us});
    }
    ASSERT_TRUE(wait_until([&] { return control().accepted == sockets; }, 5s));
    watch({"--max-sockets", std::to_string(room)});
    // The first look was at every descriptor, and has to be paid for by time before the next one.
    nap(polls() ? 8000ms : 2500ms);
    for (std::size_t i = 0; i < kStalled; i++) {
        Sender& stalled = *senders()[i * (sockets / kStalled)];
        const std::uint64_t began_ns = realtime_ns();
        stalled.start();
        if (i % kTogether == kTogether - 1) {
            const auto warning = watcher().wait_for(about(stalled, is_trouble), kFound);
            ASSERT_TRUE(warning) << "socket " << i;
            if (!polls()) {
                EXPECT_LT(static_cast<double>(warning->read_ns - began_ns) / 1e9, 1.3);
            }
            nap(300ms);
        }
    }
    for (std::size_t i = 0; i < kStalled; i++) {
        Sender& stalled = *senders()[i * (sockets / kStalled)];
        EXPECT_TRUE(watcher().wait_for(about(stalled, is_trouble), kFound)) << "socket " << i;
    }
    expect_small(watcher().pid());
    finish();
    EXPECT_TRUE(watcher().lines(event_is("lost")).empty())
        << "there was a slot for each that had data";
    EXPECT_TRUE(watcher().lines(event_is("link_replaced")).empty()) << "none of them is new";
    if (!polls()) {
        EXPECT_GT(watcher().lines(event_is("start")).front().json["memory_bytes"], room * 512);
    }
}

/// Twice as many sockets as the table holds, which has the first half as the watch begins. Where it
/// is looks alone that tell of them, these are far apart: what becomes of those is not known yet
/// when another one wants a place.
class FullTable : public Table {
protected:
    void connect_and_watch()
    {
        make_target({.backlog = static_cast<int>(2 * room_)}, accept_all);
        connect_half();
        watch({"--max-sockets", std::to_string(room_), "--tick", polls() ? "5s" : "50ms"});
        connect_half();
        nap(2500ms);  // they are found, and that there is no room for them
    }

    using Half = std::span<const std::unique_ptr<Sender>>;

    [[nodiscard]] Half in_table() const { return std::span(senders()).first(room_); }
    [[nodiscard]] Half left_out() const { return std::span(senders()).subspan(room_); }

    static void start(Half half)
    {
        for (const auto& sender : half) {
            sender->start();
        }
    }

    /// The others stop being read as well, and each is told of.
    void expect_room_for_the_others()
    {
        nap(100ms);
        start(left_out());
        for (const auto& sender : left_out()) {
            ASSERT_TRUE(watcher().wait_for(about(*sender, is_trouble), 20s));
        }
        finish();
    }

private:
    void connect_half()
    {
        const std::size_t sockets = senders().size() + room_;
        while (senders().size() < sockets) {
            connect({.message = 150, .spacing = 20'000us});
        }
        ASSERT_TRUE(wait_until([&] { return control().accepted == sockets; }, 5s));
    }

    std::size_t room_ = polls() ? 16 : 256;  ///< the least there is
};

TEST_F(FullTable, a_socket_with_data_keeps_its_place)
{
    connect_and_watch();
    start(in_table());
    nap(100ms);
    start(left_out());
    EXPECT_TRUE(watcher().wait_for(event_is("lost"), 15s)) << "there is no place for those";
    for (const auto& sender : in_table()) {
        EXPECT_TRUE(watcher().wait_for(about(*sender, is_trouble), 15s));
    }
    for (const auto& sender : left_out()) {
        EXPECT_TRUE(watcher().lines(about(*sender, is_trouble)).empty());
    }
    finish();
}

TEST_F(FullTable, one_with_nothing_but_a_fin_does_not)
{
    connect_and_watch();
    for (const auto& sender : in_table()) {
        sender->finish();
    }
    expect_room_for_the_others();
}

/// A process that does not close what was reset has dead sockets, each of which had a place.
TEST_F(FullTable, broken_links_that_are_still_held_make_room)
{
    connect_and_watch();
    for (const auto& sender : in_table()) {
        sender->reset();
    }
    expect_room_for_the_others();
}

/// How many sockets a watch has in its table.
std::size_t sockets_in_table(pid_t watcher)
{
    std::size_t sockets = 0;
    for (const std::uint32_t id : objects_of(watcher).maps) {
        const File map(bpf_map_get_fd_by_id(id));
        bpf_map_info info{};
        std::uint32_t size = sizeof(info);
        if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0 ||
            std::string_view(info.name) != "slots") {
            continue;
        }
        dw_slot slot{};
        for (std::uint32_t i = 0; i < info.max_entries; i++) {
            sockets += bpf_map_lookup_elem(map.get(), &i, &slot) == 0 && slot.cookie != 0;
        }
    }
    return sockets;
}

/// More than are looked at in full before the start: that is made up for, and whichever stops being
/// read is told of, and whose it is.
TEST_F(Table, a_crowd_of_idle_sockets_is_watched)
{
    if (on_emulated_machine()) {
        GTEST_SKIP() << "it would take minutes to connect them";
    }
    constexpr std::size_t kSockets = 5000;
    constexpr std::size_t kStalled = 10;
    make_target({.backlog = 1024}, accept_all);
    for (std::size_t i = 1; i <= kSockets; i++) {
        connect({.message = 150, .spacing = 20'000us});
        if (i % 1000 == 0) {
            ASSERT_TRUE(wait_until([&] { return control().accepted == i; }, 10s));
        }
    }
    watch({"--max-sockets", "8192"});
    if (!polls()) {
        EXPECT_TRUE(wait_until([&] { return sockets_in_table(watcher().pid()) == kSockets; }, 10s));
    }
    const auto stalled_one = [&](std::size_t i) -> Sender& {
        return *senders()[i * (kSockets / kStalled)];
    };
    for (std::size_t i = 0; i < kStalled; i++) {
        stalled_one(i).start();
    }
    for (std::size_t i = 0; i < kStalled; i++) {
        const auto warning = watcher().wait_for(about(stalled_one(i), is_trouble), 20s);
        ASSERT_TRUE(warning) << "socket " << i;
        EXPECT_EQ(warning->json["process"]["pid"], target().pid());
        EXPECT_TRUE(warning->json["socket"]["fd"].is_number());
    }
    expect_small(watcher().pid());
    finish();
    EXPECT_TRUE(watcher().lines(event_is("lost")).empty());
}

}  // namespace
}  // namespace drainwatch::live
