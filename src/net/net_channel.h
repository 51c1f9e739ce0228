/* net_channel.h: packets of items between all ranks of a communicator, on one tag.
 *
 * Sending: a destination is a lane, with a queue of packets; items go to the end of the last. A poll hands the oldest
 * packets to MPI_Isend, so whatever was queued between two polls travels as one message. Per lane at most
 * LANE_OPEN sends are open; meanwhile the last packet fills up, so packing grows with the load by itself.
 *
 *   reserve -> [unsent: p3 -> p4 -> p5 (being filled)]  --poll-->  [open: p1 p2]  --MPI_Testsome-->  pool of free packets
 *
 * Receiving: RECV_SLOTS receives for any source stay posted; net_packet.h's order decides when what arrived is dispatched.
 * No allocation once the pool is warm. Nothing blocks. */
#ifndef MRAY_NET_NET_CHANNEL_H
#define MRAY_NET_NET_CHANNEL_H

#include "net.h"

#include <mpi.h>

typedef struct net_channel net_channel_t;
typedef void (*net_channel_fn)(void *ctx, int src_rank, const net_item_t *item, const void *data);

/* Receives are posted at once. fn gets every item, inside net_channel_receive(). Local, not collective. */
int net_channel_create(MPI_Comm comm, int tag, net_channel_fn fn, void *ctx, net_channel_t **channel_p);
/* All that was sent must have been received on both sides (net_channel_received). NULL is fine. */
void net_channel_destroy(net_channel_t *channel);

/* Room for one item; MRAY_ERR_LIMIT past NET_LANE_LIMIT_BYTES unsent for that rank, MRAY_ERR_OUT_OF_MEMORY, or MRAY_ERR_MPI
 * when a send to that rank has failed before. */
int net_channel_reserve(net_channel_t *channel, int dst, uint16_t type, uint16_t flags, uint32_t bytes, void **data_p);

uint64_t net_channel_unsent_bytes(const net_channel_t *channel, int dst);

/* One round each; returns how many packets went out and how many sends ended, or how many items were dispatched. */
int net_channel_send(net_channel_t *channel);
int net_channel_receive(net_channel_t *channel);

/* True while a packet is unsent. */
bool net_channel_has_unsent(const net_channel_t *channel);
/* True while a packet is unsent, or MPI still has it. */
bool net_channel_busy(const net_channel_t *channel);

/* Closing: from now on items are dropped instead of dispatched. */
void net_channel_discard(net_channel_t *channel);
/* Packets sent to each rank so far, modulo 2^32. */
void net_channel_sent(const net_channel_t *channel, uint32_t *counts);
/* True once counts[src] packets of every src were taken. */
bool net_channel_received(const net_channel_t *channel, const uint32_t *counts);

enum { NET_LANE_LIMIT_BYTES = 64 << 20 };

#endif
