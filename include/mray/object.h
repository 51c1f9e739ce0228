/* mray/object.h: objects: put, get, wait, views, release. */
#ifndef MRAY_OBJECT_H
#define MRAY_OBJECT_H

#include <mray/status.h>
#include <mray/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** No time limit, where a call takes timeout_ns. */
#define MRAY_FOREVER INT64_MAX

/** What an object is, beside its bytes. Zero is a struct or scalar without metadata. */
typedef struct mray_put_opts {
    int ndim;                     /**< 0 for a scalar or struct; 1 .. MRAY_MAX_DIMS for an array */
    uint64_t dims[MRAY_MAX_DIMS]; /**< elements in each dimension; their product times type.size is the size */
    const void *metadata;         /**< kept with the object, shown by views */
    size_t metadata_size;         /**< up to 4 GiB */
} mray_put_opts;

/** Put bytes into the object store: one copy.
 *  @param data  size bytes; any alignment
 *  @param size  bytes
 *  @param type  element type; its size divides `size`
 *  @param opts  NULL for a scalar or struct, or for a one-dimensional array where type.is_array is set
 *  @param ref_p the object, held until mray_release(); nil on an error
 *  @return MRAY_OK, MRAY_ERR_INVALID_ARGUMENT, MRAY_ERR_OBJECT_STORE_FULL (nothing was released in time), MRAY_ERR_LIMIT, MRAY_ERR_NOT_INITIALIZED
 *  @context any thread of an endpoint; blocks while the store is full, up to MRAY_STORE_FULL_TIMEOUT
 *  @cost    up to 24 bytes: one slot; else one allocation and one memcpy */
MRAY_API int mray_put_bytes(const void *data, size_t size, mray_type type, const mray_put_opts *opts, mray_ref *ref_p);

/** Room for an object in the store itself, to be filled in by the caller: no copy.
 *  @param data_p  writable memory of size bytes, until mray_seal()
 *  @return as mray_put_bytes()
 *  @context as mray_put_bytes(); an object that is never sealed is given back by mray_release()
 *  @cost    one slot, one allocation */
MRAY_API int mray_create(size_t size, mray_type type, const mray_put_opts *opts, void **data_p, mray_ref *ref_p);

/** Make a created object immutable and visible.
 *  @param ref  from mray_create() on this endpoint
 *  @return MRAY_OK, MRAY_ERR_INVALID_REF, MRAY_ERR_INVALID_ARGUMENT (sealed before, or no created object)
 *  @context any thread of the endpoint that created it
 *  @cost    one atomic exchange; wakes who waits */
MRAY_API int mray_seal(mray_ref ref);

/** Copy an object into the caller's buffer.
 *  @param ref         object; any rank may ask
 *  @param buf         buf_bytes bytes, any alignment; NULL with buf_bytes 0 and size_p NULL: nothing is copied, whatever the object is, and the
 *                     status says how its task ended
 *  @param type        expected element type; dtype MRAY_BYTES takes any
 *  @param timeout_ns  nanoseconds, monotonic; 0 polls, MRAY_FOREVER waits. What another node has is asked for by the first call and goes on coming when
 *                     that has timed out. It waits 5 s for the next look; who looks less often finds it at the third look, if looks are at most
 *                     ten minutes apart and the store has room for it meanwhile. Behind longer pauses give a time in which it can come
 *  @param size_p      bytes written; set only on success; may be NULL
 *  @return MRAY_OK, MRAY_ERR_TIMEOUT, MRAY_ERR_BUFFER_TOO_SMALL (nothing copied), MRAY_ERR_TYPE, MRAY_ERR_INVALID_REF, MRAY_ERR_INVALID_ARGUMENT
 *          (negative timeout, NULL), MRAY_ERR_NOT_SEALED (MRAY_FOREVER, and this thread made it and has not sealed it), MRAY_ERR_NODE_DIED (the rank that has it was
 *          given up), MRAY_ERR_WAIT_CYCLE (tasks or actors of one node wait for each other in a circle, and this wait closed it), or the
 *          error of the task that was to make it, whose sentence is mray_error_message()
 *  @context any thread of an endpoint; may block; not from an actor's on_stop
 *  @cost    same node: one load and a memcpy; other node: one bulk read, or two above 24 bytes; later gets on the node are local */
MRAY_API int mray_get_bytes(mray_ref ref, void *buf, size_t buf_bytes, mray_type type, int64_t timeout_ns, size_t *size_p);

/** Look at an object where it lies: no copy on its own node, one copy for all of another node.
 *  @param view_p  filled in on success; valid until mray_view_release(), even if the ref is released meanwhile
 *  @return as mray_get_bytes()
 *  @context any thread of an endpoint; may block
 *  @cost    same node: a load and one atomic increment, whatever the size */
MRAY_API int mray_get_view(mray_ref ref, int64_t timeout_ns, mray_view *view_p);

/** Give a view back.
 *  @param view  from mray_get_view(); zeroed. NULL or a zeroed one is ignored
 *  @context any thread of the endpoint that took it
 *  @cost    one atomic decrement */
MRAY_API void mray_view_release(mray_view *view);

