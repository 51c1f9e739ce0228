/* route.c: picking a worker and pushing. */
#include "route.h"

#include "runq.h"
#include "slot.h"
#include "tsan.h"

#include <mray/status.h>

/* Arguments below this travel faster than the choice takes. */
enum { LOCALITY_MIN_BYTES = 32768, ROW = 16, MAX_OWN_DEPTH = 128 };

/* IDLE_WITH_CPU: asleep, and would not take turns with others (route_has_cpu). */
typedef enum { NONE_IDLE, IDLE_ASLEEP, IDLE_WITH_CPU, IDLE_AWAKE } look_t;

static _Thread_local uint32_t turn;
static _Thread_local uint16_t packed_at; /* the last choice: it is busy, and others were left asleep */
static _Thread_local struct {
    uint16_t gid; /* the next `left` tasks go there, too, while it is awake and busy */
    uint8_t left;
    bool packed; /* others were left asleep; else it was the only one */
} row;

static _Thread_local struct {
    uint32_t begun; /* n_taken then: the same task still runs */
    unsigned n;     /* tasks that it has fired at busy workers' queues */
} burst;

static uint16_t first_of(uint64_t mask, int place, unsigned w)
{
    return ep_gid(place, w * 64 + (unsigned)__builtin_ctzll(mask));
}

/* Of 64 endpoints of the rank at place those that are idle workers. */
static uint64_t idle_of(const seg_header_t *h, int place, unsigned w, uint16_t exclude)
{
    uint64_t idle = atomic_load_explicit(&h->idle_mask[w], memory_order_relaxed);
    if (idle != 0) idle &= atomic_load_explicit(&h->worker_mask[w], memory_order_relaxed);
    if (idle != 0 && exclude >> 8 == place && (exclude & 0xff) / 64 == w) idle &= ~(1ull << (exclude & 63));
    return idle;
}

/* Of a rank's idle workers those that are awake, if any are: a wake takes longer than a far cache. Of these those that share a cache with ep. */
static uint64_t best_of(const ep_t *ep, int place, unsigned w, uint64_t idle)
{
    const seg_header_t *h = ep->node->segs[place].hdr;
    int group = place == ep->node->node_rank ? atomic_load_explicit(&ep->sh->group, memory_order_relaxed) : -1;
    uint64_t awake = idle & atomic_load_explicit(&h->awake_mask[w], memory_order_relaxed);
    if (awake != 0) idle = awake;
    uint64_t near = group >= 0 ? idle & atomic_load_explicit(&h->group_mask[group][w], memory_order_relaxed) : 0;
    return near != 0 ? near : idle;
}

/* An idle worker of the rank at place, awake ones before sleeping ones, near ones before others; takes its idle bit so that the next
 * submission looks elsewhere, and counts one that is about to be woken among the awake. */
static uint16_t take_idle(const ep_t *ep, int place, uint16_t exclude)
{
    seg_header_t *h = ep->node->segs[place].hdr;
    for (unsigned w = 0; w < SEG_MASK_WORDS; w++) {
        uint64_t idle = idle_of(h, place, w, exclude);
        while (idle != 0) {
            uint16_t gid = first_of(best_of(ep, place, w, idle), place, w);
            uint64_t bit = 1ull << (gid & 63);
            idle &= ~bit;
            if ((atomic_fetch_and_explicit(&h->idle_mask[w], ~bit, memory_order_relaxed) & bit) == 0) continue;
            if (!ep_mask_has(h->awake_mask, gid)) {
                ep_mask_set(h->awake_mask, gid);
                if (!ep_mask_has(h->open_mask, gid)) ep_mask_clear(h->awake_mask, gid); /* it died: its agent clears this bit after that one */
            }
            return gid;
        }
    }
    return 0;
}

/* Threads of a rank that are awake, without its agent, which is soon asleep again. */
static int count_awake(const seg_header_t *h)
{
    uint64_t first = atomic_load_explicit(&h->awake_mask[0], memory_order_relaxed);
    return ep_mask_count(h->awake_mask) - (int)(first >> SEG_EP_AGENT & 1);
}

