/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Journal: what became of the model, for an administrator who reads it later; what was asked for is told by who asked. */

#include "core/gpu.h"
#include "core/task.h"
#include "core/type.h"

void bus_journal_gpu_added(const Gpu *gpu);
void bus_journal_gpu_removed(const Gpu *gpu);
/* It has another state than before: told if that is one that needs attention. */
void bus_journal_gpu_state(const Gpu *gpu);
/* It is new, or its registration is another: told if the driver has refused it. */
void bus_journal_type(const Type *type);
void bus_journal_task(const Task *task); /* that has ended */
void bus_journal_degraded(bool degraded);
