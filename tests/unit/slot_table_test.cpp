#include "bpf/slots.hpp"

#include "host/file.hpp"
#include "host/shared_mapping.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

namespace drainwatch::slot_table_test {
namespace {

constexpr std::uint32_t kSlots = DW_FILL_BATCH;
constexpr std::uint32_t kSlot = 70;  // in the second window

/// A table whose maps are files in memory: what the kernel side writes, the test does.
class SlotTableAttention : public ::testing::Test {
protected:
    void SetUp() override
    {
        ASSERT_EQ(ftruncate(slots_file_.get(), kSlots * sizeof(dw_slot)), 0);
        ASSERT_EQ(ftruncate(flags_file_.get(), kFlagBytes), 0);
        slots_ =
            SharedMapping(slots_file_.get(), 0, kSlots * sizeof(dw_slot), PROT_READ | PROT_WRITE);
        flags_ = SharedMapping(flags_file_.get(), 0, kFlagBytes, PROT_READ | PROT_WRITE);
        ASSERT_TRUE(slots_ && flags_);
        auto table = SlotTable::map(slots_file_.get(), flags_file_.get(), kSlots);
        ASSERT_TRUE(table);
        table_.emplace(std::move(*table));
    }

    dw_fifo& unread() { return reinterpret_cast<dw_slot*>(slots_.at())[kSlot].unread; }
    std::uint64_t& flag() { return reinterpret_cast<std::uint64_t*>(flags_.at())[kSlot]; }

    /// As the kernel side does it.
    void arrive()
    {
        unread().count = 1;
        unread().noticed = 1;
        flag() = 1;
    }

    static constexpr std::size_t kFlagBytes = 4096;
    File slots_file_{memfd_create("slots", MFD_CLOEXEC)};
    File flags_file_{memfd_create("attention", MFD_CLOEXEC)};
    SharedMapping slots_;
    SharedMapping flags_;
    std::optional<SlotTable> table_;
};

/// Mapped are only those parts that were looked at lately.
TEST(SlotTable, LooksAtMoreThanItKeepsMapped)
{
    constexpr std::uint32_t kMany = 65536;
    const File slots(memfd_create("slots", MFD_CLOEXEC));
    const File flags(memfd_create("attention", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(slots.get(), kMany * sizeof(dw_slot)), 0);
    ASSERT_EQ(ftruncate(flags.get(), kMany * sizeof(std::uint64_t)), 0);
    const auto mark = [&](std::uint32_t slot) {
        dw_slot value{};
        value.cookie = slot + 1;
        ASSERT_EQ(pwrite(slots.get(), &value, sizeof(value), slot * sizeof(dw_slot)),
                  static_cast<ssize_t>(sizeof(value)));
    };
    constexpr std::uint32_t kStep = 63;  // each part, and more than one slot of some
    for (std::uint32_t slot = 0; slot < kMany; slot += kStep) {
        mark(slot);
    }
    const auto table = SlotTable::map(slots.get(), flags.get(), kMany);
    ASSERT_TRUE(table);
    for (int round = 0; round < 3; round++) {
        for (std::uint32_t slot = 0; slot < kMany; slot += kStep) {
            const auto value = table->read(slot);
            ASSERT_TRUE(value);
            ASSERT_EQ(value->cookie, slot + 1);
        }
    }
    std::ifstream maps("/proc/self/maps");
    std::uint64_t mapped = 0;
    for (std::string line; std::getline(maps, line);) {
        if (line.find("memfd:slots") != std::string::npos) {
            mapped += std::stoull(line.substr(line.find('-') + 1), nullptr, 16) -
                      std::stoull(line, nullptr, 16);
        }
    }
    EXPECT_GT(mapped, 0U);
    EXPECT_LE(mapped, std::uint64_t{20} << 20);
    EXPECT_EQ(table->places(kMany).size(), (kMany + kStep - 1) / kStep);
}

TEST_F(SlotTableAttention, is_not_called_without_the_flag)
{
    unread().count = 1;
    EXPECT_FALSE(table_->calls_for_attention(kSlot));
}

TEST_F(SlotTableAttention, is_called_as_long_as_there_is_unread_data)
{
    arrive();
    EXPECT_TRUE(table_->calls_for_attention(kSlot));
    EXPECT_TRUE(table_->calls_for_attention(kSlot));
    EXPECT_EQ(flag(), 1U);
    EXPECT_EQ(unread().noticed, 1U);
}

TEST_F(SlotTableAttention, is_taken_back_with_the_slots_word_of_it)
{
    arrive();
    unread().count = 0;
    EXPECT_FALSE(table_->calls_for_attention(kSlot));
    EXPECT_EQ(flag(), 0U);
    // The kernel side would not set the flag again otherwise.
    EXPECT_EQ(unread().noticed, 0U);
}

}  // namespace
}  // namespace drainwatch::slot_table_test
