/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The steps of a plan: doing one, and taking one back. What taking back needs follows from what is there: a step that has
 * been done halfway, or not at all, or is taken back already, can be taken back as well.
 */

#include "core/topology-plan.h"

/* Begins; the callback follows. What comes of it is the owner's. */
int topology_step_begin(Manager *manager, const TopologyStep *step, const Owner *owner, OperationCallback callback,
                        void *userdata, Error *error);

/* It failed, and yet what it was for is so. */
bool topology_step_is_done(const Manager *manager, const TopologyStep *step, int code);

/* 1: something has begun, of whose end the callback tells, and then there may be more to do; 0: nothing is left to do. */
int topology_step_take_back(Manager *manager, const TopologyStep *step, unsigned n_tries, OperationCallback callback,
                            void *userdata, Error *error);
