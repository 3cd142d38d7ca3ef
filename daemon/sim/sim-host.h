/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SimHost: a simulated machine with GPUs: a folder that looks like /sys and /dev, and a Host over it that answers stores
 * and ioctls as the kernel does, refusals, events and blocking included. The same backends and workers run over it as
 * over the real one.
 *
 * Its state is in files below the root, guarded by a lock, so that the daemon, its workers and whoever plays the part of
 * other programs share one machine. Processes are real: who really holds ROOT/dev/vfio/N open holds that vGPU.
 */

#include "core/platform.h"
#include "core/uevent.h"
#include "shim/mdevgpu-shim.h"

#define SIM_TYPES_MAX 64U
#define SIM_NAME_SIZE 64U
#define SIM_CONTENT_MAX (UINT64_C(64) << 30)

typedef enum SimGpuKind {
        SIM_GPU_SHIM, /* a synthetic PCI GPU of the open shim's reference module: types by ioctl */
        SIM_GPU_MTTY, /* a parent on no PCI bus with types of its own, as the kernel's sample driver mtty */
        SIM_GPU_PLAIN, /* a PCI card with an audio function behind an IOMMU, whose driver knows no vGPUs */
        SIM_GPU_SRIOV, /* the same, with virtual functions; capacity: how many there can be */
        SIM_GPU_NVIDIA_VFIO, /* its virtual functions are divided by NVIDIA's vendor-specific VFIO */
        SIM_GPU_XE, /* its virtual functions are provisioned by Intel xe's sriov_admin */
        SIM_GPU_GIM, /* its virtual functions are there as soon as its driver is, as AMD's GIM makes them */
        SIM_GPU_NVIDIA, /* a card of NVIDIA's; who opens the machine answers its control nodes and registers its types */
        SIM_GPU_NVIDIA_MDEV, /* each of its virtual functions is an mdev parent for one vGPU, as before kernel 6.8 */
        SIM_GPU_MDEV_VF, /* such a function; never plugged in */
} SimGpuKind;

/* What the driver of a GPU knows; a file. */
typedef struct SimGpu {
        char address[SIM_NAME_SIZE];
        SimGpuKind kind;
        uint32_t index; /* gpuN */
        uint64_t capacity; /* framebuffer in bytes; of mtty: ports */
        uint64_t generation;
        uint64_t epoch;
        uint8_t instance_id[MDEVGPU_INSTANCE_SIZE];
        uint32_t n_types; /* registered, the retired ones included */
        struct mdevgpu_type types[SIM_TYPES_MAX];
        bool retired[SIM_TYPES_MAX];
} SimGpu;

typedef struct SimHost {
        Host host; /* first: what workers and the daemon use */
        char root[256];
        int root_fd;
} SimHost;

/* Opens the machine at root, which must exist; makes it, without any GPU, if it is empty. *ret_sim must not move. */
int sim_host_open(const char *root, SimHost *ret_sim);
void sim_host_close(SimHost *sim);

/* A card is plugged in, its driver is bound, its events are sent. -EEXIST. */
int sim_host_plug(SimHost *sim, const char *address, SimGpuKind kind, uint64_t capacity);
/* It goes, with its vGPUs. -ENODEV. */
int sim_host_unplug(SimHost *sim, const char *address);

/*
 * What a vGPU holds that migrates is ROOT/content/UUID: zeros at first, for anybody to fill and to compare. Its size in
 * bytes, of those that are made from now on; 8 MiB without this. -EINVAL: none, or more than SIM_CONTENT_MAX.
 */
int sim_host_set_content_size(SimHost *sim, uint64_t size);
/* Bytes a second that a state goes out and in with; 0, as at first: as quickly as it can. */
int sim_host_set_state_rate(SimHost *sim, uint64_t rate);

/* The socket that events arrive on, one datagram each; one listener a machine. */
int sim_host_listen(SimHost *sim);
/* 1: *ret_uevent is filled, its strings in buffer; 0: nothing more. */
int sim_host_receive(int fd, char *buffer, size_t size, Uevent *ret_uevent);
/* True, once, if events were lost. */
bool sim_host_overrun(SimHost *sim);
