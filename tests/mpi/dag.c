/* dag.c: the driver of a random graph.
 *
 * A window of live nodes: each step makes one whose arguments are picked from the window, and knows at once what it must come to.
 * A node that leaves the window is compared with that (most are) and released. Some objects are created and sealed only some
 * steps later, so that what depends on them piles up. Whatever the driver waits for can be answered: it seals all first. */
#include "dag.h"

#include "dag_tasks.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 300, N_CELLS = 3, MAX_UNSEALED = 8, BIG_WORDS = 32768 };

/* A refused task, or a dependent of some: the refusal that its sentence tells of is one of those in `causes`, by number mod 64. */
typedef struct {
    mray_ref ref;
    bool is_array;
    bool has_effect; /* on the total that is compared at the end: it must have run by then */
    uint64_t causes; /* 0: succeeds */
    uint64_t value;
    uint64_t *words;
    uint64_t n;
} node_t;

typedef struct {
    const dag_config_t *config;
    uint64_t random;
    int step, n_refusals;
    node_t window[WINDOW + 4];
    int n_live;
    struct {
        mray_ref ref;
        void *data;
        uint64_t value;
    } unsealed[MAX_UNSEALED];
    int n_unsealed;
    mray_actor cells[N_CELLS], total;
    uint64_t cell_states[N_CELLS], total_state;
} dag_t;

static uint64_t below(dag_t *d, uint64_t n)
{
    return check_random(&d->random) % n;
}

static node_t *new_node(dag_t *d)
{
    node_t *node = &d->window[d->n_live++];
    *node = (node_t){0};
    return node;
}

static uint64_t *new_words(node_t *node, uint64_t n)
{
    node->is_array = true;
    node->n = n;
    node->words = calloc(n + 1, 8);
    if (node->words == NULL) abort();
    return node->words;
}

/* Mostly small ones, some of up to 256 KiB. */
static uint64_t random_length(dag_t *d)
{
    switch (below(d, 20)) {
    case 0: return below(d, BIG_WORDS + 1);
    case 1: return below(d, 4096);
    case 2: return 0;
    default: return below(d, 40);
    }
}

/* A live node of that kind, or NULL; seldom one that fails, or all would in the end. */
static node_t *pick(dag_t *d, bool is_array)
{
    for (int attempt = 0; attempt < 20; attempt++) {
        if (d->n_live == 0) return NULL;
        node_t *node = &d->window[below(d, (uint64_t)d->n_live)];
        if (node->is_array == is_array && (node->causes == 0 || below(d, 12) == 0)) return node;
    }
    return NULL;
}

/* ---- comparing ---- */

static void check_error(dag_t *d, const node_t *node, int status)
{
    int number = dag_refusal_of(mray_error_message());
    if (status != MRAY_ERR_TASK || number < 0 || (node->causes >> (number & 63) & 1) == 0)
        check_failed(__FILE__, __LINE__, "step %d: status %s, causes %llx", d->step, mray_status_name(status), (unsigned long long)node->causes);
}

static void check_view(dag_t *d, const node_t *node)
{
    mray_view view;
    int status = mray_get_view(node->ref, MRAY_FOREVER, &view);
    if (node->causes != 0 || status != MRAY_OK) {
        if (status == MRAY_OK) mray_view_release(&view);
        check_error(d, node, status);
        return;
    }
    bool same = node->is_array ? view.size == node->n * 8 && view.ndim == 1 && memcmp(view.data, node->words, view.size) == 0
                               : view.size == 8 && view.ndim == 0 && memcmp(view.data, &node->value, 8) == 0;
    if (!same) check_failed(__FILE__, __LINE__, "step %d: a result differs", d->step);
    mray_view_release(&view);
}

static void check_copy(dag_t *d, const node_t *node)
{
    uint64_t value = 0, *buf = node->is_array ? malloc(node->n * 8 + 8) : &value;
    int status = node->is_array ? mray_get_array(node->ref, buf, node->n) : mray_get(node->ref, &value);
    if (node->causes != 0 || status != MRAY_OK)
        check_error(d, node, status);
    else if (node->is_array ? memcmp(buf, node->words, node->n * 8) != 0 : value != node->value)
        check_failed(__FILE__, __LINE__, "step %d: a result differs", d->step);
    if (node->is_array) free(buf);
}

