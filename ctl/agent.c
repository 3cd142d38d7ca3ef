/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Agent: polkit's password prompt on this terminal, for who has no graphical one.
 *
 * pkttyagent registers itself for its parent, so it must be our child for as long as the call may ask.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "agent.h"

#define AGENT_PATH "/usr/bin/pkttyagent"
#define AGENT_START_MSEC 10000
#define AGENT_NOTIFY_FD 3

static pid_t agent_pid = 0;

_Noreturn static void agent_exec(pid_t parent, int notify_fd) {
        bool graphical = getenv("DISPLAY") || getenv("WAYLAND_DISPLAY");
        int null_fd = open("/dev/null", O_RDWR);

        /* A signal that kills the command must not leave a password prompt behind. */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
                _exit(EXIT_FAILURE);

        /* It asks on the controlling terminal. Its complaints are not ours, and its output is no answer to a script. */
        if (dup2(null_fd, STDOUT_FILENO) < 0 || dup2(null_fd, STDERR_FILENO) < 0)
                _exit(EXIT_FAILURE);

        if (dup2(notify_fd, AGENT_NOTIFY_FD) < 0)
                _exit(EXIT_FAILURE);

        /* A desktop asks by itself. Elsewhere polkit 122 would pass over a mere fallback if there is no login session. */
        (void)execl(AGENT_PATH, "pkttyagent", "--notify-fd=3", graphical ? "--fallback" : NULL, (char *)NULL);
        _exit(EXIT_FAILURE);
}

void agent_open(const Ctl *ctl) {
        _cleanup_(fd_closep) int reader = -EBADF;
        pid_t parent = getpid();
        struct pollfd poll_fd;
        int fds[2], writer;

        /* Root is not asked; a private or remote bus has a polkit of its own, which this agent would not talk to. */
        if (agent_pid > 0 || geteuid() == 0 || ctl->address || ctl->host || !isatty(STDIN_FILENO))
                return;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        reader = fds[0];

        /* dup2() of a descriptor onto itself would leave it closed on exec. */
        writer = fcntl(fds[1], F_DUPFD_CLOEXEC, AGENT_NOTIFY_FD + 1);
        (void)close(fds[1]);
        if (writer < 0)
                return;

        agent_pid = fork();
        if (agent_pid == 0)
                agent_exec(parent, writer);
        (void)close(writer);
        if (agent_pid < 0)
                return;

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
