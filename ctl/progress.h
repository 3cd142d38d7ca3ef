/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Progress: how far a job is, in a line that is written over and over, for a person at a terminal alone.
 */

#include "ctl.h"

typedef struct Progress {
        size_t columns; /* of what stands there */
} Progress;

/* `job` has the properties of the job. It is written to stderr, as stdout may carry data. */
void progress_show(const Ctl *ctl, json_object *job, bool cancelled, Progress *progress);

void progress_clear(Progress *progress);
