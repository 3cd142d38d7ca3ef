/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Cleanup: scope-bound release of what a function owns, so that every early return is right by construction.
 *
 * Destructors accept NULL and return NULL, so `x = foo_free(x)` both releases and clears.
 */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))

/* Defines f##p(), the form that the cleanup attribute wants, for a destructor f(T). */
#define DEFINE_CLEANUP(type, f)                                                                                        \
        static inline void f##p(type *p) {                                                                             \
                if (*p)                                                                                                \
                        (void)f(*p);                                                                                   \
        }

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define TAKE(x)                                                                                                        \
        ({                                                                                                             \
                __typeof__(x) *take_p_ = &(x);                                                                         \
                __typeof__(x) take_v_ = *take_p_;                                                                      \
                *take_p_ = NULL;                                                                                       \
                take_v_;                                                                                               \
        })

#define TAKE_FD(fd)                                                                                                    \
        ({                                                                                                             \
                int *take_fd_p_ = &(fd);                                                                               \
                int take_fd_v_ = *take_fd_p_;                                                                          \
                *take_fd_p_ = -EBADF;                                                                                  \
                take_fd_v_;                                                                                            \
        })

static inline void freep(void *p) {
        free(*(void **)p);
}

/* Closes and returns -EBADF; keeps errno, as it runs on the way out of failing functions. */
static inline int fd_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                (void)close(fd);
                errno = saved;
        }

        return -EBADF;
}

static inline void fd_closep(int *fd) {
        *fd = fd_close(*fd);
}

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline const char *strempty(const char *s) {
        return s ? s : "";
}

/* -errno that is never 0, for use where a call has failed but errno must not be trusted to be set. */
static inline int negative_errno(void) {
        return errno > 0 ? -errno : -EIO;
}
