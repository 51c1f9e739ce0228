/* timeline.c: clocks, gathering, the file. */
#include "timeline.h"

#include "error.h"
#include "log.h"
#include "lost.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum {
    SAY_PING = 1, /* rank 0: what is your clock? */
    SAY_PONG,     /* value: this */
    SAY_GO,       /* rank 0: clocks are compared */
    SAY_RANK,     /* a rank, and the name of its host behind the message */
    SAY_TASKS,    /* n events of an endpoint behind the message */
    SAY_DONE,     /* a node has told all, of n ranks; value: events lost there */
} say_t;

typedef struct {
    uint32_t say, rank, tid;
    uint16_t n;
    uint8_t first; /* the first events of this endpoint */
    uint8_t kinds; /* bit per record_kind_t that occurs among its events */
    uint64_t value;
} message_t;

enum {
    ROUND_TRIPS = 8,
    CHUNK = 800, /* events a message */
    BUFFER_BYTES = 1 << 20,
    MAX_HOST = 256,
};
_Static_assert(sizeof(message_t) + CHUNK * sizeof(trace_event_t) <= NET_MAX_ITEM_BYTES, "a chunk fits a message");

static const uint64_t LAST_TASKS_NS = 1000000000;
static timeline_t *current; /* for the handler */

/* ---- the file ---- */

/* A second session of the process with the same setting must not overwrite what the first one wrote. */
static struct {
    char *setting;
    unsigned n; /* files written for it */
} written;

static char *name_of_session(const char *setting)
{
    char *name = NULL;
    bool again = written.setting != NULL && strcmp(written.setting, setting) == 0;
    if ((again ? asprintf(&name, "%s.%u", setting, written.n + 1) : asprintf(&name, "%s", setting)) < 0) return NULL;
    return name;
}

static void note_written(timeline_t *t)
{
    if (written.setting == NULL || strcmp(written.setting, t->setting) != 0) {
        free(written.setting);
        written.setting = t->setting;
        t->setting = NULL;
        written.n = 0;
    }
    written.n++;
}

