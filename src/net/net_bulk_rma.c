/* net_bulk_rma.c: bulk reads by MPI_Rget from one window over every rank's segment.
 *
 * MPI_Win_create once, MPI_Win_lock_all(MPI_MODE_NOCHECK) for the whole session, then only MPI_Rget and MPI_Testsome: no
 * flush, which could block on a dead rank, and nothing that needs the owner's code, although every component usable
 * over TCP needs its polling.
 *
 *   start -> [small] -------------------> open: at most MAX_OPEN requests, MAX_LARGE of them large
 *         -> [large], chunk by chunk, in turns
 *
 * A read ends when all its chunks have; after a failed chunk no more are started. */
#include "net_bulk.h"

#include "error.h"
#include "log.h"
#include "net_mpi_error.h"

#include <stdlib.h>

enum {
    MAX_OPEN = 64,
    MAX_LARGE = 8,
    SMALL_BYTES = 64 << 10, /* up to here a read goes ahead of the large ones, which are cut into chunks and take turns */
    CHUNK_BYTES = 64 << 20, /* MPI counts are int; 64 MiB measured as fast as any */
};

typedef struct {
    net_bulk_path_t path;
    MPI_Win win;
    net_getq_t small, large;
    int n_open, n_open_large;
    MPI_Request open[MAX_OPEN];
    struct {
        net_get_t *get; /* NULL: ended */
        uint64_t bytes;
    } chunks[MAX_OPEN];
} rma_t;

static bool is_large(const net_get_t *get)
{
    return get->bytes > SMALL_BYTES;
}

static void start_chunk(rma_t *rma, net_get_t *get)
{
    uint64_t left = get->bytes - get->bytes_started;
    int bytes = left < CHUNK_BYTES ? (int)left : CHUNK_BYTES;
    int rc = MPI_Rget((char *)get->dst + get->bytes_started, bytes, MPI_BYTE, get->src_rank, (MPI_Aint)(get->src_off + get->bytes_started),
                      bytes, MPI_BYTE, rma->win, &rma->open[rma->n_open]);
    if (rc != MPI_SUCCESS) {
        get->status = net_mpi_error(rc, "MPI_Rget");
        log_error("net: bulk read from rank %d: %s", get->src_rank, mray_error_message());
        return;
    }
    rma->chunks[rma->n_open].get = get;
    rma->chunks[rma->n_open].bytes = (uint64_t)bytes;
    rma->n_open++;
    if (is_large(get)) rma->n_open_large++;
    get->bytes_started += (uint64_t)bytes;
    get->n_chunks_open++;
}

/* Start what the limits allow. Small reads leave room for MAX_LARGE large chunks, so neither kind can starve the other. */
static void start_queued(rma_t *rma)
{
    net_get_t *get;
    while (rma->n_open - rma->n_open_large < MAX_OPEN - MAX_LARGE && (get = net_getq_pop(&rma->small))) {
        start_chunk(rma, get);
        if (get->n_chunks_open == 0) net_impl_get_done(&rma->path.mpi->net, get, get->status);
    }
    while (rma->n_open_large < MAX_LARGE && (get = net_getq_pop(&rma->large))) {
        start_chunk(rma, get);
        if (get->status == MRAY_OK && get->bytes_started < get->bytes) net_getq_push(&rma->large, get);
        if (get->n_chunks_open == 0) net_impl_get_done(&rma->path.mpi->net, get, get->status);
    }
}

/* A read with bytes left to start is in the queue, unless it has failed. */
static void chunk_ended(rma_t *rma, int i, int rc)
{
    net_get_t *get = rma->chunks[i].get;
    get->n_chunks_open--;
    if (is_large(get)) rma->n_open_large--;
    if (rc == MPI_SUCCESS) {
        get->bytes_done += rma->chunks[i].bytes;
    } else if (get->status == MRAY_OK) {
        get->status = net_mpi_error(rc, "MPI_Rget");
        log_error("net: bulk read from rank %d: %s", get->src_rank, mray_error_message());
        net_getq_remove(&rma->large, get);
    }
    bool more = get->status == MRAY_OK && get->bytes_started < get->bytes;
    if (get->n_chunks_open == 0 && !more) net_impl_get_done(&rma->path.mpi->net, get, get->status);
}

static int rma_poll(net_bulk_path_t *path)
{
    rma_t *rma = (rma_t *)path;
    int n_done = 0;
    if (rma->n_open > 0) {
        int indices[MAX_OPEN];
        MPI_Status statuses[MAX_OPEN];
        n_done = net_mpi_testsome(rma->n_open, rma->open, indices, statuses);
        for (int i = 0; i < n_done; i++) {
            chunk_ended(rma, indices[i], statuses[i].MPI_ERROR);
            rma->chunks[indices[i]].get = NULL;
        }
    }
    if (n_done > 0) {
        int n_kept = 0;
        for (int i = 0; i < rma->n_open; i++) {
            if (!rma->chunks[i].get) continue;
            rma->open[n_kept] = rma->open[i];
            rma->chunks[n_kept++] = rma->chunks[i];
        }
        rma->n_open = n_kept;
    }
    if (rma->small.head || rma->large.head) start_queued(rma);
    return n_done;
}

static void rma_start(net_bulk_path_t *path, net_get_t *get)
{
    rma_t *rma = (rma_t *)path;
    net_getq_push(is_large(get) ? &rma->large : &rma->small, get);
    start_queued(rma);
}

static bool rma_busy(const net_bulk_path_t *path)
{
    const rma_t *rma = (const rma_t *)path;
    return rma->n_open > 0 || rma->small.head || rma->large.head;
}

static void rma_destroy(net_bulk_path_t *path)
{
    rma_t *rma = (rma_t *)path;
    MPI_Win_unlock_all(rma->win);
    MPI_Win_free(&rma->win);
    free(rma);
}

static const net_bulk_ops_t rma_ops = {
    .kind = NET_BULK_RMA, .start = rma_start, .poll = rma_poll, .busy = rma_busy, .destroy = rma_destroy};

int net_bulk_rma_create(net_mpi_t *mpi, net_bulk_path_t **path_p)
{
    rma_t *rma = calloc(1, sizeof *rma);
    rma_t none = {.win = MPI_WIN_NULL};
    rma_t *to = rma ? rma : &none; /* the call is collective, so it is made even so */
    to->path = (net_bulk_path_t){.ops = &rma_ops, .mpi = mpi};
    int status = net_mpi_error(MPI_Win_create(mpi->segment, (MPI_Aint)mpi->segment_bytes[mpi->net.info.rank], 1, MPI_INFO_NULL, mpi->comm,
                                              &to->win),
                               "MPI_Win_create");
    if (status == MRAY_OK) {
        MPI_Win_set_errhandler(to->win, MPI_ERRORS_RETURN);
        status = net_mpi_error(MPI_Win_lock_all(MPI_MODE_NOCHECK, to->win), "MPI_Win_lock_all");
    }
    if (!rma && status == MRAY_OK) status = base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the window's requests");
    if (status != MRAY_OK) {
        free(rma);
        return status;
    }
    *path_p = &rma->path;
    return MRAY_OK;
}

void net_bulk_rma_forget(net_bulk_path_t *path)
{
    free(path);
}
