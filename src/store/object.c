/* object.c: staging a value, publishing it, looking at it. */
#include "object.h"

#include "error.h"
#include "log.h"

#include <stdio.h>
#include <string.h>

uint64_t object_full_wait_ns;

static const char *const dtype_names[MRAY_N_DTYPES] = {"void", "bytes", "int8", "int16", "int32", "int64", "uint8", "uint16",
                                                       "uint32", "uint64", "float32", "float64", "bool", "ref", "actor"};

const char *mray_dtype_name(int dtype)
{
    return dtype >= 0 && dtype < MRAY_N_DTYPES ? dtype_names[dtype] : "unknown";
}

/* One-dimensional arrays and scalars up to 24 bytes need no header. */
bool object_fits_inline(const object_value_t *v)
{
    return v->bytes <= SLOT_INLINE_BYTES && v->ndim <= 1 && v->metadata_bytes == 0;
}

int object_reserve(ep_t *ep, sid_t sid, const object_value_t *v, void **data_p)
{
    slot_t *slot = slot_to_write(ep, sid);
    if (object_fits_inline(v)) {
        slot_set(slot, kind, SLOT_KIND_INLINE);
        slot_set(slot, bytes, v->bytes);
        memset(slot->u.value, 0, sizeof slot->u.value);
        *data_p = slot->u.value;
    } else {
        int status = payload_alloc(ep, slot, v->bytes, v->metadata_bytes, object_full_wait_ns);
        if (status != MRAY_OK) return status;
        payload_header_t *header = payload_at(ep, &slot->u.where);
        memcpy(header->dims, v->dims, sizeof header->dims);
        header->metadata_bytes = v->metadata_bytes;
        *data_p = header + 1;
    }
    slot_set(slot, dtype, v->type.dtype);
    slot_set(slot, ndim, (uint8_t)v->ndim);
    return MRAY_OK;
}

int object_stage(ep_t *ep, sid_t sid, const object_value_t *v)
{
    void *data;
    int status = object_reserve(ep, sid, v, &data);
    if (status != MRAY_OK) return status;
    if (v->bytes > 0) memcpy(data, v->data, v->bytes);
    if (v->metadata_bytes > 0) memcpy((char *)data + (v->bytes + 63) / 64 * 64, v->metadata, v->metadata_bytes);
    return MRAY_OK;
}

void object_stage_error(ep_t *ep, sid_t sid, int error, const char *text)
{
    slot_t *slot = slot_to_write(ep, sid);
    uint64_t bytes = strlen(text) + 1;
    if (payload_alloc(ep, slot, bytes, 0, 0) == MRAY_OK) {
        memcpy(payload_at(ep, &slot->u.where) + 1, text, bytes);
    } else {
        log_error("the object store is full, so this error loses its text: %s", text);
        slot_set(slot, bytes, 0);
    }
    slot_set(slot, kind, SLOT_KIND_ERROR);
    slot_set(slot, dtype, (uint8_t)error);
    slot_set(slot, ndim, (uint8_t)(error >> 8));
}

void object_unstage(ep_t *ep, sid_t sid)
{
    slot_t *slot = slot_to_write(ep, sid);
    if (slot->kind == SLOT_KIND_PAYLOAD || (slot->kind == SLOT_KIND_ERROR && slot->bytes != 0)) payload_free(ep, &slot->u.where);
    slot_set(slot, kind, SLOT_KIND_NONE);
    slot_set(slot, bytes, 0);
}

void object_publish(ep_t *ep, sid_t sid)
{
    slot_complete(ep, sid);
    slot_change(ep, sid, RC_DROP_PRODUCER);
}

bool object_is_error(const slot_t *slot)
{
    return slot->kind == SLOT_KIND_ERROR;
}

int object_error_status(const slot_t *slot)
{
    return slot->dtype | slot->ndim << 8;
}

static uint32_t dtype_size(int dtype, uint64_t bytes)
{
    static const uint8_t sizes[MRAY_N_DTYPES] = {0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 1, sizeof(mray_ref), 16};
    return dtype < MRAY_N_DTYPES ? sizes[dtype] : (uint32_t)bytes;
}

int object_look(const ep_t *ep, const slot_t *slot, mray_view *view)
{
    const payload_header_t *header = NULL;
    if (slot->kind == SLOT_KIND_REMOTE) return base_error(MRAY_ERR_INTERNAL, "an object was looked at before it was fetched from its node; please report it");
    if (slot->kind == SLOT_KIND_PAYLOAD || (slot->kind == SLOT_KIND_ERROR && slot->bytes != 0)) header = payload_view(ep, &slot->u.where);
    if (slot->kind == SLOT_KIND_ERROR) {
        int status = object_error_status(slot);
        base_error_set(header != NULL ? (const char *)(header + 1) : mray_status_text(status));
        return status;
    }
    /* Field by field: a literal of this size is cleared by an instruction that takes as long as the rest. */
    view->data = header != NULL ? (const void *)(header + 1) : slot->u.value;
    view->size = slot->bytes;
    view->ndim = slot->ndim;
    view->metadata = NULL;
    view->metadata_size = 0;
    view->pinned = (mray_ref){0};
    view->type = (mray_type){.dtype = slot->dtype, .is_array = slot->ndim > 0, .size = dtype_size(slot->dtype, slot->bytes)};
    if (header != NULL) {
        memcpy(view->dims, header->dims, sizeof view->dims);
        if (header->metadata_bytes > 0) {
            view->metadata = (const char *)view->data + (slot->bytes + 63) / 64 * 64;
            view->metadata_size = header->metadata_bytes;
        }
    } else {
        memset(view->dims, 0, sizeof view->dims);
        if (slot->ndim == 1 && view->type.size > 0) view->dims[0] = slot->bytes / view->type.size;
    }
    if (slot->ndim == 0 && slot->dtype == MRAY_BYTES) view->type.size = (uint32_t)slot->bytes;
    return MRAY_OK;
}