/** Copy n objects, one after the other, each buf_bytes at most.
 *  @param bufs      n pointers
 *  @param statuses  n statuses, or NULL
 *  @return MRAY_OK, or the first object's error; the others are copied all the same
 *  @context as mray_get_bytes(); timeout_ns is for all together
 *  @cost    remote objects are fetched side by side */
MRAY_API int mray_get_many(const mray_ref *refs, size_t n, void *const *bufs, size_t buf_bytes, mray_type type, int64_t timeout_ns,
                           int *statuses);

/** Wait until num_ready of n objects are there: results, errors included. To take them as they come, wait for one, take its ref out of the list, and wait
 *  for one of the rest. To see all that are there, ask for all n with a timeout of 0.
 *  @param refs        n refs, no two the same
 *  @param num_ready   0 .. n
 *  @param timeout_ns  as mray_get_bytes()
 *  @param ready       n flags; num_ready of them are set at most, of what is there for those that come first in refs. A result that another node has is
 *                     brought here before it is flagged, and no more of them than are wanted. What is flagged stays for 5 s at least, unless the
 *                     store needs the room
 *  @param n_ready_p   how many flags are set; may be NULL
 *  @return MRAY_OK, MRAY_ERR_TIMEOUT (what is there is flagged all the same), MRAY_ERR_INVALID_ARGUMENT (a ref given twice, num_ready > n, NULL),
 *          MRAY_ERR_INVALID_REF. Refs behind the last one that was needed are not looked at, good or bad, and twins are found only where fewer than num_ready
 *          are there at once
 *  @context any thread of an endpoint; may block
 *  @cost    one load for each ref up to the last that is needed, and clearing the flags; O(n) where it has to wait. Spins for 50 us at most, then sleeps */
MRAY_API int mray_wait(const mray_ref *refs, size_t n, size_t num_ready, int64_t timeout_ns, bool *ready, size_t *n_ready_p);

/** Hold an object once more, so that it outlives the release of the ref at hand: for refs that a task was given and keeps.
 *  @return MRAY_OK, MRAY_ERR_INVALID_REF
 *  @context any thread of an endpoint
 *  @cost    same node: one compare-and-swap; other node: one round trip to the owner, once a node */
MRAY_API int mray_retain(mray_ref ref);

/** Give a ref back; the last one frees the object. A task that was given the ref as an argument keeps it until it is done.
 *  @return MRAY_OK, MRAY_ERR_INVALID_REF (released before, or of another session)
 *  @context any thread of an endpoint
 *  @cost    one compare-and-swap; other node: a message, not waited for */
MRAY_API int mray_release(mray_ref ref);

/** Release n refs; nil ones are skipped.
 *  @return MRAY_OK or the first error; the others are released all the same
 *  @see mray_release */
MRAY_API int mray_release_many(const mray_ref *refs, size_t n);

#ifdef __cplusplus
}
#endif

#ifndef __cplusplus
/** Put a value (any expression): mray_ref r = mray_put(x). Nil on an error. */
#define mray_put(x) mray_put_arg(MRAY_ARG(x))
/** Put n elements from a pointer: mray_ref v = mray_put_array(p, n). Nil on an error. */
#define mray_put_array(pointer, n) \
    mray_put_elements((pointer), (n), (mray_type){.dtype = MRAY_DTYPE_OF(*(pointer)), .is_array = 1, .size = sizeof(*(pointer))})
/** Copy an object into *pointer, whose type is checked; waits for ever. mray_get_timeout() takes nanoseconds. mray_get(ref, NULL) copies
 *  nothing and checks no type: it waits, and says how the task ended; for tasks that return nothing. */
#define mray_get(ref, pointer) mray_get_timeout((ref), (pointer), MRAY_FOREVER)
#define mray_get_timeout(ref, pointer, timeout_ns)                                                             \
    mray_get_bytes((ref), (pointer), _Generic((pointer), void *: 0, default: sizeof(*MRAY_NOT_VOID(pointer))), \
                   (mray_type)MRAY_TYPE_OF(*MRAY_NOT_VOID(pointer)), (timeout_ns), NULL)
/* A pointer to void has no element; of NULL it is not needed. */
#define MRAY_NOT_VOID(pointer) _Generic((pointer), void *: (char *)0, default: (pointer))
/** Copy an array object into n elements at pointer; waits for ever. */
#define mray_get_array(ref, pointer, n)                                                                                         \
    mray_get_bytes((ref), (pointer), (n) * sizeof(*(pointer)),                                                                  \
                   (mray_type){.dtype = MRAY_DTYPE_OF(*(pointer)), .is_array = 1, .size = sizeof(*(pointer))}, MRAY_FOREVER, NULL)
#include <mray/task.h>
static inline mray_ref mray_put_arg(mray_arg a)
{
    mray_ref ref;
    int status = mray_put_bytes(a.data, a.n * a.type.size, a.type, NULL, &ref);
    (void)status; /* a nil ref carries it */
    return ref;
}
static inline mray_ref mray_put_elements(const void *p, size_t n, mray_type type)
{
    mray_ref ref;
    int status = mray_put_bytes(p, n * type.size, type, NULL, &ref);
    (void)status;
    return ref;
}
#endif
#endif
