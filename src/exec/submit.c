/* submit.c: check, take a slot and a record, pack, register with what is not ready, hand on.
 *
 * Order matters for a submitter that dies in between: the record is BUILDING until everything in it is complete. What it holds
 * is noted in `held` as it is taken. From WAITING on it exists whether its submitter lives or not. */
#include "submit.h"

#include "acquire.h"
#include "args.h"
#include "clock.h"
#include "control.h"
#include "drive.h"
#include "error.h"
#include "functions.h"
#include "node_table.h"
#include "object.h"
#include "prefetch.h"
#include "producer.h"
#include "route.h"
#include "slot.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DEFAULT_RETRIES = 3 };
static const uint64_t ROOM_WAIT_NS = 10000000000u, CROWDED_NS = 10000000u;

/* What the arguments of one call come to. */
typedef struct {
    unsigned n_refs;
    uint32_t body_bytes;
    mray_ref refs[MRAY_MAX_ARGS];
    sid_t sids[MRAY_MAX_ARGS]; /* 0: a ref of another node that is only passed on */
    uint16_t by_value;   /* by ref argument */
    uint16_t ref_params; /* by parameter */
    uint16_t temporary;  /* by ref argument: an object made here for a large value */
    uint16_t proxy;      /* by ref argument: sids[i] is a proxy, held for this call */
} plan_t;

/* The sentences of this thread's last failed calls, for a get of what they returned. */
enum { REMEMBERED_FAILURES = 8 };
static _Thread_local struct {
    uint32_t serial; /* of the next */
    char text[REMEMBERED_FAILURES][BASE_ERROR_MAX];
} failures;

void submit_fail_refs(mray_ref *refs, int n, int status)
{
    uint32_t serial = ++failures.serial;
    snprintf(failures.text[serial % REMEMBERED_FAILURES], BASE_ERROR_MAX, "%s", mray_error_message());
    for (int i = 0; i < n; i++) refs[i] = (mray_ref){.rank = serial, .gen = (uint32_t)status};
}

const char *submit_failure_text(mray_ref nil)
{
    bool remembered = nil.rank != 0 && nil.rank <= failures.serial && failures.serial - nil.rank < REMEMBERED_FAILURES;
    return remembered ? failures.text[nil.rank % REMEMBERED_FAILURES] : mray_status_text((int)nil.gen);
}

bool submit_wait_for_room(ep_t *ep, uint64_t *deadline_p)
{
    uint64_t now_ns = base_clock_ns();
    if (*deadline_p == 0) *deadline_p = now_ns + ROOM_WAIT_NS;
    if (now_ns >= *deadline_p) return false;
    /* Records that were run inside gets stand in queues, which let go of them when they come to them: perhaps never, if all wait like this one. And
     * a few freed ones are known only to who freed them. The walk through the queues is long, so it is asked for after 10 ms, 20, 40 ... */
    static _Thread_local uint64_t ask_ns;
    uint64_t waited_ns = now_ns - (*deadline_p - ROOM_WAIT_NS);
    if (waited_ns >= CROWDED_NS && now_ns >= ask_ns) {
        ask_ns = now_ns + waited_ns;
        atomic_store(&ep->seg->hdr->crowded, 1);
        ep_wake(ep_shared_at(ep->node, ep_gid(ep->node->node_rank, SEG_EP_AGENT)));
    }
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL); /* the tables are full: back-pressure, not a hot path */
    return true;
}

int submit_resolve(ep_t *ep, mray_ref ref, uint32_t *sid_p, bool *proxy_p)
{
    *proxy_p = false;
    int status = slot_find(ep, ref, sid_p);
    if (status != MRAY_OK || *sid_p != 0) return status;
    status = acquire_proxy(ep, ref, sid_p);
    *proxy_p = status == MRAY_OK;
    return status;
}

/* Of its arrays only what n_refs says is ever read; to clear them all would cost as much as the rest. */
static void plan_begin(plan_t *plan)
{
    plan->n_refs = 0;
    plan->body_bytes = 0;
    plan->by_value = plan->ref_params = plan->temporary = plan->proxy = 0;
}

