/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Shim owner: who owns a GPU's control node, and taking it over from a worker that lost its daemon.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "backend/shim-types.h"
#include "util/file.h"
#include "util/text.h"

static bool process_has_node(const Host *host, const char *pid, const struct stat *node) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[64], target[512];
        struct dirent *entry;

        (void)snprintf(path, sizeof(path), "%.20s/fd", pid);
        if (directory_list(host->proc_fd, path, &dir) < 0)
                return false;

        while ((entry = directory_next(dir))) {
                struct stat st;
                ssize_t n;

                /* By name first: stat() of a foreign descriptor may wait for a dead file server. */
                n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
                if (n < 0)
                        continue;
                target[n] = '\0';
                if (strstr(target, "/mdevgpu/gpu") && fstatat(dirfd(dir), entry->d_name, &st, 0) >= 0 &&
                    st.st_rdev == node->st_rdev && st.st_ino == node->st_ino)
                        return true;
        }

        return false;
}

int shim_find_owner(const Host *host, const char *node, User *ret_owner) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        struct stat st;
        int r;

        if (fstatat(host->dev_fd, node, &st, 0) < 0)
                return negative_errno();
        r = directory_list(host->proc_fd, ".", &dir);
        if (r < 0)
                return r;

        while ((entry = directory_next(dir))) {
                char path[64];

                if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !process_has_node(host, entry->d_name, &st))
                        continue;

                *ret_owner = (User){ .pid = (int32_t)strtol(entry->d_name, NULL, 10), .uid = UNKNOWN_U32 };
                (void)snprintf(path, sizeof(path), "%.20s/comm", entry->d_name);
                attribute_read_text(host->proc_fd, path, ret_owner->comm, sizeof(ret_owner->comm));
                if (fstatat(host->proc_fd, entry->d_name, &st, 0) >= 0)
                        ret_owner->uid = st.st_uid;
                return 1;
        }

        return 0;
}

/* PPid of a process, or -1. */
static int32_t read_parent_pid(const Host *host, int32_t pid) {
        char path[64], text[4096], *p;

        (void)snprintf(path, sizeof(path), "%i/status", pid);
        if (attribute_read(host->proc_fd, path, text, sizeof(text)) < 0)
                return -1;

        p = strstr(text, "\nPPid:\t");
        return p ? (int32_t)strtol(p + strlen("\nPPid:\t"), NULL, 10) : -1;
}

/* The program of a process, as /proc names it; false if it has none any more, as a zombie. */
static bool read_program(const Host *host, int32_t pid, char *buffer, size_t size) {
        char path[64];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "%i/exe", pid);
        n = readlinkat(host->proc_fd, path, buffer, size - 1);
        if (n < 0)
                return false;

        buffer[n] = '\0';
        return true;
}

/* The two run the same program, which an upgrade may have replaced since: then the link says so behind its name. */
static bool runs_program(const Host *host, int32_t pid, int32_t pattern) {
        char own[512], other[512];
        size_t n;

        if (!read_program(host, pattern, own, sizeof(own)) || !read_program(host, pid, other, sizeof(other)))
                return false;

        n = strlen(own);
        return strncmp(own, other, n) == 0 && (other[n] == '\0' || streq(other + n, " (deleted)"));
}

/* Its memory has gone, and its program with it; what it has open goes next. */
static bool is_ending(const Host *host, int32_t pid) {
        char path[64], target[2];

        (void)snprintf(path, sizeof(path), "%i/exe", pid);
        return readlinkat(host->proc_fd, path, target, sizeof(target)) < 0 && errno == ENOENT;
}

bool shim_owner_is_orphan(const Host *host, const User *owner) {
        int32_t parent;

        if (is_ending(host, owner->pid))
                return true;
        if (!runs_program(host, owner->pid, getpid()))
                return false;

        parent = read_parent_pid(host, owner->pid);
        return parent > 0 && parent != getppid() && !runs_program(host, parent, getppid());
}

int shim_take_over(const Host *host, const char *node, int *ret_fd, Error *error) {
        struct mdevgpu_takeover args = { .size = sizeof(args) };
        _cleanup_(fd_closep) int fd = -EBADF;
        int r;

        fd = host->ops->open_node(host, node, O_RDONLY | O_NONBLOCK);
        if (fd < 0)
                return error_set(error, fd, "/dev/%s cannot be opened: %s", node, strerrordesc_np(-fd));

        r = host->ops->ioctl(host, fd, MDEVGPU_TAKEOVER, &args);
        if (r < 0)
                return error_set(error, -ERROR_BUSY, "/dev/%s cannot be taken over from a stuck worker: %s", node,
                                 strerrordesc_np(-r));

        *ret_fd = TAKE_FD(fd);
        return 0;
}
