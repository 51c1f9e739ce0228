/* net_attach.c: net_attach_segment() over MPI: make both bulk paths, measure them, keep the better. Every rank takes the same
 * decisions, since each is made from gathered data alone.
 *
 *   sizes and wish gathered -> pull path -> window, unless pull was asked for -> granted on all ranks? -> every remote peer
 *   touched -> [no wish: both paths measured] -> a path chosen for neither small nor large reads is freed */
#include "net_bulk.h"

#include "error.h"
#include "log.h"
#include "net_launch.h"
#include "net_probe.h"

#include <stdlib.h>

const char *net_bulk_name(net_bulk_t kind)
{
    return kind == NET_BULK_RMA ? "rma" : kind == NET_BULK_PULL ? "pull" : "none";
}

/* MRAY_OK if every rank's status is; else the first bad one, with a sentence that names its rank. */
static int agree(net_mpi_t *mpi, int mine, const char *what)
{
    int n_ranks = mpi->net.info.n_ranks;
    int *all = malloc((size_t)n_ranks * sizeof *all);
    int status = all ? net_mpi_allgather(&mpi->net, &mine, sizeof mine, all) : base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory to agree on %s", what);
    for (int r = 0; r < n_ranks && status == MRAY_OK; r++)
        if (all[r] != MRAY_OK) status = mine != MRAY_OK ? mine : base_error(all[r], "%s failed on rank %d", what, r);
    free(all);
    return status;
}

/* What MRAY_BULK asks for. Over TCP, Open MPI 4 refuses windows under MPI_THREAD_MULTIPLE, with a page of text on stderr:
 * there only who asks for a window gets to see it. */
static int local_wish(void)
{
    int wish = (int)net_launch_bulk(), level = MPI_THREAD_SINGLE;
    MPI_Query_thread(&level);
    return wish == NET_BULK_NONE && level == MPI_THREAD_MULTIPLE ? NET_BULK_PULL : wish;
}

/* Gather every rank's segment size; *wish_p is rank 0's. */
static int gather_sizes(net_mpi_t *mpi, uint64_t bytes, int *wish_p)
{
    typedef struct {
        uint64_t bytes;
        int64_t wish;
    } row_t;
    int n_ranks = mpi->net.info.n_ranks;
    row_t mine = {.bytes = bytes, .wish = local_wish()};
    row_t *rows = malloc((size_t)n_ranks * sizeof *rows);
    uint64_t *sizes = malloc((size_t)n_ranks * sizeof *sizes);
    int status = rows && sizes ? net_mpi_allgather(&mpi->net, &mine, sizeof mine, rows)
                               : base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for %d segment sizes", n_ranks);
    if (status != MRAY_OK) {
        free(rows);
        free(sizes);
        return status;
    }
    for (int r = 0; r < n_ranks; r++) sizes[r] = rows[r].bytes;
    *wish_p = (int)rows[0].wish;
    mpi->segment_bytes = sizes;
    free(rows);
    return MRAY_OK;
}

/* Make the window. false: refused somewhere, and forgotten everywhere. */
static bool make_window(net_mpi_t *mpi, int wish)
{
    net_bulk_path_t *path = NULL;
    int mine = net_bulk_rma_create(mpi, &path);
    int status = agree(mpi, mine, "the window");
    if (status == MRAY_OK) {
        mpi->paths[NET_BULK_RMA] = path;
        return true;
    }
    if (path) net_bulk_rma_forget(path);
    if (mpi->net.info.rank == 0 && wish == NET_BULK_RMA)
        log_warn("net: MRAY_BULK=rma, but there is no window, so bulk reads go by pull: %s", mray_error_message());
    else if (mpi->net.info.rank == 0)
        log_info("net: no window: %s", mray_error_message());
    return false;
}

static void touched(net_get_t *get, int status)
{
    (void)status;
    free(get);
}

