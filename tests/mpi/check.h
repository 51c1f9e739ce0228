/* check.h: what the programs of this folder share: checks that count, sentences, seeds, and a session in which a task can be sent to
 * a rank of one's choice.
 *
 * Checks are made in the driver: a worker process has a count of its own that nobody reads, so a task reports by its result. */
#ifndef MRAY_TEST_CHECK_H
#define MRAY_TEST_CHECK_H

#include <mray/mray.h>
#include <stdint.h>
#include <stdio.h>

/* Count a failure and print it with the last error sentence. */
void check_failed(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define CHECK(cond)                                                                                                           \
    do {                                                                                                                      \
        if (!(cond)) check_failed(__FILE__, __LINE__, "%s", #cond);                                                           \
    } while (0)
#define CHECK_EQUAL(a, b)                                                                                                     \
    do {                                                                                                                      \
        long long check_a = (long long)(a), check_b = (long long)(b);                                                         \
        if (check_a != check_b) check_failed(__FILE__, __LINE__, "%s is %lld, not %lld", #a, check_a, check_b);               \
    } while (0)
#define CHECK_STATUS_AS(call, text, expected)                                                                                 \
    do {                                                                                                                      \
        int check_s = (call);                                                                                                 \
        if (check_s != (expected))                                                                                            \
            check_failed(__FILE__, __LINE__, "%s gave %s, not %s", text, mray_status_name(check_s), mray_status_name(expected)); \
    } while (0)
#define CHECK_STATUS(call, expected) CHECK_STATUS_AS(call, #call, expected)
#define CHECK_OK(call) CHECK_STATUS_AS(call, #call, MRAY_OK)
/* The status, and a sentence of its own that has this word in it. */
#define CHECK_ERROR(call, expected, word)                                                                                     \
    do {                                                                                                                      \
        check_forget_sentence();                                                                                              \
        CHECK_STATUS_AS(call, #call, expected);                                                                               \
        if (!check_sentence_has(word)) check_failed(__FILE__, __LINE__, "%s: the sentence does not name %s", #call, word);    \
    } while (0)
/* A call that returns a nil ref: the same. */
#define CHECK_NIL(call, expected, word)                                                                                       \
    do {                                                                                                                      \
        check_forget_sentence();                                                                                              \
        mray_ref check_r = (call);                                                                                            \
        if (!check_sentence_has(word)) check_failed(__FILE__, __LINE__, "%s: the sentence does not name %s", #call, word);    \
        if (!mray_ref_is_nil(check_r)) check_failed(__FILE__, __LINE__, "%s is not nil", #call);                              \
        CHECK_STATUS_AS(check_done(check_r), #call, expected);                                                                \
    } while (0)

/* Cause an error whose sentence is known, so that an old one is not taken for a new one. */
void check_forget_sentence(void);
/* Is the last sentence a new one with this word in it, in any case of letters? */
bool check_sentence_has(const char *word);

/* mray_init() with a resource "rank<k>" on every rank k; ends the program when that fails. opts may be NULL. */
void check_init(int *argc, char ***argv, const mray_init_opts *opts);
/* End the session, print the verdict; main's result. */
int check_finish(void);
int check_num_ranks(void);
/* This rank by the launcher's word, before check_init(); 0 without one. */
int check_early_rank(void);
/* A rank with workers, for any k: with mpirun the driver's own rank has none. */
int check_worker_rank(int k);
/* Options that bind a task to a rank, and cost it no CPU. Valid until the thread's next call. */
mray_task_opts check_on_rank(int rank);

/* Bytes used in the stores of all ranks. */
size_t check_store_used(void);
/* Tasks and calls of this node that are not finished, from mray_status_report(). */
int check_tasks_left(void);
/* Wait up to two seconds, since frees travel, until no task is left and the stores are at most as full as they were: true if so. */
bool check_store_settles(size_t used_before);
/* Wait for a ref whose type does not matter; its status. */
int check_done(mray_ref ref);

/* A file in a folder of this run: each check_mark() makes it one byte longer, and gives its length. The driver makes the folder; tasks get
 * the file's name by value, also on another host of the same machine. */
typedef struct {
    char text[96];
} check_file;
check_file check_file_of(const char *name);
long check_mark(check_file file);
long check_marks(check_file file);

/* /proc/<pid>/<name> as text; bytes read, 0 if there is no such process. */
size_t check_read_proc(const char *pid, const char *name, char *buf, size_t n);
/* Is the process of the same run as this one? By the mark that tests/run_mpi.sh puts into the environment: as it was when the program started. */
bool check_is_of_run(const char *pid);

double check_seconds(void);
/* MRAY_TEST_SEED, or a new one; printed. */
uint64_t check_seed(void);
uint64_t check_random(uint64_t *state);
uint64_t check_mix(uint64_t a, uint64_t b);

#endif
