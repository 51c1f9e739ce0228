/* holderlock.h: a lock in shared memory that says who holds it, so that it can be taken from a dead process.
 *
 *      bit 31      bits 30..0
 *    +--------+-----------------+
 *    | sleep  |  holder's id    |      0 = free
 *    +--------+-----------------+
 *
 * free -> id: compare-and-swap (acquire). id -> free: exchange with 0 (release), and one sleeper is woken if the sleep bit was
 * set. Who finds it held spins briefly, then sets the sleep bit and sleeps on the word; who has slept takes the lock with the
 * bit set, since others may sleep still (Drepper, "Futexes are tricky", 2011, mutex 2). A count of sleepers beside
 * the word would stay too high for ever once a counted process is killed; the bit costs one needless wake and is right again.
 *
 * kill -9 at any instruction: a holder's id stays in the word until holderlock_break(). A process killed between its exchange and its
 * wake, or as it wakes, takes the wake with it; so sleep lasts HOLDERLOCK_SLEEP_NS at most, and holderlock_break() of any dead id
 * wakes all. Hence nobody sleeps for ever beside a free lock.
 *
 * Memory order: acquire on taking, release on giving back; what the lock guards is plain memory. */
#ifndef MRAY_BASE_HOLDERLOCK_H
#define MRAY_BASE_HOLDERLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HOLDERLOCK_ID_MAX UINT32_C(0x7fffffff)
#define HOLDERLOCK_SLEEP_NS UINT64_C(20000000)

typedef struct {
    _Atomic uint32_t word;
} holderlock_t;

_Static_assert(sizeof(holderlock_t) == 4, "lies in shared memory");

void holderlock_init(holderlock_t *lock);

/* id: 1..HOLDERLOCK_ID_MAX, of this thread alone, and not given to another one before holderlock_break() saw its death. */
void holderlock_acquire(holderlock_t *lock, uint32_t id);
bool holderlock_try(holderlock_t *lock, uint32_t id);
void holderlock_release(holderlock_t *lock, uint32_t id);

/* Called in this thread each time it has waited HOLDERLOCK_SLEEP_NS for some lock; NULL: nothing. An agent uses it to look for dead
 * holders while it cannot do its rounds. It must not take a lock that is held by the living. */
extern _Thread_local void (*holderlock_stuck_fn)(void);

/* Who holds it now; 0 for nobody. Only the answer "I do" can be relied on. */
uint32_t holderlock_holder(const holderlock_t *lock);

/* dead_id is surely dead (reaped). If it held the lock, new_id holds it now and true is returned: what it guards may be half
 * changed, and new_id repairs it before it releases. If not, false. All sleepers are woken in both cases. */
bool holderlock_break(holderlock_t *lock, uint32_t dead_id, uint32_t new_id);

#endif
