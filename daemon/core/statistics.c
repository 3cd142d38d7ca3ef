/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <time.h>

#include "core/statistics.h"
#include "util/string-table.h"

/* From what a sysfs write takes to the deadline of an operation. */
const uint64_t statistics_bounds_usec[STATISTICS_BOUNDS] = {
        5000, 25000, 100000, 250000, 1000000, 2500000, 5000000, OPERATION_TIMEOUT_USEC,
};

static const char *const operation_kind_table[OPERATION_KIND_MAX] = {
        [OPERATION_CREATE] = "create", [OPERATION_START] = "start",       [OPERATION_DESTROY] = "destroy",
        [OPERATION_DEFINE] = "define", [OPERATION_UNDEFINE] = "undefine", [OPERATION_MODIFY] = "modify",
};

DEFINE_STRING_TABLE(operation_kind, OperationKind)

void statistics_init(Statistics *statistics) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        *statistics = (Statistics){
                .start_usec = (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U,
        };
}

static void count_error(OperationStatistics *o, int code) {
        for (size_t i = 0; i < o->n_errors; i++)
                if (o->errors[i].code == code) {
                        o->errors[i].n++;
                        return;
                }

        if (o->n_errors < STATISTICS_ERRORS_MAX)
                o->errors[o->n_errors++] = (ErrorCount){ .code = code, .n = 1 };
}

void statistics_count(Statistics *statistics, OperationKind kind, uint64_t usec, const Error *error) {
        OperationStatistics *o = &statistics->operations[kind];
        size_t bucket = 0;

        while (bucket < STATISTICS_BOUNDS && usec > statistics_bounds_usec[bucket])
                bucket++;
        o->buckets[bucket]++;
        o->usec += usec;
        if (!error) {
                o->n_done++;
                return;
        }

        o->n_failed++;
        count_error(o, error->code);
}
