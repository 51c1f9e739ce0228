/* mpi_actors.c: actors: order of calls, names, handles in tasks and actors, hooks, stop and kill, constructors that fail. */
/* ranks: local 1 2 4 4x2 */
/* sanitize: local 2 4x2 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TYPE(dtype_, size_, is_array_) ((mray_type){.dtype = (dtype_), .size = (size_), .is_array = (is_array_)})

/* Keeps what it was told, in order. */
enum { LOG_LENGTH = 4000 };
typedef struct {
    int64_t n;
    int64_t entries[LOG_LENGTH];
} journal;

MRAY_ACTOR(journal)
{
    if (self->n != 0) mray_fail("the state is not zeroed");
}

MRAY_METHOD(int64_t, journal, add, int64_t, x)
{
    if (self->n < LOG_LENGTH) self->entries[self->n++] = x;
    return self->n;
}

MRAY_METHOD(mray_array(int64_t), journal, read)
{
    return mray_array_of(int64_t, self->entries, (size_t)self->n);
}

MRAY_METHOD(int64_t, journal, refuse, int64_t, x)
{
    mray_fail("entry %lld is refused", (long long)x);
    return self->n;
}

MRAY_METHOD(int64_t, journal, both, int64_t, x)
{
    if (mray_return(1, x + 1) != MRAY_OK) mray_fail("mray_return: %s", mray_error_message());
    return self->n;
}

MRAY_METHOD(int32_t, journal, rank)
{
    mray_task_info info;
    return mray_task_current(&info) == MRAY_OK ? info.rank : -1 - (int32_t)(self->n * 0);
}

MRAY_TASK(int64_t, identity, int64_t, x) { return x; }

MRAY_TASK(int64_t, refuse, int64_t, x)
{
    mray_fail("%lld is refused", (long long)x);
    return x;
}

static int64_t value_of(mray_ref ref)
{
    int64_t x = INT64_MIN;
    CHECK_OK(mray_get(ref, &x));
    CHECK_OK(mray_release(ref));
    return x;
}

/* Does the journal hold first, first + 1, ..? */
static void check_journal(mray_actor actor, int64_t first, int64_t n)
{
    static int64_t entries[LOG_LENGTH];
    mray_ref ref = mray_call(actor, journal, read);
    mray_view view;
    CHECK_OK(mray_get_view(ref, MRAY_FOREVER, &view));
    CHECK_EQUAL(view.size, n * 8);
    memcpy(entries, view.data, view.size < sizeof entries ? view.size : sizeof entries);
    for (int64_t i = 0; i < n && i < (int64_t)(view.size / 8); i++)
        if (entries[i] != first + i) {
            CHECK_EQUAL(entries[i], first + i);
            break;
        }
    mray_view_release(&view);
    CHECK_OK(mray_release(ref));
}

static void test_calls_run_in_the_order_they_were_made(void)
{
    mray_actor actor = mray_actor_new(journal);
    CHECK(!mray_actor_is_nil(actor));
    for (int64_t i = 0; i < 2000; i++) CHECK_OK(mray_release(mray_call(actor, journal, add, i)));
    check_journal(actor, 0, 2000);
    CHECK_OK(mray_actor_kill(actor));
}

/* The first call's argument comes last. */
static void test_late_arguments_keep_the_order(void)
{
    mray_actor actor = mray_actor_new(journal);
    mray_ref gate, later[3];
    void *data;
    CHECK_OK(mray_create(8, TYPE(MRAY_INT64, 8, 0), NULL, &data, &gate));
    mray_ref first = mray_call(actor, journal, add, gate);
    for (int64_t i = 1; i < 200; i++) {
        mray_ref x = i % 3 == 0 ? mray_remote(identity, i) : mray_put(i);
        CHECK_OK(mray_release(mray_call(actor, journal, add, x)));
        CHECK_OK(mray_release(x));
    }
    int64_t n = 0;
    CHECK_STATUS(mray_get_timeout(first, &n, 1000000), MRAY_ERR_TIMEOUT);
    for (int i = 0; i < 3; i++) later[i] = mray_call(actor, journal, add, 200 + i);
    *(int64_t *)data = 0;
    CHECK_OK(mray_seal(gate));
    for (int i = 0; i < 3; i++) CHECK_EQUAL(value_of(later[i]), 201 + i);
    CHECK_EQUAL(value_of(first), 1);
    check_journal(actor, 0, 203);
    CHECK_OK(mray_release(gate));
    CHECK_OK(mray_actor_kill(actor));
}

