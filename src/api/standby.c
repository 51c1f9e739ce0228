/* standby.c: one allgather, of which only rank 0's part counts. It sleeps between looks, however long it takes (net.h). */
#include "standby.h"

#include "node_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { COMMAND_NONE = 0, COMMAND_START, COMMAND_EXIT } command_kind_t;

/* Options without pointers. */
typedef struct {
    int32_t kind;
    int32_t n_resources;
    mray_init_opts opts;
    char log_level[8];
    struct {
        char name[NODE_RESOURCE_NAME];
        double amount;
    } resources[NODE_MAX_RESOURCES];
} command_t;

static bool exchange(net_t *net, command_t *command)
{
    const net_info_t *info = net_info(net);
    command_t *all = calloc((size_t)info->n_ranks, sizeof *all);
    bool got = all != NULL && net_allgather(net, command, sizeof *command, all) == MRAY_OK;
    if (got) *command = all[0];
    free(all);
    return got;
}

void standby_say_start(net_t *net, const mray_init_opts *opts)
{
    command_t command;
    memset(&command, 0, sizeof command);
    command.kind = COMMAND_START;
    if (opts != NULL) {
        command.opts = *opts;
        if (opts->log_level != NULL) snprintf(command.log_level, sizeof command.log_level, "%s", opts->log_level);
        for (int i = 0; i < opts->n_resources && i < NODE_MAX_RESOURCES && opts->resources[i].name != NULL; i++, command.n_resources++) {
            snprintf(command.resources[i].name, NODE_RESOURCE_NAME, "%s", opts->resources[i].name);
            command.resources[i].amount = opts->resources[i].amount;
        }
    }
    (void)exchange(net, &command);
}

void standby_say_exit(net_t *net)
{
    command_t command;
    memset(&command, 0, sizeof command);
    command.kind = COMMAND_EXIT;
    (void)exchange(net, &command);
}

const mray_init_opts *standby_wait(net_t *net)
{
    static command_t command; /* one session at a time */
    static mray_resource resources[NODE_MAX_RESOURCES];
    memset(&command, 0, sizeof command);
    if (!exchange(net, &command) || command.kind != COMMAND_START) return NULL;
    command.opts.log_level = command.log_level[0] != 0 ? command.log_level : NULL;
    for (int i = 0; i < command.n_resources; i++) resources[i] = (mray_resource){command.resources[i].name, command.resources[i].amount};
    command.opts.resources = command.n_resources > 0 ? resources : NULL;
    command.opts.n_resources = command.n_resources;
    return &command.opts;
}
