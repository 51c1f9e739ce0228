/* mray/kv.h: a key-value store of the session, kept by rank 0: small byte strings under names, for what ranks and tasks agree on.
 *
 *     mray_kv_put("phase", &phase, sizeof phase, 1);
 *     mray_kv_get("phase", &phase, sizeof phase, NULL);
 *
 * Every call is a message to rank 0 and its answer, so it is for coordination, not for data: objects are for data, and their refs fit here. */
#ifndef MRAY_KV_H
#define MRAY_KV_H

#include <mray/status.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MRAY_KV_MAX_KEY = 255,     /**< bytes of a key */
    MRAY_KV_MAX_VALUE = 16384, /**< bytes of a value */
};

/** Store a value under a key: a copy, for every rank to read.
 *  @param key        1 to MRAY_KV_MAX_KEY characters
 *  @param value      value_bytes bytes; may be NULL where that is 0
 *  @param overwrite  1: replace a value that is there; 0: leave it, and return MRAY_ERR_KEY_EXISTS, so that of several callers one succeeds
 *  @return MRAY_OK, MRAY_ERR_INVALID_ARGUMENT (NULL, sizes; for a larger value put an object and store its ref), MRAY_ERR_KEY_EXISTS,
 *          MRAY_ERR_LIMIT (256 MiB in all), MRAY_ERR_OBJECT_STORE_FULL, MRAY_ERR_NOT_INITIALIZED
 *  @context any thread of an endpoint; blocks until rank 0 has it
 *  @cost    a round trip to rank 0 */
MRAY_API int mray_kv_put(const char *key, const void *value, size_t value_bytes, int overwrite);

/** Copy the value of a key.
 *  @param buf      buf_bytes bytes, any alignment; may be NULL where that is 0
 *  @param bytes_p  bytes of the value, also with MRAY_ERR_BUFFER_TOO_SMALL; may be NULL
 *  @return MRAY_OK, MRAY_ERR_KEY_NOT_FOUND, MRAY_ERR_BUFFER_TOO_SMALL (nothing copied), MRAY_ERR_INVALID_ARGUMENT, MRAY_ERR_OBJECT_STORE_FULL,
 *          MRAY_ERR_NOT_INITIALIZED
 *  @context any thread of an endpoint; may block
 *  @cost    a round trip to rank 0 */
MRAY_API int mray_kv_get(const char *key, void *buf, size_t buf_bytes, size_t *bytes_p);

/** Forget a key.
 *  @return MRAY_OK, MRAY_ERR_KEY_NOT_FOUND, MRAY_ERR_INVALID_ARGUMENT, MRAY_ERR_NOT_INITIALIZED
 *  @context any thread of an endpoint; may block
 *  @cost    a round trip to rank 0 */
MRAY_API int mray_kv_remove(const char *key);

/** Is there a value under the key?
 *  @param exists_p  1 or 0
 *  @return MRAY_OK, MRAY_ERR_INVALID_ARGUMENT, MRAY_ERR_NOT_INITIALIZED
 *  @context any thread of an endpoint; may block
 *  @cost    a round trip to rank 0 */
MRAY_API int mray_kv_exists(const char *key, int *exists_p);

#ifdef __cplusplus
}
#endif
#endif
