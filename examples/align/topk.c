/* topk.c: see topk.h. A heap of K per query: an offer costs O(log K) when it enters, one comparison when it does not. */
#include "topk.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t counts_bytes(uint32_t n_queries)
{
    return ((size_t)n_queries * sizeof(uint32_t) + 7) / 8 * 8;
}

static uint32_t *count_of(const struct align_topk *topk, uint32_t query)
{
    return (uint32_t *)(topk + 1) + query;
}

static struct align_hit *hits_of(const struct align_topk *topk, uint32_t query)
{
    return (struct align_hit *)((char *)(topk + 1) + counts_bytes(topk->n_queries)) + (size_t)query * topk->k;
}

static bool is_worse(struct align_hit a, struct align_hit b)
{
    return a.score != b.score ? a.score < b.score : a.subject > b.subject;
}

size_t align_topk_bytes(uint32_t n_queries, uint32_t k)
{
    return sizeof(struct align_topk) + counts_bytes(n_queries) + (size_t)n_queries * k * sizeof(struct align_hit);
}

struct align_topk *align_topk_init(void *block, uint32_t n_queries, uint32_t k)
{
    struct align_topk *topk = block;
    memset(block, 0, align_topk_bytes(n_queries, k));
    topk->n_queries = n_queries;
    topk->k = k;
    return topk;
}

struct align_topk *align_topk_create(uint32_t n_queries, uint32_t k)
{
    void *block = malloc(align_topk_bytes(n_queries, k));
    return block ? align_topk_init(block, n_queries, k) : NULL;
}

static void sift_up(struct align_hit *heap, uint32_t i)
{
    struct align_hit hit = heap[i];
    while (i > 0 && is_worse(hit, heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = hit;
}

static void sift_down(struct align_hit *heap, uint32_t n)
{
    struct align_hit hit = heap[0];
    uint32_t i = 0, child;
    while ((child = 2 * i + 1) < n) {
        if (child + 1 < n && is_worse(heap[child + 1], heap[child])) child++;
        if (!is_worse(heap[child], hit)) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = hit;
}

void align_topk_offer(struct align_topk *topk, uint32_t query, uint32_t subject, int32_t score)
{
    struct align_hit hit = {.score = score, .subject = subject}, *heap = hits_of(topk, query);
    uint32_t *n = count_of(topk, query);
    if (score <= 0) return;
    if (*n < topk->k) {
        heap[*n] = hit;
        sift_up(heap, (*n)++);
    } else if (topk->k > 0 && is_worse(heap[0], hit)) {
        heap[0] = hit;
        sift_down(heap, *n);
    }
}

void align_topk_offer_block(struct align_topk *topk, uint32_t query_first, uint32_t n_queries, uint32_t subject_first,
                            uint32_t n_subjects, const int32_t *scores)
{
    for (uint32_t q = 0; q < n_queries; q++)
        for (uint32_t s = 0; s < n_subjects; s++)
            align_topk_offer(topk, query_first + q, subject_first + s, scores[(size_t)q * n_subjects + s]);
}

void align_topk_merge(struct align_topk *topk, const struct align_topk *other)
{
    for (uint32_t q = 0; q < other->n_queries; q++)
        for (uint32_t i = 0; i < *count_of(other, q); i++)
            align_topk_offer(topk, q, hits_of(other, q)[i].subject, hits_of(other, q)[i].score);
}

static int best_first(const void *a, const void *b)
{
    return is_worse(*(const struct align_hit *)a, *(const struct align_hit *)b) ? 1 : -1;
}

uint32_t align_topk_best(const struct align_topk *topk, uint32_t query, struct align_hit *hits)
{
    uint32_t n = *count_of(topk, query);
    memcpy(hits, hits_of(topk, query), n * sizeof *hits);
    qsort(hits, n, sizeof *hits, best_first);
    return n;
}
