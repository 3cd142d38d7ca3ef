/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Life: what the tests of definitions do to a machine: files as mdevctl and others write them, and requests that have to
 * begin.
 */

#include "machine.h"

#define AUTO_1 "{\"mdev_type\":\"" TYPE_1 "\",\"start\":\"auto\"}"
#define MANUAL_1 "{\"mdev_type\":\"" TYPE_1 "\",\"start\":\"manual\"}"

#define WEIGHT "scheduling_weight"

typedef enum Trouble {
        TROUBLE_DISK,
        TROUBLE_DIED,
        TROUBLE_DIED_AFTER,
        TROUBLE_QUEUED, /* too late to begin */
        TROUBLE_LATE,
        TROUBLE_GPU,
        TROUBLE_MAX,
} Trouble;

/* As mdevctl does: into the file that is there, made with its folder if it is not. */
void life_write(Machine *m, const char *parent, const char *uuid, const char *text);
void life_delete(Machine *m, const char *parent, const char *uuid);
/* NULL if there is none. */
char *life_read(Machine *m, const char *parent, const char *uuid);
char *life_path(Machine *m, const char *parent, const char *uuid);

/* What is remembered of a definition in /var/lib/mdevgpud. */
void life_write_note(Machine *m, const char *uuid, const char *text);
char *life_read_note(Machine *m, const char *uuid);

/* Nothing of a definition that was being written is left; nothing of the vGPU UUID_1 is left anywhere. */
void life_assert_clean(Machine *m);
void life_assert_nothing(Machine *m);

/* It came once, with this, and its message says something of the part. */
void life_assert_answer(const Answer *answer, int code, const char *part);

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

Attributes life_attributes(const char *name, const char *value);
char *life_read_weight(Machine *m, const char *uuid);

/* GPU_A. */
void life_unplug(Machine *m);

/* A job of this operation comes to this. */
void life_trouble(Machine *m, Operation *operation, PlatformJob *job, Trouble trouble);

/* Whatever becomes of a definition's way to the disk, the caller is answered once and the model says what is on it. */
void life_trouble_store(Machine *m, Operation *operation, Trouble trouble);
bool life_is_written(Trouble trouble);
void life_assert_troubled(const Answer *answer, Trouble trouble);
/* One test for each; those of the disk only where it has a part in it. */
void life_add_troubles(const char *path, GTestDataFunc test, bool store);

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
