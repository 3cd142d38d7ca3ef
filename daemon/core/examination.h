/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Examination: what a worker sees of the machine around the GPUs; asked of a worker of its own, as it reads many files.
 */

#include "core/host-facts.h"
#include "core/manager.h"

/* facts are NULL, and *error says why, if the worker could not tell. Called once, from the loop; it is gone then. */
typedef void (*ExaminationCallback)(const Error *error, const HostFacts *facts, void *userdata);

int examination_new(Manager *manager, ExaminationCallback callback, void *userdata, Examination **ret_examination,
                    Error *error);
/* Nobody is called back. */
Examination *examination_free(Examination *examination);
