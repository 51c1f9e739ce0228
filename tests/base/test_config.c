/* Unit test of base/config.c: defaults, every kind of setting from the environment, sentences for bad values, and
 * docs/guide/configuration.md, whose table must be what config_print() prints. */
#include "config.h"
#include "error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const variables[] = {
    "MRAY_STORE_BYTES",        "MRAY_NUM_WORKERS",           "MRAY_WORKERS", "MRAY_LOG",           "MRAY_RESOURCES",    "MRAY_MAX_TASKS", "MRAY_MAX_OBJECTS",
    "MRAY_STORE_FULL_TIMEOUT", "MRAY_UNSCHEDULABLE_TIMEOUT", "MRAY_NODE_SUSPECT_TIMEOUT", "MRAY_NODE_DEAD_TIMEOUT", "MRAY_BULK",    "MRAY_FAKE_NODE_RANKS", "MRAY_PRINT_BINDING", "MRAY_PRINT_CONFIG", "MRAY_BIND", "MRAY_TRACE", "MRAY_TRACE_EVENTS",
};

static int clear_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) unsetenv(variables[i]);
    return 0;
}

static config_t load(void)
{
    config_t config;
    assert_int_equal(config_load(&config), MRAY_OK);
    return config;
}

static void test_defaults_are_as_documented(void **state)
{
    (void)state;
    config_t config = load();
    assert_int_equal(config.store_bytes, 0);
    assert_int_equal(config.num_workers, 0);
    assert_string_equal(config.workers, "process");
    assert_string_equal(config.log, "warn");
    assert_string_equal(config.resources, "");
    assert_int_equal(config.max_tasks, 2097152);
    assert_int_equal(config.max_objects, 4194304);
    assert_int_equal(config.store_full_ms, 10000);
    assert_int_equal(config.unschedulable_ms, 5000);
    assert_int_equal(config.node_suspect_ms, 10000);
    assert_int_equal(config.node_dead_ms, 60000);
    assert_string_equal(config.bulk, "auto");
    assert_int_equal(config.fake_node_ranks, 0);
    assert_false(config.print_binding);
    assert_false(config.print_config);
    assert_true(config.bind);
    assert_string_equal(config.trace, "");
    assert_int_equal(config.trace_events, 65536);
}

static void test_environment_wins_over_defaults(void **state)
{
    (void)state;
    setenv("MRAY_STORE_BYTES", "1.5G", 1);
    setenv("MRAY_NUM_WORKERS", "3", 1);
    setenv("MRAY_WORKERS", "thread", 1);
    setenv("MRAY_RESOURCES", "gpu=2,disk=0.5", 1);
    setenv("MRAY_MAX_TASKS", "1024", 1);
    setenv("MRAY_STORE_FULL_TIMEOUT", "0", 1);
    setenv("MRAY_PRINT_CONFIG", "1", 1);
    setenv("MRAY_BIND", "0", 1);
    setenv("MRAY_LOG", "", 1); /* empty is as good as unset */
    config_t config = load();
    assert_int_equal(config.store_bytes, 3ULL << 29);
    assert_int_equal(config.num_workers, 3);
    assert_string_equal(config.workers, "thread");
    assert_int_equal(config.max_tasks, 1024);
    assert_int_equal(config.store_full_ms, 0);
    assert_true(config.print_config);
    assert_false(config.bind);
    assert_string_equal(config.log, "warn");

    setenv("MRAY_RESOURCES", "changed=1", 1); /* the environment is read once */
    assert_string_equal(config.resources, "gpu=2,disk=0.5");
}

static void test_zero_means_decided_at_start_only_where_that_is_the_default(void **state)
{
    (void)state;
    setenv("MRAY_STORE_BYTES", "0", 1);
    setenv("MRAY_NUM_WORKERS", "0", 1);
    config_t config = load();
    assert_int_equal(config.store_bytes, 0);
    assert_int_equal(config.num_workers, 0);
    setenv("MRAY_MAX_OBJECTS", "0", 1);
    assert_int_equal(config_load(&config), MRAY_ERR_INVALID_ARGUMENT);
}

