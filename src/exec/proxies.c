/* proxies.c: fetching objects of other nodes. All of it runs under the agent's lock. */
#include "proxies.h"

#include "clock.h"
#include "copies.h"
#include "error.h"
#include "log.h"
#include "lost.h"
#include "map.h"
#include "object.h"
#include "patience.h"
#include "remote.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t PROXY_IDLE_NS = 500000000u, SWEEP_NS = 100000000u;
/* Where others want room, what was asked for so lately stays: who asked may be about to hold it. */
static const uint64_t CROWDED_IDLE_NS = 10000000u;
enum { MAX_TORN_READS = 8 };

typedef enum { PROXY_READING_SLOT, PROXY_SUBSCRIBED, PROXY_TAKING_PIECES, PROXY_READING_PAYLOAD, PROXY_DONE } proxy_state_t;

typedef struct proxy {
    proxies_t *all;
    mray_ref ref;
    sid_t sid;
    proxy_state_t state;
    bool holds;         /* the owner was told to hold the object */
    sid_t local;        /* or: the object's slot is on this node, and held */
    int torn_reads;
    uint32_t n_pushed, n_got; /* bytes of the pieces to come, and so far */
    bool reading;       /* `get` is the network's */
    slot_where_t late;  /* reading, though the object is given up: the block it goes to */
    uint64_t done_ns;
    uint64_t patience_ns; /* so long it stays for who may come back */
    net_get_t get;
    _Alignas(SEG_CACHE_LINE) slot_t image;
    struct proxy *next, *prev;
} proxy_t;

struct proxies {
    agent_t *agent;
    base_map_t by_sid; /* the proxies of this rank's agent; the whole node's are in copies.h */
    proxy_t *first;
    uint64_t next_sweep_ns;
    patience_t patience;
    bool walked; /* somebody walks the list and may make objects meanwhile, so nothing is taken out of it */
};

/* ---- fetching ---- */

static proxy_t *find_by_sid(const proxies_t *all, sid_t sid)
{
    uint64_t value;
    return base_map_get(&all->by_sid, base_key64(sid), &value) ? (proxy_t *)(uintptr_t)value : NULL;
}

static void finish(proxy_t *p)
{
    p->state = PROXY_DONE;
    p->done_ns = base_clock_ns();
    object_publish(p->all->agent->ep, p->sid);
}

static void fail(proxy_t *p, int status, const char *text)
{
    object_unstage(p->all->agent->ep, p->sid);
    object_stage_error(p->all->agent->ep, p->sid, status, text);
    finish(p);
}

static void fail_lost(proxy_t *p, int rank)
{
    char text[128];
    int status = lost_error(text, sizeof text, rank);
    fail(p, status, text);
}

static void start_reading(proxy_t *p)
{
    p->reading = true;
    net_get_start(p->all->agent->net, &p->get);
}

/* Another node's rank is given up. What is read from it may still arrive, or be written to, as long as the network has the request; so the block stays. */
void proxies_rank_lost(proxies_t *all, int rank)
{
    all->walked = true;
    for (proxy_t *p = all->first, *next; p != NULL; p = next) {
        next = p->next;
        bool reads_there = p->reading && p->get.src_rank == rank;
        if (p->state == PROXY_DONE || (!reads_there && !((p->state == PROXY_SUBSCRIBED || p->state == PROXY_TAKING_PIECES) && (int)p->ref.rank == rank))) continue;
        slot_t *slot = slot_to_write(all->agent->ep, p->sid);
        if (reads_there && p->state == PROXY_READING_PAYLOAD) {
            p->late = slot->u.where;
            slot_set(slot, kind, SLOT_KIND_NONE);
        }
        fail_lost(p, rank);
    }
    all->walked = false;
}

/* type: SUBSCRIBE or FETCH */
static void subscribe(proxy_t *p, control_type_t type)
{
    wire_subscribe_t body = {.ref = p->ref, .to = slot_ref(p->all->agent->ep, p->sid)};
    p->state = PROXY_SUBSCRIBED;
    agent_send(p->all->agent, (int)p->ref.rank, type, &body, sizeof body);
}

