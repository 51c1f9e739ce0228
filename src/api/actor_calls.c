/* actor_calls.c: the public calls on actors, and the numbers that keep a caller's calls in order.
 *
 * A caller is an endpoint, and on workers also the depth at which a task runs inside another's get: such a task must not stand behind a
 * call of the outer one that waits for it. Each caller numbers its calls to each actor from 0. */
#include "actor_worker.h"
#include "actors.h"
#include "error.h"
#include "functions.h"
#include "log.h"
#include "map.h"
#include "request.h"
#include "route.h"
#include "run.h"
#include "session.h"
#include "slot.h"
#include "submit.h"

#include <mray/actor.h>
#include <mray/object.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_BITS = 6, DEPTH_MAX = (1 << DEPTH_BITS) - 1 };

/* ---- numbers ---- */

static void free_numbers(ep_t *ep)
{
    base_map_fini(ep->exec);
    free(ep->exec);
    ep->exec = NULL;
}

static unsigned call_depth(void)
{
    unsigned depth = 0;
    for (const run_context_t *c = run_current; c != NULL && c->outer != NULL && depth < DEPTH_MAX; c = c->outer) depth++;
    return depth;
}

/* Number of the calling thread's next call to actor; valid until it calls another one. NULL: out of memory. */
static uint64_t *next_number(ep_t *ep, mray_actor actor, unsigned depth)
{
    if (ep->exec == NULL) {
        ep->exec = calloc(1, sizeof(base_map_t));
        if (ep->exec == NULL) return NULL;
        ep->exec_fini_fn = free_numbers;
    }
    base_map_t *numbers = ep->exec;
    base_key_t key = base_key128((uint64_t)actor.rank << 32 | actor.id, depth);
    uint64_t *number = base_map_find(numbers, key);
    if (number == NULL && base_map_put(numbers, key, 0) == MRAY_OK) number = base_map_find(numbers, key);
    return number;
}

static uint32_t caller_of(const ep_t *ep, unsigned depth)
{
    uint32_t incarnation = atomic_load_explicit(&ep->sh->incarnation, memory_order_relaxed);
    return (ep->gid & 0xffu) | depth << 8 | incarnation << (8 + DEPTH_BITS);
}

/* ---- checks ---- */

static int check_actor(const ep_t *ep, const char *what, mray_actor actor)
{
    if (mray_actor_is_nil(actor))
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: the actor's handle is nil, because the call that was to make or find it failed", what);
    if (actor.epoch != ep->node->epoch || actor.rank >= (uint32_t)ep->node->n_ranks)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: the actor's handle is not of this session", what);
    return MRAY_OK;
}

/* "counter.add" is no method of an actor of class "journal"; a name without a dot is anybody's. */
static int check_class(mray_actor actor, const mray_function *method)
{
    const mray_function *cls = functions_at(actor.maker);
    const char *dot = strrchr(method->name, '.');
    if (cls == NULL || dot == NULL) return MRAY_OK;
    size_t n = (size_t)(dot - method->name);
    if (strlen(cls->name) == n && strncmp(cls->name, method->name, n) == 0) return MRAY_OK;
    return base_error(MRAY_ERR_TYPE, "mray_call(%s): the actor is of class '%s'", method->name, cls->name);
}

static int check_method(mray_actor actor, const mray_function *method)
{
    if (method == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_actor_submit: method is NULL");
    if (functions_at(method->index) != method)
        return base_error(MRAY_ERR_TASK_NOT_FOUND, "mray_call(%s): the method is not registered; define it by MRAY_METHOD, or call "
                          "mray_function_register() on every rank before mray_init()", method->name != NULL ? method->name : "?");
    return check_class(actor, method);
}

static int check_name(const char *what, const char *label, const char *name, char *out)
{
    size_t n = strlen(name);
    if (n == 0 || n >= ACTOR_NAME_BYTES)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: the %s has %zu characters; 1 to %d are possible", what, label, n, ACTOR_NAME_BYTES - 1);
    memcpy(out, name, n + 1);
    return MRAY_OK;
}

/* ---- calls ---- */

static bool has_refs(const mray_arg *args, int n_args)
{
    for (int i = 0; i < n_args; i++)
        if (args[i].type.dtype == MRAY_REF && !args[i].type.is_array) return true;
    return false;
}

/* Is it dead, as far as this node knows? */
static bool is_dead(const ep_t *ep, mray_actor actor, uint16_t target)
{
    if (target != 0) return atomic_load(&ep_shared_at(ep->node, target)->actor) != actor.id;
    _Atomic uint64_t *dead = ep->node->segs[0].hdr->dead_actors;
    for (int i = 0; i < SEG_DEAD_ACTORS; i++)
        if (atomic_load(&dead[i]) == ((uint64_t)actor.rank << 32 | actor.id)) return true;
    return false;
}

/* Calls that wait for arguments fail when the actor dies: its death is noted, then they are looked for. This one was submitted first, then the
 * note is looked at: one of both sees it. */
static void look_for_death(ep_t *ep, mray_actor actor, uint16_t target)
{
    if (!is_dead(ep, actor, target)) return;
    actors_gone_t gone;
    memset(&gone, 0, sizeof gone);
    gone.rank = actor.rank;
    gone.id = actor.id;
    (void)route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), CONTROL_ACTOR_GONE, &gone, sizeof gone);
}

