#include "app/commands.hpp"
#include "app/options.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

namespace {

using namespace drainwatch;

int report(const Error& error)
{
    fmt::print(stderr, "drainwatch: {}\n", error.message);
    return kExitCannot;
}

/// A descriptor that is closed would be handed out again, and a map be written to as stdout.
bool standard_descriptors_are_open()
{
    const bool stdout_is_open = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    int fd = 0;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
    return stdout_is_open;
}

struct Run {
    Result<int> operator()(const WatchOptions& options) const { return run_watch(options); }
    Result<int> operator()(const ProfileOptions& options) const { return run_profile(options); }
    Result<int> operator()(const DoctorOptions& options) const { return run_doctor(options); }
    Result<int> operator()(const DemoOptions& options) const { return run_demo(options); }
    Result<int> operator()(const HelpText& help) const
    {
        const bool written = std::fputs(help.text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
        if (!written && errno != EPIPE) {
            return tl::unexpected(
                system_error("write", "the output", errno, "make room, or write elsewhere"));
        }
        return 0;
    }
};

}  // namespace

int main(int argc, char** argv)
{
    try {
        std::signal(SIGPIPE, SIG_IGN);
        if (!standard_descriptors_are_open()) {
            return report({"stdout is closed: there is nowhere to print to"});
        }
        const auto command = parse_command_line(argc, argv);
        if (!command) {
            return report(command.error());
        }
        const auto code = std::visit(Run{}, *command);
        return code ? *code : report(code.error());
    } catch (const std::exception& error) {
        return report({error.what()});
    }
}
