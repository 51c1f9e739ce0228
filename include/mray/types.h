/* mray/types.h: the types that objects and task parameters have. */
#ifndef MRAY_TYPES_H
#define MRAY_TYPES_H

#include <mray/ref.h>
#include <stddef.h>
#include <stdint.h>

/** Element type of an object or parameter. */
typedef enum mray_dtype {
    MRAY_VOID = 0,    /**< nothing: the result of a task that returns nothing */
    MRAY_BYTES = 1,   /**< a struct or any other bytes; only the size is checked */
    MRAY_INT8 = 2,
    MRAY_INT16 = 3,
    MRAY_INT32 = 4,
    MRAY_INT64 = 5,
    MRAY_UINT8 = 6,
    MRAY_UINT16 = 7,
    MRAY_UINT32 = 8,
    MRAY_UINT64 = 9,
    MRAY_FLOAT32 = 10,
    MRAY_FLOAT64 = 11,
    MRAY_BOOL = 12,
    MRAY_REF = 13,    /**< an mray_ref */
    MRAY_ACTOR = 14,  /**< an mray_actor */
    MRAY_N_DTYPES = 15,
} mray_dtype;

/** What a parameter, an argument or a result is. */
typedef struct mray_type {
    uint8_t dtype;    /**< mray_dtype */
    uint8_t is_array; /**< 1: a sequence of elements of that type */
    uint16_t reserved;
    uint32_t size;    /**< bytes of one element */
} mray_type;

enum {
    MRAY_MAX_ARGS = 8, /**< arguments of a task or method */
    MRAY_MAX_DIMS = 4, /**< dimensions of an array */
};

/** A pinned, read-only look at an object: no copy. Writing to data crashes the writer, never the object. */
typedef struct mray_view {
    const void *data;               /**< 64-aligned for anything above 24 bytes */
    size_t size;                    /**< bytes at data */
    mray_type type;                 /**< element type */
    int ndim;                       /**< 0 for a scalar or struct */
    uint64_t dims[MRAY_MAX_DIMS];   /**< elements in each dimension, slowest first */
    const void *metadata;           /**< what was given at put; NULL where nothing was */
    size_t metadata_size;
    mray_ref pinned;                /**< the library's: what mray_view_release() gives back */
} mray_view;

/** The layout that every mray_array(T) shares, for other languages. */
typedef struct mray_array_any {
    void *data;
    size_t n;
    int ndim;
    const uint64_t *dims;
} mray_array_any;

#ifdef __cplusplus
extern "C" {
#endif
/** Name of a dtype in messages, such as "float64".
 *  @param dtype  any value
 *  @return a static string; "unknown" for a value that is no dtype
 *  @context any thread, at any time
 *  @cost    one table look-up */
__attribute__((visibility("default"))) const char *mray_dtype_name(int dtype);
#ifdef __cplusplus
}
#endif
#endif
