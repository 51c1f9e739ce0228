/* kv_calls.c: the public calls on the key-value store. */
#include "error.h"
#include "kv.h"
#include "kv_service.h"
#include "session.h"

#include <mray/kv.h>
#include <string.h>

_Static_assert((int)MRAY_KV_MAX_KEY == (int)KV_MAX_KEY && (int)MRAY_KV_MAX_VALUE == (int)KV_MAX_VALUE, "the limits that users are told");

static int call(const char *what, kv_op_t op, const char *key, const void *value, size_t value_bytes, void *answer, size_t answer_bytes, uint32_t *got_p)
{
    ep_t *ep = session_endpoint(what);
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    if (key == NULL || key[0] == 0 || strlen(key) > KV_MAX_KEY)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: key %s; it must have 1 to %d characters", what,
                          key == NULL ? "is NULL" : key[0] == 0 ? "is empty" : "is too long", KV_MAX_KEY);
    if (value == NULL && value_bytes > 0) return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: value is NULL and value_bytes %zu", what, value_bytes);
    if (value_bytes > KV_MAX_VALUE)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: the value of '%.60s' has %zu bytes, %d are possible; put it into the object store (mray_put) and store its ref",
                          what, key, value_bytes, KV_MAX_VALUE);
    return kv_service_call(ep, op, key, value, (uint32_t)value_bytes, answer, (uint32_t)answer_bytes, got_p);
}

int mray_kv_put(const char *key, const void *value, size_t value_bytes, int overwrite)
{
    uint32_t got;
    return call("mray_kv_put", overwrite ? KV_PUT : KV_PUT_NEW, key, value, value_bytes, NULL, 0, &got);
}

int mray_kv_get(const char *key, void *buf, size_t buf_bytes, size_t *bytes_p)
{
    uint32_t got = UINT32_MAX;
    if (buf == NULL && buf_bytes > 0) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_kv_get: buf is NULL and buf_bytes %zu", buf_bytes);
    int status = call("mray_kv_get", KV_GET, key, NULL, 0, buf, buf_bytes < KV_MAX_VALUE ? buf_bytes : KV_MAX_VALUE, &got);
    if (bytes_p != NULL && got != UINT32_MAX) *bytes_p = got;
    return status;
}

int mray_kv_remove(const char *key)
{
    uint32_t got;
    return call("mray_kv_remove", KV_REMOVE, key, NULL, 0, NULL, 0, &got);
}

int mray_kv_exists(const char *key, int *exists_p)
{
    uint32_t got;
    uint8_t there = 0;
    if (exists_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_kv_exists: exists_p is NULL");
    int status = call("mray_kv_exists", KV_EXISTS, key, NULL, 0, &there, 1, &got);
    if (status == MRAY_OK) *exists_p = there;
    return status;
}
