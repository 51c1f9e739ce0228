/* run.c: the life of a task from claimed to freed.
 *
 * Results are staged in slots that nobody reads yet. Then one store makes the record COMMITTED: before it a death means that the
 * task is run again or fails, after it the agent publishes what is staged. So no result is published twice and none is lost. */
#include "run.h"

#include "acquire.h"
#include "clock.h"
#include "functions.h"
#include "log.h"
#include "object.h"
#include "prefetch.h"
#include "runq.h"
#include "submit.h"
#include "tsan.h"
#include "wait.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETURN_ON_STACK = 512 };

_Thread_local run_context_t *run_current;

sid_t run_return_slot(const ep_t *ep, const record_t *rec)
{
    return (sid_t)ep->node->node_rank_of[rec->ret.rank] << 24 | rec->ret.slot;
}

/* The result slots are this task's from here on. */
static void take_results(const ep_t *ep, const record_t *rec)
{
    for (uint32_t i = 0; BASE_TSAN && i < rec->n_returns; i++) (void)slot_to_write(ep, run_return_slot(ep, rec) + i);
}

/* A result that stayed on another node. An agent brings such arguments here before it hands a task on; one that is claimed inside a get, on its
 * way to the agent, brings them itself. */
static int fetch_copy(run_context_t *c, mray_ref ref, sid_t *sid_p)
{
    int status = acquire_proxy(c->ep, ref, sid_p);
    if (status != MRAY_OK) return status;
    c->copies[c->n_copies++] = *sid_p;
    (void)wait_slots(c->ep, sid_p, 1, 1, BASE_FOREVER);
    return MRAY_OK;
}

/* A scalar in its slot: most arguments are. */
static bool is_inline_scalar(const slot_t *slot, const mray_type *param)
{
    return slot_is_ready(slot) && slot->kind == SLOT_KIND_INLINE && slot->ndim == 0 && !param->is_array && slot->dtype == param->dtype && slot->bytes == param->size;
}

/* One argument that is given by a ref: its value where it lies. args[p] points into slot or arena. */
static int gather_value(run_context_t *c, int p, unsigned i, mray_array_any *array, void **arg_p)
{
    sid_t sid;
    mray_view view;
    const mray_type *param = &c->function->params[p];
    mray_ref ref = record_ref(c->ep, c->rec, i)->ref;
    sid_t held = (atomic_load_explicit(&c->rec->held, memory_order_relaxed) >> i & 1) != 0 ? slot_guess(c->ep, ref) : 0;
    if (held != 0 && is_inline_scalar(slot_at(c->ep, held), param)) {
        *arg_p = slot_at(c->ep, held)->u.value;
        return MRAY_OK;
    }
    int status = slot_find(c->ep, ref, &sid);
    if (status == MRAY_OK && slot_at(c->ep, sid)->kind == SLOT_KIND_REMOTE) status = fetch_copy(c, ref, &sid);
    if (status == MRAY_OK) status = object_look(c->ep, slot_at(c->ep, sid), &view);
    if (status != MRAY_OK) return status;
    if (!args_object_fits(param, &view.type, view.ndim, view.size))
        return base_error(MRAY_ERR_TYPE, "argument %d of '%s' is %s%s of %zu bytes, but the parameter is %s%s of %u bytes%s", p + 1, c->function->name,
                          view.ndim > 0 ? "an array of " : "", mray_dtype_name(view.type.dtype), view.size, param->is_array ? "an array of " : "",
                          mray_dtype_name(param->dtype), param->size, param->is_array ? " each" : "");
    if (!param->is_array) {
        *arg_p = (void *)(uintptr_t)view.data;
        return MRAY_OK;
    }
    *array = (mray_array_any){.data = (void *)(uintptr_t)view.data, .n = param->size > 0 ? view.size / param->size : 0, .ndim = view.ndim};
    if (view.ndim > 1) array->dims = payload_view(c->ep, &slot_at(c->ep, sid)->u.where)->dims;
    *arg_p = array;
    return MRAY_OK;
}

