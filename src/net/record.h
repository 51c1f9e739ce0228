/* record.h: a task or a message on its way inside one node: 128 bytes in some rank's record pool.
 *
 * The word is the truth about a record; every list it stands in is only the way to find it again:
 *
 *   FREE -> BUILDING(submitter) -> WAITING -> QUEUED(target) -> RUNNING(worker) -> COMMITTED(worker) -> FREE
 *                                                |     ^
 *                                                v     |
 *                                              MOVING(mover)
 *
 *   BUILDING   its submitter fills it in; if the submitter dies it never was
 *   WAITING    submitted; bits in `pending` stand for arguments that are not ready
 *   QUEUED     ready; in the target's inbox or run queue, or on the way there
 *   MOVING     taken out of a queue by an endpoint that will put it in another; nobody else may claim it
 *   RUNNING    claimed by one compare-and-swap, so that it is run once
 *   COMMITTED  its results are written and will be published; it is never run again
 *
 * When a worker dies its agent looks at every record that names the worker and finishes or repeats what it was at
 * (exec/recover.c). A message (RECORD_CONTROL) goes BUILDING -> QUEUED -> FREE. */
#ifndef MRAY_NET_RECORD_H
#define MRAY_NET_RECORD_H

#include <mray/ref.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdint.h>

typedef enum {
    RECORD_FREE = 0, /* fresh zeroed memory is a free record */
    RECORD_BUILDING,
    RECORD_WAITING,
    RECORD_QUEUED,
    RECORD_RUNNING,
    RECORD_COMMITTED,
    RECORD_MOVING,
    RECORD_EXTENSION, /* holds the tail of another record's body */
} record_state_t;

typedef enum {
    RECORD_TASK = 1, /* run a function */
    RECORD_METHOD,   /* run a method of an actor: only by the actor's worker, in order of seq per caller */
    RECORD_ACTOR,    /* make an actor: its constructor and the loop that follows */
    RECORD_CONTROL,  /* a message to an agent: control_type and the body */
    RECORD_NOTIFY,   /* a message to an agent that is sent when its one dependency is ready */
} record_kind_t;

enum {
    RECORD_BODY_BYTES = 56,
    RECORD_EXT_BODY_BYTES = 112,
    RECORD_MAX_EXT = 8,
    RECORD_MAX_BODY = RECORD_BODY_BYTES + RECORD_MAX_EXT * RECORD_EXT_BODY_BYTES,
    RECORD_MAX_REFS = 16, /* bits of held and pending */
    RECORD_MAIN_REFS = 2, /* refs in the record itself */
    RECORD_EXT_REFS = 4,  /* refs in each extension */
    SHAPE_UNIT = 10000,   /* resources are counted in units of 1/10000, as Ray does */
};
#define RECORD_HERE 1u /* it came from another node to be run by this rank: it is not sent on */
#define RECORD_RECALLED UINT32_MAX /* seq of a TASK with shape 0: it was sent to another node and called back unstarted */
#define RECORD_SHAPE_PLACED 2 /* as shape 1, and a rank was chosen: the one whose agent has it */
#define RECORD_CPU_SPREAD (UINT32_C(1) << 31) /* in shape_cpu: its rank is chosen by MRAY_SCHED_SPREAD */
#define RECORD_ASKED_AGAIN 1  /* shape of a METHOD: it has been round its dead actor's agent once */
#define RECORD_GUARD (1u << 31) /* bit of pending: the submitter is not done */

/* A record's place on its node: rank's place on the node << 24 | index. 0 is no record. */
typedef uint32_t rid_t;

/* One ref argument, at the start of the body. */
typedef struct {
    mray_ref ref;
    uint64_t next_waiter; /* link of the waiter list this argument stands in (slot.h) */
} record_ref_t;

/*   0      8      12        16   20                       28        30                  40   56     60   64   68      72    128
 *   | word | next | pending | fn | kind refs ext shape .. | creator | retries attempt.. | ret | actor | seq | ext | caller | body | */
