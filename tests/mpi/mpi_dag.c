/* mpi_dag.c: a random graph of 10,000 tasks: values, refs, arrays, several results, nested tasks, actors, errors. The results are those of a
 * serial evaluation, and nothing is left in the stores. */
/* ranks: local 1 2 4 8 4x2 */
/* sanitize: local 2 4x2 */
#include "check.h"
#include "dag.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    const char *steps = getenv("MRAY_TEST_STEPS");
    dag_config_t config = {.seed = check_seed(), .n_steps = steps != NULL ? atoi(steps) : 10000, .actors = true, .errors = true};
    size_t used = check_store_used();
    dag_run(&config);
    CHECK(check_store_settles(used));
    return check_finish();
}
