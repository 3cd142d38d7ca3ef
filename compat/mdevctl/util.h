/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The few helpers that every file of this command uses. It knows nothing of the daemon but its bus interface, so it
 * shares no header with it either.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

#define TAKE(x)                                                                                                        \
        ({                                                                                                             \
                __typeof__(x) *take_p_ = &(x);                                                                         \
                __typeof__(x) take_v_ = *take_p_;                                                                      \
                *take_p_ = NULL;                                                                                       \
                take_v_;                                                                                               \
        })

static inline void freep(void *p) {
        free(*(void **)p);
}

static inline void fd_closep(int *fd) {
        if (*fd >= 0)
                (void)close(*fd);
}

static inline void dir_closep(DIR **d) {
        if (*d)
                (void)closedir(*d);
}

static inline int directory_list(int dir_fd, const char *path, DIR **ret_dir) {
        int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        int r = -errno;

        if (!dir) {
                if (fd >= 0)
                        (void)close(fd);
                return r;
        }

        *ret_dir = dir;
        return 0;
}

/* Neither "." nor "..". */
static inline struct dirent *directory_next(DIR *dir) {
        struct dirent *entry;

        do
                entry = readdir(dir);
        while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
        return entry;
}

static inline int file_write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0) {
                        data += n;
                        size -= (size_t)n;
                }
        }

        return 0;
}