static void seal_one(dag_t *d)
{
    if (d->n_unsealed == 0) return;
    d->n_unsealed--;
    memcpy(d->unsealed[d->n_unsealed].data, &d->unsealed[d->n_unsealed].value, 8);
    CHECK_OK(mray_seal(d->unsealed[d->n_unsealed].ref));
}

static void seal_all(dag_t *d)
{
    while (d->n_unsealed > 0) seal_one(d);
}

static void retire(dag_t *d, int index)
{
    node_t *node = &d->window[index];
    uint64_t how = below(d, 8);
    seal_all(d);
    if (how < 4)
        check_copy(d, node);
    else if (how < 7 || node->has_effect)
        check_view(d, node);
    CHECK_OK(mray_release(node->ref));
    free(node->words);
    *node = d->window[--d->n_live];
}

/* Of some nodes, those that are there. */
static void wait_for_some(dag_t *d)
{
    mray_ref refs[16];
    bool ready[16] = {false};
    size_t n = 0, n_ready = 0, need = 0;
    for (int i = 0; i < d->n_live && n < 16; i += 1 + (int)below(d, 30)) refs[n++] = d->window[i].ref;
    need = below(d, n + 1);
    if (below(d, 2) == 0) {
        seal_all(d);
        CHECK_OK(mray_wait(refs, n, need, MRAY_FOREVER, ready, &n_ready));
    } else {
        int status = mray_wait(refs, n, need, 0, ready, &n_ready);
        CHECK(status == (n_ready >= need ? MRAY_OK : MRAY_ERR_TIMEOUT));
    }
    size_t counted = 0;
    for (size_t i = 0; i < n; i++) {
        char buf[8];
        counted += ready[i];
        if (ready[i]) CHECK(mray_get_bytes(refs[i], buf, 0, (mray_type){.dtype = MRAY_BYTES, .size = 1}, 10000000000, NULL) != MRAY_ERR_TIMEOUT);
    }
    CHECK_EQUAL(counted, n_ready);
    CHECK(n_ready <= need);
}

/* ---- steps ---- */

static mray_task_opts options(dag_t *d)
{
    mray_task_opts opts = {0};
    if (below(d, 10) == 0) opts = check_on_rank(check_worker_rank((int)below(d, 1000)));
    if (below(d, 30) == 0) opts = (mray_task_opts){.num_cpus = 0.5};
    opts.max_retries = d->config->max_retries;
    return opts;
}

/* A value as an argument: of a node, or given as it is. */
typedef struct {
    mray_arg arg;
    mray_ref ref;
    uint64_t value, causes;
} operand_t;

static void operand(dag_t *d, operand_t *o)
{
    node_t *node = below(d, 4) == 0 ? NULL : pick(d, false);
    if (node != NULL) {
        *o = (operand_t){.ref = node->ref, .value = node->value, .causes = node->causes};
        o->arg = (mray_arg){.type = MRAY_TYPE_OF(o->ref), .data = &o->ref, .n = 1};
    } else {
        *o = (operand_t){.value = below(d, 1000)};
        o->arg = (mray_arg){.type = MRAY_TYPE_OF(o->value), .data = &o->value, .n = 1};
    }
}

static void step_scalars(dag_t *d, int n)
{
    operand_t o[5];
    mray_arg args[5];
    uint64_t causes = 0;
    for (int i = 0; i < n; i++) {
        operand(d, &o[i]);
        args[i] = o[i].arg;
        causes |= o[i].causes;
    }
    mray_task_opts opts = options(d);
    node_t *node = new_node(d);
    node->causes = causes;
    if (n == 2)
        node->value = check_mix(o[0].value, o[1].value);
    else
        node->value = check_mix(check_mix(check_mix(o[0].value, o[1].value), check_mix(o[2].value, o[3].value)), o[4].value);
    CHECK_OK(mray_submit(n == 2 ? &dag_mix__mray : &dag_five__mray, args, n, &opts, &node->ref));
}

static void step_make(dag_t *d)
{
    operand_t o;
    operand(d, &o);
    uint64_t n = random_length(d);
    mray_task_opts opts = options(d);
    node_t *node = new_node(d);
    node->causes = o.causes;
    dag_fill_words(o.value, new_words(node, n), n);
    mray_arg args[] = {o.arg, {.type = MRAY_TYPE_OF(n), .data = &n, .n = 1}};
    CHECK_OK(mray_submit(&dag_make__mray, args, 2, &opts, &node->ref));
}

