/* session.c: init and finalize.
 *
 *   mray_init       zygote -> net (MPI) -> start            rank 0 returns; the others serve, and wait for the next session
 *   mray_init_comm  net on the caller's communicator -> start   every rank returns
 *   start           programs compared -> cores divided -> segments made and mapped -> agent -> workers -> window -> barrier
 *   finalize        agents told -> workers leave -> everything undone in reverse
 *
 * With mray_init() a second session may follow in the same process, but MPI can be started only once. So after a session the ranks
 * stand by on a fresh communicator: the next thing rank 0 says there is START or EXIT. It says EXIT when the process ends. */
#include "session.h"

#include "clock.h"
#include "crew.h"
#include "drive.h"
#include "error.h"
#include "functions.h"
#include "heartbeat.h"
#include "log.h"
#include "object.h"
#include "standby.h"
#include "upcalls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

session_t *session_now;
static zygote_t *zygote;
static net_t *standby;
/* The network of a session that lost a rank: nothing collective can be done on it any more, nor MPI be ended but by an abort. */
static net_t *broken;

static const uint64_t LAST_WORD_NS = 200000000;

static int say(int status)
{
    if (status != MRAY_OK) log_error("%s", mray_error_message());
    return status;
}

/* A thread's endpoint is given back when the thread ends. */
static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

static void close_thread_endpoint(void *ep)
{
    if (session_now != NULL) ep_close(ep);
}

static void make_thread_key(void)
{
    pthread_key_create(&thread_key, close_thread_endpoint);
}

ep_t *session_new_endpoint(const char *what)
{
    if (session_now == NULL) {
        int ignored = base_error(MRAY_ERR_NOT_INITIALIZED, "%s: mray is not initialised; call mray_init() first, and nothing after mray_finalize()", what);
        (void)ignored;
        return NULL;
    }
    ep_t *ep;
    pthread_once(&thread_key_once, make_thread_key);
    if (ep_open(session_now->node, 0, EP_KIND_USER, false, &ep) != MRAY_OK) return NULL;
    pthread_setspecific(thread_key, ep);
    ep_self = ep;
    return ep;
}

/* MPI may allow the initialising thread only. */
static bool may_drive(const session_t *s, const ep_t *ep)
{
    return ep == s->main_ep || !s->node->multi_node || !net_info(s->net)->one_thread;
}

/* ---- start ---- */

static void undo(session_t *s)
{
    drive_install(NULL);
    if (s->main_ep != NULL) ep_close(s->main_ep);
    ep_self = NULL;
    agent_destroy(s->agent);
    topo_unload(s->topo);
    timeline_close(&s->timeline);
    node_destroy(s->node);
    seg_close_fd(&s->name);
    free(s);
    session_now = NULL;
}

/* The window and reads that are still open go before what they point into. */
static void close_and_undo(session_t *s)
{
    net_close(s->net);
    undo(s);
}

/* Between sessions: a communicator on which rank 0 will say what comes next. */
static void stand_by(void)
{
    if (net_open_world(NULL, NULL, &standby) != MRAY_OK) standby = NULL;
}

static int start_agent(session_t *s)
{
    upcalls_install();
    object_full_wait_ns = s->config.store_full_ms * 1000000u;
    int status = agent_create(s->node, s->net, &s->agent);
    if (status == MRAY_OK) status = heartbeat_create(s->agent, s->config.node_suspect_ms * 1000000u, s->config.node_dead_ms * 1000000u, &s->agent->heartbeat);
    if (status == MRAY_OK) status = ep_open(s->node, SEG_EP_MAIN, EP_KIND_USER, false, &s->main_ep);
    if (status != MRAY_OK) return status;
    ep_self = s->main_ep;
    drive_install(s->agent);
    if (s->timeline.on) timeline_attach(&s->timeline, s->agent);
    return MRAY_OK;
}

/* Every rank comes here; what fails on one rank is told to all, so that none waits for it. */
static int agree(session_t *s, int status)
{
    const net_info_t *info = net_info(s->net);
    struct {
        int32_t status;
        char text[BASE_ERROR_MAX];
    } mine = {.status = status}, *all = calloc((size_t)info->n_ranks, sizeof mine);
    if (status != MRAY_OK) memcpy(mine.text, mray_error_message(), sizeof mine.text - 1);
    if (all == NULL) net_abort(s->net, 1);
    int net_status = net_allgather(s->net, &mine, sizeof mine, all);
    for (int r = 0; net_status == MRAY_OK && r < info->n_ranks; r++)
        if (all[r].status != MRAY_OK) {
            status = all[r].status;
            base_error_set(all[r].text);
            break;
        }
    free(all);
    return net_status != MRAY_OK ? net_status : status;
}

