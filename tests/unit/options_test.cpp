#include "app/options.hpp"

#include "app/version.hpp"

#include <gtest/gtest.h>
#include <regex>

namespace drainwatch::options_test {
namespace {

using namespace std::chrono_literals;

Result<Command> parse(std::vector<const char*> arguments)
{
    arguments.insert(arguments.begin(), "drainwatch");
    return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

WatchOptions watch(std::vector<const char*> arguments)
{
    arguments.insert(arguments.begin(), "watch");
    const auto command = parse(std::move(arguments));
    EXPECT_TRUE(command) << command.error().message;
    if (!command || !std::holds_alternative<WatchOptions>(*command)) {
        ADD_FAILURE() << "not watch";
        return {};
    }
    return std::get<WatchOptions>(*command);
}

/// The error, which is one line.
std::string error(std::vector<const char*> arguments)
{
    const auto command = parse(std::move(arguments));
    if (command) {
        return "no error";
    }
    EXPECT_EQ(command.error().message.find('\n'), std::string::npos);
    return command.error().message;
}

bool contains(const std::string& text, std::string_view part)
{
    return text.find(part) != std::string::npos;
}

TEST(WatchOptions, Budget)
{
    EXPECT_DOUBLE_EQ(watch({"--cpu-budget", "0.5%"}).cpu_budget, 0.005);
    EXPECT_DOUBLE_EQ(watch({"--cpu-budget", "0"}).cpu_budget, 0);
    EXPECT_TRUE(contains(error({"watch", "--cpu-budget", "2"}), "--cpu-budget"));
}

TEST(WatchOptions, Defaults)
{
    const WatchOptions o = watch({});
    EXPECT_EQ(o.targets.names, std::vector<std::string>{"gip"});
    EXPECT_TRUE(o.targets.pids.empty());
    EXPECT_TRUE(o.targets.ports.empty());
    EXPECT_FALSE(o.targets.all);
    EXPECT_EQ(o.limits.warn_after, 1s);
    EXPECT_EQ(o.limits.critical_after, 2s);
    EXPECT_EQ(o.limits.horizon, 5s);
    EXPECT_EQ(o.duration, 4h);
    EXPECT_EQ(o.tick, 50ms);
    EXPECT_DOUBLE_EQ(o.cpu_budget, 0.01);
    EXPECT_EQ(o.output, OutputFormat::text);
    EXPECT_EQ(o.max_sockets, 65536U);
    EXPECT_FALSE(o.verbose);
}

TEST(WatchOptions, All)
{
    const WatchOptions o =
        watch({"--process",     "a",         "--pid",        "7",      "--port",
               "8765",          "--output",  "json",         "--tier", "bpf",
               "--duration",    "0",         "--warn-after", "250ms",  "--critical-after",
               "1.5s",          "--horizon", "10s",          "--tick", "5ms",
               "--max-sockets", "16",        "--verbose"});
    EXPECT_EQ(o.targets.names, std::vector<std::string>{"a"});
    EXPECT_EQ(o.targets.pids, std::vector<std::uint32_t>{7});
    EXPECT_EQ(o.targets.ports, std::vector<std::uint16_t>{8765});
    EXPECT_EQ(o.output, OutputFormat::json);
    EXPECT_EQ(o.duration, 0s);
    EXPECT_EQ(o.limits.warn_after, 250ms);
    EXPECT_EQ(o.limits.critical_after, 1500ms);
    EXPECT_EQ(o.limits.horizon, 10s);
    EXPECT_EQ(o.tick, 5ms);
    EXPECT_EQ(o.max_sockets, 16U);
    EXPECT_TRUE(o.verbose);
}

TEST(WatchOptions, TiersByName)
{
    EXPECT_EQ(watch({}).tier, std::nullopt);
    EXPECT_EQ(watch({"--tier", "auto"}).tier, std::nullopt);
    EXPECT_EQ(watch({"--tier", "bpf"}).tier, Tier::bpf);
    EXPECT_EQ(watch({"--tier", "poll"}).tier, Tier::poll);
    EXPECT_TRUE(contains(error({"watch", "--tier", "proc"}), "proc"));
}

TEST(WatchOptions, PartsToDoWithout)
{
    EXPECT_EQ(watch({"--without", "inet_diag_req_v2", "--without", "inet_diag_req", "--without",
                     "sk_data_ready"})
                  .without,
              (std::vector<std::string>{"inet_diag_req_v2", "inet_diag_req", "sk_data_ready"}));
    EXPECT_TRUE(contains(error({"watch", "--without", "nothing"}), "nothing"));
}

TEST(WatchOptions, TargetsMayBeRepeated)
{
    const WatchOptions o = watch({"--process", "gip", "--process", "gop", "--port", "1", "--port",
                                  "65535", "--pid", "1", "--pid", "4194304"});
    EXPECT_EQ(o.targets.names, (std::vector<std::string>{"gip", "gop"}));
    EXPECT_EQ(o.targets.ports, (std::vector<std::uint16_t>{1, 65535}));
    EXPECT_EQ(o.targets.pids, (std::vector<std::uint32_t>{1, 4194304}));
}

TEST(WatchOptions, APidAloneIsNotGip)
{
    EXPECT_TRUE(watch({"--pid", "7"}).targets.names.empty());
    const WatchOptions all = watch({"--all", "--port", "80"});
    EXPECT_TRUE(all.targets.all);
    EXPECT_TRUE(all.targets.names.empty());
    EXPECT_EQ(watch({"--port", "80"}).targets.names, std::vector<std::string>{"gip"});
}

TEST(WatchOptions, EqualLimitsAreAllowed)
{
    EXPECT_EQ(watch({"--warn-after", "2s"}).limits.warn_after, 2s);
}

TEST(WatchOptions, NamesAsLongAsTheKernelKeepsThem)
{
    EXPECT_EQ(watch({"--process", "123456789012345"}).targets.names.front(), "123456789012345");
    const std::string message = error({"watch", "--process", "1234567890123456"});
    EXPECT_TRUE(contains(message, "1234567890123456")) << message;
    EXPECT_TRUE(contains(message, "give \"123456789012345\"")) << message;
}

TEST(WatchOptions, SixteenNamesAndSixteenPortsAtMost)
{
    for (const char* option : {"--process", "--port"}) {
        std::vector<std::string> values;
        values.reserve(17);
        for (int i = 0; i < 17; i++) {
            values.push_back(std::to_string(80 + i));
        }
        std::vector<const char*> arguments{"watch"};
        for (int i = 0; i < 16; i++) {
            arguments.insert(arguments.end(),
                             {option, values[static_cast<std::size_t>(i)].c_str()});
        }
        EXPECT_EQ(error(arguments), "no error");
        arguments.insert(arguments.end(), {option, values[0].c_str()});
        EXPECT_EQ(error(arguments), "no error") << "that is there already";
        arguments.insert(arguments.end(), {option, values[16].c_str()});
        EXPECT_TRUE(
            error(arguments).starts_with(std::string(option) + " can be given 16 times at most: "));
    }
}

TEST(WatchOptions, Errors)
{
    struct Case {
        std::vector<const char*> arguments;
        const char* says;
    };
    for (const Case& c : std::vector<Case>{
             {{}, "subcommand"},
             {{"--process", "gip"}, "subcommand"},
             {{"wach"}, "\"wach\""},
             {{"watch", "demo"}, "demo"},
             {{"watch", "--no-such-option"}, "--no-such-option"},
             {{"watch", "stray"}, "stray"},
             {{"watch", "--port", "0"}, "--port"},
             {{"watch", "--port", "70000"}, "70000"},
             {{"watch", "--port", "65536"}, "65536"},
             {{"watch", "--port=-1"}, "--port"},
             {{"watch", "--port", "http"}, "http"},
             {{"watch", "--port", "80x"}, "80x"},
             {{"watch", "--port"}, "--port"},
             {{"watch", "--pid", "0"}, "--pid"},
             {{"watch", "--pid=-5"}, "--pid"},
             {{"watch", "--pid", "4194305"}, "4194305"},
             {{"watch", "--process", ""}, "a process name cannot be empty"},
             {{"watch", "--process"}, "--process"},
             {{"watch", "--all", "--process", "gip"}, "--all"},
             {{"watch", "--all", "--pid", "7"}, "--all"},
             {{"watch", "--duration", "10"}, "\"10\" is no duration"},
             {{"watch", "--duration", "-1s"}, "--duration"},
             {{"watch", "--horizon", "soon"}, "\"soon\" is no duration"},
             {{"watch", "--horizon", ""}, "is no duration"},
             {{"watch", "--warn-after", "1ss"}, "--warn-after"},
             {{"watch", "--warn-after", "0"}, "--warn-after must be longer than 0"},
             {{"watch", "--warn-after", "3s"}, "--critical-after, which is 2.00 s, must not be"},
             {{"watch", "--critical-after", "999ms"}, "--warn-after, which is 1.00 s: give both"},
             {{"watch", "--warn-after", "1s", "--warn-after", "2s"}, "--warn-after"},
             {{"watch", "--tick", "999us"}, "--tick must be between"},
             {{"watch", "--tick", "0"}, "--tick must be between"},
             {{"watch", "--tick", "10001ms"}, "--tick must be between"},
             {{"watch", "--output", "xml"}, "xml"},
             {{"watch", "--tier", "magic"}, "magic"},
             {{"watch", "--max-sockets", "15"}, "--max-sockets"},
             {{"watch", "--max-sockets", "1048577"}, "--max-sockets"},
             {{"doctor", "--all", "--process", "gip"}, "--all"},
             {{"doctor", "--port", "0"}, "--port"},
             {{"demo", "--process", "gip"}, "--process"},
         }) {
        const std::string message = error(c.arguments);
        EXPECT_TRUE(contains(message, c.says)) << "\"" << message << "\" has no " << c.says;
    }
}

TEST(WatchOptions, ErrorsAreOneLineWhateverWasTyped)
{
    const std::string message = error({"watch", "--duration", "1\n\x1b[2J"});
    EXPECT_EQ(message.find('\x1b'), std::string::npos);
    EXPECT_TRUE(contains(error({"watch", "--output", "\xff\n"}), "--output"));
}

TEST(DoctorOptions, TakesTargets)
{
    const auto preset = parse({"doctor"});
    ASSERT_TRUE(preset);
    EXPECT_EQ(std::get<DoctorOptions>(*preset).targets.names, std::vector<std::string>{"gip"});
    const auto command = parse({"doctor", "--pid", "7", "--output", "json", "--verbose"});
    ASSERT_TRUE(command);
    const auto& o = std::get<DoctorOptions>(*command);
    EXPECT_EQ(o.targets.pids, std::vector<std::uint32_t>{7});
    EXPECT_TRUE(o.targets.names.empty());
    EXPECT_EQ(o.output, OutputFormat::json);
    EXPECT_TRUE(o.verbose);
}

TEST(DemoOptions, TakesOutput)
{
    const auto command = parse({"demo", "--output", "json"});
    ASSERT_TRUE(command);
    EXPECT_EQ(std::get<DemoOptions>(*command).output, OutputFormat::json);
}

TEST(Help, IsATextAndNoError)
{
    for (const auto& arguments : {std::vector<const char*>{"--help"}, {"watch", "--help"}}) {
        const auto command = parse(arguments);
        ASSERT_TRUE(command);
        ASSERT_TRUE(std::holds_alternative<HelpText>(*command));
    }
    const auto help = parse({"watch", "--help"});
    const std::string& text = std::get<HelpText>(*help).text;
    for (const char* option :
         {"--process", "--pid", "--port", "--all", "--output", "--tier", "--duration",
          "--warn-after", "--critical-after", "--horizon", "--tick", "--verbose"}) {
        EXPECT_TRUE(contains(text, option)) << option;
    }
}

TEST(Version, IsATextWithTheCommit)
{
    const auto command = parse({"--version"});
    ASSERT_TRUE(command) << command.error().message;
    ASSERT_TRUE(std::holds_alternative<HelpText>(*command));
    const std::string& text = std::get<HelpText>(*command).text;
    const std::regex form(R"(drainwatch \d+\.\d+\.\d+ \(([0-9a-f]{7,40}(-dirty)?|unknown)\)\n)");
    EXPECT_TRUE(std::regex_match(text, form)) << text;
    EXPECT_TRUE(contains(text, version()));
}

}  // namespace
}  // namespace drainwatch::options_test
