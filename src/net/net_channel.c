/* net_channel.c: see net_channel.h. */
#include "net_channel.h"

#include "error.h"
#include "log.h"
#include "net_mpi_error.h"
#include "net_packet.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECV_SLOTS = 8,
    RECV_ROUNDS = 8,  /* at most RECV_SLOTS * RECV_ROUNDS packets a poll, so that a flood does not keep it */
    LOOK_AT_ALL = 8,  /* every so many looks go to all receives, not to the oldest alone */
    LANE_OPEN = 8,    /* sends open to one rank */
    TOTAL_OPEN = 128, /* and in all */
    LANE_LIMIT_PACKETS = NET_LANE_LIMIT_BYTES / NET_PACKET_BYTES,
    POOL_KEEP = 256, /* free packets kept: 16 MiB; more go back to malloc */
};

typedef struct {
    net_packet_t *head, *tail; /* unsent, oldest first; items go into tail */
    int n_unsent, n_open;
    uint32_t next_seq;
    bool failed;
    bool listed; /* in channel->active */
} lane_t;

struct net_channel {
    MPI_Comm comm;
    int tag, n_ranks;
    net_channel_fn fn;
    void *ctx;
    bool discard;

    lane_t *lanes;
    int *active; /* n_active ranks: every one whose lane has something unsent */
    int n_active;
    net_packet_t *pool;
    int n_pool;
    int n_open; /* entries of the next two arrays */
    MPI_Request open[TOTAL_OPEN];
    net_packet_t *open_packets[TOTAL_OPEN];

    net_order_t order;
    MPI_Request recvs[RECV_SLOTS];
    unsigned char *recv_bytes; /* RECV_SLOTS buffers */
    uint32_t posted[RECV_SLOTS], n_posted; /* when each receive was */
    uint32_t n_looks;
    bool flows; /* the last look found something */
};

static unsigned char *slot_bytes(net_channel_t *channel, int slot)
{
    return channel->recv_bytes + (size_t)slot * NET_PACKET_BYTES;
}

static int post_receive(net_channel_t *channel, int slot)
{
    channel->posted[slot] = channel->n_posted++;
    return net_mpi_error(MPI_Irecv(slot_bytes(channel, slot), NET_PACKET_BYTES, MPI_BYTE, MPI_ANY_SOURCE, channel->tag, channel->comm,
                                   &channel->recvs[slot]),
                         "MPI_Irecv");
}

int net_channel_create(MPI_Comm comm, int tag, net_channel_fn fn, void *ctx, net_channel_t **channel_p)
{
    net_channel_t *channel = calloc(1, sizeof *channel);
    if (!channel) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a packet channel");
    channel->comm = comm;
    channel->tag = tag;
    channel->fn = fn;
    channel->ctx = ctx;
    for (int i = 0; i < RECV_SLOTS; i++) channel->recvs[i] = MPI_REQUEST_NULL;
    MPI_Comm_size(comm, &channel->n_ranks);

    int status = net_order_init(&channel->order, channel->n_ranks, RECV_SLOTS);
    channel->lanes = calloc((size_t)channel->n_ranks, sizeof *channel->lanes);
    channel->active = malloc((size_t)channel->n_ranks * sizeof *channel->active);
    channel->recv_bytes = aligned_alloc(64, (size_t)RECV_SLOTS * NET_PACKET_BYTES);
    if (status == MRAY_OK && (!channel->lanes || !channel->active || !channel->recv_bytes))
        status = base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a packet channel of %d ranks", channel->n_ranks);
    for (int i = 0; i < RECV_SLOTS && status == MRAY_OK; i++) status = post_receive(channel, i);
    if (status != MRAY_OK) {
        net_channel_destroy(channel);
        return status;
    }
    *channel_p = channel;
    return MRAY_OK;
}

static void free_packets(net_packet_t *packet)
{
    while (packet) {
        net_packet_t *next = packet->next;
        free(packet);
        packet = next;
    }
}

void net_channel_destroy(net_channel_t *channel)
{
    if (!channel) return;
    for (int i = 0; i < RECV_SLOTS; i++) {
        if (channel->recvs[i] == MPI_REQUEST_NULL) continue;
        MPI_Cancel(&channel->recvs[i]);
        MPI_Wait(&channel->recvs[i], MPI_STATUS_IGNORE); /* a receive can always be cancelled here and now */
    }
    assert(channel->n_open == 0);
    for (int r = 0; channel->lanes && r < channel->n_ranks; r++) free_packets(channel->lanes[r].head);
    free_packets(channel->pool);
    free(channel->recv_bytes);
    free(channel->active);
    free(channel->lanes);
    net_order_fini(&channel->order);
    free(channel);
}

/* Sending. */