static void finish_payload(proxy_t *p)
{
    slot_t *slot = slot_at(p->all->agent->ep, p->sid);
    slot_set(slot, kind, p->image.kind == SLOT_KIND_ERROR ? SLOT_KIND_ERROR : SLOT_KIND_PAYLOAD);
    slot_set(slot, dtype, p->image.dtype);
    slot_set(slot, ndim, p->image.ndim);
    finish(p);
}

static void on_payload(net_get_t *get, int status)
{
    proxy_t *p = get->user;
    p->reading = false;
    if (p->state == PROXY_DONE) { /* given up meanwhile */
        payload_free(p->all->agent->ep, &p->late);
        return;
    }
    if (status != MRAY_OK) {
        fail(p, MRAY_ERR_OBJECT_LOST, "reading the object from another node failed");
        return;
    }
    finish_payload(p);
}

/* bytes of data and metadata lie at off of rank's segment. */
static void read_payload(proxy_t *p, uint32_t rank, uint64_t off, uint64_t bytes, uint64_t metadata_bytes)
{
    ep_t *ep = p->all->agent->ep;
    slot_t *slot = slot_at(ep, p->sid);
    if (lost_is(p->all->agent, (int)rank)) {
        fail_lost(p, (int)rank);
        return;
    }
    if (payload_alloc(ep, slot, bytes, metadata_bytes, 0) != MRAY_OK) {
        fail(p, MRAY_ERR_OBJECT_STORE_FULL, mray_error_message());
        return;
    }
    p->state = PROXY_READING_PAYLOAD;
    int place = p->all->agent->node->node_rank_of[rank];
    if (place >= 0) { /* a rank of this node keeps it in its own segment, for an owner elsewhere */
        memcpy(payload_at(ep, &slot->u.where), p->all->agent->node->segs[place].ro + off, payload_block_bytes(bytes, metadata_bytes));
        on_payload(&(net_get_t){.user = p}, MRAY_OK);
        return;
    }
    atomic_fetch_add_explicit(&ep->seg->hdr->copies.n_pulled, 1, memory_order_relaxed);
    p->get = (net_get_t){.src_rank = (int)rank, .src_off = off, .dst = payload_at(ep, &slot->u.where), .bytes = payload_block_bytes(bytes, metadata_bytes),
                         .done_fn = on_payload, .user = p};
    start_reading(p);
}

void proxies_take(proxies_t *all, proxies_take_t *take)
{
    const proxy_t *p = find_by_sid(all, take->sid);
    if (p == NULL || p->state != PROXY_READING_PAYLOAD || p->get.bytes_ready <= sizeof(payload_header_t)) return;
    const slot_t *slot = slot_at(all->agent->ep, p->sid);
    bool fits = slot->bytes <= take->max_bytes && p->image.kind != SLOT_KIND_ERROR && p->image.ndim > 0 &&
                (take->dtype == MRAY_BYTES || take->dtype == p->image.dtype);
    if (!fits) return;
    uint64_t ready = p->get.bytes_ready - sizeof(payload_header_t);
    if (ready > slot->bytes) ready = slot->bytes; /* metadata come behind */
    const uint8_t *data = (const uint8_t *)(payload_view(all->agent->ep, &slot->u.where) + 1);
    memcpy((uint8_t *)take->to + take->taken, data + take->taken, ready - take->taken);
    take->taken = ready;
}

/* The slot there is ready: its value, or where its payload is. */
static void use_image(proxy_t *p)
{
    const slot_t *image = &p->image;
    slot_t *slot = slot_to_write(p->all->agent->ep, p->sid);
    if (image->kind == SLOT_KIND_REMOTE) {
        read_payload(p, image->u.where.rank, image->u.where.off, image->bytes, 0);
    } else if (image->kind == SLOT_KIND_PAYLOAD || (image->kind == SLOT_KIND_ERROR && image->bytes != 0)) {
        const slot_where_t *w = &image->u.where;
        read_payload(p, w->rank, p->all->agent->node->arena_off_of[w->rank] + w->off, image->bytes, w->metadata_bytes);
    } else {
        memcpy(slot->u.value, image->u.value, sizeof slot->u.value);
        slot_set(slot, kind, image->kind);
        slot_set(slot, dtype, image->dtype);
        slot_set(slot, ndim, image->ndim);
        slot_set(slot, bytes, image->bytes);
        finish(p);
    }
}

static void read_slot(proxy_t *p);

