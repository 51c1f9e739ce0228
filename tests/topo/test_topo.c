/* test_topo.c: loading machines, synthetic and this one, and holding threads and memory. */
#include "cpus.h"
#include "machines.h"

#include <mray/status.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static topo_t *load(const topo_opts_t *opts)
{
    topo_t *topo = NULL;
    assert_int_equal(topo_load(opts, &topo), MRAY_OK);
    assert_non_null(topo);
    return topo;
}

static void test_big_machine_is_flattened(void **state)
{
    (void)state;
    topo_t *topo = load(&(topo_opts_t){.synthetic = MACHINE_BIG});
    const topo_machine_t *machine = topo_machine(topo);
    assert_false(topo_is_real(topo));
    assert_int_equal(machine->n_cores, 32);
    for (int c = 0; c < 32; c++) {
        assert_int_equal(machine->cores[c].n_pus, 2);
        assert_int_equal(machine->cores[c].pus[1], 2 * c + 1);
        assert_int_equal(machine->cores[c].numa, c / 8);
        assert_int_equal(machine->cores[c].cache, c / 8);
        assert_int_equal(machine->cores[c].package, c / 16);
    }
    topo_unload(topo);
}

static void test_levels_that_are_missing_are_minus_one(void **state)
{
    (void)state;
    topo_t *topo = load(&(topo_opts_t){.synthetic = "pack:2 numa:2 core:8 pu:2"});
    assert_int_equal(topo_machine(topo)->n_cores, 32);
    assert_int_equal(topo_machine(topo)->cores[9].cache, -1);
    assert_int_equal(topo_machine(topo)->cores[9].numa, 1);
    assert_int_equal(topo_distance(topo_machine(topo), 8, 9), TOPO_DIST_NUMA);
    assert_int_equal(topo_distance(topo_machine(topo), 7, 8), TOPO_DIST_PACKAGE);
    topo_unload(topo);

    topo = load(&(topo_opts_t){.synthetic = "pu:4"});
    assert_int_equal(topo_machine(topo)->n_cores, 4);
    assert_int_equal(topo_machine(topo)->cores[3].package, -1);
    topo_unload(topo);
}

static void test_l2_groups_where_there_is_no_l3(void **state)
{
    (void)state;
    topo_t *topo = load(&(topo_opts_t){.synthetic = "pack:1 l2:2 core:4 pu:1"});
    assert_int_equal(topo_distance(topo_machine(topo), 0, 3), TOPO_DIST_CACHE);
    assert_int_equal(topo_distance(topo_machine(topo), 3, 4), TOPO_DIST_NUMA);
    topo_unload(topo);
}

static void test_description_by_mask_and_quota(void **state)
{
    (void)state;
    topo_t *topo = load(&(topo_opts_t){.synthetic = MACHINE_BIG, .cpus = "0-7", .quota_cores = 3});
    topo_desc_t desc;
    topo_describe(topo, 7, 2, true, &desc);
    assert_int_equal(desc.quota_cores, 3);
    assert_int_equal(desc.rank, 7);
    assert_int_equal(desc.n_workers, 2);
    assert_int_equal(desc.use_smt, 1);
    assert_int_equal(topo_cpuset_count(&desc.mask), 8);
    topo_unload(topo);
}

static void test_machine_beyond_1024_pus_keeps_the_first(void **state)
{
    (void)state;
    topo_t *topo = load(&(topo_opts_t){.synthetic = "pack:4 core:300 pu:1"});
    assert_int_equal(topo_machine(topo)->n_cores, TOPO_MAX_PUS);
    topo_unload(topo);
}

static void test_bad_options_are_refused_with_a_sentence(void **state)
{
    (void)state;
    topo_t *topo = NULL;
    assert_int_equal(topo_load(&(topo_opts_t){.synthetic = "two sockets, please"}, &topo), MRAY_ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(mray_error_message(), "two sockets, please"));
    assert_int_equal(topo_load(&(topo_opts_t){.synthetic = MACHINE_2, .cpus = "x"}, &topo), MRAY_ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(mray_error_message(), "\"x\""));
    assert_null(topo);
    topo_unload(NULL);
}

static void test_environment_machine_binds_nothing(void **state)
{
    (void)state;
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    setenv("HWLOC_SYNTHETIC", MACHINE_BIG, 1);
    topo_t *topo = load(NULL);
    unsetenv("HWLOC_SYNTHETIC");
    assert_false(topo_is_real(topo));
    topo_desc_t desc;
    topo_share_t *share = malloc(sizeof *share);
    assert_non_null(share);
    topo_describe(topo, 0, TOPO_WORKERS_AUTO, false, &desc);
    assert_int_equal(topo_divide(topo_machine(topo), &desc, 1, 0, -1, share), MRAY_OK);
    assert_true(topo_bind_self(topo, share, 31));
    assert_true(topo_bind_memory(topo, share, share, sizeof *share));
    assert_true(topo_unbind_self(topo));
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    free(share);
    topo_unload(topo);
}