static net_packet_t *packet_get(net_channel_t *channel, int dst)
{
    net_packet_t *packet = channel->pool;
    if (packet) {
        channel->pool = packet->next;
        channel->n_pool--;
    } else {
        packet = aligned_alloc(64, (sizeof *packet + 63) & ~(size_t)63);
        if (!packet) return NULL;
    }
    net_packet_init(packet, dst);
    return packet;
}

static void packet_put(net_channel_t *channel, net_packet_t *packet)
{
    if (channel->n_pool >= POOL_KEEP) {
        free(packet);
        return;
    }
    packet->next = channel->pool;
    channel->pool = packet;
    channel->n_pool++;
}

/* Hand the lane's oldest packet to MPI. */
static void send_head(net_channel_t *channel, lane_t *lane)
{
    net_packet_t *packet = lane->head;
    lane->head = packet->next;
    lane->n_unsent--;
    net_packet_seal(packet, lane->next_seq);
    int rc = MPI_Isend(packet->bytes, (int)packet->used, MPI_BYTE, packet->dst, channel->tag, channel->comm, &channel->open[channel->n_open]);
    if (rc != MPI_SUCCESS) {
        /* The items are lost, and later ones must not overtake them. */
        net_mpi_error(rc, "MPI_Isend");
        log_error("net: sending to rank %d has failed, nothing more is sent there: %s", packet->dst, mray_error_message());
        lane->failed = true;
        packet_put(channel, packet);
        return;
    }
    lane->next_seq++;
    lane->n_open++;
    channel->open_packets[channel->n_open++] = packet;
}

/* Send what may be sent. Returns how many packets went out. */
static int lane_send(net_channel_t *channel, lane_t *lane)
{
    int n = 0;
    while (lane->head && !lane->failed && lane->n_open < LANE_OPEN && channel->n_open < TOTAL_OPEN) {
        send_head(channel, lane);
        n++;
    }
    if (lane->failed) {
        free_packets(lane->head);
        lane->head = NULL;
        lane->n_unsent = 0;
    }
    return n;
}

/* Append an empty packet to the lane. */
static int lane_grow(net_channel_t *channel, lane_t *lane, int dst)
{
    if (lane->n_unsent >= LANE_LIMIT_PACKETS)
        return base_error(MRAY_ERR_LIMIT, "%d MiB wait to be sent to rank %d", NET_LANE_LIMIT_BYTES >> 20, dst);
    net_packet_t *packet = packet_get(channel, dst);
    if (!packet) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a packet to rank %d", dst);
    if (lane->head) lane->tail->next = packet;
    else lane->head = packet;
    lane->tail = packet;
    lane->n_unsent++;
    if (!lane->listed) channel->active[channel->n_active++] = dst;
    lane->listed = true;
    return MRAY_OK;
}

int net_channel_reserve(net_channel_t *channel, int dst, uint16_t type, uint16_t flags, uint32_t bytes, void **data_p)
{
    lane_t *lane = &channel->lanes[dst];
    if (lane->head && (*data_p = net_packet_append(lane->tail, type, flags, bytes))) return MRAY_OK;

    /* The last packet is full, and its items are filled in by now. */
    lane_send(channel, lane);
    if (lane->failed) return base_error(MRAY_ERR_MPI, "sending to rank %d has failed before", dst);
    int status = lane_grow(channel, lane, dst);
    if (status == MRAY_OK) *data_p = net_packet_append(lane->tail, type, flags, bytes);
    return status;
}

/* Take back the packets of finished sends. */
static int reap_sends(net_channel_t *channel)
{
    int indices[TOTAL_OPEN];
    MPI_Status statuses[TOTAL_OPEN];
    int n_done = net_mpi_testsome(channel->n_open, channel->open, indices, statuses);
    for (int i = 0; i < n_done; i++) {
        net_packet_t *packet = channel->open_packets[indices[i]];
        lane_t *lane = &channel->lanes[packet->dst];
        lane->n_open--;
        if (statuses[i].MPI_ERROR != MPI_SUCCESS) {
            lane->failed = true;
            net_mpi_error(statuses[i].MPI_ERROR, "MPI_Isend");
            log_error("net: sending to rank %d has failed: %s", packet->dst, mray_error_message());
        }
        packet_put(channel, packet);
        channel->open_packets[indices[i]] = NULL;
    }
    if (n_done == 0) return 0;
    int n_kept = 0;
    for (int i = 0; i < channel->n_open; i++) {
        if (!channel->open_packets[i]) continue;
        channel->open[n_kept] = channel->open[i];
        channel->open_packets[n_kept++] = channel->open_packets[i];
    }
    channel->n_open = n_kept;
    return n_done;
}

