/* drive.c: see drive.h. */
#include "drive.h"

#include "clock.h"
#include "wait.h"

#include <sched.h>

enum { NAPS = 1u << 31 };

/* Another thread drives: it may stop at any time, and then nobody but the helper polls until this one looks. */
static const uint64_t OTHER_DRIVES_NS = 100000;
/* Nobody else is there to see what workers ask of the agent. */
static const uint64_t NO_HELPER_NAP_NS = 20000;

/* Quiet pushes of one thread in a row; then somebody is woken, before the table of records is full of them. */
enum { MAX_QUIET = 64, DRIVE_LOOKS = 4 };

/* This thread has submitted nothing since it last waited. */
static _Thread_local bool fresh = true;
static _Thread_local int n_quiet;
static _Thread_local proxies_take_t *taking;

void drive_set_take(proxies_take_t *take)
{
    taking = take;
}

/* MPI may allow the initialising thread only. The others wait for it, as those of worker processes do. */
static bool may_drive(const agent_t *agent, const ep_t *ep)
{
    return agent != NULL && ((ep->gid & 0xff) == SEG_EP_MAIN || !net_info(agent->net)->one_thread);
}

static bool claim(agent_t *agent, const ep_t *ep)
{
    uint32_t seen = atomic_load(&agent->driver);
    if ((seen & ~NAPS) != ep->gid && (seen != 0 || !atomic_compare_exchange_strong(&agent->driver, &seen, ep->gid))) return false;
    if ((seen & NAPS) != 0) atomic_store(&agent->driver, ep->gid);
    if (atomic_load(&agent->ep->sh->asleep) != 0) atomic_store(&agent->ep->sh->asleep, 0);
    return true;
}

/* Returns true if something came meanwhile that nobody was woken for. */
static bool stand_back(agent_t *agent, uint32_t driver)
{
    atomic_store(&agent->driver, driver); /* seq_cst: the helper sets `parked` and then looks here */
    if (!atomic_load(&agent->parked)) return false;
    atomic_store(&agent->ep->sh->asleep, 1); /* too late if it wakes now: then somebody wakes it once more, in vain */
    atomic_thread_fence(memory_order_seq_cst); /* the store before the loads, which are relaxed */
    return agent_has_news(agent);
}

bool drive_is_at_it(const agent_t *agent)
{
    uint32_t driver = atomic_load(&agent->driver);
    return driver != 0 && (driver & NAPS) == 0;
}

bool drive_has_driver(const agent_t *agent)
{
    return atomic_load(&agent->driver) != 0;
}

/* An answer is on its way, and whoever has the core after a yield may keep it longer than that takes. */
static void look_before_yield(idle_ladder_t *ladder)
{
    ladder->looks = DRIVE_LOOKS;
    ladder->n_looks = 1;
}

static bool turn(ep_t *ep, idle_ladder_t *ladder, uint64_t *sleep_ns_p)
{
    agent_t *agent = agent_here;
    if (!may_drive(agent, ep)) return false;
    if (!claim(agent, ep)) {
        *sleep_ns_p = OTHER_DRIVES_NS;
        return false;
    }
    int n = 0;
    bool busy = false;
    if (pthread_mutex_trylock(&agent->lock) == 0) { /* else the helper ends its last round */
        n = agent_round(agent);
        busy = net_busy(agent->net);
        if (taking != NULL) proxies_take(agent->proxies, taking);
        pthread_mutex_unlock(&agent->lock);
    }
    if (n > 0) {
        idle_reset(ladder);
        look_before_yield(ladder);
        return true;
    }
    (void)ep_note_cpu(ep);
    if (ladder->looks == 0) look_before_yield(ladder);
    idle_step_t step = idle_next(ladder, base_clock_ns(), busy ? IDLE_DUE_DATA : IDLE_DUE_ANSWER);
    if (step.kind != IDLE_SLEEP) {
        idle_pause(step);
        return true;
    }
    if (stand_back(agent, ep->gid | NAPS)) return true;
    uint64_t nap_ns = atomic_load_explicit(&agent->nap_ns, memory_order_relaxed);
    *sleep_ns_p = step.sleep_ns < nap_ns ? step.sleep_ns : nap_ns;
    if (!agent->has_helper && *sleep_ns_p > NO_HELPER_NAP_NS) *sleep_ns_p = NO_HELPER_NAP_NS;
    return false;
}

static void end(ep_t *ep)
{
    agent_t *agent = agent_here;
    fresh = true;
    n_quiet = 0;
    if (agent == NULL || (atomic_load(&agent->driver) & ~NAPS) != ep->gid) return;
    if (stand_back(agent, 0)) ep_wake(agent->ep->sh);
}

/* In the helper's place, which sleeps. */
static bool could_drive(const agent_t *agent, const ep_t *ep)
{
    return may_drive(agent, ep) && agent->node->multi_node && !ep->mortal && atomic_load_explicit(&ep->sh->kind, memory_order_relaxed) == EP_KIND_USER &&
           atomic_load(&agent->parked);
}

/* The first of a series only: with more of them the helper is worth being woken, since it sends them while this thread makes the next. */
bool drive_before_push(ep_t *ep)
{
    agent_t *agent = agent_here;
    if (!fresh || !could_drive(agent, ep)) return false;
    fresh = false;
    return claim(agent, ep);
}

void drive_after_push(void)
{
    agent_t *agent = agent_here;
    if (!ep_inbox_empty(agent->ep->sh) && pthread_mutex_trylock(&agent->lock) == 0) {
        (void)agent_round(agent);
        pthread_mutex_unlock(&agent->lock);
    }
    if (stand_back(agent, 0)) ep_wake(agent->ep->sh);
}

bool drive_before_quiet_push(ep_t *ep)
{
    return n_quiet < MAX_QUIET && could_drive(agent_here, ep) && claim(agent_here, ep) && ++n_quiet > 0;
}

void drive_after_quiet_push(void)
{
    (void)stand_back(agent_here, 0);
}

void drive_install(agent_t *agent)
{
    static const wait_progress_t progress = {.turn_fn = turn, .end_fn = end};
    wait_set_progress(agent != NULL && agent->node->multi_node ? &progress : NULL);
}
