#include "app/line_queue.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <string>

namespace drainwatch::line_queue_test {
namespace {

constexpr std::size_t kMiB = 1024 * 1024;

/// A pipe whose reader is the test.
class LineQueuePipe : public ::testing::Test {
protected:
    void SetUp() override
    {
        // As in main(): a reader who is gone is an error of write(), not the end of the process.
        before_ = std::signal(SIGPIPE, SIG_IGN);
        std::array<int, 2> ends{};
        ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
        reader_ = ends[0];
        writer_ = ends[1];
        ASSERT_EQ(fcntl(reader_, F_SETFL, O_NONBLOCK), 0);
    }

    void TearDown() override
    {
        close_reader();
        close(writer_);
        std::signal(SIGPIPE, before_);
    }

    void close_reader()
    {
        if (reader_ >= 0) {
            close(reader_);
        }
        reader_ = -1;
    }

    /// All that is in the pipe now.
    std::string read_some()
    {
        std::string all;
        std::array<char, 65536> buffer{};
        for (ssize_t n = 0; (n = read(reader_, buffer.data(), buffer.size())) > 0;) {
            all.append(buffer.data(), static_cast<std::size_t>(n));
        }
        return all;
    }

    std::string read_all(LineQueue& queue)
    {
        std::string all = read_some();
        while (queue.pending()) {
            queue.flush();
            const std::string more = read_some();
            if (more.empty()) {
                ADD_FAILURE() << "nothing came, and yet something is pending";
                break;
            }
            all += more;
        }
        return all;
    }

    int reader_ = -1;
    int writer_ = -1;

private:
    void (*before_)(int) = nullptr;
};

TEST_F(LineQueuePipe, ALineIsWrittenAtOnce)
{
    LineQueue queue(writer_);
    EXPECT_EQ(queue.fd(), writer_);
    queue.push("one");
    EXPECT_FALSE(queue.pending());
    EXPECT_EQ(read_some(), "one\n");
    queue.push("");
    queue.push("two");
    EXPECT_EQ(read_some(), "\ntwo\n");
    EXPECT_EQ(queue.left_out(), 0U);
    EXPECT_FALSE(queue.broken());
}

TEST_F(LineQueuePipe, ASlowReaderMissesNothing)
{
    LineQueue queue(writer_);
    std::string expected;
    for (int i = 0; i < 20'000; i++) {
        const std::string line = "line " + std::to_string(i);
        queue.push(line);  // never blocks, though the pipe has been full for long
        expected += line + "\n";
    }
    EXPECT_TRUE(queue.pending());
    EXPECT_EQ(read_all(queue), expected);
    EXPECT_EQ(queue.left_out(), 0U);
}

TEST_F(LineQueuePipe, ALineLongerThanThePipeIsNotTorn)
{
    LineQueue queue(writer_);
    const std::string line(200'001, 'x');
    queue.push(line);
    queue.push("next");
    EXPECT_TRUE(queue.pending());
    EXPECT_EQ(read_all(queue), line + "\nnext\n");
}

TEST_F(LineQueuePipe, BeyondTheBoundWholeLinesAreLeftOutAndCounted)
{
    LineQueue queue(writer_);
    for (int i = 0; i < 8; i++) {
        queue.push(std::string(kMiB - 1, static_cast<char>('a' + i)));
    }
    EXPECT_EQ(queue.left_out(), 0U);
    queue.push(std::string(kMiB - 1, 'z'));
    EXPECT_EQ(queue.left_out(), 1U);
    queue.push("short");  // what the pipe has taken is room again
    EXPECT_EQ(queue.left_out(), 1U);
    const std::string all = read_all(queue);
    EXPECT_EQ(all.size(), 8 * kMiB + 6);
    EXPECT_EQ(all.find('z'), std::string::npos);
    for (std::size_t i = 0; i < 8; i++) {
        EXPECT_EQ(all[(i + 1) * kMiB - 2], static_cast<char>('a' + i));
        EXPECT_EQ(all[(i + 1) * kMiB - 1], '\n');
    }
    EXPECT_EQ(all.substr(8 * kMiB), "short\n");
    // Once it is empty there is room as before.
    queue.push("after");
    EXPECT_EQ(read_some(), "after\n");
}

TEST_F(LineQueuePipe, ALineThatNeverFitsIsLeftOut)
{
    LineQueue queue(writer_);
    queue.push(std::string(8 * kMiB, 'x'));
    EXPECT_EQ(queue.left_out(), 1U);
    EXPECT_FALSE(queue.pending());
}

TEST_F(LineQueuePipe, TheBoundMayBeAnother)
{
    LineQueue queue(writer_, 16 * kMiB);
    const std::string line(8 * kMiB, 'x');
    queue.push(line);
    EXPECT_EQ(queue.left_out(), 0U);
    EXPECT_EQ(read_all(queue), line + '\n');
}

TEST_F(LineQueuePipe, AReaderWhoIsGoneIsNoticed)
{
    LineQueue queue(writer_);
    close_reader();
    queue.push("one");
    EXPECT_TRUE(queue.broken());
    queue.push("two");
    queue.flush();
    queue.drain(std::chrono::hours(1));  // returns at once
    EXPECT_EQ(queue.left_out(), 0U);
}

TEST_F(LineQueuePipe, AReaderWhoGoesWhileThePipeIsFullIsNoticed)
{
    LineQueue queue(writer_);
    queue.push(std::string(200'000, 'x'));
    ASSERT_TRUE(queue.pending());
    ASSERT_FALSE(queue.broken());
    close_reader();
    queue.flush();
    EXPECT_TRUE(queue.broken());
}

TEST_F(LineQueuePipe, AReaderWhoIsGoneIsNoError)
{
    LineQueue queue(writer_);
    EXPECT_TRUE(queue.status());
    close_reader();
    queue.push("one");
    ASSERT_TRUE(queue.broken());
    EXPECT_TRUE(queue.status());
}

TEST(LineQueueFile, AFullDiskIsAnError)
{
    const File full(open("/dev/full", O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(full);
    LineQueue queue(full.get());
    queue.push("one");
    EXPECT_TRUE(queue.broken());
    ASSERT_FALSE(queue.status());
    EXPECT_NE(queue.status().error().message.find("No space left"), std::string::npos);
}

TEST_F(LineQueuePipe, DrainEndsWhenTheTimeIsUp)
{
    LineQueue queue(writer_);
    queue.push(std::string(200'000, 'x'));
    queue.drain(std::chrono::milliseconds(0));
    EXPECT_TRUE(queue.pending());
    EXPECT_FALSE(queue.broken());
}

TEST_F(LineQueuePipe, WhatIsNotTakenIsAnErrorInTheEnd)
{
    LineQueue queue(writer_);
    queue.push("short");
    EXPECT_TRUE(queue.finish(std::chrono::milliseconds(0)));
    queue.push(std::string(200'000, 'x'));
    EXPECT_FALSE(queue.finish(std::chrono::milliseconds(0)));
}

TEST_F(LineQueuePipe, DrainEndsWhenAllIsOut)
{
    LineQueue queue(writer_);
    queue.push(std::string(70'000, 'x'));  // a default pipe takes 65,536
    if (queue.pending()) {
        EXPECT_EQ(read_some().find('\n'), std::string::npos);
    }
    queue.drain(std::chrono::hours(1));
    EXPECT_FALSE(queue.pending());
}

}  // namespace
}  // namespace drainwatch::line_queue_test
