// The command line: wrong use, signals, endings.
#include "support/scenario.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

Outcome drainwatch(std::vector<std::string> arguments)
{
    arguments.insert(arguments.begin(), drainwatch_executable());
    return run(arguments);
}

class Commands : public Scenario {};

TEST_F(Commands, wrong_use_is_one_sentence_and_exit_3)
{
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
        {{}, "subcommand"},
        {{"watch", "--nonsense"}, "--nonsense"},
        {{"watch", "--port", "0"}, "--port"},
        {{"watch", "--port", "70000"}, "--port"},
        {{"watch", "--warn-after", "1 parsec"}, "1 parsec"},
        {{"watch", "--duration", "-1s"}, "-1s"},
        {{"watch", "--process", ""}, "empty"},
        {{"watch", "--process", "a-name-that-is-too-long"}, "can never match"},
        {{"watch", "--pid", "0"}, "--pid"},
        {{"watch", "--all", "--process", "x"}, "--all"},
        {{"watch", "--output", "xml"}, "xml not in {json,text}"},
        {{"watch", "--warn-after", "3s"}, "which is 2.00 s"},
        {{"watch", "--cm-log", "/"}, "--cm-log / is no file"},
    };
    for (const auto& [arguments, named] : cases) {
        const Outcome outcome = drainwatch(arguments);
        EXPECT_EQ(outcome.code, 3) << outcome.err;
        EXPECT_EQ(outcome.out, "");
        EXPECT_NE(outcome.err.find(named), std::string::npos) << outcome.err;
        EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    }
}

TEST_F(Commands, ends_after_its_duration)
{
    const Outcome outcome =
        drainwatch({"watch", "--process", comm(), "--output", "json", "--duration", "1s"});
    EXPECT_EQ(outcome.code, 0);
    const auto end = outcome.out.rfind("\n{");
    ASSERT_NE(end, std::string::npos);
    const Json summary = Json::parse(outcome.out.substr(end + 1));
    EXPECT_EQ(summary["event"], "summary");
    EXPECT_EQ(summary["episodes"], 0);
    EXPECT_NE(outcome.err.find("waiting"), std::string::npos) << "the target is not there";
}

TEST_F(Commands, says_of_each_target_that_it_is_not_there_and_of_none_twice)
{
    const std::string pid = std::to_string(getpid());
    const Outcome outcome = drainwatch({"watch", "--process", comm(), "--process", comm(), "--pid",
                                        pid, "--pid", pid, "--duration", "100ms"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "drainwatch: " + comm() + " is not running yet; waiting for it\n");
    EXPECT_NE(outcome.out.find("watching " + comm() + " and pid " + pid + ":"), std::string::npos)
        << outcome.out;
}

TEST_F(Commands, signals_end_it_with_a_summary)
{
    for (const int signal : {SIGINT, SIGTERM}) {
        watch();
        watcher().process().signal(signal);
        EXPECT_TRUE(watcher().wait_for(event_is("summary"), 5s));
        EXPECT_EQ(watcher().process().wait(), 0);
    }
}

TEST_F(Commands, reader_of_the_output_that_goes_away)
{
    std::array<int, 2> out{};
    ASSERT_EQ(pipe2(out.data(), O_CLOEXEC), 0);
    Process process =
        Process::spawn({drainwatch_executable(), "watch", "--process", comm()}, out[1]);
    close(out[1]);
    char byte = 0;
    ASSERT_EQ(read(out[0], &byte, 1), 1);
    close(out[0]);
    EXPECT_EQ(process.wait(3000), 0);
}

TEST_F(Commands, socket_as_output_whose_reader_goes_away)
{
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
    Process process =
        Process::spawn({drainwatch_executable(), "watch", "--process", comm()}, pair[1]);
    close(pair[1]);
    char byte = 0;
    ASSERT_EQ(read(pair[0], &byte, 1), 1);
    close(pair[0]);
    EXPECT_EQ(process.wait(3000), 0);
}

/// A terminal polls as writable while it has a little room, and blocks all the same.
TEST_F(Commands, terminal_that_nobody_reads)
{
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(terminal, 0);
    ASSERT_EQ(grantpt(terminal), 0);
    ASSERT_EQ(unlockpt(terminal), 0);
    std::array<char, 64> name{};
    ASSERT_EQ(ptsname_r(terminal, name.data(), name.size()), 0);
    const int screen = open(name.data(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(screen, 0);
    Process process =
        Process::spawn({drainwatch_executable(), "watch", "--process", comm()}, screen);
    close(screen);
    nap(1s);
    const Process target = Process::fork([&] {
        prctl(PR_SET_NAME, comm().c_str());
        for (int i = 0; i < 300; i++) {
            Process::fork([] {}).wait();
        }
    });
    nap(1s);
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(5000), 0);
    close(terminal);
}

TEST_F(Commands, a_thread_is_no_process)
{
    const Process target = Process::fork([] { std::thread([] { nap(10s); }).join(); });
    nap(100ms);
    std::string thread;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(target.pid()) + "/task")) {
        const std::string id = entry.path().filename();
        thread = id != std::to_string(target.pid()) ? id : thread;
    }
    const Outcome outcome = drainwatch({"watch", "--pid", thread});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_NE(outcome.err.find(std::to_string(target.pid())), std::string::npos) << outcome.err;
}

