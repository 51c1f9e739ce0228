/* control.h: messages to agents. On the node they travel as RECORD_CONTROL records, between nodes as items of net.h with the same
 * number and body; the handlers serve both. */
#ifndef MRAY_EXEC_CONTROL_H
#define MRAY_EXEC_CONTROL_H

#include <mray/ref.h>
#include <stdint.h>

typedef enum {
    CONTROL_SPAWN = 1, /* a worker blocks and no spare is there: no body */
    CONTROL_STOP_NODE, /* head to all: the session ends: no body */
    CONTROL_PROXY,     /* control_proxy_t: an endpoint of this rank wants a proxy */
    CONTROL_DROP,      /* control_drop_t: a hold at another rank is given back */
    CONTROL_N,
} control_type_t;

typedef struct {
    mray_ref ref;
    uint32_t reply_sid; /* slot that receives the proxy's sid, or an error */
} control_proxy_t;

typedef struct {
    mray_ref ref;
} control_drop_t;

#endif
