/* crash.h: what a worker process says before it dies of a signal in user code: signal, task, backtrace. */
#ifndef MRAY_EXEC_CRASH_H
#define MRAY_EXEC_CRASH_H

/* Install the handlers in a worker process, on a stack of their own. The default action follows them. */
void crash_install(void);

#endif
