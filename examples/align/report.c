/* report.c: see report.h. */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_WIDTH = 30 };

static struct align_hit *hits_buffer(const struct align_topk *topk, struct align_fault *fault)
{
    struct align_hit *hits = malloc(((size_t)topk->k + 1) * sizeof *hits);
    if (!hits) align_fault_memory(fault, "the hits");
    return hits;
}

static void print_hit(FILE *out, const struct align_seqs *queries, uint32_t query, const struct align_seqs *subjects, struct align_hit hit,
                      int is_first)
{
    fprintf(out, "%-*.*s ", NAME_WIDTH, NAME_WIDTH, is_first ? align_seqs_name(queries, query) : "");
    if (is_first) fprintf(out, "%7u", align_seqs_length(queries, query));
    else fprintf(out, "%7s", "");
    fprintf(out, "  %-*.*s %7u %7d\n", NAME_WIDTH, NAME_WIDTH, align_seqs_name(subjects, hit.subject),
            align_seqs_length(subjects, hit.subject), hit.score);
}

int align_report_table(FILE *out, const struct align_topk *topk, const struct align_seqs *queries, const struct align_seqs *subjects,
                       const char *where, struct align_fault *fault)
{
    struct align_hit *hits = hits_buffer(topk, fault);
    if (!hits) return -1;
    uint32_t each = ALIGN_TABLE_ROWS / topk->n_queries, n_rows = 0;
    uint64_t n_left = 0;
    if (each == 0) each = 1;
    fprintf(out, "%-*s %7s  %-*s %7s %7s\n", NAME_WIDTH, "query", "length", NAME_WIDTH, "protein", "length", "score");
    for (uint32_t q = 0; q < topk->n_queries; q++) {
        uint32_t n = align_topk_best(topk, q, hits);
        if (n == 0 && n_rows++ < ALIGN_TABLE_ROWS)
            fprintf(out, "%-*.*s %7u  no hit\n", NAME_WIDTH, NAME_WIDTH, align_seqs_name(queries, q), align_seqs_length(queries, q));
        for (uint32_t i = 0; i < n; i++) {
            if (i >= each || n_rows >= ALIGN_TABLE_ROWS) {
                n_left += n - i;
                break;
            }
            print_hit(out, queries, q, subjects, hits[i], i == 0);
            n_rows++;
        }
    }
    if (n_left) fprintf(out, "%llu more hits in %s\n", (unsigned long long)n_left, where);
    free(hits);
    return 0;
}

static int write_rows(FILE *file, const struct align_topk *topk, const struct align_seqs *queries, const struct align_seqs *subjects,
                      struct align_hit *hits)
{
    if (fputs("query\tsubject\tscore\tquery_length\tsubject_length\n", file) < 0) return -1;
    for (uint32_t q = 0; q < topk->n_queries; q++) {
        uint32_t n = align_topk_best(topk, q, hits);
        for (uint32_t i = 0; i < n; i++)
            if (fprintf(file, "%s\t%s\t%d\t%u\t%u\n", align_seqs_name(queries, q), align_seqs_name(subjects, hits[i].subject),
                        hits[i].score, align_seqs_length(queries, q), align_seqs_length(subjects, hits[i].subject)) < 0)
                return -1;
    }
    return 0;
}

int align_report_tsv(const char *path, const struct align_topk *topk, const struct align_seqs *queries, const struct align_seqs *subjects,
                     struct align_fault *fault)
{
    struct align_hit *hits = hits_buffer(topk, fault);
    if (!hits) return -1;
    int saved = 0;
    FILE *file = fopen(path, "w");
    int rc = file ? write_rows(file, topk, queries, subjects, hits) : -1;
    if (rc) saved = errno;
    if (file && fclose(file) && rc == 0) rc = -1, saved = errno;
    free(hits);
    return rc ? align_fault_set(fault, ALIGN_EXIT_FAILED, "%s cannot be written: %s", path, strerror(saved)) : 0;
}