/* values: room for the body. Inline values are copied there, since extensions are not contiguous. */
static int gather(run_context_t *c, uint8_t *values, mray_array_any *arrays, mray_ref *refs, void **args)
{
    const mray_function *f = c->function;
    unsigned i = 0;
    uint32_t off = 0;
    record_read(c->ep, c->rec, 0, values, c->rec->body_bytes);
    for (int p = 0; p < f->n_params; p++) {
        const mray_type *param = &f->params[p];
        if ((c->rec->ref_params >> p & 1) != 0) {
            if ((c->rec->by_value >> i & 1) != 0) {
                int status = gather_value(c, p, i, &arrays[p], &args[p]);
                if (status != MRAY_OK) return status;
            } else {
                refs[p] = record_ref(c->ep, c->rec, i)->ref;
                args[p] = &refs[p];
            }
            i++;
        } else if (param->is_array) {
            uint64_t n;
            memcpy(&n, values + off, 8);
            arrays[p] = (mray_array_any){.data = values + off + 8, .n = n, .ndim = 1};
            args[p] = &arrays[p];
            off += 8 + (uint32_t)(n * param->size + 7) / 8 * 8;
        } else {
            args[p] = values + off;
            off += (param->size + 7) / 8 * 8;
        }
    }
    return MRAY_OK;
}

static void stage_failure(run_context_t *c, int status, const char *text)
{
    for (uint32_t i = 0; i < c->rec->n_returns; i++) {
        object_unstage(c->ep, c->ret + i);
        object_stage_error(c->ep, c->ret + i, status, text);
    }
    c->status = status;
}

/* A ref that is returned takes its hold along: the creator's becomes a common one, a borrowed one is held once more. */
static void hand_over_ref(run_context_t *c, mray_ref ref)
{
    sid_t sid;
    if (mray_ref_is_nil(ref) || slot_find(c->ep, ref, &sid) != MRAY_OK) return;
    if (sid == 0) { /* another node's: its owner must know before the caller can let go of it */
        (void)submit_retain_remote(c->ep, ref, false);
        return;
    }
    const slot_t *slot = slot_at(c->ep, sid);
    bool made_here = (atomic_load(&slot->rc) & SLOT_RC_CREATOR) != 0 && slot->creator_index == (c->ep->gid & 0xff) && sid >> 24 == c->ep->gid >> 8;
    slot_change(c->ep, sid, made_here ? RC_CREATOR_TO_HOLD : RC_HOLD);
}

/* What the function returned, into its slot. */
static int stage_result(run_context_t *c, const void *ret)
{
    const mray_type *type = &c->function->ret;
    object_value_t v = {.type = *type, .data = ret, .bytes = type->size};
    if (type->dtype == MRAY_VOID) v.bytes = 0;
    if (type->dtype == MRAY_REF && !type->is_array) hand_over_ref(c, *(const mray_ref *)ret);
    if (type->is_array) {
        const mray_array_any *array = ret;
        v.ndim = array->ndim > 1 && array->dims != NULL && array->ndim <= MRAY_MAX_DIMS ? array->ndim : 1;
        v.data = array->data;
        v.bytes = array->n * type->size;
        v.dims[0] = array->n;
        if (v.ndim > 1) memcpy(v.dims, array->dims, (size_t)v.ndim * sizeof v.dims[0]);
        if (array->data == NULL && array->n > 0)
            return base_error(MRAY_ERR_TASK, "task '%s' returned an array of %zu elements at NULL", c->function->name, array->n);
    }
    if (c->return_data != NULL && v.data == c->return_data && v.bytes <= c->return_bytes) {
        slot_t *slot = slot_at(c->ep, c->ret);
        if (slot->kind == SLOT_KIND_PAYLOAD) memcpy(payload_at(c->ep, &slot->u.where)->dims, v.dims, sizeof v.dims);
        if (v.bytes == c->return_bytes) return MRAY_OK;
        /* Shorter than the room taken: the block's size is what the slot says, so the value moves into a fresh one. */
    }
    slot_t *slot = slot_at(c->ep, c->ret);
    slot_where_t room = slot->u.where;
    bool had_room = slot->kind == SLOT_KIND_PAYLOAD;
    int status = object_stage(c->ep, c->ret, &v);
    if (had_room) payload_free(c->ep, &room);
    return status;
}

static int unset_return(run_context_t *c)
{
    for (uint32_t i = 1; i < c->rec->n_returns; i++)
        if (slot_at(c->ep, c->ret + i)->kind == SLOT_KIND_NONE) return (int)i;
    return 0;
}