static bool cores_left(const seg_header_t *h, int beside)
{
    return count_awake(h) - beside < (int)atomic_load_explicit(&h->n_cores, memory_order_relaxed);
}

static bool cpus_left(const node_t *node, int beside)
{
    int n = -beside;
    for (int place = 0; place < node->n_node_ranks; place++) n += count_awake(node->segs[place].hdr);
    return n < node->n_cpus;
}

bool route_has_cpu(const node_t *node, uint16_t gid)
{
    seg_header_t *h = node->segs[gid >> 8].hdr;
    int itself = ep_mask_has(h->awake_mask, gid);
    return ep_mask_has(h->bound_mask, gid) ? cores_left(h, itself) : cpus_left(node, itself);
}

/* The best that take_idle() would find there. */
static look_t look_for_idle(const node_t *node, int place, uint16_t exclude)
{
    const seg_header_t *h = node->segs[place].hdr;
    uint64_t any = 0, bound = 0, unbound = 0;
    for (unsigned w = 0; w < SEG_MASK_WORDS; w++) any |= atomic_load_explicit(&h->idle_mask[w], memory_order_relaxed);
    if (any == 0) return NONE_IDLE;
    for (unsigned w = 0; w < SEG_MASK_WORDS; w++) {
        uint64_t idle = idle_of(h, place, w, exclude), have_core = atomic_load_explicit(&h->bound_mask[w], memory_order_relaxed);
        if ((idle & atomic_load_explicit(&h->awake_mask[w], memory_order_relaxed)) != 0) return IDLE_AWAKE;
        bound |= idle & have_core;
        unbound |= idle & ~have_core;
    }
    if ((bound != 0 && cores_left(h, 0)) || (unbound != 0 && cpus_left(node, 0))) return IDLE_WITH_CPU;
    return (bound | unbound) != 0 ? IDLE_ASLEEP : NONE_IDLE;
}

static bool leased(const uint64_t *leases, int place)
{
    return leases[place / 64] >> (place & 63) & 1;
}

/* The workers of the leased ranks of the node in turn; only those that are awake, if so wanted. */
static uint16_t next_worker(const node_t *node, const uint64_t *leases, bool awake, uint16_t exclude)
{
    int n = node->n_node_ranks;
    for (int i = 0; i <= n; i++) {
        int place = (int)(turn >> 8) % n;
        unsigned from = turn & 0xff;
        const seg_header_t *h = node->segs[place].hdr;
        for (unsigned w = from / 64; leased(leases, place) && w < SEG_MASK_WORDS; w++) {
            uint64_t m = atomic_load_explicit(&h->worker_mask[w], memory_order_relaxed);
            if (w == from / 64) m &= ~0ull << from % 64;
            if (exclude >> 8 == place && (exclude & 0xff) / 64 == w) m &= ~(1ull << (exclude & 63));
            if (m != 0 && awake) m &= atomic_load_explicit(&h->awake_mask[w], memory_order_relaxed);
            if (m == 0) continue;
            uint16_t gid = first_of(m, place, w);
            turn = (gid & 0xff) == SEG_MAX_EPS - 1 ? (uint32_t)(place + 1) << 8 : (uint32_t)gid + 1;
            return gid;
        }
        turn = (uint32_t)((place + 1) % n) << 8;
    }
    return 0;
}

