/* job.c: see job.h. */
#include "job.h"

#include "report.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_directory(const char *path, struct align_fault *fault)
{
    struct stat st;
    if (mkdir(path, 0777) && errno != EEXIST)
        return align_fault_set(fault, ALIGN_EXIT_INPUT, "--out %s cannot be made: %s", path, strerror(errno));
    if (stat(path, &st)) return align_fault_set(fault, ALIGN_EXIT_INPUT, "--out %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return align_fault_set(fault, ALIGN_EXIT_INPUT, "--out %s is not a directory", path);
    if (access(path, W_OK | X_OK)) return align_fault_set(fault, ALIGN_EXIT_INPUT, "--out %s: %s", path, strerror(errno));
    return 0;
}

static void say_read(FILE *log, const char *path, const struct align_seqs *seqs)
{
    if (!log) return;
    fprintf(log, "%s: %u sequences, %llu residues\n", path, seqs->n, (unsigned long long)align_seqs_total(seqs));
    if (seqs->n_mapped)
        fprintf(log, "%s: %llu letters U, O or J, which BLOSUM62 does not score, were read as C, K and L\n", path,
                (unsigned long long)seqs->n_mapped);
}

int align_job_load(const struct align_options *options, struct align_job *job, FILE *log, struct align_fault *fault)
{
    *job = (struct align_job){0};
    if (align_fasta_read(options->query, options->max_queries, &job->queries, fault)) return -1;
    if (align_fasta_read(options->db, options->max_subjects, &job->subjects, fault) || make_directory(options->out_dir, fault)) {
        align_job_fini(job);
        return -1;
    }
    job->top = options->top < job->subjects.n ? options->top : job->subjects.n;
    say_read(log, options->query, &job->queries);
    say_read(log, options->db, &job->subjects);
    return 0;
}

void align_job_fini(struct align_job *job)
{
    align_seqs_fini(&job->queries);
    align_seqs_fini(&job->subjects);
}

uint64_t align_job_cells(const struct align_job *job)
{
    return align_seqs_total(&job->queries) * align_seqs_total(&job->subjects);
}

static int output_path(char path[PATH_MAX], const char *dir, const char *name, struct align_fault *fault)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return n < PATH_MAX ? 0 : align_fault_set(fault, ALIGN_EXIT_INPUT, "the path %s/%s is too long", dir, name);
}

int align_job_report(const struct align_options *options, const struct align_job *job, const struct align_topk *topk,
                     const struct align_bins *bins, FILE *out, struct align_fault *fault)
{
    char tsv[PATH_MAX], png[PATH_MAX];
    if (output_path(tsv, options->out_dir, "hits.tsv", fault) || output_path(png, options->out_dir, "scores.png", fault)) return -1;
    if (align_report_tsv(tsv, topk, &job->queries, &job->subjects, fault)) return -1;
    if (align_picture_write(bins, &job->queries, png, fault)) return -1;
    if (align_report_table(out, topk, &job->queries, &job->subjects, tsv, fault)) return -1;
    fprintf(out, "written: %s, %s\n", tsv, png);
    return 0;
}
