/* wait.c: look, help, spin, sleep. */
#include "wait.h"

#include "balance.h"
#include "clock.h"
#include "cycle.h"
#include "error.h"
#include "futex.h"
#include "producer.h"
#include "run.h"
#include "runq.h"
#include "worker.h"

enum {
    SPIN_TURNS = 2000,
    MAX_INLINE_DEPTH = 64, /* tasks stacked on one worker's stack by waiting */
    MAX_SEARCH_DEPTH = 16, /* arguments of arguments looked at for something to run */
};

static const wait_progress_t *progress;

void wait_set_progress(const wait_progress_t *table)
{
    progress = table;
}

/* What runs inside a get shares the fate of the process: if it crashes, so does the task that waits. That one is then run again without
 * being blamed (recover.c), and waits without helping, so that it sees the crash as a result. Hence only a task that may run again helps,
 * and only in its first attempt. */
static bool may_help(const ep_t *ep)
{
    uint32_t kind = atomic_load_explicit(&ep->sh->kind, memory_order_relaxed);
    if (kind != EP_KIND_WORKER || run_current == NULL) return false;
    if (ep->mortal && (run_current->rec->retries_left == 0 || run_current->rec->attempt > 0)) return false;
    int depth = 0;
    for (const run_context_t *c = run_current; c != NULL; c = c->outer) depth++;
    return depth < MAX_INLINE_DEPTH;
}

/* If the task that makes this object has not begun, run it here; if it waits for arguments, look at those. Before it runs, a worker that was
 * said to be blocked goes on: what runs may block and go on in a wait of its own, and leaves the worker as it found it. */
static bool help(ep_t *ep, sid_t sid, int depth, bool *blocked)
{
    producer_t p;
    if (!producer_find(ep, sid, &p) || !p.plain) return false;
    if (record_word_state(p.seen.word) == RECORD_QUEUED) {
        if (!runq_claim_inline(ep, p.rec, p.seen.word)) return false;
        if (*blocked) worker_unblock(ep);
        *blocked = false;
        (void)run_record(ep, p.rid, p.rec, NULL);
        return true;
    }
    if (record_word_state(p.seen.word) != RECORD_WAITING || depth == 0) return false;
    for (unsigned i = 0; i < p.n_refs; i++) {
        sid_t arg;
        if ((p.seen.pending >> i & 1) == 0 || slot_find(ep, p.seen.refs[i], &arg) != 0 || arg == 0) continue;
        if (help(ep, arg, depth - 1, blocked)) return true;
    }
    return false;
}

static size_t count_ready(const ep_t *ep, const sid_t *sids, size_t n, size_t need)
{
    size_t ready = 0;
    for (size_t i = 0; i < n && ready < need; i++) ready += slot_is_ready(slot_at(ep, sids[i]));
    return ready;
}

static bool help_with_any(ep_t *ep, const sid_t *sids, size_t n, bool *blocked)
{
    for (size_t i = 0; i < n; i++)
        if (help(ep, sids[i], MAX_SEARCH_DEPTH, blocked)) return true;
    return false;
}

/* Ask every slot for a wake-up; true if enough are ready by now. */
static bool watch_all(ep_t *ep, const sid_t *sids, size_t n, size_t need)
{
    size_t ready = 0;
    for (size_t i = 0; i < n; i++)
        if (!slot_watch(ep, slot_at(ep, sids[i])) && ++ready >= need) return true;
    return false;
}

/* An actor that is to end, in a thread: what it waits for does not keep it. */
static bool is_called_off(const ep_t *ep)
{
    return atomic_load(&ep->sh->kind) == EP_KIND_ACTOR && (atomic_load(&ep->sh->actor_end) != 0 || atomic_load(&ep->seg->hdr->stop) != 0);
}

/* A call to this very actor stays as it is while the actor waits, since nobody else runs it. */
static bool is_call_to_self(const ep_t *ep, const producer_t *p)
{
    record_tail_t tail;
    return p->seen.actor == atomic_load(&ep->sh->actor) && record_peek_tail(ep, p->rid, &p->seen, &tail) && tail.actor_rank == (uint32_t)ep->node->rank;
}

/* Is the record that makes slot sid a call to this very actor, or one that waits for such a call? */
static bool waits_for_itself(const ep_t *ep, sid_t sid, int depth)
{
    producer_t p;
    if (!producer_find(ep, sid, &p)) return false;
    if (p.seen.kind == RECORD_METHOD && is_call_to_self(ep, &p)) return true;
    if (record_word_state(p.seen.word) != RECORD_WAITING || depth == 0) return false;
    for (unsigned i = 0; i < p.n_refs; i++) {
        sid_t arg;
        if ((p.seen.pending >> i & 1) == 0 || slot_find(ep, p.seen.refs[i], &arg) != 0 || arg == 0) continue;
        if (waits_for_itself(ep, arg, depth - 1)) return true;
    }
    return false;
}

