/* net_launch.c: see net_launch.h. */
#include "net_launch.h"

#include "net.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

bool net_under_launcher(void)
{
    /* Not SLURM_PROCID: a batch script has it too, and `srun --mpi=none` starts processes that do not know each other. */
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_ID", "MPI_LOCALRANKID"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (getenv(names[i])) return true;
    return false;
}

static char hostname[256];

static void find_hostname(void)
{
    if (gethostname(hostname, sizeof hostname - 1) != 0) strcpy(hostname, "unknown");
}

const char *net_hostname(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_hostname);
    return hostname;
}

/* 0 where the file is missing: no Yama, no such restriction. */
static int yama_ptrace_scope(void)
{
    int scope = 0;
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    if (!file) return 0;
    if (fscanf(file, "%d", &scope) != 1) scope = 0;
    fclose(file);
    return scope;
}

/* A process may always read itself, unless the system call as such is filtered. */
static bool readv_is_filtered(void)
{
    int from = 1, to = 0;
    struct iovec local = {.iov_base = &to, .iov_len = sizeof to};
    struct iovec remote = {.iov_base = &from, .iov_len = sizeof from};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != (ssize_t)sizeof to;
}

bool net_launch_can_read_peers(void)
{
    if (readv_is_filtered()) return false;
    /* Scope 1 Open MPI lifts for itself (PR_SET_PTRACER_ANY), 2 is for root, 3 for nobody. */
    if (geteuid() == 0) return yama_ptrace_scope() < 3;
    return yama_ptrace_scope() < 2 && prctl(PR_GET_DUMPABLE) == 1;
}

void net_launch_set_env(void)
{
    setenv("OMPI_MCA_osc", "^ucx", 0);
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    if (!net_launch_can_read_peers()) setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
}

static struct {
    int fake_node_ranks;
    net_bulk_t bulk;
} settings;

void net_configure(const config_t *config)
{
    settings.fake_node_ranks = (int)config->fake_node_ranks;
    settings.bulk = strcmp(config->bulk, "rma") == 0 ? NET_BULK_RMA : strcmp(config->bulk, "pull") == 0 ? NET_BULK_PULL : NET_BULK_NONE;
}

int net_launch_fake_node_ranks(void)
{
    return settings.fake_node_ranks;
}

net_bulk_t net_launch_bulk(void)
{
    return settings.bulk;
}
