/* functions.c: registration and the table. */
#include "functions.h"

#include "error.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>

static mray_function *registered;
static uint32_t n_registered;
static mray_function **table;
static uint32_t n_table;

void mray_function_register(mray_function *function)
{
    function->hash = base_hash_name(function->name);
    function->next = registered;
    registered = function;
    n_registered++;
}

static int by_hash(const void *a, const void *b)
{
    const mray_function *x = *(mray_function *const *)a, *y = *(mray_function *const *)b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return strcmp(x->name, y->name);
}

int functions_build(void)
{
    mray_function **rows = malloc((n_registered + 1) * sizeof *rows);
    if (rows == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the function table");
    uint32_t n = 0;
    for (mray_function *f = registered; f != NULL; f = f->next) rows[n++] = f;
    qsort(rows, n, sizeof *rows, by_hash);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && rows[i]->hash == rows[i - 1]->hash) {
            int status = base_error(MRAY_ERR_INVALID_ARGUMENT, "two functions are registered as '%s' and '%s', whose names are the same or hash alike; "
                                    "rename one", rows[i - 1]->name, rows[i]->name);
            free(rows);
            return status;
        }
        rows[i]->index = i;
    }
    free(table);
    table = rows;
    n_table = n;
    return MRAY_OK;
}

const mray_function *functions_at(uint32_t index)
{
    return index < n_table ? table[index] : NULL;
}

uint32_t functions_count(void)
{
    return n_table;
}

const mray_function *functions_find(const char *name)
{
    mray_function key = {.name = name, .hash = base_hash_name(name)}, *key_p = &key;
    mray_function **row = n_table > 0 ? bsearch(&key_p, table, n_table, sizeof *table, by_hash) : NULL;
    return row != NULL ? *row : NULL;
}

functions_digest_t functions_digest(void)
{
    functions_digest_t digest = {.hash = 0, .count = n_table};
    for (uint32_t i = 0; i < n_table; i++) {
        const mray_function *f = table[i];
        digest.hash = base_hash64_seeded(f->name, strlen(f->name), digest.hash);
        digest.hash = base_hash64_seeded(&f->ret, sizeof f->ret, digest.hash);
        digest.hash = base_hash64_seeded(f->params, (size_t)f->n_params * sizeof f->params[0], digest.hash);
    }
    return digest;
}

uint64_t functions_names(char *buf, uint64_t buf_bytes)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < n_table; i++) {
        uint64_t n = strlen(table[i]->name) + 1;
        if (used + n <= buf_bytes) memcpy(buf + used, table[i]->name, n);
        used += n;
    }
    return used;
}
