/* status_text.h: what the ranks of this node are doing, in a few lines for people. */
#ifndef MRAY_OBS_STATUS_TEXT_H
#define MRAY_OBS_STATUS_TEXT_H

#include "endpoint.h"

/* As mray_status_report(). Counts are a look at moving tables: right when nothing moves. */
size_t status_text(const ep_t *ep, char *buf, size_t buf_bytes);

#endif
