/* bindings.c: columns as wide as their widest entry. */
#include "bindings.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(topo_row_t) <= 1024, "a row is sent as plain bytes");

enum { N_COLUMNS = 9, CELL_BYTES = 96 };

static const char *const titles[N_COLUMNS] = {"rank", "host", "role", "workers", "gpus", "cpus", "numa", "package", "cache"};

void topo_row_fill(const topo_machine_t *machine, const topo_share_t *share, const char *host, int rank, topo_row_t *row_p)
{
    topo_cpuset_t pus = {0}, numa = {0}, package = {0}, cache = {0};
    memset(row_p, 0, sizeof *row_p);
    for (int i = 0; i < share->n_places; i++) {
        const topo_core_t *core = &machine->cores[share->places[i].core];
        topo_cpuset_add(&pus, share->places[i].pu);
        topo_cpuset_add(&numa, core->numa);
        topo_cpuset_add(&package, core->package);
        topo_cpuset_add(&cache, core->cache);
    }
    topo_cpuset_format(&pus, row_p->pus, sizeof row_p->pus);
    topo_cpuset_format(&numa, row_p->numa, sizeof row_p->numa);
    topo_cpuset_format(&package, row_p->package, sizeof row_p->package);
    topo_cpuset_format(&cache, row_p->cache, sizeof row_p->cache);
    snprintf(row_p->host, sizeof row_p->host, "%s", host);
    snprintf(row_p->note, sizeof row_p->note, "%s", share->note);
    row_p->rank = rank;
    row_p->role = (int32_t)share->role;
    row_p->bind = (int32_t)share->bind;
    row_p->n_workers = share->n_workers;
    row_p->n_gpus = share->n_gpus;
    row_p->oversubscribed = share->oversubscribed;
}

static void fill_cell(const topo_row_t *row, int column, char *cell)
{
    /* Not bound: the kernel chooses, so the places would mislead. */
    bool placed = row->bind != TOPO_BIND_NONE;
    switch (column) {
    case 0: snprintf(cell, CELL_BYTES, "%d", (int)row->rank); break;
    case 1: snprintf(cell, CELL_BYTES, "%.63s", row->host); break;
    case 2: snprintf(cell, CELL_BYTES, "%s", row->role == TOPO_ROLE_DRIVER ? "driver" : "node"); break;
    case 3: snprintf(cell, CELL_BYTES, "%d", (int)row->n_workers); break;
    case 4: snprintf(cell, CELL_BYTES, "%d", (int)row->n_gpus); break;
    case 5: snprintf(cell, CELL_BYTES, "%.95s", placed ? row->pus : "not bound"); break;
    case 6: snprintf(cell, CELL_BYTES, "%.23s", placed ? row->numa : "-"); break;
    case 7: snprintf(cell, CELL_BYTES, "%.23s", placed ? row->package : "-"); break;
    default: snprintf(cell, CELL_BYTES, "%.23s", placed ? row->cache : "-"); break;
    }
}

/* Writes one line, without spaces at its end. row NULL: the titles. */
static void print_line(FILE *out, const topo_row_t *row, const int *widths)
{
    char cell[CELL_BYTES];
    for (int c = 0; c < N_COLUMNS; c++) {
        if (row != NULL) fill_cell(row, c, cell);
        else snprintf(cell, sizeof cell, "%s", titles[c]);
        if (c + 1 < N_COLUMNS) fprintf(out, "%-*s  ", widths[c], cell);
        else fprintf(out, "%s\n", cell);
    }
}

static bool said_before(const topo_row_t *rows, int i)
{
    for (int j = 0; j < i; j++)
        if (strcmp(rows[j].note, rows[i].note) == 0 && strcmp(rows[j].host, rows[i].host) == 0) return true;
    return false;
}

char *topo_print(const topo_row_t *rows, int n_rows)
{
    char *text = NULL, cell[CELL_BYTES];
    size_t text_bytes = 0;
    int widths[N_COLUMNS];
    FILE *out = open_memstream(&text, &text_bytes);
    if (out == NULL) return NULL;
    for (int c = 0; c < N_COLUMNS; c++) {
        widths[c] = (int)strlen(titles[c]);
        for (int i = 0; i < n_rows; i++) {
            fill_cell(&rows[i], c, cell);
            if ((int)strlen(cell) > widths[c]) widths[c] = (int)strlen(cell);
        }
    }
    print_line(out, NULL, widths);
    for (int i = 0; i < n_rows; i++) print_line(out, &rows[i], widths);
    for (int i = 0; i < n_rows; i++)
        if (rows[i].note[0] != '\0' && !said_before(rows, i)) fprintf(out, "%s: %s\n", rows[i].host, rows[i].note);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
