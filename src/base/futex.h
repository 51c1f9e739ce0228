/* futex.h: sleep on a 32-bit word of shared memory until another process wakes it.
 *
 * The words lie in segments that several processes map at different addresses, so the calls are the shared ones
 * (never FUTEX_PRIVATE_FLAG). The kernel compares the word and queues the sleeper in one step: a waker that first changes
 * the word and then wakes can not be missed. What the word guards is published by the caller's own release store and
 * acquire load; the futex itself orders nothing that callers may rely on. */
#ifndef MRAY_BASE_FUTEX_H
#define MRAY_BASE_FUTEX_H

#include <mray/status.h>
#include <stdatomic.h>
#include <stdint.h>

/* Sleep while *word == expected, for timeout_ns at most (BASE_FOREVER: no limit; 0: do not sleep). Signals do not end it.
 * MRAY_OK: woken, or the word differs, or for no reason at all: look at the word again. MRAY_ERR_TIMEOUT: the time is over.
 * Sets no error sentence: a time-out is an answer here. */
MRAY_CHECK_RESULT int base_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);

/* Wake up to n_max sleepers of word; returns how many there were. */
int base_futex_wake(_Atomic uint32_t *word, int n_max);

/* One turn of a spin loop: tell the core that another one is waited for. */
static inline void base_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* "yield" is a no-op on most cores; isb waits some ten cycles */
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif
