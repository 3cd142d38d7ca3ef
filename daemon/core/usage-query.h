/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * UsageQuery: what a GPU's driver says that the GPU and its vGPUs use. Anybody may ask, and each reading costs the
 * worker's time and may keep the driver from being unloaded: so a GPU is read once for all who ask at the same time, and
 * ten times a second at most.
 */

#include "core/manager.h"

typedef struct UsageQuery UsageQuery;
typedef struct UsageReading UsageReading;

/* error is NULL on success; the report is the caller's for as long as the call lasts. Called once, from the loop; the
 * query is gone then. */
typedef void (*UsageCallback)(const Error *error, const UsageReport *report, void *userdata);

/* What is answered was read after this call, or was being read at it: what a caller was told before is in it. */
int usage_query_new(Gpu *gpu, UsageCallback callback, void *userdata, UsageQuery **ret_query, Error *error);
/* Nobody is called back. */
UsageQuery *usage_query_free(UsageQuery *query);

/* The GPU goes: who asks is told. */
void usage_gpu_gone(Gpu *gpu);
