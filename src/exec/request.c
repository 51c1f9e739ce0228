/* request.c: a slot as the place of an answer. */
#include "request.h"

#include "clock.h"
#include "drive.h"
#include "error.h"
#include "log.h"
#include "object.h"
#include "route.h"
#include "slot.h"
#include "submit.h"
#include "wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Its text or data follow. */
typedef struct {
    mray_ref reply;
    int32_t status;
    uint32_t bytes;
} answer_t;

int request_call_sized(ep_t *ep, control_type_t type, void *body, uint32_t bytes, void *answer, uint32_t answer_bytes, uint32_t *got_p)
{
    uint64_t deadline = 0;
    sid_t sid;
    int status;
    while ((sid = slot_alloc(ep, 1)) == 0)
        if (!submit_wait_for_room(ep, &deadline)) return base_error(MRAY_ERR_LIMIT, "no object slot became free for a request; release refs");
    mray_ref reply = slot_ref(ep, sid);
    memcpy(body, &reply, sizeof reply);
    bool drives = drive_before_push(ep);
    while ((status = route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), type, body, bytes)) != MRAY_OK) {
        if (drives) drive_after_push();
        drives = false;
        if (!submit_wait_for_room(ep, &deadline)) {
            slot_give_back(ep, sid);
            return base_error(MRAY_ERR_LIMIT, "too many tasks are unfinished to ask the agent; wait for some");
        }
    }
    if (drives) drive_after_push();
    (void)wait_slots(ep, &sid, 1, 1, BASE_FOREVER);
    mray_view view;
    status = object_look(ep, slot_at(ep, sid), &view);
    if (status == MRAY_OK) *got_p = (uint32_t)view.size;
    if (status == MRAY_OK && view.size > answer_bytes)
        status = base_error(MRAY_ERR_BUFFER_TOO_SMALL, "the answer has %zu bytes, the buffer %u", view.size, answer_bytes);
    else if (status == MRAY_OK && view.size > 0)
        memcpy(answer, view.data, view.size);
    slot_change(ep, sid, RC_DROP_CREATOR);
    return status;
}

int request_call(ep_t *ep, control_type_t type, void *body, uint32_t bytes, void *answer, uint32_t answer_bytes)
{
    uint32_t got;
    return request_call_sized(ep, type, body, bytes, answer, answer_bytes, &got);
}

static void deliver(agent_t *agent, const answer_t *a, const void *more)
{
    sid_t sid;
    if (slot_find(agent->ep, a->reply, &sid) != MRAY_OK || sid == 0) return; /* the asker died */
    if (a->status == MRAY_OK) {
        object_value_t v = {.type = {.dtype = MRAY_BYTES, .size = a->bytes}, .data = more, .bytes = a->bytes};
        int status = object_stage(agent->ep, sid, &v); /* cannot fail where it fits the slot */
        if (status != MRAY_OK) object_stage_error(agent->ep, sid, status, mray_error_message());
    } else {
        object_stage_error(agent->ep, sid, a->status, more);
    }
    object_publish(agent->ep, sid);
}

static void on_answer(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    answer_t a = {0};
    const char *more = (const char *)body + sizeof a;
    memcpy(&a, body, bytes < sizeof a ? bytes : sizeof a);
    bool sound = bytes >= sizeof a && a.bytes == bytes - sizeof a && (a.status == MRAY_OK || (a.bytes > 0 && more[a.bytes - 1] == 0));
    if (sound)
        deliver(agent, &a, more);
    else
        log_error("internal: rank %d sent an answer that is none, in %u bytes", src_rank, bytes);
}

void request_answer(agent_t *agent, mray_ref reply, int status, const char *text, const void *data, uint32_t bytes)
{
    answer_t a = {.reply = reply, .status = status, .bytes = bytes};
    const void *more = data;
    char sentence[BASE_ERROR_MAX];
    if (status != MRAY_OK) {
        a.bytes = (uint32_t)snprintf(sentence, sizeof sentence, "%s", text != NULL ? text : mray_error_message()) + 1;
        if (a.bytes > sizeof sentence) a.bytes = sizeof sentence;
        more = sentence;
    }
    if (agent->node->node_rank_of[reply.rank] >= 0) {
        deliver(agent, &a, more);
        return;
    }
    uint8_t *message = malloc(sizeof a + a.bytes);
    if (message == NULL) {
        log_error("no memory to answer rank %u", reply.rank);
        return;
    }
    memcpy(message, &a, sizeof a);
    if (a.bytes > 0) memcpy(message + sizeof a, more, a.bytes);
    agent_send(agent, (int)reply.rank, CONTROL_ANSWER, message, (uint32_t)sizeof a + a.bytes);
    free(message);
}

void request_register(agent_t *agent)
{
    agent_register(agent, CONTROL_ANSWER, on_answer);
}
