/* zygote.c: forking workers and reporting their deaths. */
#include "zygote.h"

#include "error.h"
#include "functions.h"
#include "log.h"
#include "worker_main.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef enum { ZYGOTE_ATTACH = 1, ZYGOTE_SPAWN, ZYGOTE_DETACH, ZYGOTE_STOP } zygote_command_t;

typedef struct {
    int32_t command;
    uint32_t index;
    int32_t kind, pu;
    zygote_settings_t settings;
    node_description_t node; /* ATTACH only: sent only then */
} request_t;

typedef struct {
    int32_t status;
    char text[BASE_ERROR_MAX];
} reply_t;

struct zygote {
    int sock;
    pid_t pid;
};

/* In the zygote: who runs what. */
typedef struct {
    int sock;
    node_t *node;
    int rank;
    zygote_settings_t settings;
    pid_t pids[SEG_MAX_EPS];
} nursery_t;

static bool send_all(int sock, const void *data, size_t n)
{
    ssize_t sent;
    do sent = send(sock, data, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)n;
}

static void say_dead(nursery_t *z, ep_shared_t *sh, int wstatus)
{
    atomic_store(&sh->exit_status, wstatus);
    atomic_store(&sh->state, EP_DEAD);
    atomic_fetch_add(&z->node->segs[z->node->node_rank].hdr->deaths, 1);
    ep_wake(ep_shared_at(z->node, ep_gid(z->node->node_rank, SEG_EP_AGENT)));
}

static void report_deaths(nursery_t *z)
{
    int wstatus;
    pid_t pid;
    while ((pid = waitpid(-1, &wstatus, WNOHANG)) > 0) {
        for (unsigned i = 0; i < SEG_MAX_EPS; i++) {
            if (z->pids[i] != pid) continue;
            z->pids[i] = 0;
            if (z->node == NULL) break;
            ep_shared_t *sh = ep_shared_at(z->node, ep_gid(z->node->node_rank, i));
            say_dead(z, sh, wstatus);
            break;
        }
    }
}

static _Noreturn void become_worker(nursery_t *z, const request_t *request, pid_t zygote_pid)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != zygote_pid) _exit(1); /* it died before the line above */
    close(z->sock);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    worker_main_process(z->node, request->index, (ep_kind_t)request->kind, request->pu);
}

static void spawn(nursery_t *z, const request_t *request)
{
    pid_t self = getpid(), pid = fork();
    if (pid == 0) become_worker(z, request, self);
    if (pid > 0) {
        z->pids[request->index] = pid;
        return;
    }
    log_error("cannot fork a worker: %s", strerror(errno));
    ep_shared_t *sh = ep_shared_at(z->node, ep_gid(z->node->node_rank, request->index));
    say_dead(z, sh, 0x7f00);
}

/* The rank has stopped its workers; those that do not leave are stuck in user code. */
static void end_workers(nursery_t *z)
{
    for (int turn = 0; turn < 200; turn++) {
        report_deaths(z);
        bool any = false;
        for (unsigned i = 0; i < SEG_MAX_EPS; i++) any = any || z->pids[i] != 0;
        if (!any) return;
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
    }
    for (unsigned i = 0; i < SEG_MAX_EPS; i++)
        if (z->pids[i] != 0) kill(z->pids[i], SIGKILL);
    for (unsigned i = 0; i < SEG_MAX_EPS; i++)
        if (z->pids[i] != 0) waitpid(z->pids[i], NULL, 0);
    memset(z->pids, 0, sizeof z->pids);
}

/* Returns false when the zygote is to end. */
static bool serve(nursery_t *z, const request_t *request)
{
    reply_t reply = {.status = MRAY_OK};
    switch ((zygote_command_t)request->command) {
    case ZYGOTE_ATTACH:
        z->settings = request->settings;
        worker_main_settings(request->settings.full_wait_ns);
        log_set_rank(request->node.n_ranks > 1 ? request->node.rank : -1);
        reply.status = functions_build(); /* as the rank does: functions may have been registered since the fork */
        if (reply.status == MRAY_OK) reply.status = node_create(&request->node, NULL, &z->node);
        if (reply.status != MRAY_OK) snprintf(reply.text, sizeof reply.text, "%s", mray_error_message());
        break;
    case ZYGOTE_SPAWN:
        spawn(z, request);
        return true; /* no reply: spawning is not waited for */
    case ZYGOTE_DETACH:
        end_workers(z);
        node_destroy(z->node);
        z->node = NULL;
        break;
    case ZYGOTE_STOP: return false;
    }
    return send_all(z->sock, &reply, sizeof reply);
}