/* A large value becomes an object. */
static int put_temporary(ep_t *ep, const mray_type *param, const mray_arg *arg, mray_ref *ref_p)
{
    object_value_t v = {.type = *param, .ndim = param->is_array ? 1 : 0, .data = arg->data, .bytes = arg->n * param->size};
    v.dims[0] = arg->n;
    uint64_t deadline = 0;
    sid_t sid;
    while ((sid = slot_alloc(ep, 1)) == 0)
        if (!submit_wait_for_room(ep, &deadline)) return base_error(MRAY_ERR_LIMIT, "no object slot became free; release refs or raise MRAY_MAX_OBJECTS");
    int status = object_stage(ep, sid, &v);
    if (status != MRAY_OK) {
        slot_give_back(ep, sid);
        return status;
    }
    object_publish(ep, sid);
    *ref_p = slot_ref(ep, sid);
    return MRAY_OK;
}

static int plan_arguments(ep_t *ep, const char *what, const mray_function *f, const mray_arg *args, int n_args, plan_t *plan)
{
    if (n_args > MRAY_MAX_ARGS)
        return base_error(MRAY_ERR_TOO_MANY_ARGUMENTS, "%s: %d arguments, but a task takes %d at most; put several values into a struct or an array", what, n_args,
                          MRAY_MAX_ARGS);
    if (n_args != f->n_params || (n_args > 0 && args == NULL))
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: %d arguments given, %d expected", what, n_args, f->n_params);
    for (int p = 0; p < n_args; p++) {
        int status = args_check(what, p, &f->params[p], &args[p]);
        if (status != MRAY_OK) return status;
    }
    for (int p = 0; p < n_args; p++) {
        const mray_arg *arg = &args[p];
        bool is_ref = arg->type.dtype == MRAY_REF && !arg->type.is_array;
        uint32_t bytes = is_ref ? 0 : args_packed_bytes(&f->params[p], arg);
        if (is_ref) {
            memcpy(&plan->refs[plan->n_refs], arg->data, sizeof(mray_ref));
        } else if (bytes > ARGS_MAX_INLINE || plan->body_bytes + bytes > ARGS_MAX_BODY) {
            int status = put_temporary(ep, &f->params[p], arg, &plan->refs[plan->n_refs]);
            if (status != MRAY_OK) return status;
            plan->temporary |= (uint16_t)(1u << plan->n_refs);
        } else {
            plan->body_bytes += bytes;
            continue;
        }
        plan->ref_params |= (uint16_t)(1u << p);
        if (f->params[p].dtype != MRAY_REF || f->params[p].is_array) plan->by_value |= (uint16_t)(1u << plan->n_refs);
        plan->n_refs++;
    }
    return MRAY_OK;
}

/* What a slot says of its value: since the submission, if it is pending. Its producer may be writing the same fields: a wrong "no" is looked into, and
 * a wrong "yes" is found when the task runs. */
static bool looks_right(const slot_t *slot, const mray_type *param)
{
    return slot_peek(slot, dtype) == param->dtype && (slot_peek(slot, ndim) > 0) == (param->is_array != 0) && (param->is_array || slot_peek(slot, bytes) == param->size);
}

/* A pending object that a task of this node makes as its first result has the type that the function table says. All others are looked at when
 * the task runs. In the common case this costs two bytes of a cache line that the submitter is about to change anyway. */
static int check_pending(ep_t *ep, const char *what, int p, const mray_type *param, sid_t sid)
{
    producer_t made;
    if (!producer_find(ep, sid, &made) || made.result != 0) return MRAY_OK;
    const mray_function *maker = functions_at(made.seen.fn);
    return maker != NULL ? args_check_result(what, p, param, maker) : MRAY_OK;
}

/* The type of a value is known when it is ready. */
static int check_value(ep_t *ep, const char *what, int p, const mray_type *param, sid_t sid)
{
    const slot_t *slot = slot_at(ep, sid);
    mray_view view;
    if (looks_right(slot, param)) return MRAY_OK;
    if (!slot_is_ready(slot)) return check_pending(ep, what, p, param, sid);
    if (object_is_error(slot) || slot->kind == SLOT_KIND_REMOTE || object_look(ep, slot, &view) != MRAY_OK) return MRAY_OK;
    if (args_object_fits(param, &view.type, view.ndim, view.size)) return MRAY_OK;
    return base_error(MRAY_ERR_TYPE, "%s: argument %d is a ref to %s%s of %zu bytes, but the parameter is %s%s of %u bytes%s", what, p + 1,
                      view.ndim > 0 ? "an array of " : "", mray_dtype_name(view.type.dtype), view.size, param->is_array ? "an array of " : "",
                      mray_dtype_name(param->dtype), param->size, param->is_array ? " each" : "");
}

