/* record_peek.h: looking at a record that is another's, which may be run, freed and used again meanwhile: a sequence lock.
 *
 * The word changes with every step of a record's life and carries its generation. Reader: word (acquire), the fields (relaxed), an acquire
 * fence, the word once more; what was read counts if both are the same. Whoever takes a free record changes the word first, then fences
 * (release), then writes (record.c); fields that are looked at are written by record_set() and its like, so each is read whole.
 *
 * What a holder changes while the word stays is read old or new: refs of arguments that are replaced by copies, n_returns of a cancelled call. */
#ifndef MRAY_NET_RECORD_PEEK_H
#define MRAY_NET_RECORD_PEEK_H

#include "record.h"

#include <stdbool.h>

typedef struct {
    uint64_t word;
    uint32_t fn, actor, pending;
    uint8_t kind, shape, n_refs, n_ext;
    uint16_t n_returns, body_bytes;
    rid_t ext;
    mray_ref ret;
    mray_ref refs[RECORD_MAIN_REFS]; /* those of its first arguments that are refs; further ones are not looked at */
} record_peek_t;

/* False: it is free or an extension, or it changed while it was looked at. rid: any number below the pools' ends. */
bool record_peek(const struct ep *ep, rid_t rid, record_peek_t *peek_p);
/* The same, again and again while it changes. False: it is free or an extension. */
bool record_peek_settled(const struct ep *ep, rid_t rid, record_peek_t *peek_p);
/* Its extensions, in the chain's order; how many, or -1 if it has changed since. */
int record_peek_extensions(const struct ep *ep, rid_t rid, const record_peek_t *peek, rid_t exts[RECORD_MAX_EXT]);
/* METHOD and ACTOR. False: it has changed since. */
bool record_peek_tail(const struct ep *ep, rid_t rid, const record_peek_t *peek, record_tail_t *tail_p);

#endif
