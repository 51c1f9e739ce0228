/* acquire.c: see acquire.h. */
#include "acquire.h"

#include "drive.h"
#include "error.h"
#include "proxies.h"
#include "request.h"

#include <string.h>

/* ---- by a thread that may make the agent's rounds: without a message to it ---- */

typedef struct {
    ep_t *ep;
    mray_ref ref;
    sid_t sid;
    bool held;
} acquire_t;

static void get_first(agent_t *agent, void *arg)
{
    acquire_t *a = arg;
    sid_t sid = proxies_get(agent->proxies, a->ref);
    if (sid == 0) return;
    a->held = slot_try_hold_own(a->ep, slot_ref(agent->ep, sid), &a->sid);
    slot_change(agent->ep, sid, RC_DROP);
}

static bool get_here(ep_t *ep, mray_ref ref, sid_t *sid_p)
{
    acquire_t a = {.ep = ep, .ref = ref};
    if (!drive_before_push(ep)) return false;
    if (pthread_mutex_trylock(&agent_here->lock) == 0) {
        (void)agent_round_after(agent_here, get_first, &a);
        pthread_mutex_unlock(&agent_here->lock);
    }
    drive_after_push();
    if (a.held) *sid_p = a.sid;
    return a.held;
}

/* ---- by a message to the agent ---- */

int acquire_proxy(ep_t *ep, mray_ref ref, sid_t *sid_p)
{
    if (get_here(ep, ref, sid_p)) return MRAY_OK;
    for (;;) {
        struct {
            mray_ref reply, ref;
        } body = {.ref = ref};
        mray_ref proxy;
        int status = request_call(ep, CONTROL_PROXY, &body, sizeof body, &proxy, sizeof proxy);
        if (status != MRAY_OK) return status;
        if (slot_try_hold_own(ep, proxy, sid_p)) return MRAY_OK;
        /* It went between the answer and the hold (this thread slept long), or too much is held. */
        if (slot_find(ep, proxy, sid_p) == MRAY_OK)
            return base_error(MRAY_ERR_LIMIT, "this task has %d views and retained refs open; release some", EP_LEDGER_ENTRIES);
    }
}

static void on_proxy(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    struct {
        mray_ref reply, ref;
    } ask;
    (void)src_rank, (void)bytes;
    memcpy(&ask, body, sizeof ask);
    sid_t sid = proxies_get(agent->proxies, ask.ref);
    mray_ref proxy = sid != 0 ? slot_ref(agent->ep, sid) : (mray_ref){0};
    request_answer(agent, ask.reply, sid != 0 ? MRAY_OK : MRAY_ERR_LIMIT, "no object slot is free for a copy from another node; release refs", &proxy, sizeof proxy);
    if (sid != 0) slot_change(agent->ep, sid, RC_DROP); /* it stays for PROXY_IDLE_NS, for the asker to hold it */
}

void acquire_register(agent_t *agent)
{
    agent_register(agent, CONTROL_PROXY, on_proxy);
}
