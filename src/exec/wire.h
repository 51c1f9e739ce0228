/* wire.h: what agents of different nodes say to each other about objects and records. Plain structs of one byte order: the
 * ranks run the same program on the same kind of machine. */
#ifndef MRAY_EXEC_WIRE_H
#define MRAY_EXEC_WIRE_H

#include "slot.h"

/* Payloads up to this travel inside the message that says the object is ready. */
enum { WIRE_MAX_INLINE = 16384 };
/* Payloads up to this are pushed behind that message, as items of their own: no copy is saved by having them fetched, but a round trip is. */
enum { WIRE_MAX_PUSHED = 132 << 10, WIRE_PIECE_BYTES = 32640 };
/* Arguments up to this travel with the task, 4 KiB of them in all. */
enum { WIRE_MAX_ARG = 1024, WIRE_MAX_ARGS = 4096 };

/* A ready object. */
typedef struct {
    mray_ref to;      /* the slot that receives it */
    uint32_t status;  /* not MRAY_OK: the object cannot be had; text follows */
    uint8_t kind, dtype, ndim, more; /* more: bytes follow */
    uint64_t bytes;   /* of data, as in the slot */
    uint8_t value[SLOT_INLINE_BYTES];
    /* Where the payload lies, if it does not follow: absolute in data_rank's segment. */
    uint32_t data_rank, metadata_bytes;
    uint64_t data_off;
    mray_ref stash;   /* the slot there that keeps it; nil if the receiver has no part in that */
    uint32_t n_more;  /* bytes that follow: payload header and data, or text */
    uint32_t rid, gen; /* results: the record at the receiver */
    uint32_t n_pushed; /* READY: bytes of payload header and data that come in PIECEs behind this message */
} wire_object_t;

/* A record sent to another node; n_refs mray_ref and body_bytes of values follow, and a wire_object_t with what is to follow it for each argument
 * in `values`: small arguments travel with the task, so that it need not fetch them. */
typedef struct {
    mray_ref ret; /* first result */
    uint32_t rid, gen;
    uint32_t fn;
    uint32_t word[3]; /* actor, seq, caller; or shape_cpu, shape_amount, shape_resource */
    uint16_t n_returns, body_bytes, by_value, ref_params;
    uint8_t kind, n_refs, shape, attempt;
    int8_t retries_left;
    uint8_t reserved;
    uint16_t values; /* bit i: the value of ref argument i follows */
} wire_record_t;

/* CONTROL_PIECE; its bytes follow. Pieces of an object come in order. */
typedef struct {
    mray_ref to;    /* the proxy */
    uint32_t off, bytes;
} wire_piece_t;

typedef struct {
    mray_ref ref;   /* the object */
    mray_ref to;    /* the proxy */
} wire_subscribe_t;

typedef struct {
    mray_ref ref;
    mray_ref reply;   /* nil: no answer is wanted */
    uint32_t creator; /* DROP: 1 = the creator's hold (a stash), 0 = a common one */
    uint32_t gid;     /* on its way to the own agent: the mortal endpoint whose hold it is, 0 = nobody's who may die alone */
} wire_hold_t;

/* Describe ready slot sid for a receiver elsewhere; *payload_p and image->n_more are what is to follow it. */
void wire_describe(const ep_t *ep, sid_t sid, wire_object_t *image, const void **payload_p);
/* Send a description and what follows. Type is a control_type_t. */
struct agent;
void wire_send_object(struct agent *agent, int rank, uint16_t type, const wire_object_t *image, const void *payload);
/* Tell rank that slot sid is ready (CONTROL_READY); image->to is set. The payload goes along, or follows, where that is faster than having it fetched. */
void wire_send_ready(struct agent *agent, int rank, sid_t sid, wire_object_t *image);
/* Is a message of so many bytes a description and what follows it, such as the functions above and below can take? `more` is what follows. */
bool wire_is_sound(const wire_object_t *image, const void *more, uint32_t bytes);
/* Could rid be a record of this node? */
bool wire_is_record(const ep_t *ep, rid_t rid);
/* Stage the value that a message brought into slot `sid` of this node; true if it is complete, false if its payload must be fetched. */
bool wire_stage(ep_t *ep, sid_t sid, const wire_object_t *image, const void *more);

#endif
