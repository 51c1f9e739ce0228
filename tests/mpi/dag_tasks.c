/* dag_tasks.c: the tasks and the actor of random graphs. */
#include "dag_tasks.h"

#include <stdlib.h>
#include <string.h>

MRAY_TASK(uint64_t, dag_mix, uint64_t, a, uint64_t, b) { return check_mix(a, b); }

MRAY_TASK(uint64_t, dag_five, uint64_t, a, uint64_t, b, uint64_t, c, uint64_t, d, uint64_t, e)
{
    return check_mix(check_mix(check_mix(a, b), check_mix(c, d)), e);
}

MRAY_TASK(mray_array(uint64_t), dag_make, uint64_t, seed, uint64_t, n)
{
    mray_array(uint64_t) v = mray_return_array(uint64_t, n);
    if (v.data == NULL && n > 0)
        mray_fail("no room for %llu words: %s", (unsigned long long)n, mray_error_message());
    else
        dag_fill_words(seed, v.data, n);
    return v;
}

MRAY_TASK(uint64_t, dag_fold, mray_array(uint64_t), v) { return dag_fold_words(v.data, v.n); }

/* Small results by way of the stack, large ones without a copy. */
MRAY_TASK(mray_array(uint64_t), dag_blend, mray_array(uint64_t), a, mray_array(uint64_t), b)
{
    static _Thread_local uint64_t small[32];
    uint64_t n = a.n > b.n ? a.n : b.n;
    mray_array(uint64_t) v = mray_array_of(uint64_t, small, n);
    if (n > 32) v = mray_return_array(uint64_t, n);
    if (v.data == NULL)
        mray_fail("no room for %llu words: %s", (unsigned long long)n, mray_error_message());
    else
        dag_blend_words(a.data, a.n, b.data, b.n, v.data);
    return v;
}

MRAY_TASK(uint64_t, dag_split, uint64_t, a, mray_array(uint64_t), v)
{
    if (mray_return(1, mray_array_of(uint64_t, v.data, v.n / 2)) != MRAY_OK || mray_return(2, check_mix(a, v.n)) != MRAY_OK)
        mray_fail("mray_return: %s", mray_error_message());
    return dag_fold_words(v.data + v.n / 2, v.n - v.n / 2);
}

int dag_refusal_of(const char *sentence)
{
    const char *mark = strstr(sentence, "refusal ");
    return mark != NULL ? atoi(mark + strlen("refusal ")) : -1;
}

/* A value or an array, or its error, which is no failure here. */
MRAY_TASK(uint64_t, dag_look, mray_ref, ref)
{
    mray_view view;
    int status = mray_get_view(ref, MRAY_FOREVER, &view);
    if (status != MRAY_OK) {
        if (status == MRAY_ERR_TASK && dag_refusal_of(mray_error_message()) >= 0) return DAG_STATUS_MARK;
        mray_fail("mray_get_view: %s", mray_error_message());
        return 0;
    }
    uint64_t h = view.ndim > 0 ? dag_fold_words(view.data, view.size / 8) : *(const uint64_t *)view.data;
    mray_view_release(&view);
    return h;
}

/* Pass an error on by its number: wrapped again and again the sentence would be cut. */
static void fail_as(int status)
{
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s", mray_error_message());
    int number = dag_refusal_of(sentence);
    if (number >= 0)
        mray_fail("refusal %d", number);
    else
        mray_fail("%s: %s", mray_status_name(status), sentence);
}

/* Hands on refs that it was given, as values. */
MRAY_TASK(uint64_t, dag_delegate, mray_ref, a, mray_ref, b, int, max_retries)
{
    mray_ref ref = mray_remote_with(mray_opts(.max_retries = max_retries), dag_mix, a, b);
    uint64_t x = 0;
    int status = mray_get(ref, &x);
    if (status != MRAY_OK) fail_as(status);
    if (!mray_ref_is_nil(ref)) (void)mray_release(ref);
    return x;
}

MRAY_TASK(uint64_t, dag_nest, uint64_t, a, int, depth, int, width, int, max_retries)
{
    if (depth == 0) return check_mix(a, 7);
    mray_task_opts opts = {.max_retries = max_retries};
    mray_ref refs[2 * DAG_MAX_WIDTH];
    uint64_t x = 0;
    for (int i = 0; i < width; i++) refs[i] = mray_remote_with(opts, dag_nest, a + (uint64_t)i, depth - 1, width, max_retries);
    refs[width] = mray_remote_with(opts, dag_mix, a, refs[0]);
    for (int i = 1; i < width; i++) refs[width + i] = mray_remote_with(opts, dag_mix, refs[width + i - 1], refs[i]);
    int status = mray_get(refs[2 * width - 1], &x);
    if (status != MRAY_OK) fail_as(status);
    status = mray_release_many(refs, 2 * (size_t)width);
    if (status != MRAY_OK) fail_as(status);
    return x;
}

MRAY_TASK(uint64_t, dag_refuse, int, number)
{
    mray_fail("refusal %d", number);
    return 1;
}

MRAY_ACTOR(dag_cell, uint64_t, start)
{
    self->state = start;
}

MRAY_METHOD(uint64_t, dag_cell, step, uint64_t, x)
{
    return self->state = check_mix(self->state, x);
}

/* Commutes, so that several callers may come in any order. */
MRAY_METHOD(uint64_t, dag_cell, add, uint64_t, x)
{
    return self->state += x;
}

MRAY_METHOD(uint64_t, dag_cell, read)
{
    return self->state;
}

MRAY_TASK(uint64_t, dag_tell, mray_actor, total, uint64_t, x)
{
    mray_ref ref = mray_call(total, dag_cell, add, x);
    uint64_t seen = 0;
    int status = mray_get(ref, &seen);
    if (status != MRAY_OK) fail_as(status);
    if (!mray_ref_is_nil(ref)) (void)mray_release(ref);
    return check_mix(x, 11);
}
