/* machines.c: see machines.h. */
#include "machines.h"

#include <mray/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

node_t *node_create(const char *machine, int n_ranks)
{
    node_t *node = calloc(1, sizeof *node);
    assert_non_null(node);
    assert_in_range(n_ranks, 1, MAX_TEST_RANKS);
    assert_int_equal(topo_load(&(topo_opts_t){.synthetic = machine}, &node->topo), MRAY_OK);
    node->n_ranks = n_ranks;
    for (int r = 0; r < n_ranks; r++) topo_describe(node->topo, r, TOPO_WORKERS_AUTO, false, &node->descs[r]);
    return node;
}

void node_destroy(node_t *node)
{
    topo_unload(node->topo);
    free(node);
}

void node_mask(node_t *node, int r, const char *cpus)
{
    assert_true(topo_cpuset_parse(cpus, &node->descs[r].mask));
}

/* No PU belongs to two ranks unless they are oversubscribed; each place lies in the rank's mask and on the core it names. */
static void check_rules(const node_t *node, int driver)
{
    topo_cpuset_t used = {0};
    for (int r = 0; r < node->n_ranks; r++) {
        const topo_share_t *share = &node->shares[r];
        for (int i = 0; i < share->n_places; i++) {
            int pu = share->places[i].pu;
            const topo_core_t *core = &topo_machine(node->topo)->cores[share->places[i].core];
            bool on_core = false;
            for (int k = 0; k < core->n_pus; k++) on_core |= core->pus[k] == pu;
            assert_true(on_core);
            assert_true(topo_cpuset_has(&node->descs[r].mask, pu));
            assert_true(!topo_cpuset_has(&used, pu) || share->oversubscribed);
            topo_cpuset_add(&used, pu);
        }
        if (r == driver) assert_int_equal(share->n_workers, 0);
        else if (node->descs[r].n_workers >= 0) assert_int_equal(share->n_workers, node->descs[r].n_workers);
        else assert_true(share->n_workers >= 1);
        if (share->bind == TOPO_BIND_PLACE) assert_true(share->n_workers <= share->n_places);
        if (share->oversubscribed) assert_true(share->note[0] != '\0');
    }
}

void node_divide(node_t *node, int driver)
{
    topo_share_t *again = malloc(sizeof *again);
    assert_non_null(again);
    for (int r = 0; r < node->n_ranks; r++)
        assert_int_equal(topo_divide(topo_machine(node->topo), node->descs, node->n_ranks, r, driver, &node->shares[r]), MRAY_OK);
    for (int r = node->n_ranks - 1; r >= 0; r--) {
        assert_int_equal(topo_divide(topo_machine(node->topo), node->descs, node->n_ranks, r, driver, again), MRAY_OK);
        assert_memory_equal(again, &node->shares[r], sizeof *again);
    }
    free(again);
    check_rules(node, driver);
}

static void expect_set(const topo_cpuset_t *set, const char *wanted)
{
    char text[256];
    topo_cpuset_format(set, text, sizeof text);
    assert_string_equal(text, wanted);
}

void node_expect_cores(const node_t *node, int r, const char *cores)
{
    topo_cpuset_t set = {0};
    for (int i = 0; i < node->shares[r].n_places; i++) topo_cpuset_add(&set, node->shares[r].places[i].core);
    expect_set(&set, cores);
}

void node_expect_pus(const node_t *node, int r, const char *pus)
{
    topo_cpuset_t set = {0};
    for (int i = 0; i < node->shares[r].n_places; i++) topo_cpuset_add(&set, node->shares[r].places[i].pu);
    expect_set(&set, pus);
}
