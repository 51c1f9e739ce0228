/* The timeline's text is JSON whatever the names are, says what it was given, and a failure to write is kept. */
#include "timeline_json.h"

#include "error.h"
#include "functions.h"
#include "test_json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ODD_NAME "odd \"name\" \\ \n\t\x01 \xc3\xa9 \xff\xc0\xaf \xed\xa0\x80 end"
static mray_function plain = {.name = "plain"}, odd = {.name = ODD_NAME};

static void test_texts_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *text, *escaped;
    } texts[] = {
        {"", ""},
        {"norm2", "norm2"},
        {"a\"b\\c", "a\\\"b\\\\c"},
        {"\n\t\x7f\x01", "\\u000a\\u0009\\u007f\\u0001"},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff", "\\ufffd"},
        {"x\xc3", "x\\ufffd"},                              /* cut off */
        {"\xc0\xaf", "\\ufffd\\ufffd"},                     /* overlong */
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},          /* half a surrogate pair */
        {"\xf5\x80\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* beyond Unicode */
    };
    char buf[128];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        timeline_json_escape(texts[i].text, buf, sizeof buf);
        assert_string_equal(buf, texts[i].escaped);
    }
    char small[6];
    timeline_json_escape("abc\n", small, sizeof small); /* never half an escape */
    assert_string_equal(small, "abc");
    timeline_json_escape("abcdefgh", small, sizeof small);
    assert_string_equal(small, "abcde");
}

static void write_some(timeline_json_t *json, FILE *out)
{
    timeline_json_begin(json, out, 1000000);
    timeline_json_process(json, 0, "host \"a\"");
    timeline_json_thread(json, 1, 3, "worker");
    trace_event_t event = {.begin = 1000000 + 1234567, .end = 1000000 + 1234567 + 89, .fn = plain.index, .kind = RECORD_TASK, .attempt = 1, .rank = 4, .slot = 5,
                           .gen = 6};
    timeline_json_task(json, 1, 3, &event);
    event.fn = odd.index;
    event.kind = RECORD_METHOD;
    event.actor = 259;
    event.status = MRAY_ERR_ACTOR_DIED;
    timeline_json_task(json, 1, 3, &event);
    event = (trace_event_t){.begin = 7, .end = 8, .fn = 4711, .kind = RECORD_TASK | TIMELINE_APPROXIMATE, .status = TRACE_UNFINISHED};
    timeline_json_task(json, 1, 3, &event);
    timeline_json_session(json, 2, 1000000, 9000000);
    timeline_facts_t facts = {.n_ranks = 2, .n_hosts = 1, .lost = 77, .end_ns = 9000000, .clock_error_ns = 1500, .n_ranks_missing = 1};
    timeline_json_end(json, &facts);
}

static void test_text_is_json_and_says_what_it_was_given(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes;
    timeline_json_t json;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    write_some(&json, out);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(json.error, 0);
    assert_int_equal(json.n_events, 3);
    if (!json_is_whole(text)) fail_msg("not JSON: %s", text);
    assert_non_null(strstr(text, "\"name\": \"rank 0 on host \\\"a\\\"\""));
    const char *line = strstr(text, "{\"name\": \"plain\"");
    assert_non_null(line);
    assert_non_null(strstr(line, "\"ts\": 1234.567, \"dur\": 0.089, \"args\": {\"ref\": \"4.5.6\", \"attempt\": 1}}"));
    assert_true(json_member_is(line, "cat", "task") && json_member_is(line, "ph", "X"));
    assert_int_equal(json_member_number(line, "pid"), 1);
    assert_int_equal(json_member_number(line, "tid"), 3);
    line = strstr(text, "{\"name\": \"odd \\\"name\\\"");
    assert_non_null(line);
    assert_true(json_member_is(line, "cat", "method") && json_member_is(line, "status", "ERR_ACTOR_DIED"));
    assert_int_equal(json_member_number(line, "actor"), 259);
    line = strstr(text, "{\"name\": \"?\"");
    assert_non_null(line);
    assert_non_null(strstr(line, "\"ts\": 0.000, \"dur\": 0.000")); /* before the session: at its start */
    assert_non_null(strstr(line, "\"approximate\": true, \"unfinished\": true"));
    line = strstr(text, "\"otherData\"");
    assert_non_null(line);
    assert_int_equal(json_member_number(line, "tasks"), 3);
    assert_int_equal(json_member_number(line, "lost_events"), 77);
    assert_int_equal(json_member_number(line, "ranks_missing"), 1);
    assert_true(json_member_number(line, "clock_error_us") == 1.5 && json_member_number(line, "session_us") == 8000);
    free(text);
}

static void test_nothing_at_all_is_json(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes;
    timeline_json_t json;
    FILE *out = open_memstream(&text, &bytes);
    timeline_json_begin(&json, out, 5);
    timeline_facts_t facts = {.end_ns = 5};
    timeline_json_end(&json, &facts);
    assert_int_equal(fclose(out), 0);
    assert_true(json_is_whole(text));
    free(text);
}

static void test_failure_to_write_is_kept(void **state)
{
    (void)state;
    timeline_json_t json;
    FILE *out = fopen("/dev/full", "we");
    assert_non_null(out);
    (void)setvbuf(out, NULL, _IONBF, 0);
    write_some(&json, out);
    assert_int_equal(json.error, ENOSPC);
    (void)fclose(out);
}

/* The checker itself. */
static void test_what_is_no_json_is_found(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "{", "{\"a\": 1,}", "[1 2]", "{\"a\" 1}", "\"\\x\"", "01", "1.", "[\"a\nb\"]", "{} {}", "{'a': 1}", "nul", "\"open"};
    static const char *const right[] = {"{}", "[]", " {\"a\": [1, -2.5e+3, true, null, \"\\u00e9\\n\"], \"b\": {\"c\": 0}} "};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (json_is_whole(wrong[i])) fail_msg("taken for JSON: %s", wrong[i]);
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        if (!json_is_whole(right[i])) fail_msg("not taken for JSON: %s", right[i]);
}

static int make_functions(void **state)
{
    (void)state;
    mray_function_register(&plain);
    mray_function_register(&odd);
    return functions_build() == MRAY_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_are_escaped),
        cmocka_unit_test(test_text_is_json_and_says_what_it_was_given),
        cmocka_unit_test(test_nothing_at_all_is_json),
        cmocka_unit_test(test_failure_to_write_is_kept),
        cmocka_unit_test(test_what_is_no_json_is_found),
    };
    return cmocka_run_group_tests(tests, make_functions, NULL);
}
