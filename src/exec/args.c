/* args.c: checking and converting arguments. */
#include "args.h"

#include "error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_integer(int dtype)
{
    return (dtype >= MRAY_INT8 && dtype <= MRAY_UINT64) || dtype == MRAY_BOOL;
}

static bool is_number(int dtype)
{
    return is_integer(dtype) || dtype == MRAY_FLOAT32 || dtype == MRAY_FLOAT64;
}

static bool is_unsigned(int dtype)
{
    return (dtype >= MRAY_UINT8 && dtype <= MRAY_UINT64) || dtype == MRAY_BOOL;
}

static int64_t load_integer(int dtype, const void *p)
{
    switch (dtype) {
    case MRAY_INT8: return *(const int8_t *)p;
    case MRAY_INT16: return *(const int16_t *)p;
    case MRAY_INT32: return *(const int32_t *)p;
    case MRAY_INT64: return *(const int64_t *)p;
    case MRAY_UINT8:
    case MRAY_BOOL: return *(const uint8_t *)p;
    case MRAY_UINT16: return *(const uint16_t *)p;
    case MRAY_UINT32: return *(const uint32_t *)p;
    default: return (int64_t) * (const uint64_t *)p;
    }
}

/* v is unsigned if from_unsigned. */
static bool store_integer(int dtype, int64_t v, bool from_unsigned, void *out)
{
    static const struct {
        int64_t min;
        uint64_t max;
    } range[MRAY_N_DTYPES] = {[MRAY_INT8] = {INT8_MIN, INT8_MAX}, [MRAY_INT16] = {INT16_MIN, INT16_MAX},
                              [MRAY_INT32] = {INT32_MIN, INT32_MAX}, [MRAY_INT64] = {INT64_MIN, INT64_MAX},
                              [MRAY_UINT8] = {0, UINT8_MAX}, [MRAY_UINT16] = {0, UINT16_MAX}, [MRAY_UINT32] = {0, UINT32_MAX},
                              [MRAY_UINT64] = {0, UINT64_MAX}, [MRAY_BOOL] = {0, 1}};
    if (from_unsigned || v >= 0 ? (uint64_t)v > range[dtype].max : v < range[dtype].min) return false;
    static const uint8_t size[MRAY_N_DTYPES] = {[MRAY_INT8] = 1, [MRAY_INT16] = 2, [MRAY_INT32] = 4, [MRAY_INT64] = 8, [MRAY_UINT8] = 1,
                                                [MRAY_UINT16] = 2, [MRAY_UINT32] = 4, [MRAY_UINT64] = 8, [MRAY_BOOL] = 1};
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "little-endian machines only"
#endif
    memcpy(out, &v, size[dtype]);
    return true;
}

static bool store_float(int dtype, double v, void *out)
{
    if (dtype == MRAY_FLOAT32) {
        float f = (float)v;
        if (isfinite(v) && !isfinite(f)) return false;
        memcpy(out, &f, sizeof f);
    } else {
        memcpy(out, &v, sizeof v);
    }
    return true;
}

bool args_convert(const mray_type *param, const mray_arg *arg, void *out)
{
    int from = arg->type.dtype, to = param->dtype;
    if (from == to) {
        memcpy(out, arg->data, param->size);
        return true;
    }
    if (is_integer(from) && is_integer(to)) return store_integer(to, load_integer(from, arg->data), is_unsigned(from), out);
    if (is_integer(from)) {
        int64_t v = load_integer(from, arg->data), limit = to == MRAY_FLOAT32 ? INT64_C(1) << 24 : INT64_C(1) << 53;
        if (is_unsigned(from) ? (uint64_t)v > (uint64_t)limit : v > limit || v < -limit) return false; /* the type might not hold it exactly */
        return store_float(to, (double)v, out);
    }
    double d;
    if (from == MRAY_FLOAT32) {
        float f;
        memcpy(&f, arg->data, sizeof f);
        d = (double)f;
    } else {
        memcpy(&d, arg->data, sizeof d);
    }
    if (!is_integer(to)) return store_float(to, d, out);
    if (!(fabs(d) <= 9007199254740992.0) || d != floor(d)) return false;
    return store_integer(to, (int64_t)d, false, out);
}

static const char *type_text(const mray_type *t, char *buf, size_t n)
{
    snprintf(buf, n, t->dtype == MRAY_BYTES ? "%s%s of %u bytes" : "%s%s", t->is_array ? "array of " : "", mray_dtype_name(t->dtype), t->size);
    return buf;
}

int args_check(const char *what, int i, const mray_type *param, const mray_arg *arg)
{
    char want[64], got[64];
    uint64_t bytes;
    if (arg->type.dtype == MRAY_REF && !arg->type.is_array && arg->data != NULL) return MRAY_OK; /* what it refers to is looked at with its slot */
    if (__builtin_mul_overflow((uint64_t)arg->n, (uint64_t)arg->type.size, &bytes) || bytes > UINT64_C(1) << 40)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: argument %d has %zu elements of %u bytes, more than any store", what, i + 1, arg->n, arg->type.size);
    if (arg->data == NULL && (arg->n > 0 || !arg->type.is_array))
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: argument %d is NULL", what, i + 1);
    bool same = param->is_array == arg->type.is_array;
    bool fits = same && ((param->dtype == arg->type.dtype && param->size == arg->type.size) ||
                         (!param->is_array && is_number(param->dtype) && is_number(arg->type.dtype)));
    if (!fits)
        return base_error(MRAY_ERR_TYPE, "%s: argument %d is %s, but the parameter is %s", what, i + 1, type_text(&arg->type, got, sizeof got),
                          type_text(param, want, sizeof want));
    uint8_t scratch[16];
    if (param->dtype != arg->type.dtype && !args_convert(param, arg, scratch))
        return base_error(MRAY_ERR_TYPE, "%s: the value of argument %d, %s, does not fit the parameter, %s", what, i + 1,
                          type_text(&arg->type, got, sizeof got), type_text(param, want, sizeof want));
    return MRAY_OK;
}

int args_check_result(const char *what, int i, const mray_type *param, const mray_function *maker)
{
    char want[64], got[64];
    const mray_type *ret = &maker->ret;
    if (param->dtype == ret->dtype && param->is_array == ret->is_array && (param->is_array || param->size == ret->size)) return MRAY_OK;
    return base_error(MRAY_ERR_TYPE, "%s: argument %d is a ref to what '%s' returns, %s, but the parameter is %s", what, i + 1, maker->name,
                      type_text(ret, got, sizeof got), type_text(param, want, sizeof want));
}

uint32_t args_packed_bytes(const mray_type *param, const mray_arg *arg)
{
    /* args_check() has bounded n * size. */
    uint64_t bytes = param->is_array ? 8 + ((uint64_t)arg->n * param->size + 7) / 8 * 8 : ((uint64_t)param->size + 7) / 8 * 8;
    return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

bool args_object_fits(const mray_type *param, const mray_type *object, int ndim, uint64_t bytes)
{
    if (param->is_array) return ndim > 0 && param->dtype == object->dtype;
    return ndim == 0 && param->dtype == object->dtype && param->size == bytes;
}
