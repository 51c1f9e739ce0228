/* drive.h: a thread of the program does the agent's rounds itself while it waits, in a job of several nodes. Between a message's arrival and the thread
 * that waits for it there is then no other thread to be woken: that would take longer than the message.
 *
 * At most one thread drives. While it does, the helper thread stays asleep, looks again every DRIVE_HELPER_NAP_NS, and counts as awake (asleep = 0), so that
 * who pushes to the agent wakes nobody:
 *
 *   agent->driver   0 --claim--> gid --nap--> gid | NAPS --claim--> gid --release--> 0
 *   asleep          1 ---------> 0 ---------> 1 ----------------> 0 ------------> 1      if the helper sleeps in its futex (agent->parked)
 *
 * Who sets asleep back to 1 looks at the inbox after that, as every sleeper does, and wakes the helper if something came. */
#ifndef MRAY_EXEC_DRIVE_H
#define MRAY_EXEC_DRIVE_H

#include "agent.h"
#include "proxies.h"

enum { DRIVE_HELPER_NAP_NS = 250 * 1000 };

/* The agent of this process may be driven by its waiting threads from now on, until agent is NULL. */
void drive_install(agent_t *agent);

/* Before ep pushes something to its own agent. True: nobody is woken for it, and drive_after_push(), or a wait, comes next. */
bool drive_before_push(ep_t *ep);
void drive_after_push(void);
/* The same for what is not urgent: it is handled in the next round that somebody makes, 5 ms later at most. */
bool drive_before_quiet_push(ep_t *ep);
void drive_after_quiet_push(void);

/* While this thread waits for *take (proxies.h) it copies what has come of it; NULL: no more. */
void drive_set_take(proxies_take_t *take);

/* For the helper: a driver makes rounds now; one is there, but it may be asleep. */
bool drive_is_at_it(const agent_t *agent);
bool drive_has_driver(const agent_t *agent);

#endif