static void on_slot(net_get_t *get, int status)
{
    proxy_t *p = get->user;
    const slot_t *image = &p->image;
    p->reading = false;
    if (p->state == PROXY_DONE) return; /* given up meanwhile */
    if (status != MRAY_OK) {
        fail(p, MRAY_ERR_OBJECT_LOST, "reading the object's slot from another node failed");
        return;
    }
    bool same = atomic_load(&image->gen) == p->ref.gen && slot_is_ready(image);
    if (same && slot_checksum(image) == atomic_load(&image->mark))
        use_image(p);
    else if (same && ++p->torn_reads < MAX_TORN_READS)
        read_slot(p); /* torn: seen, and repeated */
    else
        subscribe(p, CONTROL_SUBSCRIBE); /* pending, or stale: its owner says which */
}

static void read_slot(proxy_t *p)
{
    p->state = PROXY_READING_SLOT;
    p->get = (net_get_t){.src_rank = (int)p->ref.rank, .src_off = p->all->agent->node->slots_off_of[p->ref.rank] + (uint64_t)p->ref.slot * sizeof(slot_t),
                         .dst = &p->image, .bytes = sizeof(slot_t), .done_fn = on_slot, .user = p};
    start_reading(p);
}

/* ---- the owner's side ---- */

/* If the object is pending: a NOTIFY record that waits for sid; when it fires, remote.c sends what body says. */
static void answer(agent_t *agent, int src_rank, const void *body, bool hold)
{
    wire_subscribe_t ask;
    sid_t sid = 0;
    memcpy(&ask, body, sizeof ask);
    int status = slot_find(agent->ep, ask.ref, &sid);
    wire_object_t image = {.to = ask.to};
    if (status == MRAY_OK && sid != 0) {
        if (hold) slot_change(agent->ep, sid, RC_HOLD);
        if (!slot_is_ready(slot_at(agent->ep, sid))) {
            remote_notify_when_ready(agent->remote, sid, src_rank, CONTROL_READY, ask.to, 0, 0);
            return;
        }
        wire_send_ready(agent, src_rank, sid, &image);
        return;
    }
    image.status = (uint32_t)(status != MRAY_OK ? status : MRAY_ERR_INVALID_REF);
    const char *text = mray_error_message();
    image.n_more = (uint32_t)strlen(text) + 1;
    wire_send_object(agent, src_rank, CONTROL_READY, &image, text);
}

static void on_subscribe(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    (void)bytes;
    answer(agent, src_rank, body, false);
}

static void on_fetch(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    (void)bytes;
    answer(agent, src_rank, body, true);
}

static void expect_pieces(proxy_t *p, const wire_object_t *image)
{
    ep_t *ep = p->all->agent->ep;
    if (payload_alloc(ep, slot_at(ep, p->sid), image->bytes, image->metadata_bytes, 0) != MRAY_OK) {
        fail(p, MRAY_ERR_OBJECT_STORE_FULL, mray_error_message());
        return;
    }
    atomic_fetch_add_explicit(&ep->seg->hdr->copies.n_pulled, 1, memory_order_relaxed);
    p->state = PROXY_TAKING_PIECES;
    p->n_pushed = image->n_pushed;
    p->n_got = 0;
}

static void on_piece(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    wire_piece_t piece = {0};
    sid_t sid;
    memcpy(&piece, body, bytes < sizeof piece ? bytes : sizeof piece);
    if (bytes < sizeof piece || piece.bytes != bytes - sizeof piece) {
        log_error("internal: rank %d sent a piece that is none, in %u bytes", src_rank, bytes);
        return;
    }
    if (slot_find(agent->ep, piece.to, &sid) != MRAY_OK) return;
    proxy_t *p = find_by_sid(agent->proxies, sid);
    if (p == NULL || p->state != PROXY_TAKING_PIECES) return; /* there was no room for it, or it was given up */
    if (piece.off != p->n_got || piece.bytes > p->n_pushed - p->n_got) {
        log_error("internal: rank %d sent %u bytes at %u of an object of which %u of %u are here", src_rank, piece.bytes, piece.off, p->n_got, p->n_pushed);
        return;
    }
    memcpy((uint8_t *)payload_at(agent->ep, &slot_at(agent->ep, sid)->u.where) + piece.off, (const uint8_t *)body + sizeof piece, piece.bytes);
    p->n_got += piece.bytes;
    if (p->n_got == p->n_pushed) finish_payload(p);
}

