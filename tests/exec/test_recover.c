/* The agent's repair of a node: a worker is killed after every few instructions of running and submitting tasks. Afterwards each task has
 * its one result, nothing is held that nobody holds, and no record, slot or byte is in use. */
#include "agent.h"
#include "functions.h"
#include "recover.h"
#include "run.h"
#include "submit.h"
#include "test_child.h"
#include "test_store.h"
#include "upcalls.h"

#include <stdlib.h>
#include <string.h>

enum { DEAD = 9, BIG = 1000, STEPS = 40000 };

typedef struct {
    test_node_t t;
    net_t *net;
    agent_t *agent;
    ep_t *driver, *heir; /* the heir runs what comes back */
    ep_t *dead;
    rid_t rid; /* the task that it runs */
    mray_ref result, big;
} fixture_t;

static fixture_t fixture;

/* ---- the tasks ---- */

static void sum(void *const *args, void *ret)
{
    const int64_t *first = args[0];
    *(int64_t *)ret = *first + *(const int64_t *)args[1];
}

static mray_function sum_function = {.name = "sum", .call = sum, .ret = {.dtype = MRAY_INT64, .size = 8}, .n_params = 2,
                                     .params = {{.dtype = MRAY_INT64, .size = 8}, {.dtype = MRAY_INT64, .size = 8}}};

static mray_ref submit(ep_t *ep, const mray_function *f, const mray_arg *args, int n_args)
{
    const submit_kind_t kind = {.kind = RECORD_TASK, .what = "test"};
    mray_ref ref;
    if (submit_call(ep, &kind, f, args, n_args, NULL, &ref) != MRAY_OK) _exit(9);
    return ref;
}

static void release(ep_t *ep, mray_ref ref)
{
    sid_t sid;
    if (slot_find(ep, ref, &sid) != MRAY_OK || slot_release_ref(ep, sid) != MRAY_OK) _exit(8);
}

/* With so many values that its record has extensions. */
typedef struct {
    int64_t first;
    char rest[92];
} wide_t;

static void add_wide(void *const *args, void *ret)
{
    *(int64_t *)ret = ((const wide_t *)args[0])->first + ((const wide_t *)args[1])->first;
}

static mray_function add_wide_function = {.name = "add_wide", .call = add_wide, .ret = {.dtype = MRAY_INT64, .size = 8}, .n_params = 2,
                                          .params = {{.dtype = MRAY_BYTES, .size = sizeof(wide_t)}, {.dtype = MRAY_BYTES, .size = sizeof(wide_t)}}};

/* A task that makes another, and a third that waits for it, and does not want their results; its own lies in the arena. */
static void spawn(void *const *args, void *ret)
{
    static const int64_t two = 2;
    static const wide_t one = {.first = 1};
    const mray_type wide = add_wide_function.params[0];
    mray_arg values[2] = {{.type = wide, .data = &one, .n = 1}, {.type = wide, .data = &one, .n = 1}};
    mray_ref first = submit(run_current->ep, &add_wide_function, values, 2);
    mray_arg mixed[2] = {{.type = {.dtype = MRAY_REF, .size = 16}, .data = &first, .n = 1}, {.type = sum_function.params[1], .data = &two, .n = 1}};
    mray_ref second = submit(run_current->ep, &sum_function, mixed, 2);
    release(run_current->ep, first);
    release(run_current->ep, second);
    *(wide_t *)ret = (wide_t){.first = (int64_t)((const mray_array(uint8_t) *)args[0])->n};
}

static mray_function spawn_function = {.name = "spawn", .call = spawn, .ret = {.dtype = MRAY_BYTES, .size = sizeof(wide_t)}, .n_params = 1,
                                       .params = {{.dtype = MRAY_UINT8, .is_array = 1, .size = 1}}};

/* ---- the node ---- */

