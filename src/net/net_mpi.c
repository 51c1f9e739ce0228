/* net_mpi.c: net.h over MPI: start, stop, collectives, progress.
 *
 *   net_open_*: MPI_Init if need be -> communicator dup'd -> nodes found -> packet channel (only in a job of several nodes)
 *   net_attach_segment: net_attach.c
 *   net_close: reads end -> items out -> all ranks there -> what is on the way received -> window and communicator freed
 *
 * A job of one node posts no receive and makes no window: after the start it makes no MPI call but the collectives, so nothing
 * has to poll. */
#include "net_mpi.h"

#include "clock.h"
#include "error.h"
#include "idle.h"
#include "log.h"
#include "net_bulk.h"
#include "net_launch.h"
#include "net_mpi_error.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

static bool we_started_mpi; /* by the first net_open_world() of the process */

/* Progress and waiting. */

int net_mpi_progress(net_mpi_t *mpi)
{
    int n = 0;
    for (int k = NET_BULK_RMA; k <= NET_BULK_PULL; k++)
        if (mpi->paths[k]) n += mpi->paths[k]->ops->poll(mpi->paths[k]);
    if (mpi->closing) n += net_channel_receive(mpi->items); /* into nothing: others get rid of theirs only if it is taken */
    if (mpi->items) n += net_channel_send(mpi->items);
    return n;
}

static void wait_round(net_mpi_t *mpi, idle_ladder_t *ladder)
{
    if (net_mpi_progress(mpi) > 0) idle_reset(ladder);
    idle_step_t step = idle_next(ladder, base_clock_ns(), IDLE_DUE_NOTHING);
    if (step.kind == IDLE_SLEEP && step.sleep_ns > IDLE_MAX_SLEEP_NS) step.sleep_ns = IDLE_MAX_SLEEP_NS;
    if (mpi->probing) step.kind = IDLE_YIELD;
    idle_pause(step);
}

int net_mpi_wait(net_mpi_t *mpi, MPI_Request *request, const char *call)
{
    idle_ladder_t ladder;
    idle_init(&ladder, false);
    for (;;) {
        int done = 0;
        int status = net_mpi_error(MPI_Test(request, &done, MPI_STATUS_IGNORE), call);
        if (done || status != MRAY_OK) return status;
        wait_round(mpi, &ladder);
    }
}

void net_mpi_wait_until(net_mpi_t *mpi, bool (*done)(net_mpi_t *mpi, void *arg), void *arg)
{
    idle_ladder_t ladder;
    idle_init(&ladder, false);
    while (!done(mpi, arg)) wait_round(mpi, &ladder);
}

/* Collectives. */

int net_mpi_allgather(net_t *net, const void *mine, size_t bytes, void *all)
{
    net_mpi_t *mpi = (net_mpi_t *)net;
    if (bytes > INT_MAX) return base_error(MRAY_ERR_INVALID_ARGUMENT, "an allgather of %zu bytes a rank; 2 GiB is the limit", bytes);
    MPI_Request request;
    int status = net_mpi_error(MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, mpi->comm, &request), "MPI_Iallgather");
    return status == MRAY_OK ? net_mpi_wait(mpi, &request, "MPI_Iallgather") : status;
}

int net_mpi_barrier(net_t *net)
{
    net_mpi_t *mpi = (net_mpi_t *)net;
    MPI_Request request;
    int status = net_mpi_error(MPI_Ibarrier(mpi->comm, &request), "MPI_Ibarrier");
    return status == MRAY_OK ? net_mpi_wait(mpi, &request, "MPI_Ibarrier") : status;
}

/* Operations. */

static int mpi_send_reserve(net_t *net, int dst, uint16_t type, uint16_t flags, uint32_t bytes, void **data_p)
{
    return net_channel_reserve(((net_mpi_t *)net)->items, dst, type, flags, bytes, data_p);
}

static uint64_t mpi_unsent_bytes(const net_t *net, int dst)
{
    return net_channel_unsent_bytes(((const net_mpi_t *)net)->items, dst);
}

static net_bulk_path_t *path_for(const net_mpi_t *mpi, uint64_t bytes)
{
    return mpi->paths[bytes <= NET_BULK_INLINE_BYTES ? mpi->net.info.bulk_small : mpi->net.info.bulk];
}

static void mpi_get_start(net_t *net, net_get_t *get)
{
    net_mpi_t *mpi = (net_mpi_t *)net;
    int status = net_impl_get_check(net, get, net->info.bulk != NET_BULK_NONE);
    if (status == MRAY_OK) status = net_impl_get_check_range(get, mpi->segment_bytes[get->src_rank]);
    if (status != MRAY_OK || get->bytes == 0) net_impl_get_done(net, get, status);
    else path_for(mpi, get->bytes)->ops->start(path_for(mpi, get->bytes), get);
}

