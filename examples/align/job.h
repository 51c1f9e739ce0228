/* job.h: what comes before and after the scoring, the same for the serial and the distributed program: reading the input, gathering
 * the scores of each piece, writing the output. */
#ifndef ALIGN_JOB_H
#define ALIGN_JOB_H

#include "chunk.h"
#include "fasta.h"
#include "fault.h"
#include "options.h"
#include "picture.h"
#include "topk.h"

#include <stdint.h>
#include <stdio.h>

/* Queries are cut into batches of about so many residues; a database chunk of the default size against one makes 10^9 cells, a tenth of
 * a second. */
enum { ALIGN_BATCH_RESIDUES = 5000 };

struct align_job {
    struct align_seqs queries, subjects;
    uint32_t top; /* hits kept: the option's, but no more than there are subjects */
};

/** Make the output directory, read both files, and say on log what was read.
 *  @param log  where the lines go; NULL for none
 *  @return 0, or -1 with exit code 2 and a sentence that names file and line; the job is then empty */
int align_job_load(const struct align_options *options, struct align_job *job, FILE *log, struct align_fault *fault);

void align_job_fini(struct align_job *job);

/* Cells of the whole job. */
uint64_t align_job_cells(const struct align_job *job);

/* Write hits.tsv and scores.png into options->out_dir and the table to out. */
int align_job_report(const struct align_options *options, const struct align_job *job, const struct align_topk *topk,
                     const struct align_bins *bins, FILE *out, struct align_fault *fault);

#endif
