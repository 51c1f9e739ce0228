/* Arguments: conversions between all numeric types at and beyond every limit, what is refused and how it is said, sizes in a body. */
#include "args.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    mray_type type;
    bool is_signed, is_integer;
    int64_t min;
    uint64_t max; /* of a float: the largest whole number up to which it holds all */
} kinds[] = {
    {{.dtype = MRAY_INT8, .size = 1}, true, true, INT8_MIN, INT8_MAX},
    {{.dtype = MRAY_INT16, .size = 2}, true, true, INT16_MIN, INT16_MAX},
    {{.dtype = MRAY_INT32, .size = 4}, true, true, INT32_MIN, INT32_MAX},
    {{.dtype = MRAY_INT64, .size = 8}, true, true, INT64_MIN, INT64_MAX},
    {{.dtype = MRAY_UINT8, .size = 1}, false, true, 0, UINT8_MAX},
    {{.dtype = MRAY_UINT16, .size = 2}, false, true, 0, UINT16_MAX},
    {{.dtype = MRAY_UINT32, .size = 4}, false, true, 0, UINT32_MAX},
    {{.dtype = MRAY_UINT64, .size = 8}, false, true, 0, UINT64_MAX},
    {{.dtype = MRAY_BOOL, .size = 1}, false, true, 0, 1},
    {{.dtype = MRAY_FLOAT32, .size = 4}, true, false, -(1 << 24), 1 << 24},
    {{.dtype = MRAY_FLOAT64, .size = 8}, true, false, -(INT64_C(1) << 53), UINT64_C(1) << 53},
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

/* A whole number as sign and magnitude, wide enough for all of them. */
typedef struct {
    bool negative;
    uint64_t magnitude;
} number_t;

static number_t number(int64_t v)
{
    return (number_t){v < 0, v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v};
}

static bool holds(int kind, number_t v)
{
    if (!v.negative) return v.magnitude <= kinds[kind].max;
    return v.magnitude <= number(kinds[kind].min).magnitude;
}

static void store(int kind, number_t v, void *out)
{
    uint64_t bits = v.negative ? (uint64_t)0 - v.magnitude : v.magnitude;
    double d = v.negative ? -(double)v.magnitude : (double)v.magnitude;
    float f = (float)d;
    if (kinds[kind].is_integer)
        memcpy(out, &bits, kinds[kind].type.size); /* little-endian */
    else
        memcpy(out, kinds[kind].type.size == 4 ? (void *)&f : (void *)&d, kinds[kind].type.size);
}

static void check(int from, int to, number_t v)
{
    uint8_t in[8] = {0}, want[16], got[16];
    memset(want, 0xa5, sizeof want);
    memset(got, 0xa5, sizeof got);
    store(from, v, in);
    mray_arg arg = {.type = kinds[from].type, .data = in, .n = 1};
    bool floats = !kinds[from].is_integer && !kinds[to].is_integer; /* which round */
    bool fits = from == to || floats || holds(to, v), did = args_convert(&kinds[to].type, &arg, got);
    if (did != fits)
        fail_msg("%s%llu as %s to %s: %s", v.negative ? "-" : "", (unsigned long long)v.magnitude, mray_dtype_name(kinds[from].type.dtype),
                 mray_dtype_name(kinds[to].type.dtype), did ? "accepted" : "refused");
    if (!fits) return;
    store(to, v, want); /* and no byte beyond the type */
    if (memcmp(got, want, sizeof got) != 0)
        fail_msg("%s%llu as %s to %s came out wrong", v.negative ? "-" : "", (unsigned long long)v.magnitude, mray_dtype_name(kinds[from].type.dtype),
                 mray_dtype_name(kinds[to].type.dtype));
}

/* One number just above 2^53 becomes 2^53 as a double; it is left out here. */
static bool rounds_into_range(int to, number_t v)
{
    return !kinds[to].is_integer && v.magnitude == (UINT64_C(1) << 53) + 1;
}

static void test_whole_numbers_at_every_limit(void **state)
{
    (void)state;
    for (int from = 0; from < N_KINDS; from++)
        for (int to = 0; to < N_KINDS; to++) {
            check(from, to, number(0));
            for (int limit = 0; limit < N_KINDS; limit++)
                for (int d = -2; d <= 2; d++) { /* at the limits of any type, as far as `from` has such a number */
                    number_t high = {false, kinds[limit].max + (uint64_t)(int64_t)d}, low = number(kinds[limit].min);
                    low.magnitude += (uint64_t)(int64_t)d;
                    if (holds(from, high) && !rounds_into_range(to, high)) check(from, to, high);
                    if (kinds[limit].min < 0 && kinds[from].is_signed && holds(from, low) && !rounds_into_range(to, low)) check(from, to, low);
                }
        }
}

static bool convert_double(double d, int to, void *out)
{
    mray_arg arg = {.type = {.dtype = MRAY_FLOAT64, .size = 8}, .data = &d, .n = 1};
    return args_convert(&kinds[to].type, &arg, out);
}

static void test_fractions_and_specials_are_no_integers(void **state)
{
    (void)state;
    static const double bad[] = {0.5, -0.5, 1e-300, 127.25, 1e300, -1e300, INFINITY, -INFINITY, NAN, 9.3e18, -9.3e18, 18446744073709551616.0};
    uint64_t out;
    for (int to = 0; to < N_KINDS; to++)
        for (size_t i = 0; kinds[to].is_integer && i < sizeof bad / sizeof bad[0]; i++)
            if (convert_double(bad[i], to, &out)) fail_msg("%g was taken for %s", bad[i], mray_dtype_name(kinds[to].type.dtype));
    float f = 2.5f;
    mray_arg arg = {.type = {.dtype = MRAY_FLOAT32, .size = 4}, .data = &f, .n = 1};
    assert_false(args_convert(&kinds[2].type, &arg, &out));
    out = UINT64_MAX;
    assert_true(convert_double(-0.0, 2, &out));
    assert_int_equal((int32_t)out, 0);
}

static void test_floats_convert_unless_they_overflow(void **state)
{
    (void)state;
    static const struct {
        double d;
        bool fits;
    } cases[] = {{0.1, true}, {-1e-40, true}, {1e-300, true}, {3.4028234663852886e38, true}, {3.5e38, false}, {-3.5e38, false}, {1e300, false},
                 {INFINITY, true}, {-INFINITY, true}};
    float f;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(convert_double(cases[i].d, 9, &f), cases[i].fits);
        if (cases[i].fits) assert_true(f == (float)cases[i].d);
    }
    assert_true(convert_double(NAN, 9, &f));
    assert_true(isnan(f));
    double d;
    f = 0.1f;
    mray_arg arg = {.type = {.dtype = MRAY_FLOAT32, .size = 4}, .data = &f, .n = 1};
    assert_true(args_convert(&kinds[10].type, &arg, &d));
    assert_true(d == (double)0.1f);
}