static void make(fixture_t *f)
{
    memset(f, 0, sizeof *f);
    test_store_make(&f->t, (test_node_config_t){.n = 1, .segment = {.arena_bytes = 1 << 16, .n_slots = 512, .n_records = 512}});
    assert_int_equal(net_open_fake(1, NULL, &f->net), MRAY_OK);
    upcalls_install();
    assert_int_equal(agent_create(f->t.of[0], f->net, &f->agent), MRAY_OK);
    f->driver = test_node_open(&f->t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    f->heir = test_node_open(&f->t, 0, 0, EP_KIND_USER, false);
}

static void unmake(fixture_t *f)
{
    ep_close(f->driver);
    ep_close(f->heir);
    agent_destroy(f->agent);
    net_close(f->net);
    test_node_free(&f->t);
}

static mray_ref put(ep_t *ep, const object_value_t *v)
{
    sid_t sid = slot_alloc(ep, 1);
    assert_int_equal(object_stage(ep, sid, v), MRAY_OK);
    object_publish(ep, sid);
    return slot_ref(ep, sid);
}

static void claim(ep_t *ep, rid_t rid)
{
    record_t *rec = record_at(ep, rid);
    uint64_t word = atomic_load(&rec->word);
    assert_int_equal(record_word_state(word), RECORD_QUEUED);
    assert_int_equal(record_word_gid(word), ep_gid(0, SEG_EP_AGENT));
    atomic_store(&rec->word, record_word(RECORD_RUNNING, ep->gid, record_word_gen(word)));
}

/* There is no worker, so ready tasks stand in the agent's inbox. Run them, and those that become ready by that. */
static int run_all(fixture_t *f)
{
    int n = 0;
    for (rid_t rid; (rid = ep_inbox_drain(f->agent->node, f->agent->ep->sh)) != 0;)
        while (rid != 0) {
            record_t *rec = record_at(f->heir, rid);
            rid_t next = atomic_load(&rec->next);
            claim(f->heir, rid);
            (void)run_record(f->heir, rid, rec, NULL);
            rid = next;
            n++;
        }
    return n;
}

static void run_task(void *arg)
{
    fixture_t *f = arg;
    ep_self = f->dead;
    (void)run_record(f->dead, f->rid, record_at(f->dead, f->rid), NULL);
    ep_self = NULL;
}

static void bury(fixture_t *f)
{
    ep_shared_t *sh = ep_shared_at(f->agent->node, DEAD);
    free(f->dead->slots.stack);
    free(f->dead->slots.mine);
    free(f->dead->records.stack);
    free(f->dead->records.mine);
    free(f->dead);
    f->dead = NULL;
    atomic_store(&sh->exit_status, SIGKILL);
    atomic_store(&sh->state, EP_DEAD);
    recover_endpoint(f->agent, DEAD);
    atomic_store(&sh->state, EP_UNUSED);
}

/* A task of the driver's that the worker has just claimed. */
static void give_task(fixture_t *f, const mray_function *function, const mray_arg *args, int n_args)
{
    f->dead = test_node_open(&f->t, 0, DEAD, EP_KIND_WORKER, true);
    f->result = submit(f->driver, function, args, n_args);
    f->rid = ep_inbox_drain(f->agent->node, f->agent->ep->sh);
    assert_int_not_equal(f->rid, 0);
    assert_int_equal(atomic_load(&record_at(f->driver, f->rid)->next), 0);
    claim(f->dead, f->rid);
}

static void check_end(fixture_t *f, int64_t expected)
{
    sid_t sid;
    mray_view view;
    bury(f);
    run_all(f);
    assert_int_equal(slot_find(f->driver, f->result, &sid), MRAY_OK);
    assert_true(slot_is_ready(slot_at(f->driver, sid)));
    if (object_look(f->driver, slot_at(f->driver, sid), &view) != MRAY_OK) fail_msg("%s", mray_error_message());
    assert_true(*(const int64_t *)view.data == expected);
    assert_int_equal(atomic_load(&slot_at(f->driver, sid)->rc) & UINT32_MAX, SLOT_RC_USED | SLOT_RC_CREATOR);
    release(f->driver, f->result);
    assert_int_equal(slot_find(f->driver, f->big, &sid), MRAY_OK);
    assert_int_equal(atomic_load(&slot_at(f->driver, sid)->rc) & UINT32_MAX, SLOT_RC_USED | SLOT_RC_CREATOR);
    release(f->driver, f->big);
    assert_int_equal(test_slots_used(f->driver), 0);
    assert_int_equal(test_records_used(f->driver), 0);
    assert_int_equal(test_store_used_bytes(f->driver, 0), 0);
    if (arena_selfcheck(payload_arena(f->driver, 0), f->driver->gid) != MRAY_OK) fail_msg("%s", mray_error_message());
}

/* ---- a task with a ref and a value ---- */

static void reset_sum(void *arg)
{
    fixture_t *f = arg;
    static const int64_t forty = 40, two = 2;
    const mray_type i64 = {.dtype = MRAY_INT64, .size = 8};
    f->big = put(f->driver, &(object_value_t){.type = i64, .data = &forty, .bytes = 8});
    give_task(f, &sum_function, (mray_arg[]){{.type = {.dtype = MRAY_REF, .size = 16}, .data = &f->big, .n = 1}, {.type = i64, .data = &two, .n = 1}}, 2);
}

static void check_sum(void *arg)
{
    check_end(arg, 42);
}

static void test_a_task_has_one_result_whenever_its_worker_dies(void **state)
{
    (void)state;
    make(&fixture);
    test_child_kill_everywhere(run_task, &fixture, reset_sum, check_sum, STEPS);
    unmake(&fixture);
}

/* ---- a task that submits tasks ---- */

static void reset_spawn(void *arg)
{
    fixture_t *f = arg;
    static const uint8_t data[BIG];
    f->big = put(f->driver, &(object_value_t){.type = {.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, .ndim = 1, .dims = {BIG}, .data = data, .bytes = BIG});
    give_task(f, &spawn_function, &(mray_arg){.type = {.dtype = MRAY_REF, .size = 16}, .data = &f->big, .n = 1}, 1);
}

static void check_spawn(void *arg)
{
    check_end(arg, BIG);
}

static void test_submissions_of_the_dead_are_whole_or_never_were(void **state)
{
    (void)state;
    make(&fixture);
    test_child_kill_everywhere(run_task, &fixture, reset_spawn, check_spawn, 4 * STEPS);
    unmake(&fixture);
}

int main(void)
{
    mray_function_register(&sum_function);
    mray_function_register(&add_wide_function);
    mray_function_register(&spawn_function);
    if (functions_build() != MRAY_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_task_has_one_result_whenever_its_worker_dies),
        cmocka_unit_test(test_submissions_of_the_dead_are_whole_or_never_were),
    };
    return cmocka_run_group_tests_name("exec.recover", tests, NULL, NULL);
}
