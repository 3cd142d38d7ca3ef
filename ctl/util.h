/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The few helpers that every file of mdevgpuctl uses. The command knows nothing of the daemon but its bus interface,
 * so it shares no header with it either.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <json-c/json.h>

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

static inline void json_object_putp(json_object **p) {
        json_object_put(*p);
}

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool isempty(const char *s) {
        return !s || !*s;
}
