/* net.h: what crosses nodes. One object a session: who is where, packed control messages, bulk reads of other ranks'
 * segments, and the few collectives that start and end a session.
 *
 * Two implementations behind one table of functions: net_mpi (Open MPI, MPI 3.1) and net_fake (any number of ranks inside
 * one process, for unit tests). With one rank and no launcher there is net_fake with one rank: MPI is never started.
 *
 * Threads: every function that takes a net_t, net_info() apart, is called by whoever holds the session's network lock, so
 * MPI needs no more than MPI_THREAD_SERIALIZED. Nothing here blocks except the collectives.
 *
 * Callbacks (handlers, done_fn) run inside net_poll() only, never inside a collective. They may call net_send(),
 * net_send_reserve() and net_get_start(), but neither net_poll() nor a collective. docs/design/net.md has the picture. */
#ifndef MRAY_NET_NET_H
#define MRAY_NET_NET_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct net net_t;

/* A control message is a sequence of items; an item is a header and its bytes, padded to 8. Items to one destination
 * are packed into one MPI message (TCP costs about 10 us a message, whatever its size). */
typedef struct {
    uint16_t type;  /* net_register_handler() */
    uint16_t flags; /* the handler's own */
    uint32_t bytes; /* payload, without this header */
} net_item_t;

enum { NET_MAX_ITEM_BYTES = 32768, NET_MAX_TYPES = 64 };

/* Called for each item that arrives, inside net_poll(). data is 8-aligned and valid only during the call. Handlers are
 * registered before the first net_poll(); an item of a type without handler is dropped with an error in the log. */
typedef void (*net_handler_fn)(void *ctx, int src_rank, const net_item_t *item, const void *data);

/* One bulk read under way. The caller fills in the first six fields; the record and dst belong to the transport until
 * done_fn was called (inside net_poll()). The bytes come with no ordering among each other: the owner may write while
 * they travel, so a reader checks what it got. status: MRAY_OK, MRAY_ERR_INVALID_ARGUMENT (no such rank, or past the end of
 * its segment), MRAY_ERR_NOT_SUPPORTED (one-node job, or no segment attached yet), MRAY_ERR_MPI. */
typedef struct net_get net_get_t;
typedef void (*net_get_done_fn)(net_get_t *get, int status);
struct net_get {
    int src_rank;
    uint64_t src_off; /* from the start of src_rank's segment */
    void *dst;
    uint64_t bytes; /* any size; chunked inside, at most 64 MiB an MPI call */
    net_get_done_fn done_fn;
    void *user;
    uint64_t bytes_ready; /* between polls: so many from the start are in dst; a transport may leave it at 0 until the end. This and below: the transport's */
    uint64_t bytes_done, bytes_started;
    int n_chunks_open, status;
    net_get_t *next;
};

/* How bulk bytes travel between nodes; NET_BULK_NONE when every rank shares one node. */
typedef enum { NET_BULK_NONE, NET_BULK_RMA, NET_BULK_PULL } net_bulk_t;
enum { NET_BULK_INLINE_BYTES = 16384 }; /* up to here a read is small: pull packs its answer with others */

typedef struct {
    int rank, n_ranks;
    int node; /* dense index of this rank's node; nodes are numbered by their lowest rank */
    int n_nodes;
    const int *node_of_rank;     /* n_ranks entries */
    int node_rank, n_node_ranks; /* this rank's place among the ranks of its node */
    const int *node_ranks;       /* n_node_ranks ranks of this node, ascending */
    bool multi_node;
    bool owns_mpi;               /* this library called MPI_Init, and calls MPI_Finalize */
    bool polled_only;            /* no thread but the program's may call in: less than SERIALIZED, or less than MULTIPLE on a lent communicator */
    bool one_thread;             /* less than SERIALIZED: only the initialising thread may */
    net_bulk_t bulk;             /* large reads; set by net_attach_segment() */
    net_bulk_t bulk_small;       /* reads of at most NET_BULK_INLINE_BYTES; set likewise */
} net_info_t;

