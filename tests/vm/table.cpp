// vm_table FOLDER NAME...: what the virtual machines said about the live tests, as one table.
//
// A machine of that name left in FOLDER/NAME: `list`, the tests, one a line; for test number n,
// `n/report.json` by googletest, unless it crashed; `kernel`, its release; `seconds`, how long it
// took; `broken`, a sentence, if the machine itself did not do what it should. Exit 0 if nothing
// failed.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace drainwatch::vm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

enum class Verdict { passed, failed, not_run, not_applicable };

struct Result {
    Verdict verdict = Verdict::failed;
    std::string why;  ///< of a failure, and of what does not apply
    double seconds = 0;
};

struct Machine {
    std::string name;
    std::string kernel;
    std::string seconds;
    std::vector<std::string> tests;  ///< in the order they ran
    std::map<std::string, Result> results;
    std::vector<std::string> troubles;  ///< of the machine itself
};

std::vector<std::string> lines_of(const fs::path& path)
{
    std::vector<std::string> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        lines.push_back(line);
    }
    return lines;
}

std::string first_line_of(const fs::path& path)
{
    const std::vector<std::string> lines = lines_of(path);
    return lines.empty() ? "?" : lines.front();
}

/// The last lines, each after a line break.
std::string end_of(const std::vector<std::string>& lines, std::size_t number)
{
    std::string text;
    for (std::size_t i = lines.size() - std::min(number, lines.size()); i < lines.size(); i++) {
        text += "\n" + lines[i];
    }
    return text;
}

/// The same text, its further lines indented.
std::string indented(const std::string& text)
{
    std::string result;
    for (const char c : text) {
        result += c == '\n' ? "\n      " : std::string(1, c);
    }
    return result;
}

/// googletest's report of a run of one test.
Result read_report(const fs::path& folder)
{
    if (!fs::exists(folder)) {
        return {.verdict = Verdict::not_run, .why = ""};
    }
    std::ifstream file(folder / "report.json");
    const Json report = Json::parse(file, nullptr, false);
    if (report.is_discarded()) {
        return {.why = "crashed, or was killed after its time limit:" +
                       end_of(lines_of(folder / "log"), 12)};
    }
    const Json& test = report.at("testsuites").at(0).at("testsuite").at(0);
    Result result;
    result.seconds = std::stod(test.at("time").get<std::string>());
    if (test.contains("failures")) {
        for (const Json& failure : test["failures"]) {
            result.why += result.why.empty() ? "" : "\n";
            result.why += failure.at("failure").get<std::string>();
        }
        return result;
    }
    const bool skipped = test.at("result") == "SKIPPED";
    result.verdict = skipped ? Verdict::not_applicable : Verdict::passed;
    result.why = test.value("not_applicable", "");
    return result;
}

Machine read_machine(const fs::path& folder, const std::string& name)
{
    Machine machine;
    machine.name = name;
    machine.kernel = first_line_of(folder / "kernel");
    machine.seconds = first_line_of(folder / "seconds");
    machine.tests = lines_of(folder / "list");
    std::size_t ran = 0;
    bool whole = true;
    for (std::size_t i = 0; i < machine.tests.size(); i++) {
        const Result result = read_report(folder / std::to_string(i + 1));
        ran += result.verdict == Verdict::passed || result.verdict == Verdict::failed ? 1 : 0;
        whole = whole && result.verdict != Verdict::not_run;
        machine.results[machine.tests[i]] = result;
    }
    for (const std::string& line : lines_of(folder / "broken")) {
        machine.troubles.push_back(line);
    }
    if (!machine.troubles.empty() && fs::exists(folder / "console")) {
        machine.troubles.back() +=
            "; the console's end:" + end_of(lines_of(folder / "console"), 25);
    } else if (machine.troubles.empty() && !whole) {
        machine.troubles.emplace_back("some tests did not run");
    } else if (machine.troubles.empty() && ran == 0) {
        machine.troubles.emplace_back("no test ran");
    }
    return machine;
}

