/* cases.h: the cases, one file a group; the table is in main.c. */
#ifndef MRAY_BENCH_CASES_H
#define MRAY_BENCH_CASES_H

#include "measure.h"
#include "ranks.h"
#include "refs.h"

/* tasks.c */
void case_task_sync(bench_t *b);
void case_task_async(bench_t *b);
void case_task_async_4(bench_t *b);
void case_chain(bench_t *b);
void case_queued(bench_t *b);
void case_remote_task(bench_t *b);
void case_oversubscribed(bench_t *b);
void case_process_vs_thread(bench_t *b);
/* Microseconds a task of task_async, in the session of all ranks, or of *arg (a bench_session_t). For measure_row(). */
double tasks_async_us(bench_t *b, const void *session);

/* tracing.c */
void case_tracing(bench_t *b);

/* scale.c */
void case_args_10k(bench_t *b);
void case_returns_3k(bench_t *b);
void case_get_10k(bench_t *b);
void case_wait_1k(bench_t *b);

/* sched_scale.c */
void case_sched_scale(bench_t *b);

/* actors.c */
void case_actor_sync(bench_t *b);
void case_actor_async(bench_t *b);
void case_actor_nn(bench_t *b);

/* metg.c */
void case_metg_stencil(bench_t *b);
void case_metg_nearest(bench_t *b);
void case_metg_fft(bench_t *b);
void case_metg_tree(bench_t *b);

/* objects.c */
void case_small_objects(bench_t *b);
void case_put_bw(bench_t *b);
void case_get_view(bench_t *b);
void case_remote_get(bench_t *b);
void case_broadcast(bench_t *b);

/* system.c */
void case_memory(bench_t *b);
void case_idle(bench_t *b);
void system_op_job(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply);

#ifdef BENCH_SCHED_SCALE
/* sched_scale.c */
void case_sched_scale(bench_t *b);
#endif

#endif