static void test_a_double_holds_even_numbers_only_up_to_two_to_53(void **state)
{
    (void)state;
    static const struct {
        int64_t v;
        bool f32, f64;
    } cases[] = {{1 << 24, true, true}, {(1 << 24) + 1, false, true}, {-(1 << 24), true, true}, {-(1 << 24) - 1, false, true},
                 {INT64_C(1) << 53, false, true}, {(INT64_C(1) << 53) + 2, false, false}, {-(INT64_C(1) << 53), false, true}, {INT64_MAX, false, false},
                 {INT64_MIN, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double d = 0;
        float f = 0;
        mray_arg arg = {.type = {.dtype = MRAY_INT64, .size = 8}, .data = &cases[i].v, .n = 1};
        assert_int_equal(args_convert(&kinds[9].type, &arg, &f), cases[i].f32);
        assert_int_equal(args_convert(&kinds[10].type, &arg, &d), cases[i].f64);
        if (cases[i].f32) assert_true((int64_t)f == cases[i].v);
        if (cases[i].f64) assert_true((int64_t)d == cases[i].v);
    }
}

static void test_same_type_is_copied_whatever_it_is(void **state)
{
    (void)state;
    uint8_t in[200], out[200];
    for (int i = 0; i < 200; i++) in[i] = (uint8_t)i, out[i] = 0xee;
    mray_type type = {.dtype = MRAY_BYTES, .size = 131};
    mray_arg arg = {.type = type, .data = in, .n = 1};
    assert_true(args_convert(&type, &arg, out));
    assert_memory_equal(out, in, 131);
    assert_int_equal(out[131], 0xee);
    double nan = NAN, d = 0;
    arg = (mray_arg){.type = {.dtype = MRAY_FLOAT64, .size = 8}, .data = &nan, .n = 1};
    assert_true(args_convert(&arg.type, &arg, &d));
    assert_true(isnan(d));
}

/* ---- checking ---- */

static const mray_type I32 = {.dtype = MRAY_INT32, .size = 4}, U8 = {.dtype = MRAY_UINT8, .size = 1}, F64 = {.dtype = MRAY_FLOAT64, .size = 8},
                       F64S = {.dtype = MRAY_FLOAT64, .is_array = 1, .size = 8}, F32S = {.dtype = MRAY_FLOAT32, .is_array = 1, .size = 4},
                       REF = {.dtype = MRAY_REF, .size = 16}, REFS = {.dtype = MRAY_REF, .is_array = 1, .size = 16},
                       ACTOR = {.dtype = MRAY_ACTOR, .size = 16}, POD = {.dtype = MRAY_BYTES, .size = 24}, POD40 = {.dtype = MRAY_BYTES, .size = 40};

static void test_which_argument_serves_which_parameter(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    static const struct {
        const mray_type *param, *arg;
        bool fits;
    } cases[] = {{&I32, &I32, true}, {&I32, &F64, true}, {&F64, &U8, true}, {&F64S, &F64S, true}, {&POD, &POD, true}, {&REF, &REF, true},
                 {&ACTOR, &ACTOR, true}, {&REFS, &REFS, true},
                 {&I32, &REF, true}, {&F64S, &REF, true}, {&POD, &REF, true}, /* a ref stands for its value, whose type is seen when it is ready */
                 {&F64S, &F32S, false}, {&F64, &F64S, false}, {&F64S, &F64, false}, {&POD, &POD40, false}, {&POD, &I32, false}, {&I32, &POD, false},
                 {&REF, &I32, false}, {&REF, &POD, false}, {&ACTOR, &POD, false}, {&ACTOR, &I32, false}, {&F64, &ACTOR, false}, {&REF, &REFS, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mray_arg arg = {.type = *cases[i].arg, .data = zeros, .n = 1};
        int status = args_check("mray_remote(f)", 0, cases[i].param, &arg);
        if (status != (cases[i].fits ? MRAY_OK : MRAY_ERR_TYPE))
            fail_msg("case %zu: %s for %s gave %s", i, mray_dtype_name(cases[i].arg->dtype), mray_dtype_name(cases[i].param->dtype), mray_status_name(status));
    }
}

static void expect_sentence(const char *a, const char *b, const char *c)
{
    const char *said = mray_error_message();
    if (strstr(said, a) == NULL || strstr(said, b) == NULL || strstr(said, c) == NULL) fail_msg("'%s' lacks '%s', '%s' or '%s'", said, a, b, c);
}

static void test_refusals_name_call_argument_and_types(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    int64_t large = 300;
    mray_arg arg = {.type = F32S, .data = zeros, .n = 3};
    assert_int_equal(args_check("mray_remote(norm)", 2, &F64S, &arg), MRAY_ERR_TYPE);
    expect_sentence("mray_remote(norm)", "argument 3 is array of float32", "parameter is array of float64");
    arg = (mray_arg){.type = POD40, .data = zeros, .n = 1};
    assert_int_equal(args_check("mray_call(g)", 0, &POD, &arg), MRAY_ERR_TYPE);
    expect_sentence("mray_call(g)", "argument 1 is bytes of 40 bytes", "bytes of 24 bytes");
    arg = (mray_arg){.type = {.dtype = MRAY_INT64, .size = 8}, .data = &large, .n = 1};
    assert_int_equal(args_check("f", 7, &U8, &arg), MRAY_ERR_TYPE);
    expect_sentence("argument 8", "does not fit", "uint8");
    arg = (mray_arg){.type = F64S, .data = NULL, .n = 5};
    assert_int_equal(args_check("f", 1, &F64S, &arg), MRAY_ERR_INVALID_ARGUMENT);
    expect_sentence("f:", "argument 2 is NULL", "");
    arg.n = 0; /* an empty array has no first element */
    assert_int_equal(args_check("f", 1, &F64S, &arg), MRAY_OK);
    arg = (mray_arg){.type = {.dtype = 99, .size = 8}, .data = zeros, .n = 1};
    assert_int_equal(args_check("f", 0, &F64, &arg), MRAY_ERR_TYPE);
    expect_sentence("unknown", "float64", "");
}

static void test_packed_sizes_are_multiples_of_eight(void **state)
{
    (void)state;
    static const struct {
        mray_type type;
        size_t n;
        uint32_t bytes;
    } cases[] = {{{.dtype = MRAY_INT8, .size = 1}, 1, 8}, {{.dtype = MRAY_FLOAT64, .size = 8}, 1, 8}, {{.dtype = MRAY_BYTES, .size = 9}, 1, 16},
                 {{.dtype = MRAY_BYTES, .size = 256}, 1, 256}, {{.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, 0, 8},
                 {{.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, 1, 16}, {{.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, 8, 16},
                 {{.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, 9, 24}, {{.dtype = MRAY_FLOAT64, .is_array = 1, .size = 8}, 31, 256},
                 {{.dtype = MRAY_FLOAT64, .is_array = 1, .size = 8}, (size_t)1 << 40, UINT32_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mray_arg arg = {.type = cases[i].type, .n = cases[i].n};
        assert_int_equal(args_packed_bytes(&cases[i].type, &arg), cases[i].bytes);
    }
}

static void test_which_object_serves_which_parameter(void **state)
{
    (void)state;
    assert_true(args_object_fits(&F64, &F64, 0, 8));
    assert_false(args_object_fits(&F64, &F64, 1, 8)); /* an array of one is no scalar */
    assert_false(args_object_fits(&F64, &I32, 0, 4));
    assert_true(args_object_fits(&F64S, &F64, 1, 80));
    assert_true(args_object_fits(&F64S, &F64, 2, 80)); /* of any shape */
    assert_true(args_object_fits(&F64S, &F64, 1, 0));
    assert_false(args_object_fits(&F64S, &F64, 0, 8));
    assert_false(args_object_fits(&F64S, &F32S, 1, 8));
    assert_true(args_object_fits(&POD, &POD, 0, 24));
    assert_false(args_object_fits(&POD, &POD40, 0, 40));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers_at_every_limit),
        cmocka_unit_test(test_fractions_and_specials_are_no_integers),
        cmocka_unit_test(test_floats_convert_unless_they_overflow),
        cmocka_unit_test(test_a_double_holds_even_numbers_only_up_to_two_to_53),
        cmocka_unit_test(test_same_type_is_copied_whatever_it_is),
        cmocka_unit_test(test_which_argument_serves_which_parameter),
        cmocka_unit_test(test_refusals_name_call_argument_and_types),
        cmocka_unit_test(test_packed_sizes_are_multiples_of_eight),
        cmocka_unit_test(test_which_object_serves_which_parameter),
    };
    return cmocka_run_group_tests_name("exec.args", tests, NULL, NULL);
}
