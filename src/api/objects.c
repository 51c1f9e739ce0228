/* objects.c: the public calls on objects; mray_wait() is in several.c. */
#include "acquire.h"
#include "copies.h"
#include "drive.h"
#include "error.h"
#include "object.h"
#include "proxies.h"
#include "session.h"
#include "submit.h"
#include "timeout.h"
#include "wait.h"

#include <mray/object.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- put ---- */

static int value_from(const char *what, size_t size, mray_type type, const mray_put_opts *opts, object_value_t *v)
{
    *v = (object_value_t){.type = type, .bytes = size};
    if (type.dtype == MRAY_VOID || type.dtype >= MRAY_N_DTYPES || (type.size == 0 && size > 0))
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: dtype %d with elements of %u bytes is no type of an object", what, type.dtype, type.size);
    if (opts == NULL) {
        v->ndim = type.is_array ? 1 : 0;
    } else {
        if (opts->ndim < 0 || opts->ndim > MRAY_MAX_DIMS)
            return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: ndim is %d; 0 to %d are possible", what, opts->ndim, MRAY_MAX_DIMS);
        if (opts->metadata == NULL && opts->metadata_size > 0) return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: metadata is NULL", what);
        v->ndim = opts->ndim;
        v->metadata = opts->metadata;
        v->metadata_bytes = opts->metadata_size;
    }
    uint64_t n = type.size > 0 ? size / type.size : 0;
    if (type.size > 0 && size % type.size != 0)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: %zu bytes are no whole number of elements of %u bytes", what, size, type.size);
    if (opts == NULL) {
        if (v->ndim == 1) v->dims[0] = n;
        return MRAY_OK;
    }
    uint64_t product = 1;
    for (int i = 0; i < v->ndim; i++)
        if (__builtin_mul_overflow(product, v->dims[i] = opts->dims[i], &product)) product = UINT64_MAX;
    if (v->ndim > 0 && product != n)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: the dimensions say %llu elements, but %zu bytes are %llu", what, (unsigned long long)product, size,
                          (unsigned long long)n);
    return MRAY_OK;
}

static int no_room(const char *what)
{
    return base_error(MRAY_ERR_LIMIT, "%s: no object slot became free; release refs or raise MRAY_MAX_OBJECTS", what);
}

static int new_slot(ep_t *ep, const char *what, sid_t *sid_p)
{
    uint64_t deadline = 0;
    while ((*sid_p = slot_alloc(ep, 1)) == 0)
        if (!submit_wait_for_room(ep, &deadline)) return no_room(what);
    return MRAY_OK;
}

static void give_back_slot(ep_t *ep, sid_t sid)
{
    object_unstage(ep, sid);
    slot_give_back(ep, sid);
}

/* A slot with the value in it, published. */
static int put_value(ep_t *ep, const object_value_t *v, sid_t *sid_p)
{
    uint64_t deadline = 0;
    if (object_fits_inline(v)) {
        while ((*sid_p = slot_alloc_ready(ep, v->type.dtype, (uint8_t)v->ndim, v->bytes > 0 ? v->data : "", (uint32_t)v->bytes)) == 0)
            if (!submit_wait_for_room(ep, &deadline)) return no_room("mray_put");
        return MRAY_OK;
    }
    int status = new_slot(ep, "mray_put", sid_p);
    if (status != MRAY_OK) return status;
    status = object_stage(ep, *sid_p, v);
    if (status == MRAY_OK)
        object_publish(ep, *sid_p);
    else
        give_back_slot(ep, *sid_p);
    return status;
}

/* One value of a known type that fits into a slot. 0, without a word, for anything else, and when the table is full. */
static inline sid_t put_at_once(ep_t *ep, const void *data, size_t size, mray_type type, const mray_put_opts *opts)
{
    if (opts != NULL || data == NULL || type.is_array != 0 || type.dtype == MRAY_VOID || type.dtype >= MRAY_N_DTYPES || size != type.size ||
        size > SLOT_INLINE_BYTES)
        return 0;
    return slot_alloc_ready(ep, type.dtype, 0, data, (uint32_t)size);
}

