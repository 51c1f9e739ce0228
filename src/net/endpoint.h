/* endpoint.h: an endpoint is one thread that uses the runtime: the driver, an agent, a worker, a thread of a simulation.
 *
 * Its shared half (ep_shared_t) lies in its rank's segment: inbox, sleep word, run queue, journal. Its private half
 * (ep_t) holds what nobody else may touch: allocation caches and pointers.
 *
 * Inbox: a Treiber stack of records. A push is one compare-and-swap, a drain one exchange, so a process killed anywhere
 * leaves it whole. Records of one pusher come out in the order in which they went in. (Treiber 1986; only the whole stack
 * is ever taken, so there is no ABA.)
 *
 * Sleeping: each endpoint sleeps on one word only, `asleep`, whatever it waits for. Sleeper: asleep = 1, look again at
 * everything it waits for, futex. Waker: publish, then look at asleep. Both sides use seq_cst, so one sees the other.
 *
 * Journal: what a mortal endpoint (a worker process) is in the middle of, written before the step that cannot be repeated
 * blindly. Its agent reads it after the death and finishes the step or undoes it (exec/recover.c). */
#ifndef MRAY_NET_ENDPOINT_H
#define MRAY_NET_ENDPOINT_H

#include "bits.h"
#include "holderlock.h"
#include "pool.h"
#include "record.h"
#include "segment.h"
#include "trace_ring.h"

typedef enum { EP_UNUSED = 0, EP_STARTING, EP_RUNNING, EP_BLOCKED, EP_PARKED, EP_DEAD } ep_state_t;
typedef enum { EP_KIND_NONE = 0, EP_KIND_AGENT, EP_KIND_USER, EP_KIND_WORKER, EP_KIND_ACTOR } ep_kind_t;

enum {
    INBOX_CLOSED = UINT32_MAX, /* pushes fail: the endpoint is dead or parked for good */
    RUNQ_LANES = 16,
    RUNQ_BATCH = 8,
    EP_LEDGER_ENTRIES = 1020,
};
#define EP_LEDGER UINT32_C(0x80000000)

/* See exec/recover.c for how each field is resolved. Written by the endpoint alone, but rc_ack. */
typedef struct {
    _Atomic uint32_t rc_slot; /* slot whose count is being changed; 0 = none */
    _Atomic uint32_t rc_seq;  /* number of that change */
    _Atomic uint32_t rc_op;   /* what is changed: slot.h rc_op_t */
    _Atomic uint32_t rc_ack;  /* set to rc_seq by whoever overwrites the change: it took place */
    _Atomic uint32_t rc_rid;  /* record whose held bit follows the change, 0 = none */
    _Atomic uint32_t rc_bit;  /* which bit; without a record: EP_LEDGER | entry of the ledger that follows the change */
    _Atomic uint64_t push;         /* record on its way into an inbox: rid | generation << 32; 0 = none */
    _Atomic uint64_t fire_link;    /* waiter being told, as in slot.h, and its record's generation << 36 */
    _Atomic uint64_t fire_next;    /* those not told yet */
    _Atomic uint32_t fire_slot;    /* 0 = none */
    _Atomic uint32_t free_rid;     /* record being given back */
    uint32_t reserved[2];
} ep_journal_t;
_Static_assert(sizeof(ep_journal_t) == SEG_CACHE_LINE, "the journal is one cache line");

