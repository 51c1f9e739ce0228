/* mray/macros.h: what makes a C function a task, and a C call a remote one. Included by task.h and actor.h.
 *
 * Types are found by _Generic, results of type void by pasting the type's first word, arguments are counted up to 8. Nothing here
 * does what the plain ABI could not: MRAY_TASK fills in an mray_function, mray_remote an array of mray_arg. */
#ifndef MRAY_MACROS_H
#define MRAY_MACROS_H

#include <mray/types.h>
#include <stdbool.h>

/* The empty argument lists and statement-free tricks below are fine with GCC and Clang, and noisy under -pedantic. */
#pragma GCC system_header

/* ---- arrays ---- */

/** Array parameter or result: mray_array(double) x has x.data, x.n, and x.ndim, x.dims for more than one dimension.
 *  In a parameter data is read-only memory of the object store: writing to it crashes the task. */
#define mray_array(T) mray_array_##T
#define MRAY_ARRAY_TYPE(T)       \
    typedef struct mray_array_##T { \
        T *data;                 \
        size_t n;                \
        int ndim;                \
        const uint64_t *dims;    \
    } mray_array_##T;

#define MRAY_EACH_SCALAR(X)                                                                                                     \
    X(char, MRAY_INT8) X(int8_t, MRAY_INT8) X(int16_t, MRAY_INT16) X(int32_t, MRAY_INT32) X(int64_t, MRAY_INT64)                \
    X(uint8_t, MRAY_UINT8) X(uint16_t, MRAY_UINT16) X(uint32_t, MRAY_UINT32) X(uint64_t, MRAY_UINT64) X(float, MRAY_FLOAT32)    \
    X(double, MRAY_FLOAT64) X(int, MRAY_INT32)
#define MRAY_ARRAY_TYPE_ROW(T, D) MRAY_ARRAY_TYPE(T)
MRAY_EACH_SCALAR(MRAY_ARRAY_TYPE_ROW)

/* dtype of an expression; anything that is not listed is bytes. long and long long are both 64 bits wide here. */
#define MRAY_DTYPE_OF(x)                                                                                                     \
    _Generic((x), bool: MRAY_BOOL, char: MRAY_INT8, signed char: MRAY_INT8, short: MRAY_INT16, int: MRAY_INT32,              \
        long: MRAY_INT64, long long: MRAY_INT64, unsigned char: MRAY_UINT8, unsigned short: MRAY_UINT16,                     \
        unsigned: MRAY_UINT32, unsigned long: MRAY_UINT64, unsigned long long: MRAY_UINT64, float: MRAY_FLOAT32,             \
        double: MRAY_FLOAT64, mray_ref: MRAY_REF, mray_actor: MRAY_ACTOR, mray_array_char: MRAY_INT8,                        \
        mray_array_int8_t: MRAY_INT8, mray_array_int16_t: MRAY_INT16, mray_array_int32_t: MRAY_INT32,                        \
        mray_array_int: MRAY_INT32, mray_array_int64_t: MRAY_INT64, mray_array_uint8_t: MRAY_UINT8,                          \
        mray_array_uint16_t: MRAY_UINT16, mray_array_uint32_t: MRAY_UINT32, mray_array_uint64_t: MRAY_UINT64,                \
        mray_array_float: MRAY_FLOAT32, mray_array_double: MRAY_FLOAT64, default: MRAY_BYTES)
#define MRAY_IS_ARRAY(x)                                                                                                     \
    _Generic((x), mray_array_char: 1, mray_array_int8_t: 1, mray_array_int16_t: 1, mray_array_int32_t: 1, mray_array_int: 1, \
        mray_array_int64_t: 1, mray_array_uint8_t: 1, mray_array_uint16_t: 1, mray_array_uint32_t: 1,                        \
        mray_array_uint64_t: 1, mray_array_float: 1, mray_array_double: 1, default: 0)
#define MRAY_ELEMENT_SIZE(x)                                                                                                 \
    _Generic((x), mray_array_char: 1, mray_array_int8_t: 1, mray_array_int16_t: 2, mray_array_int32_t: 4, mray_array_int: 4, \
        mray_array_int64_t: 8, mray_array_uint8_t: 1, mray_array_uint16_t: 2, mray_array_uint32_t: 4,                        \
        mray_array_uint64_t: 8, mray_array_float: 4, mray_array_double: 8, default: sizeof(x))

/** mray_type of an expression (which is not evaluated). */
#define MRAY_TYPE_OF(x) {.dtype = MRAY_DTYPE_OF(x), .is_array = MRAY_IS_ARRAY(x), .size = MRAY_ELEMENT_SIZE(x)}
#define MRAY_TYPE_OF_NAME(T) MRAY_TYPE_OF(*(T *)0)

