// The command `profile`: wrong use, no traffic, no BPF, saving and comparing.
#include "support/profile_run.hpp"
#include "support/scenario.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class ProfileCommands : public ::testing::Test {
protected:
    void SetUp() override
    {
        if (geteuid() != 0) {
            GTEST_SKIP() << "live tests need root";
        }
    }

    void TearDown() override { unlink(path_.c_str()); }

    static void expect_refused(const std::vector<std::string>& arguments, const std::string& named)
    {
        std::vector<std::string> command{drainwatch_executable(), "profile"};
        command.insert(command.end(), arguments.begin(), arguments.end());
        const Outcome outcome = run(command);
        EXPECT_EQ(outcome.code, 3) << outcome.err;
        EXPECT_EQ(outcome.out, "");
        EXPECT_NE(outcome.err.find(named), std::string::npos) << outcome.err;
        EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    }

    std::string path_ = "/tmp/drainwatch-profile-" + std::to_string(getpid());
};

TEST_F(ProfileCommands, wrong_use_is_one_sentence_and_exit_3)
{
    expect_refused({"--per", "planet"}, "--per");
    expect_refused({"--duration", "soon"}, "soon");
    expect_refused({"--tick", "50ms"}, "--tick");
    expect_refused({"--compare", "/nowhere/at/all"}, "/nowhere/at/all");
    expect_refused({"--compare", "/dev/null"}, "is not what --save wrote");
    expect_refused({"--save", "/nowhere/at/all"}, "/nowhere/at/all");
    expect_refused({"--stacks", "/nowhere/at/all"}, "/nowhere/at/all");
}

TEST_F(ProfileCommands, garbage_is_not_compared_with)
{
    const std::array garbage{"[1, 2]", "{\"event\":\"start\"}", "{\"event\":\"profile\"}",
                             "{\"event\":\"profile\",\"duration_ms\":-1}", "\xff\xfe"};
    for (const char* text : garbage) {
        std::ofstream(path_) << text;
        expect_refused({"--compare", path_}, "is not what --save wrote");
    }
}

TEST_F(ProfileCommands, one_file_for_two_things_is_refused)
{
    std::ofstream(path_) << "what was there";
    expect_refused({"--save", path_, "--stacks", path_}, "name the same file");
    std::ifstream file(path_);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "what was there");
}