static void test_a_call_that_fails_leaves_the_actor_alive(void)
{
    mray_actor actor = mray_actor_new(journal);
    mray_ref bad = mray_remote(refuse, 8), refs[] = {mray_call(actor, journal, add, 0), mray_call(actor, journal, refuse, 5),
                                                     mray_call(actor, journal, add, bad), mray_call(actor, journal, add, 1)};
    int64_t x = 0;
    CHECK_ERROR(mray_get(refs[1], &x), MRAY_ERR_TASK, "entry 5 is refused");
    CHECK(check_sentence_has("journal.refuse"));
    CHECK_ERROR(mray_get(refs[2], &x), MRAY_ERR_TASK, "8 is refused");
    CHECK_OK(mray_get(refs[3], &x));
    CHECK_EQUAL(x, 2);
    CHECK_OK(mray_release_many(refs, 4));
    CHECK_OK(mray_release(bad));

    mray_ref both[2];
    int64_t seven = 7;
    mray_arg arg = {.type = MRAY_TYPE_OF(seven), .data = &seven, .n = 1};
    CHECK_OK(mray_actor_submit(actor, &journal__both__mray, &arg, 1, &mray_opts(.num_returns = 2), both));
    CHECK_EQUAL(value_of(both[0]), 2);
    CHECK_EQUAL(value_of(both[1]), 8);
    check_journal(actor, 0, 2);
    CHECK_OK(mray_actor_kill(actor));
}

/* ---- names ---- */

static void test_a_name_finds_the_actor(void)
{
    mray_actor made = mray_actor_new_with(((mray_actor_opts){.name = "ledger"}), journal), found, twice;
    CHECK(!mray_actor_is_nil(made));
    CHECK_EQUAL(value_of(mray_call(made, journal, add, 0)), 1);
    CHECK_OK(mray_actor_find("ledger", &found));
    CHECK_EQUAL(value_of(mray_call(found, journal, add, 1)), 2);
    CHECK_ERROR(mray_actor_create(&journal__mray_class, NULL, 0, &(mray_actor_opts){.name = "ledger"}, &twice), MRAY_ERR_ACTOR_NAME_TAKEN, "ledger");
    CHECK(mray_actor_is_nil(twice));
    CHECK_ERROR(mray_actor_find("nobody", &found), MRAY_ERR_ACTOR_NOT_FOUND, "nobody");
    CHECK(mray_actor_is_nil(found));
    check_journal(made, 0, 2);

    /* The name of a dead one is free again. */
    CHECK_OK(mray_actor_kill(made));
    int status = MRAY_ERR_ACTOR_NAME_TAKEN;
    for (double end = check_seconds() + 2; status == MRAY_ERR_ACTOR_NAME_TAKEN && check_seconds() < end; usleep(500))
        status = mray_actor_create(&journal__mray_class, NULL, 0, &(mray_actor_opts){.name = "ledger"}, &twice);
    CHECK_EQUAL(status, MRAY_OK);
    CHECK_EQUAL(value_of(mray_call(twice, journal, add, 0)), 1);
    CHECK_OK(mray_actor_kill(twice));
}

/* ---- handles ---- */

typedef struct {
    int64_t sum;
} adder;

MRAY_ACTOR(adder, int64_t, start)
{
    self->sum = start;
}

MRAY_METHOD(int64_t, adder, add, int64_t, x)
{
    return self->sum += x;
}

/* Adds to another actor and waits for it. */
MRAY_METHOD(int64_t, adder, add_there, mray_actor, other, int64_t, x)
{
    mray_ref ref = mray_call(other, adder, add, x);
    int64_t seen = 0;
    if (mray_get(ref, &seen) != MRAY_OK) mray_fail("add: %s", mray_error_message());
    (void)mray_release(ref);
    self->sum += x;
    return seen;
}

MRAY_METHOD(int64_t, adder, waits_for_itself, mray_actor, me)
{
    mray_ref ref = mray_call(me, adder, add, 1);
    int64_t x = 0;
    int status = mray_get(ref, &x);
    (void)mray_release(ref);
    self->sum += 0;
    return status;
}

MRAY_METHOD(int64_t, adder, tree, int, depth)
{
    mray_ref ref = mray_remote(identity, depth);
    int64_t x = 0;
    if (mray_get(ref, &x) != MRAY_OK) mray_fail("identity: %s", mray_error_message());
    (void)mray_release(ref);
    return x + self->sum * 0;
}

MRAY_TASK(int64_t, add_many, mray_actor, actor, int, n)
{
    int64_t x = 0;
    for (int i = 0; i < n; i++) {
        mray_ref ref = mray_call(actor, adder, add, 1);
        if (i == n - 1 && mray_get(ref, &x) != MRAY_OK) mray_fail("add: %s", mray_error_message());
        if (mray_release(ref) != MRAY_OK) mray_fail("release: %s", mray_error_message());
    }
    return x;
}

