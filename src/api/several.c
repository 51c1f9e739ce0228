/* several.c: mray_wait(), for some of several objects.
 *
 *   look    from the front on at the slots, until enough are here: all that a call costs where something is ready
 *   spin    the same again for a while, where that takes no CPU from anybody
 *   settle  a slot of this node for every ref: proxies for objects of other nodes, copies of results that stayed where they were made, as many
 *           as could be needed; until enough are here
 *   wait    for those slots, then settle again, since what became ready may lie elsewhere
 *
 * What is O(refs) beside the looks (twins, proxies, memory) is done only by a call that has come to settle. */
#include "acquire.h"
#include "copies.h"
#include "error.h"
#include "futex.h"
#include "session.h"
#include "submit.h"
#include "timeout.h"
#include "wait.h"

#include <mray/object.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t SPIN_NS = 50000; /* a sleep and a wake-up */

enum { AHEAD = 4 }; /* slots asked for before their turn: who completed one has its line */

typedef enum { AT_SLOT = 0, AT_PROXY, AT_COPY } at_t; /* of an object of another node; of a result that stayed there */

typedef struct {
    ep_t *ep;
    const mray_ref *refs;
    size_t n, need;
    uint64_t deadline;
    bool *ready;
    size_t n_ready; /* flags that are set */
    /* Once it has come to settle: */
    size_t n_settled; /* refs from the front on that have a slot */
    sid_t *sids, *watched;
    uint8_t *at; /* at_t: what the slot is; all but AT_SLOT are held */
    size_t n_watched;
} several_t;

/* ---- look ---- */

static bool is_here(const slot_t *slot)
{
    return slot_is_ready(slot) && slot->kind != SLOT_KIND_REMOTE;
}

static void clear(several_t *s)
{
    memset(s->ready, 0, s->n * sizeof *s->ready);
    s->n_ready = 0;
}

/* *elsewhere_p: the next that might do is on another node, or can be known only from there. */
static int look(several_t *s, bool *elsewhere_p)
{
    clear(s);
    for (size_t i = 0; i < s->n && s->n_ready < s->need; i++) {
        sid_t sid;
        if (i + AHEAD < s->n) __builtin_prefetch(slot_at(s->ep, slot_guess(s->ep, s->refs[i + AHEAD])));
        const slot_t *slot = slot_here(s->ep, s->refs[i], &sid);
        if (slot == NULL) {
            *elsewhere_p = true;
            return slot_find(s->ep, s->refs[i], &sid);
        }
        if (!slot_is_ready(slot)) continue;
        if ((*elsewhere_p = slot->kind == SLOT_KIND_REMOTE)) return MRAY_OK;
        s->ready[i] = true;
        s->n_ready++;
    }
    return MRAY_OK;
}

static int look_for_a_while(several_t *s, bool *elsewhere_p)
{
    int status = look(s, elsewhere_p);
    if (status != MRAY_OK || s->n_ready >= s->need || *elsewhere_p || s->n == 1 || s->deadline == 0 || !wait_may_spin(s->ep)) return status;
    uint64_t until = base_clock_deadline(SPIN_NS);
    if (s->deadline < until) until = s->deadline;
    do {
        base_cpu_relax();
        status = look(s, elsewhere_p);
    } while (status == MRAY_OK && s->n_ready < s->need && !*elsewhere_p && base_clock_ns() < until);
    return status;
}

/* ---- settle ---- */

