/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>

#include "worker/process.h"

#define ARGUMENTS_MAX 8U

/* Standard error stays: it leads to the journal. The socket's other end is not 0 or 1 itself, which dup2() would leave
 * with close-on-exec. */
static int setup_files(posix_spawn_file_actions_t *actions, int socket_fd) {
        int r;

        r = posix_spawn_file_actions_adddup2(actions, socket_fd, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);

        return -r;
}

static int setup_signals(posix_spawnattr_t *attributes) {
        sigset_t none, all;
        int r;

        (void)sigemptyset(&none);
        (void)sigfillset(&all);
        r = posix_spawnattr_setsigmask(attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(attributes, &all);
        if (r == 0)
                r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

        return -r;
}

static int spawn(const char *const *command, const char *gpu, int socket_fd, pid_t *ret_pid) {
        posix_spawn_file_actions_t actions;
        char *arguments[ARGUMENTS_MAX + 2];
        posix_spawnattr_t attributes;
        size_t n = 0;
        int r;

        for (; command[n] && n < ARGUMENTS_MAX; n++)
                arguments[n] = (char *)(uintptr_t)command[n];
        arguments[n++] = (char *)(uintptr_t)gpu;
        arguments[n] = NULL;

        r = -posix_spawn_file_actions_init(&actions);
        if (r < 0)
                return r;
        r = -posix_spawnattr_init(&attributes);
        if (r < 0) {
                (void)posix_spawn_file_actions_destroy(&actions);
                return r;
        }

        r = setup_files(&actions, socket_fd);
        if (r >= 0)
                r = setup_signals(&attributes);
        if (r >= 0)
                r = -posix_spawn(ret_pid, command[0], &actions, &attributes, arguments, environ);

        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

int process_spawn(const char *const *command, const char *gpu, pid_t *ret_pid, int *ret_fd) {
        _cleanup_(fd_closep) int ours = -EBADF, theirs = -EBADF;
        int fds[2], flags, r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return negative_errno();
        ours = fds[0];
        /* Whoever started us may have closed the standard descriptors. */
        theirs = fcntl(fds[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        fd_close(fds[1]);
        if (theirs < 0)
                return negative_errno();

        flags = fcntl(ours, F_GETFL);
        if (flags < 0 || fcntl(ours, F_SETFL, flags | O_NONBLOCK) < 0)
                return negative_errno();

        r = spawn(command, gpu, theirs, ret_pid);
        if (r < 0)
                return r;

        *ret_fd = TAKE_FD(ours);
        return 0;
}
