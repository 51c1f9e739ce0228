/* picture.h: the score matrix as a picture: a row a query, subjects from left to right, colours on a logarithmic scale.
 *
 * The matrix is reduced while it is computed: at most ALIGN_BIN_ROWS x ALIGN_BIN_COLUMNS bins, each the highest score of the pairs in it.
 * A maximum does not depend on the order of arrival. The bins are one flat block without pointers, as topk.h's. */
#ifndef ALIGN_PICTURE_H
#define ALIGN_PICTURE_H

#include "fasta.h"
#include "fault.h"

#include <stddef.h>
#include <stdint.h>

enum { ALIGN_BIN_ROWS = 1000, ALIGN_BIN_COLUMNS = 1200 };

struct align_bins {
    uint32_t n_queries, n_subjects;
    uint32_t n_rows, n_columns;
    int32_t best[]; /* n_rows x n_columns */
};

size_t align_bins_bytes(uint32_t n_queries, uint32_t n_subjects);
struct align_bins *align_bins_init(void *block, uint32_t n_queries, uint32_t n_subjects);

/* The same in memory of its own, freed by free(); NULL when there is none. */
struct align_bins *align_bins_create(uint32_t n_queries, uint32_t n_subjects);

void align_bins_offer_block(struct align_bins *bins, uint32_t query_first, uint32_t n_queries, uint32_t subject_first,
                            uint32_t n_subjects, const int32_t *scores);
void align_bins_merge(struct align_bins *bins, const struct align_bins *other);

/* Draw the bins as PNG, with axes, a colour scale and, where the rows are high enough, the names of the queries. */
int align_picture_write(const struct align_bins *bins, const struct align_seqs *queries, const char *path, struct align_fault *fault);

#endif
