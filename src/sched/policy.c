/* policy.c: hybrid and spread. */
#include "policy.h"

#include <stdlib.h>
#include <string.h>

static const double PACK_BELOW = 0.5;
enum { TOP_PART = 5 }; /* random among one fifth of the ranks */

int sched_distance(const node_row_t *rows, int a, int b)
{
    return a == b ? 0 : rows[a].has.node == rows[b].has.node ? 1 : 2;
}

static bool feasible(const node_row_t *row, const sched_request_t *request)
{
    return node_row_slots(row, &request->shape) > 0;
}

static bool skipped(const sched_request_t *request, int rank)
{
    return request->skip != NULL && request->skip[rank] != 0;
}

typedef struct {
    bool busy;
    double score;
    int distance, rank;
} candidate_t;

static candidate_t candidate(const node_row_t *rows, int rank, const sched_request_t *request)
{
    double score = node_row_utilisation(&rows[rank]);
    bool known = request->preferred >= 0;
    return (candidate_t){.busy = !node_row_available(&rows[rank], &request->shape), .score = score < PACK_BELOW ? 0 : score,
                         .distance = known ? sched_distance(rows, request->preferred, rank) : 0, .rank = rank};
}

static bool better(const candidate_t *a, const candidate_t *b)
{
    if (a->busy != b->busy) return b->busy;
    if (a->score != b->score) return a->score < b->score;
    if (a->distance != b->distance) return a->distance < b->distance;
    return a->rank < b->rank;
}

/* The k best of the rest, in order, by insertion: k is one or a fifth of the ranks. Returns how many there are. */
static int best_of(const node_row_t *rows, int n, const sched_request_t *request, bool avoid_gpus, candidate_t *best, int k)
{
    uint32_t gpu = node_resource_hash("GPU");
    int n_best = 0;
    for (int r = 0; r < n; r++) {
        if (skipped(request, r) || !feasible(&rows[r], request)) continue;
        if (avoid_gpus && node_row_amount(&rows[r], gpu) > 0) continue;
        candidate_t c = candidate(rows, r, request);
        int at = n_best;
        while (at > 0 && better(&c, &best[at - 1])) at--;
        if (at >= k) continue;
        if (n_best < k) n_best++;
        memmove(&best[at + 1], &best[at], (size_t)(n_best - 1 - at) * sizeof *best);
        best[at] = c;
    }
    return n_best;
}

static int choose(sched_state_t *state, const node_row_t *rows, int n, const sched_request_t *request, bool avoid_gpus, bool only_available)
{
    int k = n / TOP_PART > 1 ? n / TOP_PART : 1, p = request->preferred;
    candidate_t few[16], *best = k <= 16 ? few : malloc((size_t)k * sizeof *best);
    if (best == NULL) best = few, k = 16;
    int n_best = best_of(rows, n, request, avoid_gpus, best, k), rank = SCHED_NONE;
    if (n_best > 0 && !(only_available && best[0].busy)) {
        /* No worse group: available ones only, where there are any. */
        while (n_best > 1 && best[n_best - 1].busy != best[0].busy) n_best--;
        rank = best[base_rng_below(&state->rng, (uint64_t)n_best)].rank;
        bool gpu = avoid_gpus && p >= 0 && node_row_amount(&rows[p], node_resource_hash("GPU")) > 0;
        if (p >= 0 && p < n && !gpu && !skipped(request, p) && feasible(&rows[p], request)) {
            candidate_t c = candidate(rows, p, request);
            if (c.busy == best[0].busy && c.score <= best[0].score) rank = p;
        }
    }
    if (best != few) free(best);
    return rank;
}

static bool anybody(const node_row_t *rows, int n, const sched_request_t *request)
{
    for (int r = 0; r < n; r++)
        if (feasible(&rows[r], request)) return true;
    return false;
}

static int hybrid_pick(sched_state_t *state, const node_row_t *rows, int n, const sched_request_t *request)
{
    int rank = SCHED_NONE;
    if (request->shape.resource != node_resource_hash("GPU")) rank = choose(state, rows, n, request, true, true);
    if (rank == SCHED_NONE) rank = choose(state, rows, n, request, false, false);
    return rank != SCHED_NONE || anybody(rows, n, request) ? rank : SCHED_INFEASIBLE;
}

static int spread_pick(sched_state_t *state, const node_row_t *rows, int n, const sched_request_t *request)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n; i++) {
            int r = (int)((state->turn + (unsigned)i) % (unsigned)n);
            bool fits = pass == 0 ? node_row_available(&rows[r], &request->shape) : feasible(&rows[r], request);
            if (!fits || skipped(request, r)) continue;
            state->turn = (unsigned)r + 1;
            return r;
        }
    return anybody(rows, n, request) ? SCHED_NONE : SCHED_INFEASIBLE;
}

const sched_policy_ops_t sched_policy_hybrid = {.name = "hybrid", .pick = hybrid_pick};
const sched_policy_ops_t sched_policy_spread = {.name = "spread", .pick = spread_pick};

const sched_policy_ops_t *sched_policy_find(const char *name)
{
    static const sched_policy_ops_t *const all[] = {&sched_policy_hybrid, &sched_policy_spread};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return NULL;
}