static bool reads_ended(net_mpi_t *mpi, void *path_p)
{
    net_bulk_path_t *path = path_p;
    net_impl_run_done(&mpi->net);
    return !path->ops->busy(path) && !mpi->net.done.head;
}

/* Read a few bytes from every rank of other nodes, so that all connections exist. Later, the first read from a rank that
 * has died would block; one from a rank touched before only never ends. */
static int touch_peers(net_mpi_t *mpi, net_bulk_path_t *path)
{
    static char sink[8];
    const net_info_t *info = &mpi->net.info;
    int status = MRAY_OK;
    for (int i = 1; i < info->n_ranks && status == MRAY_OK; i++) {
        int r = (info->rank + i) % info->n_ranks; /* not everybody at rank 0 first */
        if (info->node_of_rank[r] == info->node || mpi->segment_bytes[r] == 0) continue;
        net_get_t *get = calloc(1, sizeof *get);
        if (!get) {
            status = base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a read");
            break;
        }
        *get = (net_get_t){.src_rank = r, .dst = sink, .bytes = mpi->segment_bytes[r] < 8 ? mpi->segment_bytes[r] : 8, .done_fn = touched};
        path->ops->start(path, get);
    }
    net_mpi_wait_until(mpi, reads_ended, path);
    return agree(mpi, status, "connecting the ranks");
}

static int make_paths(net_mpi_t *mpi, int wish)
{
    int status = agree(mpi, net_bulk_pull_create(mpi, &mpi->paths[NET_BULK_PULL]), "setting up bulk reads");
    if (status == MRAY_OK && wish != NET_BULK_PULL && make_window(mpi, wish)) status = touch_peers(mpi, mpi->paths[NET_BULK_RMA]);
    return status;
}

static int choose(net_mpi_t *mpi, int wish, net_choice_t *choice_p)
{
    if (mpi->paths[NET_BULK_RMA] && wish != NET_BULK_RMA) return net_probe_choose(mpi, choice_p);
    choice_p->small = choice_p->large = mpi->paths[NET_BULK_RMA] ? NET_BULK_RMA : NET_BULK_PULL;
    if (mpi->net.info.rank == 0) log_info("net: bulk reads between nodes by %s, not probed", net_bulk_name(choice_p->large));
    return MRAY_OK;
}

/* Free a path that nobody uses any more. */
static int drop_path(net_mpi_t *mpi, net_bulk_t kind)
{
    net_bulk_path_t *path = mpi->paths[kind];
    if (!path) return MRAY_OK;
    net_mpi_wait_until(mpi, reads_ended, path);
    int status = net_mpi_barrier(&mpi->net);
    if (status != MRAY_OK) return status;
    net_mpi_wait_until(mpi, reads_ended, path);
    mpi->paths[kind] = NULL;
    path->ops->destroy(path);
    return MRAY_OK;
}

int net_mpi_attach_segment(net_t *net, void *base, uint64_t bytes)
{
    net_mpi_t *mpi = (net_mpi_t *)net;
    if (!net->info.multi_node) return MRAY_OK;
    if (mpi->segment_bytes) return base_error(MRAY_ERR_INVALID_ARGUMENT, "a segment is attached already");
    mpi->segment = base;

    int wish = NET_BULK_NONE;
    int status = gather_sizes(mpi, bytes, &wish);
    mpi->probing = true;
    if (status == MRAY_OK) status = make_paths(mpi, wish);
    net_choice_t choice = {0};
    if (status == MRAY_OK) status = choose(mpi, wish, &choice);
    for (net_bulk_t kind = NET_BULK_RMA; kind <= NET_BULK_PULL && status == MRAY_OK; kind++)
        if (kind != choice.small && kind != choice.large) status = drop_path(mpi, kind);
    mpi->probing = false;
    if (status != MRAY_OK) return status;
    net->info.bulk = choice.large;
    net->info.bulk_small = choice.small;
    return net_mpi_barrier(net);
}
