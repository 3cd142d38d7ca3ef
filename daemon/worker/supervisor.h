/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Supervisor: the daemon's side of its workers, and the Platform that core hands its jobs to. It starts a worker process
 * for each GPU at its first job and one for each removal, watches their deadlines, and never waits for any of them. A
 * worker that overruns its deadline is left alone, as it may be in a state in which nothing can end it; one that changes nothing,
 * or copies a state, which another puts back, is killed.
 */

#include <systemd/sd-event.h>

#include "core/platform.h"

typedef struct Supervisor Supervisor;

typedef struct SupervisorParameters {
        sd_event *event; /* SIGCHLD must be blocked in this process */
        /* The program and its first arguments, ended by NULL; the GPU's name is added. Lives as long as the supervisor. */
        const char *const *command;
        uint64_t sync_timeout_usec; /* 0: the default */
        uint64_t operation_timeout_usec;
} SupervisorParameters;

int supervisor_new(const SupervisorParameters *parameters, Supervisor **ret_supervisor);
/* Closes every worker's socket; those that can end do. Nobody is called back. */
Supervisor *supervisor_free(Supervisor *supervisor);
DEFINE_CLEANUP(Supervisor *, supervisor_free)

Platform *supervisor_get_platform(Supervisor *supervisor);
