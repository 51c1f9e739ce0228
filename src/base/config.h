/* config.h: every setting of the runtime, in one table: name, environment variable, type, default, unit, help.
 * The documentation and `MRAY_PRINT_CONFIG=1` come from the same table. */
#ifndef MRAY_BASE_CONFIG_H
#define MRAY_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    uint64_t store_bytes;      /* MRAY_STORE_BYTES; 0: decided from the memory there is. Suffixes K M G T (1024) */
    uint64_t num_workers;      /* MRAY_NUM_WORKERS; 0: one a core */
    const char *workers;       /* MRAY_WORKERS: process | thread */
    const char *log;           /* MRAY_LOG: error | warn | info | debug */
    const char *resources;     /* MRAY_RESOURCES: "name=amount,name=amount" or "" */
    uint64_t max_tasks;        /* MRAY_MAX_TASKS, default 2097152, 1024 .. 16777216 */
    uint64_t max_objects;      /* MRAY_MAX_OBJECTS, default 4194304, 1024 .. 16777216 */
    uint64_t store_full_ms;    /* MRAY_STORE_FULL_TIMEOUT, default 10000, ms */
    uint64_t unschedulable_ms; /* MRAY_UNSCHEDULABLE_TIMEOUT, default 5000, ms: how long a task may wait for resources that no node has */
    uint64_t node_suspect_ms;  /* MRAY_NODE_SUSPECT_TIMEOUT, default 10000, ms */
    uint64_t node_dead_ms;     /* MRAY_NODE_DEAD_TIMEOUT, default 60000, ms; 0: never */
    const char *bulk;          /* MRAY_BULK: auto | rma | pull */
    uint64_t fake_node_ranks;  /* MRAY_FAKE_NODE_RANKS; 0: nodes are hosts */
    bool print_binding;        /* MRAY_PRINT_BINDING: 0 | 1 */
    bool print_config;         /* MRAY_PRINT_CONFIG: 0 | 1 */
    const char *trace;         /* MRAY_TRACE: the timeline's file, or "" */
    uint64_t trace_events;     /* MRAY_TRACE_EVENTS, default 65536, 1024 .. 16777216: of each worker */
    bool bind;                 /* MRAY_BIND, default 1: bind workers to cores where the share allows it */
} config_t;

/* Read the environment over the defaults. Errors: INVALID_ARGUMENT with a sentence that names variable, value and what is possible. */
int config_load(config_t *config_p);
/* The table as text, one setting a line: value, where it comes from, help. */
void config_print(const config_t *config, FILE *out);
/* "64M", "1.5G", "4096" to bytes; false for anything else or an overflow. */
bool config_parse_bytes(const char *text, uint64_t *bytes_p);

#endif
