/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA's mixed size: whether vGPUs of different sizes may be on one card at one time, by the resource manager
 * (ctrl0080gpu.h of NVIDIA's open kernel modules from 550 on: [GS]ET_VGPU_HETEROGENEOUS_MODE; not tried on hardware). It can
 * be changed as long as the card has no vGPU, and is forgotten when its number of virtual functions changes (reported, 580).
 */

#include "backend/nvidia-rm.h"
#include "core/backend.h"

/* On a channel whose dialect is known. 0, a status of the driver's, or -errno if the channel is lost or has no such control;
 * *ret_on is what the driver says, after a change too. */
int nvidia_mixed_query(NvidiaRm *rm, bool *ret_on);
int nvidia_mixed_change(NvidiaRm *rm, bool on, bool *ret_on);

/* MIXED_SIZE_NONE: the driver does not offer it here, or it cannot be found out. */
MixedSize nvidia_mixed_read(const Host *host, const char *gpu);
/* Proves the outcome. */
int nvidia_mixed_set(const Host *host, const char *gpu, bool on, Error *error);
