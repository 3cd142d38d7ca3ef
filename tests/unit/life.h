/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Life: what the tests of definitions do to a machine: files as mdevctl and others write them, and requests that have to
 * begin.
 */

#include "machine.h"

#define AUTO_1 "{\"mdev_type\":\"" TYPE_1 "\",\"start\":\"auto\"}"
#define MANUAL_1 "{\"mdev_type\":\"" TYPE_1 "\",\"start\":\"manual\"}"

/* As mdevctl does: into the file that is there, made with its folder if it is not. */
void life_write(Machine *m, const char *parent, const char *uuid, const char *text);
void life_delete(Machine *m, const char *parent, const char *uuid);
/* NULL if there is none. */
char *life_read(Machine *m, const char *parent, const char *uuid);
char *life_path(Machine *m, const char *parent, const char *uuid);

/* What is remembered of a definition in /var/lib/mdevgpud. */
void life_write_note(Machine *m, const char *uuid, const char *text);
char *life_read_note(Machine *m, const char *uuid);

/* Nothing of a definition that was being written is left. */
void life_assert_clean(Machine *m);

VGpu *life_find(Machine *m, const char *uuid);
void life_assert_state(Machine *m, const char *uuid, VGpuState state, const char *error_part);

Operation *life_define(Machine *m, const DefineRequest *request, Answer *answer);
Operation *life_undefine(Machine *m, const char *uuid, Answer *answer);
Operation *life_start(Machine *m, const char *uuid, Answer *answer);
Operation *life_modify(Machine *m, const ModifyRequest *request, Answer *answer);

/* Each waits for it, and for its success. */
VGpu *life_have_defined(Machine *m, const char *gpu, const char *uuid, bool autostart);
VGpu *life_have_started(Machine *m, const char *gpu, const char *uuid, bool autostart);
void life_stop(Machine *m, const char *uuid);

PlatformJob *life_find_store(Machine *m);

/* Whatever waits for a moment comes now: what starts by itself, and what is thought to be removed by somebody. */
void life_hurry(VGpu *vgpu);

/* Another daemon, that has read everything. */
void life_restart(Machine *m);

/*
 * Keeps the number of the registration that is in force from being used for the next one, as a real sysfs does and the
 * file system below a simulated one need not: a descriptor to close.
 */
int life_hold_registration(Machine *m, const char *gpu);

/* The driver is loaded anew: its vGPUs and types go, and it knows of no types until it is told them. Nobody is told. */
void life_reload_driver(Machine *m, const char *gpu);
void life_tell(Machine *m, const char *gpu);
