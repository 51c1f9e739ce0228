/* producer.h: the record that is to write a slot, looked at while others work on it: what a waiter may run itself, what type a pending
 * object will have, who waits for whom. */
#ifndef MRAY_EXEC_PRODUCER_H
#define MRAY_EXEC_PRODUCER_H

#include "record.h"
#include "slot.h"

/* What was read of the record, consistent with `word`. */
typedef struct {
    rid_t rid;
    record_t *rec;
    uint64_t word;
    record_kind_t kind;
    bool plain;      /* a task of one CPU */
    uint32_t fn, actor;
    uint32_t result; /* which of its results the slot is */
    uint32_t pending;
    mray_ref refs[RECORD_MAIN_REFS]; /* its first arguments that are refs */
    unsigned n_refs;
} producer_t;

/* The record that will write slot sid, if the slot is not ready and the record is on this node. False also while the record changes hands. */
bool producer_find(const ep_t *ep, sid_t sid, producer_t *p);

#endif