TEST_F(Commands, output_that_cannot_be_written_is_one_sentence_and_exit_3)
{
    const std::vector<std::vector<std::string>> cases{
        {"watch", "--process", "nobody", "--duration", "10s"},
        {"doctor", "--output", "json"},
        {"profile", "--process", "nobody", "--duration", "100ms"},
        {"demo"},
        {"--help"},
    };
    for (const auto& arguments : cases) {
        std::vector<std::string> command{"sh", "-c", "exec \"$@\" >/dev/full", "sh",
                                         drainwatch_executable()};
        command.insert(command.end(), arguments.begin(), arguments.end());
        const Outcome outcome = run(command);
        EXPECT_EQ(outcome.code, 3) << arguments[0];
        const auto last = outcome.err.rfind("drainwatch: write the output: No space left");
        ASSERT_NE(last, std::string::npos) << arguments[0] << ": " << outcome.err;
        EXPECT_EQ(outcome.err.find('\n', last), outcome.err.size() - 1) << outcome.err;
    }
}

TEST_F(Commands, stdout_that_was_never_open)
{
    const Outcome outcome = run({"sh", "-c", "exec \"$0\" watch >&-", drainwatch_executable()});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_NE(outcome.err.find("stdout is closed"), std::string::npos) << outcome.err;
}

TEST_F(Commands, reader_of_the_output_that_does_not_read)
{
    std::array<int, 2> out{};
    ASSERT_EQ(pipe2(out.data(), O_CLOEXEC), 0);
    ASSERT_GT(fcntl(out[0], F_SETPIPE_SZ, 4096), 0);
    Process process = Process::spawn(
        {drainwatch_executable(), "watch", "--process", comm(), "--output", "json"}, out[1]);
    close(out[1]);
    nap(1s);
    // Forks of a target are events: more than the pipe holds.
    const Process target = Process::fork([&] {
        prctl(PR_SET_NAME, comm().c_str());
        for (int i = 0; i < 100; i++) {
            Process::fork([] {}).wait();
        }
    });
    nap(1s);
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(5000), 0) << "a full pipe must not keep it from ending";
    close(out[0]);
}

TEST_F(Commands, control_characters_in_a_name_are_escaped)
{
    const std::string name = "x\x1b[31m\n\"\xff";
    watch();
    Watcher other({"--process", name, "--duration", "20s"});
    const Process target = Process::fork([&] {
        prctl(PR_SET_NAME, name.c_str());
        nap(10s);
    });
    const auto line = other.wait_for(event_is("target"), 3s);
    ASSERT_TRUE(line);
    EXPECT_EQ(line->json["process"]["comm"], "x\\x1b[31m\\x0a\"\\xff");
    EXPECT_EQ(other.stop(), 0);
    finish();
}

TEST_F(Commands, doctor_says_what_there_is)
{
    const Outcome text = drainwatch({"doctor", "--process", comm()});
    EXPECT_EQ(text.code, 0) << text.out;
    EXPECT_NE(text.out.find("tcp_rcv_space_adjust"), std::string::npos) << text.out;
    const Outcome json = drainwatch({"doctor", "--output", "json"});
    EXPECT_EQ(json.code, 0);
    const Json object = Json::parse(json.out);
    EXPECT_EQ(object["event"], "doctor");
    EXPECT_EQ(object["tier"], "bpf");
}

TEST_F(Commands, demo_tells_the_whole_story)
{
    const Outcome outcome = drainwatch({"demo"});
    EXPECT_EQ(outcome.code, 2);
    std::size_t at = 0;
    for (const char* event :
         {"start", "not_draining", "zero_window", "window_reopened", "recovered", "summary"}) {
        at = outcome.out.find(event, at);
        EXPECT_NE(at, std::string::npos) << event << " is missing:\n" << outcome.out;
    }
}

}  // namespace
}  // namespace drainwatch::live
