/* net_fake.c: any number of ranks inside one process, for unit tests; and the network of a job of one rank.
 *
 *   net_send -> outbox of the sender --its poll--> inbox of the receiver --its poll--> handler
 *   net_get_start -> queue of the reader --its poll--> memcpy from the owner's segment -> done_fn
 *
 * All ranks may be driven by one thread in turn, or each by a thread of its own; then the world's mutex guards inboxes,
 * segments and collectives. Outbox, reads and handlers belong to the rank's thread. Collectives wait for all ranks, so with
 * several ranks they need a thread each. net_attach_segment() and net_close() do not wait (over MPI they do): a read from a rank
 * that has not attached yet waits for it, and items to a rank that has closed vanish. */
#include "net_fake.h"

#include "error.h"
#include "map.h"
#include "net_impl.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_BYTES = 64 << 20 }; /* sent to one rank and not taken yet */

typedef struct message {
    struct message *next;
    int src, dst;
    uint64_t due; /* the receiver's poll from which on it may be taken */
    net_item_t item;
    _Alignas(8) unsigned char data[];
} message_t;

typedef struct {
    message_t *head, **end;
} list_t;

typedef struct fake_net fake_net_t;

typedef struct {
    pthread_mutex_t mutex; /* guards all of this, and what is marked so below */
    pthread_cond_t round_ended;
    int n_ranks, n_open;
    fake_net_t **ranks; /* NULL: closed */
    int n_arrived;      /* ranks in the current round of a collective */
    uint64_t round;
    int *node_of_rank, n_nodes; /* as all ranks see them */
    unsigned char *gathered;
    size_t gathered_bytes; /* of one rank */
} world_t;

struct fake_net {
    net_t net; /* first */
    world_t *world;
    list_t outbox;
    list_t inbox;             /* world's mutex */
    base_map_t untaken_bytes; /* by rank, of those it ever sent to; world's mutex */
    const unsigned char *segment; /* world's mutex, this and the next two */
    uint64_t segment_bytes;
    bool dead;
    uint64_t n_polls;         /* world's mutex */
    int delay;
    uint64_t get_chunk;
    net_getq_t gets;
};

static void list_init(list_t *list)
{
    list->head = NULL;
    list->end = &list->head;
}

static void list_push(list_t *list, message_t *message)
{
    message->next = NULL;
    *list->end = message;
    list->end = &message->next;
}

static message_t *list_pop(list_t *list)
{
    message_t *message = list->head;
    if (message && !(list->head = message->next)) list->end = &list->head;
    return message;
}

static void list_free(list_t *list)
{
    for (message_t *message; (message = list_pop(list));) free(message);
}

/* Items. */

static int fake_send_reserve(net_t *net, int dst, uint16_t type, uint16_t flags, uint32_t bytes, void **data_p)
{
    fake_net_t *fake = (fake_net_t *)net;
    pthread_mutex_lock(&fake->world->mutex);
    uint64_t *untaken = base_map_find(&fake->untaken_bytes, base_key64((uint32_t)dst));
    if (!untaken && base_map_put(&fake->untaken_bytes, base_key64((uint32_t)dst), 0) == MRAY_OK)
        untaken = base_map_find(&fake->untaken_bytes, base_key64((uint32_t)dst));
    bool full = untaken && *untaken + sizeof(net_item_t) + bytes > LIMIT_BYTES;
    if (untaken && !full) *untaken += sizeof(net_item_t) + bytes;
    pthread_mutex_unlock(&fake->world->mutex);
    if (!untaken) return MRAY_ERR_OUT_OF_MEMORY;
    if (full) return base_error(MRAY_ERR_LIMIT, "%d MiB wait to be sent to rank %d", LIMIT_BYTES >> 20, dst);

    message_t *message = malloc(sizeof *message + bytes);
    if (!message) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for an item of %u bytes", bytes);
    *message = (message_t){.src = net->info.rank, .dst = dst, .item = {.type = type, .flags = flags, .bytes = bytes}};
    list_push(&fake->outbox, message);
    *data_p = message->data;
    return MRAY_OK;
}

