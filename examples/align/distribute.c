/* distribute.c: see distribute.h. A pair (query batch, database chunk) is in flight from the submission of its task until the gatherer has
 * its scores: first `ref` is the task's result, then the gatherer's answer. Whatever pair is ready first goes on first; the hits do not
 * depend on the order (topk.h). */
#include "distribute.h"

#include "score.h"

#include <mray/mray.h>
#include <stdlib.h>

static const int64_t REDRAW_NS = 100000000;

/* Which part of the matrix a task's scores are. */
typedef struct {
    uint32_t query_first, n_queries, subject_first, n_subjects;
} block;

/* ---- the task ---- */

MRAY_TASK(mray_array(int32_t), align_score, mray_array(uint8_t), query_chunk, mray_array(uint8_t), subject_chunk)
{
    struct align_chunk queries, subjects;
    struct align_fault fault;
    mray_array(int32_t) scores = {0};
    if (align_chunk_open(query_chunk.data, query_chunk.n, &queries, &fault) ||
        align_chunk_open(subject_chunk.data, subject_chunk.n, &subjects, &fault)) {
        mray_fail("%s", fault.text);
        return scores;
    }
    scores = mray_return_array(int32_t, (size_t)queries.n * subjects.n);
    if (scores.data == NULL) mray_fail("%s", mray_error_message());
    else if (align_score_chunks(&queries, &subjects, scores.data, &fault)) mray_fail("%s", fault.text);
    return scores;
}

/* ---- the actor ---- */

typedef struct {
    struct align_topk *topk;
    struct align_bins *bins;
    uint64_t n_scores;
} gatherer;

static void free_tables(void *self)
{
    free(((gatherer *)self)->topk);
    free(((gatherer *)self)->bins);
}

MRAY_ACTOR_HOOKS(gatherer, NULL, free_tables, uint32_t, n_queries, uint32_t, n_subjects, uint32_t, top)
{
    self->topk = align_topk_create(n_queries, top);
    self->bins = align_bins_create(n_queries, n_subjects);
    if (self->topk == NULL || self->bins == NULL) mray_fail("memory for the hits of %u queries cannot be had", n_queries);
}

/* Returns how many scores it has now. */
MRAY_METHOD(uint64_t, gatherer, offer, block, part, mray_array(int32_t), scores)
{
    if (scores.n != (size_t)part.n_queries * part.n_subjects) {
        mray_fail("%zu scores for %u queries and %u subjects", scores.n, part.n_queries, part.n_subjects);
        return 0;
    }
    align_topk_offer_block(self->topk, part.query_first, part.n_queries, part.subject_first, part.n_subjects, scores.data);
    align_bins_offer_block(self->bins, part.query_first, part.n_queries, part.subject_first, part.n_subjects, scores.data);
    self->n_scores += scores.n;
    return self->n_scores;
}

MRAY_METHOD(mray_array(uint8_t), gatherer, hits)
{
    return mray_array_of(uint8_t, (uint8_t *)self->topk, align_topk_bytes(self->topk->n_queries, self->topk->k));
}

MRAY_METHOD(mray_array(uint8_t), gatherer, picture)
{
    return mray_array_of(uint8_t, (uint8_t *)self->bins, align_bins_bytes(self->bins->n_queries, self->bins->n_subjects));
}

/* ---- the driver ---- */

struct piece { /* a chunk in the store */
    mray_ref ref;
    uint32_t first, n;
    uint64_t residues;
};

struct flight {
    block part;
    uint64_t cells;
    bool is_scored; /* its ref is the gatherer's answer */
};

struct run {
    const struct align_options *options;
    const struct align_job *job;
    struct align_progress *progress;
    struct align_fault *fault;
    mray_actor gatherer;
    struct piece *batches; /* of queries: in the store all the while */
    uint32_t n_batches;
    unsigned n_workers;
    struct flight *flights; /* n_flights of at most `window`; refs and ready go with them */
    mray_ref *refs;
    bool *ready;
    size_t n_flights, window;
    uint64_t n_gathered; /* the most that the gatherer said */
};

static int fail_by_mray(struct run *run)
{
    return align_fault_set(run->fault, ALIGN_EXIT_FAILED, "%s", mray_error_message());
}

