/* cycle.c: the search. */
#include "cycle.h"

#include "clock.h"
#include "producer.h"
#include "record_peek.h"

enum { MAX_PATH = 64, MAX_DEPTH = 128 };
static const uint64_t FIRST_LOOK_NS = 10000000u, LAST_LOOK_NS = 10000000000u;

typedef struct {
    const ep_t *ep;
    unsigned n;
    struct {
        ep_shared_t *sh;
        uint32_t ticket;
    } path[MAX_PATH];
} search_t;

static bool leads_home(search_t *s, sid_t sid, int depth);

/* The record goes on when the endpoint does: is that us, or one that waits for us? */
static bool depends_on_us(search_t *s, uint16_t gid, int depth)
{
    if (gid == s->ep->gid) return true;
    if (gid >> 8 >= s->ep->node->n_node_ranks || s->n == MAX_PATH) return false;
    ep_shared_t *sh = ep_shared_at(s->ep->node, gid);
    /* seq_cst on both sides: the object read belongs to the wait if the number is the same before and after. */
    uint32_t ticket = atomic_load(&sh->wait_ticket);
    sid_t sid = atomic_load(&sh->waits_for);
    if (ticket == 0 || atomic_load(&sh->wait_ticket) != ticket) return false;
    for (unsigned i = 0; i < s->n; i++)
        if (s->path[i].sh == sh) return false; /* a circle of others: theirs to find */
    s->path[s->n].sh = sh;
    s->path[s->n++].ticket = ticket;
    if (leads_home(s, sid, depth)) return true;
    s->n--;
    return false;
}

/* The actor's endpoint, if it is on this node and lives. */
static uint16_t actor_of(const ep_t *ep, const producer_t *p)
{
    record_tail_t tail;
    if (!record_peek_tail(ep, p->rid, &p->seen, &tail) || tail.actor_rank >= (uint32_t)ep->node->n_ranks) return 0;
    int place = ep->node->node_rank_of[tail.actor_rank];
    if (place < 0) return 0;
    uint16_t gid = ep_gid(place, p->seen.actor & 0xff);
    return atomic_load(&ep_shared_at(ep->node, gid)->actor) == p->seen.actor ? gid : 0;
}

static bool leads_home(search_t *s, sid_t sid, int depth)
{
    producer_t p;
    if (depth == 0 || !producer_find(s->ep, sid, &p)) return false;
    record_state_t state = record_word_state(p.seen.word);
    if (state == RECORD_RUNNING) return depends_on_us(s, record_word_gid(p.seen.word), depth - 1);
    if (p.seen.kind == RECORD_METHOD && state != RECORD_COMMITTED) {
        uint16_t gid = actor_of(s->ep, &p);
        if (gid != 0 && depends_on_us(s, gid, depth - 1)) return true;
    }
    for (unsigned i = 0; state == RECORD_WAITING && i < p.n_refs; i++) {
        sid_t arg;
        if ((p.seen.pending >> i & 1) == 0 || slot_find(s->ep, p.seen.refs[i], &arg) != 0 || arg == 0) continue;
        if (leads_home(s, arg, depth - 1)) return true;
    }
    return false;
}

/* Is this wait the youngest of a circle? */
static bool closes_circle(const ep_t *ep, const cycle_wait_t *wait)
{
    search_t s = {.ep = ep};
    if (!leads_home(&s, wait->sid, MAX_DEPTH)) return false;
    for (unsigned i = 0; i < s.n; i++) {
        if (atomic_load(&s.path[i].sh->wait_ticket) != s.path[i].ticket) return false;  /* it went on meanwhile */
        if ((int32_t)(s.path[i].ticket - wait->ticket) > 0) return false; /* that one finds it */
    }
    return true;
}

static void publish(ep_t *ep, cycle_wait_t *wait, sid_t sid)
{
    atomic_store(&ep->sh->wait_ticket, 0);
    do wait->ticket = atomic_fetch_add(&ep->node->segs[0].hdr->wait_tickets, 1) + 1;
    while (wait->ticket == 0);
    wait->sid = sid;
    atomic_store(&ep->sh->waits_for, sid);
    atomic_store(&ep->sh->wait_ticket, wait->ticket);
    wait->began_ns = base_clock_ns();
    wait->next_ns = wait->began_ns + FIRST_LOOK_NS;
}

bool cycle_look(ep_t *ep, cycle_wait_t *wait, sid_t sid, uint64_t *max_sleep_ns_p)
{
    /* A task that ran inside this wait may have had a wait of its own. */
    if (wait->sid != sid || atomic_load_explicit(&ep->sh->wait_ticket, memory_order_relaxed) != wait->ticket) publish(ep, wait, sid);
    if (wait->next_ns == UINT64_MAX) return false;
    uint64_t now_ns = base_clock_ns();
    if (now_ns >= wait->next_ns) {
        if (closes_circle(ep, wait)) return true;
        uint64_t waited_ns = wait->next_ns - wait->began_ns;
        wait->next_ns = waited_ns < LAST_LOOK_NS ? wait->began_ns + waited_ns * 10 : UINT64_MAX;
    }
    uint64_t left_ns = wait->next_ns == UINT64_MAX ? BASE_FOREVER : wait->next_ns > now_ns ? wait->next_ns - now_ns : 0;
    if (left_ns < *max_sleep_ns_p) *max_sleep_ns_p = left_ns;
    return false;
}

void cycle_end(ep_t *ep, const cycle_wait_t *wait)
{
    if (wait->ticket != 0 && atomic_load_explicit(&ep->sh->wait_ticket, memory_order_relaxed) == wait->ticket) atomic_store(&ep->sh->wait_ticket, 0);
}