/* The slots of the refs lie with whoever changed them last: they are asked for together. */
static void fetch_slots(const ep_t *ep, const plan_t *plan)
{
    for (unsigned i = 0; i < plan->n_refs; i++) {
        sid_t sid = slot_guess(ep, plan->refs[i]);
        if (sid != 0) base_prefetch_to_write(slot_at(ep, sid));
    }
}

/* Find the slot of every ref before anything is built, so that nothing can fail afterwards. */
static int resolve_refs(ep_t *ep, const char *what, const mray_function *f, plan_t *plan)
{
    int p = -1; /* the parameter of ref argument i */
    fetch_slots(ep, plan);
    for (unsigned i = 0; i < plan->n_refs; i++) {
        do p++;
        while ((plan->ref_params >> p & 1) == 0);
        bool proxy = false, by_value = (plan->by_value >> i & 1) != 0;
        int status = by_value ? submit_resolve(ep, plan->refs[i], &plan->sids[i], &proxy) : slot_find(ep, plan->refs[i], &plan->sids[i]);
        if (status != MRAY_OK) {
            char why[BASE_ERROR_MAX];
            snprintf(why, sizeof why, "%s", mray_error_message());
            return base_error(status, "%s: ref argument %u: %s", what, i + 1, why);
        }
        if (proxy) {
            plan->proxy |= (uint16_t)(1u << i);
            plan->refs[i] = slot_ref(ep, plan->sids[i]);
        }
        if (by_value && (status = check_value(ep, what, p, &f->params[p], plan->sids[i])) != MRAY_OK) return status;
    }
    return MRAY_OK;
}

/* What the call made for itself; the record, if there is one, has holds of its own. */
static void plan_fini(ep_t *ep, const plan_t *plan)
{
    if ((plan->temporary | plan->proxy) == 0) return;
    for (unsigned i = 0; i < plan->n_refs; i++) {
        sid_t sid;
        if ((plan->temporary >> i & 1) != 0 && slot_find(ep, plan->refs[i], &sid) == MRAY_OK) slot_change(ep, sid, RC_DROP_CREATOR);
        if ((plan->proxy >> i & 1) != 0) (void)slot_drop_own(ep, plan->sids[i]);
    }
}

static void pack_values(ep_t *ep, record_t *rec, const mray_function *f, const mray_arg *args, int n_args)
{
    uint32_t off = 0;
    for (int p = 0; p < n_args; p++) {
        if ((rec->ref_params >> p & 1) != 0) continue;
        const mray_type *param = &f->params[p];
        if (param->is_array) {
            uint64_t n = args[p].n;
            record_write(ep, rec, off, &n, 8);
            record_write(ep, rec, off + 8, args[p].data, (uint32_t)(n * param->size));
        } else {
            uint8_t value[ARGS_MAX_INLINE];
            bool same = args[p].type.dtype == param->dtype;
            if (!same) (void)args_convert(param, &args[p], value); /* args_check() has seen that it fits */
            record_write(ep, rec, off, same ? args[p].data : value, param->size);
        }
        off += args_packed_bytes(param, &args[p]);
    }
}

/* Hold every ref argument; stand in the waiter list of those that are not ready. The bits of pending that nobody is going to clear. */
static uint32_t attach_refs(ep_t *ep, rid_t rid, record_t *rec, const plan_t *plan)
{
    uint32_t waits = 0, ready = 0;
    for (unsigned i = 0; i < plan->n_refs; i++) {
        record_set_ref(ep, rec, i, plan->refs[i]);
        sid_t sid = plan->sids[i];
        if (sid == 0) continue;
        slot_hold_for(ep, sid, rid, i);
        if ((plan->by_value >> i & 1) != 0 && !slot_is_ready(slot_at(ep, sid))) waits |= 1u << i;
    }
    atomic_store_explicit(&rec->pending, RECORD_GUARD | waits, memory_order_relaxed);
    for (; waits != 0; waits &= waits - 1) {
        unsigned i = (unsigned)__builtin_ctz(waits);
        if (!slot_add_waiter(ep, plan->sids[i], rid, i)) ready |= 1u << i;
    }
    return RECORD_GUARD | ready;
}

