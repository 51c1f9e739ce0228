/* ranks.c: see ranks.h. */
#include "ranks.h"

#include <errno.h>
#include <mray/mpi.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where rank 0 listens. The token keeps strangers out. */
typedef struct {
    char host[256];
    uint16_t port;
    uint64_t token;
} meeting_t;

typedef struct {
    uint64_t token;
    int32_t rank;
} hello_t;

static int *sockets;     /* rank 0: by rank */
static int socket_to_0 = -1;
static MPI_Comm session_comm = MPI_COMM_NULL;

/* ---- the socket ---- */

static void write_all(int fd, const void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = write(fd, (const char *)data + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) bench_die("the socket between the ranks: %s", strerror(errno));
        done += (size_t)got;
    }
}

static bool read_all(int fd, void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(fd, (char *)data + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

static void no_delay(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int start_listening(meeting_t *meeting, int n)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, n) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        bench_die("a socket for the ranks: %s", strerror(errno));
    meeting->port = ntohs(address.sin_port);
    if (gethostname(meeting->host, sizeof meeting->host - 1) != 0 || getrandom(&meeting->token, sizeof meeting->token, 0) < 0)
        bench_die("a socket for the ranks: %s", strerror(errno));
    return fd;
}

static void accept_all(int listener, uint64_t token, int n_ranks)
{
    sockets = malloc((size_t)n_ranks * sizeof *sockets);
    if (sockets == NULL) bench_die("no memory for %d sockets", n_ranks);
    for (int n = 1; n < n_ranks;) {
        hello_t hello;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) bench_die("a rank that should connect: %s", strerror(errno));
        if (!read_all(fd, &hello, sizeof hello) || hello.token != token) {
            close(fd);
            continue;
        }
        no_delay(fd);
        sockets[hello.rank] = fd;
        n++;
    }
    close(listener);
}

static int connect_to(const meeting_t *meeting, int rank)
{
    char own[256] = "", port[8];
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    (void)gethostname(own, sizeof own - 1);
    snprintf(port, sizeof port, "%u", meeting->port);
    const char *host = strcmp(own, meeting->host) == 0 ? "127.0.0.1" : meeting->host;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) bench_die("rank %d cannot find host %s: %s", rank, host, gai_strerror(error));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) bench_die("rank %d cannot reach %s port %s: %s", rank, host, port, strerror(errno));
    freeaddrinfo(found);
    no_delay(fd);
    hello_t hello = {meeting->token, rank};
    write_all(fd, &hello, sizeof hello);
    return fd;
}

void ranks_start(bench_t *b)
{
    meeting_t meeting;
    int listener = -1;
    memset(&meeting, 0, sizeof meeting);
    if (b->rank == 0) listener = start_listening(&meeting, b->n_ranks);
    MPI_Bcast(&meeting, sizeof meeting, MPI_BYTE, 0, MPI_COMM_WORLD);
    if (b->rank == 0) accept_all(listener, meeting.token, b->n_ranks);
    else socket_to_0 = connect_to(&meeting, b->rank);
}

/* ---- commands ----
 *
 * Above rank 0 the main thread opens sessions and goes straight into mray_finalize(), which serves until rank 0 closes: mray then knows that this
 * thread computes nothing, as on the node ranks of mray_init(), and lets others spin in its place. All else is done by a thread that reads the socket.
 *
 *   IDLE --open--> OPENING --(main: init)--> OPEN --(main: finalize, ended by rank 0)--> IDLE        QUIT ends the main thread's loop */

typedef enum { IDLE, OPENING, OPEN, QUIT } serve_state_t;

static struct {
    pthread_mutex_t lock; /* guards all of it */
    pthread_cond_t changed;
    serve_state_t state;
    const ranks_command_t *command;
    ranks_reply_t *reply;
    int close_status;
} serve = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void set_state(serve_state_t state)
{
    serve.state = state;
    pthread_cond_broadcast(&serve.changed);
}

static void hand_to_main(const ranks_command_t *command, ranks_reply_t *reply)
{
    pthread_mutex_lock(&serve.lock);
    if (command->op == OP_OPEN) {
        serve.command = command;
        serve.reply = reply;
        set_state(OPENING);
        while (serve.state == OPENING) pthread_cond_wait(&serve.changed, &serve.lock);
    } else if (command->op == OP_CLOSE) {
        while (serve.state != IDLE) pthread_cond_wait(&serve.changed, &serve.lock);
        reply->status = serve.close_status;
    } else {
        set_state(QUIT);
    }
    pthread_mutex_unlock(&serve.lock);
}

static void *read_commands(void *arg)
{
    bench_t *b = arg;
    ranks_command_t command;
    do {
        ranks_reply_t reply;
        memset(&reply, 0, sizeof reply);
        if (!read_all(socket_to_0, &command, sizeof command)) bench_die("rank %d: rank 0 is gone", b->rank);
        if (command.op == OP_OPEN || command.op == OP_CLOSE || command.op == OP_QUIT) hand_to_main(&command, &reply);
        else ranks_ops[command.op](b, &command, &reply);
        reply.rank = b->rank;
        write_all(socket_to_0, &reply, sizeof reply);
    } while (command.op != OP_QUIT);
    return NULL;
}

