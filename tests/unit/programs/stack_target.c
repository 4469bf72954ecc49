/* Sleeps at the end of a known chain of calls: outer, middle, inner, and what the argument says. */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *way;
static volatile int sum;

/* A system call that is inner's own. */
static inline __attribute__((always_inline)) long pause_here(void)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_pause) : "rcx", "r11", "memory");
	return result;
}

__attribute__((noipa)) int inner(int x)
{
	int word = x;
	if (!strcmp(way, "poll"))
		sum += poll(NULL, 0, -1);
	else if (!strcmp(way, "futex"))
		sum += syscall(SYS_futex, &word, FUTEX_WAIT, x, NULL, NULL, 0);
	else if (!strcmp(way, "own"))
		sum += pause_here();
	else
		sum += nanosleep(&(struct timespec){.tv_sec = 1000}, NULL);
	return sum + word;
}

__attribute__((noipa)) int middle(int x)
{
	int r = inner(x + 1);
	return r * 3 + sum;
}

__attribute__((noipa)) int outer(int x)
{
	int r = middle(x + 1);
	return r * 5 + sum;
}

__attribute__((noipa, noreturn)) static void never_returns(void)
{
	outer(1);
	_exit(0);
}

/* Its call is its last instruction. */
__attribute__((noipa)) void begins_there(void)
{
	never_returns();
}

__attribute__((noipa)) void *in_thread(void *arg)
{
	sum += outer((int)(long)arg);
	return NULL;
}

__attribute__((noipa)) void in_handler(int number)
{
	sum += outer(number);
}

__attribute__((noipa)) int recursive(int depth)
{
	int r = depth ? recursive(depth - 1) : outer(depth);
	return r + sum;
}

int main(int argc, char **argv)
{
	const char *where = argc > 2 ? argv[2] : "main";
	way = argc > 1 ? argv[1] : "nanosleep";
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!strcmp(where, "thread")) {
		pthread_t thread;
		pthread_create(&thread, NULL, in_thread, NULL);
		pthread_join(thread, NULL);
	} else if (!strcmp(where, "orphan")) { /* its first thread ends */
		pthread_t thread;
		pthread_create(&thread, NULL, in_thread, NULL);
		pthread_exit(NULL);
	} else if (!strcmp(where, "signal")) {
		signal(SIGUSR1, in_handler);
		raise(SIGUSR1);
	} else if (!strcmp(where, "deep")) {
		sum += recursive(100);
	} else if (!strcmp(where, "noreturn")) {
		begins_there();
	}
	sum += outer(argc);
	printf("%d\n", sum);
	return 0;
}
