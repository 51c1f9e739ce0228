/* actors.c: the agent of every rank: actors of this rank made and ended, calls passed on, calls to the dead answered. */
#include "actors.h"

#include "actors_head.h"
#include "crew.h"
#include "error.h"
#include "functions.h"
#include "log.h"
#include "object.h"
#include "record_peek.h"
#include "recover.h"
#include "remote.h"
#include "request.h"
#include "route.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reasons are kept for the last so many deaths; after that a call says only that the actor is dead. */
enum { MAX_OBITUARIES = 256 };
/* Bit of pending: an agent is failing the results of a call that waits for arguments. */
#define CANCEL_GUARD (1u << 30)

typedef struct {
    uint32_t rank, id;
    char *reason;
} obituary_t;

struct actors {
    agent_t *agent;
    actors_head_t *head; /* rank 0's */
    uint32_t n_made;     /* serial of the last */
    obituary_t obituaries[MAX_OBITUARIES];
    unsigned next_obituary, n_gone;
};

const char *actors_end_text(uint32_t end)
{
    return end == ACTOR_END_MAKER_DIED ? "was ended because the worker or actor that had made it died" : "was ended by mray_actor_kill()";
}

static ep_shared_t *shared_of(const actors_t *actors, uint32_t id)
{
    return ep_shared_at(actors->agent->node, ep_gid(actors->agent->node->node_rank, id & 0xff));
}

/* ---- the dead ---- */

static void remember(actors_t *actors, uint32_t rank, uint32_t id, const char *reason)
{
    obituary_t *o = &actors->obituaries[actors->next_obituary++ % MAX_OBITUARIES];
    free(o->reason);
    *o = (obituary_t){.rank = rank, .id = id, .reason = strdup(reason)};
}

static const char *known_reason(const actors_t *actors, uint32_t rank, uint32_t id)
{
    for (unsigned i = 0; i < MAX_OBITUARIES; i++)
        if (actors->obituaries[i].id == id && actors->obituaries[i].rank == rank && actors->obituaries[i].reason != NULL) return actors->obituaries[i].reason;
    return NULL;
}

static const char *reason_of(const actors_t *actors, uint32_t rank, uint32_t id)
{
    const char *reason = known_reason(actors, rank, id);
    return reason != NULL ? reason : "it has ended";
}

static void say_dead(const record_t *rec, uint32_t rank, const char *reason, char *text, size_t text_bytes)
{
    const mray_function *f = functions_at(rec->fn);
    snprintf(text, text_bytes, "the actor on rank %u that '%s' was called on is dead: %.380s", rank, f != NULL ? f->name : "mray_actor_stop", reason);
}

static void fail_call(actors_t *actors, rid_t rid, record_t *rec, uint32_t rank)
{
    char text[BASE_ERROR_MAX];
    say_dead(rec, rank, reason_of(actors, rank, rec->actor), text, sizeof text);
    run_fail(actors->agent->ep, rid, rec, MRAY_ERR_ACTOR_DIED, text);
}

static bool is_waiting_call(const record_peek_t *rec, uint32_t id)
{
    return record_word_state(rec->word) == RECORD_WAITING && (rec->kind == RECORD_METHOD || rec->kind == RECORD_ACTOR) && rec->actor == id;
}

/* A call to a dead actor whose arguments are not ready: its results fail now. The record itself stays until the arguments' slots
 * have let go of it; then it comes here without results.
 *
 * The guard keeps it from being handed on, and so from being freed and used again, while it is looked at. A record that turns out to be
 * another one only gets its bit back; whoever clears the last bit hands it on, here too. */
static void cancel_waiting(actors_t *actors, rid_t rid, record_t *rec, uint32_t rank, uint32_t id, const char *reason)
{
    ep_t *ep = actors->agent->ep;
    record_peek_t seen, now;
    record_tail_t tail;
    uint32_t pending = atomic_load(&rec->pending);
    do {
        if (pending == 0 || (pending & CANCEL_GUARD) != 0 || !record_peek(ep, rid, &seen) || !is_waiting_call(&seen, id)) return;
    } while (!atomic_compare_exchange_weak(&rec->pending, &pending, pending | CANCEL_GUARD));
    if (record_peek(ep, rid, &now) && now.word == seen.word && record_peek_tail(ep, rid, &now, &tail) && tail.actor_rank == rank) {
        char text[BASE_ERROR_MAX];
        sid_t ret = run_return_slot(ep, rec);
        say_dead(rec, rank, reason, text, sizeof text);
        for (uint32_t i = 0; i < rec->n_returns; i++) {
            object_stage_error(ep, ret + i, MRAY_ERR_ACTOR_DIED, text);
            object_publish(ep, ret + i);
        }
        record_set(rec, n_returns, 0);
    }
    if (atomic_fetch_and(&rec->pending, ~CANCEL_GUARD) == CANCEL_GUARD && record_word_state(atomic_load(&rec->word)) == RECORD_WAITING) route_ready(ep, rid);
}