int mray_put_bytes(const void *data, size_t size, mray_type type, const mray_put_opts *opts, mray_ref *ref_p)
{
    object_value_t v;
    sid_t sid;
    ep_t *ep = session_endpoint("mray_put");
    int status = ep == NULL ? MRAY_ERR_NOT_INITIALIZED : MRAY_OK;
    if (ref_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_put: ref_p is NULL");
    if (ep != NULL && (sid = put_at_once(ep, data, size, type, opts)) != 0) {
        *ref_p = slot_ref(ep, sid);
        return MRAY_OK;
    }
    if (status == MRAY_OK && data == NULL && size > 0) status = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_put: data is NULL");
    if (status == MRAY_OK) status = value_from("mray_put", size, type, opts, &v);
    if (status == MRAY_OK) {
        v.data = data;
        status = put_value(ep, &v, &sid);
    }
    if (status != MRAY_OK) {
        submit_fail_refs(ref_p, 1, status);
        return status;
    }
    *ref_p = slot_ref(ep, sid);
    return MRAY_OK;
}

int mray_create(size_t size, mray_type type, const mray_put_opts *opts, void **data_p, mray_ref *ref_p)
{
    object_value_t v;
    sid_t sid;
    ep_t *ep = session_endpoint("mray_create");
    int status = ep == NULL ? MRAY_ERR_NOT_INITIALIZED : MRAY_OK;
    if (ref_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_create: ref_p is NULL");
    if (status == MRAY_OK && data_p == NULL) status = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_create: data_p is NULL");
    if (status == MRAY_OK) status = value_from("mray_create", size, type, opts, &v);
    if (status == MRAY_OK) status = new_slot(ep, "mray_create", &sid);
    if (status == MRAY_OK) {
        status = object_reserve(ep, sid, &v, data_p);
        if (status != MRAY_OK) give_back_slot(ep, sid);
    }
    if (status != MRAY_OK) {
        submit_fail_refs(ref_p, 1, status);
        return status;
    }
    if (v.metadata_bytes > 0) memcpy((char *)*data_p + (size + 63) / 64 * 64, v.metadata, v.metadata_bytes);
    *ref_p = slot_ref(ep, sid);
    return MRAY_OK;
}

/* Made by mray_create() on this endpoint, and not published. The mark of a task's result is never 0: first it is the record, then, shortly before the
 * result is ready, a checksum. */
static bool is_unsealed(const ep_t *ep, sid_t sid)
{
    const slot_t *slot = slot_at(ep, sid);
    return atomic_load_explicit(&slot->mark, memory_order_acquire) == 0 && !slot_is_ready(slot) && slot->kind != SLOT_KIND_NONE && slot->creator_index == (ep->gid & 0xff) &&
           sid >> 24 == ep->gid >> 8;
}

int mray_seal(mray_ref ref)
{
    sid_t sid;
    ep_t *ep = session_endpoint("mray_seal");
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    int status = slot_find(ep, ref, &sid);
    if (status != MRAY_OK) return status;
    if (sid == 0 || !is_unsealed(ep, sid))
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_seal: the object is sealed already, or was not made here by mray_create()");
    object_publish(ep, sid);
    return MRAY_OK;
}

/* ---- get ---- */

static bool wait_and_take(ep_t *ep, sid_t sid, uint64_t deadline, proxies_take_t *take)
{
    if (take != NULL) take->sid = sid;
    drive_set_take(take);
    bool ready = wait_slots(ep, &sid, 1, 1, deadline) == 1;
    drive_set_take(NULL);
    return ready;
}

/* Slot of a ref, ready, held for the caller if *held_p. value: it is wanted here, too. take: where to, while it comes; may be NULL. */
static int wait_for(ep_t *ep, const char *what, mray_ref ref, bool value, uint64_t deadline, proxies_take_t *take, sid_t *sid_p, bool *held_p)
{
    if (mray_ref_is_nil(ref) && ref.gen != 0 && ref.epoch == 0)
        return base_error((int)ref.gen, "%s: the ref is nil, because the call that returned it failed: %s", what, submit_failure_text(ref));
    int status = submit_resolve(ep, ref, sid_p, held_p);
    if (status != MRAY_OK) return status;
    bool ready = slot_is_ready(slot_at(ep, *sid_p));
    if (!ready && deadline == BASE_FOREVER && !*held_p && is_unsealed(ep, *sid_p))
        return base_error(MRAY_ERR_NOT_SEALED, "%s: the object was made by mray_create() in this thread, which alone can seal it: call mray_seal() first", what);
    if (!ready && deadline != 0 && (status = wait_check_cycle(ep, what, sid_p, 1, 1)) != MRAY_OK) {
        if (*held_p) (void)slot_drop_own(ep, *sid_p);
        return status;
    }
    ready = ready || wait_and_take(ep, *sid_p, deadline, take);
    if (ready && value && slot_at(ep, *sid_p)->kind == SLOT_KIND_REMOTE) { /* a result that stayed where it was made */
        status = acquire_proxy(ep, ref, sid_p);
        if (status != MRAY_OK) return status;
        *held_p = true;
        ready = wait_and_take(ep, *sid_p, deadline, take);
    }
    if (*held_p && ready && value)
        copies_note_taker(ep, *sid_p);
    else if (*held_p)
        copies_note_asker(ep, *sid_p);
    if (ready) return MRAY_OK;
    status = wait_failure(what);
    if (*held_p) (void)slot_drop_own(ep, *sid_p);
    if (status != MRAY_OK) return status;
    return base_error(MRAY_ERR_TIMEOUT, "%s: the object {rank %u, slot %u} was not ready in time", what, ref.rank, ref.slot);
}

static int check_type(const char *what, const mray_view *view, mray_type type)
{
    if (type.dtype == MRAY_BYTES && (view->ndim > 0) == (type.is_array != 0)) return MRAY_OK;
    if (view->type.dtype == type.dtype && (view->ndim > 0) == (type.is_array != 0)) return MRAY_OK;
    return base_error(MRAY_ERR_TYPE, "%s: the object is %s%s of %zu bytes, but %s%s is asked for", what, view->ndim > 0 ? "an array of " : "",
                      mray_dtype_name(view->type.dtype), view->size, type.is_array ? "an array of " : "", mray_dtype_name(type.dtype));
}

static int get_into(ep_t *ep, mray_ref ref, void *buf, size_t buf_bytes, mray_type type, uint64_t deadline, size_t *size_p)
{
    sid_t sid;
    bool held;
    mray_view view;
    /* Whoever may give up finds the buffer as it was. */
    bool takes = type.is_array && buf_bytes >= PROXIES_TAKE_MIN_BYTES && deadline == BASE_FOREVER;
    proxies_take_t take = {.to = buf, .max_bytes = buf_bytes, .dtype = type.dtype};
    int status = wait_for(ep, "mray_get", ref, true, deadline, takes ? &take : NULL, &sid, &held);
    if (status != MRAY_OK) return status;
    status = object_look(ep, slot_at(ep, sid), &view);
    if (status == MRAY_OK) status = check_type("mray_get", &view, type);
    if (status == MRAY_OK && view.size > buf_bytes)
        status = base_error(MRAY_ERR_BUFFER_TOO_SMALL, "mray_get: the object has %zu bytes, the buffer %zu", view.size, buf_bytes);
    if (status == MRAY_OK && type.dtype == MRAY_BYTES && !type.is_array && view.size != buf_bytes && size_p == NULL)
        status = base_error(MRAY_ERR_TYPE, "mray_get: the object has %zu bytes, but a struct of %zu bytes is asked for", view.size, buf_bytes);
    if (status == MRAY_OK) {
        if (view.size > take.taken) memcpy((char *)buf + take.taken, (const char *)view.data + take.taken, view.size - take.taken);
        if (size_p != NULL) *size_p = view.size;
    }
    if (held) (void)slot_drop_own(ep, sid);
    return status;
}

/* Only how it ended. */
static int get_status(ep_t *ep, mray_ref ref, uint64_t deadline)
{
    sid_t sid;
    bool held;
    mray_view view;
    int status = wait_for(ep, "mray_get", ref, false, deadline, NULL, &sid, &held);
    if (status != MRAY_OK) return status;
    if (slot_at(ep, sid)->kind != SLOT_KIND_REMOTE) status = object_look(ep, slot_at(ep, sid), &view);
    if (held) (void)slot_drop_own(ep, sid);
    return status;
}

/* What most gets are for: one value of exactly that type, in its slot, here. False without a word for anything else. */
static inline bool get_at_once(const ep_t *ep, mray_ref ref, void *buf, size_t buf_bytes, mray_type type)
{
    sid_t sid;
    const slot_t *slot = slot_here(ep, ref, &sid);
    if (slot == NULL || !slot_is_ready(slot) || slot->kind != SLOT_KIND_INLINE || slot->ndim != 0 || slot->dtype != type.dtype || type.is_array != 0 ||
        slot->bytes != buf_bytes || buf == NULL)
        return false;
    if (buf_bytes == sizeof(uint64_t))
        memcpy(buf, slot->u.value, sizeof(uint64_t));
    else
        memcpy(buf, slot->u.value, buf_bytes);
    return true;
}

int mray_get_bytes(mray_ref ref, void *buf, size_t buf_bytes, mray_type type, int64_t timeout_ns, size_t *size_p)
{
    uint64_t deadline;
    ep_t *ep = session_endpoint("mray_get");
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    if (timeout_ns >= 0 && get_at_once(ep, ref, buf, buf_bytes, type)) {
        if (size_p != NULL) *size_p = buf_bytes;
        return MRAY_OK;
    }
    int status = timeout_deadline("mray_get", timeout_ns, &deadline);
    if (status != MRAY_OK) return status;
    if (buf == NULL && buf_bytes > 0) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_get: the buffer is NULL");
    if (buf == NULL && size_p == NULL) return get_status(ep, ref, deadline);
    return get_into(ep, ref, buf, buf_bytes, type, deadline, size_p);
}

int mray_get_view(mray_ref ref, int64_t timeout_ns, mray_view *view_p)
{
    uint64_t deadline;
    sid_t sid;
    bool held;
    ep_t *ep = session_endpoint("mray_get_view");
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    if (view_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_get_view: view_p is NULL");
    int status = timeout_deadline("mray_get_view", timeout_ns, &deadline);
    if (status == MRAY_OK) status = wait_for(ep, "mray_get_view", ref, true, deadline, NULL, &sid, &held);
    if (status != MRAY_OK) return status;
    mray_view view;
    status = object_look(ep, slot_at(ep, sid), &view);
    if (status == MRAY_OK && !slot_hold_own(ep, sid))
        status = base_error(MRAY_ERR_LIMIT, "mray_get_view: this task has %d views and retained refs open; release some", EP_LEDGER_ENTRIES);
    if (held) (void)slot_drop_own(ep, sid);
    if (status != MRAY_OK) return status;
    /* A value inside the slot is shown through the read-only mapping, too. */
    const segment_t *seg = &ep->node->segs[sid >> 24];
    if ((const char *)view.data >= seg->rw && (const char *)view.data < seg->rw + seg->bytes) view.data = seg->ro + ((const char *)view.data - seg->rw);
    view.pinned = slot_ref(ep, sid);
    *view_p = view;
    return MRAY_OK;
}

void mray_view_release(mray_view *view)
{
    sid_t sid;
    if (view == NULL || view->pinned.slot == 0) return;
    ep_t *ep = session_endpoint("mray_view_release");
    if (ep != NULL && slot_find(ep, view->pinned, &sid) == MRAY_OK && sid != 0) (void)slot_drop_own(ep, sid);
    memset(view, 0, sizeof *view);
}

int mray_get_many(const mray_ref *refs, size_t n, void *const *bufs, size_t buf_bytes, mray_type type, int64_t timeout_ns, int *statuses)
{
    uint64_t deadline;
    ep_t *ep = session_endpoint("mray_get_many");
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    if ((refs == NULL || bufs == NULL) && n > 0) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_get_many: refs or bufs is NULL");
    int first = timeout_deadline("mray_get_many", timeout_ns, &deadline);
    if (first != MRAY_OK) return first;
    char text[BASE_ERROR_MAX] = "";
    for (size_t i = 0; i < n; i++) {
        int status = get_into(ep, refs[i], bufs[i], buf_bytes, type, deadline, NULL);
        if (statuses != NULL) statuses[i] = status;
        if (status == MRAY_OK || first != MRAY_OK) continue;
        first = status;
        snprintf(text, sizeof text, "%s", mray_error_message());
    }
    if (first != MRAY_OK) base_error_set(text);
    return first;
}

/* ---- holding ---- */

int mray_retain(mray_ref ref)
{
    sid_t sid;
    ep_t *ep = session_endpoint("mray_retain");
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    int status = slot_find(ep, ref, &sid);
    if (status != MRAY_OK) return status;
    if (sid == 0) return submit_retain_remote(ep, ref, true);
    if (!slot_hold_own(ep, sid))
        return base_error(MRAY_ERR_LIMIT, "mray_retain: this task has %d views and retained refs open; release some", EP_LEDGER_ENTRIES);
    return MRAY_OK;
}

int mray_release(mray_ref ref)
{
    sid_t sid;
    ep_t *ep = session_endpoint("mray_release");
    if (ep == NULL) return MRAY_ERR_NOT_INITIALIZED;
    int status = slot_find(ep, ref, &sid);
    if (status != MRAY_OK) return status;
    if (sid == 0) return submit_release_remote(ep, ref);
    if (is_unsealed(ep, sid)) {
        /* Nobody will make it any more: who waits for it gets an error. */
        object_unstage(ep, sid);
        object_stage_error(ep, sid, MRAY_ERR_OBJECT_LOST, "the object was released before it was sealed");
        object_publish(ep, sid);
    }
    return slot_release_ref(ep, sid);
}

int mray_release_many(const mray_ref *refs, size_t n)
{
    if (refs == NULL && n > 0) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_release_many: refs is NULL");
    int first = MRAY_OK;
    for (size_t i = 0; i < n; i++) {
        int status = mray_ref_is_nil(refs[i]) ? MRAY_OK : mray_release(refs[i]);
        if (first == MRAY_OK) first = status;
    }
    return first;
}
