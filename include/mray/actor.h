/* mray/actor.h: actors: state that lives in a worker of its own, changed by calls that run one after the other.
 *
 *     MRAY_ACTOR(counter, int64_t, start) { self->n = start; }       with  typedef struct { int64_t n; } counter;  before it
 *     MRAY_METHOD(int64_t, counter, add, int64_t, k) { self->n += k; return self->n; }
 *
 *     mray_actor a = mray_actor_new(counter, 10);
 *     mray_ref r = mray_call(a, counter, add, 5);
 *
 * The calls of one caller run in the order in which it made them; there is no order among callers. */
#ifndef MRAY_ACTOR_H
#define MRAY_ACTOR_H

#include <mray/status.h>
#include <mray/task.h>
#include <mray/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How an actor is made. Zero in every field is the default. */
typedef struct mray_actor_opts {
    const char *name;       /**< unique in the session, up to 63 characters; NULL: none */
    double num_cpus;        /**< CPUs it keeps while it lives; 0 (the default): one to be placed, none to run */
    const char *resource;   /**< custom resource it keeps while it lives */
    double resource_amount;
    int detached;           /**< 1: outlives the endpoint that made it, until killed or the session's end */
    mray_strategy strategy; /**< how its rank is chosen */
} mray_actor_opts;

/** A class of actors: size of the state, constructor and hooks. Filled in by MRAY_ACTOR. */
typedef struct mray_actor_class {
    mray_function construct;                 /**< name is the class's; args[-1] of its call is the state */
    size_t state_size;                       /**< zeroed before the constructor runs */
    void (*on_start)(void *self);            /**< after the constructor, in the actor's worker; NULL: none */
    void (*on_stop)(void *self);             /**< before a graceful end, in the actor's worker; NULL: none */
} mray_actor_class;

/** Make an actor in a worker of its own. Returns at once; calls are queued until the constructor has run. If it fails, every call
 *  returns MRAY_ERR_ACTOR_DIED with its reason.
 *  @param actor_p  handle; nil on an error
 *  @return MRAY_OK, MRAY_ERR_ACTOR_NAME_TAKEN, or as mray_submit()
 *  @context any thread of an endpoint; with a name it waits for the head's answer
 *  @cost    a message through rank 0, and a fork */
MRAY_API int mray_actor_create(const mray_actor_class *cls, const mray_arg *args, int n_args, const mray_actor_opts *opts, mray_actor *actor_p);
MRAY_API mray_actor mray_actor_create_one(const mray_actor_class *cls, const mray_arg *args, int n_args, const mray_actor_opts *opts);

/** Call a method. Calls of one caller to one actor run in order, also when an early one's arguments are late.
 *  @return as mray_submit(); MRAY_ERR_ACTOR_DIED where that is known already
 *  @context any thread of an endpoint; also from inside actors. An actor that waits for a call to itself would wait for ever:
 *           MRAY_ERR_WAIT_CYCLE; so would actors and tasks that wait for each other in a circle: the last to wait gets it, where all are on one node
 *  @cost    same node: as mray_submit() */
MRAY_API int mray_actor_submit(mray_actor actor, const mray_function *method, const mray_arg *args, int n_args, const mray_task_opts *opts,
                               mray_ref *refs_p);
MRAY_API mray_ref mray_actor_submit_one(mray_actor actor, const mray_function *method, const mray_arg *args, int n_args);

/** Find a named actor.
 *  @return MRAY_OK, MRAY_ERR_ACTOR_NOT_FOUND
 *  @context any thread of an endpoint; waits for the head's answer
 *  @cost    a round trip to rank 0 */
MRAY_API int mray_actor_find(const char *name, mray_actor *actor_p);

/** End an actor at once; calls that it has not finished get MRAY_ERR_ACTOR_DIED. A thread cannot be ended from outside: with thread workers a method
 *  that is running goes on to its end, or to its next wait for an object, which then fails; its result is MRAY_ERR_ACTOR_DIED all the same, and what the
 *  actor keeps is free only then.
 *  @return MRAY_OK, also when it is dead already; MRAY_ERR_INVALID_ARGUMENT for a handle of another session
 *  @context any thread of an endpoint
 *  @cost    a message */
MRAY_API int mray_actor_kill(mray_actor actor);

/** End an actor after the calls that were made before this one, with its on_stop.
 *  @return as mray_actor_kill()
 *  @context any thread of an endpoint
 *  @cost    a call */
MRAY_API int mray_actor_stop(mray_actor actor);

#ifdef __cplusplus
}
#endif

#ifndef __cplusplus
/* As macros.h. */
#pragma GCC system_header
/** Define a class of actors and its constructor: MRAY_ACTOR(cls, type, parameter, ...) { self->... = ...; }. cls is the name of
 *  a struct type that was defined before it: the state, zeroed. */