static void test_bad_value_names_variable_value_and_what_is_possible(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *value, *possible;
    } bad[] = {
        {"MRAY_WORKERS", "fibre", "process, thread"},
        {"MRAY_WORKERS", "proc", "process, thread"},
        {"MRAY_LOG", "loud", "error, warn, info, debug"},
        {"MRAY_BULK", "RMA", "auto, rma, pull"},
        {"MRAY_BIND", "yes", "0, 1"},
        {"MRAY_NODE_SUSPECT_TIMEOUT", "50", "100 .. 86400000 ms"},
        {"MRAY_FAKE_NODE_RANKS", "-2", "0, 1 .. 65536"},
        {"MRAY_FAKE_NODE_RANKS", "two", "0, 1 .. 65536"},
        {"MRAY_STORE_BYTES", "lots", "0, 1M .. 64T bytes"},
        {"MRAY_STORE_BYTES", "5", "0, 1M .. 64T bytes"},
        {"MRAY_STORE_BYTES", "65T", "0, 1M .. 64T bytes"},
        {"MRAY_NUM_WORKERS", "-1", "0, 1 .. 224"},
        {"MRAY_NUM_WORKERS", "2K", "0, 1 .. 224"},
        {"MRAY_NUM_WORKERS", "225", "0, 1 .. 224"},
        {"MRAY_MAX_TASKS", "1023", "1024 .. 16777216"},
        {"MRAY_MAX_TASKS", "16777217", "1024 .. 16777216"},
        {"MRAY_TRACE_EVENTS", "1000", "1024 .. 16777216"},
        {"MRAY_UNSCHEDULABLE_TIMEOUT", "5 s", "0 .. 86400000 ms"},
    };
    config_t untouched, config;
    memset(&untouched, 0x5a, sizeof untouched);
    config = untouched;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv(bad[i].variable, bad[i].value, 1);
        assert_int_equal(config_load(&config), MRAY_ERR_INVALID_ARGUMENT);
        assert_memory_equal(&config, &untouched, sizeof config);
        assert_non_null(strstr(mray_error_message(), bad[i].variable));
        assert_non_null(strstr(mray_error_message(), bad[i].value));
        assert_non_null(strstr(mray_error_message(), bad[i].possible));
        unsetenv(bad[i].variable);
    }
    assert_int_equal(config_load(&config), MRAY_OK);
}

static void test_parse_bytes_takes_powers_of_1024_and_fractions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0}, {"4096", 4096}, {"64M", 64 << 20}, {"1.5G", 3ULL << 29}, {"2k", 2048}, {"1t", 1ULL << 40}, {"0.25K", 256},
        {"18446744073709551615", UINT64_MAX}, {"16777215T", 16777215ULL << 40},
    };
    static const char *const bad[] = {
        "", "M", " 1", "1 ", "-1", "+1", "1.5", "1.G", ".5G", "0x10", "1e3", "1MB", "nan", "1,5G", "1.1234567G", "18446744073709551616", "16777216T",
    };
    uint64_t bytes;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(config_parse_bytes(good[i].text, &bytes));
        assert_true(bytes == good[i].bytes);
    }
    bytes = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(config_parse_bytes(bad[i], &bytes));
    assert_int_equal(bytes, 77);
}

/* Text of a stream, or of a file, up to its end; freed by the caller. */
static char *read_all(FILE *file)
{
    assert_non_null(file);
    rewind(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 16) - 1, file);
    assert_true(n > 0 && feof(file));
    fclose(file);
    return text;
}

static char *print(const config_t *config)
{
    FILE *out = tmpfile();
    assert_non_null(out);
    config_print(config, out);
    return read_all(out);
}

/* The line of text that begins with the row of a variable. */
static char *row_of(char *text, const char *variable)
{
    char *row = strstr(text, variable);
    assert_non_null(row);
    char *end = strchr(row, '\n');
    assert_non_null(end);
    *end = '\0';
    return row;
}

static void test_print_shows_value_and_where_it_comes_from(void **state)
{
    (void)state;
    setenv("MRAY_STORE_BYTES", "67108864", 1);
    setenv("MRAY_NUM_WORKERS", "2", 1);
    config_t config = load();
    config.num_workers = 5; /* as an option of mray_init() does */
    static const char *const expected[][3] = {
        {"MRAY_STORE_BYTES", "| 64M ", "| environment "},
        {"MRAY_NUM_WORKERS", "| 5 ", "| program "},
        {"MRAY_WORKERS", "| process ", "| default "},
        {"MRAY_BIND", "| 1 ", "| default "},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        char *text = print(&config);
        char *row = row_of(text, expected[i][0]);
        assert_non_null(strstr(row, expected[i][1]));
        assert_non_null(strstr(row, expected[i][2]));
        free(text);
    }
}

static void test_every_variable_is_in_the_table_once(void **state)
{
    (void)state;
    config_t config = load();
    char *text = print(&config);
    int n_lines = 0;
    for (const char *p = text; *p != '\0'; p++) n_lines += *p == '\n';
    assert_int_equal(n_lines, 2 + sizeof variables / sizeof variables[0]);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        char cell[64];
        snprintf(cell, sizeof cell, "| %s ", variables[i]);
        assert_non_null(strstr(text, cell));
    }
    free(text);
}

static void test_documentation_shows_the_printed_table(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof path, "%.*s../../docs/guide/configuration.md", (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__);
    config_t config = load();
    char *table = print(&config), *page = read_all(fopen(path, "r"));
    if (strstr(page, table) == NULL) {
        fprintf(stderr, "docs/guide/configuration.md should have this table:\n%s", table);
        fail();
    }
    free(table);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults_are_as_documented, clear_environment),
        cmocka_unit_test_setup(test_environment_wins_over_defaults, clear_environment),
        cmocka_unit_test_setup(test_zero_means_decided_at_start_only_where_that_is_the_default, clear_environment),
        cmocka_unit_test_setup(test_bad_value_names_variable_value_and_what_is_possible, clear_environment),
        cmocka_unit_test_setup(test_parse_bytes_takes_powers_of_1024_and_fractions, clear_environment),
        cmocka_unit_test_setup(test_print_shows_value_and_where_it_comes_from, clear_environment),
        cmocka_unit_test_setup(test_every_variable_is_in_the_table_once, clear_environment),
        cmocka_unit_test_setup(test_documentation_shows_the_printed_table, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
