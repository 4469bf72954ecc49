// Why a test was skipped, in googletest's JSON too, for whoever reads that.
#include <gtest/gtest.h>

namespace drainwatch::live {
namespace {

class Reasons : public ::testing::EmptyTestEventListener {
    void OnTestPartResult(const ::testing::TestPartResult& part) override
    {
        if (part.skipped()) {
            ::testing::Test::RecordProperty("not_applicable", part.message());
        }
    }
};

[[maybe_unused]] const bool kListening = [] {
    ::testing::UnitTest::GetInstance()->listeners().Append(new Reasons);
    return true;
}();

}  // namespace
}  // namespace drainwatch::live
