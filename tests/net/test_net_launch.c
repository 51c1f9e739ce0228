/* test_net_launch.c: the environment before MPI_Init: what is found in it, what is put there, and what is left alone. */
#include "error.h"
#include "net.h"
#include "net_launch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_ID", "MPI_LOCALRANKID", "SLURM_PROCID",
                                    "OMPI_MCA_osc", "OMPI_MCA_mpi_yield_when_idle", "OMPI_MCA_btl_vader_single_copy_mechanism",
                                    "MRAY_BULK", "MRAY_FAKE_NODE_RANKS"};

static int clear_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) unsetenv(names[i]);
    return 0;
}

static void test_launchers_are_seen(void **state)
{
    (void)state;
    assert_false(net_under_launcher());
    setenv("SLURM_PROCID", "0", 1); /* a batch script's own environment is no launcher */
    assert_false(net_under_launcher());
    setenv("PMIX_RANK", "3", 1);
    assert_true(net_under_launcher());
    unsetenv("PMIX_RANK");
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
    assert_true(net_under_launcher());
}

static void test_defaults_are_set(void **state)
{
    (void)state;
    net_launch_set_env();
    assert_string_equal(getenv("OMPI_MCA_osc"), "^ucx");
    assert_string_equal(getenv("OMPI_MCA_mpi_yield_when_idle"), "1");
    const char *copy = getenv("OMPI_MCA_btl_vader_single_copy_mechanism");
    if (net_launch_can_read_peers()) assert_null(copy);
    else assert_string_equal(copy, "none");
}

static void test_what_the_user_set_stays(void **state)
{
    (void)state;
    setenv("OMPI_MCA_osc", "sm", 1);
    setenv("OMPI_MCA_mpi_yield_when_idle", "0", 1);
    net_launch_set_env();
    assert_string_equal(getenv("OMPI_MCA_osc"), "sm");
    assert_string_equal(getenv("OMPI_MCA_mpi_yield_when_idle"), "0");
}

static void configure(void)
{
    config_t config;
    assert_int_equal(config_load(&config), MRAY_OK);
    net_configure(&config);
}

static void test_settings_come_from_the_table_of_settings(void **state)
{
    (void)state;
    setenv("MRAY_BULK", "rma", 1);
    assert_int_equal(net_launch_bulk(), NET_BULK_NONE); /* the environment alone says nothing */
    configure();
    assert_int_equal(net_launch_bulk(), NET_BULK_RMA);
    setenv("MRAY_BULK", "pull", 1);
    setenv("MRAY_FAKE_NODE_RANKS", "2", 1);
    configure();
    assert_int_equal(net_launch_bulk(), NET_BULK_PULL);
    assert_int_equal(net_launch_fake_node_ranks(), 2);
    setenv("MRAY_BULK", "auto", 1);
    unsetenv("MRAY_FAKE_NODE_RANKS");
    configure();
    assert_int_equal(net_launch_bulk(), NET_BULK_NONE);
    assert_int_equal(net_launch_fake_node_ranks(), 0);
}

static void test_alone_there_is_one_rank_and_no_mpi(void **state)
{
    (void)state;
    for (int session = 0; session < 2; session++) {
        net_t *net;
        assert_int_equal(net_open_world(NULL, NULL, &net), MRAY_OK);
        const net_info_t *info = net_info(net);
        assert_int_equal(info->n_ranks, 1);
        assert_int_equal(info->n_nodes, 1);
        assert_false(info->multi_node);
        assert_false(info->owns_mpi);
        int x = 42, y = 0;
        assert_int_equal(net_allgather(net, &x, sizeof x, &y), MRAY_OK);
        assert_int_equal(y, 42);
        assert_int_equal(net_barrier(net), MRAY_OK);
        assert_int_equal(net_attach_segment(net, &x, sizeof x), MRAY_OK);
        assert_int_equal(net_poll(net), 0);
        assert_false(net_busy(net));
        net_close(net);
    }
    net_shutdown_mpi();
    assert_true(strlen(net_hostname()) > 0);
}

static void test_communicator_needs_mpi(void **state)
{
    (void)state;
    net_t *net = NULL;
    int not_a_comm = 0;
    assert_int_equal(net_open_comm(NULL, &net), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(net_open_comm(&not_a_comm, &net), MRAY_ERR_MPI);
    assert_non_null(strstr(mray_error_message(), "not initialised"));
    assert_null(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_launchers_are_seen, clear_environment),
        cmocka_unit_test_setup(test_defaults_are_set, clear_environment),
        cmocka_unit_test_setup(test_what_the_user_set_stays, clear_environment),
        cmocka_unit_test_setup(test_settings_come_from_the_table_of_settings, clear_environment),
        cmocka_unit_test_setup(test_alone_there_is_one_rank_and_no_mpi, clear_environment),
        cmocka_unit_test_setup(test_communicator_needs_mpi, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
