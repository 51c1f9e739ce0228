/* segment.h: one shared-memory segment a rank, mapped by every process of its node.
 *
 *   | header | endpoints | slot pool bookkeeping | record pool bookkeeping | table of copies | slots (64 B) | records (128 B) | arena metadata | arena
 *   | rings of the trace, if the session keeps one (trace_ring.h) |
 *
 * The segment is a memfd: it has no name that another job could meet, it vanishes with its last process however that
 * ends, and its size is bounded by memory, not by the size of /dev/shm. Other processes of the node open it by
 * /proc/PID/fd/FD, which the kernel allows to the same user only. See docs/design/net.md, "The segment".
 *
 * Everything is mapped read-write for the runtime; views handed to user code point into a second, read-only mapping. */
#ifndef MRAY_NET_SEGMENT_H
#define MRAY_NET_SEGMENT_H

#include "holderlock.h"

#include <mray/ref.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NODE_MAX_RANKS = 255, /* ranks on one node: 8 bits of an endpoint id, a record id and a slot id */
    SEG_MAX_EPS = 256,    /* endpoints of one rank; index 0 is never used */
    SEG_EP_AGENT = 1,     /* the rank's own engine */
    SEG_EP_MAIN = 2,      /* the thread that called mray_init */
    SEG_MASK_WORDS = SEG_MAX_EPS / 64,
    SEG_MAX_ITEMS = 1 << 24, /* slots or records of one segment: 24 bits of an id */
    SEG_CACHE_LINE = 64,
    SEG_DEAD_ACTORS = 64,
    SEG_GROUPS = 16,      /* groups of workers of a rank that are near each other */
};

/* Items (slots, records) are handed out in chunks of 64. A chunk belongs to one endpoint, which alone allocates from it;
 * whoever frees an item sets its bit in the chunk's hint word. A bit is only a hint: the item's own state word is the
 * truth (pool.h), so setting a bit twice, after a crash, does no harm. */
typedef struct {
    uint32_t n_chunks;
    _Atomic uint32_t next_fresh; /* chunks below were claimed at least once */
    _Atomic uint32_t n_orphans;  /* about how many of them belong to nobody */
    uint64_t hints_off;          /* n_chunks words: which items may be free */
    uint64_t summary_off;        /* n_chunks / 64 words: which hint words are not zero */
    uint64_t owner_off;          /* n_chunks u16: endpoint gid, 0 = nobody's */
    uint64_t items_off;
    uint32_t item_bytes;
} seg_pool_t;

/* Which slots of the node are copies of objects elsewhere (store/copies.h). */
typedef struct {
    uint32_t n_entries; /* a power of two */
    uint64_t entries_off, origins_off;
    holderlock_t lock;
    uint32_t n_used;           /* guarded by lock */
    _Atomic uint64_t n_pulled; /* payloads this rank's agent fetched from other nodes */
} seg_copies_t;

typedef struct {
    mray_ref origin; /* slot 0: a free entry */
    uint32_t sid;
    uint32_t reserved;
    uint64_t last_use_ns;
} seg_copy_t;

typedef struct {
    mray_ref origin;            /* slot 0: the slot is no copy */
    _Atomic uint32_t asked_by; /* endpoint that asked for it and went without its value; 0: none, or it has had it since */
} seg_origin_t;