typedef struct record {
    _Atomic uint64_t word;    /* record_state_t | endpoint gid << 8 | RECORD_WORD_* | generation << 32 */
    _Atomic uint32_t next;    /* rid of the next in the list it stands in */
    _Atomic uint32_t pending; /* bit i: ref argument i is not ready; RECORD_GUARD */
    uint32_t fn;              /* index in the function table; CONTROL: its type */
    uint8_t kind;             /* record_kind_t */
    uint8_t n_refs;           /* record_ref_t at the start of the body */
    uint8_t n_ext;
    uint8_t shape;            /* 0: one CPU and nothing else; 1: see shape_*; RECORD_SHAPE_PLACED */
    uint16_t n_returns;
    uint16_t body_bytes;      /* bytes of values behind the refs */
    uint16_t creator;         /* endpoint that submitted it and so holds the refs it was given */
    int8_t retries_left;      /* -1: for ever */
    uint8_t attempt;          /* from 0 */
    _Atomic uint16_t held;    /* bit i: ref argument i's object is held by this record */
    uint16_t by_value;        /* bit i: ref argument i stands for its value; else the task gets the ref */
    uint16_t ref_params;      /* bit p: parameter p is given by the next ref argument */
    uint16_t target;          /* endpoint whose queue it was put in last */
    mray_ref ret;             /* first result; the others lie in the slots behind it */
    union {
        uint32_t actor;     /* METHOD, ACTOR: actor's number on its rank; TASK with shape 0: RECORD_HERE or 0 */
        uint32_t shape_cpu; /* TASK with shape 1: CPUs in units of 1 / SHAPE_UNIT; RECORD_CPU_SPREAD */
    };
    union {
        uint32_t seq; /* METHOD: number among the caller's calls to this actor; TASK with RECORD_HERE: rank that sent it; RECORD_RECALLED */
        uint32_t shape_amount;
    };
    rid_t ext; /* first extension, chained by next */
    union {
        uint32_t caller;         /* METHOD: who numbers: endpoint and its incarnation (record_tail_t) */
        uint32_t shape_resource; /* hash of the custom resource's name; 0 = none */
    };
    uint8_t body[RECORD_BODY_BYTES];
} record_t;
_Static_assert(sizeof(record_t) == 128, "a record is two cache lines");

typedef struct {
    _Atomic uint64_t word;
    _Atomic uint32_t next;
    uint32_t reserved;
    uint8_t body[RECORD_EXT_BODY_BYTES];
} record_ext_t;
_Static_assert(sizeof(record_ext_t) == sizeof(record_t), "an extension is a record");

/* A task that is run inside a get of its result is claimed out of the queue it stands in, and stays linked there. Whoever
 * comes second, its runner when done or the queue's owner when it meets it, frees it: each sets its flag and sees the other's. */
#define RECORD_WORD_INLINE (UINT64_C(1) << 24)   /* claimed while linked */
#define RECORD_WORD_UNLINKED (UINT64_C(1) << 25) /* the queue has let go of it */
#define RECORD_WORD_DONE (UINT64_C(1) << 26)     /* the runner has let go of it */

static inline uint64_t record_word(record_state_t state, uint16_t gid, uint32_t gen)
{
    return (uint64_t)state | (uint64_t)gid << 8 | (uint64_t)gen << 32;
}
static inline record_state_t record_word_state(uint64_t word) { return (record_state_t)(word & 0xff); }
static inline uint16_t record_word_gid(uint64_t word) { return (uint16_t)(word >> 8); }
static inline uint32_t record_word_gen(uint64_t word) { return (uint32_t)(word >> 32); }

/* A task of one CPU and nothing else: any worker may have it. */
static inline bool record_is_plain(const record_t *rec) { return rec->kind == RECORD_TASK && rec->shape == 0; }

/* The last bytes of the body of METHOD and ACTOR records. */
typedef struct {
    uint32_t actor_rank;
    uint32_t caller_rank; /* with rec->caller: who numbers, unique in the job */
} record_tail_t;

/* Fields that record_peek() looks at are written by this and the next two: it reads the old value or the new one, nothing between. */
#define record_set(rec, field, value) __atomic_store_n(&(rec)->field, (value), __ATOMIC_RELAXED)

struct ep;

void record_set_ret(record_t *rec, mray_ref ret);
void record_set_ref(const struct ep *ep, record_t *rec, unsigned i, mray_ref ref);

/* Take a free record, BUILDING by ep, with room for n_refs refs and body_bytes of values. 0 when the pool is exhausted or
 * the body is over the limit. All fields but word are zero. */
rid_t record_alloc(struct ep *ep, unsigned n_refs, uint32_t body_bytes, record_t **rec_p);
/* Give a record and its extensions back. Its word becomes FREE with the next generation. */
void record_free(struct ep *ep, rid_t rid, record_t *rec);
record_ref_t *record_far_ref(const struct ep *ep, record_t *rec, unsigned i);
/* Ref argument i; the first ones lie in the record itself. */
static inline record_ref_t *record_ref(const struct ep *ep, record_t *rec, unsigned i)
{
    return i < RECORD_MAIN_REFS ? (record_ref_t *)(void *)rec->body + i : record_far_ref(ep, rec, i);
}
/* Copy values into or out of the body, off bytes behind the refs. */
void record_write(const struct ep *ep, record_t *rec, uint32_t off, const void *data, uint32_t bytes);
void record_read(const struct ep *ep, const record_t *rec, uint32_t off, void *data, uint32_t bytes);
record_tail_t record_tail(const struct ep *ep, const record_t *rec);
/* Where the tail begins in the stream of the body; it lies in one record. */
uint32_t record_tail_off(unsigned n_refs, uint32_t body_bytes);

#endif
