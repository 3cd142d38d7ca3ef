/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * GPU sync: keeping what the model says of one GPU equal to what its worker reads. Hints make it dirty; one job reads
 * at a time; what it reports is applied as a whole, and repeating it changes nothing.
 */

#include "core/gpu.h"

/* Every GPU is read again: a vGPU may be where it was not looked for. */
void gpu_mark_all_dirty(Manager *manager);

/* Forgets the running job and every timer. */
void gpu_sync_stop(Gpu *gpu);
