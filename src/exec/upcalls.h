/* upcalls.h: what the store asks of the layers above it, the same in ranks and workers. */
#ifndef MRAY_EXEC_UPCALLS_H
#define MRAY_EXEC_UPCALLS_H

/* Before the first object call of a process. */
void upcalls_install(void);

#endif
