/* health.h: the health view at rank 0: what each rank last said of itself, and when.
 *
 *   UNKNOWN --first report--> ALIVE <--heard again--> SUSPECT --still silent--> DEAD
 *
 * A rank is suspect when it was not heard for suspect_ns, and dead after dead_ns of silence, for ever: whatever it may say later, others have
 * acted on its death. Time in which rank 0 itself did not look does not count: after a pause of the machine nobody is blamed.
 *
 * Private memory of rank 0's agent, under its lock. */
#ifndef MRAY_GCS_HEALTH_H
#define MRAY_GCS_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { HEALTH_UNKNOWN = 0, HEALTH_ALIVE, HEALTH_SUSPECT, HEALTH_DEAD } health_state_t;

/* What a rank says of itself. */
typedef struct {
    uint32_t n_workers, n_busy; /* workers that take tasks, and those that run one */
    uint32_t n_queued;          /* tasks in their queues */
    uint32_t load_milli;        /* of its host: runnable threads, mean of a minute, in thousandths */
} health_report_t;

typedef struct {
    health_state_t state;
    bool mortal;       /* may be declared dead; else suspect for as long as it is silent */
    uint64_t heard_ns; /* base_clock_ns() */
    health_report_t report;
} health_row_t;

typedef struct health health_t;
/* A rank's state has changed. */
typedef void (*health_change_fn)(void *ctx, int rank, health_state_t from, health_state_t to);

/* Errors: OUT_OF_MEMORY. */
int health_create(int n_ranks, uint64_t suspect_ns, uint64_t dead_ns, health_t **health_p);
void health_destroy(health_t *health);
/* Ranks start mortal or not; before the first report. */
void health_set_mortal(health_t *health, int rank, bool mortal);
/* rank was heard at heard_ns. report may be NULL. Nothing happens if it is dead, or was heard later than that. */
void health_heard(health_t *health, int rank, uint64_t heard_ns, const health_report_t *report);
/* Look at everybody; changes since the last look, those by health_heard() included, are told. Returns how many. */
int health_look(health_t *health, uint64_t now_ns, health_change_fn fn, void *ctx);
const health_row_t *health_row(const health_t *health, int rank);
const char *health_state_name(health_state_t state);

#endif
