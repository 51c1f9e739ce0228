/* object.h: values in and out of slots of this node. */
#ifndef MRAY_STORE_OBJECT_H
#define MRAY_STORE_OBJECT_H

#include "payload.h"
#include "slot.h"

#include <mray/types.h>

typedef struct {
    mray_type type;
    int ndim; /* 0: one element */
    uint64_t dims[MRAY_MAX_DIMS];
    const void *data;
    uint64_t bytes;
    const void *metadata;
    uint64_t metadata_bytes;
} object_value_t;

/* How long a full store is waited for; from the configuration. */
extern uint64_t object_full_wait_ns;

/* The value needs no payload: it lies in the slot. */
bool object_fits_inline(const object_value_t *value);
/* Write a value into a slot that is not published yet. Errors: OBJECT_STORE_FULL, INVALID_ARGUMENT. */
int object_stage(ep_t *ep, sid_t sid, const object_value_t *value);
/* Room for a value, to be filled in at *data_p before the slot is published. Small values lie in the slot itself. */
int object_reserve(ep_t *ep, sid_t sid, const object_value_t *shape, void **data_p);
/* Make the slot an error: status and a sentence. Never fails: without room for the text the status remains. */
void object_stage_error(ep_t *ep, sid_t sid, int status, const char *text);
/* Take back what was staged and not published. */
void object_unstage(ep_t *ep, sid_t sid);

/* Publish a staged slot and drop the producer's hold. */
void object_publish(ep_t *ep, sid_t sid);

/* What a READY slot of this node holds. The bytes are valid while the slot is held. An error object gives its status, with
 * the sentence set. REMOTE slots are not for here (store/fetch.h). */
int object_look(const ep_t *ep, const slot_t *slot, mray_view *view_p);
/* True if the slot holds an error. */
bool object_is_error(const slot_t *slot);
int object_error_status(const slot_t *slot);

#endif
