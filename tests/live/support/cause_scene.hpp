#pragma once

#include "support/scenario.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

/// A reader that stops reading for a reason, which must be named.
namespace drainwatch::live {

using namespace std::chrono_literals;

/// What an injection needs besides the reader, made before that: by the test's own process.
struct Stage {
    std::string lock_path;        ///< of a file that the test has locked
    std::uint16_t peer_port = 0;  ///< of a listener whose connections nobody reads
};

struct Injection {
    const char* name;
    /// In the reader, instead of reading on. Does not return, or returns to end the thread.
    void (*stop_reading)(int fd, const Stage& stage, Control& control);
    std::string_view state;
    /// Words of the sentence.
    std::string_view words;
    /// Name of the system call; "" for a reader that is in none.
    std::string_view call = {};
    /// The kind of thing that it waits for.
    std::string_view object = {};
    /// What can be said without BPF, if that is less.
    std::string_view polled_state = {};
    std::string_view polled_words = {};
};

/// Reads until it is told to stop.
inline void read_until_held(int fd, Control& control)
{
    control.reader = static_cast<std::uint32_t>(gettid());
    const timeval limit{0, 10'000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    std::array<char, 65536> buffer{};
    while (!control.hold && !control.quit) {
        recv(fd, buffer.data(), buffer.size(), 0);
    }
}

enum class Threads { one, several };

inline std::ostream& operator<<(std::ostream& stream, const Injection& injected)
{
    return stream << injected.name;
}

using Parameters = std::tuple<Injection, Threads>;

class Cause : public Scenario, public ::testing::WithParamInterface<Parameters> {
protected:
    void SetUp() override
    {
        Scenario::SetUp();
        if (IsSkipped()) {
            return;
        }
        stage_.lock_path = "/tmp/drainwatch-lock-" + std::to_string(getpid());
        lock_ = open(stage_.lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        flock(lock_, LOCK_EX);
        listener_ = listen_on_loopback({}, stage_.peer_port);
    }

    void TearDown() override
    {
        Scenario::TearDown();
        if (lock_ >= 0) {
            close(lock_);
            unlink(stage_.lock_path.c_str());
            close(listener_);
        }
    }

    /// One connection that is read, until it is held: then `stop_reading`.
    void begin(Threads threads, const std::function<void(int, Control&)>& stop_reading)
    {
        make_target({}, [=](int listener, Control& control) {
            const int fd = accept(listener, nullptr, nullptr);
            control.accepted++;
            const auto reader = [&] {
                read_until_held(fd, control);
                stop_reading(fd, control);
            };
            if (threads == Threads::one) {
                reader();
                return;
            }
            std::thread other([&] {
                while (!control.quit) {
                    nap(5ms);
                }
            });
            std::thread(reader).join();
            other.join();
        });
        std::vector<std::string> limits{"--warn-after", "600ms", "--critical-after", "1500ms"};
        if (watches_its_port_only_) {
            limits.insert(limits.end(), {"--port", std::to_string(target().port())});
        }
        watch(limits);
        connect({.message = 150, .spacing = 10'000us}).start();
        ASSERT_TRUE(wait_until([&] { return control().accepted == 1; }, 5s));
        nap(300ms);
    }

    /// Of the warning, and then of the escalation.
    std::array<Json, 2> causes()
    {
        std::array<Json, 2> found;
        for (const auto& [i, severity] : {std::pair{0U, "warning"}, {1U, "critical"}}) {
            const auto line = watcher().wait_for(about(sender(),
                                                       [severity = severity](const Line& l) {
                                                           return l.event() == "not_draining" &&
                                                                  l.json["severity"] == severity;
                                                       }),
                                                 5s);
            EXPECT_TRUE(line) << severity;
            if (line && line->json.contains("cause")) {
                found.at(i) = line->json["cause"];
                EXPECT_NE(line->json["reason"].get<std::string>().find(
                              found.at(i)["sentence"].get<std::string>()),
                          std::string::npos);
            }
        }
        return found;
    }

    void expect_cause(const Json& cause, const Injection& injected)
    {
        SCOPED_TRACE(cause.dump());
        ASSERT_TRUE(cause.is_object());
        const bool less = polls() && !injected.polled_state.empty();
        EXPECT_EQ(cause["state"], less ? injected.polled_state : injected.state);
        EXPECT_NE(cause["sentence"].get<std::string>().find(less ? injected.polled_words
                                                                 : injected.words),
                  std::string::npos);
        if (!injected.call.empty()) {
            EXPECT_EQ(cause["syscall"]["name"], injected.call);
        }
        if (!injected.object.empty()) {
            EXPECT_EQ(cause["syscall"]["kind"], injected.object);
        }
        EXPECT_EQ(cause["thread"]["tid"], control().reader.load());
        const bool asleep = injected.state == "sleeping" || injected.state == "stopped";
        if (asleep && polls() && cause["threads"] > 1) {
            // Who reads is found when the verdict is due, not before: its times are not known.
            EXPECT_FALSE(cause["kernel_stack"].empty());
        } else if (asleep) {
            // Who waits to send is woken now and then, and goes back to sleep.
            EXPECT_GT(cause["since_ms"], injected.object == "socket" ? -1 : 400);
            EXPECT_FALSE(cause["kernel_stack"].empty());
        }
    }

    [[nodiscard]] const Stage& stage() const { return stage_; }

    bool watches_its_port_only_ = false;

private:
    Stage stage_;
    int lock_ = -1;
    int listener_ = -1;
};

inline std::string name_of(const ::testing::TestParamInfo<Parameters>& info)
{
    const auto& [injected, threads] = info.param;
    return std::string(injected.name) + (threads == Threads::one ? "" : "_in_a_thread");
}

}  // namespace drainwatch::live
