/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Planner: what a plan is made with, for the files that make it and nobody else. The functions that return int give 0 or
 * -ENOMEM.
 */

#include "core/placement-view.h"
#include "core/topology-plan.h"

/* One vGPU that there shall be. */
typedef struct Want {
        const TopologyEntry *entry;
        const TopologyVGpu *spec;
        int *types; /* which type it is on each GPU of the view, -1: not there; shared by all of its spec */
        VGpu *vgpu; /* that is it, or becomes it */
        bool remade; /* vgpu is another one that has its UUID, and goes first */
        bool given_up; /* a problem says why */
        bool waits; /* for virtual functions of a GPU that it could be on: then it is planned anew */
        size_t gpu; /* where it is made, if there is no vgpu */
} Want;

typedef struct Planner {
        const Manager *manager;
        const Topology *topology;
        const TopologyPolicy *policy;
        const TopologyPlanOptions *options;
        PlacementView view;
        bool *scope; /* the topology speaks of the GPU */
        uint32_t *vfs; /* virtual functions that it shall have; UNKNOWN_U32: it does not matter */
        Tristate *mixed; /* whether it shall take several sizes */
        int **types; /* one for each spec */
        size_t n_types;
        Want *wants;
        size_t n_wants;
        TopologyPlan *plan;
} Planner;

/* Something cannot be as the topology says. */
int planner_add_problem(Planner *p, int code, const char *format, ...) _printf_(3, 4);
/* NULL: out of memory. */
TopologyStep *planner_add_step(Planner *p, TopologyAction action, const char *uuid, const char *gpu,
                               const char *type_id);
/* The step's reason. */
void planner_say(TopologyStep *step, const char *format, ...) _printf_(2, 3);

/* Not where only some GPUs are looked at, and this is none of them. */
bool planner_may_touch_gpu(const Planner *p, const Gpu *gpu);

/* The steps in which a plan is made, in their order: what the topology asks for, … */
int planner_read_topology(Planner *p);
/* … what there is that is this already, … */
int planner_claim(Planner *p);
/* … what goes, … */
int planner_prune(Planner *p);
/* … and, after planner_add_vfs(), what stays, starts and is changed. What is missing then has to be made. */
int planner_keep(Planner *p);

/* An entry matches gpus[i]: how many virtual functions that shall have. */
int planner_want_vfs(Planner *p, const TopologyEntry *entry, size_t i);
/* The same: whether it shall take several sizes. */
int planner_want_mixed(Planner *p, const TopologyEntry *entry, size_t i);
/* True: one of the GPUs that the entry matches gets another number of them, and what it can make then nobody knows yet. */
bool planner_waits(const Planner *p, const TopologyEntry *entry);
/* What goes is known: the steps that enable them, and what is planned later. */
int planner_add_vfs(Planner *p);
