/* request.h: asking an agent something and waiting for the answer. The answer lands in a slot of the asker, so that it is waited for
 * like any object, and the asker may sit anywhere: a driver, a worker, another node. */
#ifndef MRAY_EXEC_REQUEST_H
#define MRAY_EXEC_REQUEST_H

#include "agent.h"

enum { REQUEST_MAX_ANSWER = 16384 }; /* above 24 bytes it takes room in the object store of the answering side's node */

/* Send a message to this rank's agent and wait for the answer. body begins with an mray_ref, which is set here to say where the answer goes.
 * answer receives exactly answer_bytes. Errors: LIMIT, and what the answerer says, with its sentence. */
int request_call(ep_t *ep, control_type_t type, void *body, uint32_t bytes, void *answer, uint32_t answer_bytes);

/* The same for an answer of any length up to answer_bytes; *got_p is how long it is. Errors: also BUFFER_TOO_SMALL, nothing copied. */
int request_call_sized(ep_t *ep, control_type_t type, void *body, uint32_t bytes, void *answer, uint32_t answer_bytes, uint32_t *got_p);

/* Answer from the agent's side: status with text (NULL: the thread's error sentence), or MRAY_OK with data. */
void request_answer(agent_t *agent, mray_ref reply, int status, const char *text, const void *data, uint32_t bytes);

/* At start: the message that carries answers between nodes. */
void request_register(agent_t *agent);

#endif
