/* crash.c: the last words of a worker. Only async-signal-safe calls (backtrace() is made so by calling it once beforehand, which
 * loads what it needs). */
#include "crash.h"

#include "functions.h"
#include "run.h"

#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FRAMES = 48 };

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

static void on_signal(int sig)
{
    void *frames[MAX_FRAMES];
    const char *name = sigabbrev_np(sig);
    say("mray error: worker died of SIG");
    say(name != NULL ? name : "?");
    if (run_current != NULL) {
        say(" in task '");
        say(run_current->function->name);
        say("'");
    }
    say("; backtrace:\n");
    backtrace_symbols_fd(frames, backtrace(frames, MAX_FRAMES), STDERR_FILENO);
    signal(sig, SIG_DFL);
    raise(sig);
}

void crash_install(void)
{
    void *frame;
    (void)backtrace(&frame, 1);
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    size_t stack_bytes = 64 * 1024;
    stack_t stack = {.ss_sp = malloc(stack_bytes), .ss_size = stack_bytes};
    if (stack.ss_sp != NULL) sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaction(signals[i], &action, NULL);
}
