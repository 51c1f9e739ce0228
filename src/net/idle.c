/* idle.c: see idle.h. */
#include "idle.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

void idle_init(idle_ladder_t *ladder, bool may_spin)
{
    *ladder = (idle_ladder_t){.may_spin = may_spin};
}

idle_step_t idle_next(idle_ladder_t *ladder, uint64_t now_ns, idle_due_t due)
{
    if (ladder->since_ns == 0) ladder->since_ns = now_ns;
    uint64_t idle_ns = now_ns - ladder->since_ns;

    if (idle_ns < IDLE_SPIN_END_NS && ladder->may_spin) return (idle_step_t){.kind = IDLE_SPIN};
    uint64_t yield_end_ns = due == IDLE_DUE_DATA ? IDLE_DATA_YIELD_END_NS : ladder->lingers ? IDLE_LINGER_END_NS : IDLE_YIELD_END_NS;
    if (idle_ns < yield_end_ns) {
        bool looks_again = due != IDLE_DUE_DATA && ladder->looks > 1 && ladder->n_looks++ % ladder->looks != 0;
        return (idle_step_t){.kind = looks_again ? IDLE_SPIN : IDLE_YIELD};
    }
    if (idle_ns >= IDLE_LONG_NS && due == IDLE_DUE_NOTHING) return (idle_step_t){.kind = IDLE_SLEEP, .sleep_ns = IDLE_LONG_SLEEP_NS};

    uint64_t sleep_ns = idle_ns / (due != IDLE_DUE_NOTHING ? 32 : 8);
    if (sleep_ns < IDLE_MIN_SLEEP_NS) sleep_ns = IDLE_MIN_SLEEP_NS;
    if (sleep_ns > IDLE_MAX_SLEEP_NS) sleep_ns = IDLE_MAX_SLEEP_NS;
    return (idle_step_t){.kind = IDLE_SLEEP, .sleep_ns = (uint32_t)sleep_ns};
}

void idle_sleep_precisely(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 1000ul); /* of the calling thread */
}

void idle_pause(idle_step_t step)
{
    switch (step.kind) {
    case IDLE_SPIN:
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ __volatile__("yield");
#endif
        break;
    case IDLE_YIELD:
        sched_yield();
        break;
    case IDLE_SLEEP:
        /* A signal may cut it short: the caller polls again anyway. */
        nanosleep(&(struct timespec){.tv_nsec = (long)step.sleep_ns}, NULL);
        break;
    }
}