int timeline_open(timeline_t *t, const char *setting, int n_nodes)
{
    *t = (timeline_t){.on = true, .fd = -1, .origin_ns = base_clock_ns()};
    t->path = name_of_session(setting);
    t->setting = strdup(setting);
    for (int i = 0; i < 2; i++) t->offsets[i] = calloc((size_t)n_nodes, sizeof *t->offsets[i]);
    if (t->path == NULL || t->setting == NULL || t->offsets[0] == NULL || t->offsets[1] == NULL) {
        timeline_close(t);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the timeline's file");
    }
    /* An older file is cut when there is something to put in its place. */
    t->fd = open(t->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (t->fd >= 0) return MRAY_OK;
    int status = base_error_errno(MRAY_ERR_INVALID_ARGUMENT, "MRAY_TRACE=%.200s is not possible on rank 0; possible: a file in a folder that exists and may be "
                                  "written to", t->path);
    timeline_close(t);
    return status;
}

void timeline_close(timeline_t *t)
{
    if (t->fd >= 0 && t->path != NULL) close(t->fd);
    free(t->path);
    free(t->setting);
    for (int i = 0; i < 2; i++) free(t->offsets[i]);
    *t = (timeline_t){.fd = -1};
    if (current == t) current = NULL;
}

/* ---- messages ---- */

static const net_info_t *info_of(const timeline_t *t)
{
    return net_info(t->agent->net);
}

static void say(timeline_t *t, int rank, const message_t *message, const void *more, size_t more_bytes)
{
    uint8_t bytes[NET_MAX_ITEM_BYTES];
    memcpy(bytes, message, sizeof *message);
    if (more_bytes > 0) memcpy(bytes + sizeof *message, more, more_bytes);
    pthread_mutex_lock(&t->agent->lock);
    agent_send(t->agent, rank, CONTROL_TIMELINE, bytes, (uint32_t)(sizeof *message + more_bytes));
    pthread_mutex_unlock(&t->agent->lock);
}

static void poll(timeline_t *t)
{
    pthread_mutex_lock(&t->agent->lock);
    int n = net_poll(t->agent->net);
    pthread_mutex_unlock(&t->agent->lock);
    if (n == 0) sched_yield();
}

/* ---- clocks ---- */

static int first_rank_of_node(const net_info_t *info, int node)
{
    int rank = 0;
    while (info->node_of_rank[rank] != node) rank++;
    return rank;
}

static timeline_offset_t compare_clock(timeline_t *t, int rank)
{
    timeline_offset_t best = {.error_ns = INT64_MAX};
    for (int i = 0; i < ROUND_TRIPS; i++) {
        t->pong_ns = 0;
        uint64_t before = base_clock_ns();
        say(t, rank, &(message_t){.say = SAY_PING}, NULL, 0);
        while (t->pong_ns == 0) poll(t);
        int64_t round_trip = (int64_t)(base_clock_ns() - before);
        if (round_trip / 2 >= best.error_ns) continue;
        best = (timeline_offset_t){.ahead_ns = (int64_t)(t->pong_ns - before) - round_trip / 2, .error_ns = round_trip / 2, .at_ns = t->pong_ns};
    }
    return best;
}

/* when: 0 at the start, 1 at the end. */
static void compare_clocks(timeline_t *t, int when)
{
    const net_info_t *info = info_of(t);
    if (!info->multi_node) return;
    if (info->rank == 0) {
        for (int node = 1; node < info->n_nodes; node++) t->offsets[when][node] = compare_clock(t, first_rank_of_node(info, node));
        for (int node = 1; node < info->n_nodes; node++) say(t, first_rank_of_node(info, node), &(message_t){.say = SAY_GO}, NULL, 0);
    } else if (info->node_rank == 0) {
        t->n_go_awaited++;
        while (t->n_go < t->n_go_awaited) poll(t);
    }
}

/* A time of another host by rank 0's clock. */
static uint64_t own_time(const timeline_t *t, int node, uint64_t ns)
{
    const timeline_offset_t *a = &t->offsets[0][node], *b = &t->offsets[1][node];
    double part = b->at_ns > a->at_ns ? (double)(int64_t)(ns - a->at_ns) / (double)(b->at_ns - a->at_ns) : 0;
    return ns - (uint64_t)(a->ahead_ns + (int64_t)((double)(b->ahead_ns - a->ahead_ns) * part));
}

static uint64_t clock_error_ns(const timeline_t *t)
{
    int64_t most = 0;
    for (int node = 1; node < info_of(t)->n_nodes; node++)
        for (int i = 0; i < 2; i++)
            if (t->offsets[i][node].error_ns > most) most = t->offsets[i][node].error_ns;
    return (uint64_t)most;
}

/* ---- what rank 0 is told, also by itself ---- */

static void take_tasks(timeline_t *t, const message_t *m, const trace_event_t *events)
{
    int rank = (int)m->rank, node = info_of(t)->node_of_rank[rank];
    bool tasks = (m->kinds >> RECORD_TASK & 1) != 0, calls = (m->kinds >> RECORD_METHOD & 1) != 0 || (m->kinds >> RECORD_ACTOR & 1) != 0;
    if (m->first) timeline_json_thread(&t->json, rank, m->tid, tasks && calls ? "worker and actor" : calls ? "actor" : "worker");
    for (unsigned i = 0; i < m->n; i++) {
        trace_event_t event = events[i];
        if (node != 0) {
            event.begin = own_time(t, node, event.begin);
            event.end = own_time(t, node, event.end);
        }
        if (event.status == TRACE_UNFINISHED) event.end = t->end_ns;
        timeline_json_task(&t->json, rank, m->tid, &event);
    }
}

static void answer(agent_t *agent, int rank)
{
    message_t pong = {.say = SAY_PONG, .value = base_clock_ns()};
    agent_send(agent, rank, CONTROL_TIMELINE, &pong, sizeof pong);
}

static void on_message(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    timeline_t *t = current;
    message_t m;
    if (t == NULL || bytes < sizeof m) return;
    memcpy(&m, body, sizeof m);
    const char *more = (const char *)body + sizeof m;
    switch ((say_t)m.say) {
    case SAY_PING: answer(agent, src_rank); break;
    case SAY_PONG: t->pong_ns = m.value; break;
    case SAY_GO: t->n_go++; break;
    case SAY_RANK: timeline_json_process(&t->json, (int)m.rank, more); break;
    case SAY_TASKS: take_tasks(t, &m, (const trace_event_t *)(const void *)more); break;
    case SAY_DONE:
        t->lost += m.value;
        t->n_ranks_told += m.n;
        t->n_done++;
        break;
    }
    t->n_news++;
}

/* ---- what the first rank of a node tells ---- */

static void tell(timeline_t *t, const message_t *m, const void *more, size_t more_bytes)
{
    if (info_of(t)->rank != 0) say(t, 0, m, more, more_bytes);
    else if (m->say == SAY_RANK) timeline_json_process(&t->json, (int)m->rank, more);
    else take_tasks(t, m, more);
}

/* Events lost. */
static uint64_t tell_ring(timeline_t *t, int rank, unsigned index, const trace_ring_t *ring, const base_ticks_mark_t *now)
{
    trace_event_t chunk[CHUNK];
    message_t m = {.say = SAY_TASKS, .rank = (uint32_t)rank, .tid = index, .first = 1};
    trace_reader_t reader;
    trace_event_t event;
    bool approximate;
    trace_read_start(&reader, ring);
    for (trace_reader_t look = reader; trace_read(&look, &event, &approximate);) m.kinds |= (uint8_t)(1u << event.kind);
    while (trace_read(&reader, &event, &approximate)) {
        if (ring->counter) {
            event.begin = base_ticks_ns(&t->start, now, event.begin);
            event.end = base_ticks_ns(&t->start, now, event.end);
        }
        if (approximate) event.kind |= TIMELINE_APPROXIMATE;
        chunk[m.n++] = event;
        if (m.n < CHUNK && reader.next < reader.head) continue;
        tell(t, &m, chunk, m.n * sizeof *chunk);
        m.n = m.first = 0;
    }
    return reader.lost;
}

/* In a session that lost a rank, others of this node may still be ending their workers. */
static bool is_gone(const ep_shared_t *sh, uint64_t deadline_ns)
{
    for (;;) {
        uint32_t state = atomic_load(&sh->state), kind = atomic_load(&sh->kind);
        if (state == EP_UNUSED || state == EP_DEAD) return true;
        if ((kind != EP_KIND_WORKER && kind != EP_KIND_ACTOR) || base_clock_ns() >= deadline_ns) return false;
        usleep(1000);
    }
}

/* All rings of the node; events lost. wait_ns: 0 when all writers are known to be gone. */
static uint64_t tell_node(timeline_t *t, uint64_t wait_ns)
{
    const node_t *node = t->agent->node;
    uint64_t lost = 0, deadline_ns = base_clock_deadline(wait_ns);
    char host[MAX_HOST] = "";
    base_ticks_mark_t now = base_ticks_mark(base_ticks_usable());
    strncpy(host, net_hostname(), sizeof host - 1);
    for (int p = 0; p < node->n_node_ranks; p++) {
        int rank = node->rank_of[p];
        tell(t, &(message_t){.say = SAY_RANK, .rank = (uint32_t)rank}, host, sizeof host);
        for (unsigned i = SEG_EP_MAIN + 1; i < SEG_MAX_EPS; i++) {
            const ep_shared_t *sh = ep_shared_at(node, ep_gid(p, i));
            if (atomic_load(&sh->incarnation) == 0 || (wait_ns > 0 && !is_gone(sh, deadline_ns))) continue;
            trace_ring_t *ring = trace_ring_at(&node->segs[p], i);
            trace_abandon(ring, TRACE_UNFINISHED);
            lost += tell_ring(t, rank, i, ring, &now);
        }
    }
    return lost;
}

/* ---- the session ---- */

void timeline_attach(timeline_t *t, agent_t *agent)
{
    t->agent = agent;
    t->start = base_ticks_mark(base_ticks_usable());
    current = t;
    agent_register(agent, CONTROL_TIMELINE, on_message);
}

void timeline_start(timeline_t *t)
{
    compare_clocks(t, 0);
}

/* One warning for whatever went wrong: the session's work is done, and is not failed for its timeline. */
static void end_file(timeline_t *t, FILE *out)
{
    int error = t->json.error;
    errno = 0;
    if (fclose(out) != 0 && error == 0) error = errno != 0 ? errno : EIO;
    t->fd = -1;
    if (error != 0) {
        log_warn("the timeline in %s is not complete: %s; make room, or set MRAY_TRACE to a file elsewhere", t->path, strerror(error));
        return;
    }
    if (t->lost > 0)
        log_warn("the timeline in %s has the last %llu tasks of each worker at most; %llu older ones are lost; raise MRAY_TRACE_EVENTS", t->path,
                 (unsigned long long)t->agent->ep->seg->hdr->trace_slots, (unsigned long long)t->lost);
    log_info("the timeline of %llu tasks is in %s", (unsigned long long)t->json.n_events, t->path);
}

/* Nodes whose first rank was not lost. */
static int nodes_to_come(const timeline_t *t)
{
    const net_info_t *info = info_of(t);
    int n = 0;
    for (int node = 1; node < info->n_nodes; node++) n += !lost_is(t->agent, first_rank_of_node(info, node));
    return n;
}

/* From a session that lost a rank, others may go as well: it is waited as long as there is news. */
static void await_nodes(timeline_t *t, bool broken)
{
    uint64_t n_news = 0, deadline_ns = 0;
    while (t->n_done < nodes_to_come(t)) {
        if (t->n_news != n_news || deadline_ns == 0) deadline_ns = base_clock_deadline(2 * LAST_TASKS_NS);
        if (broken && base_clock_ns() >= deadline_ns) return;
        n_news = t->n_news;
        poll(t);
    }
}

static void write_file(timeline_t *t, bool broken)
{
    const net_info_t *info = info_of(t);
    (void)!ftruncate(t->fd, 0); /* a pipe or a device has nothing to cut */
    FILE *out = fdopen(t->fd, "w");
    note_written(t);
    if (out == NULL) {
        log_warn("no memory to write the timeline");
        return;
    }
    (void)setvbuf(out, NULL, _IOFBF, BUFFER_BYTES);
    timeline_json_begin(&t->json, out, t->origin_ns);
    t->end_ns = base_clock_ns();
    if (!broken) compare_clocks(t, 1);
    t->lost += tell_node(t, broken ? LAST_TASKS_NS : 0);
    await_nodes(t, broken);
    timeline_json_session(&t->json, SEG_EP_MAIN, t->origin_ns, t->end_ns);
    timeline_facts_t facts = {.n_ranks = info->n_ranks, .n_hosts = info->n_nodes, .lost = t->lost, .end_ns = t->end_ns, .clock_error_ns = clock_error_ns(t),
                              .n_ranks_missing = (unsigned)(info->n_ranks - info->n_node_ranks) - t->n_ranks_told};
    timeline_json_end(&t->json, &facts);
    if (facts.n_ranks_missing > 0) log_warn("the timeline in %s lacks the tasks of %u ranks, since a rank was lost", t->path, facts.n_ranks_missing);
    end_file(t, out);
}

void timeline_finish(timeline_t *t, bool broken)
{
    if (!t->on) return;
    const net_info_t *info = info_of(t);
    if (info->rank == 0) {
        write_file(t, broken);
    } else if (info->node_rank == 0) {
        if (!broken) compare_clocks(t, 1);
        uint64_t lost = tell_node(t, broken ? LAST_TASKS_NS : 0);
        say(t, 0, &(message_t){.say = SAY_DONE, .n = (uint16_t)info->n_node_ranks, .value = lost}, NULL, 0);
        /* Without a barrier behind it nothing else sees to it that it is sent. */
        uint64_t deadline_ns = base_clock_deadline(2 * LAST_TASKS_NS);
        while (broken && net_busy(t->agent->net) && base_clock_ns() < deadline_ns) poll(t);
    }
}