static void item_arrived(void *ctx, int src, const net_item_t *item, const void *data)
{
    net_impl_dispatch(ctx, src, item, data);
}

static int mpi_poll(net_t *net)
{
    net_mpi_t *mpi = (net_mpi_t *)net;
    int n = 0, n_items = 0;
    /* Each look is a system call: what is to go out goes before them, and where items came their handlers' users look first. */
    if (mpi->items && net_channel_has_unsent(mpi->items)) n += net_channel_send(mpi->items);
    if (mpi->items) n_items = net_channel_receive(mpi->items);
    n += n_items;
    mpi->bulk_waits = n_items > 0 && !mpi->bulk_waits;
    if (mpi->bulk_waits) return n + net_channel_send(mpi->items);
    return n + net_mpi_progress(mpi);
}

static bool bulk_busy(const net_mpi_t *mpi)
{
    for (int k = NET_BULK_RMA; k <= NET_BULK_PULL; k++)
        if (mpi->paths[k] && mpi->paths[k]->ops->busy(mpi->paths[k])) return true;
    return false;
}

static bool mpi_busy(const net_t *net)
{
    const net_mpi_t *mpi = (const net_mpi_t *)net;
    return (mpi->items && net_channel_busy(mpi->items)) || bulk_busy(mpi);
}

static void mpi_abort(net_t *net, int code)
{
    MPI_Abort(((net_mpi_t *)net)->comm, code);
}

/* Closing. */

static bool is_quiet(net_mpi_t *mpi, void *unused)
{
    (void)unused;
    net_impl_run_done(&mpi->net);
    return !mpi_busy(&mpi->net) && !mpi->net.done.head;
}

static bool all_received(net_mpi_t *mpi, void *counts)
{
    return net_channel_received(mpi->items, counts);
}

/* Take every packet that is still on its way, so that none can turn up in a later session. */
static int drain_items(net_mpi_t *mpi)
{
    size_t n_ranks = (size_t)mpi->net.info.n_ranks;
    uint32_t *counts = malloc(2 * n_ranks * sizeof *counts);
    if (!counts) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for %zu packet counts", n_ranks);
    net_channel_sent(mpi->items, counts);
    MPI_Request request;
    int status = net_mpi_error(MPI_Ialltoall(counts, 1, MPI_UINT32_T, counts + n_ranks, 1, MPI_UINT32_T, mpi->comm, &request), "MPI_Ialltoall");
    if (status == MRAY_OK) status = net_mpi_wait(mpi, &request, "MPI_Ialltoall");
    if (status == MRAY_OK) net_mpi_wait_until(mpi, all_received, counts + n_ranks);
    free(counts);
    return status;
}

static int close_channel(net_mpi_t *mpi)
{
    mpi->closing = true;
    net_channel_discard(mpi->items);
    net_mpi_wait_until(mpi, is_quiet, NULL); /* own reads are finished, own items are out */
    int status = net_mpi_barrier(&mpi->net); /* everybody's are */
    if (status == MRAY_OK) net_mpi_wait_until(mpi, is_quiet, NULL);
    return status == MRAY_OK ? drain_items(mpi) : status;
}

static void mpi_free(net_mpi_t *mpi)
{
    net_channel_destroy(mpi->items);
    free(mpi->segment_bytes);
    net_impl_fini(&mpi->net);
    if (mpi->comm != MPI_COMM_NULL) MPI_Comm_free(&mpi->comm);
    free(mpi);
}

static void mpi_close(net_t *net)
{
    net_mpi_t *mpi = (net_mpi_t *)net;
    int status = mpi->items ? close_channel(mpi) : MRAY_OK;
    if (status == MRAY_OK) status = net_mpi_barrier(net);
    if (status != MRAY_OK) log_error("net: closing: %s", mray_error_message());
    for (int k = NET_BULK_RMA; k <= NET_BULK_PULL; k++)
        if (mpi->paths[k]) mpi->paths[k]->ops->destroy(mpi->paths[k]);
    mpi_free(mpi);
}

static const net_ops_t mpi_ops = {
    .name = "mpi",
    .close = mpi_close,
    .abort = mpi_abort,
    .allgather = net_mpi_allgather,
    .barrier = net_mpi_barrier,
    .attach_segment = net_mpi_attach_segment,
    .send_reserve = mpi_send_reserve,
    .unsent_bytes = mpi_unsent_bytes,
    .get_start = mpi_get_start,
    .poll = mpi_poll,
    .busy = mpi_busy,
};

/* Opening. */