/* Write n sequences as a chunk into the object store itself. */
static int store_piece(struct run *run, const struct align_seqs *seqs, uint32_t first, uint32_t n, struct piece *piece)
{
    void *data;
    size_t bytes = align_chunk_bytes(seqs, first, n);
    *piece = (struct piece){.first = first, .n = n, .residues = seqs->residue_off[first + n] - seqs->residue_off[first]};
    mray_type type = {.dtype = MRAY_UINT8, .is_array = 1, .size = 1};
    if (mray_create(bytes, type, NULL, &data, &piece->ref) != MRAY_OK) return fail_by_mray(run);
    align_chunk_pack(seqs, first, n, data);
    if (mray_seal(piece->ref) == MRAY_OK) return 0;
    fail_by_mray(run);
    mray_release(piece->ref);
    return -1;
}

static int store_batches(struct run *run)
{
    const struct align_seqs *all = &run->job->queries;
    run->batches = calloc(all->n, sizeof *run->batches);
    if (!run->batches) return align_fault_memory(run->fault, "the batches of queries");
    for (uint32_t first = 0, n; (n = align_chunk_count(all, first, ALIGN_BATCH_RESIDUES, ALIGN_BATCH_SEQUENCES_MAX)) > 0; first += n) {
        if (store_piece(run, all, first, n, &run->batches[run->n_batches])) return -1;
        run->n_batches++;
    }
    return 0;
}

/* Hand the scores of flight i to the gatherer. If they are an error, its answer will be the same error. */
static int offer(struct run *run, size_t i)
{
    struct flight *flight = &run->flights[i];
    mray_ref answer = mray_call(run->gatherer, gatherer, offer, flight->part, run->refs[i]);
    if (mray_ref_is_nil(answer)) return fail_by_mray(run);
    mray_release(run->refs[i]);
    run->refs[i] = answer;
    flight->is_scored = true;
    return 0;
}

/* The gatherer has flight i's scores, or says why not. The last flight takes its place. */
static int land(struct run *run, size_t i)
{
    uint64_t n_gathered;
    if (mray_get(run->refs[i], &n_gathered) != MRAY_OK) return fail_by_mray(run);
    mray_release(run->refs[i]);
    if (n_gathered > run->n_gathered) run->n_gathered = n_gathered;
    align_progress_add(run->progress, run->flights[i].cells);
    run->n_flights--;
    run->flights[i] = run->flights[run->n_flights];
    run->refs[i] = run->refs[run->n_flights];
    return 0;
}

/* Wait until something is ready, or a tenth of a second for the bar's sake, and move all on that is ready. */
static int move_flights(struct run *run)
{
    int status = mray_wait(run->refs, run->n_flights, 1, REDRAW_NS, run->ready, NULL);
    if (status == MRAY_OK) status = mray_wait(run->refs, run->n_flights, run->n_flights, 0, run->ready, NULL); /* and whatever else is there */
    if (status != MRAY_OK && status != MRAY_ERR_TIMEOUT) return fail_by_mray(run);
    for (size_t i = run->n_flights; i-- > 0;) /* from the end: what lands is replaced by one that has had its turn */
        if (run->ready[i] && (run->flights[i].is_scored ? land(run, i) : offer(run, i))) return -1;
    align_progress_tick(run->progress);
    return 0;
}

static int launch(struct run *run, const struct piece *batch, const struct piece *chunk)
{
    mray_ref scores = mray_remote(align_score, batch->ref, chunk->ref);
    if (mray_ref_is_nil(scores)) return fail_by_mray(run);
    run->refs[run->n_flights] = scores;
    run->flights[run->n_flights++] = (struct flight){.part = {batch->first, batch->n, chunk->first, chunk->n},
                                                     .cells = batch->residues * chunk->residues};
    return 0;
}

/* Submit the tasks of one database chunk, no more in flight than the window has room for. */
static int launch_chunk(struct run *run, uint32_t first, uint32_t n)
{
    struct piece chunk;
    if (store_piece(run, &run->job->subjects, first, n, &chunk)) return -1;
    int rc = 0;
    for (uint32_t b = 0; rc == 0 && b < run->n_batches; b++) {
        while (rc == 0 && run->n_flights == run->window) rc = move_flights(run);
        if (rc == 0) rc = launch(run, &run->batches[b], &chunk);
    }
    mray_release(chunk.ref); /* its tasks keep it while they need it */
    return rc;
}