static _Noreturn void zygote_main(int sock, pid_t rank_pid)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != rank_pid) _exit(1);
    prctl(PR_SET_NAME, "mray-zygote");
    /* Ctrl-C goes to the whole process group: the rank decides what it means. */
    signal(SIGINT, SIG_IGN);
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    int sigfd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    nursery_t *z = calloc(1, sizeof *z);
    request_t *request = malloc(sizeof *request);
    if (z == NULL || request == NULL || sigfd < 0) _exit(1);
    z->sock = sock;
    struct pollfd fds[2] = {{.fd = sock, .events = POLLIN}, {.fd = sigfd, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) _exit(1);
        struct signalfd_siginfo info;
        while (read(sigfd, &info, sizeof info) > 0) continue;
        report_deaths(z);
        if ((fds[0].revents & (POLLIN | POLLHUP)) == 0) continue;
        ssize_t n = recv(sock, request, sizeof *request, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0 || !serve(z, request)) break;
    }
    _exit(0); /* workers follow by PDEATHSIG */
}

int zygote_start(zygote_t **zygote_p)
{
    int socks[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) != 0) return base_error_errno(MRAY_ERR_SYSTEM, "socketpair failed");
    zygote_t *zygote = malloc(sizeof *zygote);
    if (zygote == NULL) {
        close(socks[0]);
        close(socks[1]);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the zygote's handle");
    }
    fflush(NULL); /* else buffered output would be written by both */
    pid_t self = getpid(), pid = fork();
    if (pid < 0) {
        int status = base_error_errno(MRAY_ERR_SYSTEM, "cannot fork the process that makes workers");
        close(socks[0]);
        close(socks[1]);
        free(zygote);
        return status;
    }
    if (pid == 0) {
        close(socks[0]);
        zygote_main(socks[1], self);
    }
    close(socks[1]);
    *zygote = (zygote_t){.sock = socks[0], .pid = pid};
    *zygote_p = zygote;
    return MRAY_OK;
}

static int ask(zygote_t *zygote, const request_t *request, size_t bytes, bool wait_reply)
{
    reply_t reply;
    ssize_t n = 0;
    if (!send_all(zygote->sock, request, bytes)) return base_error(MRAY_ERR_SYSTEM, "the process that makes workers is gone");
    if (!wait_reply) return MRAY_OK;
    do n = recv(zygote->sock, &reply, sizeof reply, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof reply) return base_error(MRAY_ERR_SYSTEM, "the process that makes workers is gone");
    if (reply.status != MRAY_OK) base_error_set(reply.text);
    return reply.status;
}

int zygote_attach(zygote_t *zygote, const node_description_t *description, const zygote_settings_t *settings)
{
    request_t *request = calloc(1, sizeof *request);
    if (request == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate a request");
    request->command = ZYGOTE_ATTACH;
    request->settings = *settings;
    request->node = *description;
    int status = ask(zygote, request, sizeof *request, true);
    free(request);
    return status;
}

int zygote_spawn(zygote_t *zygote, unsigned index, int32_t kind, int32_t pu)
{
    request_t request = {.command = ZYGOTE_SPAWN, .index = index, .kind = kind, .pu = pu};
    return ask(zygote, &request, offsetof(request_t, node), false);
}

int zygote_detach(zygote_t *zygote)
{
    request_t request = {.command = ZYGOTE_DETACH};
    return ask(zygote, &request, offsetof(request_t, node), true);
}

void zygote_stop(zygote_t *zygote)
{
    if (zygote == NULL) return;
    request_t request = {.command = ZYGOTE_STOP};
    if (ask(zygote, &request, offsetof(request_t, node), false) != MRAY_OK) kill(zygote->pid, SIGKILL);
    close(zygote->sock);
    waitpid(zygote->pid, NULL, 0);
    free(zygote);
}

bool zygote_alive(const zygote_t *zygote)
{
    return waitpid(zygote->pid, NULL, WNOHANG) == 0;
}
