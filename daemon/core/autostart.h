/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Autostart: starting what is defined to start by itself, when its type is there: at boot, when its GPU or its driver
 * comes, when its type is registered; a few times, if its driver refuses, and then again at the next such occasion, when
 * its definition is changed or when it is started by hand.
 *
 * What a person stopped stays stopped until it is started, its GPU leaves or the host boots anew, even if its types are
 * registered anew; and a definition that is made while its type is there waits for the next such occasion, as everybody's
 * autostart does. The record of the vGPU says so across a restart of the daemon.
 */

#include "core/vgpu.h"

/* Starts what is due on a GPU that has just been read. */
void autostart_check(Gpu *gpu);

/* True while a first try is under way: whoever waits for READY waits for these. */
bool autostart_is_pending(const Manager *manager);

/* A try has failed, and the vGPU is at rest: shows that, and tries again later unless it was the last. */
void autostart_failed(VGpu *vgpu, const Error *error);

/* Every try has failed. */
bool autostart_gave_up(const VGpu *vgpu);

/* A start has succeeded, whoever asked for it. */
void autostart_succeeded(VGpu *vgpu);

/* Puts the record of a vGPU whose device does not exist in order. */
void autostart_write_record(const VGpu *vgpu);

/* What happened to the vGPU: its device has gone, its definition is another one. */
void autostart_device_gone(VGpu *vgpu, VGpuEnd end);
void autostart_definition_changed(VGpu *vgpu, bool was_autostart);