std::string cell(const Machine& machine, const std::string& test)
{
    const auto found = machine.results.find(test);
    if (found == machine.results.end()) {
        return "-";
    }
    switch (found->second.verdict) {
        case Verdict::passed: return fmt::format("passed {:5.1f} s", found->second.seconds);
        case Verdict::failed: return "FAILED";
        case Verdict::not_run: return "NOT RUN";
        case Verdict::not_applicable: return "n/a";
    }
    return "";
}

/// Every test once, in the order of the machines.
std::vector<std::string> all_tests(const std::vector<Machine>& machines)
{
    std::vector<std::string> tests;
    for (const Machine& machine : machines) {
        for (const std::string& test : machine.tests) {
            if (std::find(tests.begin(), tests.end(), test) == tests.end()) {
                tests.push_back(test);
            }
        }
    }
    return tests;
}

void print_table(const std::vector<Machine>& machines)
{
    const std::vector<std::string> tests = all_tests(machines);
    std::size_t widest = std::string("not applicable").size();
    for (const std::string& test : tests) {
        widest = std::max(widest, test.size());
    }
    const auto print_row = [&](const std::string& title, const auto& content) {
        fmt::print("{:{}}", title, widest);
        for (const Machine& machine : machines) {
            fmt::print("  {:<{}}", content(machine),
                       std::max<std::size_t>(14, machine.name.size()));
        }
        fmt::print("\n");
    };
    const auto count = [](Verdict verdict) {
        return [verdict](const Machine& machine) {
            return std::to_string(
                std::count_if(machine.results.begin(), machine.results.end(),
                              [&](const auto& r) { return r.second.verdict == verdict; }));
        };
    };
    print_row("test", [](const Machine& machine) { return machine.name; });
    for (const std::string& test : tests) {
        print_row(test, [&](const Machine& machine) { return cell(machine, test); });
    }
    fmt::print("\n");
    print_row("passed", count(Verdict::passed));
    print_row("failed", count(Verdict::failed));
    print_row("not run", count(Verdict::not_run));
    print_row("not applicable", count(Verdict::not_applicable));
    print_row("seconds", [](const Machine& machine) { return machine.seconds; });
    fmt::print("\n");
    for (const Machine& machine : machines) {
        fmt::print("{}: Linux {}\n", machine.name, machine.kernel);
    }
}

/// What has this verdict, and why, below a title; returns how many there are.
std::size_t print_reasons(const std::vector<Machine>& machines, Verdict verdict, const char* title)
{
    std::size_t number = 0;
    for (const Machine& machine : machines) {
        for (const std::string& test : machine.tests) {
            const Result& result = machine.results.at(test);
            if (result.verdict == verdict) {
                fmt::print("{}  {}: {}: {}\n", number++ == 0 ? title : "", machine.name, test,
                           indented(result.why));
            }
        }
    }
    return number;
}

int show(const std::vector<Machine>& machines)
{
    print_table(machines);
    print_reasons(machines, Verdict::not_applicable, "\nnot applicable:\n");
    std::size_t failed = print_reasons(machines, Verdict::failed, "\nfailed:\n");
    for (const Machine& machine : machines) {
        for (const std::string& trouble : machine.troubles) {
            fmt::print("\n{}: {}\n", machine.name, indented(trouble));
            failed++;
        }
    }
    return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace drainwatch::vm

int main(int argc, char** argv)
{
    using namespace drainwatch::vm;
    if (argc < 3) {
        fmt::print(stderr, "usage: vm_table FOLDER NAME...\n");
        return 3;
    }
    std::vector<Machine> machines;
    for (int i = 2; i < argc; i++) {
        machines.push_back(read_machine(fs::path(argv[1]) / argv[i], argv[i]));
    }
    return show(machines);
}
