/* outbox.c: see outbox.h. */
#include "outbox.h"

#include "error.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

typedef struct message {
    struct message *next;
    uint16_t type;
    uint32_t bytes;
    _Alignas(8) uint8_t body[];
} message_t;

typedef struct {
    message_t *head, *tail;
} lane_t;

struct outbox {
    outbox_send_fn send_fn;
    void *ctx;
    int n_ranks;
    uint64_t n_messages;
    lane_t lanes[]; /* by rank */
};

int outbox_create(int n_ranks, outbox_send_fn send_fn, void *ctx, outbox_t **outbox_p)
{
    outbox_t *outbox = calloc(1, sizeof *outbox + (size_t)n_ranks * sizeof outbox->lanes[0]);
    if (outbox == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the agent's outbox");
    outbox->send_fn = send_fn;
    outbox->ctx = ctx;
    outbox->n_ranks = n_ranks;
    *outbox_p = outbox;
    return MRAY_OK;
}

static void take_head(outbox_t *outbox, lane_t *lane)
{
    message_t *m = lane->head;
    lane->head = m->next;
    outbox->n_messages--;
    free(m);
}

void outbox_destroy(outbox_t *outbox)
{
    if (outbox == NULL) return;
    for (int r = 0; r < outbox->n_ranks; r++)
        while (outbox->lanes[r].head != NULL) take_head(outbox, &outbox->lanes[r]);
    free(outbox);
}

bool outbox_waits_for(const outbox_t *outbox, int rank)
{
    return outbox->n_messages > 0 && outbox->lanes[rank].head != NULL;
}

bool outbox_is_empty(const outbox_t *outbox)
{
    return outbox->n_messages == 0;
}

static void keep(outbox_t *outbox, int rank, uint16_t type, const void *body, uint32_t bytes)
{
    lane_t *lane = &outbox->lanes[rank];
    message_t *m = malloc(sizeof *m + bytes);
    if (m == NULL) { /* whoever waits for it would do so for ever */
        log_error("no memory for a message to rank %d, to which %llu wait; the program ends", rank, (unsigned long long)outbox->n_messages);
        abort();
    }
    if (lane->head == NULL) log_debug("messages to rank %d wait for room", rank);
    m->next = NULL;
    m->type = type;
    m->bytes = bytes;
    if (bytes > 0) memcpy(m->body, body, bytes);
    if (lane->head != NULL)
        lane->tail->next = m;
    else
        lane->head = m;
    lane->tail = m;
    outbox->n_messages++;
}

void outbox_send(outbox_t *outbox, int rank, uint16_t type, const void *body, uint32_t bytes)
{
    if (outbox_waits_for(outbox, rank) || !outbox->send_fn(outbox->ctx, rank, type, body, bytes)) keep(outbox, rank, type, body, bytes);
}

int outbox_round(outbox_t *outbox)
{
    int n = 0;
    for (int r = 0; outbox->n_messages > 0 && r < outbox->n_ranks; r++) {
        lane_t *lane = &outbox->lanes[r];
        for (; lane->head != NULL && outbox->send_fn(outbox->ctx, r, lane->head->type, lane->head->body, lane->head->bytes); n++) take_head(outbox, lane);
    }
    return n;
}
