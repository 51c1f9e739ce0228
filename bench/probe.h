/* probe.h: measurements that need a process of their own, started by bench/run and the budget test: mray-bench --probe NAME. */
#ifndef MRAY_BENCH_PROBE_H
#define MRAY_BENCH_PROBE_H

/* Runs the probe; main's result. 2 if there is none of that name. */
int probe_run(const char *name, int *argc, char ***argv);

#endif
