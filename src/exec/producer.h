/* producer.h: the record that is to write a slot, looked at while others work on it: what a waiter may run itself, what type a pending
 * object will have, who waits for whom. */
#ifndef MRAY_EXEC_PRODUCER_H
#define MRAY_EXEC_PRODUCER_H

#include "record_peek.h"
#include "slot.h"

typedef struct {
    rid_t rid;
    record_t *rec;
    record_peek_t seen;
    bool plain;      /* a task of one CPU */
    uint32_t result; /* which of its results the slot is */
    unsigned n_refs; /* of seen.refs */
} producer_t;

/* The record that will write slot sid, if the slot is not ready and the record is on this node. False also while the record changes hands. */
bool producer_find(const ep_t *ep, sid_t sid, producer_t *p);

#endif
