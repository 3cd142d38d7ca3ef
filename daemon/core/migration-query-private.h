/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The two kinds of query: one that has the vGPU opened, and one that shares a look with others. */

#include "core/migration-query.h"

typedef struct MigrationLook MigrationLook;

struct MigrationQuery {
        Manager *manager;
        List link; /* in manager->migration_queries, or in its look's */
        MigrationLook *look; /* NULL: it probes */
        sd_event_source *deadline; /* of one that waits for a look */
        const Gpu *gpu;
        PlatformJob *job; /* of one that probes */
        MigrationCallback callback; /* NULL: nobody waits for it any more */
        void *userdata;
        char uuid[UUID_STRING_SIZE];
};

/* It is gone then. */
void migration_query_end(MigrationQuery *query, const Error *error, const JobResult *result);

/* migration-look.c: the query waits for a look at its vGPU. Negative with *error filled: it does not. */
int migration_look_join(VGpu *vgpu, MigrationQuery *query, Error *error);
/* It does not wait any more. */
void migration_look_leave(MigrationQuery *query);
void migration_looks_gpu_gone(Gpu *gpu, const Error *error);
