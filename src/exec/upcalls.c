/* upcalls.c: the store's table of functions. */
#include "upcalls.h"

#include "agent.h"
#include "control.h"
#include "proxies.h"
#include "route.h"
#include "slot.h"
#include "wire.h"

/* The payload's holder is another node: this rank's agent tells it. */
static void drop_remote(ep_t *ep, const slot_where_t *where)
{
    wire_hold_t body = {.ref = {.rank = where->stash_rank, .slot = where->stash_slot, .gen = where->stash_gen, .epoch = ep->node->epoch}, .creator = 1};
    (void)route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), CONTROL_DROP, &body, sizeof body);
}

/* An agent drops its unused copies itself, at once. The other ranks' copies, and everybody's for who is no agent, are for their agents to drop in
 * their next rounds: it helps those who wait and try again. */
static bool make_room(ep_t *ep)
{
    for (int p = 0; p < ep->node->n_node_ranks; p++) atomic_store_explicit(&ep->node->segs[p].hdr->store_full, 1, memory_order_relaxed);
    return agent_here != NULL && agent_here->ep == ep && proxies_make_room(agent_here->proxies) > 0;
}

void upcalls_install(void)
{
    static const store_upcalls_t upcalls = {.ready_fn = route_ready, .drop_remote_fn = drop_remote, .room_fn = make_room};
    store_set_upcalls(&upcalls);
}