/* The option's size, but smaller where workers would get too few tasks to end at about the same time. */
static uint64_t choose_chunk(const struct run *run)
{
    uint64_t n_tasks = (uint64_t)run->n_workers * ALIGN_TASKS_A_WORKER_MIN, most = run->options->chunk_residues;
    uint64_t share = align_seqs_total(&run->job->subjects) * run->n_batches / n_tasks;
    if (share < ALIGN_CHUNK_RESIDUES_MIN) share = ALIGN_CHUNK_RESIDUES_MIN;
    return share < most ? share : most;
}

static int score_all(struct run *run)
{
    const struct align_seqs *all = &run->job->subjects;
    int rc = store_batches(run);
    uint64_t chunk_residues = choose_chunk(run);
    for (uint32_t first = 0, n; rc == 0; first += n) {
        n = align_chunk_count(all, first, chunk_residues, ALIGN_CHUNK_SEQUENCES_MAX);
        if (n == 0) break;
        rc = launch_chunk(run, first, n);
    }
    while (rc == 0 && run->n_flights > 0) rc = move_flights(run);
    uint64_t n_pairs = (uint64_t)run->job->queries.n * all->n;
    if (rc == 0 && run->n_gathered != n_pairs)
        rc = align_fault_set(run->fault, ALIGN_EXIT_FAILED, "%llu of %llu scores were gathered", (unsigned long long)run->n_gathered,
                             (unsigned long long)n_pairs);
    return rc;
}

/* Copy one of the gatherer's tables into memory of the driver's own. */
static int fetch(struct run *run, mray_ref ref, void *table, size_t bytes)
{
    size_t n = 0;
    int status = mray_get_bytes(ref, table, bytes, (mray_type){.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, MRAY_FOREVER, &n);
    int rc = status == MRAY_OK ? 0 : fail_by_mray(run);
    if (rc == 0 && n != bytes) rc = align_fault_set(run->fault, ALIGN_EXIT_FAILED, "the gatherer returned %zu bytes, not %zu", n, bytes);
    if (!mray_ref_is_nil(ref)) mray_release(ref);
    return rc;
}

static int prepare(struct run *run)
{
    mray_info info;
    if (mray_get_info(&info) != MRAY_OK) return fail_by_mray(run);
    run->n_workers = (unsigned)info.num_workers;
    run->window = (size_t)info.num_workers * ALIGN_TASKS_A_WORKER;
    run->flights = malloc(run->window * sizeof *run->flights);
    run->refs = malloc(run->window * sizeof *run->refs);
    run->ready = malloc(run->window * sizeof *run->ready);
    if (!run->flights || !run->refs || !run->ready) return align_fault_memory(run->fault, "the tasks in flight");
    run->gatherer = mray_actor_new(gatherer, run->job->queries.n, run->job->subjects.n, run->job->top);
    return mray_actor_is_nil(run->gatherer) ? fail_by_mray(run) : 0;
}

/* After a failure tasks may still be running; they keep what they need. */
static void clean_up(struct run *run)
{
    mray_release_many(run->refs, run->n_flights);
    for (uint32_t b = 0; b < run->n_batches; b++) mray_release(run->batches[b].ref);
    if (!mray_actor_is_nil(run->gatherer)) mray_actor_stop(run->gatherer);
    free(run->batches);
    free(run->flights);
    free(run->refs);
    free(run->ready);
}

int align_distribute(const struct align_options *options, const struct align_job *job, struct align_progress *progress,
                     struct align_topk *topk, struct align_bins *bins, struct align_fault *fault)
{
    struct run run = {.options = options, .job = job, .progress = progress, .fault = fault};
    align_progress_start(progress, stderr, align_job_cells(job));
    int rc = prepare(&run);
    if (rc == 0) rc = score_all(&run);
    align_progress_stop(progress);
    if (rc == 0) rc = fetch(&run, mray_call(run.gatherer, gatherer, hits), topk, align_topk_bytes(job->queries.n, job->top));
    if (rc == 0) rc = fetch(&run, mray_call(run.gatherer, gatherer, picture), bins, align_bins_bytes(job->queries.n, job->subjects.n));
    clean_up(&run);
    return rc;
}
