/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Statistics: what the daemon has done since it started, in numbers that only grow: for whoever draws curves of them.
 */

#include "core/operation.h"

/* Upper bounds of the buckets of latencies; what took longer is in one more. */
#define STATISTICS_BOUNDS 8U
extern const uint64_t statistics_bounds_usec[STATISTICS_BOUNDS];

/* Different errors of one kind of operation, far more than there are names for. */
#define STATISTICS_ERRORS_MAX 32U

typedef struct ErrorCount {
        int code; /* negative */
        uint64_t n;
} ErrorCount;

typedef struct OperationStatistics {
        uint64_t n_done;
        uint64_t n_failed;
        uint64_t usec; /* from its start to its answer, of all of them together */
        uint64_t buckets[STATISTICS_BOUNDS + 1]; /* each without those below it */
        ErrorCount errors[STATISTICS_ERRORS_MAX];
        size_t n_errors;
} OperationStatistics;

/* Tasks by how they ended. */
typedef struct TaskStatistics {
        uint64_t n_done, n_failed, n_cancelled;
} TaskStatistics;

typedef struct Statistics {
        uint64_t start_usec; /* CLOCK_REALTIME */
        OperationStatistics operations[OPERATION_KIND_MAX];
        TaskStatistics tasks;
        uint64_t n_device_errors;
        uint64_t n_reloads; /* that put a configuration in force */
        uint64_t n_reloads_failed;
} Statistics;

const char *operation_kind_to_string(OperationKind kind);

void statistics_init(Statistics *statistics);

/* error NULL: it was done. */
void statistics_count(Statistics *statistics, OperationKind kind, uint64_t usec, const Error *error);
