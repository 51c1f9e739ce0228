/* report.h: the hits as a table for people and as hits.tsv for programs. Both depend on the hits alone, byte for byte. */
#ifndef ALIGN_REPORT_H
#define ALIGN_REPORT_H

#include "fasta.h"
#include "fault.h"
#include "topk.h"

#include <stdio.h>

enum { ALIGN_TABLE_ROWS = 100 }; /* printed at most; the file has all */

/** Print the best hits, the same number for each query, so that the table keeps within ALIGN_TABLE_ROWS where it can.
 *  @param where  what is said of the rows not printed, such as the name of the file that has them */
int align_report_table(FILE *out, const struct align_topk *topk, const struct align_seqs *queries, const struct align_seqs *subjects,
                       const char *where, struct align_fault *fault);

/* Write a line of column names, then one line a hit: query, subject, score, query_length, subject_length, separated by tabs; queries in
 * the order of their file, hits best first. */
int align_report_tsv(const char *path, const struct align_topk *topk, const struct align_seqs *queries, const struct align_seqs *subjects,
                     struct align_fault *fault);

#endif
