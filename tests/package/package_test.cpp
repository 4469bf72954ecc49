// The archive, the .deb and the .rpm: what they hold, and that they go without a trace.
#include "root.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <fstream>
#include <iterator>
#include <set>

namespace drainwatch::package {
namespace {

namespace fs = std::filesystem;
using live::Outcome;
using live::run;

constexpr std::uintmax_t kMostBytes = 8'000'000;

const std::string kDirectory = DRAINWATCH_PACKAGES "/";
const std::string kArchiveName = "drainwatch-" DRAINWATCH_VERSION "-linux-x86_64";
const std::string kArchive = kDirectory + kArchiveName + ".tar.gz";
const std::string kDeb = kDirectory + "drainwatch_" DRAINWATCH_VERSION "_amd64.deb";
const std::string kRpm = kDirectory + "drainwatch-" DRAINWATCH_VERSION "-1.x86_64.rpm";

std::string output_of(const std::vector<std::string>& command)
{
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 0) << command.front() << ": " << outcome.err;
    return outcome.out;
}

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

/// Paths to modes of what is in `after` and not in `before`; nothing else may have changed.
std::map<std::string, std::string> added(const Snapshot& before, const Snapshot& after)
{
    std::map<std::string, std::string> modes;
    for (const auto& [path, what] : after) {
        const auto old = before.find(path);
        if (old == before.end()) {
            modes[path] = what.substr(0, what.find(' ', what.find(':')));
        } else {
            EXPECT_EQ(what, old->second) << path;
        }
    }
    for (const auto& [path, what] : before) {
        EXPECT_TRUE(after.contains(path)) << path << " is gone";
    }
    return modes;
}

class Archive : public testing::Test {
protected:
    Archive()
    {
        output_of({"tar", "-xzf", kArchive, "-C", root_.path()});
        directory_ = root_.path() / kArchiveName;
        executable_ = directory_ / "drainwatch";
    }

    Root root_;
    fs::path directory_;
    std::string executable_;
};

TEST_F(Archive, HoldsTheExecutableAndItsPapers)
{
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_)) {
        names.insert(entry.path().filename());
    }
    EXPECT_EQ(names, (std::set<std::string>{"copyright", "drainwatch", "drainwatch.1"}));
}

TEST_F(Archive, ExecutableNeedsNoLibraryAndNoNewKernel)
{
    const std::string headers = output_of({"readelf", "--wide", "--program-headers", executable_});
    EXPECT_FALSE(contains(headers, "INTERP")) << headers;
    EXPECT_FALSE(contains(headers, "DYNAMIC")) << headers;
    const std::string notes = output_of({"readelf", "--wide", "--notes", executable_});
    EXPECT_TRUE(contains(notes, "OS: Linux, ABI: 3.2.0")) << notes;
    EXPECT_FALSE(contains(notes, "x86-64-v")) << notes;
}

TEST_F(Archive, ExecutableIsSmallAndStripped)
{
    EXPECT_LT(fs::file_size(executable_), kMostBytes);
    const std::string sections = output_of({"readelf", "--wide", "--sections", executable_});
    EXPECT_FALSE(contains(sections, ".symtab"));
    EXPECT_FALSE(contains(sections, ".debug"));
}

