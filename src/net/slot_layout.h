/* slot_layout.h: an object's slot, 64 bytes in its owner's segment, as the wire and every process see it.
 * What is done with slots is store/slot.c; the layout stands here because the pool must know a free one.
 *
 *    0        8         16      20    24                    28      32      40                        64
 *    | rc     | waiters | state | gen | kind dtype ndim .. | mark | bytes | value <= 24 B, or where  |
 *
 * rc, one word so that one compare-and-swap decides:
 *    bits  0-27  holds: refs retained, task arguments, proxies
 *    bit  28     the creator's hold: the endpoint that was given the ref has not released it
 *    bit  29     the producer's hold: the value is still to be written
 *    bit  30     being destroyed by the last writer
 *    bit  31     in use (0 = free; fresh zeroed memory is a free slot)
 *    bits 32-47  last writer: endpoint gid, 0 = one that does not die alone
 *    bits 48-63  the last writer's number of this change: how a change by a killed process is detected
 */
#ifndef MRAY_NET_SLOT_LAYOUT_H
#define MRAY_NET_SLOT_LAYOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SLOT_INLINE_BYTES = 24 };

typedef enum { SLOT_EMPTY = 0, SLOT_PENDING = 1, SLOT_READY = 2 } slot_state_t;
typedef enum {
    SLOT_KIND_NONE = 0,
    SLOT_KIND_INLINE,  /* value in the slot */
    SLOT_KIND_PAYLOAD, /* value in an arena of this node */
    SLOT_KIND_REMOTE,  /* value in another node's arena, held there by a slot of its own */
    SLOT_KIND_ERROR,   /* an error: code in error_status, text in the arena if where.bytes is not 0 */
} slot_kind_t;

/*  PAYLOAD: | off in the arena of rank | rank | block | metadata_bytes | -         |
 *  REMOTE:  | off in the segment of rank | rank | stash_rank | stash_slot | stash_gen |     a task's result, kept by a slot there;
 *           results have no metadata */
typedef struct {
    uint64_t off;
    uint32_t rank;
    union {
        uint32_t block; /* arena descriptor; 0 = freed */
        uint32_t stash_rank;
    };
    union {
        uint32_t metadata_bytes;
        uint32_t stash_slot;
    };
    uint32_t stash_gen;
} slot_where_t;

typedef struct {
    _Atomic uint64_t rc;
    _Atomic uint64_t waiters; /* SLOT_WAITERS_DONE | link of the newest waiting argument */
    _Atomic uint32_t state;   /* slot_state_t | watcher gid << 8 */
    _Atomic uint32_t gen;
    uint8_t kind;             /* slot_kind_t */
    uint8_t dtype;            /* mray_dtype; known from submission on */
    uint8_t ndim;
    uint8_t creator_index;    /* endpoint of the owner rank that holds bit 28 */
    /* PENDING: rid of the record that will write it, 0 = none on this node. READY: checksum of everything but rc, waiters and the
     * watcher, for readers on other nodes. Its own field, because it is read while the value is being written. */
    _Atomic uint32_t mark;
    uint64_t bytes;
    union {
        uint8_t value[SLOT_INLINE_BYTES];
        slot_where_t where;
    } u;
} slot_t;
_Static_assert(sizeof(slot_t) == 64, "a slot is one cache line");

#define SLOT_RC_ONE UINT64_C(1)
#define SLOT_RC_COUNT UINT64_C(0x0fffffff)
#define SLOT_RC_CREATOR (UINT64_C(1) << 28)
#define SLOT_RC_PRODUCER (UINT64_C(1) << 29)
#define SLOT_RC_DYING (UINT64_C(1) << 30)
#define SLOT_RC_USED (UINT64_C(1) << 31)
#define SLOT_RC_HOLDS (SLOT_RC_COUNT | SLOT_RC_CREATOR | SLOT_RC_PRODUCER)

/* These fields are looked at by others before the slot is ready (a submitter's check of types, the repair after a death), who believe only
 * what they find confirmed; written and looked at so, each is read whole. When the slot is ready they are plain. */
#define slot_set(slot, field, value) __atomic_store_n(&(slot)->field, (value), __ATOMIC_RELAXED) /* kind, dtype, ndim, creator_index, bytes */
#define slot_peek(slot, field) __atomic_load_n(&(slot)->field, __ATOMIC_RELAXED)

static inline bool slot_rc_is_free(uint64_t rc) { return (rc & SLOT_RC_USED) == 0; }
static inline uint16_t slot_rc_writer(uint64_t rc) { return (uint16_t)(rc >> 32); }
static inline uint16_t slot_rc_seq(uint64_t rc) { return (uint16_t)(rc >> 48); }
static inline uint64_t slot_rc_mark(uint16_t writer, uint32_t seq) { return (uint64_t)writer << 32 | (uint64_t)seq << 48; }

#endif
