/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is applied without anybody asking: the default topology, at start-up to what is there and later to each GPU that
 * comes, or comes back; and what an application that a daemon died in left.
 *
 * A GPU that has been looked at since it came is left alone, across restarts of the daemon as well: what an administrator
 * changes by hand stays until a topology is applied.
 */

#include "core/manager.h"

/* Everything that is there has been read: from now on. */
void topology_auto_begin(Manager *manager);
void topology_auto_end(Manager *manager);

/* A GPU has been read. */
void topology_auto_check(Manager *manager);

/* True while something is being applied, or is about to be. */
bool topology_auto_is_pending(const Manager *manager);

/* It has been applied. */
void topology_set_active(Manager *manager, const char *name);
