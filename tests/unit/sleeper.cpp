// A program that sleeps at a known place: main, outer, middle, inner, pause. Built in variants, for
// the test of user stacks.
#include <sys/prctl.h>
#include <unistd.h>
#include <csignal>

extern "C" {

volatile int calls = 0;

// What is done after each call keeps it from being a jump.
[[gnu::noinline]] void inner()
{
    pause();
    calls = calls + 1;
}

[[gnu::noinline]] void middle(int depth)
{
    char room[64];
    room[0] = static_cast<char>(depth);
    asm volatile("" : : "r"(room) : "memory");
    inner();
    calls = calls + room[0];
}

[[gnu::noinline]] void outer(int depth)
{
    middle(depth + 1);
    calls = calls + 1;
}
}

int main()
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    outer(0);
    return calls;
}
