/* kv_service.c: asking, passing on, answering. */
#include "kv_service.h"

#include "error.h"
#include "kv.h"
#include "object.h"
#include "request.h"
#include "slot.h"
#include "submit.h"

#include <mray/object.h>
#include <string.h>

typedef struct {
    mray_ref reply;
    mray_ref bytes; /* object: key, value */
    uint32_t op, key_bytes, value_bytes;
    uint32_t follows; /* 1: the bytes follow */
} kv_request_t;

/* The bytes of the asker's object; NULL when it is gone, since the asker died. */
static const uint8_t *bytes_of(agent_t *agent, const kv_request_t *request)
{
    sid_t sid;
    mray_view view;
    if (slot_find(agent->ep, request->bytes, &sid) != MRAY_OK || sid == 0 || object_look(agent->ep, slot_at(agent->ep, sid), &view) != MRAY_OK) return NULL;
    return view.size == request->key_bytes + request->value_bytes ? view.data : NULL;
}

static void answer(agent_t *agent, const kv_request_t *r, const uint8_t *bytes)
{
    const void *data = NULL;
    size_t n = 0;
    uint8_t there;
    int status = MRAY_OK;
    switch ((kv_op_t)r->op) {
    case KV_PUT:
    case KV_PUT_NEW: status = kv_put(agent->kv, bytes, r->key_bytes, bytes + r->key_bytes, r->value_bytes, r->op == KV_PUT); break;
    case KV_GET:
        data = kv_get(agent->kv, bytes, r->key_bytes, &n);
        if (data == NULL) status = base_error(MRAY_ERR_KEY_NOT_FOUND, "mray_kv_get: nothing is stored under '%.*s'", (int)r->key_bytes, (const char *)bytes);
        break;
    case KV_REMOVE:
        if (!kv_remove(agent->kv, bytes, r->key_bytes))
            status = base_error(MRAY_ERR_KEY_NOT_FOUND, "mray_kv_remove: nothing is stored under '%.*s'", (int)r->key_bytes, (const char *)bytes);
        break;
    case KV_EXISTS:
        there = kv_exists(agent->kv, bytes, r->key_bytes);
        data = &there;
        n = 1;
        break;
    }
    request_answer(agent, r->reply, status, NULL, data, (uint32_t)n);
}

static void on_request(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    kv_request_t request;
    (void)src_rank, (void)bytes;
    memcpy(&request, body, sizeof request);
    if (agent->node->rank != 0 && agent->node->node_rank_of[0] >= 0) { /* rank 0 reads them itself */
        agent_send(agent, 0, CONTROL_KV, &request, sizeof request);
        return;
    }
    const uint8_t *data = request.follows ? (const uint8_t *)body + sizeof request : bytes_of(agent, &request);
    if (data == NULL) return;
    if (agent->node->rank == 0) {
        answer(agent, &request, data);
    } else {
        uint8_t message[sizeof request + KV_MAX_KEY + KV_MAX_VALUE];
        request.follows = 1;
        memcpy(message, &request, sizeof request);
        memcpy(message + sizeof request, data, request.key_bytes + request.value_bytes);
        agent_send(agent, 0, CONTROL_KV, message, (uint32_t)sizeof request + request.key_bytes + request.value_bytes);
    }
}

int kv_service_create(agent_t *agent, kv_t **kv_p)
{
    agent_register(agent, CONTROL_KV, on_request);
    return agent->node->rank == 0 ? kv_create(kv_p) : MRAY_OK;
}

void kv_service_destroy(kv_t *kv)
{
    kv_destroy(kv);
}

int kv_service_call(ep_t *ep, kv_op_t op, const char *key, const void *value, uint32_t value_bytes, void *answer_p, uint32_t answer_bytes, uint32_t *got_p)
{
    kv_request_t request = {.op = op, .key_bytes = (uint32_t)strlen(key), .value_bytes = value_bytes};
    object_value_t v = {.type = {.dtype = MRAY_BYTES, .size = 1}, .bytes = request.key_bytes + value_bytes};
    uint64_t deadline = 0;
    void *data;
    sid_t sid;
    while ((sid = slot_alloc(ep, 1)) == 0)
        if (!submit_wait_for_room(ep, &deadline)) return base_error(MRAY_ERR_LIMIT, "no object slot became free for a request; release refs");
    int status = object_reserve(ep, sid, &v, &data);
    if (status != MRAY_OK) {
        slot_give_back(ep, sid);
        return status;
    }
    memcpy(data, key, request.key_bytes);
    if (value_bytes > 0) memcpy((char *)data + request.key_bytes, value, value_bytes);
    object_publish(ep, sid);
    request.bytes = slot_ref(ep, sid);
    status = request_call_sized(ep, CONTROL_KV, &request, sizeof request, answer_p, answer_bytes, got_p);
    slot_change(ep, sid, RC_DROP_CREATOR);
    return status;
}