static int submit_to(ep_t *ep, mray_actor actor, record_kind_t kind_of, const mray_function *f, const mray_arg *args, int n_args,
                     const mray_task_opts *opts, mray_ref *refs_p)
{
    int place = ep->node->node_rank_of[actor.rank];
    submit_kind_t kind = {.kind = kind_of, .actor = actor.id, .actor_rank = actor.rank, .what = f->name};
    if (place >= 0) kind.target = ep_gid(place, actor.id & 0xff);
    uint64_t *number = NULL;
    int status = MRAY_OK;
    if (kind_of == RECORD_METHOD) {
        unsigned depth = call_depth();
        number = next_number(ep, actor, depth);
        if (number == NULL) status = base_error(MRAY_ERR_OUT_OF_MEMORY, "mray_call(%s): no memory to number the call", f->name);
        kind.caller = caller_of(ep, depth);
        kind.seq = number != NULL ? (uint32_t)*number : 0;
    }
    if (status == MRAY_OK)
        status = submit_call(ep, &kind, f, args, n_args, opts, refs_p);
    else
        submit_fail_refs(refs_p, opts != NULL && opts->num_returns > 0 ? opts->num_returns : 1, status);
    if (status != MRAY_OK) return status;
    if (number != NULL) ++*number;
    if (has_refs(args, n_args)) look_for_death(ep, actor, kind.target);
    return MRAY_OK;
}

