/* test_child.h: child processes that are killed: at a random moment, or after exactly so many instructions. */
#ifndef TEST_CHILD_H
#define TEST_CHILD_H

#include "clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

typedef void (*test_child_fn)(void *arg);

/* The seed of a random test: MRAY_TEST_SEED, or the clock; printed. */
static inline uint64_t test_seed(void)
{
    const char *given = getenv("MRAY_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : base_clock_ns();
    printf("seed %llu (MRAY_TEST_SEED repeats it)\n", (unsigned long long)seed);
    return seed;
}

static inline pid_t test_child_start(test_child_fn fn, void *arg)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves no children */
        fn(arg);
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

/* SIGKILL; fails the test if the child had ended by itself with a code other than 0. */
static inline void test_child_kill(pid_t pid)
{
    int status = 0;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) fail_msg("a child ended by itself: status %#x", (unsigned)status);
}

static inline void test_child_join(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("a child ended with status %#x", (unsigned)status);
}

/* Run fn(arg) in a child, one instruction at a time, and kill it after n_steps of them. Returns how many it made: fewer than n_steps
 * when it ended before; -1 where single steps cannot be had. */
static inline long test_child_step(test_child_fn fn, void *arg, long n_steps)
{
#if defined(__x86_64__)
    int status = 0;
    long n = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(100);
        raise(SIGSTOP);
        fn(arg);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSTOPPED(status)) return -1;
    for (; n < n_steps; n++) {
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0) break;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSTOPPED(status)) {
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("a stepped child ended with status %#x", (unsigned)status);
            return n;
        }
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return n;
#else
    /* A load-linked, store-conditional pair never succeeds under single steps. */
    (void)fn, (void)arg, (void)n_steps;
    return -1;
#endif
}

/* Kill fn(arg) after every few instructions, so many that all runs together take about n_budget steps (or MRAY_TEST_STEPS), and call
 * check(arg) after each death; reset(arg) comes before each. Skips the test where single steps cannot be had. */
static inline void test_child_kill_everywhere(test_child_fn fn, void *arg, void (*reset)(void *arg), void (*check)(void *arg), long n_budget)
{
    enum { TOO_LONG = 100000 };
    const char *steps = getenv("MRAY_TEST_STEPS");
    if (steps != NULL) n_budget = strtol(steps, NULL, 0);
    reset(arg);
    fn(arg); /* here first: what the linker binds at the first call is not stepped through in each child */
    check(arg);
    reset(arg);
    long total = test_child_step(fn, arg, TOO_LONG);
    check(arg);
    if (total < 0 || total >= TOO_LONG) {
        printf("skipped: a child cannot be run in single steps here (%ld)\n", total);
        skip();
    }
    long stride = total * total / 2 / (n_budget > 0 ? n_budget : 1) + 1, first = (long)(base_clock_ns() % (uint64_t)stride);
    for (long n = first; n <= total; n += stride) {
        reset(arg);
        assert_true(test_child_step(fn, arg, n) >= 0);
        check(arg);
    }
    printf("%ld instructions, killed after number %ld and every %ld on\n", total, first, stride);
}

#endif
