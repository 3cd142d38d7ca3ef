/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Runner: does one job with whichever backend the GPU has. The whole of a worker but its loop, so that tests can run it
 * in their own process.
 */

#include "core/backend.h"

void runner_init(BackendContext *c, const Host *host, const char *gpu);
void runner_done(BackendContext *c);

/* *result must be initialised; it says in any case what came of the job. */
/* What to poll while there is no job; -1: nothing. */
int runner_watch(BackendContext *c);

void runner_run(BackendContext *c, const Job *job, JobResult *result);