TEST_F(ProfileCommands, without_bpf_it_says_so)
{
    const Outcome outcome = run({"setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin",
                                 drainwatch_executable(), "profile", "--save", path_});
    EXPECT_FALSE(std::ifstream(path_).is_open()) << "nothing is left behind";
    EXPECT_EQ(outcome.code, 3);
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err.find("profile cannot do without BPF"), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

TEST_F(ProfileCommands, no_traffic_is_no_table_of_zeros)
{
    const std::string comm = unique_comm();
    const Target target(comm, {}, Target::one_connection([](int, Control&) {}));
    const Sender sender(target.port(), {});
    const Outcome outcome =
        run({drainwatch_executable(), "profile", "--process", comm, "--duration", "1s"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_TRUE(outcome.out.starts_with("no reads in 1")) << outcome.out;
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1) << outcome.out;
}

TEST_F(ProfileCommands, a_reader_that_stops_is_not_said_to_keep_up)
{
    const std::string comm = unique_comm();
    Target target(comm, {}, Target::one_connection(read_all));
    Sender sender(target.port(), {.spacing = 2ms});
    sender.start();
    ProfileRun run(comm);
    nap(1s);
    target.control().hold = true;
    nap(1500ms);
    const Json profile = run.stop();
    target.control().quit = true;
    EXPECT_LT(profile["read_latency_ns"]["p99"], 10e6) << "else it is slow in any case";
    EXPECT_NE(profile["reason"].get<std::string>().find("leaves data unread"), std::string::npos)
        << profile["reason"];
    EXPECT_EQ(profile["unread_sockets"], 1);
    EXPECT_GE(profile["oldest_unread_ms"], 1000.0);
    EXPECT_LE(profile["oldest_unread_ms"], profile["duration_ms"]);
}

/// One would overwrite the other.
TEST_F(ProfileCommands, a_profile_is_not_saved_where_the_output_goes)
{
    const Outcome outcome =
        run({"sh", "-c", "exec \"$0\" profile --duration 100ms --save /dev/stdout >" + path_,
             drainwatch_executable()});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_NE(outcome.err.find("name another file"), std::string::npos) << outcome.err;
}

/// Whatever the moment at which the measurement ends.
TEST_F(ProfileCommands, what_a_busy_reader_has_not_read_is_young)
{
    const std::string comm = unique_comm();
    Target target(comm, {}, Target::one_connection(read_all));
    Sender sender(target.port(), {.message = 1000, .spacing = 100us});
    sender.start();
    for (int i = 0; i < 5; i++) {
        ProfileRun run(comm);
        nap(300ms);
        const Json profile = run.stop();
        if (!profile["oldest_unread_ms"].is_null()) {
            EXPECT_LE(profile["oldest_unread_ms"], profile["duration_ms"]);
        }
        EXPECT_NE(profile["reason"].get<std::string>().find("keeps up"), std::string::npos)
            << profile["reason"];
    }
    target.control().quit = true;
}

/// What is there stays until there is something to take its place.
TEST_F(ProfileCommands, a_saved_profile_stays_if_there_is_no_new_one)
{
    std::ofstream(path_) << "as it was";
    Process process = Process::spawn({drainwatch_executable(), "profile", "--process",
                                      unique_comm(), "--duration", "1h", "--save", path_});
    ASSERT_TRUE(wait_until(
        [&] {
            const auto open = std::filesystem::directory_iterator(
                "/proc/" + std::to_string(process.pid()) + "/fd");
            return std::any_of(begin(open), end(open), [&](const auto& fd) {
                std::error_code gone;
                return std::filesystem::read_symlink(fd.path(), gone) == path_;
            });
        },
        5s));
    process.signal(SIGKILL);
    process.wait();
    std::ifstream file(path_);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "as it was");
}

TEST_F(ProfileCommands, a_target_that_is_not_there)
{
    const Outcome outcome =
        run({drainwatch_executable(), "profile", "--process", unique_comm(), "--duration", "1s"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_NE(outcome.out.find("no such process"), std::string::npos) << outcome.out;
}

TEST_F(ProfileCommands, a_target_that_appears_later)
{
    const std::string comm = unique_comm();
    ProfileRun run(comm);
    Target target(comm, {}, Target::one_connection(read_all));
    Sender sender(target.port(), {.spacing = 2ms});
    sender.start();
    ASSERT_TRUE(wait_until([&] { return sender.sent() >= 150 * 200; }, 5s));
    const Json profile = run.stop();
    EXPECT_GT(profile["reads"], 0);
    EXPECT_GE(profile["read_latency_ns"]["count"], 190);
    target.control().quit = true;
}

TEST_F(ProfileCommands, before_and_after)
{
    const std::string comm = unique_comm();
    Target target(comm, {}, Target::one_connection(read_all));
    Sender sender(target.port(), {.spacing = 2ms});
    sender.start();
    const std::vector<std::string> arguments{
        drainwatch_executable(), "profile", "--process", comm, "--duration", "1s"};
    auto save = arguments;
    save.insert(save.end(), {"--save", path_});
    EXPECT_EQ(run(save).code, 0);
    auto compare = arguments;
    compare.insert(compare.end(), {"--compare", path_, "--output", "json"});
    const Json json = Json::parse(run(compare).out);
    const Json& change = json["compare"]["reads_per_s"];
    EXPECT_GT(change["ratio"], 0.3) << change;
    EXPECT_LT(change["ratio"], 3.0) << change;
    EXPECT_TRUE(json["compare"]["read_latency_ns"]["p99"]["ratio"].is_number());
    compare.resize(compare.size() - 2);
    const Outcome text = run(compare);
    EXPECT_NE(text.out.find("read_latency_ns.p99"), std::string::npos) << text.out;
    for (std::size_t at = 0; at < text.out.size();) {
        const std::size_t end = text.out.find('\n', at);
        EXPECT_LE(end - at, 80U) << text.out.substr(at, end - at);
        at = end + 1;
    }
    target.control().quit = true;
}

}  // namespace
}  // namespace drainwatch::live
