/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * TopologyJournal: what a plan that is being carried out is going to do, and how far it has come, so that a daemon that is
 * killed in the middle of it leaves to its successor what to take back or to complete; and what has been applied to which
 * GPU. It survives a restart of the daemon and no reboot, as vGPUs themselves.
 *
 * The journal is written whole before the first step and removed after the last one. That a step begins is noted before
 * it does.
 */

#include "core/topology-plan.h"

typedef struct TopologyProgress {
        bool undoing;
        size_t n_begun; /* steps that have begun; undoing: that have not been taken back */
} TopologyProgress;

/* anew: nothing of it has begun; else it has become longer, and what was noted of its beginning stands. */
int topology_journal_write(int state_fd, const TopologyPlan *plan, bool anew);
int topology_journal_note(int state_fd, const TopologyProgress *progress);
void topology_journal_remove(int state_fd);

/* -ENOENT: there is none. -EBADMSG: it is none of ours. */
int topology_journal_read(int state_fd, TopologyPlan *ret_plan, TopologyProgress *ret_progress);

/* Which GPU has been looked at when it came, and in which registration (see scan_registration()). */
typedef struct TopologySeen {
        char gpu[SYSFS_NAME_SIZE];
        uint64_t registration;
        uint64_t binding; /* of the driver that makes its virtual functions (see scan_binding()); 0: not known */
} TopologySeen;

typedef struct TopologyMemory {
        char active[TOPOLOGY_NAME_SIZE]; /* that was applied last; empty: none */
        TopologySeen *seen;
        size_t n_seen;
} TopologyMemory;

int topology_memory_write(int state_fd, const TopologyMemory *memory);
/* What cannot be read is empty. */
void topology_memory_read(int state_fd, TopologyMemory *ret_memory);
void topology_memory_done(TopologyMemory *memory);
