/* The lock between threads and processes: exclusion, who holds it, and what is left after kill -9. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "clock.h"
#include "holderlock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    holderlock_t lock;
    uint64_t a, b;          /* plain memory guarded by the lock: equal outside of it */
    _Atomic uint32_t ready; /* a child tells that it holds the lock */
} shared_t;

enum { N_PROCS = 4, N_TURNS = 20000 };

static int setup(void **state)
{
    shared_t *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) return -1;
    holderlock_init(&s->lock);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    return munmap(*state, sizeof(shared_t));
}

static void add_one(shared_t *s, uint32_t id)
{
    holderlock_acquire(&s->lock, id);
    if (s->a != s->b) _exit(2);
    s->a++;
    s->b++;
    holderlock_release(&s->lock, id);
}

static pid_t fork_child(void)
{
    pid_t pid = fork();
    if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves no children */
    return pid;
}

static int exit_code(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_holder_is_known_and_try_fails(void **state)
{
    shared_t *s = *state;
    assert_int_equal(holderlock_holder(&s->lock), 0);
    assert_true(holderlock_try(&s->lock, 7));
    assert_int_equal(holderlock_holder(&s->lock), 7);
    assert_false(holderlock_try(&s->lock, 8));
    holderlock_release(&s->lock, 7);
    assert_int_equal(holderlock_holder(&s->lock), 0);
    holderlock_acquire(&s->lock, HOLDERLOCK_ID_MAX);
    assert_true(holderlock_holder(&s->lock) == HOLDERLOCK_ID_MAX);
    holderlock_release(&s->lock, HOLDERLOCK_ID_MAX);
}

static void test_processes_exclude_each_other(void **state)
{
    shared_t *s = *state;
    pid_t child[N_PROCS];
    for (uint32_t p = 0; p < N_PROCS; p++) {
        child[p] = fork_child();
        if (child[p] == 0) {
            for (int i = 0; i < N_TURNS; i++) add_one(s, p + 1);
            _exit(0);
        }
        assert_true(child[p] > 0);
    }
    for (int p = 0; p < N_PROCS; p++) assert_int_equal(exit_code(child[p]), 0);
    assert_int_equal(s->a, N_PROCS * N_TURNS);
    assert_int_equal(s->b, N_PROCS * N_TURNS);
    assert_int_equal(holderlock_holder(&s->lock), 0);
}

static void test_sleeper_takes_the_lock_when_it_is_released(void **state)
{
    shared_t *s = *state;
    holderlock_acquire(&s->lock, 1);
    pid_t child = fork_child();
    if (child == 0) {
        add_one(s, 2);
        _exit(0);
    }
    assert_true(child > 0);
    usleep(3 * HOLDERLOCK_SLEEP_NS / 1000); /* long enough for it to sleep, wake and sleep again */
    assert_int_equal(s->a, 0);
    holderlock_release(&s->lock, 1);
    assert_int_equal(exit_code(child), 0);
    assert_int_equal(s->a, 1);
}

static void test_break_takes_the_lock_from_the_dead_only(void **state)
{
    shared_t *s = *state;
    pid_t child = fork_child();
    if (child == 0) {
        holderlock_acquire(&s->lock, 5);
        s->a = 99; /* half a change */
        atomic_store(&s->ready, 1);
        for (;;) pause();
    }
    assert_true(child > 0);
    while (!atomic_load(&s->ready)) usleep(100);
    pid_t waiter = fork_child();
    if (waiter == 0) {
        add_one(s, 6);
        _exit(0);
    }
    assert_true(waiter > 0);
    usleep(10000);
    kill(child, SIGKILL);
    assert_int_equal(exit_code(child), -SIGKILL);
    assert_false(holderlock_break(&s->lock, 4, 1));
    assert_int_equal(holderlock_holder(&s->lock), 5);
    assert_true(holderlock_break(&s->lock, 5, 1));
    assert_int_equal(holderlock_holder(&s->lock), 1);
    s->a = s->b; /* repaired, and nobody came in between */
    holderlock_release(&s->lock, 1);
    assert_int_equal(exit_code(waiter), 0);
    assert_int_equal(s->a, 1);
}

static void test_no_sleeper_is_left_when_waiters_are_killed(void **state)
{
    shared_t *s = *state;
    for (int round = 0; round < 20; round++) {
        pid_t child[3];
        holderlock_acquire(&s->lock, 1);
        for (uint32_t p = 0; p < 3; p++) {
            child[p] = fork_child();
            if (child[p] == 0) {
                add_one(s, 10 + p);
                _exit(0);
            }
            assert_true(child[p] > 0);
        }
        usleep(2000);
        holderlock_release(&s->lock, 1);
        kill(child[0], SIGKILL); /* it may have been the one who was woken */
        int status = 0;
        assert_int_equal(waitpid(child[0], &status, 0), child[0]);
        if (holderlock_break(&s->lock, 10, 1)) {
            s->a = s->b;
            holderlock_release(&s->lock, 1);
        }
        uint64_t start = base_clock_ns();
        assert_int_equal(exit_code(child[1]), 0);
        assert_int_equal(exit_code(child[2]), 0);
        assert_true(base_clock_ns() - start < 10000000000u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_holder_is_known_and_try_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_processes_exclude_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sleeper_takes_the_lock_when_it_is_released, setup, teardown),
        cmocka_unit_test_setup_teardown(test_break_takes_the_lock_from_the_dead_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_sleeper_is_left_when_waiters_are_killed, setup, teardown),
    };
    return cmocka_run_group_tests_name("base.holderlock", tests, NULL, NULL);
}
