/* standby.h: what rank 0 says to the ranks that stand by between sessions of mray_init(). */
#ifndef MRAY_API_STANDBY_H
#define MRAY_API_STANDBY_H

#include "net.h"

#include <mray/init.h>

/* Rank 0: a session with these options (NULL: the defaults) starts; or the process ends. */
void standby_say_start(net_t *net, const mray_init_opts *opts);
void standby_say_exit(net_t *net);
/* The others: wait for it. The options of the session that starts, valid until the next call; NULL when the process is to end. */
const mray_init_opts *standby_wait(net_t *net);

#endif