static void step_put(dag_t *d)
{
    node_t *node = new_node(d);
    if (below(d, 2) == 0) {
        uint64_t n = random_length(d);
        dag_fill_words(below(d, 1000), new_words(node, n), n);
        node->ref = mray_put_array(node->words, n);
    } else {
        node->value = below(d, 1000);
        node->ref = mray_put(node->value);
    }
    CHECK(!mray_ref_is_nil(node->ref));
}

static void step_create(dag_t *d)
{
    if (d->n_unsealed == MAX_UNSEALED) seal_one(d);
    node_t *node = new_node(d);
    node->value = below(d, 1u << 30);
    int k = d->n_unsealed++;
    d->unsealed[k].value = node->value;
    CHECK_OK(mray_create(8, (mray_type)MRAY_TYPE_OF(node->value), NULL, &d->unsealed[k].data, &node->ref));
    d->unsealed[k].ref = node->ref;
}

/* From an array, given as a ref or as it is. */
static void step_fold(dag_t *d)
{
    node_t *from = pick(d, true);
    if (from == NULL) return;
    mray_task_opts opts = options(d);
    bool as_ref = below(d, 4) != 0 || from->causes != 0;
    uint64_t value = dag_fold_words(from->words, from->n), causes = from->causes;
    mray_ref ref = as_ref ? mray_remote_with(opts, dag_fold, from->ref)
                          : mray_remote_with(opts, dag_fold, mray_array_of(uint64_t, from->words, from->n));
    CHECK(!mray_ref_is_nil(ref));
    *new_node(d) = (node_t){.ref = ref, .value = value, .causes = causes};
}

static void step_blend(dag_t *d)
{
    node_t *a = pick(d, true), *b = pick(d, true);
    if (a == NULL || b == NULL) return;
    mray_task_opts opts = options(d);
    node_t *node = new_node(d);
    node->causes = a->causes | b->causes;
    dag_blend_words(a->words, a->n, b->words, b->n, new_words(node, a->n > b->n ? a->n : b->n));
    node->ref = mray_remote_with(opts, dag_blend, a->ref, b->ref);
    CHECK(!mray_ref_is_nil(node->ref));
}

static void step_split(dag_t *d)
{
    operand_t o;
    node_t *v = pick(d, true);
    if (v == NULL) return;
    operand(d, &o);
    mray_task_opts opts = options(d);
    opts.num_returns = 3;
    mray_ref refs[3];
    mray_arg args[] = {o.arg, {.type = MRAY_TYPE_OF(v->ref), .data = &v->ref, .n = 1}};
    CHECK_OK(mray_submit(&dag_split__mray, args, 2, &opts, refs));
    uint64_t half = v->n / 2;
    node_t *nodes[3];
    for (int i = 0; i < 3; i++) {
        nodes[i] = new_node(d);
        nodes[i]->ref = refs[i];
        nodes[i]->causes = o.causes | v->causes;
    }
    nodes[0]->value = dag_fold_words(v->words + half, v->n - half);
    memcpy(new_words(nodes[1], half), v->words, half * 8);
    nodes[2]->value = check_mix(o.value, v->n);
}

static void step_look(dag_t *d)
{
    node_t *at = pick(d, below(d, 2) == 0);
    if (at == NULL) return;
    uint64_t value = at->causes != 0 ? DAG_STATUS_MARK : at->is_array ? dag_fold_words(at->words, at->n) : at->value;
    mray_ref ref = mray_remote_with(options(d), dag_look, at->ref);
    *new_node(d) = (node_t){.ref = ref, .value = value};
}

static void step_delegate(dag_t *d)
{
    node_t *a = pick(d, false), *b = pick(d, false);
    if (a == NULL || b == NULL) return;
    node_t node = {.value = check_mix(a->value, b->value), .causes = a->causes | b->causes};
    node.ref = mray_remote_with(options(d), dag_delegate, a->ref, b->ref, d->config->max_retries);
    *new_node(d) = node;
}

