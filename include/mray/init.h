/* mray/init.h: starting and ending a session, progress, versions, status text. */
#ifndef MRAY_INIT_H
#define MRAY_INIT_H

#include <mray/status.h>
#include <stddef.h>

#define MRAY_VERSION_MAJOR 0
#define MRAY_VERSION_MINOR 1
#define MRAY_VERSION_PATCH 0
#define MRAY_VERSION (MRAY_VERSION_MAJOR * 10000 + MRAY_VERSION_MINOR * 100 + MRAY_VERSION_PATCH)
#define MRAY_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/** What executes tasks. */
typedef enum mray_worker_mode {
    MRAY_WORKERS_DEFAULT = 0, /**< MRAY_WORKERS=process|thread, else processes */
    MRAY_WORKERS_PROCESS = 1, /**< a process each: a crash costs one worker; code need not be thread-safe */
    MRAY_WORKERS_THREAD = 2,  /**< a thread of the rank each: cheaper to start, shares the rank's memory and its fate */
} mray_worker_mode;

/** A custom resource of this rank. */
typedef struct mray_resource {
    const char *name; /**< up to 31 characters */
    double amount;    /**< above 0; kept to 1/10000 */
} mray_resource;

/** For num_workers with mray_init_comm(): this rank only submits; its cores stay its own. Another rank must have workers. */
#define MRAY_NO_WORKERS (-1)

/** How a session is set up. Zero in every field is the default; each has an environment variable that wins over the default but not over
 *  a field that is set (MRAY_PRINT_CONFIG=1 lists them all; docs/guide/configuration.md). */
typedef struct mray_init_opts {
    size_t store_bytes;          /**< object store of this rank; 0: 30% of the node's free memory, shared among its ranks. MRAY_STORE_BYTES */
    int num_workers;             /**< workers of this rank; 0: one a core of its share. MRAY_NUM_WORKERS. MRAY_NO_WORKERS: none */
    mray_worker_mode workers;    /**< MRAY_WORKERS */
    const char *log_level;       /**< error, warn, info or debug. MRAY_LOG */
    const mray_resource *resources; /**< n_resources custom resources. MRAY_RESOURCES="name=amount,..." */
    int n_resources;
    unsigned max_tasks;          /**< tasks that may be submitted and not finished, this rank. MRAY_MAX_TASKS */
    unsigned max_objects;        /**< objects this rank may own at a time. MRAY_MAX_OBJECTS */
} mray_init_opts;

/** Start a session, owning MPI. Rank 0 returns and is the driver; the other ranks run tasks inside this call until the driver finishes, then
 *  leave the process with exit code 0. Without a launcher (./prog) the process is everything: local mode.
 *  Call it early in main(): worker processes are forked here, before MPI starts, and inherit what the program has done so far.
 *  @param argc  as main got them; may be NULL
 *  @param argv  as main got them; may be NULL
 *  @param opts  NULL for the defaults
 *  @return MRAY_OK, MRAY_ERR_ALREADY_INITIALIZED, MRAY_ERR_INVALID_ARGUMENT, MRAY_ERR_OUT_OF_MEMORY, MRAY_ERR_MPI, MRAY_ERR_SYSTEM,
 *          MRAY_ERR_FUNCTION_MISMATCH (the ranks do not run the same program), MRAY_ERR_NODE_DIED (an earlier session lost a rank). The sentence is also printed: most callers only exit
 *  @context the main thread, with no other thread running; once at a time
 *  @cost    tens of milliseconds, most of them MPI_Init's */
MRAY_API int mray_init(int *argc, char ***argv, const mray_init_opts *opts);

/** Fork the process that will make worker processes. A program that starts MPI itself calls it before MPI_Init, so that
 *  workers inherit nothing of MPI; without it mray_init_comm() uses thread workers.
 *  @return MRAY_OK, MRAY_ERR_SYSTEM, MRAY_ERR_ALREADY_INITIALIZED
 *  @context the main thread, before MPI_Init, with no other thread running
 *  @cost    one fork */
MRAY_API int mray_prefork(void);

/** End the session: collective with mray_init_comm(), where it returns when all ranks have called it, and serves them until then; by the driver alone
 *  with mray_init(). Objects and actors end with it. A session that
 *  mray_init() started may be followed by another one; MPI ends with the process. After the loss of a rank none can follow, and the process ends by
 *  MPI_Abort with its own exit code.
 *  @return MRAY_OK, MRAY_ERR_NOT_INITIALIZED; usable as main's result
 *  @context the thread that called init, outside tasks
 *  @cost    a barrier and the workers' end */
MRAY_API int mray_finalize(void);

/** True between a successful init and finalize.
 *  @context any thread
 *  @cost    one load */
MRAY_API int mray_is_initialized(void);

/** Do what there is to do for the runtime in this process: needed only in a session of several nodes on a communicator of the program's, where MPI was
 *  started with less than MPI_THREAD_MULTIPLE, while the program is not inside mray calls for long.
 *  @return number of things done; 0 when idle; negative never
 *  @context any thread; with MPI_THREAD_SERIALIZED none other may be inside MPI or mray, below that only the initialising thread does anything
 *  @cost    a microsecond when idle */
MRAY_API int mray_progress(void);

/** Facts about the session. */
typedef struct mray_info {
    int rank, num_ranks; /**< of MPI */
    int num_nodes;       /**< hosts */
    int num_workers;     /**< workers of all ranks */
    int is_worker;       /**< 1 inside a task or method */
    size_t store_bytes;  /**< capacity of this rank's object store */
    size_t store_used;   /**< bytes in use there */
} mray_info;

/** @return MRAY_OK or MRAY_ERR_NOT_INITIALIZED
 *  @context any thread of an endpoint
 *  @cost    a few loads */
MRAY_API int mray_get_info(mray_info *info_p);

/** A few lines of text about this session, for people: ranks, workers, tasks, objects, bytes of this node; at rank 0 also how all ranks are: alive or
 *  suspect, heard when, busy with what.
 *  @param buf       buf_bytes bytes; always ends in NUL
 *  @return the length it would have had, as snprintf
 *  @context any thread of an endpoint
 *  @cost    a scan of this node's tables */
MRAY_API size_t mray_status_report(char *buf, size_t buf_bytes);

/** Version of the library at run time, as MRAY_VERSION; and as text.
 *  @context any thread, at any time
 *  @cost    a constant */
MRAY_API int mray_version(void);
MRAY_API const char *mray_version_string(void);

#ifdef __cplusplus
}
#endif
#endif
