/* net_bulk_pull.c: bulk reads by asking. For Open MPI 5, where one-sided reads over TCP are slower, and wherever a window is
 * refused. Requests and short answers are items of a packet channel of its own, so many of them share a message:
 *
 *   up to NET_BULK_INLINE_BYTES   READ {id, off, bytes} -->    <-- DATA {id} bytes
 *   more   post receives, then READ {stream} --> <-- chunks on the stream's own tag
 *
 * Chunks are equal (the last may be shorter) and of CHUNK_BYTES or up to twice that, so that the reader can use the first while the next come. A stream has WINDOW receives posted, chunk i into its place in dst, and its owner WINDOW sends open, straight from the
 * segment; messages of one pair and tag match in order, so chunk i meets receive i. A tag is used again only when
 * all chunks came. Streams (so tags) are N_STREAMS a reader, ids N_IDS: who asks for more waits in a queue here, and
 * what waits at an owner is bounded by that times the number of ranks.
 *
 * Serving happens inside polls, and inside the collectives as well; it touches no user code. */
#include "net_bulk.h"

#include "error.h"
#include "log.h"
#include "net_mpi_error.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_BYTES = 512 << 10,
    CHUNK_ALIGN = 4096,
    WINDOW = 4,
    N_STREAMS = 16,
    N_IDS = 512,
    N_RECVS = N_STREAMS * WINDOW,
    N_SENDS = 64,
    LOOK_EVERY = 4,   /* polls */
    SERVE_BLOCK = 64, /* serve records are allocated by so many */
};

_Static_assert(NET_BULK_INLINE_BYTES + 8 <= NET_MAX_ITEM_BYTES, "an inline answer is an item");

enum { ITEM_READ = 1, ITEM_DATA = 2 };

typedef struct {
    uint32_t id;  /* given back with the data; of a stream its number */
    uint32_t tag; /* 0: answer inline */
    uint64_t off, bytes;
} read_item_t;

typedef struct {
    uint32_t id, unused;
} data_item_t;

/* One request of somebody else that is being answered. */
typedef struct serve {
    struct serve *next;
    int dst;
    int n_open;
    read_item_t read;
    uint64_t sent;
} serve_t;

typedef struct serve_block {
    struct serve_block *next;
    serve_t serves[SERVE_BLOCK];
} serve_block_t;

typedef struct {
    net_bulk_path_t path;
    net_channel_t *channel;
    uint32_t n_polls;

    /* reading */
    net_getq_t small, large;      /* not asked for yet */
    net_get_t *by_id[N_IDS];      /* asked for, answered inline */
    uint16_t free_ids[N_IDS];
    int n_free_ids;
    net_get_t *streams[N_STREAMS];
    int n_streams;                /* in use */
    MPI_Request recvs[N_RECVS];   /* WINDOW for each stream */
    int recv_bytes[N_RECVS];
    uint64_t recv_off[N_RECVS];

    /* serving */
    serve_t *first, **end;        /* with something left to send, taking turns */
    int n_open_serves;            /* sent to the end, not complete */
    serve_t *free_serves;
    serve_block_t *blocks;
    int n_sends;
    MPI_Request sends[N_SENDS];
    serve_t *send_serves[N_SENDS];
} pull_t;

static net_t *pull_net(pull_t *pull)
{
    return &pull->path.mpi->net;
}

/* Of a read of so many bytes. Both sides reckon it. */
static uint64_t chunk_bytes(uint64_t bytes)
{
    uint64_t n = bytes / CHUNK_BYTES;
    return n < 2 ? bytes : ((bytes + n - 1) / n + CHUNK_ALIGN - 1) / CHUNK_ALIGN * CHUNK_ALIGN;
}

/* Reading. */

static bool ask(pull_t *pull, const net_get_t *get, uint32_t id, uint32_t tag)
{
    void *data;
    if (net_channel_reserve(pull->channel, get->src_rank, ITEM_READ, 0, sizeof(read_item_t), &data) != MRAY_OK) return false;
    memcpy(data, &(read_item_t){.id = id, .tag = tag, .off = get->src_off, .bytes = get->bytes}, sizeof(read_item_t));
    return true;
}