/* Place on the node whose arena holds most bytes of the by-value arguments; -1 where it does not matter. */
static int place_of_arguments(ep_t *ep, const record_t *rec)
{
    uint64_t bytes[NODE_MAX_RANKS];
    uint16_t held = atomic_load_explicit(&rec->held, memory_order_relaxed);
    int best = -1;
    for (unsigned i = 0; i < rec->n_refs; i++) {
        if (((rec->by_value & held) >> i & 1) == 0) continue;
        const slot_t *slot = slot_at(ep, slot_guess(ep, record_ref(ep, (record_t *)(uintptr_t)rec, i)->ref));
        if (!slot_is_ready(slot) || slot->kind != SLOT_KIND_PAYLOAD || slot->bytes < LOCALITY_MIN_BYTES) continue;
        int place = ep->node->node_rank_of[slot->u.where.rank];
        if (place < 0) continue;
        if (best < 0)
            for (int p = 0; p < ep->node->n_node_ranks; p++) bytes[p] = 0;
        bytes[place] += slot->bytes;
        if (best < 0 || bytes[place] > bytes[best]) best = place;
    }
    return best;
}

/* The same without the look at the arguments where there is no choice. */
static int place_near(ep_t *ep, const record_t *rec)
{
    return rec->n_refs > 0 && ep->node->n_node_ranks > 1 ? place_of_arguments(ep, rec) : -1;
}

/* The leases under which record rid runs; false when there are none. */
static bool leases_of(const node_t *node, rid_t rid, uint64_t *leases)
{
    seg_header_t *home = node->segs[rid >> 24].hdr;
    uint64_t any = 0;
    for (int w = 0; w < SEG_MASK_WORDS; w++) any |= leases[w] = atomic_load_explicit(&home->lease_mask[w], memory_order_relaxed);
    if (any != 0 && atomic_load_explicit(&home->lease_used, memory_order_relaxed) == 0)
        atomic_store_explicit(&home->lease_used, 1, memory_order_relaxed);
    return any != 0;
}

/* An idle worker: at place `near` if it is not -1, of leased ranks before others, awake before asleep, near before far. None is woken while there is no CPU
 * for it. *left_p, if none is returned: one sleeps on. */
static uint16_t pick_idle(const ep_t *ep, const uint64_t *leases, int near, uint16_t exclude, bool *left_p)
{
    const node_t *node = ep->node;
    look_t best[2] = {NONE_IDLE, NONE_IDLE}; /* by: is it leased? */
    int at[2] = {0, 0};
    uint16_t gid = near >= 0 && look_for_idle(node, near, exclude) > IDLE_ASLEEP ? take_idle(ep, near, exclude) : 0;
    if (gid != 0) return gid;
    for (int i = 0; i < node->n_node_ranks; i++) {
        int place = node->node_rank + i;
        if (place >= node->n_node_ranks) place -= node->n_node_ranks;
        bool with = leased(leases, place);
        if (best[with] == IDLE_AWAKE) continue;
        look_t found = look_for_idle(node, place, exclude);
        if (found == IDLE_AWAKE && with) {
            if ((gid = take_idle(ep, place, exclude)) != 0) return gid;
        } else if (found > best[with]) {
            best[with] = found;
            at[with] = place;
        }
    }
    for (int with = 1; gid == 0 && with >= 0; with--)
        if (best[with] > IDLE_ASLEEP) gid = take_idle(ep, at[with], exclude);
    *left_p = best[1] != NONE_IDLE || best[0] != NONE_IDLE; /* or it was just taken by another */
    return gid;
}

/* All leased workers are busy: the agent may know of others. */
static void tell_shortage(const node_t *node, rid_t rid)
{
    seg_header_t *home = node->segs[rid >> 24].hdr;
    uint32_t listening = 1;
    if (atomic_load_explicit(&home->lease_listen, memory_order_relaxed) == 1 && atomic_compare_exchange_strong(&home->lease_listen, &listening, 2))
        ep_wake(ep_shared_at(node, ep_gid((int)(rid >> 24), SEG_EP_AGENT)));
}

void route_tell_packed(const node_t *node)
{
    seg_header_t *first = node->segs[0].hdr;
    atomic_thread_fence(memory_order_seq_cst); /* the push before the look at `packed`; the agent clears that before it looks at the queues */
    if (atomic_load(&first->packed) == 0 && atomic_exchange(&first->packed, 1) == 0) ep_wake(ep_shared_at(node, ep_gid(0, SEG_EP_AGENT)));
}