static int start(session_t *s, const mray_init_opts *opts)
{
    node_description_t description;
    if (s->config.print_config && net_info(s->net)->rank == 0) config_print(&s->config, stderr);
    int status = agree(s, functions_build());
    if (status == MRAY_OK) status = agree(s, session_compare_programs(s));
    if (status == MRAY_OK) status = agree(s, session_open_timeline(s));
    if (status == MRAY_OK) status = session_agree_on_timeline(s);
    if (status == MRAY_OK) status = agree(s, session_divide_cores(s, opts));
    if (status == MRAY_OK) status = agree(s, session_count_gpus(s));
    if (status == MRAY_OK) status = session_make_segment(s, opts, &description);
    if (status == MRAY_OK) status = agree(s, start_agent(s));
    if (status == MRAY_OK) status = net_attach_segment(s->net, s->node->segs[s->node->node_rank].rw, s->node->segs[s->node->node_rank].hdr->trace_off);
    if (status == MRAY_OK) {
        session_say_hello(s);
        status = agree(s, session_start_workers(s, zygote, &description));
    }
    if (status == MRAY_OK) session_await_hellos(s);
    if (status == MRAY_OK && s->timeline.on) timeline_start(&s->timeline);
    seg_close_fd(&s->name); /* all have it mapped: nothing in the system names it any more */
    return status;
}

static int prepare(const mray_init_opts *opts, bool embedded, session_t **s_p)
{
    if (session_now != NULL || ep_self != NULL)
        return base_error(MRAY_ERR_ALREADY_INITIALIZED, "mray_init: mray is initialised already; call mray_finalize() before another init");
    if (broken != NULL)
        return base_error(MRAY_ERR_NODE_DIED, "mray_init: an earlier session of this process lost a rank, and MPI cannot go on without it; start the job again");
    session_t *s = calloc(1, sizeof *s);
    if (s == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "mray_init: no memory for the session");
    s->name.fd = -1;
    s->embedded = embedded;
    int status = config_load(&s->config);
    const char *level = opts != NULL && opts->log_level != NULL ? opts->log_level : s->config.log;
    if (status == MRAY_OK && !log_set_level(level))
        status = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_init: log_level is \"%s\"; error, warn, info and debug are possible", level);
    int least = embedded ? MRAY_NO_WORKERS : 0;
    if (status == MRAY_OK && opts != NULL && (opts->num_workers < least || opts->num_workers > SEG_MAX_EPS / 2))
        status = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_init: num_workers is %d; 0 (one a core) to %d are possible, and MRAY_NO_WORKERS with "
                            "mray_init_comm()", opts->num_workers, SEG_MAX_EPS / 2);
    if (status == MRAY_OK && opts != NULL && (unsigned)opts->workers > MRAY_WORKERS_THREAD)
        status = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_init: workers is %d; see mray_worker_mode", (int)opts->workers);
    if (status == MRAY_OK && opts != NULL && (opts->n_resources < 0 || (opts->n_resources > 0 && opts->resources == NULL)))
        status = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_init: n_resources is %d, and resources is %s", opts->n_resources, opts->resources == NULL ? "NULL" : "set");
    if (status == MRAY_OK) status = session_read_resources(s, opts);
    if (status != MRAY_OK) {
        free(s);
        return status;
    }
    net_configure(&s->config);
    s->threads = opts != NULL && opts->workers != MRAY_WORKERS_DEFAULT ? opts->workers == MRAY_WORKERS_THREAD : strcmp(s->config.workers, "thread") == 0;
    *s_p = s;
    return MRAY_OK;
}

/* Where MPI allows no thread of ours, progress is made inside mray calls. */
static int start_helper(session_t *s)
{
    return s->node->multi_node && net_info(s->net)->polled_only ? MRAY_OK : agent_start_helper(s->agent);
}

/* ---- node ranks of mray_init ---- */

static void end_session(session_t *s);

static _Noreturn void leave(int code)
{
    if (standby != NULL) net_close(standby);
    standby = NULL;
    net_shutdown_mpi();
    zygote_stop(zygote);
    zygote = NULL;
    exit(code);
}

/* A rank above 0: sessions until rank 0 ends. One that could not start is over at once: rank 0 says why, and may try again. */
static _Noreturn void serve_sessions(session_t *s, const mray_init_opts *opts, int status)
{
    for (;;) {
        if (status == MRAY_OK) {
            /* This thread is the agent now: counted once among those that are awake, or nobody here would ever spin. */
            ep_mask_clear(s->main_ep->seg->hdr->awake_mask, s->main_ep->gid);
            agent_serve(s->agent);
            end_session(s);
        } else {
            close_and_undo(s);
            stand_by();
        }
        mray_init_opts next;
        if (standby == NULL || !standby_wait(standby, opts, &next)) leave(0);
        if (prepare(&next, false, &s) != MRAY_OK) leave(1); /* rank 0 has found the same options right */
        s->net = standby;
        standby = NULL;
        session_now = s;
        status = start(s, &next);
    }
}

static void at_exit(int code, void *unused)
{
    (void)unused;
    if (session_now != NULL) (void)mray_finalize();
    if (broken != NULL) {
        fflush(NULL);
        net_abort(broken, code);
    }
    if (standby != NULL) {
        standby_say_exit(standby);
        net_close(standby);
        standby = NULL;
        net_shutdown_mpi();
    }
    zygote_stop(zygote);
    zygote = NULL;
}

