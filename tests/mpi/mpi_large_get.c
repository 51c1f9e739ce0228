/* mpi_large_get.c: a thread that waits for a large array of another node copies it into its buffer while the rest is on its way. The bytes are right whatever
 * the size, and where the array does not fit the buffer or the type, nothing of it is in the buffer. */
/* ranks: 2 2x1 4x2 */
/* sanitize: 2x1 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LENGTH = 3 * 1024 * 1024 };

MRAY_TASK(mray_ref, make_there, uint64_t, length, uint64_t, first)
{
    mray_ref ref = {0};
    void *data;
    if (mray_create(length * sizeof(uint64_t), (mray_type){.dtype = MRAY_UINT64, .is_array = 1, .size = sizeof(uint64_t)}, NULL, &data, &ref) != MRAY_OK) {
        mray_fail("create: %s", mray_error_message());
        return ref;
    }
    for (uint64_t i = 0; i < length; i++) ((uint64_t *)data)[i] = first + i;
    if (mray_seal(ref) != MRAY_OK) mray_fail("seal: %s", mray_error_message());
    return ref;
}

static uint64_t wanted[MAX_LENGTH + 1];

static mray_ref make(int rank, uint64_t length, uint64_t first)
{
    mray_ref ref = {0}, outer = mray_remote_with(check_on_rank(rank), make_there, length, first);
    CHECK_OK(mray_get(outer, &ref));
    CHECK_OK(mray_release(outer));
    return ref;
}

static uint64_t count_wrong(uint64_t length, uint64_t first)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < length; i++) n += wanted[i] != first + i;
    return n;
}

static void check_right(int rank, uint64_t length, uint64_t first)
{
    mray_ref ref = make(rank, length, first);
    memset(wanted, 0xff, sizeof wanted);
    CHECK_OK(mray_get_array(ref, wanted, MAX_LENGTH));
    CHECK_EQUAL(count_wrong(length, first), 0);
    CHECK(wanted[length] == UINT64_MAX);
    CHECK_OK(mray_release(ref));
}

static void check_untouched(int rank, uint64_t length)
{
    static float other[MAX_LENGTH];
    mray_ref ref = make(rank, length, 1);
    memset(wanted, 0xff, sizeof wanted);
    memset(other, 0xff, sizeof other);
    CHECK_STATUS(mray_get_array(ref, wanted, length - 1), MRAY_ERR_BUFFER_TOO_SMALL);
    CHECK_OK(mray_release(ref));
    ref = make(rank, length, 1);
    CHECK_STATUS(mray_get_array(ref, other, MAX_LENGTH), MRAY_ERR_TYPE);
    CHECK_OK(mray_release(ref));
    for (uint64_t i = 0; i < length; i++) {
        if (wanted[i] == UINT64_MAX && memcmp(&other[i], &wanted[i], sizeof other[i]) == 0) continue;
        CHECK(false);
        break;
    }
}

int main(int argc, char **argv)
{
    static const uint64_t lengths[] = {17000, 65537, 131071, 131072, 200000, 1000003, MAX_LENGTH};
    setenv("MRAY_BULK", "pull", 1); /* the path that has its bytes ready in pieces */
    check_init(&argc, &argv, NULL);
    int rank = check_worker_rank(check_num_ranks() - 2);
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) check_right(rank, lengths[k], k << 32);
    check_untouched(rank, 500000);
    return check_finish();
}
