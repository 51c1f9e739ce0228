/* ticks.c: whether the counter can be trusted is the kernel's finding: it takes the counter as its own clock only where all CPUs agree on it. */
#include "ticks.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { LOOKS = 32 };

#if defined(__x86_64__) || defined(__aarch64__)
static bool kernel_clock_is(const char *name)
{
    char text[64];
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    return strcmp(text, name) == 0;
}
#endif

bool base_ticks_usable(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;
    /* Invariant TSC: bit 8 of the "advanced power management" leaf. */
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d >> 8 & 1) != 0 && kernel_clock_is("tsc");
#elif defined(__aarch64__)
    return kernel_clock_is("arch_sys_counter");
#else
    return false;
#endif
}

uint32_t base_ticks_a_microsecond(bool counter)
{
#if defined(__x86_64__)
    if (counter) return 2500;
#elif defined(__aarch64__)
    if (counter) {
        uint64_t hertz;
        __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hertz));
        return hertz >= 1000000 ? (uint32_t)(hertz / 1000000) : 1;
    }
#else
    (void)counter;
#endif
    return 1000;
}

base_ticks_mark_t base_ticks_mark(bool counter)
{
    base_ticks_mark_t mark = {0, 0};
    uint64_t best = UINT64_MAX;
    for (int i = 0; counter && i < LOOKS; i++) {
        uint64_t before = base_clock_ns(), ticks = base_ticks(true), after = base_clock_ns();
        if (after - before >= best) continue;
        best = after - before;
        mark = (base_ticks_mark_t){.ticks = ticks, .ns = before + best / 2};
    }
    if (!counter) mark.ticks = mark.ns = base_clock_ns();
    return mark;
}

uint64_t base_ticks_ns(const base_ticks_mark_t *from, const base_ticks_mark_t *to, uint64_t ticks)
{
    if (ticks <= from->ticks || to->ticks <= from->ticks) return from->ns;
    /* Ticks of a month fit in a double's 53 bits to a nanosecond; products and sums of what rises do not fall. */
    double rate = (double)(to->ns - from->ns) / (double)(to->ticks - from->ticks);
    return from->ns + (uint64_t)((double)(ticks - from->ticks) * rate);
}
