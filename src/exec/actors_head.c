/* actors_head.c: the actor table at work. Placement: among the ranks that have what the actor keeps, the one with the fewest actors, nearest
 * to the caller where several have as few; of those that are spread, each rank in turn. Where other actors keep too much of it, the new one waits for one of them to end. */
#include "actors_head.h"

#include "error.h"
#include "head.h"
#include "log.h"
#include "lost.h"
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An actor that has no place yet. */
typedef struct waiting {
    struct waiting *next;
    bool gone; /* its maker died */
    actors_place_t place;
} waiting_t;

struct actors_head {
    agent_t *agent;
    actor_table_t *table;
    waiting_t *waiting, **last; /* oldest first */
    bool changed;               /* an actor ended since they were looked at */
    unsigned turn;              /* of those that are spread */
    int known;                  /* ranks that had said what they have then */
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
    head->last = &head->waiting;
    *head_p = head;
    return MRAY_OK;
}

void actors_head_destroy(actors_head_t *head)
{
    if (head == NULL) return;
    for (waiting_t *w = head->waiting, *next; w != NULL; w = next) {
        next = w->next;
        free(w);
    }
    actor_table_destroy(head->table);
    free(head);
}

/* ---- placement ---- */

static node_shape_t shape_of(const actors_place_t *place)
{
    node_shape_t shape = {.cpu = (uint32_t)(place->num_cpus * NODE_UNIT + 0.5), .strategy = place->strategy};
    if (place->resource[0] != 0) {
        shape.resource = node_resource_hash(place->resource);
        shape.amount = (uint32_t)(place->resource_amount * NODE_UNIT + 0.5);
    }
    return shape;
}

/* Could the rank ever have it? One that has not said what it has takes what asks for nothing, if it has workers. */
static bool is_feasible(const actors_head_t *head, int rank, const node_shape_t *shape)
{
    const node_t *node = head->agent->node;
    const node_row_t *row = node_table_row(head_nodes(head->agent->head), rank);
    if (row->state == NODE_ALIVE) return node_row_slots(row, shape) > 0;
    int place = node->node_rank_of[rank];
    return row->state == NODE_UNKNOWN && shape->cpu == 0 && shape->resource == 0 && (place < 0 || node->segs[place].hdr->n_workers > 0);
}

/* What other actors keep there leaves enough. Tasks end, so they do not count. */
static bool has_room(const actors_head_t *head, int rank, const node_shape_t *shape)
{
    uint64_t cpu, amount;
    const node_row_t *row = node_table_row(head_nodes(head->agent->head), rank);
    if (shape->cpu == 0 && shape->resource == 0) return true;
    actor_table_kept(head->table, (uint32_t)rank, shape->resource, &cpu, &amount);
    return cpu + shape->cpu <= row->cpu_total && (shape->resource == 0 || amount + shape->amount <= node_row_amount(row, shape->resource));
}

/* 0: the caller itself, 1: its node, 2: elsewhere. */
static int distance(const net_info_t *info, int rank, int from)
{
    return rank == from ? 0 : info->node_of_rank[rank] == info->node_of_rank[from] ? 1 : 2;
}

/* Round robin over those with room. */
static int pick_in_turn(actors_head_t *head, const node_shape_t *shape)
{
    unsigned n = (unsigned)net_info(head->agent->net)->n_ranks;
    int found = SCHED_INFEASIBLE;
    for (unsigned i = 0; i < n; i++) {
        unsigned r = (head->turn + i) % n;
        if (!is_feasible(head, (int)r, shape)) continue;
        found = SCHED_NONE;
        if (!has_room(head, (int)r, shape)) continue;
        head->turn = r + 1;
        return (int)r;
    }
    return found;
}

static int pick_rank(actors_head_t *head, const node_shape_t *shape, int from)
{
    if (shape->strategy == NODE_STRATEGY_SPREAD) return pick_in_turn(head, shape);
    const net_info_t *info = net_info(head->agent->net);
    int best = SCHED_INFEASIBLE;
    for (int r = 0; r < info->n_ranks; r++) {
        if (!is_feasible(head, r, shape)) continue;
        if (best == SCHED_INFEASIBLE) best = SCHED_NONE;
        if (!has_room(head, r, shape)) continue;
        uint32_t n = actor_table_count(head->table, (uint32_t)r), least = best >= 0 ? actor_table_count(head->table, (uint32_t)best) : 0;
        if (best < 0 || n < least || (n == least && distance(info, r, from) < distance(info, best, from))) best = r;
    }
    return best;
}

static int say_unschedulable(const actors_head_t *head, const actors_place_t *place, const node_shape_t *shape)
{
    uint64_t cpu, amount;
    node_table_best(head_nodes(head->agent->head), shape->resource, &cpu, &amount);
    if (shape->resource != 0)
        return base_error(MRAY_ERR_TASK_UNSCHEDULABLE, "mray_actor_create: no rank has %g of the resource '%s' and %g CPUs; the most that one has is %g and %g",
                          place->resource_amount, place->resource, place->num_cpus, (double)amount / NODE_UNIT, (double)cpu / NODE_UNIT);
    return base_error(MRAY_ERR_TASK_UNSCHEDULABLE, "mray_actor_create: no rank has %g CPUs; the most that one has is %g", place->num_cpus, (double)cpu / NODE_UNIT);
}

