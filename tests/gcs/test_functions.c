/* The function table: sorted alike on every rank, compared by a digest, searched by name. Registration has no way back, so the tests run
 * in the order of main(). */
#include "functions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 200 };
static mray_function functions[N];
static char names[N][16];

static void nothing(void *const *args, void *ret)
{
    (void)args, (void)ret;
}

static mray_function make(const char *name)
{
    return (mray_function){.name = name, .call = nothing, .ret = {.dtype = MRAY_FLOAT64, .size = 8}, .n_params = 2,
                           .params = {{.dtype = MRAY_INT32, .size = 4}, {.dtype = MRAY_FLOAT64, .is_array = 1, .size = 8}}};
}

static void test_empty_table_finds_nothing(void **state)
{
    (void)state;
    assert_null(functions_find("anything")); /* before it is built */
    assert_int_equal(functions_build(), MRAY_OK);
    assert_int_equal(functions_count(), 0);
    assert_null(functions_at(0));
    assert_null(functions_find("anything"));
    assert_int_equal(functions_names(NULL, 0), 0);
    functions_digest_t digest = functions_digest();
    assert_int_equal(digest.count, 0);
}

static void test_every_function_is_found_by_name_and_by_index(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i * 7 % N);
        functions[i] = make(names[i]);
        mray_function_register(&functions[i]);
    }
    assert_int_equal(functions_count(), 0); /* not before it is built */
    assert_int_equal(functions_build(), MRAY_OK);
    assert_int_equal(functions_count(), N);
    bool seen[N] = {false};
    for (uint32_t i = 0; i < N; i++) {
        const mray_function *f = functions_at(i);
        assert_int_equal(f->index, i);
        assert_false(seen[f - functions]);
        seen[f - functions] = true;
        if (i > 0) assert_true(functions_at(i - 1)->hash < f->hash);
        assert_ptr_equal(functions_find(f->name), f);
    }
    assert_null(functions_at(N));
    assert_null(functions_at(UINT32_MAX));
    assert_null(functions_find("f"));
    assert_null(functions_find(""));
    assert_null(functions_find("f200"));
    char copy[] = "f17"; /* by its letters, not its address */
    assert_string_equal(functions_find(copy)->name, "f17");
}

static void test_building_again_gives_the_same(void **state)
{
    (void)state;
    functions_digest_t before = functions_digest(), after;
    uint32_t index = functions_find("f42")->index;
    assert_int_equal(functions_build(), MRAY_OK); /* a second session */
    after = functions_digest();
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(functions_find("f42")->index, index);
    assert_int_equal(functions_count(), N);
}

static void test_digest_sees_every_difference_of_signature(void **state)
{
    (void)state;
    functions_digest_t whole = functions_digest(), other;
    mray_function *f = &functions[3], saved = *f;
    struct {
        const char *what;
        mray_function changed;
    } cases[] = {{"dtype of the result", saved}, {"size of the result", saved}, {"fewer parameters", saved}, {"dtype of a parameter", saved},
                 {"an array for a value", saved}, {"size of a parameter", saved}};
    cases[0].changed.ret.dtype = MRAY_INT64;
    cases[1].changed.ret.size = 4;
    cases[2].changed.n_params = 1;
    cases[3].changed.params[0].dtype = MRAY_UINT32;
    cases[4].changed.params[0].is_array = 1;
    cases[5].changed.params[1].size = 16;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        *f = cases[i].changed;
        other = functions_digest();
        if (other.hash == whole.hash) fail_msg("%s is not seen", cases[i].what);
        assert_int_equal(other.count, whole.count);
        *f = saved;
    }
    f->params[2].dtype = MRAY_INT8; /* beyond its parameters: means nothing */
    f->call = NULL;                 /* addresses differ between processes */
    other = functions_digest();
    assert_memory_equal(&other, &whole, sizeof whole);
    *f = saved;
}

/* The digest of a process that registered the same functions in another order, and one more if asked to. */
static functions_digest_t digest_elsewhere(bool one_more)
{
    int fds[2], status;
    functions_digest_t digest;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        /* The list starts with the last one as before, and the others follow from the first on. */
        for (int i = 0; i < N; i++) functions[i].next = i == N - 2 ? NULL : &functions[(i + 1) % N];
        static mray_function extra;
        extra = make("one_more");
        if (one_more) mray_function_register(&extra);
        if (functions_build() != MRAY_OK) _exit(1);
        digest = functions_digest();
        if (write(fds[1], &digest, sizeof digest) != (ssize_t)sizeof digest) _exit(2);
        _exit(0);
    }
    assert_int_equal(read(fds[0], &digest, sizeof digest), (ssize_t)sizeof digest);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(fds[0]);
    close(fds[1]);
    return digest;
}

static void test_order_of_registration_means_nothing_and_a_function_more_does(void **state)
{
    (void)state;
    functions_digest_t here = functions_digest(), same = digest_elsewhere(false), more = digest_elsewhere(true);
    assert_memory_equal(&same, &here, sizeof here);
    assert_int_equal(more.count, here.count + 1);
    assert_true(more.hash != here.hash);
}

static void test_names_are_packed_in_the_tables_order(void **state)
{
    (void)state;
    uint64_t bytes = functions_names(NULL, 0), expected = 0;
    for (uint32_t i = 0; i < N; i++) expected += strlen(functions_at(i)->name) + 1;
    assert_int_equal(bytes, expected);
    char *buf = malloc(bytes + 8);
    memset(buf, '#', bytes + 8);
    assert_int_equal(functions_names(buf, bytes), bytes);
    const char *p = buf;
    for (uint32_t i = 0; i < N; i++) {
        assert_string_equal(p, functions_at(i)->name);
        p += strlen(p) + 1;
    }
    assert_int_equal(buf[bytes], '#');
    memset(buf, '#', bytes + 8);
    assert_int_equal(functions_names(buf, bytes - 1), bytes); /* says what it needs, and writes no further */
    assert_int_equal(buf[bytes - 1], '#');
    free(buf);
}

static void test_two_functions_of_one_name_are_refused_by_name(void **state)
{
    (void)state;
    static mray_function twice;
    twice = make("f42");
    mray_function_register(&twice);
    assert_int_equal(functions_build(), MRAY_ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(mray_error_message(), "'f42'"));
    assert_int_equal(functions_count(), N); /* the table that was is still there */
    assert_string_equal(functions_find("f17")->name, "f17");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_table_finds_nothing),
        cmocka_unit_test(test_every_function_is_found_by_name_and_by_index),
        cmocka_unit_test(test_building_again_gives_the_same),
        cmocka_unit_test(test_digest_sees_every_difference_of_signature),
        cmocka_unit_test(test_order_of_registration_means_nothing_and_a_function_more_does),
        cmocka_unit_test(test_names_are_packed_in_the_tables_order),
        cmocka_unit_test(test_two_functions_of_one_name_are_refused_by_name),
    };
    return cmocka_run_group_tests_name("gcs.functions", tests, NULL, NULL);
}