MRAY_TASK(int64_t, add_by_name, int64_t, x)
{
    mray_actor actor;
    if (mray_actor_find("shared", &actor) != MRAY_OK) {
        mray_fail("find: %s", mray_error_message());
        return 0;
    }
    mray_ref ref = mray_call(actor, adder, add, x);
    int64_t seen = 0;
    if (mray_get(ref, &seen) != MRAY_OK) mray_fail("add: %s", mray_error_message());
    (void)mray_release(ref);
    return seen;
}

MRAY_TASK(mray_actor, make_adder, int64_t, start)
{
    return mray_actor_new_with(((mray_actor_opts){.detached = 1}), adder, start);
}

static void test_tasks_and_actors_call_actors(void)
{
    enum { N = 16 };
    mray_actor shared = mray_actor_new_with(((mray_actor_opts){.name = "shared"}), adder, 0), front = mray_actor_new(adder, 1000);
    mray_ref refs[N], more[N];
    for (int i = 0; i < N; i++) refs[i] = mray_remote_with(check_on_rank(check_worker_rank(i)), add_many, shared, 25);
    for (int i = 0; i < N; i++) more[i] = mray_remote_with(check_on_rank(check_worker_rank(i)), add_by_name, 1000);
    for (int i = 0; i < N; i++) {
        CHECK(value_of(refs[i]) >= 25);
        CHECK(value_of(more[i]) >= 1000);
    }
    CHECK_EQUAL(value_of(mray_call(front, adder, add_there, shared, 600)), N * 25 + N * 1000 + 600);
    CHECK_EQUAL(value_of(mray_call(front, adder, add, 0)), 1600);
    CHECK_EQUAL(value_of(mray_call(front, adder, tree, 3)), 3);
    CHECK_OK(mray_actor_kill(shared));
    CHECK_OK(mray_actor_kill(front));
}

static void test_a_task_makes_an_actor_and_returns_it(void)
{
    for (int rank = check_worker_rank(0); rank < check_num_ranks(); rank++) {
        mray_ref ref = mray_remote_with(check_on_rank(rank), make_adder, 7);
        mray_actor actor = {0};
        CHECK_OK(mray_get(ref, &actor));
        CHECK(!mray_actor_is_nil(actor));
        CHECK_EQUAL(value_of(mray_call(actor, adder, add, 1)), 8);
        CHECK_OK(mray_release(ref));
        CHECK_OK(mray_actor_kill(actor));
    }
}

static void test_a_wait_for_oneself_is_an_error(void)
{
    mray_actor actor = mray_actor_new(adder, 0);
    CHECK_EQUAL(value_of(mray_call(actor, adder, waits_for_itself, actor)), MRAY_ERR_WAIT_CYCLE);
    CHECK_OK(mray_actor_kill(actor));
}

static void test_an_actor_goes_where_its_resource_is(void)
{
    for (int rank = check_worker_rank(0); rank < check_num_ranks(); rank++) {
        char name[32];
        snprintf(name, sizeof name, "rank%d", rank);
        mray_actor actor = mray_actor_new_with(((mray_actor_opts){.resource = name, .resource_amount = 1}), journal);
        mray_ref ref = mray_call(actor, journal, rank);
        int32_t got = -1;
        CHECK_OK(mray_get(ref, &got));
        CHECK_EQUAL(got, rank);
        CHECK_OK(mray_release(ref));
        CHECK_OK(mray_actor_kill(actor));
    }
}

/* More actors than cores. */
static void test_many_actors_live_side_by_side(void)
{
    enum { N = 20 };
    mray_actor actors[N];
    mray_ref refs[N];
    for (int i = 0; i < N; i++) actors[i] = mray_actor_new(adder, i);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < N; i++) CHECK_OK(mray_release(mray_call(actors[i], adder, add, 10)));
    for (int i = 0; i < N; i++) refs[i] = mray_call(actors[i], adder, add, 0);
    for (int i = 0; i < N; i++) CHECK_EQUAL(value_of(refs[i]), i + 30);
    for (int i = 0; i < N; i++) CHECK_OK(mray_actor_kill(actors[i]));
}

/* ---- life ---- */

typedef struct {
    int64_t made, started;
    check_file stops;
} hooked;

static void hooked_start(void *self)
{
    hooked *h = self;
    h->started = h->made + 1;
}

static void hooked_stop(void *self)
{
    hooked *h = self;
    check_mark(h->stops);
}

MRAY_ACTOR_HOOKS(hooked, hooked_start, hooked_stop, int64_t, made, check_file, stops)
{
    self->made = made;
    self->stops = stops;
}

