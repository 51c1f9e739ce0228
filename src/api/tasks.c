/* tasks.c: the public calls on tasks. */
#include "error.h"
#include "functions.h"
#include "log.h"
#include "session.h"
#include "submit.h"

#include <mray/task.h>
#include <stdio.h>

int mray_submit(const mray_function *function, const mray_arg *args, int n_args, const mray_task_opts *opts, mray_ref *refs_p)
{
    int n_refs = opts != NULL && opts->num_returns > 0 ? opts->num_returns : 1;
    if (refs_p == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_submit: refs_p is NULL");
    ep_t *ep = session_endpoint("mray_remote");
    int status = ep == NULL ? MRAY_ERR_NOT_INITIALIZED : MRAY_OK;
    if (status == MRAY_OK && function == NULL) status = base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_submit: function is NULL");
    if (status == MRAY_OK && functions_at(function->index) != function)
        status = base_error(MRAY_ERR_TASK_NOT_FOUND, "mray_remote(%s): the function is not registered; define it by MRAY_TASK, or call "
                            "mray_function_register() on every rank before mray_init()", function->name != NULL ? function->name : "?");
    if (status != MRAY_OK) {
        submit_fail_refs(refs_p, n_refs, status);
        return status;
    }
    submit_kind_t kind = {.kind = RECORD_TASK, .what = function->name};
    return submit_call(ep, &kind, function, args, n_args, opts, refs_p);
}

mray_ref mray_submit_one(const mray_function *function, const mray_arg *args, int n_args, const mray_task_opts *opts)
{
    mray_ref refs[1];
    if (opts != NULL && opts->num_returns > 1) {
        refs[0] = (mray_ref){.gen = (uint32_t)base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_remote_with: num_returns is %d; use mray_remote_n()", opts->num_returns)};
    } else if (mray_submit(function, args, n_args, opts, refs) != MRAY_OK) {
        log_warn("%s", mray_error_message()); /* the caller may drop the nil ref: nothing is lost in silence */
    }
    return refs[0];
}

const mray_function *mray_function_find(const char *name)
{
    return name != NULL ? functions_find(name) : NULL;
}
