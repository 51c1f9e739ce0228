/* kv.h: the key-value store at rank 0: byte strings under byte strings.
 *
 * Chained hash table, doubled when it holds as many entries as buckets. Private memory of rank 0's agent, under its lock; bounded by
 * KV_MAX_BYTES over all keys and values. */
#ifndef MRAY_GCS_KV_H
#define MRAY_GCS_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KV_MAX_KEY = 255, KV_MAX_VALUE = 16384 };
#define KV_MAX_BYTES (UINT64_C(256) << 20)

typedef struct kv kv_t;

/* Errors: OUT_OF_MEMORY. */
int kv_create(kv_t **kv_p);
void kv_destroy(kv_t *kv);

/* Store a copy. Errors: KEY_EXISTS (the key is there and overwrite is not set), INVALID_ARGUMENT (sizes), LIMIT, OUT_OF_MEMORY. */
int kv_put(kv_t *kv, const void *key, size_t key_bytes, const void *value, size_t value_bytes, bool overwrite);
/* The value, valid until the next change; NULL if there is none. An empty value is not NULL. */
const void *kv_get(const kv_t *kv, const void *key, size_t key_bytes, size_t *value_bytes_p);
/* False: it was not there. */
bool kv_remove(kv_t *kv, const void *key, size_t key_bytes);
bool kv_exists(const kv_t *kv, const void *key, size_t key_bytes);
size_t kv_count(const kv_t *kv);
uint64_t kv_bytes(const kv_t *kv);

#endif
