/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Machine: what a test of the model needs: a simulated host in a folder of its own, the model over it with jobs that the
 * test lets go, and a log of what the model told its observer.
 */

#include "core/gpu.h"
#include "core/manager.h"
#include "core/task.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "fake-platform.h"
#include "sim/sim-host.h"

#include <glib.h>

#define GPU_A "0000:41:00.0"
#define GPU_B "0000:42:00.0"
#define PATH_A "/devices/pci0000:00/" GPU_A
#define PATH_B "/devices/pci0000:00/" GPU_B
#define UUID_1 "11111111-2fa1-4d2e-883f-0016d3cca427"
#define UUID_2 "22222222-2fa1-4d2e-883f-0016d3cca427"
#define UUID_3 "33333333-2fa1-4d2e-883f-0016d3cca427"
#define TYPE_1 "mdevgpu_ref-1"
#define TYPE_2 "mdevgpu_ref-2"
#define GIB (UINT64_C(1) << 30)

typedef struct Machine {
        SimHost sim; /* first: it must not move */
        char *root;
        HostOps host_ops; /* the simulated host's, but for what a test puts in between */
        bool pending_manual; /* of the profile that machine_set_types() makes */
        int refuse_create; /* what the driver answers to a create, instead of doing it */
        int state_fd;
        sd_event *event;
        FakePlatform fake;
        Manager *manager;
        GString *log;
} Machine;

Machine *machine_new(void);
void machine_free(Machine *m);

/* Another daemon over the same machine. */
void machine_restart(Machine *m);

/* Puts types with ids from 1 on in force on every GPU: so many instances of so many GiB each. */
void machine_set_types(Machine *m, unsigned n_types, unsigned gib);

/* A GPU is plugged in, heard of and read. */
void machine_add_gpu(Machine *m, const char *address);

void machine_uevent(Machine *m, UeventAction action, UeventSubsystem subsystem, const char *devpath);

/* Turns the loop until nothing is left to do; jobs wait. */
void machine_turn(Machine *m);
/* The same, and does every job. */
void machine_settle(Machine *m);

/* What the observer was told since the last time, one line each. */
void machine_expect_log(Machine *m, const char *expected);
void machine_clear_log(Machine *m);

/* What somebody else does through sysfs. */
int machine_store(Machine *m, const char *path, const char *text);
int machine_make_mdev(Machine *m, const char *parent, const char *type, const char *uuid);
int machine_remove_mdev(Machine *m, const char *uuid);

/* A process that has a node below /dev open, as a virtual machine has "vfio/GROUP", until it lets go. */
pid_t machine_hold(Machine *m, const char *node);
void machine_let_go(pid_t pid);

bool machine_has_mdev(Machine *m, const char *uuid);
bool machine_has_record(Machine *m, const char *uuid);
int machine_write_record(Machine *m, const char *uuid, RecordPhase phase, const char *gpu, const char *type);
Gpu *machine_gpu(Machine *m, const char *address);
uint32_t machine_available(Machine *m, const char *address, const char *type);

/* How an operation ended. */
typedef struct Answer {
        unsigned n;
        Error error;
        bool linked; /* the vGPU, when it was answered */
        GString *log; /* where the answer is noted, among what the observer hears; or NULL */
} Answer;

void machine_on_answer(const Error *error, VGpu *vgpu, void *userdata);

Operation *machine_create(Machine *m, const char *gpu, const char *type, const char *uuid, Answer *answer);
Operation *machine_destroy(Machine *m, const char *uuid, Answer *answer);
/* Makes one and waits for it. */
VGpu *machine_have_vgpu(Machine *m, const char *gpu, const char *uuid);

/* Two GPUs with two types of two GiB each. */
Machine *machine_with_gpus(void);

/* The job that waits to be begun: there must be one. */
PlatformJob *machine_find_create(Machine *m);
PlatformJob *machine_find_remove(Machine *m);

/* Its deadline comes now. */
void machine_hurry(Machine *m, Operation *operation);

/* It does not begin, and its judgement says so too. */
void machine_assert_refused(Machine *m, const CreateRequest *request, int code, const char *part);