static int take_room(ep_t *ep, const char *what, const plan_t *plan, uint32_t n_returns, sid_t *ret_p, rid_t *rid_p, record_t **rec_p)
{
    uint64_t deadline = 0;
    sid_t ret;
    while ((ret = slot_alloc(ep, n_returns)) == 0)
        if (!submit_wait_for_room(ep, &deadline))
            return base_error(MRAY_ERR_LIMIT, "%s: no object slot became free; release refs or raise MRAY_MAX_OBJECTS", what);
    rid_t rid;
    while ((rid = record_alloc(ep, plan->n_refs, plan->body_bytes, rec_p)) == 0)
        if (!submit_wait_for_room(ep, &deadline)) {
            for (uint32_t i = 0; i < n_returns; i++) slot_give_back(ep, ret + i);
            return base_error(MRAY_ERR_LIMIT, "%s: too many tasks are unfinished; wait for some or raise MRAY_MAX_TASKS", what);
        }
    *ret_p = ret;
    *rid_p = rid;
    return MRAY_OK;
}

/* Records carry the hash of a resource's name. The agent is told the name once a thread, for its messages. */
static uint32_t name_resource(ep_t *ep, const char *name)
{
    enum { REMEMBERED = 16 };
    static _Thread_local struct {
        uint32_t epoch, hash;
    } told[REMEMBERED];
    node_resource_t row = {.hash = node_resource_hash(name)};
    unsigned at = row.hash % REMEMBERED;
    if (told[at].hash == row.hash && told[at].epoch == ep->node->epoch) return row.hash;
    snprintf(row.name, sizeof row.name, "%s", name);
    if (route_control(ep, ep_gid(ep->node->node_rank, SEG_EP_AGENT), CONTROL_RESOURCE_NAME, &row, sizeof row) == MRAY_OK) {
        told[at].hash = row.hash;
        told[at].epoch = ep->node->epoch;
    }
    return row.hash;
}

/* num_cpus, a custom resource, a strategy; tasks of one CPU and nothing else take the direct way. */
static void set_shape(ep_t *ep, record_t *rec, const mray_task_opts *o)
{
    double cpus = o->num_cpus == 0 ? 1 : o->num_cpus < 0 ? 0 : o->num_cpus;
    if (cpus == 1 && o->resource == NULL && o->strategy == MRAY_SCHED_DEFAULT) return;
    record_set(rec, shape, 1);
    record_set(rec, shape_cpu, (uint32_t)(cpus * SHAPE_UNIT + 0.5) | (o->strategy == MRAY_SCHED_SPREAD ? RECORD_CPU_SPREAD : 0));
    if (o->resource != NULL) {
        rec->shape_resource = name_resource(ep, o->resource);
        rec->shape_amount = (uint32_t)((o->resource_amount == 0 ? 1 : o->resource_amount) * SHAPE_UNIT + 0.5);
    }
}

static int8_t retries_of(const mray_task_opts *o, record_kind_t kind)
{
    if (kind != RECORD_TASK) return 0; /* a method runs at most once */
    if (o->max_retries == MRAY_RETRY_FOREVER) return -1;
    if (o->max_retries == MRAY_NO_RETRY) return 0;
    return (int8_t)(o->max_retries == 0 ? DEFAULT_RETRIES : o->max_retries > INT8_MAX ? INT8_MAX : o->max_retries);
}