/* This machine: whatever it is, the mask is the affinity, and binding and unbinding can be seen by the kernel's own answer. */
static void test_this_machine_binds_and_unbinds(void **state)
{
    (void)state;
    cpu_set_t before, now;
    if (sched_getaffinity(0, sizeof before, &before) != 0) skip();
    topo_t *topo = load(NULL);
    if (!topo_is_real(topo)) { /* the tests themselves run under HWLOC_SYNTHETIC */
        topo_unload(topo);
        skip();
    }
    topo_desc_t desc;
    topo_share_t *share = malloc(sizeof *share);
    assert_non_null(share);
    topo_describe(topo, 0, TOPO_WORKERS_AUTO, false, &desc);
    for (int pu = 0; pu < CPU_SETSIZE; pu++)
        if (topo_cpuset_has(&desc.mask, pu)) assert_true(CPU_ISSET(pu, &before));
    desc.quota_cores = 0;
    assert_int_equal(topo_divide(topo_machine(topo), &desc, 1, 0, -1, share), MRAY_OK);
    assert_true(share->n_places >= 1);
    int last = share->n_workers - 1;
    if (topo_bind_self(topo, share, last)) {
        assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
        assert_int_equal(CPU_COUNT(&now), 1);
        assert_true(CPU_ISSET(share->places[last].pu, &now));
        assert_true(topo_bind_self(topo, share, -1));
        assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
        assert_int_equal(CPU_COUNT(&now), share->n_places);
        assert_true(topo_bind_self(topo, share, 0));
        share->bind = TOPO_BIND_NONE; /* leaves the thread where it is */
        assert_true(topo_bind_self(topo, share, -1));
        assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
        assert_int_equal(CPU_COUNT(&now), 1);
        assert_true(topo_unbind_self(topo));
        assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
        assert_true(CPU_EQUAL(&before, &now));
    }
    free(share);
    topo_unload(topo);
}

static void test_mask_is_the_affinity_at_load(void **state)
{
    (void)state;
    cpu_set_t before, one;
    int pu = CPU_SETSIZE - 1;
    if (sched_getaffinity(0, sizeof before, &before) != 0) skip();
    while (!CPU_ISSET(pu, &before)) pu--;
    CPU_ZERO(&one);
    CPU_SET(pu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) skip();
    topo_t *topo = load(NULL);
    topo_desc_t desc;
    topo_describe(topo, 0, TOPO_WORKERS_AUTO, false, &desc);
    bool real = topo_is_real(topo);
    int n_usable = topo_count_cpus(topo_machine(topo), &desc, 1);
    topo_unload(topo);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    if (!real) skip();
    assert_int_equal(topo_cpuset_count(&desc.mask), 1);
    assert_true(topo_cpuset_has(&desc.mask, pu));
    assert_int_equal(n_usable, 1);
}

/* A place that does not exist must fail without more than a debug line, and leave the thread as it was. */
static void test_impossible_place_fails_quietly(void **state)
{
    (void)state;
    cpu_set_t before, now;
    if (sched_getaffinity(0, sizeof before, &before) != 0 || CPU_ISSET(1023, &before)) skip();
    topo_t *topo = load(NULL);
    if (topo_is_real(topo)) {
        topo_share_t *share = calloc(1, sizeof *share);
        assert_non_null(share);
        share->bind = TOPO_BIND_PLACE;
        share->n_places = share->n_workers = 1;
        share->places[0] = (topo_place_t){0, 1023};
        assert_false(topo_bind_self(topo, share, 0));
        assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
        assert_true(CPU_EQUAL(&before, &now));
        free(share);
    }
    topo_unload(topo);
}

static void test_memory_stays_usable_after_binding(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    topo_t *topo = load(NULL);
    topo_desc_t desc;
    topo_share_t *share = malloc(sizeof *share);
    char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_non_null(share);
    assert_true(memory != MAP_FAILED);
    topo_describe(topo, 0, TOPO_WORKERS_AUTO, false, &desc);
    assert_int_equal(topo_divide(topo_machine(topo), &desc, 1, 0, -1, share), MRAY_OK);
    (void)topo_bind_memory(topo, share, memory, BYTES); /* a container may forbid it; the memory must work all the same */
    memset(memory, 1, BYTES);
    assert_int_equal(memory[BYTES - 1], 1);
    munmap(memory, BYTES);
    free(share);
    topo_unload(topo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_big_machine_is_flattened),
        cmocka_unit_test(test_levels_that_are_missing_are_minus_one),
        cmocka_unit_test(test_l2_groups_where_there_is_no_l3),
        cmocka_unit_test(test_description_by_mask_and_quota),
        cmocka_unit_test(test_machine_beyond_1024_pus_keeps_the_first),
        cmocka_unit_test(test_bad_options_are_refused_with_a_sentence),
        cmocka_unit_test(test_environment_machine_binds_nothing),
        cmocka_unit_test(test_this_machine_binds_and_unbinds),
        cmocka_unit_test(test_mask_is_the_affinity_at_load),
        cmocka_unit_test(test_impossible_place_fails_quietly),
        cmocka_unit_test(test_memory_stays_usable_after_binding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
