/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * StateTransfer: the state of a vGPU on its way into an image, in the store or through somebody's descriptor, or back. It is a
 * task once it has begun. While it goes on the vGPU is claimed: nothing else of ours touches it.
 *
 * A worker does it. Whatever becomes of that, the vGPU is put back, or what was half made is removed; by a successor of the
 * daemon if need be, as the record says what was going on.
 */

#include "core/migration-query.h"
#include "core/task.h"

typedef struct StateTransfer StateTransfer;

/* At one time: each is a process, and a stream that takes what a disk or a network can. */
#define STATE_TRANSFERS_MAX 16U

/* What becomes of what was saved. */
typedef enum StateAfter {
        STATE_AFTER_RUN,
        STATE_AFTER_STOP, /* its device is left in VFIO's state STOP */
        STATE_AFTER_DESTROY,
        STATE_AFTER_MAX,
        STATE_AFTER_INVALID = -EINVAL,
} StateAfter;

StateAfter state_after_from_string(const char *s);

typedef struct SaveRequest {
        const char *uuid;
        const char *name; /* in the store; "": to the descriptor */
        int fd; /* duplicated */
        StateAfter after;
        bool precopy; /* what the device gives while it runs goes first, where its driver can */
        bool replace; /* a state that has this name */
        bool unmanaged; /* after: also one that we did not make is destroyed */
        uid_t started_by;
} SaveRequest;

typedef struct RestoreRequest {
        const char *gpu; /* "": whichever has room */
        const char *name; /* in the store; "": from the descriptor */
        int fd; /* duplicated */
        const char *uuid; /* "": the saved one; "new": another */
        const char *type; /* id or name; "": the saved one */
        const char *label; /* NULL: the saved one */
        const Caller *by;
        uid_t started_by;
} RestoreRequest;

/*
 * It has begun, and goes on as a task; or it has not, and error says why. Called once, from the loop, and within
 * OPERATION_TIMEOUT_USEC: what has not begun by then does not begin any more.
 */
typedef void (*StateTransferCallback)(const Error *error, const Task *task, void *userdata);

/* Negative with *error filled: nothing began, and no callback comes. */
int manager_save_state(Manager *manager, const SaveRequest *request, StateTransferCallback callback, void *userdata,
                       StateTransfer **ret_transfer, Error *error);
int manager_check_save(Manager *manager, const SaveRequest *request, Error *error);
int manager_restore_state(Manager *manager, const RestoreRequest *request, StateTransferCallback callback,
                          void *userdata, StateTransfer **ret_transfer, Error *error);
int manager_check_restore(Manager *manager, const RestoreRequest *request, Error *error);

/* Nobody waits for its beginning any more: it is cancelled. */
StateTransfer *state_transfer_abandon(StateTransfer *transfer);

/* Its record says that a daemon before us was saving it: its device may stand still. */
void state_transfer_recover(VGpu *vgpu);

void state_transfers_gpu_gone(const Gpu *gpu);
/* Nobody is called back; what a successor has to do is on record. */
void state_transfers_end(Manager *manager);
