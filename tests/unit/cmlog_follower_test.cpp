#include "cmlog/follower.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>

namespace drainwatch::cmlog::cmlog_follower_test {
namespace {

using Lines = std::vector<std::string>;

class CmLogFollower : public ::testing::Test {
protected:
    CmLogFollower() { std::filesystem::create_directory(folder_); }
    ~CmLogFollower() override { std::filesystem::remove_all(folder_); }

    void append(const std::string& text, const std::string& name = "log") const
    {
        std::ofstream(folder_ / name, std::ios::app) << text;
    }

    std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() /
        fmt::format("drainwatch-{}-{}", getpid(),
                    ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::string path_ = folder_ / "log";
};

TEST_F(CmLogFollower, ReadsWhatIsAdded)
{
    append("history\n");
    Follower log(path_);
    EXPECT_EQ(log.take_lines(), Lines{});
    append("one\ntwo\nthr");
    EXPECT_EQ(log.take_lines(), (Lines{"one", "two"}));
    append("ee\n\n");
    EXPECT_EQ(log.take_lines(), (Lines{"three", ""}));
    EXPECT_EQ(log.take_lines(), Lines{});
}

TEST_F(CmLogFollower, AFileThatAppearsLaterIsReadFromItsBeginning)
{
    Follower log(path_);
    EXPECT_FALSE(log.is_open());
    EXPECT_EQ(log.take_lines(), Lines{});
    append("one\n");
    EXPECT_EQ(log.take_lines(), Lines{"one"});
    EXPECT_TRUE(log.is_open());
}

TEST_F(CmLogFollower, ThroughRotation)
{
    append("");
    Follower log(path_);
    append("one\nwithout end");
    std::filesystem::rename(path_, folder_ / "log.1");
    append("two\n");
    EXPECT_EQ(log.take_lines(), (Lines{"one", "without end", "two"}));
    append("late\n", "log.1");
    append("three\n");
    EXPECT_EQ(log.take_lines(), Lines{"three"});
}

TEST_F(CmLogFollower, WhileTheNameIsGoneTheOldFileIsFollowed)
{
    append("");
    Follower log(path_);
    std::filesystem::rename(path_, folder_ / "log.1");
    append("late\n", "log.1");
    EXPECT_EQ(log.take_lines(), Lines{"late"});
    append("new\n");
    EXPECT_EQ(log.take_lines(), Lines{"new"});
}

TEST_F(CmLogFollower, ThroughTruncation)
{
    append("");
    Follower log(path_);
    append("one\npart");
    EXPECT_EQ(log.take_lines(), Lines{"one"});
    std::filesystem::resize_file(path_, 0);
    append("two\n");
    EXPECT_EQ(log.take_lines(), Lines{"two"});
}

TEST_F(CmLogFollower, LongLinesAreLeftOutAndCounted)
{
    append("");
    Follower log(path_);
    append(std::string(Follower::kLongestLine, 'a') + "\n" +
           std::string(Follower::kLongestLine + 1, 'b') + "\nshort\n");
    EXPECT_EQ(log.take_lines(), (Lines{std::string(Follower::kLongestLine, 'a'), "short"}));
    EXPECT_EQ(log.too_long(), 1U);
    for (int i = 0; i < 3; i++) {
        append(std::string(Follower::kMostBytesAtOnce / 2, 'c'));
        EXPECT_EQ(log.take_lines(), Lines{});
    }
    append("\nafter\n");
    EXPECT_EQ(log.take_lines(), Lines{"after"});
    EXPECT_EQ(log.too_long(), 2U);
}

TEST_F(CmLogFollower, AFloodIsTakenInPieces)
{
    append("");
    Follower log(path_);
    const std::string line(99, 'x');
    std::string much;
    for (std::size_t i = 0; i < 2 * Follower::kMostBytesAtOnce / 100; i++) {
        much += line + "\n";
    }
    append(much);
    const auto first = log.take_lines();
    EXPECT_LE(first.size(), Follower::kMostBytesAtOnce / 100);
    EXPECT_GT(first.size(), 0U);
    std::size_t all = first.size();
    for (int i = 0; i < 3; i++) {
        all += log.take_lines().size();
    }
    EXPECT_EQ(all, 2 * Follower::kMostBytesAtOnce / 100);
}

TEST_F(CmLogFollower, WhatIsNoFileIsNotOpened)
{
    Follower folder(folder_);
    EXPECT_FALSE(folder.is_open());
    EXPECT_EQ(folder.take_lines(), Lines{});
}

}  // namespace
}  // namespace drainwatch::cmlog::cmlog_follower_test
