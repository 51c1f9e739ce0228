/* upcalls.c: the store's table of functions. */
#include "upcalls.h"

#include "control.h"
#include "route.h"
#include "slot.h"
#include "wire.h"

/* The payload's holder is another node: this rank's agent tells it. */
static void drop_remote(ep_t *ep, const slot_where_t *where)
{
    wire_hold_t body = {.ref = {.rank = where->stash_rank, .slot = where->stash_slot, .gen = where->stash_gen, .epoch = ep->node->epoch}, .creator = 1};
    (void)route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), CONTROL_DROP, &body, sizeof body);
}

void upcalls_install(void)
{
    static const store_upcalls_t upcalls = {.ready_fn = route_ready, .drop_remote_fn = drop_remote};
    store_set_upcalls(&upcalls);
}