/* Start. Before the first MPI call: sets the OMPI_MCA_* defaults of net_launch.h (never over the user's own).
 *   net_open_world: under a launcher MPI_Init_thread(SERIALIZED) and MPI_COMM_WORLD dup'd; without one, one rank and no MPI.
 *     A second session in one process reuses the initialised MPI. MPI initialised by somebody else: MRAY_ERR_ALREADY_INITIALIZED.
 *   net_open_comm:  comm_p points to the caller's MPI_Comm, which is dup'd; MPI is not finalised by us.
 *   net_open_fake:  n_ranks endpoints of one in-process network; nets_p receives n_ranks objects. node_of_rank may be NULL (all one node).
 *   net_configure:  before any of them, from the same thread: the bulk path and MRAY_FAKE_NODE_RANKS=k (for tests): every k consecutive ranks
 *     of an MPI job are taken for one node, wherever they run. Without it both are the defaults.
 * Errors: MRAY_ERR_MPI, MRAY_ERR_OUT_OF_MEMORY, each with a sentence. */
void net_configure(const config_t *config);
int net_open_world(int *argc, char ***argv, net_t **net_p);
int net_open_comm(const void *comm_p, net_t **net_p);
int net_open_fake(int n_ranks, const int *node_of_rank, net_t **nets_p);

/* End of a session: collective; frees window and communicator. MPI itself goes on. Bulk reads still open are finished
 * (done_fn is called); queued items are sent; items that still arrive are dropped, so what matters is agreed on before. */
void net_close(net_t *net);
/* MPI_Finalize if this library started MPI (no-op otherwise). Once, at the end of the process. */
void net_shutdown_mpi(void);
/* End the whole job now with exit code `code` (MPI_Abort); without MPI, _exit(code). */
_Noreturn void net_abort(net_t *net, int code);

const net_info_t *net_info(const net_t *net);
/* True if a launcher started this process (mpirun, srun): looked up in the environment, before MPI_Init. */
bool net_under_launcher(void);
/* Name of this host, for tables and messages. */
const char *net_hostname(void);

/* Collectives over all ranks, in the same order on every rank; they block, at the price of a sleeper. all holds n_ranks * bytes.
 * While they wait, this rank's queued items go out and it goes on serving bulk reads; callbacks wait for net_poll().
 * So a rank that is to join must not first wait for this one to take its items. */
int net_allgather(net_t *net, const void *mine, size_t bytes, void *all);
int net_barrier(net_t *net);

/* Export this rank's segment (base, bytes) for bulk reads by other nodes: collective. Multi-node only: creates the window,
 * locks it for all, touches every remote peer once, probes RMA against the two-sided pull with real transfers and keeps the better
 * for small reads and for large ones (the same answer on every rank). Logs choices and rates at info. MRAY_BULK=rma|pull
 * overrides. base is only read. Once a session. One node: does nothing. */
int net_attach_segment(net_t *net, void *base, uint64_t bytes);

void net_register_handler(net_t *net, uint16_t type, net_handler_fn fn, void *ctx);

/* Queue one item for dst (any rank but this one; in a job of one node MRAY_ERR_NOT_SUPPORTED); copies it. Never blocks:
 * buffers grow to a limit of 64 MiB a destination, past which MRAY_ERR_LIMIT is returned and the caller keeps the item and
 * polls. Sent by the next net_poll() or when a packet is full. Items between two ranks arrive in order, each once. */
int net_send(net_t *net, int dst, uint16_t type, uint16_t flags, const void *data, uint32_t bytes);
/* The same in two steps, without a copy: reserve bytes (8-aligned), fill them in before the next call into net, or before
 * the callback that reserved them returns; that sends them. NULL where net_send() would fail. */
void *net_send_reserve(net_t *net, int dst, uint16_t type, uint16_t flags, uint32_t bytes);

/* About how many bytes of items wait to be sent to dst: what should not stand behind others is held back where it is much. */
uint64_t net_unsent_bytes(const net_t *net, int dst);

/* Start a bulk read from another node. Many may be in flight. */
void net_get_start(net_t *net, net_get_t *get);

/* One round of progress: flush packets, receive and dispatch, advance bulk reads. Returns the number of things that happened. */
int net_poll(net_t *net);
/* True while something is unsent, or a bulk read is open or being served, so that the idle ladder stays short. */
bool net_busy(const net_t *net);

#endif
