/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the two directions of a transfer have in common. */

#include "core/state-transfer.h"

typedef enum StateStep {
        STATE_STEP_COPY, /* a worker copies, or reads the header */
        STATE_STEP_MAKE, /* the vGPU for it is being made, or started */
        STATE_STEP_FILL, /* a worker copies into it */
        STATE_STEP_SETTLE, /* the worker died: another one puts the vGPU back */
        STATE_STEP_REMOVE, /* the vGPU is being removed: it was to be, or is half made */
} StateStep;

struct StateTransfer {
        Manager *manager;
        List link; /* in manager->state_transfers */
        Task *task; /* NULL: it has not begun for whoever asked, or was told to have ended */
        StateTransferCallback callback; /* NULL: was called, or nobody waits */
        void *userdata;
        sd_event_source *deadline; /* of its beginning */
        StateStep step;
        bool restores;
        bool silent; /* nobody waits for it: a successor's care, or whoever asked has left or was told that it failed */
        bool gpu_gone;
        char key[SYSFS_NAME_SIZE]; /* the platform's name for it */
        char gpu[SYSFS_NAME_SIZE]; /* empty: not chosen yet */
        char uuid[UUID_STRING_SIZE]; /* the same */
        char name[SAVED_STATE_NAME_SIZE];
        int fd; /* where it goes or comes from, if that is not the store */
        int cancel_fd; /* our end of the pipe whose other one is the worker's: closed to stop it */
        int cancelled_fd; /* that other one */
        uid_t started_by;
        PlatformJob *job;
        Operation *operation;
        bool cancelled;
        unsigned n_tries; /* to put the vGPU back */
        sd_event_source *again; /* the next of them */
        Error failure; /* why the vGPU is being put back or removed */

        StateAfter after;
        bool unmanaged;
        bool precopy;
        bool replace;

        char wanted_uuid[UUID_STRING_SIZE];
        char type[TYPE_ID_SIZE];
        char label[LABEL_SIZE];
        bool has_label;
        Caller by;
        gid_t *groups; /* by's */
        bool made; /* the vGPU is there for this alone, and goes if it fails */
};

/* -ERROR_LIMIT_EXCEEDED; a successor's care does not ask. */
int state_transfer_check_room(const Manager *manager, Error *error);
int state_transfer_new(Manager *manager, const char *name, int fd, StateTransferCallback callback, void *userdata,
                       StateTransfer **ret_transfer, Error *error);
StateTransfer *state_transfer_free(StateTransfer *t);
DEFINE_CLEANUP(StateTransfer *, state_transfer_free)

/* It is a task from now on, and whoever waits is told. The transfer may be gone if that cannot be. False: it is. */
bool state_transfer_begin(StateTransfer *t, uint64_t total);
/* It has ended; error NULL: well. Frees it. */
void state_transfer_finish(StateTransfer *t, const Error *error);
/* The vGPU, if it is there. */
VGpu *state_transfer_find(const StateTransfer *t);
void state_transfer_claim(StateTransfer *t, VGpuClaim claim);

/* Fills what the jobs of both directions have. */
Job state_transfer_get_job(const StateTransfer *t, JobKind kind);
int state_transfer_submit(StateTransfer *t, const Job *job, void (*done)(JobResult *result, void *userdata));

/* state-restore.c: the vGPU is removed if it is half made, and it ends with this error. Frees it, sooner or later. */
void state_transfer_fail(StateTransfer *t, const Error *error);

/* Both judge a name of the store. */
int state_transfer_check_name(const char *name, Error *error);
