/* mpi_reinit.c: sessions one after the other in one process; what belongs to one is unknown to the next. */
/* ranks: local 1 2 4 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

MRAY_TASK(int64_t, square, int64_t, x) { return x * x; }

typedef struct {
    int64_t n;
} counter;

MRAY_ACTOR(counter, int64_t, start)
{
    self->n = start;
}

MRAY_METHOD(int64_t, counter, add, int64_t, k)
{
    return self->n += k;
}

static void use_session(int round)
{
    enum { N = 200 };
    mray_ref refs[N];
    int64_t x = 0;
    for (int i = 0; i < N; i++) refs[i] = mray_remote(square, i + round);
    for (int i = 0; i < N; i++) {
        CHECK_OK(mray_get(refs[i], &x));
        CHECK_EQUAL(x, (int64_t)(i + round) * (i + round));
    }
    CHECK_OK(mray_release_many(refs, N));
    mray_actor actor = mray_actor_new_with(((mray_actor_opts){.name = "again"}), counter, round);
    mray_ref ref = mray_call(actor, counter, add, 1);
    CHECK_OK(mray_get(ref, &x));
    CHECK_EQUAL(x, round + 1);
    CHECK_OK(mray_release(ref));
}

int main(int argc, char **argv)
{
    mray_ref old_ref = {0}, old_result = {0};
    mray_actor old_actor = {0};
    for (int round = 0; round < 4; round++) {
        check_init(&argc, &argv, NULL);
        int64_t x = 0;
        if (round > 0) {
            CHECK_ERROR(mray_get(old_ref, &x), MRAY_ERR_INVALID_REF, "session");
            CHECK_STATUS(mray_release(old_result), MRAY_ERR_INVALID_REF);
            CHECK_NIL(mray_remote(square, old_ref), MRAY_ERR_INVALID_REF, "session");
            CHECK_STATUS(mray_actor_kill(old_actor), MRAY_ERR_INVALID_ARGUMENT);
            CHECK_STATUS(mray_actor_find("left", &old_actor), MRAY_ERR_ACTOR_NOT_FOUND);
        }
        use_session(round);
        /* Left behind on purpose: the end of the session is the end of them. */
        static double big[50000];
        old_ref = mray_put_array(big, 50000);
        old_result = mray_remote(square, 3);
        old_actor = mray_actor_new_with(((mray_actor_opts){.name = "left", .detached = 1}), counter, 1);
        CHECK(!mray_actor_is_nil(old_actor));
        CHECK_OK(mray_finalize());
        CHECK(!mray_is_initialized());
    }
    return check_finish();
}
