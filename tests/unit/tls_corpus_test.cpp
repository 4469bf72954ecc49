// The fuzzer's corpus, run by whichever compiler builds the tests.
#include <gtest/gtest.h>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it so
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace drainwatch::tls_corpus_test {
namespace {

TEST(TlsCorpus, IsSurvived)
{
    unsigned inputs = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(DRAINWATCH_SOURCE "/tests/fuzz/corpus")) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
        const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
        EXPECT_EQ(LLVMFuzzerTestOneInput(input.data(), input.size()), 0) << entry.path();
        inputs++;
    }
    EXPECT_GE(inputs, 11U);
}

}  // namespace
}  // namespace drainwatch::tls_corpus_test
