/* ticks.h: a time stamp for hot paths: the CPU's counter, read without a call where it is the same for all CPUs of the host and runs at one rate,
 * else the clock. Counters become nanoseconds of base_clock_ns() afterwards, by two marks that enclose them. */
#ifndef MRAY_BASE_TICKS_H
#define MRAY_BASE_TICKS_H

#include "clock.h"

#include <stdbool.h>

/* Counter and clock at one moment. */
typedef struct {
    uint64_t ticks, ns;
} base_ticks_mark_t;

/* May the counter stand for the clock on this host? The same answer in every process of it. Reads a file: once, at start. */
bool base_ticks_usable(void);
/* The best of several looks at both. counter: base_ticks_usable(), as for base_ticks(). */
base_ticks_mark_t base_ticks_mark(bool counter);
/* Never falls as ticks rises. Before `from` it is from's. */
uint64_t base_ticks_ns(const base_ticks_mark_t *from, const base_ticks_mark_t *to, uint64_t ticks);

/* Within a factor of two or three: nobody says how fast an x86 counter runs. */
uint32_t base_ticks_a_microsecond(bool counter);

/* Not ordered with what stands around it: off by the few instructions that a CPU has under way. */
static inline uint64_t base_ticks(bool counter)
{
#if defined(__x86_64__)
    if (counter) return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    if (counter) {
        uint64_t ticks;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
        return ticks;
    }
#else
    (void)counter;
#endif
    return base_clock_ns();
}

#endif
