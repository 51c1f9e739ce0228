/* serial.c: align-serial, the whole job in one process without mray: the reference that the distributed program is compared with.
 * With --plain it scores every pair by parasail_sw() itself: slow, and the reference of the vector code. */
#include "chunk.h"
#include "job.h"
#include "progress.h"
#include "score.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct run {
    const struct align_options *options;
    const struct align_job *job;
    struct align_topk *topk;
    struct align_bins *bins;
    struct align_progress progress;
    bool plain;
};

static void *pack(const struct align_seqs *seqs, uint32_t first, uint32_t n, struct align_chunk *chunk, struct align_fault *fault)
{
    size_t bytes = align_chunk_bytes(seqs, first, n);
    void *buf = malloc(bytes);
    if (!buf) {
        align_fault_memory(fault, "a chunk of sequences");
        return NULL;
    }
    align_chunk_pack(seqs, first, n, buf);
    if (align_chunk_open(buf, bytes, chunk, fault) == 0) return buf;
    free(buf);
    return NULL;
}

static int score_plain(const struct align_chunk *queries, const struct align_chunk *subjects, int32_t *scores, struct align_fault *fault)
{
    for (uint32_t q = 0; q < queries->n; q++)
        for (uint32_t s = 0; s < subjects->n; s++)
            if (align_score_plain(align_chunk_residues(queries, q), align_chunk_length(queries, q), align_chunk_residues(subjects, s),
                                  align_chunk_length(subjects, s), &scores[(size_t)q * subjects->n + s], fault))
                return -1;
    return 0;
}

static int run_pair(struct run *run, const struct align_chunk *queries, const struct align_chunk *subjects, struct align_fault *fault)
{
    int32_t *scores = malloc((size_t)queries->n * subjects->n * sizeof *scores);
    if (!scores) return align_fault_memory(fault, "the scores");
    int rc = run->plain ? score_plain(queries, subjects, scores, fault) : align_score_chunks(queries, subjects, scores, fault);
    if (rc == 0) {
        align_topk_offer_block(run->topk, queries->first, queries->n, subjects->first, subjects->n, scores);
        align_bins_offer_block(run->bins, queries->first, queries->n, subjects->first, subjects->n, scores);
        align_progress_add(&run->progress, align_chunk_cells(queries, subjects));
    }
    free(scores);
    return rc;
}

/* All query batches against one database chunk. */
static int run_subjects(struct run *run, const struct align_chunk *subjects, struct align_fault *fault)
{
    const struct align_seqs *all = &run->job->queries;
    int rc = 0;
    for (uint32_t first = 0, n; rc == 0 && (n = align_chunk_count(all, first, ALIGN_BATCH_RESIDUES, 0)) > 0; first += n) {
        struct align_chunk queries;
        void *buf = pack(all, first, n, &queries, fault);
        rc = buf ? run_pair(run, &queries, subjects, fault) : -1;
        free(buf);
    }
    return rc;
}

static int run_all(struct run *run, struct align_fault *fault)
{
    const struct align_seqs *all = &run->job->subjects;
    int rc = 0;
    align_progress_start(&run->progress, stderr, align_job_cells(run->job));
    for (uint32_t first = 0, n; rc == 0 && (n = align_chunk_count(all, first, run->options->chunk_residues, 0)) > 0; first += n) {
        struct align_chunk subjects;
        void *buf = pack(all, first, n, &subjects, fault);
        rc = buf ? run_subjects(run, &subjects, fault) : -1;
        free(buf);
    }
    align_progress_stop(&run->progress);
    return rc;
}

static int run_job(const struct align_options *options, bool plain, struct align_fault *fault)
{
    struct align_job job;
    if (align_job_load(options, &job, stderr, fault)) return -1;
    struct run run = {.options = options, .job = &job, .plain = plain};
    run.topk = align_topk_create(job.queries.n, job.top);
    run.bins = align_bins_create(job.queries.n, job.subjects.n);
    int rc = run.topk && run.bins ? run_all(&run, fault) : align_fault_memory(fault, "the hits");
    double seconds = align_progress_seconds(&run.progress), gcups = align_progress_gcups(&run.progress);
    if (rc == 0) rc = align_job_report(options, &job, run.topk, run.bins, stdout, fault);
    if (rc == 0) printf("%.2f s for the scores, %.2f GCUPS, one process\n", seconds, gcups);
    free(run.topk);
    free(run.bins);
    align_job_fini(&job);
    return rc;
}

/* Take --plain, which only this program has, out of the arguments. */
static bool take_plain(int *argc, char **argv)
{
    int n = 0;
    bool plain = false;
    for (int i = 0; i < *argc; i++) {
        if (i > 0 && strcmp(argv[i], "--plain") == 0) plain = true;
        else argv[n++] = argv[i];
    }
    argv[n] = NULL;
    *argc = n;
    return plain;
}

int main(int argc, char **argv)
{
    struct align_options options;
    struct align_fault fault;
    bool plain = take_plain(&argc, argv);
    int rc = align_options_parse(argc, argv, &options, &fault);
    if (rc == 0 && options.help) {
        align_options_help(stdout, "align-serial");
        puts("  --plain                score without vector instructions, as a reference");
        return ALIGN_EXIT_OK;
    }
    if (rc == 0) rc = run_job(&options, plain, &fault);
    if (rc == 0) return ALIGN_EXIT_OK;
    fprintf(stderr, "align-serial: %s\n", fault.text);
    return fault.exit_code;
}
