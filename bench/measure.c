/* measure.c: see measure.h. */
#include "measure.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static json_t *rows;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

sample_t sample_of(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
    return (sample_t){median, values[0], values[n - 1]};
}

void measure_row(bench_t *b, const row_t *row)
{
    double value[BENCH_MAX_REPS], reference[BENCH_MAX_REPS];
    for (int rep = -1; rep < b->reps; rep++) {
        double v = 0, r = 0;
        /* Who comes first changes, so that a drift of the machine does not favour one. */
        bool reference_first = row->measure_reference != NULL && rep % 2 == 0;
        if (reference_first) r = row->measure_reference(b, row->reference_arg);
        v = row->value(b, row->arg);
        if (row->measure_reference != NULL && !reference_first) r = row->measure_reference(b, row->reference_arg);
        if (rep < 0) continue;
        value[rep] = v;
        reference[rep] = r;
    }
    sample_t v = sample_of(value, b->reps), r = sample_of(reference, b->reps);
    measure_keep(b, row, &v, row->measure_reference != NULL ? &r : NULL);
}

/* ---- rows ---- */

static json_t *new_row(const bench_t *b, const char *name)
{
    if (rows == NULL) rows = json_array();
    json_t *row = json_pack("{s:s, s:s}", "case", name, "group", b->now != NULL ? b->now->name : name);
    if (row == NULL || json_array_append_new(rows, row) != 0) bench_die("no memory for a row");
    return row;
}

static void set_number(json_t *row, const char *key, double x)
{
    json_object_set_new(row, key, isfinite(x) ? json_real(x) : json_null());
}

static const char *mode_name(const bench_t *b)
{
    const char *variable = getenv("MRAY_WORKERS");
    if (b->session.mode != MRAY_WORKERS_DEFAULT) return b->session.mode == MRAY_WORKERS_THREAD ? "thread" : "process";
    return variable != NULL && strcmp(variable, "thread") == 0 ? "thread" : "process";
}

static void print_row(const row_t *row, const sample_t *v, const sample_t *r, double judged, bool unclear)
{
    char reference[64] = "-", ratio[32] = "-";
    if (r != NULL) {
        snprintf(reference, sizeof reference, "%.4g", r->median);
        snprintf(ratio, sizeof ratio, "%.3f", judged);
    }
    const char *verdict = row->must <= 0 ? "" : unclear ? "?" : judged <= row->aim ? "aim" : judged <= row->must ? "must" : "MISSED";
    printf("%-28s %11.4g %-6s %11s %8s  %-6s must %g aim %g  [%.4g .. %.4g]\n", row->name, v->median, row->unit, reference, ratio, verdict, row->must,
           row->aim, v->min, v->max);
    fflush(stdout);
}

void measure_keep(bench_t *b, const row_t *row, const sample_t *v, const sample_t *r)
{
    json_t *json = new_row(b, row->name);
    double ratio = r != NULL ? v->median / r->median : NAN;
    if (!isfinite(v->median) || v->median < 0 || (r != NULL && !(r->median > 0))) bench_die("%s: a measurement gave no number", row->name);
    set_number(json, "value", v->median);
    json_object_set_new(json, "unit", json_string(row->unit));
    json_object_set_new(json, "what", json_string(b->now != NULL ? b->now->what : ""));
    json_object_set_new(json, "reference", row->reference != NULL ? json_string(row->reference) : json_null());
    set_number(json, "reference_value", r != NULL ? r->median : NAN);
    set_number(json, "ratio", ratio);
    set_number(json, "must", row->must);
    set_number(json, "aim", row->aim);
    json_object_set_new(json, "reps", json_integer(b->reps));
    set_number(json, "min", v->min);
    set_number(json, "max", v->max);
    set_number(json, "reference_min", r != NULL ? r->min : NAN);
    set_number(json, "reference_max", r != NULL ? r->max : NAN);
    if (row->bytes > 0) json_object_set_new(json, "bytes", json_integer((json_int_t)row->bytes));
    json_object_set_new(json, "ranks", json_integer(b->session.n_ranks > 0 ? b->session.n_ranks : b->n_ranks));
    json_object_set_new(json, "hosts", json_integer(b->n_hosts));
    json_object_set_new(json, "workers", json_integer(b->n_workers));
    json_object_set_new(json, "worker_mode", json_string(mode_name(b)));
    json_object_set_new(json, "quick", json_boolean(b->quick));
    json_object_set_new(json, "fake_hosts", json_boolean(b->fake_hosts));
    if (b->unclear) json_object_set_new(json, "unclear", json_true());
    if (b->note != NULL) {
        json_object_set_new(json, "note", json_string(b->note));
        printf("%s: %s\n", row->name, b->note);
        b->note = NULL;
    }
    print_row(row, v, r, r != NULL ? ratio : v->median, b->unclear);
    b->unclear = false;
}

void measure_skip(bench_t *b, const char *name, const char *fmt, ...)
{
    char reason[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    json_object_set_new(new_row(b, name), "skipped", json_string(reason));
    printf("%-28s skipped: %s\n", name, reason);
    fflush(stdout);
}

int measure_n_rows(void)
{
    return rows != NULL ? (int)json_array_size(rows) : 0;
}

/* ---- the header: what it was measured on ---- */

static void read_cpu_model(char *buf, size_t n)
{
    char line[256];
    snprintf(buf, n, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, "model name", 10) != 0) continue;
        colon[1 + strcspn(colon + 1, "\n")] = 0;
        snprintf(buf, n, "%s", colon + 2);
        break;
    }
    if (file != NULL) fclose(file);
}

static json_t *header(const bench_t *b)
{
    char model[256], date[64], mpi[MPI_MAX_LIBRARY_VERSION_STRING];
    struct utsname system;
    int n;
    double load[1] = {0};
    time_t now = time(NULL);
    struct tm utc;
    read_cpu_model(model, sizeof model);
    uname(&system);
    MPI_Get_library_version(mpi, &n);
    mpi[strcspn(mpi, "\n,")] = 0;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    (void)getloadavg(load, 1);
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:f}", "cpu", model, "cores", (int)sysconf(_SC_NPROCESSORS_ONLN), "kernel",
                     system.release, "machine", system.machine, "mpi", mpi, "mray", mray_version_string(), "date", date, "ranks", b->n_ranks, "hosts",
                     b->n_hosts, "quick", b->quick, "load", load[0]);
}

void measure_write_json(const bench_t *b, const char *path)
{
    json_t *all = json_pack("{s:o, s:O}", "header", header(b), "rows", rows != NULL ? rows : json_array());
    if (all == NULL || json_dump_file(all, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0) bench_die("cannot write %s", path);
    json_decref(all);
}
