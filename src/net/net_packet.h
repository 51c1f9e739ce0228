/* net_packet.h: the format of a packet, and the order in which packets are taken. No MPI in here.
 *
 *   | seq u32 | bytes u32 | item header 8 | payload, padded to 8 | item header 8 | payload ... |
 *
 * Several receives are posted at once for any source, and a long message may complete after a short one sent later. So
 * packets from one rank to another are numbered, and a packet is taken only when all earlier ones from its source were. Between
 * different sources there is no order, so a source that stops half-way holds up nobody else. */
#ifndef MRAY_NET_NET_PACKET_H
#define MRAY_NET_NET_PACKET_H

#include "net.h"

enum {
    /* Just below the TCP transport's eager limit (64 KiB with its own headers): a packet arrives whole or not at all,
     * and needs no answer of the receiver to travel. */
    NET_PACKET_BYTES = 65536 - 128,
    NET_PACKET_HEADER_BYTES = 8,
    NET_ORDER_MAX_SLOTS = 16,
};

typedef struct {
    uint32_t seq;   /* counts packets of one source to one destination, from 0, modulo 2^32 */
    uint32_t bytes; /* of the whole packet */
} net_packet_header_t;

typedef struct net_packet {
    struct net_packet *next;
    int dst;
    uint32_t used; /* of bytes, header included */
    _Alignas(16) unsigned char bytes[NET_PACKET_BYTES];
} net_packet_t;

void net_packet_init(net_packet_t *packet, int dst);
/* Room for an item at the end, its header written; NULL if it does not fit. Padding is zero. */
void *net_packet_append(net_packet_t *packet, uint16_t type, uint16_t flags, uint32_t bytes);
/* Write the header: the packet is complete. */
void net_packet_seal(net_packet_t *packet, uint32_t seq);

/* Check what arrived: true and *seq_p if it is a packet of n_bytes bytes whose items fill it exactly. */
bool net_packet_check(const unsigned char *bytes, uint32_t n_bytes, uint32_t *seq_p);
/* The item at *pos_p (start with NET_PACKET_HEADER_BYTES) of a checked packet; NULL at the end. */
const net_item_t *net_packet_next(const unsigned char *bytes, uint32_t *pos_p, const void **data_p);

/* Which of the arrived packets may be taken. A slot is one posted receive buffer. */
typedef struct {
    uint32_t *next_seq; /* of each source */
    int n_slots;
    struct {
        bool full;
        int src;
        uint32_t seq;
    } slots[NET_ORDER_MAX_SLOTS];
} net_order_t;

int net_order_init(net_order_t *order, int n_ranks, int n_slots);
void net_order_fini(net_order_t *order);
/* A packet of src arrived in slot. */
void net_order_put(net_order_t *order, int slot, int src, uint32_t seq);
/* A slot whose packet is the next of its source, now taken; -1 if there is none. */
int net_order_take(net_order_t *order);

#endif