static void call_and_stage(run_context_t *c)
{
    const mray_function *f = c->function;
    _Alignas(16) uint8_t values[RECORD_MAX_BODY];
    _Alignas(16) uint8_t small_ret[RETURN_ON_STACK];
    mray_array_any arrays[MRAY_MAX_ARGS];
    mray_ref refs[MRAY_MAX_ARGS];
    void *args[1 + MRAY_MAX_ARGS];
    args[0] = c->self; /* args[-1] of a method is its actor's state */
    base_prefetch_to_write(slot_at(c->ep, c->ret));
    int status = gather(c, values, arrays, refs, args + 1);
    if (status != MRAY_OK) {
        stage_failure(c, status, mray_error_message());
        return;
    }
    void *ret = f->ret.size <= sizeof small_ret ? small_ret : malloc(f->ret.size);
    if (ret == NULL) {
        stage_failure(c, MRAY_ERR_OUT_OF_MEMORY, "no memory for the result");
        return;
    }
    slot_fetch_waiter(c->ep, c->ret); /* the lines travel while the function runs */
    f->call(args + 1, ret);
    int missing;
    char text[BASE_ERROR_MAX];
    if (c->self != NULL && atomic_load(&c->ep->sh->actor_end) != 0) { /* killed while it ran: what it waited for did not come */
        snprintf(text, sizeof text, "the actor died in '%s' (rank %d): its worker was ended", f->name, c->ep->node->rank);
        stage_failure(c, MRAY_ERR_ACTOR_DIED, text);
    } else if (c->failed) {
        stage_failure(c, MRAY_ERR_TASK, c->message);
    } else if ((status = stage_result(c, ret)) != MRAY_OK) {
        snprintf(text, sizeof text, "%s", mray_error_message());
        stage_failure(c, status, text);
    } else if ((missing = unset_return(c)) != 0) {
        snprintf(text, sizeof text, "task '%s' has %u results but did not set result %d; call mray_return(%d, ...) in it", f->name, c->rec->n_returns,
                 missing, missing);
        stage_failure(c, MRAY_ERR_TASK, text);
    }
    if (ret != small_ret) free(ret);
}

static void commit(ep_t *ep, record_t *rec)
{
    uint64_t word = atomic_load_explicit(&rec->word, memory_order_relaxed);
    uint64_t flags = word & (RECORD_WORD_INLINE | RECORD_WORD_UNLINKED);
    uint64_t committed = record_word(RECORD_COMMITTED, ep->gid, record_word_gen(word));
    /* A queue's owner may set UNLINKED at any moment, so it is kept by a compare-and-swap where that can be. */
    if ((flags & RECORD_WORD_INLINE) == 0)
        atomic_store_explicit(&rec->word, committed, memory_order_release);
    else
        while (!atomic_compare_exchange_weak_explicit(&rec->word, &word, committed | (word & (RECORD_WORD_INLINE | RECORD_WORD_UNLINKED)),
                                                      memory_order_acq_rel, memory_order_relaxed))
            continue;
}

void run_drop_arguments(ep_t *ep, rid_t rid, record_t *rec, bool again)
{
    for (uint32_t held = atomic_load_explicit(&rec->held, memory_order_relaxed); held != 0; held &= held - 1) {
        unsigned i = (unsigned)__builtin_ctz(held);
        mray_ref ref = record_ref(ep, rec, i)->ref;
        sid_t sid = slot_guess(ep, ref); /* it is held, so it is there; but a dead one may have destroyed it and not said so */
        if (!again || (slot_find(ep, ref, &sid) == MRAY_OK && sid != 0)) slot_drop_for(ep, sid, rid, i);
    }
}

void run_finish(ep_t *ep, rid_t rid, record_t *rec, bool again)
{
    sid_t ret = run_return_slot(ep, rec);
    for (uint32_t i = 0; i < rec->n_returns; i++) {
        slot_t *slot = slot_at(ep, ret + i);
        if (!again) {
            slot_complete(ep, ret + i);
        } else {
            /* The dead one got this far, and the slot may be another's by now. */
            if (atomic_load(&slot->gen) != rec->ret.gen || (atomic_load(&slot->rc) & SLOT_RC_PRODUCER) == 0) continue;
            slot_complete_again(ep, ret + i);
        }
        slot_change(ep, ret + i, RC_DROP_PRODUCER);
    }
    run_drop_arguments(ep, rid, rec, again);
    runq_free_record(ep, rid, rec);
}

