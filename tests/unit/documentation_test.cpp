// The man page and the completions know what --help prints, and nothing that it does not.
#include "app/options.hpp"

#include <gtest/gtest.h>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

namespace drainwatch::documentation_test {
namespace {

using Words = std::set<std::string>;

/// The first group of each match.
Words words_in(const std::string& text, const char* form)
{
    const std::regex regex(form);
    Words words;
    for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
        words.insert(it->str(1));
    }
    return words;
}

std::string help(std::vector<const char*> arguments)
{
    arguments.insert(arguments.begin(), "drainwatch");
    arguments.push_back("--help");
    const auto command = parse_command_line(static_cast<int>(arguments.size()), arguments.data());
    return std::get<HelpText>(command.value()).text;
}

Words commands()
{
    const std::string text = help({});
    return words_in(text.substr(text.find("Subcommands:")), "\n  ([a-z]+) ");
}

/// The help of drainwatch and of each command.
std::string all_help()
{
    std::string text = help({});
    for (const std::string& command : commands()) {
        text += help({command.c_str()});
    }
    return text;
}

Words options_in(const std::string& text)
{
    return words_in(text, "--([a-z][a-z-]*)");
}

/// The words in "--output text|json".
Words values()
{
    Words values;
    for (const std::string& list : words_in(all_help(), "--[a-z-]+ ([a-z]+(\\|[a-z]+)+) ")) {
        values.merge(words_in(list, "([a-z]+)"));
    }
    return values;
}

std::string read(const std::string& path)
{
    std::ifstream file(DRAINWATCH_SOURCE "/" + path);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

struct Document {
    const char* path;
    const char* option;  ///< how it writes one
};

class Documentation : public testing::TestWithParam<Document> {
protected:
    /// roff writes "-" as "\-".
    std::string text_ = std::regex_replace(read(GetParam().path), std::regex(R"(\\-)"), "-");
};

TEST_P(Documentation, HasTheOptions)
{
    EXPECT_EQ(words_in(text_, GetParam().option), options_in(all_help()));
}

TEST_P(Documentation, KnowsTheCommandsAndValues)
{
    const Words words = words_in(text_, "([a-z]+)");
    Words wanted = commands();
    wanted.merge(values());
    for (const std::string& word : wanted) {
        EXPECT_TRUE(words.contains(word)) << word;
    }
}

constexpr auto kDashes = "--([a-z][a-z-]*)";

INSTANTIATE_TEST_SUITE_P(
    , Documentation,
    testing::Values(Document{"docs/drainwatch.1", kDashes},
                    Document{"scripts/packaging/drainwatch.bash", kDashes},
                    Document{"scripts/packaging/drainwatch.zsh", kDashes},
                    Document{"scripts/packaging/drainwatch.fish", "complete .* -l ([a-z][a-z-]*)"}),
    [](const auto& document) {
        const std::string path = document.param.path;
        return path.substr(path.rfind('.') + 1) == "1" ? "man" : path.substr(path.rfind('.') + 1);
    });

TEST(ManPage, HasThePartsToDoWithout)
{
    const std::string page = read("docs/drainwatch.1");
    const auto begin = page.find(R"(.BI \-\-without)");
    ASSERT_NE(begin, std::string::npos);
    const auto names = part_names();
    EXPECT_EQ(
        words_in(page.substr(begin, page.find("\n.TP", begin) - begin), R"(\\fI([a-z0-9_/]+)\\fR)"),
        Words(names.begin(), names.end()));
}

TEST(Help, IsUnderstoodByTheseTests)
{
    EXPECT_TRUE(commands().contains("watch"));
    EXPECT_TRUE(options_in(all_help()).contains("critical-after"));
    EXPECT_TRUE(values().contains("json"));
}

}  // namespace
}  // namespace drainwatch::documentation_test