int mray_actor_submit(mray_actor actor, const mray_function *method, const mray_arg *args, int n_args, const mray_task_opts *opts, mray_ref *refs_p)
{
    int n_refs = opts != NULL && opts->num_returns > 0 ? opts->num_returns : 1;
    if (refs_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_actor_submit: refs_p is NULL");
    ep_t *ep = session_endpoint("mray_call");
    int status = ep == NULL ? MRAY_ERR_NOT_INITIALIZED : check_actor(ep, "mray_call", actor);
    if (status == MRAY_OK) status = check_method(actor, method);
    if (status != MRAY_OK) {
        submit_fail_refs(refs_p, n_refs, status);
        return status;
    }
    return submit_to(ep, actor, RECORD_METHOD, method, args, n_args, opts, refs_p);
}

mray_ref mray_actor_submit_one(mray_actor actor, const mray_function *method, const mray_arg *args, int n_args)
{
    mray_ref ref;
    if (mray_actor_submit(actor, method, args, n_args, NULL, &ref) != MRAY_OK) log_warn("%s", mray_error_message());
    return ref;
}

/* ---- making ---- */

static int check_options(const mray_actor_opts *o, actors_place_t *place)
{
    int status = MRAY_OK;
    if (!(o->num_cpus >= 0 && o->num_cpus <= 100000) || !(o->resource_amount >= 0 && o->resource_amount <= 100000))
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_actor_create: num_cpus and resource_amount go from 0 to 100000");
    if (o->strategy != MRAY_SCHED_DEFAULT && o->strategy != MRAY_SCHED_SPREAD)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_actor_create: strategy is %d; use MRAY_SCHED_DEFAULT or MRAY_SCHED_SPREAD", (int)o->strategy);
    if (o->name != NULL) status = check_name("mray_actor_create", "name", o->name, place->name);
    if (status == MRAY_OK && o->resource != NULL) status = check_name("mray_actor_create", "resource's name", o->resource, place->resource);
    place->num_cpus = o->num_cpus;
    place->resource_amount = o->resource == NULL ? 0 : o->resource_amount == 0 ? 1 : o->resource_amount;
    place->detached = o->detached != 0;
    place->strategy = o->strategy == MRAY_SCHED_SPREAD ? NODE_STRATEGY_SPREAD : NODE_STRATEGY_DEFAULT;
    return status;
}

int mray_actor_create(const mray_actor_class *cls, const mray_arg *args, int n_args, const mray_actor_opts *opts, mray_actor *actor_p)
{
    static const mray_actor_opts defaults;
    mray_actor actor;
    mray_ref made;
    actors_place_t place;
    if (actor_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_actor_create: actor_p is NULL");
    memset(actor_p, 0, sizeof *actor_p);
    memset(&place, 0, sizeof place);
    ep_t *ep = session_endpoint("mray_actor_create");
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    if (cls == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_actor_create: cls is NULL");
    if (functions_at(cls->construct.index) != &cls->construct)
        return base_error(MRAY_ERR_TASK_NOT_FOUND, "mray_actor_create(%s): the class is not registered; define it by MRAY_ACTOR, or call "
                          "mray_function_register() with its constructor on every rank before mray_init()", cls->construct.name != NULL ? cls->construct.name : "?");
    int status = check_options(opts != NULL ? opts : &defaults, &place);
    if (status != MRAY_OK) return status;
    place.maker = actors_maker(ep->sh, ep->node->rank, ep->gid);
    place.class_fn = cls->construct.index;
    status = request_call(ep, CONTROL_ACTOR_PLACE, &place, sizeof place, &actor, sizeof actor);
    if (status != MRAY_OK) return status;
    status = submit_to(ep, actor, RECORD_ACTOR, &cls->construct, args, n_args, NULL, &made);
    if (status != MRAY_OK) {
        char why[BASE_ERROR_MAX];
        snprintf(why, sizeof why, "%s", mray_error_message());
        (void)mray_actor_kill(actor);
        base_error_set(why);
        return status;
    }
    (void)mray_release(made); /* a failure is told by the calls */
    *actor_p = actor;
    return MRAY_OK;
}

mray_actor mray_actor_create_one(const mray_actor_class *cls, const mray_arg *args, int n_args, const mray_actor_opts *opts)
{
    mray_actor actor;
    if (mray_actor_create(cls, args, n_args, opts, &actor) != MRAY_OK) log_warn("%s", mray_error_message());
    return actor;
}

/* ---- finding and ending ---- */

int mray_actor_find(const char *name, mray_actor *actor_p)
{
    actors_find_t find;
    mray_actor actor;
    if (actor_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_actor_find: actor_p is NULL");
    memset(actor_p, 0, sizeof *actor_p);
    memset(&find, 0, sizeof find);
    ep_t *ep = session_endpoint("mray_actor_find");
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    if (name == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_actor_find: name is NULL");
    int status = check_name("mray_actor_find", "name", name, find.name);
    if (status == MRAY_OK) status = request_call(ep, CONTROL_ACTOR_FIND, &find, sizeof find, &actor, sizeof actor);
    if (status == MRAY_OK) *actor_p = actor;
    return status;
}

int mray_actor_kill(mray_actor actor)
{
    ep_t *ep = session_endpoint("mray_actor_kill");
    int status = ep == NULL ? MRAY_ERR_NOT_INITIALIZED : check_actor(ep, "mray_actor_kill", actor);
    if (status != MRAY_OK) return status;
    actors_kill_t body = {.rank = actor.rank, .id = actor.id, .end = ACTOR_END_KILLED};
    uint64_t deadline = 0;
    int place = ep->node->node_rank_of[actor.rank];
    ep_shared_t *sh = place >= 0 ? ep_shared_at(ep->node, ep_gid(place, actor.id & 0xff)) : NULL;
    if (sh != NULL && atomic_load(&sh->actor) == actor.id) { /* from here on it begins no call */
        uint32_t none = ACTOR_END_NONE;
        atomic_compare_exchange_strong(&sh->actor_end, &none, ACTOR_END_KILLED);
        ep_wake(sh);
    }
    while (route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), CONTROL_ACTOR_KILL, &body, sizeof body) != MRAY_OK)
        if (!submit_wait_for_room(ep, &deadline)) return base_error(MRAY_ERR_LIMIT, "mray_actor_kill: too many tasks are unfinished; wait for some");
    return MRAY_OK;
}

int mray_actor_stop(mray_actor actor)
{
    static const mray_function stop = {.name = "mray_actor_stop", .ret = {.dtype = MRAY_VOID}, .index = ACTOR_FN_STOP};
    mray_ref done;
    ep_t *ep = session_endpoint("mray_actor_stop");
    int status = ep == NULL ? MRAY_ERR_NOT_INITIALIZED : check_actor(ep, "mray_actor_stop", actor);
    if (status == MRAY_OK) status = submit_to(ep, actor, RECORD_METHOD, &stop, NULL, 0, NULL, &done);
    if (status == MRAY_OK) (void)mray_release(done);
    return status;
}
