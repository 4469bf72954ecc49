#include "host/tls_library.hpp"

#include "host/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <algorithm>
#include <array>

/// This program has a TLS library linked in, as far as its symbols tell.
// NOLINTNEXTLINE(readability-identifier-naming): it is OpenSSL's
extern "C" [[gnu::used, gnu::noinline]] int SSL_read(void* session, void* /*buffer*/, int size)
{
    return session != nullptr ? size : 0;
}

namespace drainwatch::tls_library_test {
namespace {

constexpr auto kSelf = "/proc/self/exe";

TEST(TlsLibraries, linked_into_the_executable)
{
    TlsLibraries libraries;
    const auto found = libraries.of(static_cast<std::uint32_t>(getpid()));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].name, "OpenSSL");
    EXPECT_EQ(found[0].measured_calls(), "SSL_read");
    EXPECT_NE(found[0].path.find("unit_tests"), std::string::npos) << found[0].path;
    EXPECT_EQ(found[0].why_not, "");
    const File file(open(kSelf, O_RDONLY | O_CLOEXEC));
    const auto inside = tls_libraries_in(file.get());
    ASSERT_EQ(inside.size(), 1U);
    ASSERT_EQ(inside[0].functions.size(), 1U);
    EXPECT_EQ(inside[0].functions, found[0].functions);
    // The code is there: the same bytes as in memory.
    std::array<char, 4> in_file{};
    const auto offset = static_cast<off_t>(inside[0].functions[0].offset);
    ASSERT_EQ(pread(file.get(), in_file.data(), in_file.size(), offset), 4);
    const auto* in_memory = reinterpret_cast<const char*>(&SSL_read);
    EXPECT_TRUE(std::equal(in_file.begin(), in_file.end(), in_memory));
}

TEST(TlsLibraries, a_file_that_is_named)
{
    auto libraries = TlsLibraries::only(kSelf);
    ASSERT_TRUE(libraries) << libraries.error().message;
    const auto found = libraries->of(static_cast<std::uint32_t>(getpid()));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].measured_calls(), "SSL_read");
    EXPECT_FALSE(TlsLibraries::only("/nowhere/at/all"));
    for (const char* none : {"/", "/dev/null", "/bin/sh", "/etc/passwd"}) {
        const auto refused = TlsLibraries::only(none);
        ASSERT_FALSE(refused) << none;
        EXPECT_NE(refused.error().message.find("SSL_read"), std::string::npos);
        EXPECT_NE(refused.error().message.find(none), std::string::npos);
    }
}

TEST(TlsLibraries, of_a_process_that_is_gone_nothing_is_known)
{
    EXPECT_TRUE(TlsLibraries().of(0x7fffffff).empty());
}

TEST(TlsLibrary, ByTheMemoryMap)
{
    struct Case {
        const char* line;
        const char* name;
        const char* path;
    };
    for (const Case& c :
         {Case{"7f10-7f20 r-xp 0001e000 fe:01 1234  /usr/lib/x86_64-linux-gnu/libssl.so.3",
               "OpenSSL", "/usr/lib/x86_64-linux-gnu/libssl.so.3"},
          Case{"7f10-7f20 r--p 00000000 fe:01 1234  /usr/lib64/libgnutls.so.28.43.3", "GnuTLS",
               "/usr/lib64/libgnutls.so.28.43.3"},
          Case{"7f10-7f20 r--p 00000000 fe:01 1234  /opt/x/libssl.so.1.0.2k (deleted)", "OpenSSL",
               "/opt/x/libssl.so.1.0.2k (deleted)"},
          Case{"7f10-7f20 r-xp 0 fe:01 1  /x/psycopg2.libs/libssl-d7fdbcb5.so.1.1", "OpenSSL",
               "/x/psycopg2.libs/libssl-d7fdbcb5.so.1.1"}}) {
        const auto library = tls_library_of_line(c.line);
        ASSERT_TRUE(library) << c.line;
        EXPECT_EQ(library->name, c.name);
        EXPECT_EQ(library->path, c.path);
    }
    for (const char* line :
         {"", "7f10-7f20 rw-p 00000000 00:00 0 ", "7ffc-7ffd r-xp 0 00:00 0 [vdso]",
          "7f10-7f20 r--p 0 fe:01 1  /usr/lib/libcrypto.so.3",
          "7f10-7f20 r--p 0 fe:01 1  /usr/lib/libssl3.so",
          "7f10-7f20 r--p 0 fe:01 1  /var/log/libssl-build.log",
          "7f10-7f20 r--p 0 fe:01 1  /usr/lib/libssl.so.3.d/plugin.so"}) {
        EXPECT_FALSE(tls_library_of_line(line)) << line;
    }
}

}  // namespace
}  // namespace drainwatch::tls_library_test
