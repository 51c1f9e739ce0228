/* futex.c: the two futex calls of the runtime. The time limit is absolute (FUTEX_WAIT_BITSET), so that a wait which a
 * signal interrupts goes on without reckoning what is left. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "futex.h"

#include "clock.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(_Atomic uint32_t) == 4, "the kernel compares 32 bits");

int base_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    if (timeout_ns == 0)
        return atomic_load_explicit(word, memory_order_acquire) == expected ? MRAY_ERR_TIMEOUT : MRAY_OK;

    struct timespec limit, *limit_p = NULL;
    uint64_t deadline = base_clock_deadline(timeout_ns);
    if (deadline != BASE_FOREVER) {
        limit.tv_sec = (time_t)(deadline / 1000000000u);
        limit.tv_nsec = (long)(deadline % 1000000000u);
        limit_p = &limit;
    }
    while (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, limit_p, NULL, FUTEX_BITSET_MATCH_ANY) != 0) {
        if (errno == ETIMEDOUT) return MRAY_ERR_TIMEOUT;
        if (errno == EAGAIN) return MRAY_OK;
        assert(errno == EINTR && "futex word unmapped or misaligned");
        if (errno != EINTR) return MRAY_OK;
    }
    return MRAY_OK;
}

int base_futex_wake(_Atomic uint32_t *word, int n_max)
{
    long n = syscall(SYS_futex, word, FUTEX_WAKE, n_max, NULL, NULL, 0);
    assert(n >= 0 && "futex word unmapped or misaligned");
    return n < 0 ? 0 : (int)n;
}
