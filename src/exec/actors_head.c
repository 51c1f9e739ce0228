/* actors_head.c: the actor table at work. Placement: the rank with the fewest actors among those that run tasks, nearest to the caller
 * where several have as few. */
#include "actors_head.h"

#include "error.h"
#include "log.h"
#include "request.h"

#include <stdlib.h>
#include <string.h>

struct actors_head {
    agent_t *agent;
    actor_table_t *table;
};

int actors_head_create(agent_t *agent, actors_head_t **head_p)
{
    actors_head_t *head = calloc(1, sizeof *head);
    if (head == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the table of actors");
    int status = actor_table_create(agent->node->n_ranks, &head->table);
    if (status != MRAY_OK) {
        free(head);
        return status;
    }
    head->agent = agent;
    *head_p = head;
    return MRAY_OK;
}

void actors_head_destroy(actors_head_t *head)
{
    if (head == NULL) return;
    actor_table_destroy(head->table);
    free(head);
}

/* Ranks without workers host no actors: the driver's own. Other nodes' ranks always have some. */
static bool may_host(const node_t *node, int rank)
{
    int place = node->node_rank_of[rank];
    return place < 0 || node->segs[place].hdr->n_workers > 0;
}

/* 0: the caller itself, 1: its node, 2: elsewhere. */
static int distance(const net_info_t *info, int rank, int from)
{
    return rank == from ? 0 : info->node_of_rank[rank] == info->node_of_rank[from] ? 1 : 2;
}

static int pick_rank(const actors_head_t *head, const actors_place_t *place)
{
    const net_info_t *info = net_info(head->agent->net);
    int best = -1, from = (int)place->maker.rank;
    for (int r = 0; r < info->n_ranks; r++) {
        if (!may_host(head->agent->node, r)) continue;
        uint32_t n = actor_table_count(head->table, (uint32_t)r), least = best >= 0 ? actor_table_count(head->table, (uint32_t)best) : 0;
        if (best < 0 || n < least || (n == least && distance(info, r, from) < distance(info, best, from))) best = r;
    }
    return best >= 0 ? best : from;
}

void actors_head_place(actors_head_t *head, const actors_place_t *place)
{
    agent_t *agent = head->agent;
    actor_row_t row = {.rank = (uint32_t)pick_rank(head, place), .class_fn = place->class_fn, .maker = place->maker, .reply = place->reply,
                       .detached = place->detached != 0};
    memcpy(row.name, place->name, sizeof row.name);
    uint32_t ticket;
    int status = actor_table_add(head->table, &row, &ticket);
    if (status != MRAY_OK)
        request_answer(agent, place->reply, status, NULL, NULL, 0);
    else
        agent_send(agent, (int)row.rank, CONTROL_ACTOR_MAKE, &ticket, sizeof ticket);
}

static void end_actor(agent_t *agent, const actor_row_t *row, actor_end_t end)
{
    actors_kill_t kill = {.rank = row->rank, .id = row->id, .end = end, .relayed = 1};
    agent_send(agent, (int)row->rank, CONTROL_ACTOR_KILL, &kill, sizeof kill);
}

void actors_head_made(actors_head_t *head, const actors_made_t *made)
{
    agent_t *agent = head->agent;
    actor_row_t *row = actor_table_at(head->table, made->ticket);
    if (row == NULL) return;
    mray_ref reply = row->reply;
    int status = made->status;
    if (status != MRAY_OK) {
        base_error_set(made->text);
    } else {
        status = actor_table_made(head->table, made->ticket, made->id);
        if (status != MRAY_OK) { /* no memory for the row: the actor cannot stay */
            actor_row_t lost = {.rank = row->rank, .id = made->id};
            end_actor(agent, &lost, ACTOR_END_KILLED);
        }
    }
    if (status != MRAY_OK) {
        actor_table_remove(head->table, made->ticket);
        request_answer(agent, reply, status, NULL, NULL, 0);
        return;
    }
    mray_actor handle = {.rank = row->rank, .id = row->id, .maker = row->class_fn, .epoch = agent->node->epoch};
    request_answer(agent, reply, MRAY_OK, NULL, &handle, sizeof handle);
    if (row->doomed) end_actor(agent, row, ACTOR_END_MAKER_DIED);
}

void actors_head_find(actors_head_t *head, const actors_find_t *find)
{
    agent_t *agent = head->agent;
    uint32_t ticket = actor_table_find_name(head->table, find->name);
    if (ticket == 0) {
        int status = base_error(MRAY_ERR_ACTOR_NOT_FOUND, "mray_actor_find: there is no actor named '%s'", find->name);
        request_answer(agent, find->reply, status, NULL, NULL, 0);
        return;
    }
    const actor_row_t *row = actor_table_at(head->table, ticket);
    mray_actor handle = {.rank = row->rank, .id = row->id, .maker = row->class_fn, .epoch = agent->node->epoch};
    request_answer(agent, find->reply, MRAY_OK, NULL, &handle, sizeof handle);
}

void actors_head_forget(actors_head_t *head, uint32_t rank, uint32_t id)
{
    actor_table_forget_name(head->table, actor_table_find(head->table, rank, id));
}

/* What a dead endpoint had made ends with it. */
static void end_all_of(actors_head_t *head, actor_maker_t maker)
{
    for (uint32_t t = 0; (t = actor_table_next_of(head->table, maker, t)) != 0;) {
        actor_row_t *row = actor_table_at(head->table, t);
        if (row->id == 0)
            row->doomed = true;
        else
            end_actor(head->agent, row, ACTOR_END_MAKER_DIED);
    }
}

void actors_head_dead(actors_head_t *head, const actors_gone_t *dead)
{
    agent_t *agent = head->agent;
    const net_info_t *info = net_info(agent->net);
    if (dead->id != 0) actor_table_remove(head->table, actor_table_find(head->table, dead->rank, dead->id));
    end_all_of(head, dead->maker);
    if (dead->id == 0 || !info->multi_node) return;
    /* The first rank of each other node looks for calls that wait there. */
    for (int r = 0, told = info->node_of_rank[dead->rank]; r < info->n_ranks; r++) {
        bool first = true;
        for (int q = 0; q < r && first; q++) first = info->node_of_rank[q] != info->node_of_rank[r];
        if (first && info->node_of_rank[r] != told) agent_send(agent, r, CONTROL_ACTOR_GONE, dead, sizeof *dead);
    }
}
