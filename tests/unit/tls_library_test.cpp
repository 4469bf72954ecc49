#include "host/tls_library.hpp"

#include <gtest/gtest.h>

namespace drainwatch {
namespace {

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
               "/opt/x/libssl.so.1.0.2k (deleted)"}}) {
        const auto library = tls_library_of_line(c.line);
        ASSERT_TRUE(library) << c.line;
        EXPECT_EQ(library->name, c.name);
        EXPECT_EQ(library->path, c.path);
    }
    for (const char* line :
         {"", "7f10-7f20 rw-p 00000000 00:00 0 ", "7ffc-7ffd r-xp 0 00:00 0 [vdso]",
          "7f10-7f20 r--p 0 fe:01 1  /usr/lib/libcrypto.so.3",
          "7f10-7f20 r--p 0 fe:01 1  /usr/lib/libssl.so.3.d/plugin.so"}) {
        EXPECT_FALSE(tls_library_of_line(line)) << line;
    }
}

}  // namespace
}  // namespace drainwatch