static void cancel_all_waiting(actors_t *actors, uint32_t rank, uint32_t id)
{
    node_t *node = actors->agent->node;
    char reason[BASE_ERROR_MAX];
    snprintf(reason, sizeof reason, "%s", reason_of(actors, rank, id));
    for (int p = 0; p < node->n_node_ranks; p++) {
        uint32_t high = pool_high_water(&node->segs[p].hdr->records);
        for (uint32_t i = 1; i < high; i++) {
            rid_t rid = (rid_t)p << 24 | i;
            cancel_waiting(actors, rid, record_at(actors->agent->ep, rid), rank, id, reason);
        }
    }
}

static void on_gone(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    actors_gone_t gone;
    (void)src_rank;
    memcpy(&gone, body, sizeof gone);
    if (gone.reason[0] == 0) { /* an endpoint of this node made such a call later */
        int keeper = agent->node->node_rank_of[gone.rank] >= 0 ? (int)gone.rank : agent->node->rank_of[0];
        if (keeper != agent->node->rank) {
            agent_send(agent, keeper, CONTROL_ACTOR_GONE, body, bytes);
            return;
        }
    } else {
        remember(agent->actors, gone.rank, gone.id, gone.reason);
        atomic_store(&agent->ep->seg->hdr->dead_actors[agent->actors->n_gone++ % SEG_DEAD_ACTORS], (uint64_t)gone.rank << 32 | gone.id);
    }
    cancel_all_waiting(agent->actors, gone.rank, gone.id);
}

/* An actor or worker of this rank is dead. */
static void bury(actors_t *actors, actors_gone_t *dead)
{
    if (dead->id != 0) {
        remember(actors, dead->rank, dead->id, dead->reason);
        cancel_all_waiting(actors, dead->rank, dead->id);
    }
    agent_send(actors->agent, 0, CONTROL_ACTOR_DEAD, dead, sizeof *dead);
}

static void on_ends(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    actors_gone_t dead;
    (void)src_rank, (void)bytes;
    memcpy(&dead, body, sizeof dead);
    /* First 0, then the search for calls that wait: who submits one later looks at this word afterwards. */
    uint32_t id = dead.id;
    atomic_compare_exchange_strong(&shared_of(agent->actors, id)->actor, &id, 0);
    bury(agent->actors, &dead);
}

void actors_on_death(actors_t *actors, uint16_t gid)
{
    node_t *node = actors->agent->node;
    ep_shared_t *sh = ep_shared_at(node, gid);
    actors_gone_t dead;
    memset(&dead, 0, sizeof dead);
    dead.rank = (uint32_t)node->rank;
    dead.maker = actors_maker(sh, node->rank, gid);
    if (atomic_load(&sh->kind) == EP_KIND_ACTOR) {
        char how[96];
        dead.id = atomic_exchange(&sh->actor, 0);
        if (dead.id == 0) return; /* it had said so itself */
        recover_describe(sh, how, sizeof how);
        snprintf(dead.reason, sizeof dead.reason, "its worker %s", how);
    }
    bury(actors, &dead);
}

/* ---- calls ---- */

void actors_on_record(actors_t *actors, rid_t rid, record_t *rec)
{
    agent_t *agent = actors->agent;
    uint32_t rank = record_tail(agent->ep, rec).actor_rank;
    int place = rank < (uint32_t)agent->node->n_ranks ? agent->node->node_rank_of[rank] : agent->node->node_rank;
    if (place < 0) {
        if (rec->n_returns == 0)
            fail_call(actors, rid, rec, rank); /* its results have failed; what is left is to give the arguments back */
        else
            remote_forward(agent->remote, rid, (int)rank);
        return;
    }
    if (agent->node->multi_node && remote_localise(agent->remote, rid, rec)) return;
    uint16_t gid = ep_gid(place, rec->actor & 0xff);
    if (atomic_load(&ep_shared_at(agent->node, gid)->actor) == rec->actor && rec->n_returns > 0 && route_push(agent->ep, rid, rec, gid)) return;
    /* The actor's own agent knows how it died. Where it ended by itself, it has said so before it closed its inbox; but what it said may still
     * stand in the agent's: once more round behind it. */
    bool asks_again = place == agent->node->node_rank && known_reason(actors, rank, rec->actor) == NULL && rec->shape != RECORD_ASKED_AGAIN;
    if (asks_again) rec->shape = RECORD_ASKED_AGAIN;
    if ((asks_again || place != agent->node->node_rank) && route_push(agent->ep, rid, rec, ep_gid(place, SEG_EP_AGENT))) return;
    fail_call(actors, rid, rec, rank);
}

/* ---- making and ending ---- */

