/* health.c: rows, and what silence makes of them. */
#include "health.h"

#include "error.h"

#include <stdlib.h>

/* A look this much later than the last one says more of rank 0 than of the others. An agent that nobody wakes looks every second. */
static const uint64_t OWN_PAUSE_NS = 1500000000u;

struct health {
    int n_ranks;
    uint64_t suspect_ns, dead_ns, looked_ns;
    health_row_t *rows;
    uint8_t *told; /* health_state_t that the last look told */
};

int health_create(int n_ranks, uint64_t suspect_ns, uint64_t dead_ns, health_t **health_p)
{
    health_t *health = calloc(1, sizeof *health);
    if (health != NULL) {
        health->rows = calloc((size_t)n_ranks, sizeof *health->rows);
        health->told = calloc((size_t)n_ranks, 1);
    }
    if (health == NULL || health->rows == NULL || health->told == NULL) {
        health_destroy(health);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the health view of %d ranks", n_ranks);
    }
    health->n_ranks = n_ranks;
    health->suspect_ns = suspect_ns;
    health->dead_ns = dead_ns;
    *health_p = health;
    return MRAY_OK;
}

void health_destroy(health_t *health)
{
    if (health == NULL) return;
    free(health->rows);
    free(health->told);
    free(health);
}

void health_set_mortal(health_t *health, int rank, bool mortal)
{
    health->rows[rank].mortal = mortal;
}

void health_heard(health_t *health, int rank, uint64_t heard_ns, const health_report_t *report)
{
    health_row_t *row = &health->rows[rank];
    if (row->state == HEALTH_DEAD) return;
    if (report != NULL) row->report = *report;
    if (heard_ns <= row->heard_ns) return;
    row->heard_ns = heard_ns;
    if (row->state == HEALTH_UNKNOWN) row->state = HEALTH_ALIVE;
}

static health_state_t state_after(const health_t *health, const health_row_t *row, uint64_t now_ns)
{
    uint64_t silent_ns = now_ns > row->heard_ns ? now_ns - row->heard_ns : 0;
    if (row->state == HEALTH_UNKNOWN || row->state == HEALTH_DEAD) return row->state;
    if (silent_ns < health->suspect_ns) return HEALTH_ALIVE;
    /* Nobody dies who was not suspect at an earlier look. */
    return row->mortal && silent_ns >= health->dead_ns && row->state == HEALTH_SUSPECT ? HEALTH_DEAD : HEALTH_SUSPECT;
}

int health_look(health_t *health, uint64_t now_ns, health_change_fn fn, void *ctx)
{
    int n = 0;
    uint64_t pause_ns = health->looked_ns != 0 && now_ns - health->looked_ns > OWN_PAUSE_NS ? now_ns - health->looked_ns : 0;
    health->looked_ns = now_ns;
    for (int r = 0; r < health->n_ranks; r++) {
        health_row_t *row = &health->rows[r];
        if (row->heard_ns != 0 && row->heard_ns + pause_ns <= now_ns) row->heard_ns += pause_ns;
        row->state = state_after(health, row, now_ns);
        health_state_t from = (health_state_t)health->told[r];
        if (row->state == from) continue;
        health->told[r] = (uint8_t)row->state;
        fn(ctx, r, from, row->state);
        n++;
    }
    return n;
}

const health_row_t *health_row(const health_t *health, int rank)
{
    return rank >= 0 && rank < health->n_ranks ? &health->rows[rank] : NULL;
}

const char *health_state_name(health_state_t state)
{
    static const char *const names[] = {"not heard yet", "alive", "suspect", "dead"};
    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}
