/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * TopologyApply: a plan that is being carried out: one step after the other, and if one fails, or somebody cancels it, all
 * that were done are taken back in the other order. Before the first step everything is looked at: a vGPU that has to go
 * and is in use refuses it all.
 *
 * There is one at a time.
 */

#include "core/task.h"
#include "core/topology-journal.h"

typedef struct TopologyApply TopologyApply;

/*
 * Begins; the task tells what comes of it. A negative code with *error filled: it did not, and nothing was touched.
 * -ERROR_BUSY: another one is being applied. by NULL: nobody asks, and no rule is judged.
 */
int topology_apply(Manager *manager, const char *name, const Caller *by, Task **ret_task, Error *error);
/* The same judgement, no more. */
int topology_check_apply(Manager *manager, const char *name, Error *error);
/* The topology of that name, or the default one for an empty name. */
int topology_find(const Manager *manager, const char *name, const Topology **ret_topology, Error *error);

/* Nobody asked: does what can be done of it, which it takes over in any case. What fails is logged and left. */
int topology_apply_plan(Manager *manager, TopologyPlan *plan);

/* What a daemon before us left: the rest of it is done. Negative with *error filled: that cannot be, and nothing began. */
int topology_go_on(Manager *manager, const TopologyPlan *left, Error *error);
/* The same taken back; the plan is taken over in any case. */
int topology_roll_back(Manager *manager, TopologyPlan *plan, const TopologyProgress *progress);

/* From *i on, which then is behind it: a step that will give a vGPU to who applies it, and has not begun. NULL: there is none,
 * or no such apply. */
const TopologyStep *topology_apply_next_due(const TopologyApply *apply, size_t *i, const Owner **ret_owner);

/* The daemon ends: what has been begun is left to its successor. */
TopologyApply *topology_apply_free(TopologyApply *apply);