/* ---- counting ---- */
#define MRAY_CAT_(a, b) a##b
#define MRAY_CAT(a, b) MRAY_CAT_(a, b)
#define MRAY_COUNT_(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, N, ...) N
/* Number of arguments behind the first, which is there because only behind one may a list be empty in ISO C; MANY above 16. Up to 33 are
 * told from fewer. */
#define MRAY_COUNT(dummy, ...) MRAY_COUNT_(dummy, ##__VA_ARGS__, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, \
    MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, ~)
/* Stops the compiler with a sentence, as a declaration and inside an expression. */
#define MRAY_LIMIT_SENTENCE "mray: a task or method takes at most 8 arguments (MRAY_MAX_ARGS); put several values into a struct or an array"
#define MRAY_TOO_MANY_ARGS NULL, (int)sizeof(struct { _Static_assert(0, MRAY_LIMIT_SENTENCE); int n; })
/* 0, 1: pairs; 2: something without its other half; 3: too many. */
#define MRAY_PARAMS_CLASS(dummy, ...) MRAY_COUNT_(dummy, ##__VA_ARGS__, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, \
    3, 3, 3, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 0, ~)
#define MRAY_N_PARAMS(dummy, ...) MRAY_COUNT_(dummy, ##__VA_ARGS__, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, \
    8, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, ~)