/* All but the message, which is long, and read only when it was written. */
static void run_context_init(run_context_t *c, ep_t *ep, rid_t rid, record_t *rec, void *self)
{
    c->outer = run_current;
    c->ep = ep;
    c->rid = rid;
    c->rec = rec;
    c->function = functions_at(rec->fn);
    c->self = self;
    c->ret = run_return_slot(ep, rec);
    c->failed = false;
    c->status = MRAY_OK;
    c->n_copies = 0;
    c->return_data = NULL;
    c->return_bytes = 0;
}

int run_record(ep_t *ep, rid_t rid, record_t *rec, void *self)
{
    if (functions_at(rec->fn) == NULL) { /* recover.c: its submitter died while it submitted */
        run_fail(ep, rid, rec, MRAY_ERR_TASK_CANCELLED, "the worker that submitted this task died while it did so");
        return MRAY_ERR_TASK_CANCELLED;
    }
    run_context_t context;
    run_context_init(&context, ep, rid, rec, self);
    run_current = &context;
    rid_t outer = atomic_load_explicit(&ep->sh->current, memory_order_relaxed);
    atomic_store_explicit(&ep->sh->current, rid, memory_order_relaxed);
    take_results(ep, rec);
    if (ep->trace != NULL) trace_begin(ep->trace, rec);
    call_and_stage(&context);
    if (ep->trace != NULL) trace_end(ep->trace, context.status);
    while (context.n_copies > 0) (void)slot_drop_own(ep, context.copies[--context.n_copies]);
    commit(ep, rec);
    run_finish(ep, rid, rec, false);
    atomic_store_explicit(&ep->sh->current, outer, memory_order_relaxed);
    run_current = context.outer;
    return context.status;
}

void run_fail(ep_t *ep, rid_t rid, record_t *rec, int status, const char *text)
{
    sid_t ret = run_return_slot(ep, rec);
    for (uint32_t i = 0; i < rec->n_returns; i++) {
        object_unstage(ep, ret + i);
        object_stage_error(ep, ret + i, status, text);
    }
    commit(ep, rec);
    run_finish(ep, rid, rec, false);
}

/* ---- the public calls inside a task ---- */

void mray_fail(const char *fmt, ...)
{
    run_context_t *c = run_current;
    if (c == NULL) {
        log_error("mray_fail() was called outside a task; it does nothing there");
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    char text[BASE_ERROR_MAX / 2];
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snprintf(c->message, sizeof c->message, "task '%s' (rank %d, attempt %d) failed: %s", c->function->name, c->ep->node->rank, c->rec->attempt, text);
    c->failed = true;
}

int mray_set_return(int i, mray_type type, const void *data, size_t n)
{
    run_context_t *c = run_current;
    if (c == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_return: not inside a task");
    if (i < 1 || i >= c->rec->n_returns)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_return: result %d does not exist: the caller of '%s' asked for %u", i, c->function->name,
                          c->rec->n_returns);
    if (data == NULL && n > 0) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_return: data is NULL");
    if (slot_at(c->ep, c->ret + (sid_t)i)->kind != SLOT_KIND_NONE)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_return: result %d is set already", i);
    object_value_t v = {.type = type, .ndim = type.is_array ? 1 : 0, .dims = {n}, .data = data, .bytes = n * type.size};
    return object_stage(c->ep, c->ret + (sid_t)i, &v);
}

void *mray_return_array_alloc(mray_type type, size_t n)
{
    run_context_t *c = run_current;
    if (c == NULL || c->return_data != NULL) {
        int ignored = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_return_array: not inside a task, or called twice in one");
        (void)ignored;
        return NULL;
    }
    object_value_t v = {.type = type, .ndim = 1, .dims = {n}, .bytes = n * type.size};
    if (object_reserve(c->ep, c->ret, &v, &c->return_data) != MRAY_OK) return NULL;
    c->return_bytes = v.bytes;
    return c->return_data;
}

int mray_task_current(mray_task_info *info_p)
{
    const run_context_t *c = run_current;
    if (c == NULL || info_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_task_current: not inside a task, or info_p is NULL");
    *info_p = (mray_task_info){.name = c->function->name, .rank = c->ep->node->rank, .worker = c->ep->gid & 0xff, .attempt = c->rec->attempt};
    return MRAY_OK;
}
