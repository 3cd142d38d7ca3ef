/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Incoming: a vGPU that was made for a migration which somebody else drives, and waits for the virtual machine to come. It
 * has a lease: if nobody has it open when that ends it is removed, also by a successor of the daemon, as its record says
 * so; if somebody has, it is a vGPU as any other from then on.
 */

#include "core/operation.h"
#include "core/vgpu.h"

/* Of a lease, in seconds. */
#define INCOMING_LEASE_MIN 1U
#define INCOMING_LEASE_MAX (24U * 60U * 60U)
#define INCOMING_LEASE_DEFAULT (5U * 60U)

typedef struct ReleaseRequest {
        const char *uuid;
        bool keep; /* the vGPU stays, as any other */
} ReleaseRequest;

/* Now, on the clock of leases, which goes on while a machine sleeps and begins anew with it. */
uint64_t incoming_now(void);

/* Has the lease watched: of one that is being made, or that a daemon before us left. */
void incoming_watch(VGpu *vgpu, uint64_t lease);

/* It waits no more: it is kept, or it has gone. Its state is not touched. */
void incoming_forget(VGpu *vgpu);

/* It is as any other from now on, also for a successor. Negative: it is as it was. */
int incoming_keep(VGpu *vgpu);

/* The callback is called only if it is to be removed: with keep all is done, and *ret_operation is NULL. */
int manager_release_incoming(Manager *manager, const ReleaseRequest *request, OperationCallback callback,
                             void *userdata, Operation **ret_operation, Error *error);
int manager_check_release(Manager *manager, const ReleaseRequest *request, Error *error);
