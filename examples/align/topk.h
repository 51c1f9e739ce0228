/* topk.h: the best K hits of every query.
 *
 * Hits have a total order: higher score first, then lower subject number. The K best of a set are therefore the same whatever order they
 * arrive in. One flat block without pointers, so that it can be stored, sent and merged. A score of 0 means that nothing aligns, and is
 * no hit.
 *
 *     | header | hits kept, n_queries x u32, padded to 8 | n_queries x K hits; each query a heap with its worst hit at the root | */
#ifndef ALIGN_TOPK_H
#define ALIGN_TOPK_H

#include <stddef.h>
#include <stdint.h>

struct align_hit {
    int32_t score;
    uint32_t subject;
};

struct align_topk {
    uint32_t n_queries;
    uint32_t k;
};

/* Bytes of the block. */
size_t align_topk_bytes(uint32_t n_queries, uint32_t k);

/* Make an empty table in a block of align_topk_bytes(), aligned to 8. */
struct align_topk *align_topk_init(void *block, uint32_t n_queries, uint32_t k);

/* The same in memory of its own, freed by free(); NULL when there is none. */
struct align_topk *align_topk_create(uint32_t n_queries, uint32_t k);

/* A hit may be offered once only. */
void align_topk_offer(struct align_topk *topk, uint32_t query, uint32_t subject, int32_t score);

/* Offer what align_score_chunks() computed for queries query_first.. and subjects subject_first.. */
void align_topk_offer_block(struct align_topk *topk, uint32_t query_first, uint32_t n_queries, uint32_t subject_first,
                            uint32_t n_subjects, const int32_t *scores);

/* Offer all hits of another table with as many queries. */
void align_topk_merge(struct align_topk *topk, const struct align_topk *other);

/* Copy one query's hits, best first, into hits[k]; returns how many. */
uint32_t align_topk_best(const struct align_topk *topk, uint32_t query, struct align_hit *hits);

#endif