static void on_ready(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    wire_object_t image = {0};
    sid_t sid;
    memcpy(&image, body, bytes < sizeof image ? bytes : sizeof image);
    if (!wire_is_sound(&image, (const char *)body + sizeof image, bytes)) {
        log_error("internal: rank %d sent an object that is none, in %u bytes", src_rank, bytes);
        return;
    }
    if (slot_find(agent->ep, image.to, &sid) != MRAY_OK) return;
    proxy_t *p = find_by_sid(agent->proxies, sid);
    if (p == NULL || p->state != PROXY_SUBSCRIBED) return;
    if (wire_stage(agent->ep, sid, &image, (const char *)body + sizeof image)) {
        finish(p);
        return;
    }
    p->image.kind = image.kind;
    p->image.dtype = image.dtype;
    p->image.ndim = image.ndim;
    if (image.n_pushed > 0)
        expect_pieces(p, &image);
    else
        read_payload(p, image.data_rank, image.data_off, image.bytes, image.metadata_bytes);
}

/* ---- the table ---- */

/* An object of this node whose payload stayed at another: it is held here, and read from there. */
static void start_local(proxy_t *p)
{
    ep_t *ep = p->all->agent->ep;
    sid_t local;
    if (slot_find(ep, p->ref, &local) != MRAY_OK) {
        fail(p, MRAY_ERR_INVALID_REF, mray_error_message());
        return;
    }
    slot_change(ep, local, RC_HOLD);
    p->local = local;
    memcpy(&p->image, slot_at(ep, local), sizeof p->image);
    use_image(p);
}

static void start_remote(proxy_t *p)
{
    if (lost_is(p->all->agent, (int)p->ref.rank)) {
        fail_lost(p, (int)p->ref.rank);
        return;
    }
    p->holds = true;
    if (net_info(p->all->agent->net)->bulk_small == NET_BULK_PULL) {
        subscribe(p, CONTROL_FETCH);
        return;
    }
    wire_hold_t hold = {.ref = p->ref};
    agent_send(p->all->agent, (int)p->ref.rank, CONTROL_HOLD, &hold, sizeof hold);
    read_slot(p);
}

static proxy_t *make(proxies_t *all, mray_ref ref, sid_t sid)
{
    proxy_t *p = aligned_alloc(SEG_CACHE_LINE, (sizeof *p + SEG_CACHE_LINE - 1) / SEG_CACHE_LINE * SEG_CACHE_LINE);
    if (p == NULL) return NULL;
    memset(p, 0, sizeof *p);
    *p = (proxy_t){.all = all, .ref = ref, .sid = sid, .patience_ns = patience_for(&all->patience, ref, base_clock_ns())};
    if (base_map_put(&all->by_sid, base_key64(sid), (uintptr_t)p) == MRAY_OK) return p;
    free(p);
    return NULL;
}

static void unmake(proxies_t *all, proxy_t *p)
{
    base_map_remove(&all->by_sid, base_key64(p->sid), NULL);
    free(p);
}

sid_t proxies_get(proxies_t *all, mray_ref ref)
{
    ep_t *ep = all->agent->ep;
    sid_t found = copies_find(ep, ref);
    if (found != 0) return found;
    sid_t sid = slot_alloc(ep, 1);
    if (sid == 0 && proxies_make_room(all) > 0) sid = slot_alloc(ep, 1);
    proxy_t *p = sid != 0 ? make(all, ref, sid) : NULL;
    if (p != NULL) found = copies_add(ep, ref, sid);
    if (p != NULL && found == 0 && proxies_make_room(all) > 0) found = copies_add(ep, ref, sid);
    if (p == NULL || found != sid) { /* no room, or another rank of the node was faster */
        if (p != NULL) unmake(all, p);
        if (sid != 0) slot_give_back(ep, sid);
        return found;
    }
    p->next = all->first;
    if (all->first != NULL) all->first->prev = p;
    all->first = p;
    if (all->agent->node->node_rank_of[ref.rank] >= 0)
        start_local(p);
    else
        start_remote(p);
    return sid;
}

