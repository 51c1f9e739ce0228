/* mray/status.h: the status codes every mray call returns, and the sentence behind the last error. */
#ifndef MRAY_STATUS_H
#define MRAY_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Visibility of the public functions; everything else in the library is hidden. */
#define MRAY_API __attribute__((visibility("default")))
#define MRAY_CHECK_RESULT __attribute__((warn_unused_result))

/* One row a code: name, number, meaning. Codes are grouped by the largest thing that was harmed, as UCX's
 * ucs/type/status.h does: an argument (1xx), an object (2xx), a task (3xx), an actor (4xx), a worker (5xx),
 * a node (6xx), the job (7xx). Numbers never change between versions. */
#define MRAY_STATUS_TABLE(X)                                                                        \
    X(OK, 0, "success")                                                                             \
    X(ERR_INVALID_ARGUMENT, 100, "an argument is not valid")                                        \
    X(ERR_TYPE, 101, "the type does not match")                                                     \
    X(ERR_BUFFER_TOO_SMALL, 102, "the buffer is too small")                                         \
    X(ERR_TOO_MANY_ARGUMENTS, 103, "more arguments than a task can take")                           \
    X(ERR_INVALID_REF, 200, "the reference names no object of this session")                        \
    X(ERR_TIMEOUT, 201, "the object was not ready in time")                                         \
    X(ERR_OBJECT_STORE_FULL, 202, "the object store is full")                                       \
    X(ERR_OBJECT_LOST, 203, "the object is lost")                                                   \
    X(ERR_NOT_SEALED, 204, "the object is not sealed yet")                                          \
    X(ERR_TASK, 300, "the task failed")                                                             \
    X(ERR_TASK_NOT_FOUND, 301, "no function of that name is registered")                            \
    X(ERR_TASK_UNSCHEDULABLE, 302, "no node has the resources the task asks for")                   \
    X(ERR_TASK_CANCELLED, 303, "the task was cancelled")                                            \
    X(ERR_WAIT_CYCLE, 304, "tasks wait for each other in a cycle")                                  \
    X(ERR_ACTOR_DIED, 400, "the actor is dead")                                                     \
    X(ERR_ACTOR_NOT_FOUND, 401, "no actor of that name")                                            \
    X(ERR_ACTOR_NAME_TAKEN, 402, "an actor of that name exists already")                            \
    X(ERR_WORKER_CRASHED, 500, "the worker process died while it ran the task")                     \
    X(ERR_NODE_DIED, 600, "the node is lost")                                                       \
    X(ERR_NOT_INITIALIZED, 700, "mray is not initialised")                                          \
    X(ERR_ALREADY_INITIALIZED, 701, "mray is initialised already")                                  \
    X(ERR_OUT_OF_MEMORY, 702, "memory cannot be had")                                               \
    X(ERR_LIMIT, 703, "a fixed limit of the runtime is reached")                                    \
    X(ERR_MPI, 704, "an MPI call failed")                                                           \
    X(ERR_SYSTEM, 705, "a system call failed")                                                      \
    X(ERR_FUNCTION_MISMATCH, 706, "the ranks do not run the same program")                          \
    X(ERR_NOT_SUPPORTED, 707, "not supported here")                                                 \
    X(ERR_KEY_NOT_FOUND, 708, "no value is stored under that key")                                  \
    X(ERR_KEY_EXISTS, 709, "a value is stored under that key already")                              \
    X(ERR_INTERNAL, 799, "an internal invariant is broken; please report it")

/** Status of a call. 0 is success; every other value is an error. */
typedef enum mray_status {
#define MRAY_STATUS_ENUM(name, number, text) MRAY_##name = (number),
    MRAY_STATUS_TABLE(MRAY_STATUS_ENUM)
#undef MRAY_STATUS_ENUM
} mray_status;

/** Name of a status, such as "ERR_TIMEOUT".
 *  @param status  any value
 *  @return a static string; "ERR_UNKNOWN" for a value that is no status
 *  @context any thread, at any time; async-signal-safe
 *  @cost    a search of a table of 30 rows */
MRAY_API const char *mray_status_name(int status);

/** Meaning of a status, one short phrase.
 *  @param status  any value
 *  @return a static string
 *  @context any thread, at any time; async-signal-safe
 *  @cost    a search of a table of 30 rows */
MRAY_API const char *mray_status_text(int status);

/** The sentence of the last error in the calling thread: what failed, with which argument, and what to do.
 *  For the error of a task it names the first cause, the task, the rank and the attempt.
 *  @return a string that stays valid until this thread's next failing mray call; "" before any error
 *  @context any thread, at any time
 *  @cost    one thread-local load */
MRAY_API const char *mray_error_message(void);

#ifdef __cplusplus
}
#endif
#endif