static int post_chunk(pull_t *pull, int stream, int slot)
{
    net_get_t *get = pull->streams[stream];
    int i = stream * WINDOW + slot;
    uint64_t left = get->bytes - get->bytes_started, chunk = chunk_bytes(get->bytes);
    pull->recv_bytes[i] = (int)(left < chunk ? left : chunk);
    pull->recv_off[i] = get->bytes_started;
    int status = net_mpi_error(MPI_Irecv((char *)get->dst + get->bytes_started, pull->recv_bytes[i], MPI_BYTE, get->src_rank,
                                         NET_TAG_STREAM + stream, pull->path.mpi->comm, &pull->recvs[i]),
                               "MPI_Irecv");
    if (status != MRAY_OK) return status;
    get->bytes_started += (uint64_t)pull->recv_bytes[i];
    get->n_chunks_open++;
    return MRAY_OK;
}

static int free_stream(const pull_t *pull)
{
    for (int s = 0; s < N_STREAMS; s++)
        if (!pull->streams[s]) return s;
    return -1;
}

/* Stands in a stream that has failed: its owner may go on sending, so the stream is not used again. */
static net_get_t lost_stream;

/* The receives are taken back before the read ends: nothing may be written into dst any more. */
static void stream_failed(pull_t *pull, int stream)
{
    net_get_t *get = pull->streams[stream];
    log_error("net: bulk read from rank %d: %s", get->src_rank, mray_error_message());
    for (int i = stream * WINDOW; i < (stream + 1) * WINDOW; i++) {
        if (pull->recvs[i] == MPI_REQUEST_NULL) continue;
        MPI_Cancel(&pull->recvs[i]);
        MPI_Request_free(&pull->recvs[i]);
    }
    pull->streams[stream] = &lost_stream;
    pull->n_streams--;
    net_impl_get_done(pull_net(pull), get, MRAY_ERR_MPI);
}

static void start_stream(pull_t *pull, int stream, net_get_t *get)
{
    pull->streams[stream] = get;
    pull->n_streams++;
    int status = MRAY_OK;
    for (int slot = 0; slot < WINDOW && get->bytes_started < get->bytes && status == MRAY_OK; slot++) status = post_chunk(pull, stream, slot);
    if (status != MRAY_OK) stream_failed(pull, stream);
}

static void start_queued(pull_t *pull)
{
    while (pull->small.head && pull->n_free_ids > 0) {
        uint32_t id = pull->free_ids[pull->n_free_ids - 1];
        if (!ask(pull, pull->small.head, id, 0)) break;
        pull->by_id[id] = net_getq_pop(&pull->small);
        pull->n_free_ids--;
    }
    while (pull->large.head) {
        int stream = free_stream(pull);
        if (stream < 0 || !ask(pull, pull->large.head, (uint32_t)stream, (uint32_t)(NET_TAG_STREAM + stream))) break;
        /* The request leaves with the next poll, when the receives are posted. */
        start_stream(pull, stream, net_getq_pop(&pull->large));
    }
}

/* Chunks need not be complete in the order in which they are sent. */
static uint64_t ready_bytes(const pull_t *pull, int stream)
{
    uint64_t ready = pull->streams[stream]->bytes_started;
    for (int i = stream * WINDOW; i < (stream + 1) * WINDOW; i++)
        if (pull->recvs[i] != MPI_REQUEST_NULL && pull->recv_off[i] < ready) ready = pull->recv_off[i];
    return ready;
}

static void chunk_arrived(pull_t *pull, int i, const MPI_Status *mpi_status)
{
    int stream = i / WINDOW;
    net_get_t *get = pull->streams[stream];
    if (get == &lost_stream) return;
    int n_bytes = 0;
    MPI_Get_count(mpi_status, MPI_BYTE, &n_bytes);
    int status = net_mpi_error(mpi_status->MPI_ERROR, "MPI_Irecv");
    if (status == MRAY_OK && n_bytes != pull->recv_bytes[i])
        status = base_error(MRAY_ERR_INTERNAL, "a chunk of %d bytes instead of %d", n_bytes, pull->recv_bytes[i]);
    get->n_chunks_open--;
    get->bytes_done += (uint64_t)n_bytes;
    if (status == MRAY_OK && get->bytes_started < get->bytes) status = post_chunk(pull, stream, i % WINDOW);
    if (status != MRAY_OK) {
        stream_failed(pull, stream);
        return;
    }
    get->bytes_ready = ready_bytes(pull, stream);
    if (get->bytes_done < get->bytes) return;
    pull->streams[stream] = NULL;
    pull->n_streams--;
    net_impl_get_done(pull_net(pull), get, MRAY_OK);
}

