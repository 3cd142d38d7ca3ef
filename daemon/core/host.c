/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/platform.h"
#include "util/file.h"

static int real_store(const Host *host, int dir_fd, const char *path, const char *text) {
        return attribute_write(dir_fd, path, text);
}

static int real_open_node(const Host *host, const char *path, int flags) {
        int fd;

        fd = openat(host->dev_fd, path, flags | O_CLOEXEC | O_NOCTTY);
        return fd < 0 ? negative_errno() : fd;
}

static int real_ioctl(const Host *host, int fd, unsigned long request, void *argument) {
        int r;

        r = ioctl(fd, request, argument);
        return r < 0 ? negative_errno() : r;
}

/* A process holds the file that it runs open until it ends: that it is closed then is what inotify tells. */
static int real_watch_program(const Host *host, const char *name) {
        char path[128];
        int fd;

        fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0)
                return negative_errno();

        (void)snprintf(path, sizeof(path), "/usr/bin/%.64s", name);
        if (inotify_add_watch(fd, path, IN_CLOSE | IN_MOVE_SELF | IN_DELETE_SELF) < 0) {
                int r = negative_errno();

                fd_close(fd);
                return r;
        }

        return fd;
}

static int real_watch_node(const Host *host, int fd) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

        return copy < 0 ? negative_errno() : copy;
}

static ssize_t real_read(const Host *host, int fd, void *buffer, size_t size) {
        ssize_t n;

        n = read(fd, buffer, size);
        return n < 0 ? negative_errno() : n;
}

static ssize_t real_write(const Host *host, int fd, const void *data, size_t size) {
        ssize_t n;

        n = write(fd, data, size);
        return n < 0 ? negative_errno() : n;
}

static int real_run(const Host *host, const char *const *command) {
        static char *const environment[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
        posix_spawn_file_actions_t actions;
        int r, status;
        pid_t pid;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        /* The worker's own are its connection to the daemon. */
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn(&pid, command[0], &actions, NULL, (char *const *)(uintptr_t)command, environment);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                return -r;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return negative_errno();
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const HostOps real_ops = {
        .store = real_store,
        .open_node = real_open_node,
        .run = real_run,
        .ioctl = real_ioctl,
        .watch_program = real_watch_program,
        .watch_node = real_watch_node,
        .read_node = real_read,
        .read_data = real_read,
        .write_data = real_write,
};

int host_open(Host *ret_host) {
        Host host = { .ops = &real_ops,
                      .sys_fd = -EBADF,
                      .dev_fd = -EBADF,
                      .proc_fd = -EBADF,
                      .etc_fd = -EBADF,
                      .var_fd = -EBADF,
                      .run_fd = -EBADF,
                      .usr_fd = -EBADF };
        int r;

        r = host.sys_fd = directory_open(AT_FDCWD, "/sys");
        if (r >= 0)
                r = host.dev_fd = directory_open(AT_FDCWD, "/dev");
        if (r >= 0)
                r = host.proc_fd = directory_open(AT_FDCWD, "/proc");
        if (r < 0) {
                host_close(&host);
                return r;
        }

        /* Without these vGPUs are still made: they cannot be defined, and the reason is told when somebody tries. */
        host.etc_fd = directory_open(AT_FDCWD, "/etc");
        host.var_fd = directory_open(AT_FDCWD, "/var/lib/mdevgpud");
        host.run_fd = directory_open(AT_FDCWD, "/run/mdevgpud");
        host.usr_fd = directory_open(AT_FDCWD, "/usr");
        *ret_host = host;
        return 0;
}

void host_close(Host *host) {
        host->sys_fd = fd_close(host->sys_fd);
        host->dev_fd = fd_close(host->dev_fd);
        host->proc_fd = fd_close(host->proc_fd);
        host->etc_fd = fd_close(host->etc_fd);
        host->var_fd = fd_close(host->var_fd);
        host->run_fd = fd_close(host->run_fd);
        host->usr_fd = fd_close(host->usr_fd);
}
