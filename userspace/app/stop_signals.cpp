#include "app/stop_signals.hpp"

#include <sys/signalfd.h>
#include <cerrno>
#include <csignal>

namespace drainwatch {

Result<File> open_stop_signals()
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &stop, nullptr);
    File file(signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!file) {
        return tl::unexpected(system_error("open", "a signal descriptor", errno));
    }
    return file;
}

}  // namespace drainwatch
