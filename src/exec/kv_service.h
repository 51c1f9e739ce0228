/* kv_service.h: the key-value store as a service of rank 0.
 *
 * A request names key and value by an object of the asker (key, then value), so that it fits a record whatever their size. The agent of
 * a rank on rank 0's node passes the request on as it is, since rank 0 can read the object where it lies; an agent elsewhere appends
 * the bytes. */
#ifndef MRAY_EXEC_KV_SERVICE_H
#define MRAY_EXEC_KV_SERVICE_H

#include "agent.h"

#include <mray/ref.h>

typedef enum { KV_PUT = 1, KV_PUT_NEW, KV_GET, KV_REMOVE, KV_EXISTS } kv_op_t;

int kv_service_create(agent_t *agent, kv_t **kv_p);
void kv_service_destroy(kv_t *kv);

/* Ask, and wait. key: 1 .. KV_MAX_KEY bytes; value: up to KV_MAX_VALUE. The answer (GET: the value; EXISTS: one byte) is up to answer_bytes.
 * Errors: the store's, KEY_NOT_FOUND, BUFFER_TOO_SMALL, LIMIT, OBJECT_STORE_FULL. */
int kv_service_call(ep_t *ep, kv_op_t op, const char *key, const void *value, uint32_t value_bytes, void *answer, uint32_t answer_bytes, uint32_t *got_p);

#endif
