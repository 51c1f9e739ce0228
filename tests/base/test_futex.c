/* The futex calls between two processes, their time limit under signals, and the clock. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "clock.h"
#include "futex.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static _Atomic uint32_t *shared_word(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

static void test_wait_returns_at_once_when_the_word_differs(void **state)
{
    (void)state;
    _Atomic uint32_t *word = shared_word();
    atomic_store(word, 5);
    assert_int_equal(base_futex_wait(word, 4, BASE_FOREVER), MRAY_OK);
    assert_int_equal(base_futex_wait(word, 4, 0), MRAY_OK);
    assert_int_equal(base_futex_wait(word, 5, 0), MRAY_ERR_TIMEOUT);
    munmap((void *)word, 4096);
}

static void test_wait_times_out(void **state)
{
    (void)state;
    _Atomic uint32_t *word = shared_word();
    uint64_t start = base_clock_ns();
    assert_int_equal(base_futex_wait(word, 0, 20000000), MRAY_ERR_TIMEOUT);
    assert_true(base_clock_ns() - start >= 20000000);
    munmap((void *)word, 4096);
}

static volatile sig_atomic_t n_signals;

static void on_alarm(int sig)
{
    (void)sig;
    n_signals++;
}

/* How often this thread has gone to sleep. */
static long n_sleeps(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nvcsw;
}

static void test_signals_neither_end_nor_stretch_a_wait(void **state)
{
    (void)state;
    _Atomic uint32_t *word = shared_word();
    struct sigaction act = {.sa_handler = on_alarm}, was;
    sigaction(SIGALRM, &act, &was);
    struct itimerval every = {{0, 5000}, {0, 5000}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &every, NULL);
    long before = n_sleeps();
    uint64_t start = base_clock_ns();
    int rc = base_futex_wait(word, 0, 100000000);
    uint64_t took = base_clock_ns() - start;
    long slept = n_sleeps() - before;
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &was, NULL);
    assert_int_equal(rc, MRAY_ERR_TIMEOUT);
    /* A signal wakes the thread, which goes to sleep again. ThreadSanitizer calls the handler later, and once for many signals; so
     * the interrupted sleeps are counted, and the handler's calls only show whose the signals were. */
    assert_true(slept > 2);
    assert_true(n_signals > 0);
    assert_true(took >= 100000000 && took < 5000000000);
    munmap((void *)word, 4096);
}

static void test_wake_reaches_another_process(void **state)
{
    (void)state;
    _Atomic uint32_t *word = shared_word();
    pid_t child = fork();
    if (child == 0) {
        while (atomic_load(word) == 0)
            if (base_futex_wait(word, 0, 10000000000u) != MRAY_OK) _exit(1);
        _exit(0);
    }
    assert_true(child > 0);
    usleep(20000);
    atomic_store(word, 1);
    base_futex_wake(word, 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(base_futex_wake(word, 1), 0);
    munmap((void *)word, 4096);
}

static void test_deadline_does_not_overflow(void **state)
{
    (void)state;
    assert_true(base_clock_deadline(BASE_FOREVER) == BASE_FOREVER);
    assert_true(base_clock_deadline(BASE_FOREVER - 1) == BASE_FOREVER);
    uint64_t now = base_clock_ns();
    assert_true(base_clock_deadline(1000) >= now + 1000);
    assert_true(base_clock_ns() >= now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait_returns_at_once_when_the_word_differs),
        cmocka_unit_test(test_wait_times_out),
        cmocka_unit_test(test_signals_neither_end_nor_stretch_a_wait),
        cmocka_unit_test(test_wake_reaches_another_process),
        cmocka_unit_test(test_deadline_does_not_overflow),
    };
    return cmocka_run_group_tests_name("base.futex", tests, NULL, NULL);
}
