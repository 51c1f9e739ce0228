/* functions.h: the function table: what this program can run, the same on every rank.
 *
 * Functions register themselves before main(); the table sorts them by the hash of their names, so that an index means the
 * same function on every rank that runs the same program, and two tables are compared by one hash. */
#ifndef MRAY_GCS_FUNCTIONS_H
#define MRAY_GCS_FUNCTIONS_H

#include <mray/task.h>

/* Make the table from what is registered. Errors: INVALID_ARGUMENT (two functions of one name), OUT_OF_MEMORY. */
int functions_build(void);
const mray_function *functions_at(uint32_t index);
uint32_t functions_count(void);
const mray_function *functions_find(const char *name);

/* One rank's table in 16 bytes, for comparison across ranks. */
typedef struct {
    uint64_t hash; /* over names and signatures, in order */
    uint64_t count;
} functions_digest_t;
functions_digest_t functions_digest(void);
/* Names in the table's order, packed with NULs, for finding out what a rank lacks; returns bytes needed. */
uint64_t functions_names(char *buf, uint64_t buf_bytes);

#endif