static void drop(proxies_t *all, proxy_t *p)
{
    if (p->next != NULL) p->next->prev = p->prev;
    if (p->prev != NULL)
        p->prev->next = p->next;
    else
        all->first = p->next;
    if (p->holds) {
        wire_hold_t hold = {.ref = p->ref};
        agent_send(all->agent, (int)p->ref.rank, CONTROL_DROP, &hold, sizeof hold);
    }
    if (p->local != 0) slot_change(all->agent->ep, p->local, RC_DROP);
    slot_change(all->agent->ep, p->sid, RC_DROP_CREATOR);
    unmake(all, p);
}

/* What is asked for here once more is read once more; but its memory is warm for the next object, which is worth a second read. */
void proxies_released(proxies_t *all, mray_ref ref)
{
    ep_t *ep = all->agent->ep;
    sid_t sid = copies_find(ep, ref);
    if (sid == 0) return;
    proxy_t *p = find_by_sid(all, sid);
    copies_forget_asker(ep, sid);
    slot_change(ep, sid, RC_DROP);
    if (p != NULL && p->state == PROXY_DONE && !p->reading && copies_remove_unused(ep, ref, sid, UINT64_MAX, true)) drop(all, p);
}

/* Its object is of this node, and nothing but the copy holds it any more. */
static bool is_orphan(const proxy_t *p)
{
    if (p->local == 0) return false;
    uint64_t rc = atomic_load_explicit(&slot_at(p->all->agent->ep, p->local)->rc, memory_order_relaxed);
    return (rc & SLOT_RC_HOLDS) == SLOT_RC_ONE;
}

/* Its time is over, or most_ns are: it is out of the table of copies. */
static bool goes(proxies_t *all, const proxy_t *p, uint64_t now, uint64_t most_ns)
{
    ep_t *ep = all->agent->ep;
    bool asked = copies_is_asked(ep, p->sid);
    uint64_t idle_ns = asked ? p->patience_ns : PROXY_IDLE_NS;
    if (is_orphan(p)) most_ns = 0;
    bool hurried = idle_ns > most_ns;
    if (hurried) idle_ns = most_ns;
    uint64_t before_ns = idle_ns == 0 ? UINT64_MAX : now > idle_ns ? now - idle_ns : 0;
    if (p->done_ns >= before_ns || !copies_remove_unused(ep, p->ref, p->sid, before_ns, asked)) return false;
    if (asked && !hurried) patience_note(&all->patience, p->ref, before_ns);
    return true;
}

static int sweep(proxies_t *all, uint64_t now, uint64_t most_ns)
{
    int n = 0;
    if (all->walked) return 0;
    for (proxy_t *p = all->first, *next; p != NULL; p = next) {
        next = p->next;
        if (p->state != PROXY_DONE || p->reading || !goes(all, p, now, most_ns)) continue;
        drop(all, p);
        n++;
    }
    return n;
}

int proxies_make_room(proxies_t *all)
{
    return sweep(all, 0, 0);
}

int proxies_round(proxies_t *all)
{
    _Atomic uint32_t *full = &all->agent->ep->seg->hdr->store_full;
    bool crowded = atomic_load_explicit(full, memory_order_relaxed) != 0;
    if (crowded) atomic_store_explicit(full, 0, memory_order_relaxed);
    if (all->first == NULL) return 0;
    uint64_t now = base_clock_ns();
    if (!crowded && now < all->next_sweep_ns) return 0;
    all->next_sweep_ns = now + SWEEP_NS;
    return sweep(all, now, crowded ? CROWDED_IDLE_NS : UINT64_MAX);
}

int proxies_create(agent_t *agent, proxies_t **proxies_p)
{
    proxies_t *all = calloc(1, sizeof *all);
    if (all == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the table of proxies");
    all->agent = agent;
    base_map_init(&all->by_sid);
    agent_register(agent, CONTROL_SUBSCRIBE, on_subscribe);
    agent_register(agent, CONTROL_FETCH, on_fetch);
    agent_register(agent, CONTROL_READY, on_ready);
    agent_register(agent, CONTROL_PIECE, on_piece);
    *proxies_p = all;
    return MRAY_OK;
}

void proxies_destroy(proxies_t *all)
{
    if (all == NULL) return;
    for (proxy_t *p = all->first, *next; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    base_map_fini(&all->by_sid);
    free(all);
}
