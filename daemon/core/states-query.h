/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * StatesQuery: what states are saved, or one of them deleted; by a worker, as it waits for the disk. One list is read at a
 * time, however many ask for it.
 */

#include "core/manager.h"

typedef struct StatesQuery StatesQuery;

/* error is NULL on success; result: as of JOB_LIST_STATES. Called once, from the loop; the query is gone then. */
typedef void (*StatesCallback)(const Error *error, const JobResult *result, void *userdata);

int states_query_new(Manager *manager, StatesCallback callback, void *userdata, StatesQuery **ret_query, Error *error);
int states_query_new_delete(Manager *manager, const char *name, StatesCallback callback, void *userdata,
                            StatesQuery **ret_query, Error *error);
/* Nobody is called back. What was asked for goes on, and the observer is told of a deletion when that is done. */
StatesQuery *states_query_free(StatesQuery *query);
/* Nobody is called back, nor told; their queries are gone. */
void states_queries_end(Manager *manager);
