/* holderlock.c: see holderlock.h for the states and for what a death leaves behind. */
#include "holderlock.h"

#include "futex.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>

#define SLEEP_BIT (HOLDERLOCK_ID_MAX + 1)

/* About 2 us of pauses on current cores: longer than a critical section, much shorter than a sleep and a wake. */
enum { N_SPINS = 64 };

_Thread_local void (*holderlock_stuck_fn)(void) = NULL;

void holderlock_init(holderlock_t *lock)
{
    atomic_init(&lock->word, 0);
}

static bool take(holderlock_t *lock, uint32_t value)
{
    uint32_t free_word = 0;
    return atomic_compare_exchange_strong_explicit(&lock->word, &free_word, value, memory_order_acquire, memory_order_relaxed);
}

bool holderlock_try(holderlock_t *lock, uint32_t id)
{
    assert(id != 0 && id <= HOLDERLOCK_ID_MAX);
    return take(lock, id);
}

static void sleep_and_take(holderlock_t *lock, uint32_t id)
{
    while (!take(lock, id | SLEEP_BIT)) {
        uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (seen == 0) continue;
        if (!(seen & SLEEP_BIT) &&
            !atomic_compare_exchange_strong_explicit(&lock->word, &seen, seen | SLEEP_BIT, memory_order_relaxed, memory_order_relaxed))
            continue;
        int rc = base_futex_wait(&lock->word, seen | SLEEP_BIT, HOLDERLOCK_SLEEP_NS);
        if (rc == MRAY_ERR_TIMEOUT && holderlock_stuck_fn != NULL) holderlock_stuck_fn(); /* else woken or changed: look again */
    }
}

void holderlock_acquire(holderlock_t *lock, uint32_t id)
{
    assert(id != 0 && id <= HOLDERLOCK_ID_MAX);
    assert(holderlock_holder(lock) != id && "taken twice by one holder");
    if (take(lock, id)) return;
    for (int i = 0; i < N_SPINS; i++) {
        base_cpu_relax();
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 && take(lock, id)) return;
    }
    sleep_and_take(lock, id);
}

void holderlock_release(holderlock_t *lock, uint32_t id)
{
    uint32_t was = atomic_exchange_explicit(&lock->word, 0, memory_order_release);
    assert((was & HOLDERLOCK_ID_MAX) == id && "released by who does not hold it");
    (void)id;
    if (was & SLEEP_BIT) base_futex_wake(&lock->word, 1);
}

uint32_t holderlock_holder(const holderlock_t *lock)
{
    return atomic_load_explicit(&lock->word, memory_order_relaxed) & HOLDERLOCK_ID_MAX;
}

bool holderlock_break(holderlock_t *lock, uint32_t dead_id, uint32_t new_id)
{
    assert(dead_id != 0 && dead_id != new_id && new_id != 0 && new_id <= HOLDERLOCK_ID_MAX);
    bool taken = false;
    uint32_t seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
    while (!taken && (seen & HOLDERLOCK_ID_MAX) == dead_id)
        taken = atomic_compare_exchange_weak_explicit(&lock->word, &seen, new_id | SLEEP_BIT, memory_order_acquire, memory_order_relaxed);
    base_futex_wake(&lock->word, INT_MAX);
    return taken;
}
