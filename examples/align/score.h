/* score.h: Smith-Waterman scores with BLOSUM62, gap open 11, gap extend 1, by parasail.
 *
 * A profile is made once a query and used for all subjects. Scores are computed in 8-bit lanes first (measured 1.4 times as fast as
 * 16-bit ones on real proteins), again in 16 bits where those saturate, then in 32. The result is always the exact score, equal to what
 * the plain parasail_sw() returns. Everything here is thread-safe as long as each thread has its own profile. */
#ifndef ALIGN_SCORE_H
#define ALIGN_SCORE_H

#include "chunk.h"
#include "fault.h"

#include <stdint.h>

enum { ALIGN_GAP_OPEN = 11, ALIGN_GAP_EXTEND = 1 };

struct parasail_profile;

/* One query, prepared. The profiles of the wider lanes are made when first needed. */
struct align_profile {
    const char *residues; /* the caller's; must outlive the profile */
    int length;
    struct parasail_profile *bits8, *bits16, *bits32;
};

int align_profile_init(struct align_profile *profile, const char *residues, uint32_t length, struct align_fault *fault);
int align_profile_score(struct align_profile *profile, const char *subject, uint32_t length, int32_t *score_p, struct align_fault *fault);
void align_profile_fini(struct align_profile *profile);

/* The same score from parasail_sw(), without vector instructions: the reference, seventeen times slower as measured. */
int align_score_plain(const char *query, uint32_t query_length, const char *subject, uint32_t subject_length, int32_t *score_p,
                      struct align_fault *fault);

/** Score every query of one chunk against every subject of another.
 *  @param scores  queries->n x subjects->n, the subjects of one query side by side; undefined after a failure
 *  @return 0, or -1 when memory cannot be had */
int align_score_chunks(const struct align_chunk *queries, const struct align_chunk *subjects, int32_t *scores, struct align_fault *fault);

#endif
