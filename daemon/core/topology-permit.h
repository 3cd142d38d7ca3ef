/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/rules.h"
#include "core/topology-plan.h"

/*
 * Whether rules let the caller have what a plan makes, with what it removes gone. -EACCES, -ERROR_LIMIT_EXCEEDED. caller
 * NULL: nobody asks, and everything may be.
 */
int topology_plan_permit(const Manager *manager, const TopologyPlan *plan, const Caller *caller, Error *error);
