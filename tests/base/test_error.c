/* Unit test of base/error.c (status names, the thread's sentence) and base/log.c (levels, prefix, one line a call). */
#include "error.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_status_table_has_distinct_numbers_and_names(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *name, *text;
    } rows[] = {
#define ROW(name, number, text) {number, #name, text},
        MRAY_STATUS_TABLE(ROW)
#undef ROW
    };
    const size_t n_rows = sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < n_rows; i++) {
        assert_string_equal(mray_status_name(rows[i].number), rows[i].name);
        assert_string_equal(mray_status_text(rows[i].number), rows[i].text);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(rows[i].number, rows[j].number);
            assert_string_not_equal(rows[i].name, rows[j].name);
        }
    }
    assert_int_equal(MRAY_OK, 0);
}

static void test_unknown_status_has_a_name_and_a_text(void **state)
{
    (void)state;
    assert_string_equal(mray_status_name(-1), "ERR_UNKNOWN");
    assert_string_equal(mray_status_name(12345), "ERR_UNKNOWN");
    assert_true(strlen(mray_status_text(12345)) > 0);
}

static void test_error_returns_the_status_and_keeps_the_sentence(void **state)
{
    (void)state;
    assert_int_equal(base_error(MRAY_ERR_TYPE, "argument %d is %s", 3, "float"), MRAY_ERR_TYPE);
    assert_string_equal(mray_error_message(), "argument 3 is float");
    assert_int_equal(base_error(MRAY_ERR_TIMEOUT, "later"), MRAY_ERR_TIMEOUT);
    assert_string_equal(mray_error_message(), "later");
}

static void test_error_errno_appends_the_cause_and_leaves_errno(void **state)
{
    (void)state;
    errno = ENOENT;
    assert_int_equal(base_error_errno(MRAY_ERR_SYSTEM, "cannot open %s", "x"), MRAY_ERR_SYSTEM);
    assert_int_equal(errno, ENOENT);
    assert_string_equal(mray_error_message(), "cannot open x: No such file or directory");
}

static void test_long_sentence_ends_in_dots(void **state)
{
    (void)state;
    char longer[2 * BASE_ERROR_MAX];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';

    base_error(MRAY_ERR_INTERNAL, "%s", longer);
    const char *text = mray_error_message();
    assert_int_equal(strlen(text), BASE_ERROR_MAX - 1);
    assert_string_equal(text + BASE_ERROR_MAX - 4, "...");

    longer[BASE_ERROR_MAX - 1] = '\0'; /* the longest that fits is left whole */
    base_error(MRAY_ERR_INTERNAL, "%s", longer);
    assert_string_equal(mray_error_message(), longer);

    errno = EINVAL; /* no room for the cause: cut, never written past the end */
    base_error_errno(MRAY_ERR_SYSTEM, "%s", longer);
    assert_int_equal(strlen(mray_error_message()), BASE_ERROR_MAX - 1);
}

static void test_error_set_replaces_and_cuts(void **state)
{
    (void)state;
    base_error_set("100% taken from elsewhere %s");
    assert_string_equal(mray_error_message(), "100% taken from elsewhere %s");
    char longer[2 * BASE_ERROR_MAX];
    memset(longer, 'b', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    base_error_set(longer);
    assert_int_equal(strlen(mray_error_message()), BASE_ERROR_MAX - 1);
}

static void *other_thread(void *arg)
{
    int *n_wrong = arg;
    if (mray_error_message()[0] != '\0') (*n_wrong)++;
    base_error(MRAY_ERR_LIMIT, "the other thread's");
    if (strcmp(mray_error_message(), "the other thread's") != 0) (*n_wrong)++;
    return NULL;
}

static void test_sentence_belongs_to_its_thread(void **state)
{
    (void)state;
    base_error(MRAY_ERR_TYPE, "mine");
    int n_wrong = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &n_wrong), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(n_wrong, 0);
    assert_string_equal(mray_error_message(), "mine");
}

/* Stderr goes to a temporary file from capture_start() to capture_end(), which returns what was written. */
static FILE *capture_file;
static int saved_stderr;
static char captured[8192];

static void capture_start(void)
{
    capture_file = tmpfile();
    assert_non_null(capture_file);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(saved_stderr >= 0);
    assert_true(dup2(fileno(capture_file), STDERR_FILENO) >= 0);
}

static const char *capture_end(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    rewind(capture_file);
    size_t n = fread(captured, 1, sizeof captured - 1, capture_file);
    captured[n] = '\0';
    fclose(capture_file);
    return captured;
}

static int reset_log(void **state)
{
    (void)state;
    log_set_level("warn");
    log_set_rank(-1);
    return 0;
}

static void test_log_level_selects_lines(void **state)
{
    (void)state;
    assert_true(log_enabled(LOG_ERROR));
    assert_true(log_enabled(LOG_WARN));
    assert_false(log_enabled(LOG_INFO));
    assert_false(log_set_level("loud"));
    assert_false(log_enabled(LOG_INFO));

    capture_start();
    log_warn("shown %d", 1);
    log_info("hidden");
    bool known = log_set_level("debug");
    log_debug("shown %d", 2);
    const char *text = capture_end();
    assert_true(known);
    assert_string_equal(text, "mray warn: shown 1\nmray debug: shown 2\n");
}

static void test_log_prefix_names_the_rank(void **state)
{
    (void)state;
    log_set_rank(7);
    capture_start();
    log_error("x");
    assert_string_equal(capture_end(), "mray[7] error: x\n");
}

static void test_log_long_line_is_cut_at_a_newline(void **state)
{
    (void)state;
    char longer[4096];
    memset(longer, 'c', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    capture_start();
    log_error("%s", longer);
    const char *text = capture_end();
    size_t len = strlen(text);
    assert_true(len > 512 && len <= 1024);
    assert_int_equal(text[len - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_table_has_distinct_numbers_and_names),
        cmocka_unit_test(test_unknown_status_has_a_name_and_a_text),
        cmocka_unit_test(test_error_returns_the_status_and_keeps_the_sentence),
        cmocka_unit_test(test_error_errno_appends_the_cause_and_leaves_errno),
        cmocka_unit_test(test_long_sentence_ends_in_dots),
        cmocka_unit_test(test_error_set_replaces_and_cuts),
        cmocka_unit_test(test_sentence_belongs_to_its_thread),
        cmocka_unit_test_setup(test_log_level_selects_lines, reset_log),
        cmocka_unit_test_setup(test_log_prefix_names_the_rank, reset_log),
        cmocka_unit_test_setup(test_log_long_line_is_cut_at_a_newline, reset_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
