/* standby.c: one allgather, of which only rank 0's part counts. It sleeps between looks, however long it takes (net.h). */
#include "standby.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { COMMAND_NONE = 0, COMMAND_START, COMMAND_EXIT } command_kind_t;

/* Options without pointers. */
typedef struct {
    int32_t kind;
    mray_init_opts opts;
    char log_level[8];
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

bool standby_wait(net_t *net, const mray_init_opts *own, mray_init_opts *opts_p)
{
    static command_t command; /* holds the level's name; one session at a time */
    memset(&command, 0, sizeof command);
    if (!exchange(net, &command) || command.kind != COMMAND_START) return false;
    *opts_p = command.opts;
    opts_p->log_level = command.log_level[0] != 0 ? command.log_level : NULL;
    opts_p->resources = own != NULL ? own->resources : NULL;
    opts_p->n_resources = own != NULL ? own->n_resources : 0;
    return true;
}