/* Set once before the segment is shared, but for the atomics. */
typedef struct {
    uint64_t magic;
    uint32_t epoch; /* distinguishes sessions: part of every ref */
    uint32_t rank;
    uint64_t bytes;
    uint32_t n_nodes, total_workers; /* of the whole job, for reports */
    uint64_t eps_off, arena_meta_off, arena_off, arena_bytes;
    uint64_t trace_off; /* end of what other nodes may read; rings of the endpoints follow, if trace_slots is not 0 */
    uint32_t trace_slots, trace_counter; /* events of a ring; 1: their times are ticks of the CPU's counter */
    seg_pool_t slots, records;
    seg_copies_t copies;
    _Alignas(SEG_CACHE_LINE) _Atomic uint32_t stop; /* workers leave their loops */
    _Atomic uint32_t deaths;                        /* counted by the zygote */
    _Atomic uint64_t agent_seen_ns;                 /* when this rank's agent last made a round: base_clock_ns() (exec/heartbeat.c) */
    _Atomic uint32_t wait_tickets;                  /* in the segment of a node's first rank: numbers of waits (exec/cycle.h) */
    _Atomic uint32_t n_workers; /* how many workers this rank wants to have in worker_mask; fewer while tasks of other shapes take CPUs */
    _Atomic uint32_t backlog; /* tasks that the agent keeps because no worker took them */
    _Atomic uint32_t crowded; /* set by who waits long for room in the tables; the agent clears it */
    _Atomic uint32_t store_full; /* set by who finds no room in the arenas; the agent drops copies that nobody uses, and clears it */
    _Atomic uint32_t balance; /* set by a worker with nothing to do while another has a queue; the agent clears it */
    _Atomic uint32_t n_cores; /* that bound workers of this rank have between them and its other threads (exec/crew.c) */
    _Atomic uint32_t packed;  /* in the segment of a node's first rank: tasks stand in queues while workers sleep (exec/balance.c) */
    /* Leases of this rank for tasks of one CPU (exec/leases.c). Written by its agent, read by whoever hands on a task of it. */
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t lease_mask[SEG_MASK_WORDS]; /* places on the node that it holds leases on */
    _Atomic uint32_t lease_used;   /* set at use, cleared by the agent when it looks */
    _Atomic uint32_t lease_listen; /* 1: the agent wants to be woken when no leased worker is idle; the waker makes it 2 */
    _Atomic uint32_t shape_news;   /* counts what the agent wants to know of workers (exec/shapes.c) */
    _Atomic uint32_t shape_watch;  /* the agent waits for a spare worker */
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t worker_mask[SEG_MASK_WORDS]; /* endpoints that accept pushed tasks */
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t spare_mask[SEG_MASK_WORDS]; /* workers that stand by for one that blocks */
    /* Bits are set and cleared by fetch_or / fetch_and, which are idempotent: the agent clears a dead endpoint's. */
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t open_mask[SEG_MASK_WORDS];  /* endpoints in use */
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t idle_mask[SEG_MASK_WORDS];  /* nothing to do: spinning or asleep */
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t awake_mask[SEG_MASK_WORDS]; /* runnable threads, for the spin decision */
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t bound_mask[SEG_MASK_WORDS]; /* workers with a core of their own; written as group_mask is */
    /* Workers by group: those of a group share a cache. Written by the rank's agent when it makes one (exec/crew.c). */
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t group_mask[SEG_GROUPS][SEG_MASK_WORDS];
    /* The last actors of other nodes that died, rank << 32 | id: in the segment of a node's first rank, written by its agent. */
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t dead_actors[SEG_DEAD_ACTORS];
} seg_header_t;

typedef struct {
    uint64_t arena_bytes;
    uint64_t arena_meta_bytes;
    uint32_t n_slots, n_records; /* rounded up to whole chunks */
    uint32_t max_blocks;         /* for the arena's metadata */
    uint32_t trace_slots, trace_counter; /* as in seg_header_t; 0: no trace */
} seg_config_t;

/* A mapping of one segment in this process. */
typedef struct {
    char *rw;
    const char *ro; /* the same bytes, read-only */
    seg_header_t *hdr;
    char *slots, *records; /* items 0 of the pools */
    uint64_t bytes;
} segment_t;

/* How another process of the node finds a segment; exchanged at start. */
typedef struct {
    int32_t pid, fd;
    uint64_t bytes;
} seg_name_t;

/* Make this rank's segment. fd stays open until seg_close_fd(). Errors: OUT_OF_MEMORY, SYSTEM. */
int seg_create(const seg_config_t *config, uint32_t epoch, uint32_t rank, segment_t *seg_p, seg_name_t *name_p);
/* Map another process's segment. Errors: SYSTEM with what the kernel said. */
int seg_map(const seg_name_t *name, segment_t *seg_p);
void seg_unmap(segment_t *seg);
void seg_close_fd(seg_name_t *name);
/* Write-fault the first pages of slots and records, so that the first tasks do not pay for it. */
void seg_prefault(const segment_t *seg, uint64_t slot_bytes, uint64_t record_bytes, uint64_t arena_bytes);

#endif