static int reap_recvs(pull_t *pull)
{
    int indices[N_RECVS];
    MPI_Status statuses[N_RECVS];
    int n = net_mpi_testsome(N_RECVS, pull->recvs, indices, statuses);
    for (int i = 0; i < n; i++) chunk_arrived(pull, indices[i], &statuses[i]);
    return n;
}

static void data_arrived(pull_t *pull, uint32_t bytes, const void *data)
{
    data_item_t head;
    memcpy(&head, data, sizeof head);
    net_get_t *get = head.id < N_IDS ? pull->by_id[head.id] : NULL;
    assert(get);
    assert(get->bytes == bytes - sizeof head);
    (void)bytes;
    pull->by_id[head.id] = NULL;
    pull->free_ids[pull->n_free_ids++] = (uint16_t)head.id;
    memcpy(get->dst, (const char *)data + sizeof head, get->bytes);
    get->bytes_done = get->bytes;
    net_impl_get_done(pull_net(pull), get, MRAY_OK);
}

/* Serving. */

static serve_t *serve_get(pull_t *pull)
{
    if (!pull->free_serves) {
        serve_block_t *block = malloc(sizeof *block);
        if (!block) {
            /* Whoever asked would wait for ever. */
            log_error("net: no memory to answer bulk reads; the job ends");
            net_abort(pull_net(pull), 1);
        }
        block->next = pull->blocks;
        pull->blocks = block;
        for (int i = 0; i < SERVE_BLOCK; i++) {
            block->serves[i].next = pull->free_serves;
            pull->free_serves = &block->serves[i];
        }
    }
    serve_t *serve = pull->free_serves;
    pull->free_serves = serve->next;
    return serve;
}

static void serve_put(pull_t *pull, serve_t *serve)
{
    serve->next = pull->free_serves;
    pull->free_serves = serve;
}

static const char *serve_at(pull_t *pull, const serve_t *serve)
{
    return (const char *)pull->path.mpi->segment + serve->read.off + serve->sent;
}

static bool answer_inline(pull_t *pull, serve_t *serve)
{
    void *data;
    uint32_t bytes = (uint32_t)serve->read.bytes;
    if (net_channel_reserve(pull->channel, serve->dst, ITEM_DATA, 0, (uint32_t)sizeof(data_item_t) + bytes, &data) != MRAY_OK) return false;
    memcpy(data, &(data_item_t){.id = serve->read.id}, sizeof(data_item_t));
    memcpy((char *)data + sizeof(data_item_t), serve_at(pull, serve), bytes);
    serve->sent = bytes;
    return true;
}

static bool send_chunk(pull_t *pull, serve_t *serve)
{
    if (serve->n_open == WINDOW || pull->n_sends == N_SENDS) return false;
    uint64_t left = serve->read.bytes - serve->sent, chunk = chunk_bytes(serve->read.bytes);
    int bytes = (int)(left < chunk ? left : chunk);
    int status = net_mpi_error(MPI_Isend(serve_at(pull, serve), bytes, MPI_BYTE, serve->dst, (int)serve->read.tag, pull->path.mpi->comm,
                                         &pull->sends[pull->n_sends]),
                               "MPI_Isend");
    if (status != MRAY_OK) {
        log_error("net: answering rank %d has failed, its read never ends: %s", serve->dst, mray_error_message());
        serve->sent = serve->read.bytes;
        return true;
    }
    pull->send_serves[pull->n_sends++] = serve;
    serve->n_open++;
    serve->sent += (uint64_t)bytes;
    return true;
}

/* Let each request in the queue send one piece; those with more left come again. Returns how many pieces went out. */
static int serve_round(pull_t *pull)
{
    int n = 0;
    serve_t *serve = pull->first;
    pull->first = NULL;
    pull->end = &pull->first;
    while (serve) {
        serve_t *next = serve->next;
        n += serve->read.tag == 0 ? answer_inline(pull, serve) : send_chunk(pull, serve);
        if (serve->sent < serve->read.bytes) {
            serve->next = NULL;
            *pull->end = serve;
            pull->end = &serve->next;
        } else if (serve->n_open == 0) {
            serve_put(pull, serve);
        } else {
            pull->n_open_serves++;
        }
        serve = next;
    }
    return n;
}

