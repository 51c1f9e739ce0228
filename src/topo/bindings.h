/* bindings.h: who runs where, as a table a person can read (MRAY_PRINT_BINDING=1). */
#ifndef MRAY_TOPO_BINDINGS_H
#define MRAY_TOPO_BINDINGS_H

#include "divide.h"

/* One rank's line. Plain bytes: each rank fills its own, rank 0 gathers and prints them. */
typedef struct {
    char host[64];
    char pus[96];
    char numa[24], package[24], cache[24];
    char note[256];
    int32_t rank, role, bind, n_workers, n_gpus, oversubscribed;
} topo_row_t;

void topo_row_fill(const topo_machine_t *machine, const topo_share_t *share, const char *host, int rank, topo_row_t *row_p);

/* The table in the order of rows, then each different note once.
 * Returns a string the caller frees; NULL without memory. */
char *topo_print(const topo_row_t *rows, int n_rows) __attribute__((warn_unused_result));

#endif
