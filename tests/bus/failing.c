/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An allocation that fails: preloaded into the daemon and its workers, it makes the FAIL_AT-th of each of them fail, and no
 * other. Those of libjson-c for names are left out: that of Debian 12 does not look whether it got them.
 */

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What glibc calls its own, for those who stand in between. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static atomic_long left = -1;
static atomic_bool counts;

__attribute__((constructor)) static void begin(void) {
        const char *at = getenv("FAIL_AT");

        left = at ? atol(at) : -1;
        /* Not what others do before main(). */
        counts = left > 0;
}

static bool fails(void) {
        if (!counts || atomic_fetch_sub(&left, 1) != 1)
                return false;

        counts = false;
        errno = ENOMEM;
        return true;
}

#define EXPORT __attribute__((visibility("default")))

EXPORT void *malloc(size_t size);
EXPORT void *calloc(size_t n, size_t size);
EXPORT void *realloc(void *p, size_t size);
EXPORT char *strdup(const char *s);

EXPORT void *malloc(size_t size) {
        return fails() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size) {
        return fails() ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size) {
        return fails() ? NULL : __libc_realloc(p, size);
}

EXPORT char *strdup(const char *s) {
        Dl_info caller;
        bool is_json = dladdr(__builtin_return_address(0), &caller) != 0 && strstr(caller.dli_fname, "libjson-c");
        size_t size = strlen(s) + 1;
        char *copy = is_json ? __libc_malloc(size) : malloc(size);
        return copy ? memcpy(copy, s, size) : NULL;
}
