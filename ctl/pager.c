/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Pager: what is longer than the screen, through less (or $PAGER), which shows a short answer and is gone.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "pager.h"

static pid_t pager_pid = 0;

/* NULL: none is named. */
static const char *pager_get(void) {
        const char *pager = getenv("SYSTEMD_PAGER");

        return pager ? pager : getenv("PAGER");
}

_Noreturn static void pager_exec(int input) {
        const char *pager = pager_get(), *less = getenv("SYSTEMD_LESS");

        if (dup2(input, STDIN_FILENO) < 0)
                _exit(EXIT_FAILURE);

        /* As systemctl's: quit on one screen, colours, long lines cut, keep the screen, where one is, and Ctrl-C ends it. No
         * shell and no editor out of it: it may run as root, on text that others wrote. */
        (void)setenv("LESS", less ? less : "FRSXMK", true);
        (void)setenv("LESSSECURE", "1", true);

        if (!isempty(pager))
                (void)execlp("sh", "sh", "-c", pager, (char *)NULL);
        else
                (void)execlp("less", "less", (char *)NULL);

        /* No pager: the text all the same. */
        (void)execlp("cat", "cat", (char *)NULL);
        _exit(EXIT_FAILURE);
}

static bool pager_is_wanted(const Ctl *ctl) {
        const char *pager = pager_get(), *term = getenv("TERM");

        if (pager_pid > 0 || ctl->no_pager || ctl->output != OUTPUT_TEXT || ctl->columns == 0)
                return false;

        /* An empty one, or cat, says that none is wanted. */
        if (pager && (!*pager || streq(pager, "cat")))
                return false;

        return !isempty(term) && !streq(term, "dumb");
}

void pager_open(const Ctl *ctl) {
        int fds[2];
        pid_t pid;

        if (!pager_is_wanted(ctl))
                return;

        (void)fflush(stdout);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;

        pid = fork();
        if (pid == 0)
                pager_exec(fds[0]);

        (void)close(fds[0]);
        if (pid > 0 && dup2(fds[1], STDOUT_FILENO) >= 0) {
                pager_pid = pid;

                /* Ctrl-C is for the reader, who may also leave before the end. */
                (void)signal(SIGINT, SIG_IGN);
                (void)signal(SIGPIPE, SIG_IGN);
        }
        (void)close(fds[1]);
}

void pager_close(void) {
        if (pager_pid <= 0)
                return;

        (void)fclose(stdout);
        while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        pager_pid = 0;
}

bool pager_is_open(void) {
        return pager_pid > 0;
}