typedef struct {
    _Alignas(SEG_CACHE_LINE) _Atomic uint32_t inbox; /* rid of the newest, 0, or INBOX_CLOSED */
    _Alignas(SEG_CACHE_LINE) _Atomic uint32_t asleep;
    _Atomic int32_t cpu; /* where it ran when it last woke or began to wait */
    _Alignas(SEG_CACHE_LINE) _Atomic uint32_t state; /* ep_state_t */
    _Atomic uint32_t kind;                            /* ep_kind_t */
    _Atomic uint32_t pid;
    _Atomic uint32_t incarnation; /* counts the users of this index */
    _Atomic int32_t exit_status;  /* as waitpid gives it, before state becomes EP_DEAD */
    _Atomic uint32_t current;     /* rid being run; 0 = none */
    _Atomic uint64_t current_since_ns;
    _Atomic int32_t core;
    _Atomic int32_t group;        /* of a bound worker: seg_header_t group_mask; -1: none */
    _Atomic uint32_t actor;       /* EP_KIND_ACTOR: its number, 0 once it is dead */
    _Atomic uint32_t actor_end;   /* actors.h actor_end_t: it is to end, or why it did */
    _Atomic uint32_t waits_for;   /* slot that a task here waits for without end, for as long as */
    _Atomic uint32_t wait_ticket; /* this is not 0 (exec/cycle.h) */
    /* Run queue (sched/runq.c): lists under the lock, rebuilt from the records if its holder dies. */
    _Alignas(SEG_CACHE_LINE) holderlock_t lock;
    _Atomic uint32_t n_queued;
    uint32_t lane_head[RUNQ_LANES], lane_tail[RUNQ_LANES];
    uint32_t next_lane, lanes_used; /* bit per lane that has a record */
    /* Records taken from the lanes together; each is claimed by its word, so another may still take it away. */
    _Alignas(SEG_CACHE_LINE) _Atomic uint32_t batch[RUNQ_BATCH];
    _Atomic uint32_t n_batch, i_batch;
    _Atomic uint32_t taking; /* out of the batch, not claimed yet */
    _Atomic uint32_t n_taken; /* counts the tasks that were begun from here: does the queue move? */
    _Alignas(SEG_CACHE_LINE) pool_unsaid_t unsaid_slots; /* freed, and their owners not told yet */
    pool_unsaid_t unsaid_records;
    _Alignas(SEG_CACHE_LINE) ep_journal_t journal;
    /* Slots that a mortal endpoint holds by views and retained refs: its agent drops them after its death. */
    _Atomic uint32_t ledger[EP_LEDGER_ENTRIES];
} ep_shared_t;

/* The node as one process sees it. */
typedef struct node {
    uint32_t epoch;
    int rank, n_ranks, node_rank, n_node_ranks;
    int n_cpus, n_own_cpus; /* that the ranks of this node may run on together, and that this rank may */
    bool multi_node;
    int16_t *node_rank_of; /* by rank; -1 = on another node */
    int32_t *rank_of;      /* by place on the node */
    segment_t *segs;       /* by place on the node */
    /* By rank, for reads from other nodes; NULL in workers, which do not read there. */
    uint64_t *slots_off_of, *arena_off_of;
} node_t;

typedef struct ep {
    ep_shared_t *sh;
    node_t *node;
    const segment_t *seg; /* own rank's */
    uint16_t gid;
    bool mortal;   /* may be killed without its rank: keeps the journal */
    uint32_t rc_seq, ledger_hint;
    pool_cache_t slots, records;
    trace_ring_t *trace; /* NULL: the session keeps no trace */
    void *sched, *exec; /* the layers' own */
    void (*exec_fini_fn)(struct ep *ep); /* frees exec; NULL: nothing to free */
} ep_t;

/* The calling thread's endpoint; NULL before api gave it one. */
extern _Thread_local ep_t *ep_self;

static inline ep_shared_t *ep_shared_at(const node_t *node, uint16_t gid)
{
    const segment_t *seg = &node->segs[gid >> 8];
    return (ep_shared_t *)(seg->rw + seg->hdr->eps_off) + (gid & 0xff);
}

static inline record_t *record_at(const ep_t *ep, rid_t rid)
{
    return (record_t *)(ep->node->segs[rid >> 24].records) + (rid & 0xffffff);
}

static inline uint16_t ep_gid(int node_rank, unsigned index)
{
    return (uint16_t)(node_rank << 8 | (int)index);
}

/* How the pools know a free item. */
pool_is_free_fn ep_slot_is_free_fn(void);
pool_is_free_fn ep_record_is_free_fn(void);

/* Take endpoint index of this rank for the calling thread or, with index 0, any unused one. kind and mortal as given.
 * Errors: LIMIT when all are taken, OUT_OF_MEMORY. */
int ep_open(node_t *node, unsigned index, ep_kind_t kind, bool mortal, ep_t **ep_p);
/* Reserve an unused index of this rank, EP_STARTING; 0 when all are taken. */
unsigned ep_reserve(node_t *node, ep_kind_t kind);
/* Give it back; its chunks go to nobody. */
void ep_close(ep_t *ep);