TEST_F(Archive, ExecutableTellsNothingOfTheMachineThatBuiltIt)
{
    std::ifstream file(executable_, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    EXPECT_FALSE(contains(bytes, DRAINWATCH_SOURCE));
    EXPECT_FALSE(contains(bytes, DRAINWATCH_PACKAGES));
}

TEST_F(Archive, ExecutableRunsWhereNothingElseIs)
{
    const Outcome outcome = root_.run({"/" + kArchiveName + "/drainwatch", "--version"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, output_of({DRAINWATCH_EXECUTABLE, "--version"}));
    EXPECT_TRUE(outcome.out.starts_with("drainwatch " DRAINWATCH_VERSION " ("));
}

using Commands = std::vector<std::vector<std::string>>;

/// A package manager, and how it treats our package in a root.
struct Kind {
    std::string name;
    std::string zsh_directory;
    Commands (*install)(const std::string& root);  ///< the second time: over the first
    Commands (*remove)(const std::string& root);
};

std::ostream& operator<<(std::ostream& out, const Kind& kind)
{
    return out << kind.name;
}

Commands install_deb(const std::string& root)
{
    return {{"dpkg", "--root=" + root, "--log=/dev/null", "--install", kDeb}};
}

Commands remove_deb(const std::string& root)
{
    return {{"dpkg", "--root=" + root, "--log=/dev/null", "--remove", "drainwatch"},
            {"dpkg", "--root=" + root, "--log=/dev/null", "--purge", "drainwatch"}};
}

/// --nodeps: the root has no packages, so nobody provides /bin/sh.
Commands install_rpm(const std::string& root)
{
    return {{"rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--force-debian", "--nodeps", "-U",
             "--replacepkgs", kRpm}};
}

Commands remove_rpm(const std::string& root)
{
    return {
        {"rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--force-debian", "-e", "drainwatch"}};
}

class Installed : public testing::TestWithParam<Kind> {
protected:
    static void run_all(const Commands& commands)
    {
        for (const auto& command : commands) {
            output_of(command);
        }
    }

    void install() const { run_all(GetParam().install(root_.path())); }
    void remove() const { run_all(GetParam().remove(root_.path())); }

    [[nodiscard]] Outcome systemctl(const std::string& action) const
    {
        return root_.run({"systemctl", action, "drainwatch.service"});
    }

    Root root_;
    Snapshot before_ = root_.snapshot();
};

TEST_P(Installed, FilesAreWhereTheyBelong)
{
    install();
    std::map<std::string, std::string> expected{
        {"/usr/bin/drainwatch", "0755 0:0"},
        {"/usr/lib/systemd/system/drainwatch.service", "0644 0:0"},
        {"/usr/share/bash-completion", "0755 0:0"},
        {"/usr/share/bash-completion/completions", "0755 0:0"},
        {"/usr/share/bash-completion/completions/drainwatch", "0644 0:0"},
        {"/usr/share/doc/drainwatch", "0755 0:0"},
        {"/usr/share/doc/drainwatch/copyright", "0644 0:0"},
        {"/usr/share/fish", "0755 0:0"},
        {"/usr/share/fish/vendor_completions.d", "0755 0:0"},
        {"/usr/share/fish/vendor_completions.d/drainwatch.fish", "0644 0:0"},
        {"/usr/share/man/man1/drainwatch.1.gz", "0644 0:0"},
        {"/usr/share/zsh", "0755 0:0"},
        {GetParam().zsh_directory, "0755 0:0"},
        {GetParam().zsh_directory + "/_drainwatch", "0644 0:0"},
    };
    EXPECT_EQ(added(before_, root_.snapshot()), expected);
}

TEST_P(Installed, ExecutableRuns)
{
    install();
    EXPECT_EQ(root_.run({"/usr/bin/drainwatch", "--version"}).out,
              output_of({DRAINWATCH_EXECUTABLE, "--version"}));
}

TEST_P(Installed, GoesWithoutATrace)
{
    install();
    remove();
    EXPECT_TRUE(added(before_, root_.snapshot()).empty());
}

TEST_P(Installed, ServiceIsOffUntilTheAdministratorWantsIt)
{
    install();
    EXPECT_EQ(systemctl("is-enabled").out, "disabled\n");
    EXPECT_EQ(systemctl("enable").code, 0);
    install();
    EXPECT_EQ(systemctl("is-enabled").out, "enabled\n");
    remove();
    EXPECT_TRUE(added(before_, root_.snapshot()).empty());
}

INSTANTIATE_TEST_SUITE_P(
    , Installed,
    testing::Values(Kind{"deb", "/usr/share/zsh/vendor-completions", install_deb, remove_deb},
                    Kind{"rpm", "/usr/share/zsh/site-functions", install_rpm, remove_rpm}),
    [](const auto& kind) { return kind.param.name; });

TEST(Deb, DependsOnNothing)
{
    const std::string fields = output_of({"dpkg-deb", "--field", kDeb});
    EXPECT_FALSE(contains(fields, "Depends")) << fields;
    EXPECT_TRUE(contains(fields, "Architecture: amd64\n")) << fields;
    EXPECT_TRUE(contains(fields, "Version: " DRAINWATCH_VERSION "\n")) << fields;
    EXPECT_TRUE(contains(fields, "Section: admin\n")) << fields;
    EXPECT_TRUE(contains(fields, "Priority: optional\n")) << fields;
}

TEST(Rpm, NeedsAShellAndNoMore)
{
    std::istringstream needs(output_of({"rpm", "-qp", "--requires", kRpm}));
    for (std::string line; std::getline(needs, line);) {
        EXPECT_TRUE(line == "/bin/sh" || line.starts_with("rpmlib(")) << line;
    }
    // RHEL 7 knows no zstd.
    EXPECT_EQ(output_of({"rpm", "-qp", "--qf", "%{ARCH} %{PAYLOADCOMPRESSOR}", kRpm}),
              "x86_64 gzip");
}

TEST(Unit, IsUnderstoodAndConfined)
{
    const std::string unit = DRAINWATCH_SOURCE "/scripts/packaging/drainwatch.service";
    const Outcome outcome =
        run({"systemd-analyze", "security", "--offline=true", "--threshold=30", unit});
    EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
    EXPECT_FALSE(contains(outcome.err, "drainwatch.service:")) << outcome.err;
}

}  // namespace
}  // namespace drainwatch::package