/* False: it must wait until another actor has ended, or until every rank has said what it has. */
static bool try_place(actors_head_t *head, const actors_place_t *place)
{
    agent_t *agent = head->agent;
    node_shape_t shape = shape_of(place);
    int rank = pick_rank(head, &shape, (int)place->maker.rank);
    bool all_known = node_table_known(head_nodes(agent->head)) == agent->node->n_ranks;
    if (rank == SCHED_NONE || (rank == SCHED_INFEASIBLE && !all_known)) return false;
    if (rank == SCHED_INFEASIBLE) {
        request_answer(agent, place->reply, say_unschedulable(head, place, &shape), NULL, NULL, 0);
        return true;
    }
    actor_row_t row = {.rank = (uint32_t)rank, .class_fn = place->class_fn, .maker = place->maker, .reply = place->reply, .shape = shape,
                       .detached = place->detached != 0};
    memcpy(row.name, place->name, sizeof row.name);
    uint32_t ticket;
    int status = actor_table_add(head->table, &row, &ticket);
    if (status != MRAY_OK) {
        request_answer(agent, place->reply, status, NULL, NULL, 0);
        return true;
    }
    head_take(agent->head, rank, &shape);
    agent_send(agent, rank, CONTROL_ACTOR_MAKE, &ticket, sizeof ticket);
    return true;
}

static void remove_row(actors_head_t *head, uint32_t ticket)
{
    const actor_row_t *row = actor_table_at(head->table, ticket);
    if (row == NULL) return;
    head_give(head->agent->head, (int)row->rank, &row->shape);
    actor_table_remove(head->table, ticket);
    head->changed = true;
}

void actors_head_place(actors_head_t *head, const actors_place_t *place)
{
    if (try_place(head, place)) return;
    waiting_t *w = malloc(sizeof *w);
    if (w == NULL) {
        request_answer(head->agent, place->reply, base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for an actor that waits for room"), NULL, NULL, 0);
        return;
    }
    *w = (waiting_t){.place = *place};
    *head->last = w;
    head->last = &w->next;
    if (head->waiting == w) log_info("an actor waits for what others keep: %g CPUs, %g of '%s'", place->num_cpus, place->resource_amount, place->resource);
}

/* In the order in which they came; one that finds no room does not keep others waiting. */
int actors_head_round(actors_head_t *head)
{
    int known = node_table_known(head_nodes(head->agent->head)), n = 0;
    if (head->waiting == NULL || (!head->changed && known == head->known)) return 0;
    head->changed = false;
    head->known = known;
    waiting_t *w = head->waiting;
    head->waiting = NULL;
    head->last = &head->waiting;
    while (w != NULL) {
        waiting_t *next = w->next;
        if (w->gone || try_place(head, &w->place)) {
            free(w);
            n++;
        } else {
            w->next = NULL;
            *head->last = w;
            head->last = &w->next;
        }
        w = next;
    }
    return n;
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
        remove_row(head, made->ticket);
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
    for (waiting_t *w = head->waiting; w != NULL; w = w->next)
        if (w->place.maker.rank == maker.rank && w->place.maker.number == maker.number) w->gone = true;
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
    if (dead->id != 0) remove_row(head, actor_table_find(head->table, dead->rank, dead->id));
    end_all_of(head, dead->maker);
    if (dead->id == 0 || !info->multi_node) return;
    /* The first rank of each other node looks for calls that wait there. */
    for (int r = 0, told = info->node_of_rank[dead->rank]; r < info->n_ranks; r++) {
        bool first = true;
        for (int q = 0; q < r && first; q++) first = info->node_of_rank[q] != info->node_of_rank[r];
        if (first && info->node_of_rank[r] != told) agent_send(agent, r, CONTROL_ACTOR_GONE, dead, sizeof *dead);
    }
}

void actors_head_rank_lost(actors_head_t *head, int rank)
{
    char text[128];
    int status = lost_error(text, sizeof text, rank);
    for (waiting_t *w = head->waiting; w != NULL; w = w->next) w->gone |= (int)w->place.maker.rank == rank;
    for (uint32_t t = 0; (t = actor_table_next_with(head->table, (uint32_t)rank, t)) != 0;) {
        actor_row_t *row = actor_table_at(head->table, t);
        if ((int)row->rank != rank) { /* made by somebody there, and not detached */
            if (row->id == 0) row->doomed = true;
            else end_actor(head->agent, row, ACTOR_END_MAKER_DIED);
            continue;
        }
        if (row->id == 0) {
            mray_ref reply = row->reply;
            remove_row(head, t);
            request_answer(head->agent, reply, status, text, NULL, 0);
            continue;
        }
        actors_gone_t dead;
        memset(&dead, 0, sizeof dead);
        dead.rank = (uint32_t)rank;
        dead.id = row->id;
        dead.maker = (actor_maker_t){.rank = (uint32_t)rank, .number = UINT32_MAX}; /* what it had made itself is found by its rank */
        snprintf(dead.reason, sizeof dead.reason, "%s", text);
        actors_head_dead(head, &dead);
    }
}