static void step_nest(dag_t *d)
{
    uint64_t a = below(d, 1000);
    int depth = (int)below(d, 4), width = depth == 3 ? 2 : 1 + (int)below(d, 3);
    mray_ref ref = mray_remote_with(options(d), dag_nest, a, depth, width, d->config->max_retries);
    *new_node(d) = (node_t){.ref = ref, .value = dag_nest_value(a, depth, width)};
}

static void step_refuse(dag_t *d)
{
    int number = d->n_refusals++;
    mray_ref ref = mray_remote_with(options(d), dag_refuse, number);
    *new_node(d) = (node_t){.ref = ref, .causes = UINT64_C(1) << (number & 63)};
}

/* The calls of one caller run in order, whenever their arguments come. One whose argument failed does not run. */
static void step_cell(dag_t *d)
{
    int k = (int)below(d, N_CELLS);
    operand_t o;
    operand(d, &o);
    node_t *node = new_node(d);
    node->causes = o.causes;
    if (o.causes == 0) d->cell_states[k] = check_mix(d->cell_states[k], o.value);
    node->value = d->cell_states[k];
    CHECK_OK(mray_actor_submit(d->cells[k], &dag_cell__step__mray, &o.arg, 1, NULL, &node->ref));
}

static void step_tell(dag_t *d)
{
    uint64_t x = below(d, 1u << 20);
    d->total_state += x;
    mray_ref ref = mray_remote_with(options(d), dag_tell, d->total, x);
    *new_node(d) = (node_t){.ref = ref, .value = check_mix(x, 11), .has_effect = true};
}

static void one_step(dag_t *d)
{
    const dag_config_t *c = d->config;
    uint64_t kind = below(d, 100);
    if (kind < 20) step_scalars(d, 2);
    else if (kind < 28) step_scalars(d, 5);
    else if (kind < 36) step_make(d);
    else if (kind < 42) step_put(d);
    else if (kind < 46) step_create(d);
    else if (kind < 56) step_fold(d);
    else if (kind < 64) step_blend(d);
    else if (kind < 70) step_split(d);
    else if (kind < 78) step_look(d);
    else if (kind < 83) step_delegate(d);
    else if (kind < 86) step_nest(d);
    else if (kind < 88 && c->errors) step_refuse(d);
    else if (kind < 95 && c->actors) step_cell(d);
    else if (kind < 98 && c->actors) step_tell(d);
    else step_scalars(d, 2);
    if (below(d, 12) == 0) seal_one(d);
    if (below(d, 50) == 0) wait_for_some(d);
    while (d->n_live > WINDOW) retire(d, (int)below(d, (uint64_t)d->n_live));
}

static void start_actors(dag_t *d)
{
    for (int k = 0; k < N_CELLS; k++) {
        d->cell_states[k] = (uint64_t)k;
        d->cells[k] = mray_actor_new(dag_cell, (uint64_t)k);
        CHECK(!mray_actor_is_nil(d->cells[k]));
    }
    d->total = mray_actor_new(dag_cell, (uint64_t)0);
    CHECK(!mray_actor_is_nil(d->total));
}

static void end_actors(dag_t *d)
{
    uint64_t x = 0;
    mray_ref ref = mray_call(d->total, dag_cell, read);
    CHECK_OK(mray_get(ref, &x));
    CHECK_EQUAL(x, d->total_state);
    CHECK_OK(mray_release(ref));
    for (int k = 0; k < N_CELLS; k++) {
        ref = mray_call(d->cells[k], dag_cell, read);
        CHECK_OK(mray_get(ref, &x));
        CHECK(x == d->cell_states[k]);
        CHECK_OK(mray_release(ref));
        CHECK_OK(mray_actor_kill(d->cells[k]));
    }
    CHECK_OK(mray_actor_kill(d->total));
}

void dag_run(const dag_config_t *config)
{
    dag_t *d = calloc(1, sizeof *d);
    if (d == NULL) abort();
    *d = (dag_t){.config = config, .random = config->seed};
    if (config->actors) start_actors(d);
    for (d->step = 0; d->step < config->n_steps; d->step++) {
        if (config->on_step != NULL) config->on_step(d->step);
        one_step(d);
    }
    seal_all(d);
    while (d->n_live > 0) retire(d, d->n_live - 1);
    if (config->actors) end_actors(d);
    free(d);
}