/* Is the endpoint that asks alive? If its death was dealt with already, nobody would end what it makes. */
static bool is_alive(const agent_t *agent, actor_maker_t maker)
{
    uint16_t gid = ep_gid(agent->node->node_rank, maker.number & 0xff);
    const ep_shared_t *sh = ep_shared_at(agent->node, gid);
    uint32_t state = atomic_load(&sh->state);
    return state != EP_UNUSED && state != EP_STARTING && actors_maker(sh, agent->node->rank, gid).number == maker.number;
}

static void on_place(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    actors_place_t place;
    (void)src_rank;
    memcpy(&place, body, sizeof place);
    if (place.maker.rank == (uint32_t)agent->node->rank && !is_alive(agent, place.maker)) return;
    if (agent->node->rank != 0)
        agent_send(agent, 0, CONTROL_ACTOR_PLACE, body, bytes);
    else
        actors_head_place(agent->actors->head, &place);
}

static void on_make(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    actors_t *actors = agent->actors;
    actors_made_t made;
    (void)src_rank, (void)bytes;
    memset(&made, 0, sizeof made);
    memcpy(&made.ticket, body, sizeof made.ticket);
    actors->n_made = (actors->n_made + 1) & 0xffffff;
    if (actors->n_made == 0) actors->n_made = 1;
    made.status = crew_spawn_actor(agent->crew, actors->n_made, &made.id);
    if (made.status != MRAY_OK) snprintf(made.text, sizeof made.text, "%s", mray_error_message());
    agent_send(agent, 0, CONTROL_ACTOR_MADE, &made, sizeof made);
}

static void on_made(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    actors_made_t made;
    (void)src_rank, (void)bytes;
    memcpy(&made, body, sizeof made);
    actors_head_made(agent->actors->head, &made);
}

static void on_find(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    actors_find_t find;
    (void)src_rank;
    memcpy(&find, body, sizeof find);
    if (agent->node->rank != 0)
        agent_send(agent, 0, CONTROL_ACTOR_FIND, body, bytes);
    else
        actors_head_find(agent->actors->head, &find);
}

static void on_kill(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    actors_kill_t kill;
    (void)src_rank;
    memcpy(&kill, body, sizeof kill);
    if (kill.relayed == 0) {
        kill.relayed = 1;
        agent_send(agent, 0, CONTROL_ACTOR_FORGET, &kill, bytes);
        agent_send(agent, (int)kill.rank, CONTROL_ACTOR_KILL, &kill, bytes);
        return;
    }
    ep_shared_t *sh = shared_of(agent->actors, kill.id);
    if (atomic_load(&sh->actor) != kill.id) return;
    uint32_t none = ACTOR_END_NONE;
    atomic_compare_exchange_strong(&sh->actor_end, &none, kill.end);
    ep_wake(sh);
    crew_kill(agent->crew, kill.id & 0xff);
}

static void on_forget(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    actors_kill_t kill;
    (void)src_rank, (void)bytes;
    memcpy(&kill, body, sizeof kill);
    actors_head_forget(agent->actors->head, kill.rank, kill.id);
}

static void on_dead(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    actors_gone_t dead;
    (void)src_rank, (void)bytes;
    memcpy(&dead, body, sizeof dead);
    actors_head_dead(agent->actors->head, &dead);
}

int actors_create(agent_t *agent, actors_t **actors_p)
{
    actors_t *actors = calloc(1, sizeof *actors);
    if (actors == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the actors");
    actors->agent = agent;
    int status = agent->node->rank == 0 ? actors_head_create(agent, &actors->head) : MRAY_OK;
    if (status != MRAY_OK) {
        free(actors);
        return status;
    }
    agent_register(agent, CONTROL_ACTOR_PLACE, on_place);
    agent_register(agent, CONTROL_ACTOR_MAKE, on_make);
    agent_register(agent, CONTROL_ACTOR_MADE, on_made);
    agent_register(agent, CONTROL_ACTOR_FIND, on_find);
    agent_register(agent, CONTROL_ACTOR_KILL, on_kill);
    agent_register(agent, CONTROL_ACTOR_FORGET, on_forget);
    agent_register(agent, CONTROL_ACTOR_ENDS, on_ends);
    agent_register(agent, CONTROL_ACTOR_DEAD, on_dead);
    agent_register(agent, CONTROL_ACTOR_GONE, on_gone);
    *actors_p = actors;
    return MRAY_OK;
}

void actors_rank_lost(actors_t *actors, int rank)
{
    actors_head_rank_lost(actors->head, rank);
}

int actors_round(actors_t *actors)
{
    return actors->head != NULL ? actors_head_round(actors->head) : 0;
}

void actors_destroy(actors_t *actors)
{
    if (actors == NULL) return;
    actors_head_destroy(actors->head);
    for (unsigned i = 0; i < MAX_OBITUARIES; i++) free(actors->obituaries[i].reason);
    free(actors);
}