/* No worker of a leased rank is awake: then one has to be, CPU or not. */
static uint16_t wake_one(const ep_t *ep, const uint64_t *leases, uint16_t exclude)
{
    uint16_t gid = 0;
    for (int place = 0; gid == 0 && place < ep->node->n_node_ranks; place++)
        if (leased(leases, place)) gid = take_idle(ep, place, exclude);
    return gid != 0 ? gid : next_worker(ep->node, leases, false, exclude);
}

/* One choice holds for the next tasks of this thread, too: the look at all ranks' masks, which their workers change all the time, would cost more than such
 * a task. A long one among them is no harm: a packed node is looked after, and where there is one worker only there is no choice. */
static bool row_goes_on(const node_t *node, const uint64_t *leases)
{
    int place = row.gid >> 8;
    if (row.left == 0 || place >= node->n_node_ranks || !leased(leases, place)) return false;
    seg_header_t *h = node->segs[place].hdr;
    row.left--;
    return ep_mask_has(h->worker_mask, row.gid) && ep_mask_has(h->awake_mask, row.gid) && !ep_mask_has(h->idle_mask, row.gid);
}

uint16_t route_pick_worker(ep_t *ep, rid_t rid, const record_t *rec, uint16_t exclude)
{
    const node_t *node = ep->node;
    uint64_t leases[SEG_MASK_WORDS];
    bool left = false;
    packed_at = 0;
    if (!leases_of(node, rid, leases)) return 0;
    int near = place_near(ep, rec);
    if (near < 0 && exclude == 0 && row_goes_on(node, leases)) {
        if (row.packed) packed_at = row.gid;
        tell_shortage(node, rid);
        return row.gid;
    }
    uint16_t gid = pick_idle(ep, leases, near, exclude, &left);
    if (gid != 0) return gid;
    tell_shortage(node, rid); /* of workers, or of CPUs: other nodes may have some */
    gid = next_worker(node, leases, true, exclude);
    if (gid == 0) return wake_one(ep, leases, exclude);
    if (left) packed_at = gid;
    row.left = left || gid == row.gid ? ROW : 0;
    row.packed = left;
    return row.gid = gid;
}

uint16_t route_pick_idle(ep_t *ep, uint16_t exclude)
{
    for (int i = 0; i < ep->node->n_node_ranks; i++) {
        uint16_t gid = take_idle(ep, i, exclude);
        if (gid != 0) return gid;
    }
    return 0;
}

void route_unpick(const node_t *node, uint16_t gid)
{
    if (gid != 0) ep_wake(ep_shared_at(node, gid));
}

uint16_t route_pick_own(ep_t *ep, uint16_t exclude)
{
    const node_t *node = ep->node;
    uint64_t own[SEG_MASK_WORDS] = {0};
    own[node->node_rank / 64] = 1ull << (node->node_rank & 63);
    uint16_t gid = take_idle(ep, node->node_rank, exclude);
    return gid != 0 ? gid : next_worker(node, own, false, exclude);
}

/* With the record go its holds: whoever has it next may drop the last one of an object that this thread has looked at. */
static void give_arguments(ep_t *ep, record_t *rec)
{
    uint16_t held = BASE_TSAN ? atomic_load_explicit(&rec->held, memory_order_relaxed) : 0;
    for (unsigned i = 0; held != 0 && i < rec->n_refs; i++) {
        sid_t sid;
        if ((held >> i & 1) != 0 && slot_find(ep, record_ref(ep, rec, i)->ref, &sid) == MRAY_OK && sid != 0) base_tsan_gives(&slot_at(ep, sid)->rc);
    }
}

