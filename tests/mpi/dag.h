/* dag.h: random graphs of tasks whose results are known beforehand. */
#ifndef MRAY_TEST_DAG_H
#define MRAY_TEST_DAG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t seed;
    int n_steps;     /* tasks, puts and calls made by the driver; nested tasks come on top */
    int max_retries; /* as mray_task_opts */
    bool actors;     /* also methods of actors */
    bool errors;     /* also tasks that fail, and what depends on them */
    void (*on_step)(int step); /* before each; or NULL */
} dag_config_t;

/* Run one, compare everything with the serial answer, release everything. Failures count as checks do. */
void dag_run(const dag_config_t *config);

#endif
