/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Agent: polkit's password prompt on this terminal, for who has no graphical one.
 *
 * pkttyagent registers itself for its parent, so it must be our child for as long as the call may ask.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "agent.h"

#define AGENT_PATH "/usr/bin/pkttyagent"
#define AGENT_START_MSEC 10000
#define AGENT_NOTIFY_FD 3

static pid_t agent_pid = 0;

static int agent_spawn(int notify_fd, pid_t *ret) {
        char *argv[] = { (char *)"pkttyagent", (char *)"--notify-fd=3", (char *)"--fallback", NULL };
        posix_spawn_file_actions_t actions;
        pid_t pid;
        int r;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;

        r = posix_spawn_file_actions_adddup2(&actions, notify_fd, AGENT_NOTIFY_FD);
        if (r == 0)
                r = posix_spawn(&pid, AGENT_PATH, &actions, NULL, argv, environ);

        (void)posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                return -r;

        *ret = pid;
        return 0;
}

void agent_open(const Ctl *ctl) {
        /* 0 and 1 are taken, but not 2 and 3 necessarily: dup2() onto itself would keep close-on-exec. */
        _cleanup_(fd_closep) int reader = -EBADF, writer = -EBADF;
        struct pollfd poll_fd;
        int fds[2];

        /* Root is not asked; a private or remote bus has a polkit of its own, which this agent would not talk to. */
        if (agent_pid > 0 || geteuid() == 0 || ctl->address || ctl->host || !isatty(STDIN_FILENO))
                return;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        reader = fds[0];

        writer = fcntl(fds[1], F_DUPFD_CLOEXEC, AGENT_NOTIFY_FD + 1);
        (void)close(fds[1]);
        if (writer < 0)
                return;

        if (agent_spawn(writer, &agent_pid) < 0)
                return;

        fd_closep(&writer);
        writer = -EBADF;

        /* It closes the descriptor once it is registered, or by dying. */
        poll_fd = (struct pollfd){ .fd = reader, .events = POLLIN };
        (void)poll(&poll_fd, 1, AGENT_START_MSEC);
}

void agent_close(void) {
        if (agent_pid <= 0)
                return;

        /* It may have been stopped by the terminal, where a mere SIGTERM would wait. */
        (void)kill(agent_pid, SIGTERM);
        (void)kill(agent_pid, SIGCONT);
        while (waitpid(agent_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        agent_pid = 0;
}
