/* tsan.h: order that ThreadSanitizer cannot see, because another process takes part in it.
 *
 * It follows the atomics of one process. Here what one thread of a process had may come to another thread of it by way of a process of the
 * same node: A gives an object away, a worker process drops the last hold, and C, in A's process, gets the slot again. Each step is an
 * acquire and a release on words of a segment, but TSan knows those of A and C only, on different words, and reports a race that is none.
 *
 * What is handed round so has one word through which all its users go: a record's `word`, a slot's `rc`, an arena's lock. Who gives it
 * away says base_tsan_gives(word), unless a release on that word follows anyway; who gets it says base_tsan_gets(word). TSan then orders
 * the two as the way through the other process does, and sees everything else as before: accesses without either are still races.
 * Where all threads are of one process (thread workers, alone) it sees the whole chain by itself.
 *
 * Nothing is left of either in other builds: the order is that of the atomics, never of these. */
#ifndef MRAY_BASE_TSAN_H
#define MRAY_BASE_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define BASE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BASE_TSAN 1
#endif
#endif
#ifndef BASE_TSAN
#define BASE_TSAN 0
#endif

#if BASE_TSAN
#include <sanitizer/tsan_interface.h>
#include <stdint.h>
#endif

static inline void base_tsan_gives(const volatile void *word)
{
#if BASE_TSAN
    __tsan_release((void *)(uintptr_t)word);
#else
    (void)word;
#endif
}

static inline void base_tsan_gets(const volatile void *word)
{
#if BASE_TSAN
    __tsan_acquire((void *)(uintptr_t)word);
#else
    (void)word;
#endif
}

#endif
