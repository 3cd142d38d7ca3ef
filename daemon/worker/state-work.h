/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * State work: a worker's jobs about the state of vGPUs. A transfer has a worker of its own, as it lasts, and needs no
 * backend: all it speaks with is VFIO, and its other end.
 */

#include "core/backend.h"

typedef struct StateWork StateWork;

int state_work_save(BackendContext *c, const Job *job, JobResult *result);
/* The header is in *result; what is open stays so for what follows. */
int state_work_open(BackendContext *c, const Job *job, JobResult *result);
int state_work_restore(BackendContext *c, const Job *job, JobResult *result);
int state_work_settle(BackendContext *c, const Job *job, JobResult *result);

StateWork *state_work_free(StateWork *work);
