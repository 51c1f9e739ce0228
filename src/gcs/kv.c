/* kv.c: buckets and entries. */
#include "kv.h"

#include "error.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 64 };

typedef struct entry {
    struct entry *next;
    uint64_t hash;
    uint32_t key_bytes, value_bytes;
    uint8_t bytes[]; /* key, value */
} entry_t;

struct kv {
    entry_t **buckets;
    size_t n_buckets, n_entries; /* buckets: a power of two */
    uint64_t bytes;
};

int kv_create(kv_t **kv_p)
{
    kv_t *kv = calloc(1, sizeof *kv);
    entry_t **buckets = calloc(FIRST_BUCKETS, sizeof *buckets);
    if (kv == NULL || buckets == NULL) {
        free(kv);
        free(buckets);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the key-value store");
    }
    *kv = (kv_t){.buckets = buckets, .n_buckets = FIRST_BUCKETS};
    *kv_p = kv;
    return MRAY_OK;
}

void kv_destroy(kv_t *kv)
{
    if (kv == NULL) return;
    for (size_t b = 0; b < kv->n_buckets; b++)
        for (entry_t *e = kv->buckets[b], *next; e != NULL; e = next) {
            next = e->next;
            free(e);
        }
    free(kv->buckets);
    free(kv);
}

/* The link that names the entry, or the last link of its bucket. */
static entry_t **link_of(const kv_t *kv, const void *key, size_t key_bytes, uint64_t hash)
{
    entry_t **link = &kv->buckets[hash & (kv->n_buckets - 1)];
    while (*link != NULL && ((*link)->hash != hash || (*link)->key_bytes != key_bytes || memcmp((*link)->bytes, key, key_bytes) != 0))
        link = &(*link)->next;
    return link;
}

/* More buckets where there is memory for them; without it chains are longer. */
static void grow(kv_t *kv)
{
    size_t n = kv->n_buckets * 2;
    entry_t **buckets = calloc(n, sizeof *buckets);
    if (buckets == NULL) return;
    for (size_t b = 0; b < kv->n_buckets; b++)
        for (entry_t *e = kv->buckets[b], *next; e != NULL; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (n - 1)];
            buckets[e->hash & (n - 1)] = e;
        }
    free(kv->buckets);
    kv->buckets = buckets;
    kv->n_buckets = n;
}

static void unlink_entry(kv_t *kv, entry_t **link)
{
    entry_t *e = *link;
    *link = e->next;
    kv->n_entries--;
    kv->bytes -= e->key_bytes + e->value_bytes;
    free(e);
}

int kv_put(kv_t *kv, const void *key, size_t key_bytes, const void *value, size_t value_bytes, bool overwrite)
{
    if (key_bytes == 0 || key_bytes > KV_MAX_KEY || value_bytes > KV_MAX_VALUE)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "a key of %zu and a value of %zu bytes: keys have 1 to %d bytes, values up to %d; put a larger value into the "
                          "object store and its ref here", key_bytes, value_bytes, KV_MAX_KEY, KV_MAX_VALUE);
    uint64_t hash = base_hash64(key, key_bytes);
    entry_t **link = link_of(kv, key, key_bytes, hash);
    uint64_t old_bytes = *link != NULL ? (*link)->key_bytes + (*link)->value_bytes : 0;
    if (*link != NULL && !overwrite) return base_error(MRAY_ERR_KEY_EXISTS, "key '%.*s' has a value already; overwrite it or remove it", (int)key_bytes, (const char *)key);
    if (kv->bytes - old_bytes + key_bytes + value_bytes > KV_MAX_BYTES)
        return base_error(MRAY_ERR_LIMIT, "the key-value store holds %llu MiB, which is its limit; remove keys", (unsigned long long)(KV_MAX_BYTES >> 20));
    entry_t *e = malloc(sizeof *e + key_bytes + value_bytes);
    if (e == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a value of %zu bytes", value_bytes);
    *e = (entry_t){.hash = hash, .key_bytes = (uint32_t)key_bytes, .value_bytes = (uint32_t)value_bytes};
    memcpy(e->bytes, key, key_bytes);
    if (value_bytes > 0) memcpy(e->bytes + key_bytes, value, value_bytes);
    if (*link != NULL) unlink_entry(kv, link);
    e->next = kv->buckets[hash & (kv->n_buckets - 1)];
    kv->buckets[hash & (kv->n_buckets - 1)] = e;
    kv->n_entries++;
    kv->bytes += key_bytes + value_bytes;
    if (kv->n_entries > kv->n_buckets) grow(kv);
    return MRAY_OK;
}

const void *kv_get(const kv_t *kv, const void *key, size_t key_bytes, size_t *value_bytes_p)
{
    const entry_t *e = *link_of(kv, key, key_bytes, base_hash64(key, key_bytes));
    if (e == NULL) return NULL;
    *value_bytes_p = e->value_bytes;
    return e->bytes + e->key_bytes;
}

bool kv_remove(kv_t *kv, const void *key, size_t key_bytes)
{
    entry_t **link = link_of(kv, key, key_bytes, base_hash64(key, key_bytes));
    if (*link == NULL) return false;
    unlink_entry(kv, link);
    return true;
}

bool kv_exists(const kv_t *kv, const void *key, size_t key_bytes)
{
    return *link_of(kv, key, key_bytes, base_hash64(key, key_bytes)) != NULL;
}

size_t kv_count(const kv_t *kv)
{
    return kv->n_entries;
}

uint64_t kv_bytes(const kv_t *kv)
{
    return kv->bytes;
}
