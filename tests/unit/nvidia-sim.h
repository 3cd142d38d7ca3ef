/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA sim: a simulated host whose NVIDIA cards have the model of the resource manager behind them: what is registered
 * with it shows as types in sysfs.
 */

#include "machine.h"
#include "nvidia-stand.h"

#define NVIDIA_TYPE_1 "nvidia-1"
#define NVIDIA_TYPE_2 "nvidia-2"

/* Cards GPU_A and GPU_B get a driver of this version; one such machine at a time. */
NvidiaModel *nvidia_sim_begin(Machine *machine, const char *version);
void nvidia_sim_end(void);

/* nvidia-vgpud, which has done its work, ends; the worker that read the card last hears it. */
void nvidia_sim_end_vgpud(void);
