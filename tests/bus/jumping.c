/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A wall clock that jumps: preloaded into the daemon and its workers, it is years ahead, and then years behind, each time
 * that somebody looks at it. The other clocks are as they are.
 */

#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define JUMP (3 * 365 * 86400L)

#define EXPORT __attribute__((visibility("default")))

EXPORT int clock_gettime(clockid_t clock, struct timespec *ret);
EXPORT int gettimeofday(struct timeval *restrict ret, void *restrict zone);
EXPORT time_t time(time_t *ret);

static atomic_uint looks;

EXPORT int clock_gettime(clockid_t clock, struct timespec *ret) {
        long r = syscall(SYS_clock_gettime, clock, ret);

        if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
                ret->tv_sec += atomic_fetch_add(&looks, 1) % 2 == 0 ? JUMP : -JUMP;
        return (int)r;
}

EXPORT int gettimeofday(struct timeval *restrict ret, void *restrict zone __attribute__((unused))) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        *ret = (struct timeval){ .tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000 };
        return 0;
}

EXPORT time_t time(time_t *ret) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        if (ret)
                *ret = ts.tv_sec;
        return ts.tv_sec;
}
