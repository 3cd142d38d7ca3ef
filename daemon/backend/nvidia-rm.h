/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA resource manager: the calls of NVIDIA's kernel driver by which its own tools register vGPU types and ask for
 * vGPUs: ioctls on /dev/nvidiactl, on objects in a tree: client, device, subdevice, and the vGPU configuration of class
 * 0xA081. Structs and numbers are those of NVIDIA's open kernel modules; they were not tried on hardware.
 *
 * An open /dev/nvidiaN keeps the GPU initialised and with it others (sriov-manage, unbinding, unloading) from it: open
 * only for as long as one job takes, or the card has a vGPU (nvidia-events.h).
 *
 * A call's result is 0, a negative errno of ours or of the kernel's, or the resource manager's status, which is positive.
 */

#include "backend/nvidia-layout.h"
#include "backend/nvidia-status.h"
#include "core/platform.h"
#include "util/error.h"

#define NVIDIA_VERSION_SIZE 64U

/* A node's path is below /dev. */
#define NVIDIA_CONTROL_NODE "nvidiactl"

typedef struct NvidiaRm {
        const Host *host;
        char version_text[NVIDIA_VERSION_SIZE]; /* empty: not known */
        uint32_t version;
        const NvidiaDialect *dialect; /* NULL until chosen */
        bool may_write; /* controls that change something are refused without */
        unsigned n_retries; /* of all calls together */
        int control_fd, gpu_fd;
        uint32_t minor; /* of /dev/nvidiaN */
        uint32_t gpu_id; /* the resource manager's name for the card */
        uint32_t client, device, subdevice, config; /* handles; 0: not allocated */
} NvidiaRm;

#define NVIDIA_RM_NULL ((NvidiaRm){ .control_fd = -EBADF, .gpu_fd = -EBADF })

/*
 * Opens the control node and asks for the version; where the driver does not tell it by that (525 and before), it is the
 * one of /sys/module/nvidia/version. -EPROTO if the two differ.
 */
int nvidia_rm_open(NvidiaRm *rm, const Host *host, Error *error);

/*
 * With a dialect chosen: opens the GPU's node and allocates client, device and subdevice.
 * -ENODEV: the driver does not know this card; -EOPNOTSUPP: it does not speak the dialect.
 */
int nvidia_rm_attach(NvidiaRm *rm, const char *gpu, Error *error);

/* Allocates the object of class 0xA081 on it. */
int nvidia_rm_alloc_config(NvidiaRm *rm);

/* Frees the objects and closes the nodes. */
void nvidia_rm_close(NvidiaRm *rm);

/* A control with the parameters that the dialect has for it; on the object of its class. -EOPNOTSUPP: it has none; -EPERM:
 * it would change something and must not. */
int nvidia_rm_control(NvidiaRm *rm, NvidiaControl control, void *parameters);

/* The same with parameters of any size, for finding out which one the driver wants. Never one that changes something. */
int nvidia_rm_probe(NvidiaRm *rm, NvidiaControl control, void *parameters, size_t size);

/* With a configuration object: another open control node, to poll, by which its events are told. */
int nvidia_rm_open_events(NvidiaRm *rm, int *ret_fd);
/* Has one kind of event told by it, each time that it happens; which: NVA081_NOTIFIERS_* of cla081.h. */
int nvidia_rm_listen(NvidiaRm *rm, int event_fd, uint32_t which);
/* Takes one that was told. Not 0: there is none. */
int nvidia_rm_fetch_event(NvidiaRm *rm, int event_fd, bool *ret_more);

/* True if that is how this driver says that parameters have the wrong size. */
bool nvidia_status_is_size(const NvidiaRm *rm, int status);

/* The sentence for a result that is not 0. */
void nvidia_rm_describe(int result, char buffer[static NVIDIA_STATUS_SIZE]);