static int reap_sends(pull_t *pull)
{
    int indices[N_SENDS];
    MPI_Status statuses[N_SENDS];
    int n_done = net_mpi_testsome(pull->n_sends, pull->sends, indices, statuses);
    for (int i = 0; i < n_done; i++) {
        serve_t *serve = pull->send_serves[indices[i]];
        pull->send_serves[indices[i]] = NULL;
        if (net_mpi_error(statuses[i].MPI_ERROR, "MPI_Isend") != MRAY_OK)
            log_error("net: answering rank %d has failed, its read never ends: %s", serve->dst, mray_error_message());
        if (--serve->n_open > 0 || serve->sent < serve->read.bytes) continue;
        pull->n_open_serves--;
        serve_put(pull, serve);
    }
    if (n_done == 0) return 0;
    int n_kept = 0;
    for (int i = 0; i < pull->n_sends; i++) {
        if (!pull->send_serves[i]) continue;
        pull->sends[n_kept] = pull->sends[i];
        pull->send_serves[n_kept++] = pull->send_serves[i];
    }
    pull->n_sends = n_kept;
    return n_done;
}

static void read_arrived(pull_t *pull, int src, const void *data)
{
    serve_t *serve = serve_get(pull);
    *serve = (serve_t){.dst = src};
    memcpy(&serve->read, data, sizeof serve->read);
    /* The reader has checked against the same number. */
    assert(serve->read.off + serve->read.bytes <= pull->path.mpi->segment_bytes[pull->path.mpi->net.info.rank]);
    *pull->end = serve;
    pull->end = &serve->next;
}

static void item_arrived(void *ctx, int src, const net_item_t *item, const void *data)
{
    if (item->type == ITEM_READ) read_arrived(ctx, src, data);
    else data_arrived(ctx, item->bytes, data);
}

/* The path. */

static void pull_start(net_bulk_path_t *path, net_get_t *get)
{
    pull_t *pull = (pull_t *)path;
    net_getq_push(get->bytes <= NET_BULK_INLINE_BYTES ? &pull->small : &pull->large, get);
    start_queued(pull);
}

static int pull_poll(net_bulk_path_t *path)
{
    pull_t *pull = (pull_t *)path;
    int n = net_channel_has_unsent(pull->channel) ? net_channel_send(pull->channel) : 0; /* before the looks */
    /* Who waits for no answer looks now and then: each look is a system call, by which items are late. */
    bool expects = pull->n_free_ids < N_IDS || pull->path.mpi->closing || pull->path.mpi->probing;
    if (expects || pull->n_polls++ % LOOK_EVERY == 0) n += net_channel_receive(pull->channel);
    if (pull->n_streams > 0) n += reap_recvs(pull);
    if (pull->small.head || pull->large.head) start_queued(pull);
    if (pull->n_sends > 0) n += reap_sends(pull);
    for (int round; pull->first && (round = serve_round(pull)) > 0;) n += round;
    return n + net_channel_send(pull->channel);
}

static bool pull_busy(const net_bulk_path_t *path)
{
    const pull_t *pull = (const pull_t *)path;
    return pull->small.head || pull->large.head || pull->n_free_ids < N_IDS || pull->n_streams > 0 || pull->first || pull->n_sends > 0 ||
           net_channel_busy(pull->channel);
}

static void pull_destroy(net_bulk_path_t *path)
{
    pull_t *pull = (pull_t *)path;
    net_channel_destroy(pull->channel);
    while (pull->blocks) {
        serve_block_t *next = pull->blocks->next;
        free(pull->blocks);
        pull->blocks = next;
    }
    free(pull);
}

static const net_bulk_ops_t pull_ops = {
    .kind = NET_BULK_PULL, .start = pull_start, .poll = pull_poll, .busy = pull_busy, .destroy = pull_destroy};

int net_bulk_pull_create(net_mpi_t *mpi, net_bulk_path_t **path_p)
{
    pull_t *pull = calloc(1, sizeof *pull);
    if (!pull) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for bulk reads");
    pull->path = (net_bulk_path_t){.ops = &pull_ops, .mpi = mpi};
    pull->end = &pull->first;
    for (int i = 0; i < N_RECVS; i++) pull->recvs[i] = MPI_REQUEST_NULL;
    while (pull->n_free_ids < N_IDS) {
        pull->free_ids[pull->n_free_ids] = (uint16_t)pull->n_free_ids;
        pull->n_free_ids++;
    }
    int status = net_channel_create(mpi->comm, NET_TAG_CONTROL, item_arrived, pull, &pull->channel);
    if (status != MRAY_OK) {
        free(pull);
        return status;
    }
    *path_p = &pull->path;
    return MRAY_OK;
}
