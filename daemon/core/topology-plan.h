/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * TopologyPlan: what would have to be done so that everything is as a topology says, and why something cannot be. It is
 * made by looking alone; as a whole it holds for the moment in which it was made.
 *
 * A vGPU for which the topology names no UUID is known by one that follows from the host, the topology, the GPU, the type
 * and its number among these: nothing has to be remembered for it to be the same after each boot.
 */

#include "core/manager.h"
#include "core/topology.h"

/* In the order in which steps are done. */
typedef enum TopologyAction {
        TOPOLOGY_KEEP, /* it is as it shall be */
        TOPOLOGY_DESTROY,
        TOPOLOGY_UNDEFINE,
        TOPOLOGY_ENABLE_VFS, /* of a GPU that has no vGPUs then */
        TOPOLOGY_SET_MIXED, /* the same: whether sizes may be mixed */
        TOPOLOGY_MODIFY, /* label, autostart */
        TOPOLOGY_DEFINE, /* one that is active */
        TOPOLOGY_START, /* one that is defined */
        TOPOLOGY_CREATE, /* and define, if it is to start by itself */
        TOPOLOGY_LATER, /* to be planned anew when virtual functions are enabled; no step that is done */
        TOPOLOGY_ACTION_MAX,
        TOPOLOGY_ACTION_INVALID = -EINVAL,
} TopologyAction;

const char *topology_action_to_string(TopologyAction a);
TopologyAction topology_action_from_string(const char *s);

typedef struct TopologyStep {
        TopologyAction action;
        char uuid[UUID_STRING_SIZE]; /* empty of what is about no vGPU that is known yet */
        char gpu[SYSFS_NAME_SIZE]; /* or the virtual function that it is on, or defined for */
        char type_id[TYPE_ID_SIZE];
        char label[LABEL_SIZE]; /* as it shall be */
        bool autostart;
        /* What taking it back needs. */
        char old_label[LABEL_SIZE];
        bool old_autostart;
        bool unmanaged; /* somebody else made it */
        Owner old_owner;
        uint32_t n_vfs; /* enable VFs; set mixed: 1 or 0 */
        uint32_t old_vfs;
        Attributes attributes; /* of a definition that goes */
        char reason[REASON_SIZE];
} TopologyStep;

typedef struct TopologyPlan {
        char topology[TOPOLOGY_NAME_SIZE];
        Owner owner; /* whose what is made is */
        bool automatic; /* nobody asked for it: what can be done of it is done, and stays */
        TopologyStep *steps; /* in the order of their actions */
        size_t n_steps;
        Error *problems; /* why not all can be as the topology says; then nothing of it should be done */
        size_t n_problems;
} TopologyPlan;

typedef struct TopologyPlanOptions {
        /*
         * Nobody asked: only what is missing on these GPUs is made; nothing is removed, what is on other GPUs is left as it
         * is, and entries for GPUs that are not there are passed over. NULL: all of it.
         */
        const char *const *only; /* sysfs names */
        size_t n_only;
} TopologyPlanOptions;

/* -ENOMEM. What the topology asks for and cannot be is no error of the call. */
int topology_plan_new(const Manager *manager, const Topology *topology, const TopologyPolicy *policy,
                      const TopologyPlanOptions *options, TopologyPlan *ret);
void topology_plan_done(TopologyPlan *plan);

/*
 * Adds what an earlier plan for the same topology had still to do, and that cannot be seen any more from what there is: a
 * vGPU of which the device has gone already looks like one that is only defined, and these are left alone. -ENOMEM.
 */
int topology_plan_add_left(TopologyPlan *plan, const Manager *manager, const TopologyPlan *left);

/* How many steps there are that change something. */
size_t topology_plan_count_changes(const TopologyPlan *plan);

void topology_step_done(TopologyStep *step);