/* By a table of positions + 1 with open addressing, at most half full. */
static int check_distinct(const mray_ref *refs, size_t n)
{
    enum { ON_STACK = 4096 };
    uint32_t stack[ON_STACK], *table = stack;
    size_t places = 2;
    while (places < 2 * n) places *= 2;
    if (places > ON_STACK && (table = malloc(places * sizeof *table)) == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "mray_wait: no memory for %zu refs", n);
    memset(table, 0, places * sizeof *table);
    int status = MRAY_OK;
    for (size_t i = 0; i < n && status == MRAY_OK; i++) {
        /* Slots in a row go to places in a row. */
        size_t at = (refs[i].slot ^ refs[i].rank * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (places - 1);
        for (; table[at] != 0 && status == MRAY_OK; at = (at + 1) & (places - 1))
            if (memcmp(&refs[table[at] - 1], &refs[i], sizeof refs[i]) == 0)
                status = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_wait: the ref {rank %u, slot %u} is given twice", refs[i].rank, refs[i].slot);
        table[at] = (uint32_t)i + 1;
    }
    if (table != stack) free(table);
    return status;
}

static int take_slot(several_t *s, size_t i)
{
    bool proxy;
    int status = submit_resolve(s->ep, s->refs[i], &s->sids[i], &proxy);
    if (status != MRAY_OK) return status;
    s->at[i] = proxy ? AT_PROXY : AT_SLOT;
    s->n_settled++;
    return MRAY_OK;
}

/* Flags what is here, from the front on. If that is not enough, watched is what to wait for: everything but results that stayed on other nodes and
 * are not needed, since as many as are needed are on their way. */
static int settle(several_t *s)
{
    size_t n_coming = 0;
    clear(s);
    s->n_watched = 0;
    for (size_t i = 0; i < s->n && s->n_ready < s->need; i++) {
        int status = i == s->n_settled ? take_slot(s, i) : MRAY_OK;
        const slot_t *slot = slot_at(s->ep, s->sids[i]);
        if (status == MRAY_OK && s->at[i] == AT_SLOT && slot_is_ready(slot) && slot->kind == SLOT_KIND_REMOTE) {
            if (s->n_ready + n_coming >= s->need) continue;
            status = acquire_proxy(s->ep, s->refs[i], &s->sids[i]);
            if (status == MRAY_OK) s->at[i] = AT_COPY;
        }
        if (status != MRAY_OK) return status;
        s->watched[s->n_watched++] = s->sids[i];
        s->ready[i] = is_here(slot_at(s->ep, s->sids[i]));
        s->n_ready += s->ready[i];
        n_coming += s->at[i] == AT_COPY && !s->ready[i];
    }
    return MRAY_OK;
}

static int settle_and_wait(several_t *s)
{
    int status = settle(s);
    if (status != MRAY_OK || s->n_ready >= s->need) return status;
    status = check_distinct(s->refs, s->n);
    if (status == MRAY_OK && s->deadline != 0) status = wait_check_cycle(s->ep, "mray_wait", s->watched, s->n_watched, s->need);
    while (status == MRAY_OK && s->n_ready < s->need && s->deadline != 0) {
        if (wait_slots(s->ep, s->watched, s->n_watched, s->need, s->deadline) < s->need) {
            status = wait_failure("mray_wait");
            return status != MRAY_OK ? status : settle(s);
        }
        status = settle(s);
    }
    return status;
}

static int wait_for_some(several_t *s)
{
    size_t each = 2 * sizeof *s->sids + sizeof *s->at;
    char *memory = malloc(s->n * each);
    if (memory == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "mray_wait: no memory for %zu refs", s->n);
    s->sids = (sid_t *)memory;
    s->watched = s->sids + s->n;
    s->at = (uint8_t *)(s->watched + s->n);
    int status = settle_and_wait(s);
    for (size_t i = 0; i < s->n_settled; i++) {
        if (s->at[i] == AT_SLOT) continue;
        copies_note_asker(s->ep, s->sids[i]); /* what is flagged is to be there for the get that follows; the rest, for the next look */
        (void)slot_drop_own(s->ep, s->sids[i]);
    }
    free(memory);
    return status;
}

int mray_wait(const mray_ref *refs, size_t n, size_t num_ready, int64_t timeout_ns, bool *ready, size_t *n_ready_p)
{
    several_t s = {.ep = session_endpoint("mray_wait"), .refs = refs, .n = n, .need = num_ready, .ready = ready};
    if (s.ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    int status = timeout_deadline("mray_wait", timeout_ns, &s.deadline);
    if (status != MRAY_OK) return status;
    if (n > 0 && (refs == NULL || ready == NULL)) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_wait: refs or ready is NULL");
    if (num_ready > n) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_wait: num_ready is %zu, but there are %zu refs", num_ready, n);
    if (n > UINT32_MAX / 2) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_wait: %zu refs are too many for one call", n);
    if (n > 0) {
        bool elsewhere = false;
        status = look_for_a_while(&s, &elsewhere);
        if (status == MRAY_OK && s.n_ready < num_ready) status = wait_for_some(&s);
        if (status != MRAY_OK) clear(&s);
    }
    if (n_ready_p != NULL) *n_ready_p = s.n_ready;
    if (status == MRAY_OK && s.n_ready < num_ready)
        status = base_error(MRAY_ERR_TIMEOUT, "mray_wait: %zu of %zu objects were ready in time, %zu are wanted", s.n_ready, n, num_ready);
    return status;
}
