/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Harness: a bus of our own with the real daemon over the simulated host on it, with the real polkitd beside it where a
 * test wants that, and clients of any user. Everything lies in a temporary folder and ends with the test.
 */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

/* Users that every system has. */
#define DAEMON_UID 1U
#define NOBODY_UID 65534U

#define BUS_NAME "org.mdevgpu1"
#define BUS_PATH "/org/mdevgpu1"
#define MANAGER_INTERFACE "org.mdevgpu1.Manager"
#define GPU_INTERFACE "org.mdevgpu1.Gpu"
#define TYPE_INTERFACE "org.mdevgpu1.Type"
#define VGPU_INTERFACE "org.mdevgpu1.VGpu"
#define MIXED_INTERFACE "org.mdevgpu1.Gpu.MixedSize"
#define SRIOV_INTERFACE "org.mdevgpu1.Gpu.Sriov"
#define JOB_INTERFACE "org.mdevgpu1.Job"
#define ERROR_PREFIX "org.mdevgpu1.Error."
#define ERROR_INVALID_ARGS "org.freedesktop.DBus.Error.InvalidArgs"
#define ERROR_ACCESS_DENIED "org.freedesktop.DBus.Error.AccessDenied"
#define ERROR_CHALLENGE "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"

typedef struct Harness {
        char *dir;
        char *address;
        GPid dbus;
        GPid polkit;
        GPid daemon;
        sd_bus *bus; /* of root */
} Harness;

/* Ends the program with a complaint unless it runs as root, which a test of users needs. */
void harness_init(int *argc, char ***argv);

/* A bus, and a client of root on it. */
Harness *harness_new(void);
void harness_free(Harness *h);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Harness, harness_free)

/* The real one, with the project's policy and nothing but these rules. */
void harness_start_polkit(Harness *h, const char *rules);

/*
 * mdevgpud-sim, over a machine with a card of the open shim, for which a profile states two types, and a parent with
 * types of its own. without_polkit: it is told that there is none.
 */
void harness_start_daemon(Harness *h, bool without_polkit);
/* Sends the signal and waits until it has exited; its status as of waitpid(). */
int harness_stop_daemon(Harness *h, int signal);
/* Waits until it exits of itself. */
int harness_wait_daemon(Harness *h);

/* The same machine once more, in a folder of the harness. */
void harness_prepare_machine(Harness *h, const char *name);
void harness_start_daemon_on(Harness *h, const char *name);
/* A second one on the same bus, over that machine, until it exits of itself; the status. */
int harness_run_second_daemon(Harness *h, const char *name);

/* The bus is gone from one moment to the next; the harness' own client with it. */
void harness_stop_bus(Harness *h);

/* Until the process has it; fails the test if that ends, or after ten seconds. */
void harness_wait_for_name(Harness *h, GPid pid, const char *name);

/* A client of its own on the bus. */
sd_bus *harness_connect(Harness *h, uid_t uid);
/* The same of a user who is in one group more. */
sd_bus *harness_connect_in_group(Harness *h, uid_t uid, gid_t group);

/* Handles what comes on bus until done() says so; fails the test after ten seconds. */
void harness_wait(sd_bus *bus, bool (*done)(void *userdata), void *userdata);
/* The same for as long as that. */
void harness_pump(sd_bus *bus, unsigned msec);

/* Writes a file below the harness' folder. */
void harness_write(Harness *h, const char *name, const char *text);

/* Rewrites the profile: with the large type or without; or with an error in its line 2 and another in its line 3. */
void harness_set_types(Harness *h, bool large);
void harness_break_config(Harness *h);

/* What others do to the machine: `mdevgpud-sim --root … ACTION ARGUMENTS`. NULL ends them. */
void harness_act(Harness *h, const char *action, ...) G_GNUC_NULL_TERMINATED;
/* Holds a vGPU open, as a virtual machine does, until the descriptor is closed. */
int harness_hold(Harness *h, const char *iommu_group);

/* The card, its types and what they are called, as far as tests say it. */
#define GPU "0000:41:00.0"
#define GPU_PATH "/org/mdevgpu1/gpu/_30000_3a41_3a00_2e0"
#define TYPE "mdevgpu_ref-1"
#define TYPE_NAME "Test/Small"
#define TYPE_PATH GPU_PATH "/type/mdevgpu_5fref_2d1"
#define TYPE_INSTANCES 16U
#define LARGE_TYPE "mdevgpu_ref-2"
#define LARGE_TYPE_PATH GPU_PATH "/type/mdevgpu_5fref_2d2"
#define OTHER_GPU "mtty"

/* One with virtual functions, where a test has it plugged in. */
#define SRIOV_GPU "0000:51:00.0"
#define NVIDIA_GPU "0000:61:00.0"
#define NVIDIA_PATH "/org/mdevgpu1/gpu/_30000_3a61_3a00_2e0"
#define SRIOV_PATH "/org/mdevgpu1/gpu/_30000_3a51_3a00_2e0"