int wait_check_cycle(const ep_t *ep, const char *what, const sid_t *sids, size_t n, size_t need)
{
    if (run_current == NULL || run_current->self == NULL || atomic_load_explicit(&ep->sh->kind, memory_order_relaxed) != EP_KIND_ACTOR) return MRAY_OK;
    size_t n_own = 0;
    for (size_t i = 0; i < n; i++) n_own += waits_for_itself(ep, sids[i], MAX_SEARCH_DEPTH);
    if (n - n_own >= need) return MRAY_OK;
    return base_error(MRAY_ERR_WAIT_CYCLE, "%s: '%s' waits for a call to its own actor, which begins only after it; return the ref instead, or call the function "
                      "itself", what, run_current->function->name);
}

/* Set by the wait that ended last in this thread. */
static _Thread_local bool closed_a_circle;

int wait_failure(const char *what)
{
    if (!closed_a_circle) return MRAY_OK;
    const char *name = run_current != NULL ? run_current->function->name : "a task";
    return base_error(MRAY_ERR_WAIT_CYCLE, "%s: '%s' waits for an object that is made only after '%s' itself has returned: tasks or actors wait for each other "
                      "in a circle; return the ref instead, or make one of the calls without waiting", what, name, name);
}

/* What is not ready of objects that are all waited for. */
static sid_t first_pending(const ep_t *ep, const sid_t *sids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!slot_is_ready(slot_at(ep, sids[i]))) return sids[i];
    return sids[0];
}

static void sleep_once(ep_t *ep, const sid_t *sids, size_t n, size_t need, uint64_t deadline_ns, uint64_t max_sleep_ns, bool worker)
{
    ep_sleep_prepare(ep);
    if (watch_all(ep, sids, n, need) || (worker && !ep_inbox_empty(ep->sh)) || is_called_off(ep)) {
        ep_sleep_cancel(ep);
        return;
    }
    balance_offer_cpu(ep);
    uint64_t now = base_clock_ns(), left = deadline_ns == BASE_FOREVER ? BASE_FOREVER : deadline_ns > now ? deadline_ns - now : 0;
    ep_sleep(ep, left < max_sleep_ns ? left : max_sleep_ns);
}

/* A thread of the program on several nodes. */
static bool is_driving(const ep_t *ep, bool worker, bool actor)
{
    return progress != NULL && !worker && !actor && !ep->mortal;
}

bool wait_may_spin(const ep_t *ep)
{
    uint32_t kind = atomic_load_explicit(&ep->sh->kind, memory_order_relaxed);
    bool worker = kind == EP_KIND_WORKER && run_current != NULL;
    return !worker && !is_driving(ep, worker, kind == EP_KIND_ACTOR) && ep_may_spin(ep);
}

size_t wait_slots(ep_t *ep, const sid_t *sids, size_t n, size_t need, uint64_t deadline_ns)
{
    size_t ready = count_ready(ep, sids, n, need);
    closed_a_circle = false;
    bool circle = false;
    if (ready >= need || deadline_ns == 0) return ready;
    uint32_t kind = atomic_load_explicit(&ep->sh->kind, memory_order_relaxed);
    bool worker = kind == EP_KIND_WORKER && run_current != NULL, actor = kind == EP_KIND_ACTOR;
    bool drives = is_driving(ep, worker, actor), blocked = false;
    bool spin = n == 1 && !drives && ep_may_spin(ep);
    bool circles = run_current != NULL && (worker || actor) && need == n && deadline_ns == BASE_FOREVER;
    cycle_wait_t cycle = {0};
    idle_ladder_t ladder;
    idle_init(&ladder, false);
    for (uint32_t turn = 0;; turn++) {
        if ((ready = count_ready(ep, sids, n, need)) >= need) break;
        if (worker && may_help(ep) && help_with_any(ep, sids, n, &blocked)) continue;
        uint64_t max_sleep_ns = BASE_FOREVER;
        if (drives && progress->turn_fn(ep, &ladder, &max_sleep_ns) && (deadline_ns == BASE_FOREVER || base_clock_ns() < deadline_ns)) continue;
        if (spin && turn < SPIN_TURNS) {
            base_cpu_relax();
            continue;
        }
        if (deadline_ns != BASE_FOREVER && base_clock_ns() >= deadline_ns) break;
        if (actor && is_called_off(ep)) break;
        if (worker && !blocked) {
            worker_block(ep);
            blocked = true;
        } else if (worker && !ep_inbox_empty(ep->sh)) {
            worker_hand_on(ep);
        }
        if (circles && (circle = cycle_look(ep, &cycle, first_pending(ep, sids, n), &max_sleep_ns))) break;
        sleep_once(ep, sids, n, need, deadline_ns, max_sleep_ns, worker);
    }
    if (drives) progress->end_fn(ep);
    cycle_end(ep, &cycle);
    if (blocked) worker_unblock(ep);
    closed_a_circle = circle; /* tasks that ran inside this wait had waits of their own */
    return ready;
}