bool route_push(ep_t *ep, rid_t rid, record_t *rec, uint16_t target)
{
    rec->target = target;
    give_arguments(ep, rec);
    ep_shared_t *to = ep_shared_at(ep->node, target);
    uint64_t word = atomic_load_explicit(&rec->word, memory_order_relaxed);
    /* Immortal endpoints journal a push, too: the agent of a dying target must not take a record whose pusher is about to see
     * the closed inbox. */
    atomic_store_explicit(&ep->sh->journal.push, rid | (uint64_t)record_word_gen(word) << 32, memory_order_release);
    /* WAITING -> QUEUED decides between the endpoint that cleared the last bit and an agent that finishes for a dead one. */
    bool mine = record_word_state(word) == RECORD_WAITING
                    ? atomic_compare_exchange_strong(&rec->word, &word, record_word(RECORD_QUEUED, target, record_word_gen(word)))
                    : (atomic_store_explicit(&rec->word, record_word(RECORD_QUEUED, target, record_word_gen(word)), memory_order_release), true);
    bool open = true;
    if (mine) {
        if (target == ep->gid && (atomic_load_explicit(&to->kind, memory_order_relaxed) == EP_KIND_WORKER))
            runq_push_self(ep, rid);
        else
            open = ep_inbox_push(ep->node, to, rid);
    }
    if (open) atomic_store_explicit(&ep->sh->journal.push, 0, memory_order_release); /* else the next push replaces it */
    if (open) ep_wake(to); /* also where another has the record: the choice took its idle bit, which it sets again */
    if (target == packed_at) route_tell_packed(ep->node);
    /* Not taken: it was QUEUED for a moment, so somebody may have claimed it to run it inline; then there is nothing left to do. */
    return open || !runq_take_over(ep, rid, target);
}

static bool is_worker(const ep_t *ep)
{
    return atomic_load_explicit(&ep->sh->kind, memory_order_relaxed) == EP_KIND_WORKER && ep_mask_has(ep->seg->hdr->worker_mask, ep->gid);
}

/* The endpoint in whose cache most by-value arguments lie: that has a slot's line which changed its holds last. By a majority vote (Boyer and Moore,
 * "MJRTY: a fast majority vote algorithm", 1991), which names some candidate where there is no majority. A slot without a mark counts for ep, which
 * has just completed one and marks it only behind this. */
static uint16_t who_has_arguments(const ep_t *ep, record_t *rec)
{
    uint16_t best = ep->gid;
    unsigned lead = 0;
    for (uint32_t held = atomic_load_explicit(&rec->held, memory_order_relaxed) & rec->by_value; held != 0; held &= held - 1) {
        const slot_t *slot = slot_at(ep, slot_guess(ep, record_ref(ep, rec, (unsigned)__builtin_ctz(held))->ref));
        uint16_t writer = slot_rc_writer(atomic_load_explicit(&slot->rc, memory_order_relaxed));
        if (writer == 0) writer = ep->gid;
        if (lead == 0) best = writer;
        lead = writer == best ? lead + 1 : lead - 1;
    }
    return best;
}

/* Too many wait here already: in the lanes and the batch, or in the inbox, which the depth takes for one, from the task that runs. */
static bool queue_is_long(const ep_t *ep, unsigned depth)
{
    uint32_t begun = atomic_load_explicit(&ep->sh->n_taken, memory_order_relaxed);
    if (burst.begun != begun) burst.n = 0;
    burst.begun = begun;
    return depth > MAX_OWN_DEPTH || burst.n++ >= MAX_OWN_DEPTH;
}

/* For a task that ep, a worker, has made ready. With nothing else to do it runs it next: the result it reads is in its cache. Else an idle one takes it.
 * While all are busy it goes where its arguments are, so that each worker keeps its part of a graph and the parts meet at their edges only; were
 * it kept, who is behind would take more at every edge. A long queue is shared out in turn. */