static int check_options(const char *what, const mray_task_opts *o)
{
    if (o->num_returns < 0 || o->num_returns > MRAY_MAX_RETURNS)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: num_returns is %d; 1 to %d are possible", what, o->num_returns, MRAY_MAX_RETURNS);
    if (o->max_retries < MRAY_RETRY_FOREVER)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: max_retries is %d; use MRAY_NO_RETRY, MRAY_RETRY_FOREVER or a number above 0", what, o->max_retries);
    if (o->resource != NULL && (o->resource[0] == 0 || strlen(o->resource) >= NODE_RESOURCE_NAME))
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: resource is '%.60s'; names have 1 to %d characters", what, o->resource, NODE_RESOURCE_NAME - 1);
    if (!(o->num_cpus >= -1 && o->num_cpus <= 100000) || !(o->resource_amount >= 0 && o->resource_amount <= 100000))
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: num_cpus and resource_amount go from 0 to 100000", what);
    if (o->strategy != MRAY_SCHED_DEFAULT && o->strategy != MRAY_SCHED_SPREAD)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: strategy is %d; use MRAY_SCHED_DEFAULT or MRAY_SCHED_SPREAD", what, (int)o->strategy);
    return MRAY_OK;
}

int submit_call(ep_t *ep, const submit_kind_t *kind, const mray_function *f, const mray_arg *args, int n_args, const mray_task_opts *opts,
                mray_ref *refs_p)
{
    static const mray_task_opts defaults;
    const mray_task_opts *o = opts != NULL ? opts : &defaults;
    plan_t plan;
    plan_begin(&plan);
    sid_t ret = 0;
    rid_t rid = 0;
    record_t *rec = NULL;
    uint32_t n_returns = o->num_returns > 0 ? (uint32_t)o->num_returns : 1;
    int status = opts != NULL ? check_options(kind->what, o) : MRAY_OK;
    if (status == MRAY_OK) status = plan_arguments(ep, kind->what, f, args, n_args, &plan);
    if (kind->kind != RECORD_TASK) plan.body_bytes += (uint32_t)sizeof(record_tail_t);
    if (status == MRAY_OK) status = resolve_refs(ep, kind->what, f, &plan);
    if (status == MRAY_OK) status = take_room(ep, kind->what, &plan, n_returns, &ret, &rid, &rec);
    if (status != MRAY_OK) {
        plan_fini(ep, &plan);
        submit_fail_refs(refs_p, o->num_returns > 0 ? o->num_returns : 1, status);
        return status;
    }
    record_set(rec, fn, f->index);
    record_set(rec, kind, (uint8_t)kind->kind);
    record_set(rec, n_returns, (uint16_t)n_returns);
    rec->retries_left = retries_of(o, kind->kind);
    rec->by_value = plan.by_value;
    rec->ref_params = plan.ref_params;
    mray_ref result = slot_ref(ep, ret);
    record_set_ret(rec, result);
    if (kind->kind == RECORD_TASK) {
        if (opts != NULL) set_shape(ep, rec, o);
    } else {
        record_set(rec, actor, kind->actor);
        rec->target = kind->target;
        rec->seq = kind->seq;
        rec->caller = kind->caller;
        record_tail_t tail = {.actor_rank = kind->actor_rank, .caller_rank = (uint32_t)ep->node->rank};
        record_write(ep, rec, rec->body_bytes - (uint32_t)sizeof tail, &tail, sizeof tail);
    }
    for (uint32_t i = 0; i < n_returns; i++) {
        slot_set_producer(slot_at(ep, ret + i), rid);
        refs_p[i] = result;
        result.slot++; /* those behind it, of the same generation */
    }
    slot_t *first = slot_at(ep, ret);
    slot_set(first, dtype, f->ret.dtype);
    slot_set(first, ndim, f->ret.is_array);
    slot_set(first, bytes, f->ret.is_array ? 0 : f->ret.size);
    pack_values(ep, rec, f, args, n_args);
    if (plan.n_refs > 0) {
        uint32_t done = attach_refs(ep, rid, rec, &plan);
        /* From here on the record exists: whoever clears the last bit hands it on. */
        uint64_t word = atomic_load_explicit(&rec->word, memory_order_relaxed);
        atomic_store_explicit(&rec->word, record_word(RECORD_WAITING, ep->gid, record_word_gen(word)), memory_order_release);
        bool ready = atomic_fetch_and_explicit(&rec->pending, ~done, memory_order_acq_rel) == done;
        plan_fini(ep, &plan);
        if (!ready) return MRAY_OK;
    }
    bool drives = drive_before_push(ep);
    route_ready(ep, rid);
    if (drives) drive_after_push();
    return MRAY_OK;
}