#define MRAY_ACTOR(cls, ...) MRAY_ACTOR_HOOKS(cls, NULL, NULL, ##__VA_ARGS__)
/** The same with hooks, each void (*)(void *self) or NULL. */
#define MRAY_ACTOR_HOOKS(cls, start, stop, ...)                                                                               \
    MRAY_CHECK_PARAMS(cls, ##__VA_ARGS__);                                                                                    \
    static void cls##__construct(cls *self __attribute__((unused)) MRAY_COMMA_PARAMS(cls, ##__VA_ARGS__));                                                   \
    static void cls##__construct_call(void *const *args, void *ret)                                                           \
    {                                                                                                                         \
        (void)ret;                                                                                                            \
        cls##__construct((cls *)args[-1] MRAY_COMMA_PASS(cls, ##__VA_ARGS__));                                                       \
    }                                                                                                                         \
    mray_actor_class cls##__mray_class = {.construct = {.name = #cls,                                                         \
                                                        .call = cls##__construct_call,                                        \
                                                        .ret = {.dtype = MRAY_VOID},                                          \
                                                        .n_params = MRAY_N_PARAMS(cls, ##__VA_ARGS__),                              \
                                                        .params = {MRAY_PAIRS(MRAY_PARAM_TYPE, ##__VA_ARGS__)}},              \
                                          .state_size = sizeof(cls),                                                          \
                                          .on_start = (start),                                                                \
                                          .on_stop = (stop)};                                                                 \
    __attribute__((constructor)) static void cls##__register(void) { mray_function_register(&cls##__mray_class.construct); }  \
    static void cls##__construct(cls *self __attribute__((unused)) MRAY_COMMA_PARAMS(cls, ##__VA_ARGS__))

/** Define a method: MRAY_METHOD(result, cls, name, type, parameter, ...) { ... self->... }. */
#define MRAY_METHOD(R, cls, method, ...)                                                                                      \
    MRAY_CHECK_PARAMS(cls, ##__VA_ARGS__);                                                                                    \
    static R cls##__##method(cls *self __attribute__((unused)) MRAY_COMMA_PARAMS(cls, ##__VA_ARGS__));                                                       \
    static void cls##__##method##_call(void *const *args, void *ret)                                                          \
    {                                                                                                                         \
        MRAY_STORE_RESULT(R, cls##__##method((cls *)args[-1] MRAY_COMMA_PASS(cls, ##__VA_ARGS__)));                                  \
    }                                                                                                                         \
    mray_function cls##__##method##__mray = {.name = #cls "." #method,                                                        \
                                             .call = cls##__##method##_call,                                                  \
                                             .ret = MRAY_RESULT_TYPE(R),                                                      \
                                             .n_params = MRAY_N_PARAMS(cls, ##__VA_ARGS__),                                         \
                                             .params = {MRAY_PAIRS(MRAY_PARAM_TYPE, ##__VA_ARGS__)}};                         \
    __attribute__((constructor)) static void cls##__##method##__register(void)                                                \
    {                                                                                                                         \
        mray_function_register(&cls##__##method##__mray);                                                                     \
    }                                                                                                                         \
    static R cls##__##method(cls *self __attribute__((unused)) MRAY_COMMA_PARAMS(cls, ##__VA_ARGS__))

#define MRAY_COMMA_PARAMS(dummy, ...) MRAY_CAT(MRAY_COMMA_PARAMS_, MRAY_HAS_ARGS(dummy, ##__VA_ARGS__))(dummy, ##__VA_ARGS__)
#define MRAY_COMMA_PARAMS_0(dummy)
#define MRAY_COMMA_PARAMS_1(dummy, ...) , MRAY_PAIRS(MRAY_PARAM_DECL, __VA_ARGS__)
#define MRAY_COMMA_PASS(dummy, ...) MRAY_CAT(MRAY_COMMA_PASS_, MRAY_HAS_ARGS(dummy, ##__VA_ARGS__))(dummy, ##__VA_ARGS__)
#define MRAY_COMMA_PASS_0(dummy)
#define MRAY_COMMA_PASS_1(dummy, ...) , MRAY_PAIRS(MRAY_PARAM_PASS, __VA_ARGS__)

/** Make an actor: mray_actor a = mray_actor_new(counter, 10). Nil on an error. */
#define mray_actor_new(cls, ...) mray_actor_create_one(&cls##__mray_class, MRAY_ARGS(cls __VA_OPT__(, ) __VA_ARGS__), NULL)
/** The same with options: mray_actor_new_with(((mray_actor_opts){.name = "c"}), counter, 10). */
#define mray_actor_new_with(opts, cls, ...) mray_actor_create_one(&cls##__mray_class, MRAY_ARGS(cls __VA_OPT__(, ) __VA_ARGS__), (mray_actor_opts[1]){opts})
/** Call a method: mray_ref r = mray_call(a, counter, add, 5). */
#define mray_call(actor, cls, method, ...) mray_actor_submit_one((actor), &cls##__##method##__mray, MRAY_ARGS(cls __VA_OPT__(, ) __VA_ARGS__))
#endif
#endif
