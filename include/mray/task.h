/* mray/task.h: functions that run elsewhere.
 *
 *     MRAY_TASK(double, norm2, mray_array(double), x) { double s = 0; ...; return s; }
 *     mray_ref r = mray_remote(norm2, v);
 *
 * Macros register the function by itself before main(), under its own name, and build the arguments of a call. Under them stands a plain C
 * ABI (mray_function, mray_arg, mray_submit) which other languages use. */
#ifndef MRAY_TASK_H
#define MRAY_TASK_H

#include <mray/status.h>
#include <mray/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Calls the user's function: args[i] points to argument i (for an array parameter: to an mray_array_* struct), ret to
 *  room for the result. */
typedef void (*mray_call_fn)(void *const *args, void *ret);

/** A function that tasks can run. Filled in by MRAY_TASK; must live as long as the process. */
typedef struct mray_function {
    const char *name;                   /**< unique in the program */
    mray_call_fn call;
    mray_type ret;                      /**< dtype MRAY_VOID: none */
    int n_params;
    mray_type params[MRAY_MAX_ARGS];    /**< dtype MRAY_REF: gets the ref itself, its object need not be ready */
    struct mray_function *next;         /**< the library's */
    uint64_t hash;                      /**< the library's */
    uint32_t index;                     /**< the library's: place in the table all ranks agree on */
} mray_function;

/** Register a function; MRAY_TASK does it before main(). Every rank must register the same functions before mray_init().
 *  @param function  static storage; name, call, ret, params filled in
 *  @context before mray_init() in this process; not thread-safe
 *  @cost    a list insertion */
MRAY_API void mray_function_register(mray_function *function);

/** One argument of a call: a value (copied), an array (copied) or a ref. */
typedef struct mray_arg {
    mray_type type;   /**< dtype MRAY_REF: data points to the mray_ref */
    const void *data; /**< the value, the first element, or the ref */
    size_t n;         /**< elements of an array; 1 for a value */
} mray_arg;

/** How the rank of a task or of an actor is chosen. */
typedef enum mray_strategy {
    MRAY_SCHED_DEFAULT = 0, /**< tasks: near first, a rank half full before the next, where the arguments' bytes are; actors: the rank with fewest */
    MRAY_SCHED_SPREAD,      /**< ranks in turn: those that have what it takes free, then those that could ever run it */
} mray_strategy;

/** How a task is to be run. Zero in every field is the default. */
typedef struct mray_task_opts {
    double num_cpus;        /**< CPUs it occupies; 0 means 1, MRAY_NO_CPU none */
    int max_retries;        /**< repeats after the death of its worker; 0 means 3, MRAY_NO_RETRY none, MRAY_RETRY_FOREVER */
    const char *resource;   /**< name of a custom resource it occupies; NULL for none */
    double resource_amount; /**< how much of it; 0 means 1 */
    int num_returns;        /**< results; 0 means 1 */
    const char *name;       /**< for messages; NULL means the function's name */
    mray_strategy strategy; /**< how its rank is chosen; a method runs where its actor is */
} mray_task_opts;

#define MRAY_NO_CPU (-1.0)
#define MRAY_NO_RETRY (-1)
#define MRAY_RETRY_FOREVER (-2)
#define MRAY_MAX_RETURNS 4096

/** Submit a task. Returns at once: the task runs when its arguments are ready, on whatever worker is best placed.
 *  An argument given as a ref stands for its object's value, unless the parameter's type is mray_ref. A failed argument fails the
 *  task with the same error.
 *  @param function  registered on every rank
 *  @param args      n_args arguments; numbers are converted to the parameter's type where the value allows it
 *  @param opts      NULL for the defaults
 *  @param refs_p    room for num_returns refs; each holds its result until mray_release()
 *  @return MRAY_OK, MRAY_ERR_TOO_MANY_ARGUMENTS, MRAY_ERR_TYPE, MRAY_ERR_INVALID_ARGUMENT, MRAY_ERR_INVALID_REF, MRAY_ERR_TASK_NOT_FOUND,
 *          MRAY_ERR_LIMIT (tables are full, and stayed so), MRAY_ERR_OBJECT_STORE_FULL (a large argument), MRAY_ERR_NOT_INITIALIZED.
 *          On an error refs_p holds nil refs that carry the status
 *  @context any thread of an endpoint; blocks only while the task table is full
 *  @cost    same node: one record, one slot, one compare-and-swap; no system call while the worker is awake */
MRAY_API int mray_submit(const mray_function *function, const mray_arg *args, int n_args, const mray_task_opts *opts, mray_ref *refs_p);

/** The same for one result, returned; nil (mray_ref_is_nil) when the call failed: mray_get() on it gives the status.
 *  @see mray_submit */
MRAY_API mray_ref mray_submit_one(const mray_function *function, const mray_arg *args, int n_args, const mray_task_opts *opts);

/** Function of that name, or NULL. For languages without the macros.
 *  @context any thread, after mray_init()
 *  @cost    a hash look-up */
MRAY_API const mray_function *mray_function_find(const char *name);

/* ---- inside a task ---- */

/** Make the running task fail: every mray_get() of its results returns MRAY_ERR_TASK with this sentence, the task's name and its rank.
 *  The function must still return; what it returns is ignored.
 *  @param fmt  printf format
 *  @context inside a task or method, on its own thread
 *  @cost    formatting */
MRAY_API void mray_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** Set result i of a task with several results (num_returns > 1); result 0 is what the function returns.
 *  @param i     1 .. num_returns - 1
 *  @param type  element type
 *  @param data  n elements, copied
 *  @param n     1 for a value; type.is_array decides
 *  @return MRAY_OK, MRAY_ERR_INVALID_ARGUMENT (no such result, or outside a task), MRAY_ERR_OBJECT_STORE_FULL
 *  @context inside a task, on its own thread; once for each i
 *  @cost    a copy */
MRAY_API int mray_set_return(int i, mray_type type, const void *data, size_t n);

/** Room for the array that the running task returns, in the object store itself: returning it copies nothing.
 *  @param type  element type
 *  @param n     elements
 *  @return writable memory until the function returns, or NULL when the store is full (the task then fails, or returns something else)
 *  @context inside a task or method, on its own thread; once a task
 *  @cost    one allocation in the arena */
MRAY_API void *mray_return_array_alloc(mray_type type, size_t n);

/** Facts about the running task, for messages and seeds. */
typedef struct mray_task_info {
    const char *name;
    int rank;     /**< rank whose worker runs it */
    int worker;   /**< index of the worker on that rank */
    int attempt;  /**< 0 for the first run */
} mray_task_info;

/** What runs here.
 *  @return MRAY_OK, or MRAY_ERR_INVALID_ARGUMENT outside a task
 *  @context inside a task or method
 *  @cost    a few loads */
MRAY_API int mray_task_current(mray_task_info *info_p);

#ifdef __cplusplus
}
#endif

#ifndef __cplusplus
/* What the macros expand to. */
static inline mray_arg mray_arg_make(mray_type type, const void *p)
{
    if (type.is_array) return (mray_arg){type, ((const mray_array_any *)p)->data, ((const mray_array_any *)p)->n};
    return (mray_arg){type, p, 1};
}
static inline int mray_return_arg(int i, mray_arg a)
{
    return mray_set_return(i, a.type, a.data, a.n);
}
#include <mray/macros.h>
#endif
#endif