#define MRAY_CHECK_PARAMS(dummy, ...)                                                      \
    _Static_assert(MRAY_PARAMS_CLASS(dummy, ##__VA_ARGS__) != 3, MRAY_LIMIT_SENTENCE);     \
    _Static_assert(MRAY_PARAMS_CLASS(dummy, ##__VA_ARGS__) != 2, "mray: parameters are pairs: type, name, type, name")

/* ---- parameter lists: pairs of type, name ---- */
#define MRAY_PAIRS(M, ...) MRAY_CAT(MRAY_PAIRS_, MRAY_COUNT(M, ##__VA_ARGS__))(M, ##__VA_ARGS__)
#define MRAY_PAIRS_0(M)
#define MRAY_PAIRS_2(M, t, n) M(0, t, n)
#define MRAY_PAIRS_4(M, t0, n0, t1, n1) M(0, t0, n0), M(1, t1, n1)
#define MRAY_PAIRS_6(M, t0, n0, t1, n1, t2, n2) M(0, t0, n0), M(1, t1, n1), M(2, t2, n2)
#define MRAY_PAIRS_8(M, t0, n0, t1, n1, t2, n2, t3, n3) MRAY_PAIRS_6(M, t0, n0, t1, n1, t2, n2), M(3, t3, n3)
#define MRAY_PAIRS_10(M, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4) MRAY_PAIRS_8(M, t0, n0, t1, n1, t2, n2, t3, n3), M(4, t4, n4)
#define MRAY_PAIRS_12(M, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5) \
    MRAY_PAIRS_10(M, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4), M(5, t5, n5)
#define MRAY_PAIRS_14(M, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, t6, n6) \
    MRAY_PAIRS_12(M, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5), M(6, t6, n6)
#define MRAY_PAIRS_16(M, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, t6, n6, t7, n7) \
    MRAY_PAIRS_14(M, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, t6, n6), M(7, t7, n7)
/* What MRAY_CHECK_PARAMS has complained of is made into something that compiles, so that there is no second complaint. */
#define MRAY_PAIRS_1(M, ...) MRAY_PAIRS_2(M, __VA_ARGS__, mray_has_no_name)
#define MRAY_PAIRS_3(M, ...) MRAY_PAIRS_4(M, __VA_ARGS__, mray_has_no_name)
#define MRAY_PAIRS_5(M, ...) MRAY_PAIRS_6(M, __VA_ARGS__, mray_has_no_name)
#define MRAY_PAIRS_7(M, ...) MRAY_PAIRS_8(M, __VA_ARGS__, mray_has_no_name)
#define MRAY_PAIRS_9(M, ...) MRAY_PAIRS_10(M, __VA_ARGS__, mray_has_no_name)
#define MRAY_PAIRS_11(M, ...) MRAY_PAIRS_12(M, __VA_ARGS__, mray_has_no_name)
#define MRAY_PAIRS_13(M, ...) MRAY_PAIRS_14(M, __VA_ARGS__, mray_has_no_name)
#define MRAY_PAIRS_15(M, ...) MRAY_PAIRS_16(M, __VA_ARGS__, mray_has_no_name)
#define MRAY_PAIRS_MANY(M, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, t6, n6, t7, n7, ...) \
    MRAY_PAIRS_16(M, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, t6, n6, t7, n7)

#define MRAY_PARAM_DECL(i, t, n) t n
#define MRAY_PARAM_TYPE(i, t, n) MRAY_TYPE_OF_NAME(t)
#define MRAY_PARAM_PASS(i, t, n) *(t *)args[i]
/* (void) for none, so that the prototype is one. */
#define MRAY_PARAMS(dummy, ...) MRAY_CAT(MRAY_PARAMS_, MRAY_HAS_ARGS(dummy, ##__VA_ARGS__))(dummy, ##__VA_ARGS__)
#define MRAY_PARAMS_0(dummy) void
#define MRAY_PARAMS_1(dummy, ...) MRAY_PAIRS(MRAY_PARAM_DECL, __VA_ARGS__)
#define MRAY_HAS_ARGS(dummy, ...) MRAY_COUNT_(dummy, ##__VA_ARGS__, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, \
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, ~)

/* ---- void results: pasting the type's first word selects ---- */
#define MRAY_VOID_TEST_void ~, 1
#define MRAY_SECOND_(a, b, ...) b
#define MRAY_SECOND(...) MRAY_SECOND_(__VA_ARGS__)
#define MRAY_IS_VOID(R) MRAY_SECOND(MRAY_CAT_(MRAY_VOID_TEST_, R), 0)
#define MRAY_STORE_RESULT_0(R, call) *(R *)ret = call
#define MRAY_STORE_RESULT_1(R, call) (void)ret, call
#define MRAY_RESULT_TYPE_0(R) MRAY_TYPE_OF_NAME(R)
#define MRAY_RESULT_TYPE_1(R) {.dtype = MRAY_VOID}
#define MRAY_STORE_RESULT(R, call) MRAY_CAT(MRAY_STORE_RESULT_, MRAY_IS_VOID(R))(R, call)
#define MRAY_RESULT_TYPE(R) MRAY_CAT(MRAY_RESULT_TYPE_, MRAY_IS_VOID(R))(R)

/** Define a task: MRAY_TASK(result, name, type, parameter, ...) { body }. The name remains an ordinary function, too. */
#define MRAY_TASK(R, task, ...)                                                                                               \
    MRAY_CHECK_PARAMS(task, ##__VA_ARGS__);                                                                                   \
    R task(MRAY_PARAMS(task, ##__VA_ARGS__));                                                                                         \
    static void task##__call(void *const *args, void *ret)                                                                    \
    {                                                                                                                         \
        (void)args;                                                                                                           \
        MRAY_STORE_RESULT(R, task(MRAY_PAIRS(MRAY_PARAM_PASS, ##__VA_ARGS__)));                                               \
    }                                                                                                                         \
    mray_function task##__mray = {.name = #task,                                                                              \
                                  .call = task##__call,                                                                       \
                                  .ret = MRAY_RESULT_TYPE(R),                                                                 \
                                  .n_params = MRAY_N_PARAMS(task, ##__VA_ARGS__),                                                    \
                                  .params = {MRAY_PAIRS(MRAY_PARAM_TYPE, ##__VA_ARGS__)}};                                    \
    __attribute__((constructor)) static void task##__register(void) { mray_function_register(&task##__mray); }                \
    R task(MRAY_PARAMS(task, ##__VA_ARGS__))

/** Declare a task that another file defines, so that this one can call it. */
#define MRAY_TASK_DECLARE(R, task, ...)    \
    R task(MRAY_PARAMS(task, ##__VA_ARGS__));      \
    extern mray_function task##__mray

/* ---- arguments of a call ---- */

/* An argument is copied into a one-element array, so that any expression has an address. Strings and other arrays are not
 * values in C: pass mray_array_of(pointer, n). */
#define MRAY_ARG(x)                                                                                                           \
    mray_arg_make((mray_type)MRAY_TYPE_OF(x), (__typeof__(x)[1]){x})
#define MRAY_ARGS_0(dummy) NULL, 0
#define MRAY_ARGS_1(dummy, a) (mray_arg[]){MRAY_ARG(a)}, 1
#define MRAY_ARGS_2(dummy, a, b) (mray_arg[]){MRAY_ARG(a), MRAY_ARG(b)}, 2
#define MRAY_ARGS_3(dummy, a, b, c) (mray_arg[]){MRAY_ARG(a), MRAY_ARG(b), MRAY_ARG(c)}, 3
#define MRAY_ARGS_4(dummy, a, b, c, d) (mray_arg[]){MRAY_ARG(a), MRAY_ARG(b), MRAY_ARG(c), MRAY_ARG(d)}, 4
#define MRAY_ARGS_5(dummy, a, b, c, d, e) (mray_arg[]){MRAY_ARG(a), MRAY_ARG(b), MRAY_ARG(c), MRAY_ARG(d), MRAY_ARG(e)}, 5
#define MRAY_ARGS_6(dummy, a, b, c, d, e, f) (mray_arg[]){MRAY_ARG(a), MRAY_ARG(b), MRAY_ARG(c), MRAY_ARG(d), MRAY_ARG(e), MRAY_ARG(f)}, 6
#define MRAY_ARGS_7(dummy, a, b, c, d, e, f, g) \
    (mray_arg[]){MRAY_ARG(a), MRAY_ARG(b), MRAY_ARG(c), MRAY_ARG(d), MRAY_ARG(e), MRAY_ARG(f), MRAY_ARG(g)}, 7
#define MRAY_ARGS_8(dummy, a, b, c, d, e, f, g, h) \
    (mray_arg[]){MRAY_ARG(a), MRAY_ARG(b), MRAY_ARG(c), MRAY_ARG(d), MRAY_ARG(e), MRAY_ARG(f), MRAY_ARG(g), MRAY_ARG(h)}, 8
#define MRAY_ARGS_9(dummy, ...) MRAY_TOO_MANY_ARGS
#define MRAY_ARGS_10(dummy, ...) MRAY_TOO_MANY_ARGS
#define MRAY_ARGS_11(dummy, ...) MRAY_TOO_MANY_ARGS
#define MRAY_ARGS_12(dummy, ...) MRAY_TOO_MANY_ARGS
#define MRAY_ARGS_13(dummy, ...) MRAY_TOO_MANY_ARGS
#define MRAY_ARGS_14(dummy, ...) MRAY_TOO_MANY_ARGS
#define MRAY_ARGS_15(dummy, ...) MRAY_TOO_MANY_ARGS
#define MRAY_ARGS_16(dummy, ...) MRAY_TOO_MANY_ARGS
#define MRAY_ARGS_MANY(dummy, ...) MRAY_TOO_MANY_ARGS
#define MRAY_ARGS(dummy, ...) MRAY_CAT(MRAY_ARGS_, MRAY_COUNT(dummy, ##__VA_ARGS__))(dummy, ##__VA_ARGS__)

/* A macro that is expanded inside an argument of itself is expanded there only if the argument is no operand of ##. Hence __VA_OPT__ in the macros
 * that may stand inside each other: mray_remote(f, mray_remote(g)). It is C23's; GCC has it from version 8 on, Clang from 6. */

/** Submit task `name` with these arguments, values and refs alike: mray_ref r = mray_remote(f, 3, other, 0.5). A call may stand inside another,
 *  mray_remote(f, mray_remote(g)); the inner object then stays until the session ends, since nobody has a ref to release. */
#define mray_remote(name, ...) mray_submit_one(&name##__mray, MRAY_ARGS(name __VA_OPT__(, ) __VA_ARGS__), NULL)
/** Options for mray_remote_with: mray_opts(.num_cpus = 2, .max_retries = 5). */
#define mray_opts(...) ((mray_task_opts){__VA_ARGS__})
/** The same with options: mray_remote_with(mray_opts(.num_cpus = 2, .max_retries = 5), f, x). A macro's argument ends at a comma inside
 *  braces, so a literal with several fields wants mray_opts() or parentheses around it. */
#define mray_remote_with(opts, name, ...) \
    mray_submit_one(&name##__mray, MRAY_ARGS(name __VA_OPT__(, ) __VA_ARGS__), (mray_task_opts[1]){opts})
/** A task with n results into refs[0 .. n-1]; returns a status. */
#define mray_remote_n(refs, count, name, ...) \
    mray_submit(&name##__mray, MRAY_ARGS(name __VA_OPT__(, ) __VA_ARGS__), &(mray_task_opts){.num_returns = (count)}, (refs))

/** An array argument or result from a pointer: mray_array_of(double, p, n). */
#define mray_array_of(T, pointer, count) ((mray_array_##T){.data = (pointer), .n = (count), .ndim = 1, .dims = NULL})
/** Room for the array a task returns, in the store: mray_array(double) y = mray_return_array(double, n). data is NULL when full. */
#define mray_return_array(T, count)                                                                                           \
    ((mray_array_##T){.data = mray_return_array_alloc((mray_type)MRAY_TYPE_OF_NAME(T), (count)), .n = (count), .ndim = 1})
/** Set result i of a task with several results from an expression. */
#define mray_return(i, x) mray_return_arg((i), MRAY_ARG(x))
#endif
