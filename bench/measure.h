/* measure.h: interleaved repetitions, medians, rows. */
#ifndef MRAY_BENCH_MEASURE_H
#define MRAY_BENCH_MEASURE_H

#include "bench.h"

typedef struct {
    double median, min, max;
} sample_t;

/* One measurement, in the unit of its row. */
typedef double (*measure_fn)(bench_t *b, const void *arg);

typedef struct {
    const char *name, *unit;
    const char *reference;  /* what the reference is, in words; NULL: none, the value itself is judged */
    double must, aim;       /* of the ratio, or of the value where there is no reference */
    uint64_t bytes;         /* payload, for rates; 0: none */
    measure_fn value, measure_reference;
    const void *arg, *reference_arg;
} row_t;

sample_t sample_of(double *values, int n);

/* Measure both in turn, b->reps times each after one unrecorded round, changing who comes first; print the row and keep it. */
void measure_row(bench_t *b, const row_t *row);
/* For cases that repeat by themselves. reference may be NULL. */
void measure_keep(bench_t *b, const row_t *row, const sample_t *value, const sample_t *reference);
/* A row that was not measured, and why. */
void measure_skip(bench_t *b, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Every row so far, and what they were measured on, as JSON. */
void measure_write_json(const bench_t *b, const char *path);
int measure_n_rows(void);

#endif