MRAY_METHOD(int64_t, hooked, read)
{
    return self->made * 1000 + self->started;
}

static void test_hooks_run_at_start_and_stop(void)
{
    check_file stops = check_file_of("stops"), kills = check_file_of("kills");
    mray_actor actor = mray_actor_new(hooked, 5, stops);
    mray_ref refs[100];
    int64_t x = 0;
    for (int i = 0; i < 100; i++) refs[i] = mray_call(actor, hooked, read);
    CHECK_OK(mray_actor_stop(actor));
    for (int i = 0; i < 100; i++) CHECK_EQUAL(value_of(refs[i]), 5006);
    mray_ref late = mray_call(actor, hooked, read);
    CHECK_ERROR(mray_get(late, &x), MRAY_ERR_ACTOR_DIED, "hooked");
    if (!mray_ref_is_nil(late)) CHECK_OK(mray_release(late));
    for (double end = check_seconds() + 2; check_marks(stops) == 0 && check_seconds() < end;) usleep(500);
    CHECK_EQUAL(check_marks(stops), 1);

    actor = mray_actor_new(hooked, 6, kills);
    CHECK_EQUAL(value_of(mray_call(actor, hooked, read)), 6007);
    CHECK_OK(mray_actor_kill(actor));
    late = mray_call(actor, hooked, read);
    CHECK_STATUS(mray_get(late, &x), MRAY_ERR_ACTOR_DIED);
    if (!mray_ref_is_nil(late)) CHECK_OK(mray_release(late));
    CHECK_EQUAL(check_marks(kills), 0);
}

static void test_kill_ends_the_calls_that_wait(void)
{
    mray_actor actor = mray_actor_new(adder, 0);
    mray_ref gate, refs[20];
    void *data;
    int64_t x = 0;
    CHECK_OK(mray_create(8, TYPE(MRAY_INT64, 8, 0), NULL, &data, &gate));
    CHECK_EQUAL(value_of(mray_call(actor, adder, add, 3)), 3);
    for (int i = 0; i < 20; i++) refs[i] = i % 2 == 0 ? mray_call(actor, adder, add, gate) : mray_call(actor, adder, add, 1);
    CHECK_OK(mray_actor_kill(actor));
    CHECK_OK(mray_actor_kill(actor));
    for (int i = 0; i < 20; i++) CHECK_ERROR(mray_get(refs[i], &x), MRAY_ERR_ACTOR_DIED, "adder");
    CHECK_OK(mray_release_many(refs, 20));
    *(int64_t *)data = 0;
    CHECK_OK(mray_seal(gate));
    CHECK_OK(mray_release(gate));
}

typedef struct {
    int64_t n;
} picky;

MRAY_ACTOR(picky, int64_t, n)
{
    if (n < 0) mray_fail("%lld is below zero", (long long)n);
    self->n = n;
}

MRAY_METHOD(int64_t, picky, read)
{
    return self->n;
}

static void test_a_constructor_that_fails_is_the_reason(void)
{
    mray_ref bad = mray_remote(refuse, 4), good = mray_remote(identity, 9);
    mray_actor actors[] = {mray_actor_new(picky, -5), mray_actor_new(picky, bad), mray_actor_new(picky, good)};
    static const char *const reasons[] = {"-5 is below zero", "4 is refused"};
    int64_t x = 0;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 3; i++) {
            mray_ref ref = mray_call(actors[k], picky, read);
            CHECK_ERROR(mray_get(ref, &x), MRAY_ERR_ACTOR_DIED, reasons[k]);
            if (!mray_ref_is_nil(ref)) CHECK_OK(mray_release(ref));
        }
    CHECK_EQUAL(value_of(mray_call(actors[2], picky, read)), 9);
    for (int k = 0; k < 3; k++) CHECK_OK(mray_actor_kill(actors[k]));
    CHECK_OK(mray_release_many((mray_ref[]){bad, good}, 2));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    test_calls_run_in_the_order_they_were_made();
    test_late_arguments_keep_the_order();
    test_a_call_that_fails_leaves_the_actor_alive();
    test_a_name_finds_the_actor();
    test_tasks_and_actors_call_actors();
    test_a_task_makes_an_actor_and_returns_it();
    test_a_wait_for_oneself_is_an_error();
    test_an_actor_goes_where_its_resource_is();
    test_many_actors_live_side_by_side();
    test_hooks_run_at_start_and_stop();
    test_kill_ends_the_calls_that_wait();
    test_a_constructor_that_fails_is_the_reason();
    CHECK(check_store_settles(used));
    return check_finish();
}
