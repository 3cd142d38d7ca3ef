/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ctl: one run of mdevgpuctl: what the command line asked for and the connection it is asked over.
 */

#include <systemd/sd-bus.h>

#include "util.h"

/*
 * The exit statuses, which scripts rely on. A function that returns a Status other than STATUS_DONE has said why
 * on stderr already; functions that return 0 or a negative errno have said nothing.
 */
typedef enum Status {
        STATUS_DONE = 0,
        STATUS_FAILED = 1,
        STATUS_USAGE = 2,
        STATUS_NOT_FOUND = 3,
        STATUS_NOT_AUTHORIZED = 4,
        STATUS_DIFFERENT = 5,
        STATUS_UNREACHABLE = 6,
        STATUS_UNKNOWN = 7,
} Status;

typedef enum Output {
        OUTPUT_TEXT,
        OUTPUT_JSON_PRETTY,
        OUTPUT_JSON_SHORT,
} Output;

/* The options that say something about vGPUs, a bit each; a verb takes some of them. */
typedef enum Option {
        OPTION_PROBE = 1 << 9,
        OPTION_LEASE = 1 << 10,
        OPTION_KEEP = 1 << 11,
        OPTION_DOMAIN = 1 << 15,
        OPTION_UNMANAGED = 1 << 16,
        OPTION_PERSISTENT = 1 << 17,
        OPTION_AUTOSTART = 1 << 18,
        OPTION_MANUAL = 1 << 19,
        OPTION_OFF = 1 << 20,
        OPTION_LABEL = 1 << 21,
        OPTION_TYPE = 1 << 22,
        OPTION_ATTR = 1 << 23,
        OPTION_LIVE = 1 << 24,
        OPTION_CONFIG = 1 << 25,
        OPTION_NUMA_NODE = 1 << 26,
        OPTION_TAKE_DISPLAY = 1 << 27,
        OPTION_FORMAT = 1 << 28,
        OPTION_DISPLAY = 1 << 29,
        OPTION_RAMFB = 1 << 30,
        OPTION_AFTER = 1ULL << 32,
        OPTION_NO_PRECOPY = 1ULL << 33,
        OPTION_REPLACE = 1ULL << 34,
        OPTION_NO_WAIT = 1ULL << 35,
        OPTION_UUID = 1ULL << 36,
} Option;

/* What getopt_long() returns for one of them: above what it returns otherwise, and an int whatever the bit is. */
#define OPTION_VALUE_FIRST 0x200
#define OPTION_VALUE(option) (OPTION_VALUE_FIRST + __builtin_ctzll(option))

#define OPTIONS_OF_AUTOSTART ((uint64_t)(OPTION_AUTOSTART | OPTION_MANUAL | OPTION_OFF))

typedef struct Ctl {
        Output output;
        bool quiet;
        bool no_legend;
        bool no_pager;

        const char *verb;
        uint64_t takes; /* the verb, of enum Option */
        uint64_t given; /* on the command line, of enum Option */
        const char *label, *type, *format, *domain, *after, *uuid;
        uint32_t numa_node, lease;
        char **attributes; /* NAME=VALUE each, as typed and in that order */
        size_t n_attributes;

        const char *address; /* a private bus instead of the system's */
        const char *host; /* the system bus of another machine, over ssh */

        bool color;
        unsigned columns; /* the terminal's width, taken before a pager stands between; 0: no terminal */

        const char *unresolved; /* what was named last, and is neither a UUID nor a label */

        const char *about; /* which file or saved state a job is about that fails, as its sentence does not name it */

        sd_bus *bus; /* NULL until the first call */
} Ctl;

/* The first failure of several decides: the rest are said on stderr, but one status must be chosen. */
static inline Status status_first(Status a, Status b) {
        return a != STATUS_DONE ? a : b;
}

/* Prints `mdevgpuctl: <message>` on stderr with everything unprintable escaped; always returns status. */
Status ctl_error(Status status, const char *format, ...) _printf_(2, 3);

static inline Status ctl_oom(void) {
        return ctl_error(STATUS_FAILED, "Out of memory.");
}
