/* score.c: see score.h. */
#include "score.h"

#include <parasail.h>
#include <parasail/matrices/blosum62.h>

int align_profile_init(struct align_profile *profile, const char *residues, uint32_t length, struct align_fault *fault)
{
    *profile = (struct align_profile){.residues = residues, .length = (int)length};
    profile->bits8 = parasail_profile_create_8(residues, profile->length, &parasail_blosum62);
    return profile->bits8 ? 0 : align_fault_memory(fault, "a query profile");
}

void align_profile_fini(struct align_profile *profile)
{
    if (profile->bits8) parasail_profile_free(profile->bits8);
    if (profile->bits16) parasail_profile_free(profile->bits16);
    if (profile->bits32) parasail_profile_free(profile->bits32);
    *profile = (struct align_profile){0};
}

/* Take the score out of a result and free it. Returns 1 if it saturated, so that the score is not known. */
static int take(parasail_result_t *result, int32_t *score_p, struct align_fault *fault)
{
    if (!result) return align_fault_memory(fault, "an alignment");
    int saturated = parasail_result_is_saturated(result);
    *score_p = parasail_result_get_score(result);
    parasail_result_free(result);
    return saturated ? 1 : 0;
}

static int score_wider(struct align_profile *profile, const char *subject, int length, int32_t *score_p, struct align_fault *fault)
{
    if (!profile->bits16) profile->bits16 = parasail_profile_create_16(profile->residues, profile->length, &parasail_blosum62);
    if (!profile->bits16) return align_fault_memory(fault, "a query profile");
    int rc = take(parasail_sw_striped_profile_16(profile->bits16, subject, length, ALIGN_GAP_OPEN, ALIGN_GAP_EXTEND), score_p, fault);
    if (rc <= 0) return rc;
    if (!profile->bits32) profile->bits32 = parasail_profile_create_32(profile->residues, profile->length, &parasail_blosum62);
    if (!profile->bits32) return align_fault_memory(fault, "a query profile");
    return take(parasail_sw_striped_profile_32(profile->bits32, subject, length, ALIGN_GAP_OPEN, ALIGN_GAP_EXTEND), score_p, fault);
}

int align_profile_score(struct align_profile *profile, const char *subject, uint32_t length, int32_t *score_p, struct align_fault *fault)
{
    int len = (int)length;
    int rc = take(parasail_sw_striped_profile_8(profile->bits8, subject, len, ALIGN_GAP_OPEN, ALIGN_GAP_EXTEND), score_p, fault);
    if (rc > 0) rc = score_wider(profile, subject, len, score_p, fault);
    return rc > 0 ? align_fault_set(fault, ALIGN_EXIT_FAILED, "a score does not fit into 32 bits") : rc;
}

int align_score_plain(const char *query, uint32_t query_length, const char *subject, uint32_t subject_length, int32_t *score_p,
                      struct align_fault *fault)
{
    return take(parasail_sw(query, (int)query_length, subject, (int)subject_length, ALIGN_GAP_OPEN, ALIGN_GAP_EXTEND, &parasail_blosum62),
                score_p, fault);
}

int align_score_chunks(const struct align_chunk *queries, const struct align_chunk *subjects, int32_t *scores, struct align_fault *fault)
{
    int rc = 0;
    for (uint32_t q = 0; q < queries->n && rc == 0; q++) {
        struct align_profile profile;
        rc = align_profile_init(&profile, align_chunk_residues(queries, q), align_chunk_length(queries, q), fault);
        for (uint32_t s = 0; s < subjects->n && rc == 0; s++)
            rc = align_profile_score(&profile, align_chunk_residues(subjects, s), align_chunk_length(subjects, s),
                                     &scores[(uint64_t)q * subjects->n + s], fault);
        align_profile_fini(&profile);
    }
    return rc;
}