int mray_prefork(void)
{
    if (zygote != NULL) return base_error(MRAY_ERR_ALREADY_INITIALIZED, "mray_prefork: called before");
    return say(zygote_start(&zygote));
}

int mray_init(int *argc, char ***argv, const mray_init_opts *opts)
{
    static bool registered;
    session_t *s;
    int status = prepare(opts, false, &s);
    if (status == MRAY_OK && !s->threads && zygote == NULL) status = zygote_start(&zygote);
    if (status != MRAY_OK) return say(status);
    if (!registered) registered = on_exit(at_exit, NULL) == 0; /* glibc's: a job that lost a rank ends by an abort, with this code */
    bool again = standby != NULL;
    if (again)
        s->net = standby;
    else
        status = net_open_world(argc, argv, &s->net);
    standby = NULL;
    if (status != MRAY_OK) {
        free(s);
        return say(status);
    }
    log_set_rank(net_info(s->net)->n_ranks > 1 ? net_info(s->net)->rank : -1);
    if (again && net_info(s->net)->rank == 0) standby_say_start(s->net, opts);
    session_now = s;
    status = start(s, opts);
    if (net_info(s->net)->rank != 0) serve_sessions(s, opts, status);
    if (status == MRAY_OK) status = start_helper(s);
    if (status != MRAY_OK) {
        (void)say(status);
        close_and_undo(s);
        stand_by();
    }
    return status;
}

MRAY_API int mray_init_on(const void *mpi_comm_p, const mray_init_opts *opts);
int mray_init_on(const void *mpi_comm_p, const mray_init_opts *opts)
{
    session_t *s;
    int status = prepare(opts, true, &s);
    if (status != MRAY_OK) return say(status);
    if (zygote == NULL) s->threads = true; /* mray_prefork() was not called: nothing to make processes with */
    status = net_open_comm(mpi_comm_p, &s->net);
    if (status != MRAY_OK) {
        free(s);
        return say(status);
    }
    log_set_rank(net_info(s->net)->rank);
    session_now = s;
    status = start(s, opts);
    if (status == MRAY_OK) status = start_helper(s);
    if (status != MRAY_OK) {
        (void)say(status);
        close_and_undo(s);
    }
    return status;
}

/* ---- the end ---- */

static void stop_workers(session_t *s)
{
    crew_stop(s->agent->crew);
    if (!s->threads && zygote != NULL) (void)zygote_detach(zygote);
}

/* A rank that does not answer takes part in no barrier. The others of an owned session wait to be ended by rank 0's abort. */
static void end_broken_session(session_t *s)
{
    bool waits = !s->embedded && s->node->rank != 0;
    log_warn("the session ends without the ranks that were lost; another one cannot follow in this process");
    timeline_finish(&s->timeline, true);
    broken = s->net;
    undo(s);
    while (waits) pause();
}

static void end_session(session_t *s)
{
    bool world = !s->embedded;
    agent_stop_helper(s->agent);
    stop_workers(s);
    if (s->agent->n_lost > 0) {
        end_broken_session(s);
        return;
    }
    /* Segments are read by other ranks until all have come here. */
    (void)net_barrier(s->net);
    timeline_finish(&s->timeline, false);
    close_and_undo(s);
    if (world) stand_by();
}

int mray_finalize(void)
{
    session_t *s = session_now;
    if (s == NULL) return base_error(MRAY_ERR_NOT_INITIALIZED, "mray_finalize: mray is not initialised");
    if (ep_self != NULL && ep_self != s->main_ep)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_finalize: only the thread that called init may call it, outside of tasks");
    if (!s->embedded) {
        pthread_mutex_lock(&s->agent->lock);
        for (int r = 1; r < s->node->n_ranks; r++) agent_send(s->agent, r, CONTROL_STOP_NODE, NULL, 0);
        uint64_t enough_ns = s->agent->n_lost > 0 ? base_clock_deadline(LAST_WORD_NS) : UINT64_MAX; /* a lost rank may never take its message */
        while (s->node->multi_node && net_busy(s->net) && base_clock_ns() < enough_ns) net_poll(s->net);
        pthread_mutex_unlock(&s->agent->lock);
    } else {
        /* From here on this thread sleeps or is the agent, which is counted by itself. */
        ep_mask_clear(s->main_ep->seg->hdr->awake_mask, s->main_ep->gid);
        agent_leave(s->agent);
    }
    end_session(s);
    return MRAY_OK;
}

int mray_is_initialized(void)
{
    return session_now != NULL || ep_self != NULL;
}

int mray_progress(void)
{
    session_t *s = session_now;
    if (s == NULL || !may_drive(s, ep_self) || pthread_mutex_trylock(&s->agent->lock) != 0) return 0;
    int n = agent_round(s->agent);
    pthread_mutex_unlock(&s->agent->lock);
    return n;
}