static uint16_t pick_for_fired(ep_t *ep, rid_t rid, record_t *rec)
{
    const node_t *node = ep->node;
    uint64_t leases[SEG_MASK_WORDS];
    bool left = false;
    unsigned depth = runq_depth(ep->sh);
    packed_at = 0;
    if (depth == 0) return ep->gid;
    if (queue_is_long(ep, depth) || !leases_of(node, rid, leases) || !leased(leases, node->node_rank)) return route_pick_worker(ep, rid, rec, 0);
    uint16_t gid = pick_idle(ep, leases, place_near(ep, rec), 0, &left);
    if (gid != 0) return gid;
    tell_shortage(node, rid);
    gid = who_has_arguments(ep, rec);
    seg_header_t *h = gid >> 8 < node->n_node_ranks && leased(leases, gid >> 8) ? node->segs[gid >> 8].hdr : NULL;
    if (h == NULL || !ep_mask_has(h->worker_mask, gid) || !ep_mask_has(h->awake_mask, gid)) gid = ep->gid;
    if (left) packed_at = gid;
    return gid;
}

static bool has_value_elsewhere(const ep_t *ep, record_t *rec)
{
    for (unsigned i = 0; i < rec->n_refs; i++) {
        sid_t sid;
        if ((rec->by_value >> i & 1) != 0 && slot_find(ep, record_ref(ep, rec, i)->ref, &sid) == MRAY_OK && sid != 0 &&
            slot_at(ep, sid)->kind == SLOT_KIND_REMOTE)
            return true;
    }
    return false;
}

static void hand_on(ep_t *ep, rid_t rid, record_t *rec, bool fired)
{
    /* A mortal endpoint pushes only to its own agent, which alone can say after its death whether the push took place. */
    uint16_t agent = ep_gid(ep->node->node_rank, SEG_EP_AGENT), target = agent;
    if (ep->node->multi_node && rec->kind != RECORD_NOTIFY && has_value_elsewhere(ep, rec)) {
        target = agent; /* which fetches it, or sends the task there */
    } else if (record_is_plain(rec) && rec->actor == 0) {
        target = fired && is_worker(ep) ? pick_for_fired(ep, rid, rec) : route_pick_worker(ep, rid, rec, 0);
        if (target == 0) target = agent;
    } else if ((rec->kind == RECORD_METHOD || rec->kind == RECORD_ACTOR) && rec->target != 0 && ep_shared_at(ep->node, rec->target)->actor == rec->actor) {
        target = rec->target; /* the actor's endpoint, on this node, and not somebody who came after it */
    }
    if (!route_push(ep, rid, rec, target)) (void)route_push(ep, rid, rec, agent); /* agents' inboxes are always open */
}

void route_ready(ep_t *ep, rid_t rid)
{
    record_t *rec = record_at(ep, rid);
    uint64_t word = atomic_load_explicit(&rec->word, memory_order_acquire);
    bool fired = record_word_state(word) == RECORD_WAITING;
    /* QUEUED and MOVING are another's: whoever made it so pushes it, or its agent does. */
    if (fired || record_word_state(word) == RECORD_BUILDING) hand_on(ep, rid, rec, fired);
}

void route_requeue(ep_t *ep, rid_t rid)
{
    record_t *rec = record_at(ep, rid);
    /* What a task of another shape takes is counted where it was to run: by that agent alone (exec/shapes.c). */
    if (rec->kind == RECORD_TASK && rec->shape != 0 && rec->target != 0)
        (void)route_push(ep, rid, rec, ep_gid(rec->target >> 8, SEG_EP_AGENT));
    else
        hand_on(ep, rid, rec, false);
}

int route_control(ep_t *ep, uint16_t agent_gid, uint32_t type, const void *body, uint32_t bytes)
{
    record_t *rec;
    rid_t rid = record_alloc(ep, 0, bytes, &rec);
    if (rid == 0) return MRAY_ERR_LIMIT;
    record_set(rec, kind, RECORD_CONTROL);
    record_set(rec, fn, type);
    record_write(ep, rec, 0, body, bytes);
    (void)route_push(ep, rid, rec, agent_gid);
    return MRAY_OK;
}