/* What another endpoint has freed, and has not told the owners of (pool.h). Any number of times. */
void ep_say_for(const node_t *node, const ep_shared_t *of);
/* The same for all endpoints of the node: the tables are full. */
void ep_say_for_all(const node_t *node);

/* Push rid; false when the inbox is closed. Does not wake. The record is QUEUED for this endpoint already. */
bool ep_inbox_push(const node_t *node, ep_shared_t *to, rid_t rid);
/* Take all, oldest first, linked by next; 0 when empty. */
rid_t ep_inbox_drain(const node_t *node, ep_shared_t *of);

static inline bool ep_inbox_empty(const ep_shared_t *of)
{
    uint32_t head = atomic_load_explicit(&of->inbox, memory_order_relaxed);
    return head == 0 || head == INBOX_CLOSED;
}

/* After publishing something for `to`. Costs one load when it is awake. */
void ep_wake(ep_shared_t *to);
/* Wake every endpoint of the node that sleeps. */
void ep_wake_all(const node_t *node);

/* About to sleep: after this the caller looks once more at what it waits for, then calls ep_sleep() or ep_sleep_cancel(). */
void ep_sleep_prepare(ep_t *ep);
void ep_sleep(ep_t *ep, uint64_t timeout_ns);
void ep_sleep_cancel(ep_t *ep);

/* For ep_may_spin() of others: where this thread runs. */
int ep_note_cpu(const ep_t *ep);
/* True while spinning takes no CPU from a runnable thread: no more threads are awake than there are CPUs for them, on the node and, since a launcher
 * may have bound each rank to few, in this rank; and the kernel has put none of the others where this one runs. */
bool ep_may_spin(const ep_t *ep);

static inline void ep_mask_set(_Atomic uint64_t *mask, uint16_t gid)
{
    atomic_fetch_or_explicit(&mask[(gid & 0xff) / 64], 1ull << (gid & 63), memory_order_seq_cst);
}
static inline void ep_mask_clear(_Atomic uint64_t *mask, uint16_t gid)
{
    atomic_fetch_and_explicit(&mask[(gid & 0xff) / 64], ~(1ull << (gid & 63)), memory_order_seq_cst);
}
/* Somebody serves it: not dead, not starting. A hint, as it may die at once. */
static inline bool ep_is_open(const ep_shared_t *sh)
{
    uint32_t state = atomic_load(&sh->state);
    return state == EP_RUNNING || state == EP_BLOCKED || state == EP_PARKED;
}

/* Clears the bit; true for the one caller that found it set. */
static inline bool ep_mask_take(_Atomic uint64_t *mask, uint16_t gid)
{
    uint64_t bit = 1ull << (gid & 63);
    return (atomic_fetch_and(&mask[(gid & 0xff) / 64], ~bit) & bit) != 0;
}

static inline bool ep_mask_has(_Atomic uint64_t *mask, uint16_t gid)
{
    return atomic_load_explicit(&mask[(gid & 0xff) / 64], memory_order_relaxed) >> (gid & 63) & 1;
}

/* The endpoint of that rank that has its bit set and comes next after gid; 0: none does. All of them:
 * for (uint16_t gid = ep_gid(place, 0); (gid = ep_mask_next(mask, gid)) != 0;)
 * A bit that changes meanwhile is seen or not. */
static inline uint16_t ep_mask_next(const _Atomic uint64_t *mask, uint16_t gid)
{
    for (unsigned i = (gid & 0xff) + 1; i < SEG_MAX_EPS; i = (i | 63) + 1) {
        uint64_t rest = atomic_load(&mask[i / 64]) >> (i & 63);
        if (rest != 0) return ep_gid(gid >> 8, i + (unsigned)__builtin_ctzll(rest));
    }
    return 0;
}

/* How many endpoints of a rank have their bit set. Most words are empty. */
static inline int ep_mask_count(const _Atomic uint64_t *mask)
{
    int n = 0;
    for (int w = 0; w < SEG_MASK_WORDS; w++) {
        uint64_t bits = atomic_load_explicit(&mask[w], memory_order_relaxed);
        if (bits != 0) n += base_count_bits(bits);
    }
    return n;
}

#endif