/* The mutex is held. */
static void was_taken(fake_net_t *from, const message_t *message)
{
    *base_map_find(&from->untaken_bytes, base_key64((uint32_t)message->dst)) -= sizeof(net_item_t) + message->item.bytes;
}

/* The mutex is held. */
static int flush_outbox(fake_net_t *fake)
{
    int n = 0;
    for (message_t *message; (message = list_pop(&fake->outbox)); n++) {
        fake_net_t *to = fake->world->ranks[message->dst];
        if (!to || to->dead || fake->dead) {
            was_taken(fake, message);
            free(message);
            continue;
        }
        message->due = to->n_polls + (uint64_t)fake->delay;
        list_push(&to->inbox, message);
    }
    return n;
}

static bool has_earlier(const list_t *list, int src)
{
    for (const message_t *message = list->head; message; message = message->next)
        if (message->src == src) return true;
    return false;
}

/* What is due goes to taken; nothing overtakes an earlier message of the same source. The mutex is held. */
static void take_due(fake_net_t *fake, list_t *taken)
{
    list_t rest;
    list_init(&rest);
    for (message_t *message; (message = list_pop(&fake->inbox));) {
        if (message->due > fake->n_polls || has_earlier(&rest, message->src)) {
            list_push(&rest, message);
            continue;
        }
        fake_net_t *from = fake->world->ranks[message->src];
        if (from) was_taken(from, message);
        list_push(taken, message);
    }
    fake->inbox.head = rest.head;
    fake->inbox.end = rest.head ? rest.end : &fake->inbox.head;
}

/* Bulk reads. */

/* The owner may write meanwhile: words are read whole, as a network card reads them, and their order is left open. */
static void copy_words(void *dst, const void *src, uint64_t bytes)
{
    unsigned char *to = dst;
    const unsigned char *from = src;
    while (bytes > 0) {
        if (bytes >= 8 && ((uintptr_t)from & 7) == 0) {
            uint64_t word = __atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_RELAXED);
            memcpy(to, &word, 8);
            to += 8, from += 8, bytes -= 8;
        } else {
            *to++ = __atomic_load_n(from++, __ATOMIC_RELAXED);
            bytes--;
        }
    }
}

/* Copy one piece, if the owner has attached by now. The mutex is held, so the owner cannot close. */
static bool advance(fake_net_t *fake, net_get_t *get)
{
    fake_net_t *owner = fake->world->ranks[get->src_rank];
    if (!owner || !owner->segment || owner->dead || fake->dead) return false;
    get->status = net_impl_get_check_range(get, owner->segment_bytes);
    if (get->status != MRAY_OK) return true;
    uint64_t bytes = get->bytes - get->bytes_done;
    if (fake->get_chunk > 0 && bytes > fake->get_chunk) bytes = fake->get_chunk;
    copy_words((unsigned char *)get->dst + get->bytes_done, owner->segment + get->src_off + get->bytes_done, bytes);
    get->bytes_done += bytes;
    return true;
}

/* Returns how many reads went on. */
static int advance_gets(fake_net_t *fake)
{
    net_getq_t gets = fake->gets;
    fake->gets.head = NULL;
    int n = 0;
    for (net_get_t *get; (get = net_getq_pop(&gets));) {
        if (advance(fake, get)) n++;
        if (get->status != MRAY_OK || get->bytes_done == get->bytes) net_impl_get_done(&fake->net, get, get->status);
        else net_getq_push(&fake->gets, get);
    }
    return n;
}

static uint64_t fake_unsent_bytes(const net_t *net, int dst)
{
    (void)net, (void)dst;
    return 0;
}

static void fake_get_start(net_t *net, net_get_t *get)
{
    int status = net_impl_get_check(net, get, net->info.bulk != NET_BULK_NONE);
    if (status != MRAY_OK || get->bytes == 0) net_impl_get_done(net, get, status);
    else net_getq_push(&((fake_net_t *)net)->gets, get);
}

