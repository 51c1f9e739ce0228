/* timeout.h: the time limit that a caller gives, as a deadline. */
#ifndef MRAY_API_TIMEOUT_H
#define MRAY_API_TIMEOUT_H

#include "clock.h"
#include "error.h"

#include <mray/object.h>

/* In base_clock_ns(); 0: do not wait. what: the call, for the sentence. */
static inline int timeout_deadline(const char *what, int64_t timeout_ns, uint64_t *deadline_p)
{
    *deadline_p = 0;
    if (timeout_ns < 0)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: the timeout is negative (%lld ns); 0 polls, MRAY_FOREVER waits", what, (long long)timeout_ns);
    if (timeout_ns > 0) *deadline_p = timeout_ns == MRAY_FOREVER ? BASE_FOREVER : base_clock_deadline((uint64_t)timeout_ns);
    return MRAY_OK;
}

#endif
