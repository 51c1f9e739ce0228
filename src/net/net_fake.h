/* net_fake.h: what a test can do to the in-process network, beyond net.h. */
#ifndef MRAY_NET_NET_FAKE_H
#define MRAY_NET_NET_FAKE_H

#include "net.h"

/* Items sent from here on arrive only after n_polls further polls of their receiver. 0 at first. Order is kept. */
void net_fake_set_delay(net_t *net, int n_polls);

/* Bulk reads of this rank advance by at most `bytes` a poll, so that their owner can write in between and the reader gets
 * a torn value. 0, as at first: all at once. */
void net_fake_set_get_chunk(net_t *net, uint64_t bytes);

/* Small and large reads of this rank are said to be made by that path (RMA at first); they are made as ever. */
void net_fake_set_bulk(net_t *net, net_bulk_t small, net_bulk_t large);

/* The rank is dead to the others: what it sends and what is sent to it vanishes, and bulk reads from it never end. */
void net_fake_kill(net_t *net);

#endif
