/* request.c: a slot as the place of an answer. */
#include "request.h"

#include "clock.h"
#include "error.h"
#include "object.h"
#include "route.h"
#include "slot.h"
#include "submit.h"
#include "wait.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    mray_ref reply;
    int32_t status;
    uint32_t bytes;
    uint8_t data[REQUEST_MAX_ANSWER];
    char text[BASE_ERROR_MAX];
} answer_t;

int request_call(ep_t *ep, control_type_t type, void *body, uint32_t bytes, void *answer, uint32_t answer_bytes)
{
    uint64_t deadline = 0;
    sid_t sid;
    while ((sid = slot_alloc(ep, 1)) == 0)
        if (!submit_wait_for_room(ep, &deadline)) return base_error(MRAY_ERR_LIMIT, "no object slot became free for a request; release refs");
    mray_ref reply = slot_ref(ep, sid);
    memcpy(body, &reply, sizeof reply);
    while (route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), type, body, bytes) != MRAY_OK)
        if (!submit_wait_for_room(ep, &deadline)) {
            slot_change(ep, sid, RC_DROP_PRODUCER);
            slot_change(ep, sid, RC_DROP_CREATOR);
            return base_error(MRAY_ERR_LIMIT, "too many tasks are unfinished to ask the agent; wait for some");
        }
    (void)wait_slots(ep, &sid, 1, 1, BASE_FOREVER);
    mray_view view;
    int status = object_look(ep, slot_at(ep, sid), &view);
    if (status == MRAY_OK && answer_bytes > 0) memcpy(answer, view.data, answer_bytes);
    slot_change(ep, sid, RC_DROP_CREATOR);
    return status;
}

static void deliver(agent_t *agent, const answer_t *a)
{
    sid_t sid;
    if (slot_find(agent->ep, a->reply, &sid) != MRAY_OK || sid == 0) return; /* the asker died */
    if (a->status != MRAY_OK) {
        object_stage_error(agent->ep, sid, a->status, a->text);
    } else {
        object_value_t v = {.type = {.dtype = MRAY_BYTES, .size = a->bytes}, .data = a->data, .bytes = a->bytes};
        int status = object_stage(agent->ep, sid, &v); /* fits the slot: cannot fail */
        (void)status;
    }
    object_publish(agent->ep, sid);
}

static void on_answer(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    answer_t a;
    (void)src_rank, (void)bytes;
    memcpy(&a, body, sizeof a);
    deliver(agent, &a);
}

void request_answer(agent_t *agent, mray_ref reply, int status, const char *text, const void *data, uint32_t bytes)
{
    answer_t a = {.reply = reply, .status = status, .bytes = bytes};
    if (bytes > 0) memcpy(a.data, data, bytes);
    if (status != MRAY_OK) snprintf(a.text, sizeof a.text, "%s", text != NULL ? text : mray_error_message());
    if (agent->node->node_rank_of[reply.rank] >= 0)
        deliver(agent, &a);
    else
        agent_send(agent, (int)reply.rank, CONTROL_ANSWER, &a, sizeof a);
}

void request_register(agent_t *agent)
{
    agent_register(agent, CONTROL_ANSWER, on_answer);
}
