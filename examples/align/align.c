/* align.c: the main job: a driver on rank 0, the scores by tasks on every rank. See distribute.h. */
#include "distribute.h"

#include <mray/mray.h>
#include <stdlib.h>
#include <time.h>

/* Refs are given back by tasks and actors too, a moment after their answers are there: so long the store may take to be empty again. */
enum { LEAK_PATIENCE_MS = 2000 };

static void say_leak(size_t used_before)
{
    mray_info info;
    for (int ms = 0;; ms += 10) {
        if (mray_get_info(&info) != MRAY_OK || info.store_used <= used_before) return;
        if (ms >= LEAK_PATIENCE_MS) break;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fprintf(stderr, "align: warning: %zu bytes of the object store are still in use\n", info.store_used - used_before);
}

static int run_job(const struct align_options *options, struct align_fault *fault)
{
    struct align_job job;
    struct align_progress progress;
    mray_info info;
    if (align_job_load(options, &job, stderr, fault)) return -1;
    struct align_topk *topk = align_topk_create(job.queries.n, job.top);
    struct align_bins *bins = align_bins_create(job.queries.n, job.subjects.n);
    int rc = topk && bins ? 0 : align_fault_memory(fault, "the hits");
    if (rc == 0 && mray_get_info(&info) != MRAY_OK) rc = align_fault_set(fault, ALIGN_EXIT_FAILED, "%s", mray_error_message());
    if (rc == 0) rc = align_distribute(options, &job, &progress, topk, bins, fault);
    if (rc == 0) {
        double seconds = align_progress_seconds(&progress), gcups = align_progress_gcups(&progress);
        rc = align_job_report(options, &job, topk, bins, stdout, fault);
        if (rc == 0)
            printf("%.2f s for the scores, %.2f GCUPS, %d workers on %d ranks\n", seconds, gcups, info.num_workers, info.num_ranks);
        say_leak(info.store_used);
    }
    free(topk);
    free(bins);
    align_job_fini(&job);
    return rc;
}

int main(int argc, char **argv)
{
    struct align_options options;
    struct align_fault fault;
    /* First of all: only rank 0 comes back, so that everything is said once; and workers are forked while the process is small. */
    if (mray_init(&argc, &argv, NULL) != MRAY_OK) return ALIGN_EXIT_FAILED;
    int rc = align_options_parse(argc, argv, &options, &fault);
    if (rc == 0 && options.help) align_options_help(stdout, "align");
    else if (rc == 0) rc = run_job(&options, &fault);
    if (rc) fprintf(stderr, "align: %s\n", fault.text);
    int status = mray_finalize();
    if (rc) return fault.exit_code;
    return status == MRAY_OK ? ALIGN_EXIT_OK : ALIGN_EXIT_FAILED;
}