/* Rounds. */

static int fake_poll(net_t *net)
{
    fake_net_t *fake = (fake_net_t *)net;
    list_t taken;
    list_init(&taken);
    pthread_mutex_lock(&fake->world->mutex);
    int n = flush_outbox(fake);
    take_due(fake, &taken);
    fake->n_polls++;
    n += advance_gets(fake);
    pthread_mutex_unlock(&fake->world->mutex);
    for (message_t *message; (message = list_pop(&taken)); n++) {
        net_impl_dispatch(net, message->src, &message->item, message->data);
        free(message);
    }
    return n;
}

static bool fake_busy(const net_t *net)
{
    const fake_net_t *fake = (const fake_net_t *)net;
    return fake->outbox.head || fake->gets.head;
}

/* All ranks arrive, then all go on. The mutex is held. */
static void meet(world_t *world)
{
    uint64_t round = world->round;
    if (++world->n_arrived == world->n_ranks) {
        world->n_arrived = 0;
        world->round++;
        pthread_cond_broadcast(&world->round_ended);
    }
    while (world->round == round) pthread_cond_wait(&world->round_ended, &world->mutex);
}

static int fake_allgather(net_t *net, const void *mine, size_t bytes, void *all)
{
    fake_net_t *fake = (fake_net_t *)net;
    world_t *world = fake->world;
    size_t n_ranks = (size_t)world->n_ranks;
    int status = MRAY_OK;
    pthread_mutex_lock(&world->mutex);
    flush_outbox(fake);
    if (world->n_arrived == 0) {
        unsigned char *more = realloc(world->gathered, bytes * n_ranks + 1);
        if (more) world->gathered = more;
        world->gathered_bytes = more ? bytes : SIZE_MAX;
    }
    assert(world->gathered_bytes == bytes || world->gathered_bytes == SIZE_MAX);
    if (world->gathered_bytes == bytes) memcpy(world->gathered + (size_t)net->info.rank * bytes, mine, bytes);
    meet(world);
    if (world->gathered_bytes == bytes) memcpy(all, world->gathered, bytes * n_ranks);
    else status = base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory to gather %zu bytes from %zu ranks", bytes, n_ranks);
    meet(world);
    pthread_mutex_unlock(&world->mutex);
    return status;
}

static int fake_barrier(net_t *net)
{
    fake_net_t *fake = (fake_net_t *)net;
    pthread_mutex_lock(&fake->world->mutex);
    flush_outbox(fake);
    meet(fake->world);
    pthread_mutex_unlock(&fake->world->mutex);
    return MRAY_OK;
}

static int fake_attach_segment(net_t *net, void *base, uint64_t bytes)
{
    fake_net_t *fake = (fake_net_t *)net;
    if (!net->info.multi_node) return MRAY_OK;
    if (fake->segment) return base_error(MRAY_ERR_INVALID_ARGUMENT, "a segment is attached already");
    pthread_mutex_lock(&fake->world->mutex);
    fake->segment = base;
    fake->segment_bytes = bytes;
    net->info.bulk = net->info.bulk_small = NET_BULK_RMA; /* like it, this needs nothing of the owner */
    pthread_mutex_unlock(&fake->world->mutex);
    return MRAY_OK;
}

/* Open and close. */

static void world_free(world_t *world)
{
    pthread_cond_destroy(&world->round_ended);
    pthread_mutex_destroy(&world->mutex);
    free(world->gathered);
    free(world->node_of_rank);
    free(world->ranks);
    free(world);
}

static void fake_free(fake_net_t *fake)
{
    if (!fake) return;
    list_free(&fake->outbox);
    list_free(&fake->inbox);
    base_map_fini(&fake->untaken_bytes);
    net_impl_fini(&fake->net);
    free(fake);
}