/* The lowest rank of this rank's node. */
static int find_node_key(MPI_Comm comm, int rank, int *key_p)
{
    int fake = net_launch_fake_node_ranks();
    *key_p = fake > 0 ? rank / fake * fake : rank;
    if (fake > 0) return MRAY_OK;
    MPI_Comm node;
    int status = net_mpi_error(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node), "MPI_Comm_split_type");
    if (status != MRAY_OK) return status;
    status = net_mpi_error(MPI_Bcast(key_p, 1, MPI_INT, 0, node), "MPI_Bcast");
    MPI_Comm_free(&node);
    return status;
}

static int find_nodes(net_mpi_t *mpi)
{
    int rank, n_ranks, key;
    MPI_Comm_rank(mpi->comm, &rank);
    MPI_Comm_size(mpi->comm, &n_ranks);
    int status = find_node_key(mpi->comm, rank, &key);
    if (status != MRAY_OK) return status;
    int *keys = malloc((size_t)n_ranks * sizeof *keys);
    if (!keys) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the table of %d ranks", n_ranks);
    status = net_mpi_allgather(&mpi->net, &key, sizeof key, keys);
    if (status == MRAY_OK) status = net_impl_init(&mpi->net, &mpi_ops, rank, n_ranks, keys);
    free(keys);
    return status;
}

static int dup_comm(net_mpi_t *mpi, MPI_Comm from)
{
    MPI_Request request;
    int status = net_mpi_error(MPI_Comm_idup(from, &mpi->comm, &request), "MPI_Comm_idup");
    if (status == MRAY_OK) status = net_mpi_wait(mpi, &request, "MPI_Comm_idup");
    if (status == MRAY_OK) MPI_Comm_set_errhandler(mpi->comm, MPI_ERRORS_RETURN);
    return status;
}

static int open_on(MPI_Comm from, bool owns_mpi, net_t **net_p)
{
    int level = MPI_THREAD_SINGLE;
    MPI_Query_thread(&level);
    if (level < MPI_THREAD_FUNNELED)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_init_comm: MPI was started for one thread only (MPI_THREAD_SINGLE); start it by "
                          "MPI_Init_thread() with MPI_THREAD_FUNNELED or more");
    net_mpi_t *mpi = calloc(1, sizeof *mpi);
    if (!mpi) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the network");
    mpi->comm = MPI_COMM_NULL;
    int status = dup_comm(mpi, from);
    if (status == MRAY_OK) status = find_nodes(mpi);
    if (status == MRAY_OK && mpi->net.info.multi_node)
        status = net_channel_create(mpi->comm, NET_TAG_ITEMS, item_arrived, mpi, &mpi->items);
    if (status != MRAY_OK) {
        mpi_free(mpi);
        return status;
    }
    mpi->net.info.owns_mpi = owns_mpi;
    mpi->net.info.one_thread = level < MPI_THREAD_SERIALIZED;
    mpi->net.info.polled_only = mpi->net.info.one_thread || (!owns_mpi && level < MPI_THREAD_MULTIPLE);
    *net_p = &mpi->net;
    return MRAY_OK;
}

static bool mpi_is_finalized(void)
{
    int flag = 0;
    MPI_Finalized(&flag);
    return flag;
}

static bool mpi_is_initialized(void)
{
    int flag = 0;
    MPI_Initialized(&flag);
    return flag;
}

int net_open_world(int *argc, char ***argv, net_t **net_p)
{
    if (mpi_is_finalized()) return base_error(MRAY_ERR_MPI, "MPI is finalised already, and can be started only once in a process");
    if (mpi_is_initialized() && !we_started_mpi)
        return base_error(MRAY_ERR_ALREADY_INITIALIZED,
                          "MPI was initialised before mray_init; give mray a communicator instead: mray_init_comm(&comm, ...)");
    if (!net_under_launcher()) return net_open_fake(1, NULL, net_p);
    if (!we_started_mpi) {
        int level;
        net_launch_set_env();
        int status = net_mpi_error(MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &level), "MPI_Init_thread");
        if (status != MRAY_OK) return status;
        we_started_mpi = true;
    }
    return open_on(MPI_COMM_WORLD, true, net_p);
}

int net_open_comm(const void *comm_p, net_t **net_p)
{
    if (!comm_p) return base_error(MRAY_ERR_INVALID_ARGUMENT, "the pointer to the communicator is NULL");
    if (!mpi_is_initialized() || mpi_is_finalized())
        return base_error(MRAY_ERR_MPI, "a communicator was given, but MPI is %s", mpi_is_finalized() ? "finalised" : "not initialised");
    MPI_Comm comm = *(const MPI_Comm *)comm_p;
    if (comm == MPI_COMM_NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "the communicator is MPI_COMM_NULL");
    return open_on(comm, false, net_p);
}

void net_shutdown_mpi(void)
{
    if (!we_started_mpi || mpi_is_finalized()) return;
    MPI_Finalize();
}
