/* clock.h: the one clock of the runtime: nanoseconds, monotonic, the same for all processes of a host. */
#ifndef MRAY_BASE_CLOCK_H
#define MRAY_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* A wait without end, and a deadline that never comes. */
#define BASE_FOREVER UINT64_MAX

static inline uint64_t base_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock and a valid pointer */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* now + timeout_ns, or BASE_FOREVER where the sum does not fit. */
static inline uint64_t base_clock_deadline(uint64_t timeout_ns)
{
    uint64_t now = base_clock_ns();
    return timeout_ns > BASE_FOREVER - now ? BASE_FOREVER : now + timeout_ns;
}

#endif
