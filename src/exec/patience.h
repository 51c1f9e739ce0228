/* patience.h: how long a copy of another node's object waits for one who asked for it and went away without its value: a poll, or a wait for several.
 *
 * Usually PATIENCE_NS. Who polls less often than that would never find anything, since each poll fetches anew and the copy goes before the next. So what
 * went unseen is noted, and who asks for it once more finds its copy the third time: it stays twice as long as the first two polls lay apart.
 *
 * A note a place, by hash: one that another takes the place of begins anew. Guarded by the agent's lock. */
#ifndef MRAY_EXEC_PATIENCE_H
#define MRAY_EXEC_PATIENCE_H

#include <mray/ref.h>
#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_NS UINT64_C(5000000000)
#define PATIENCE_MAX_NS UINT64_C(600000000000)
enum { PATIENCE_PLACES = 1024 };

/* Zero is an empty one. */
typedef struct {
    bool any;
    struct {
        mray_ref ref;
        uint64_t since_ns;
    } places[PATIENCE_PLACES];
} patience_t;

/* How long a copy that is made now waits. */
uint64_t patience_for(const patience_t *all, mray_ref ref, uint64_t now_ns);
/* A copy goes that nobody asked for since then. */
void patience_note(patience_t *all, mray_ref ref, uint64_t since_ns);

#endif
