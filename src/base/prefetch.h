/* prefetch.h: ask for a cache line ahead of its use. A hint: any address may be given, and nothing depends on it. */
#ifndef MRAY_BASE_PREFETCH_H
#define MRAY_BASE_PREFETCH_H

/* To be changed: the line comes without other cores' copies, so that the change need not ask for it again. */
static inline void base_prefetch_to_write(const void *line)
{
#if defined(__x86_64__)
    /* Written out, since the compiler's builtin becomes a prefetch for reading where the target may lack this one, on which it is a no-op. */
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
    __builtin_prefetch(line, 1);
#endif
}

#endif