static void fake_close(net_t *net)
{
    fake_net_t *fake = (fake_net_t *)net;
    world_t *world = fake->world;
    pthread_mutex_lock(&world->mutex);
    flush_outbox(fake);
    advance_gets(fake);
    world->ranks[net->info.rank] = NULL;
    bool last = --world->n_open == 0;
    pthread_mutex_unlock(&world->mutex);
    for (net_get_t *get; (get = net_getq_pop(&fake->gets));) net_impl_get_done(net, get, MRAY_ERR_OBJECT_LOST);
    net_impl_run_done(net);
    fake_free(fake);
    if (last) world_free(world);
}

static void fake_abort(net_t *net, int code)
{
    (void)net;
    (void)code; /* net_abort() does it */
}

static const net_ops_t fake_ops = {
    .name = "fake",
    .close = fake_close,
    .abort = fake_abort,
    .allgather = fake_allgather,
    .barrier = fake_barrier,
    .attach_segment = fake_attach_segment,
    .send_reserve = fake_send_reserve,
    .unsent_bytes = fake_unsent_bytes,
    .get_start = fake_get_start,
    .poll = fake_poll,
    .busy = fake_busy,
};

static fake_net_t *fake_create(world_t *world, int rank)
{
    fake_net_t *fake = calloc(1, sizeof *fake);
    if (!fake) return NULL;
    list_init(&fake->outbox);
    list_init(&fake->inbox);
    fake->world = world;
    if (net_impl_init_numbered(&fake->net, &fake_ops, rank, world->n_ranks, world->node_of_rank, world->n_nodes) != MRAY_OK) {
        fake_free(fake);
        return NULL;
    }
    return fake;
}

static world_t *world_create(int n_ranks, const int *node_keys)
{
    world_t *world = calloc(1, sizeof *world);
    if (!world) return NULL;
    world->ranks = calloc((size_t)n_ranks, sizeof(fake_net_t *));
    world->node_of_rank = malloc((size_t)n_ranks * sizeof *world->node_of_rank);
    if (!world->ranks || !world->node_of_rank || net_impl_number_nodes(n_ranks, node_keys, world->node_of_rank, &world->n_nodes) != MRAY_OK) {
        free(world->ranks);
        free(world->node_of_rank);
        free(world);
        return NULL;
    }
    pthread_mutex_init(&world->mutex, NULL);
    pthread_cond_init(&world->round_ended, NULL);
    world->n_ranks = world->n_open = n_ranks;
    return world;
}

int net_open_fake(int n_ranks, const int *node_of_rank, net_t **nets_p)
{
    if (n_ranks < 1) return base_error(MRAY_ERR_INVALID_ARGUMENT, "a network of %d ranks", n_ranks);
    int *one_node = node_of_rank ? NULL : calloc((size_t)n_ranks, sizeof *one_node);
    world_t *world = node_of_rank || one_node ? world_create(n_ranks, node_of_rank ? node_of_rank : one_node) : NULL;
    bool ok = world != NULL;
    for (int r = 0; r < n_ranks && ok; r++) {
        world->ranks[r] = fake_create(world, r);
        ok = world->ranks[r] != NULL;
    }
    free(one_node);
    if (!ok) {
        for (int r = 0; world && r < n_ranks; r++) fake_free(world->ranks[r]);
        if (world) world_free(world);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a network of %d ranks", n_ranks);
    }
    for (int r = 0; r < n_ranks; r++) nets_p[r] = &world->ranks[r]->net;
    return MRAY_OK;
}

/* What tests can do. */

void net_fake_set_delay(net_t *net, int n_polls)
{
    ((fake_net_t *)net)->delay = n_polls;
}

void net_fake_set_get_chunk(net_t *net, uint64_t bytes)
{
    ((fake_net_t *)net)->get_chunk = bytes;
}

void net_fake_set_bulk(net_t *net, net_bulk_t small, net_bulk_t large)
{
    net->info.bulk_small = small;
    net->info.bulk = large;
}

void net_fake_kill(net_t *net)
{
    fake_net_t *fake = (fake_net_t *)net;
    pthread_mutex_lock(&fake->world->mutex);
    fake->dead = true;
    fake->segment = NULL;
    pthread_mutex_unlock(&fake->world->mutex);
}
