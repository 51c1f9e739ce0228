/* test_bindings.c: the table of who runs where. */
#include "bindings.h"
#include "machines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *print_node(const node_t *node)
{
    topo_row_t *rows = calloc((size_t)node->n_ranks, sizeof *rows);
    assert_non_null(rows);
    for (int r = 0; r < node->n_ranks; r++) topo_row_fill(topo_machine(node->topo), &node->shares[r], "alpha", r, &rows[r]);
    char *text = topo_print(rows, node->n_ranks);
    assert_non_null(text);
    free(rows);
    return text;
}

static void test_table_of_a_large_node(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 3);
    node_divide(node, 0);
    char *text = print_node(node);
    assert_string_equal(text, "rank  host   role    workers  gpus  cpus                                             numa  package  cache\n"
                              "0     alpha  driver  0        0     0                                                0     0        0\n"
                              "1     alpha  node    15       0     2,4,6,8,10,12,14,16,18,20,22,24,26,28,30         0-1   0        0-1\n"
                              "2     alpha  node    16       0     32,34,36,38,40,42,44,46,48,50,52,54,56,58,60,62  2-3   1        2-3\n");
    free(text);
    node_destroy(node);
}

static void test_unbound_ranks_show_no_places_and_one_note(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_1, 3);
    node_divide(node, 0);
    char *text = print_node(node);
    assert_non_null(strstr(text, "2     alpha  node    1        0     not bound  -     -        -\n"));
    char *note = strstr(text, "alpha: 3 ranks of this host share 1 core:");
    assert_non_null(note);
    assert_null(strstr(note + 1, "alpha"));
    free(text);
    node_destroy(node);
}

static void test_long_names_and_lists_are_cut(void **state)
{
    (void)state;
    char host[300];
    memset(host, 'h', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    node_t *node = node_create("pack:1 core:1000 pu:1", 1);
    for (int pu = 1; pu < 1000; pu += 2) node->descs[0].mask.bits[pu / 64] &= ~(UINT64_C(1) << (pu % 64));
    node_divide(node, -1);
    topo_row_t row;
    topo_row_fill(topo_machine(node->topo), &node->shares[0], host, 0, &row);
    char *text = topo_print(&row, 1);
    assert_non_null(text);
    assert_non_null(strstr(text, "hhhh  node  500 "));
    assert_non_null(strstr(text, "0,2,4,6,"));
    assert_non_null(strstr(text, "...  0     0"));
    free(text);
    node_destroy(node);
}

static void test_no_rows_print_the_titles(void **state)
{
    (void)state;
    char *text = topo_print(NULL, 0);
    assert_string_equal(text, "rank  host  role  workers  gpus  cpus  numa  package  cache\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_of_a_large_node),
        cmocka_unit_test(test_unbound_ranks_show_no_places_and_one_note),
        cmocka_unit_test(test_long_names_and_lists_are_cut),
        cmocka_unit_test(test_no_rows_print_the_titles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