int net_channel_send(net_channel_t *channel)
{
    int n = channel->n_open > 0 ? reap_sends(channel) : 0;
    for (int i = 0; i < channel->n_active;) {
        lane_t *lane = &channel->lanes[channel->active[i]];
        n += lane_send(channel, lane);
        if (lane->head) {
            i++;
            continue;
        }
        lane->listed = false;
        channel->active[i] = channel->active[--channel->n_active];
    }
    return n;
}

uint64_t net_channel_unsent_bytes(const net_channel_t *channel, int dst)
{
    return (uint64_t)channel->lanes[dst].n_unsent * NET_PACKET_BYTES;
}

bool net_channel_has_unsent(const net_channel_t *channel)
{
    return channel->n_active > 0;
}

bool net_channel_busy(const net_channel_t *channel)
{
    return channel->n_active > 0 || channel->n_open > 0;
}

/* Receiving. */

static int dispatch(net_channel_t *channel, int slot, int src)
{
    if (channel->discard) return 1;
    const unsigned char *bytes = slot_bytes(channel, slot);
    uint32_t pos = NET_PACKET_HEADER_BYTES;
    int n = 0;
    const void *data;
    for (const net_item_t *item; (item = net_packet_next(bytes, &pos, &data)); n++) channel->fn(channel->ctx, src, item, data);
    return n;
}

static void repost(net_channel_t *channel, int slot)
{
    if (post_receive(channel, slot) != MRAY_OK) log_error("net: a receive is lost: %s", mray_error_message());
}

/* Put one completed receive into order; a message that is no packet is dropped (it cannot come from this library). */
static void arrived(net_channel_t *channel, int slot, const MPI_Status *status)
{
    int n_bytes = 0;
    uint32_t seq;
    MPI_Get_count(status, MPI_BYTE, &n_bytes);
    if (status->MPI_ERROR == MPI_SUCCESS && net_packet_check(slot_bytes(channel, slot), (uint32_t)n_bytes, &seq)) {
        net_order_put(&channel->order, slot, status->MPI_SOURCE, seq);
        return;
    }
    if (net_mpi_error(status->MPI_ERROR, "MPI_Irecv") == MRAY_OK)
        base_error(MRAY_ERR_INTERNAL, "%d bytes that are no packet from rank %d", n_bytes, status->MPI_SOURCE);
    log_error("net: %s", mray_error_message());
    repost(channel, slot);
}

/* The receive that the next packet goes to: messages match receives in the order of posting. */
static int oldest(const net_channel_t *channel)
{
    int slot = -1;
    for (int i = 0; i < RECV_SLOTS; i++)
        if (channel->recvs[i] != MPI_REQUEST_NULL && (slot < 0 || (int32_t)(channel->posted[i] - channel->posted[slot]) < 0)) slot = i;
    return slot;
}

/* While nothing comes the oldest receive alone is looked at: that finds in the same call what the call itself takes from the network. It may be that of a
 * sender that stopped half-way, so all are looked at from time to time. */
static int look(net_channel_t *channel, int *indices, MPI_Status *statuses)
{
    int slot = channel->flows || ++channel->n_looks % LOOK_AT_ALL == 0 ? -1 : oldest(channel);
    if (slot < 0) return net_mpi_testsome(RECV_SLOTS, channel->recvs, indices, statuses);
    indices[0] = slot;
    return net_mpi_test(&channel->recvs[slot], &statuses[0]);
}

int net_channel_receive(net_channel_t *channel)
{
    int n = 0;
    for (int round = 0; round < RECV_ROUNDS; round++) {
        int indices[RECV_SLOTS];
        MPI_Status statuses[RECV_SLOTS];
        int n_done = look(channel, indices, statuses);
        channel->flows = n_done > 0;
        for (int i = 0; i < n_done; i++) arrived(channel, indices[i], &statuses[i]);
        int n_taken = 0;
        for (int slot; (slot = net_order_take(&channel->order)) >= 0; n_taken++) {
            n += dispatch(channel, slot, channel->order.slots[slot].src);
            repost(channel, slot);
        }
        if (n_taken == 0 || n_done < RECV_SLOTS) break; /* if more is there, it waits for the next poll: a look costs a system call */
    }
    return n;
}

/* Closing. */

void net_channel_discard(net_channel_t *channel)
{
    channel->discard = true;
}

void net_channel_sent(const net_channel_t *channel, uint32_t *counts)
{
    for (int r = 0; r < channel->n_ranks; r++) counts[r] = channel->lanes[r].next_seq;
}

bool net_channel_received(const net_channel_t *channel, const uint32_t *counts)
{
    return memcmp(channel->order.next_seq, counts, (size_t)channel->n_ranks * sizeof *counts) == 0;
}
