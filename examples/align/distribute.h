/* distribute.h: the scores of a whole job, computed by tasks of mray and gathered by an actor.
 *
 * The driver cuts both files into chunks and packs them into the object store. A task scores one batch of queries against one chunk of
 * the database where the two lie, and returns its scores as one array; the driver hands the array's ref to the gatherer, an actor, which
 * reads it where it lies and keeps the best hits and the bins of the picture. No residue and no score passes through the driver. A database
 * chunk is packed when its first task is about to be submitted, and its ref released after its last one: what the store holds at a time
 * depends on the number of workers, not on the size of the database. */
#ifndef ALIGN_DISTRIBUTE_H
#define ALIGN_DISTRIBUTE_H

#include "job.h"
#include "progress.h"

enum {
    ALIGN_TASKS_A_WORKER = 4,          /* in flight at most */
    ALIGN_TASKS_A_WORKER_MIN = 16,     /* in all: chunks of the database are made smaller for that, */
    ALIGN_CHUNK_RESIDUES_MIN = 10000,  /* down to so many residues */
    ALIGN_BATCH_SEQUENCES_MAX = 256,   /* a batch of queries and a chunk of the database have no more, however short: */
    ALIGN_CHUNK_SEQUENCES_MAX = 65536, /* the scores of one task are at most 64 MiB */
};

/** Score every query against every subject.
 *  @param progress  started here, when tasks can run
 *  @param topk      empty, as many queries as the job has and job->top hits; holds the hits afterwards, undefined after a failure
 *  @param bins      empty, as many queries and subjects as the job has; likewise
 *  @return 0, or -1 with the sentence of the first task, object or actor that failed */
int align_distribute(const struct align_options *options, const struct align_job *job, struct align_progress *progress,
                     struct align_topk *topk, struct align_bins *bins, struct align_fault *fault);

#endif
