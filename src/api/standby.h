/* standby.h: what rank 0 says to the ranks that stand by between sessions of mray_init(). */
#ifndef MRAY_API_STANDBY_H
#define MRAY_API_STANDBY_H

#include "net.h"

#include <mray/init.h>
#include <stdbool.h>

/* Rank 0: a session with these options (NULL: the defaults) starts; or the process ends. */
void standby_say_start(net_t *net, const mray_init_opts *opts);
void standby_say_exit(net_t *net);
/* The others: wait for it. *opts_p receives the options of the session that starts: rank 0's, but the resources, which are each rank's own and
 * stay as in `own` (may be NULL). Valid until the next call. False when the process is to end. */
bool standby_wait(net_t *net, const mray_init_opts *own, mray_init_opts *opts_p);

#endif
