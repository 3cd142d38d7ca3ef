/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Operation: one thing that somebody asked for and that takes time: a create or a destroy. It ends by calling back
 * exactly once, whatever becomes of the worker, and knows nothing of who asked or how the answer travels.
 */

#include <systemd/sd-event.h>

#include "core/backend.h"
#include "util/list.h"

/* From authorization to an answer: below the 25 s after which D-Bus clients give up. */
#define OPERATION_TIMEOUT_USEC (20U * 1000U * 1000U)

typedef struct Manager Manager;
typedef struct VGpu VGpu;
typedef struct Operation Operation;

typedef enum OperationKind {
        OPERATION_CREATE,
        OPERATION_DESTROY,
} OperationKind;

/* error is NULL on success; vgpu is the one that was made, visible now, or NULL. Called once, never from within start. */
typedef void (*OperationCallback)(const Error *error, VGpu *vgpu, void *userdata);

struct Operation {
        Manager *manager;
        List link; /* in manager->operations */
        OperationKind kind;
        VGpu *vgpu;
        PlatformJob *job;
        sd_event_source *deadline;
        OperationCallback callback; /* NULL once it was called */
        void *userdata;
        bool expired; /* the caller was told that it timed out, or that the vGPU is stuck; the job goes on */
        bool stuck;   /* its GPU's worker is stuck in it */
        bool overlaps; /* ran beside a removal on its GPU: what both counted may be told in the other order */
};

typedef struct CreateRequest {
        const char *gpu;  /* sysfs name */
        const char *type; /* id or name */
        const char *uuid; /* empty: generated */
} CreateRequest;

typedef struct DestroyRequest {
        const char *uuid;
        bool unmanaged; /* also one that we did not make */
} DestroyRequest;