/* With serve.lock held, which is given back meanwhile. */
static void open_and_serve(bench_t *b)
{
    ranks_op_open(b, serve.command, serve.reply);
    bool member = session_comm != MPI_COMM_NULL && serve.reply->status == 0;
    set_state(member ? OPEN : IDLE);
    if (!member) return;
    pthread_mutex_unlock(&serve.lock);
    ranks_reply_t reply = {0};
    ranks_op_close(b, NULL, &reply);
    pthread_mutex_lock(&serve.lock);
    serve.close_status = reply.status;
    set_state(IDLE);
}

void ranks_serve(bench_t *b)
{
    pthread_t reader;
    int error = pthread_create(&reader, NULL, read_commands, b);
    if (error != 0) bench_die("rank %d: no thread: %s", b->rank, strerror(error));
    pthread_mutex_lock(&serve.lock);
    while (serve.state != QUIT) {
        if (serve.state == OPENING) open_and_serve(b);
        else pthread_cond_wait(&serve.changed, &serve.lock);
    }
    pthread_mutex_unlock(&serve.lock);
    pthread_join(reader, NULL);
}

void ranks_all(bench_t *b, ranks_op_t op, const int64_t *args, int n_args, ranks_reply_t *replies)
{
    ranks_command_t command;
    ranks_reply_t reply;
    memset(&command, 0, sizeof command);
    memset(&reply, 0, sizeof reply);
    command.op = op;
    for (int i = 0; i < n_args; i++) command.i[i] = args[i];
    for (int r = 1; r < b->n_ranks; r++) write_all(sockets[r], &command, sizeof command);
    if (op != OP_QUIT) ranks_ops[op](b, &command, &reply);
    for (int r = 0; r < b->n_ranks; r++) {
        if (r > 0 && !read_all(sockets[r], &reply, sizeof reply)) bench_die("rank %d is gone", r);
        if (reply.status != 0) bench_die("rank %d: %s: %s", r, mray_status_name(reply.status), reply.text);
        if (replies != NULL) replies[r] = reply;
    }
}

/* ---- sessions ---- */

static void fail(ranks_reply_t *reply, int status)
{
    reply->status = status;
    snprintf(reply->text, sizeof reply->text, "%s", mray_error_message());
}

void ranks_op_open(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply)
{
    int n = (int)command->i[0];
    bool member = b->rank < n;
    MPI_Comm_split(MPI_COMM_WORLD, member ? 0 : MPI_UNDEFINED, b->rank, &session_comm);
    if (!member) return;
    mray_init_opts opts = {.workers = (mray_worker_mode)command->i[2], .store_bytes = (size_t)command->i[3], .num_workers = (int)command->i[4]};
    char name[32];
    mray_resource own = {.name = name, .amount = 1000};
    snprintf(name, sizeof name, "rank%d", b->rank);
    /* What the first session has warned of, the next ones need not repeat. */
    static bool warned;
    if (warned && getenv("MRAY_LOG") == NULL) opts.log_level = "error";
    warned = true;
    if (command->i[5] != 0) opts.resources = &own, opts.n_resources = 1;
    if (b->rank == 0 && n > 1 && command->i[1] == 0) opts.num_workers = MRAY_NO_WORKERS;
    int status = mray_init_comm(session_comm, &opts);
    if (status != MRAY_OK) fail(reply, status);
}

void ranks_op_close(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply)
{
    (void)b;
    (void)command;
    if (session_comm == MPI_COMM_NULL) return;
    int status = mray_finalize();
    if (status != MRAY_OK) fail(reply, status);
    MPI_Comm_free(&session_comm);
}

bool ranks_open(bench_t *b, const bench_session_t *session)
{
    bench_session_t want = *session;
    if (want.n_ranks == 0) want.n_ranks = b->n_ranks;
    if (want.n_ranks == 1) want.driver_works = 1;
    if (b->open && memcmp(&want, &b->session, sizeof want) == 0) return false;
    ranks_close(b);
    int64_t args[] = {want.n_ranks, want.driver_works, want.mode, (int64_t)want.store_bytes, want.n_workers, want.ranks_by_name};
    ranks_all(b, OP_OPEN, args, (int)(sizeof args / sizeof *args), NULL);
    mray_info info;
    BENCH_OK(mray_get_info(&info));
    b->n_workers = info.num_workers;
    b->n_nodes = info.num_nodes;
    b->session = want;
    b->open = true;
    return true;
}

void ranks_close(bench_t *b)
{
    if (!b->open) return;
    ranks_all(b, OP_CLOSE, NULL, 0, NULL);
    b->open = false;
}

void ranks_quiet(bench_t *b)
{
    if (b->open && b->n_nodes > 1) ranks_close(b);
}
