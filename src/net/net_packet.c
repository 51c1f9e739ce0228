/* net_packet.c: see net_packet.h. */
#include "net_packet.h"

#include "error.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(net_item_t) == 8, "an item header is 8 bytes");
_Static_assert(sizeof(net_packet_header_t) == NET_PACKET_HEADER_BYTES, "so is a packet's");
_Static_assert(NET_PACKET_HEADER_BYTES + sizeof(net_item_t) + NET_MAX_ITEM_BYTES <= NET_PACKET_BYTES, "the largest item fits");
_Static_assert(NET_PACKET_BYTES % 8 == 0, "items stay aligned");

static uint32_t padded(uint32_t bytes)
{
    return (bytes + 7) & ~7u;
}

void net_packet_init(net_packet_t *packet, int dst)
{
    packet->next = NULL;
    packet->dst = dst;
    packet->used = NET_PACKET_HEADER_BYTES;
}

void *net_packet_append(net_packet_t *packet, uint16_t type, uint16_t flags, uint32_t bytes)
{
    uint32_t total = (uint32_t)sizeof(net_item_t) + padded(bytes);
    if (total > NET_PACKET_BYTES - packet->used) return NULL;
    unsigned char *at = packet->bytes + packet->used;
    packet->used += total;
    if (bytes % 8 != 0) memset(at + total - 8, 0, 8);
    memcpy(at, &(net_item_t){.type = type, .flags = flags, .bytes = bytes}, sizeof(net_item_t));
    return at + sizeof(net_item_t);
}

void net_packet_seal(net_packet_t *packet, uint32_t seq)
{
    memcpy(packet->bytes, &(net_packet_header_t){.seq = seq, .bytes = packet->used}, sizeof(net_packet_header_t));
}

bool net_packet_check(const unsigned char *bytes, uint32_t n_bytes, uint32_t *seq_p)
{
    net_packet_header_t header;
    if (n_bytes < sizeof header) return false;
    memcpy(&header, bytes, sizeof header);
    if (header.bytes != n_bytes) return false;
    uint32_t pos = NET_PACKET_HEADER_BYTES;
    while (pos < n_bytes) {
        net_item_t item;
        if (n_bytes - pos < sizeof item) return false;
        memcpy(&item, bytes + pos, sizeof item);
        pos += (uint32_t)sizeof item;
        if (item.bytes > NET_MAX_ITEM_BYTES || padded(item.bytes) > n_bytes - pos) return false;
        pos += padded(item.bytes);
    }
    *seq_p = header.seq;
    return true;
}

const net_item_t *net_packet_next(const unsigned char *bytes, uint32_t *pos_p, const void **data_p)
{
    const net_packet_header_t *header = (const void *)bytes;
    if (*pos_p >= header->bytes) return NULL;
    const net_item_t *item = (const void *)(bytes + *pos_p);
    *data_p = item + 1;
    *pos_p += (uint32_t)sizeof *item + padded(item->bytes);
    return item;
}

int net_order_init(net_order_t *order, int n_ranks, int n_slots)
{
    assert(n_slots <= NET_ORDER_MAX_SLOTS);
    *order = (net_order_t){.n_slots = n_slots, .next_seq = calloc((size_t)n_ranks, sizeof(uint32_t))};
    if (!order->next_seq) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the packet counters of %d ranks", n_ranks);
    return MRAY_OK;
}

void net_order_fini(net_order_t *order)
{
    free(order->next_seq);
    order->next_seq = NULL;
}

void net_order_put(net_order_t *order, int slot, int src, uint32_t seq)
{
    assert(!order->slots[slot].full);
    order->slots[slot].full = true;
    order->slots[slot].src = src;
    order->slots[slot].seq = seq;
}

int net_order_take(net_order_t *order)
{
    for (int i = 0; i < order->n_slots; i++) {
        if (!order->slots[i].full || order->slots[i].seq != order->next_seq[order->slots[i].src]) continue;
        order->slots[i].full = false;
        order->next_seq[order->slots[i].src]++;
        return i;
    }
    return -1;
}
