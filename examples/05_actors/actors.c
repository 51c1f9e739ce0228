/* actors: a parameter server. An actor keeps the weights of a linear model; tasks compute gradients on slices of the data. */
/* ranks: local 2 4 */
#include <math.h>
#include <mray/mray.h>
#include <stdio.h>
#include <string.h>

enum { DIM = 8, ROWS = 400, N_SLICES = 4, STEPS = 60 };

/* ---- the model: rows are x[0 .. DIM-1], y ---- */

/* Gradient of the mean squared error of x.w against y. */
static void compute_gradient(const double *rows, const double *w, double *g)
{
    memset(g, 0, DIM * sizeof *g);
    for (const double *row = rows; row < rows + ROWS * (DIM + 1); row += DIM + 1) {
        double error = -row[DIM];
        for (int i = 0; i < DIM; i++) error += row[i] * w[i];
        for (int i = 0; i < DIM; i++) g[i] += error * row[i] / ROWS;
    }
}

static void descend(double *w, double rate, const double *g)
{
    for (int i = 0; i < DIM; i++) w[i] -= rate * g[i];
}

/* ---- the actor: a struct, a constructor, methods ---- */

typedef struct {
    double w[DIM], rate;
    int64_t n_updates;
} server;

MRAY_ACTOR(server, double, rate) /* self is zeroed before */
{
    self->rate = rate;
}

MRAY_METHOD(int64_t, server, apply, mray_array(double), gradient)
{
    descend(self->w, self->rate, gradient.data);
    return ++self->n_updates;
}

MRAY_METHOD(mray_array(double), server, weights)
{
    return mray_array_of(double, self->w, DIM);
}

/* ---- tasks ---- */

MRAY_TASK(mray_array(double), gradient, mray_array(double), slice, mray_array(double), w)
{
    mray_array(double) g = mray_return_array(double, DIM);
    if (g.data != NULL) compute_gradient(slice.data, w.data, g.data);
    return g;
}

/* Given the actor's handle, it calls the actor by itself. */
MRAY_TASK(int64_t, train, mray_actor, to, mray_array(double), slice)
{
    int64_t n = 0;
    for (int step = 0; step < STEPS; step++) {
        double w[DIM], g[DIM];
        mray_ref now = mray_call(to, server, weights);
        if (mray_get_array(now, w, DIM) != MRAY_OK) mray_fail("weights: %s", mray_error_message());
        compute_gradient(slice.data, w, g);
        mray_ref done = mray_call(to, server, apply, mray_array_of(double, g, DIM));
        if (mray_get(done, &n) != MRAY_OK) mray_fail("apply: %s", mray_error_message());
        mray_release(now);
        mray_release(done);
    }
    return n;
}

/* ---- driver ---- */

static double data[N_SLICES][ROWS][DIM + 1];
static mray_ref slices[N_SLICES];

static void make_data(void)
{
    for (int k = 0; k < N_SLICES * ROWS; k++) {
        double *row = data[k / ROWS][k % ROWS], y = 0;
        for (int i = 0; i < DIM; i++) y += (row[i] = sin(1.0 + k * (i + 1))) * (i - 3); /* the weights to be found are -3 .. 4 */
        row[DIM] = y;
    }
    for (int s = 0; s < N_SLICES; s++) slices[s] = mray_put_array(&data[s][0][0], ROWS * (DIM + 1));
}

/* All steps are submitted without waiting. The actor runs this caller's calls in the order they were made, so `weights` of a step
 * comes behind `apply` of the step before, and the result is the same as a serial computation's, bit for bit. */
static int train_in_step(void)
{
    mray_actor a = mray_actor_new(server, 0.5);
    for (int step = 0; step < STEPS; step++) {
        mray_ref w = mray_call(a, server, weights);
        mray_ref g[N_SLICES];
        for (int s = 0; s < N_SLICES; s++) g[s] = mray_remote(gradient, slices[s], w);
        for (int s = 0; s < N_SLICES; s++) mray_release(mray_call(a, server, apply, g[s]));
        mray_release(w);
        mray_release_many(g, N_SLICES);
    }
    mray_ref last = mray_call(a, server, weights);
    double w[DIM] = {0}, serial[DIM] = {0}, g[N_SLICES][DIM];
    int status = mray_get_array(last, w, DIM);
    if (status != MRAY_OK) fprintf(stderr, "actors: %s\n", mray_error_message());
    mray_release(last);
    mray_actor_kill(a);

    for (int step = 0; step < STEPS; step++) {
        for (int s = 0; s < N_SLICES; s++) compute_gradient(&data[s][0][0], serial, g[s]);
        for (int s = 0; s < N_SLICES; s++) descend(serial, 0.5, g[s]);
    }
    if (status == MRAY_OK && memcmp(w, serial, sizeof w) == 0) return 0;
    if (status == MRAY_OK) fprintf(stderr, "actors: in step, w[0] is %.17g; computed serially, %.17g\n", w[0], serial[0]);
    return 1;
}

/* Each slice has a task that talks to the actor at its own pace. The order of updates is anybody's, the weights converge all the same. */
static int train_at_own_pace(void)
{
    mray_actor a = mray_actor_new_with(((mray_actor_opts){.name = "parameters"}), server, 0.5), same;
    mray_ref done[N_SLICES];
    double w[DIM] = {0};
    int64_t n, most = 0;
    int status = MRAY_OK, failed = 0;
    for (int s = 0; s < N_SLICES; s++) /* run again after a crash, it would repeat its updates: better an error */
        done[s] = mray_remote_with(mray_opts(.max_retries = MRAY_NO_RETRY), train, a, slices[s]);
    for (int s = 0; s < N_SLICES && status == MRAY_OK; s++) {
        status = mray_get(done[s], &n);
        if (status == MRAY_OK && n > most) most = n;
    }
    if (status == MRAY_OK) status = mray_actor_find("parameters", &same); /* by name: for who has no handle */
    if (status == MRAY_OK) status = mray_get_array(mray_call(same, server, weights), w, DIM);
    if (status != MRAY_OK) {
        fprintf(stderr, "actors: %s\n", mray_error_message());
        return 1;
    }
    for (int i = 0; i < DIM; i++) failed |= fabs(w[i] - (i - 3)) > 1e-3;
    if (failed || most != N_SLICES * STEPS)
        fprintf(stderr, "actors: at their own pace, w[0] is %.6f, not -3, after %lld updates\n", w[0], (long long)most);
    else printf("%lld updates, w[0] = %.6f\n", (long long)most, w[0]);
    mray_release_many(done, N_SLICES);
    return failed || most != N_SLICES * STEPS;
}

int main(int argc, char **argv)
{
    if (mray_init(&argc, &argv, NULL) != MRAY_OK) return 1;
    make_data();
    int failed = train_in_step() || train_at_own_pace();
    return mray_finalize() != MRAY_OK || failed;
}
