#pragma once

#include "drainwatch/sample.hpp"
#include "drainwatch/source.hpp"
#include "profile/distribution.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What was measured, as the source of it says: by numbers, not by names.
namespace drainwatch {

/// Of the time in which data lay unread, what its readers did, in nanoseconds.
struct Waiting {
    std::uint64_t running_ns = 0;
    std::uint64_t runnable_ns = 0;  ///< no CPU was to be had
    std::uint64_t unknown_ns = 0;   ///< nobody has read, it is not known who would
    std::map<std::int32_t, std::uint64_t> asleep_ns;  ///< by system call, DW_NO_CALL: in none

    [[nodiscard]] std::uint64_t sleeping_ns() const;
    [[nodiscard]] std::uint64_t total_ns() const;
    void add(const Waiting& other);
    void add(std::uint32_t state, std::int32_t call, std::uint64_t ns);
};

/// What lies unread when the measurement ends, though its reader was told of it: no read tells.
struct Unread {
    std::uint32_t sockets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t oldest_ns = 0;  ///< age of the oldest byte; at least, if it was there before

    void add(const Unread& other);
};

/// All that is measured of one group of reads.
struct Measured {
    std::array<Distribution, DW_DISTRIBUTIONS> distributions;
    Waiting waiting;
    Unread unread;

    [[nodiscard]] const Distribution& of(dw_distribution which) const
    {
        return distributions[static_cast<std::size_t>(which)];
    }
    void add(const Measured& other);
};

/// A thread that has read.
struct ReaderThread {
    std::uint32_t tgid = 0;
    std::string comm;  ///< raw
};

/// A socket that groups are named for.
struct MeasuredSocket {
    std::uint32_t tgid = 0;
    Endpoint local;
    Endpoint remote;
};

/// Time spent off the CPU in one place of the code, while data lay unread.
struct StackWait {
    std::uint32_t tgid = 0;
    std::uint32_t state = 0;  ///< dw_thread_state
    std::int32_t call = DW_NO_CALL;
    std::vector<std::uint64_t> kernel;  ///< addresses, the innermost first; empty: not known
    std::vector<std::uint64_t> user;
    std::uint64_t ns = 0;
};

/// What could not be measured.
struct NotMeasured {
    std::uint64_t samples = 0;          ///< no room for them
    std::uint64_t threads = 0;          ///< reads by threads for which there was no room
    std::uint64_t waits = 0;            ///< times waited for which there was no room
    std::uint64_t sockets = 0;          ///< no room for them
    std::uint64_t early_segments = 0;   ///< they had arrived before
    std::uint64_t merged_segments = 0;  ///< measured, but with the mean of their neighbours' times
    std::uint64_t runs_missed = 0;      ///< program runs that the kernel left out
};

/// A TLS library whose calls were traced.
struct TlsTracedLibrary {
    std::string name;        ///< "OpenSSL"
    std::string path;        ///< raw
    std::string calls;       ///< those of which the latency was measured
    unsigned processes = 0;  ///< how many of them had it
};

struct TlsTraced {
    std::vector<TlsTracedLibrary> libraries;  ///< none: nothing of TLS was measured
    std::vector<MissingPart> missing;         ///< libraries that are there, and were not traced
};

struct Measurement {
    std::uint64_t duration_ns = 0;
    std::map<std::uint64_t, Measured> groups;        ///< by tgid, cookie or tid, or all in 0
    std::map<std::uint32_t, std::string> processes;  ///< names, raw, of those that still run
    std::map<std::uint32_t, ReaderThread> threads;
    std::map<std::uint64_t, MeasuredSocket> sockets;
    std::vector<StackWait> stacks;
    NotMeasured not_measured;
    TlsTraced tls;
};

}  // namespace drainwatch
