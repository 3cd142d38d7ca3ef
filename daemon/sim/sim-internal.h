/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the parts of the simulated machine share: its lock, its state files, its sysfs tree, its events.
 */

#include "sim/sim-host.h"

/* The machine's lock: a descriptor to close. */
int sim_lock(const SimHost *sim);

int sim_gpu_load(const SimHost *sim, const char *address, SimGpu *ret_gpu);
int sim_gpu_store(const SimHost *sim, const SimGpu *gpu);

/* "devices/pci0000:40/0000:41:00.0", below /sys. */
void sim_gpu_path(const SimGpu *gpu, char *buffer, size_t size);
/* "mdevgpu_ref", "mtty" or "nvidia": what its type folders begin with. */
const char *sim_gpu_driver(const SimGpu *gpu);

/* Paths are below ROOT, made with printf's format. */
int sim_write(const SimHost *sim, const char *text, unsigned mode, const char *format, ...) _printf_(4, 5);
int sim_mkdir(const SimHost *sim, const char *format, ...) _printf_(2, 3);
int sim_symlink(const SimHost *sim, const char *target, const char *format, ...) _printf_(3, 4);
void sim_remove_tree(const SimHost *sim, const char *format, ...) _printf_(2, 3);
bool sim_exists(const SimHost *sim, const char *format, ...) _printf_(2, 3);

void sim_emit(const SimHost *sim, UeventAction action, UeventSubsystem subsystem, const char *devpath);

/* The parent's folder of types as its driver has them now; no types, no mdev parent. */
int sim_parent_register(const SimHost *sim, const SimGpu *gpu);
void sim_parent_unregister(const SimHost *sim, const SimGpu *gpu);
/* Its types have changed in place. */
int sim_parent_edit(const SimHost *sim, const SimGpu *gpu);
/* Writes every available_instances anew. */
void sim_parent_recount(const SimHost *sim, const SimGpu *gpu);
/* Instances of a type that exist, those still being released included. */
unsigned sim_count_live(const SimHost *sim, const SimGpu *gpu, const struct mdevgpu_type *type);
/* type must be one of gpu's. */
unsigned sim_count_available(const SimHost *sim, const SimGpu *gpu, const struct mdevgpu_type *type);
/* Framebuffer that one vGPU takes, or all of them. */
uint64_t sim_type_cost(const struct mdevgpu_type *type);
uint64_t sim_count_used(const SimHost *sim, const SimGpu *gpu);

/* sim-pci.c: cards behind an IOMMU, whose drivers can be changed. All with the lock taken, but for the stores. */
int sim_pci_plug(const SimHost *sim, const SimGpu *gpu);
void sim_pci_unplug(const SimHost *sim, const SimGpu *gpu);
int sim_pci_add_function(const SimHost *sim, const char *address, const char *physfn, const char *class,
                         const char *driver, unsigned group);
/* No driver but VFIO's has a device of the group. */
bool sim_pci_group_is_viable(const SimHost *sim, unsigned group);
/* Its driver leaves it and takes it again; with the lock taken. */
int sim_pci_rebind(const SimHost *sim, const char *address);
void sim_pci_remove_function(const SimHost *sim, const char *address);
/* A store below sys/bus/pci or to driver_override; -ENOTTY: it is none of these. */
int sim_pci_store(SimHost *sim, const char *folder, const char *attribute, const char *text);
/* A number of an IOMMU group that no device has. */
unsigned sim_next_group(const SimHost *sim);
bool sim_group_is_held(const SimHost *sim, unsigned group);
bool sim_kind_is_card(SimGpuKind kind);

/* sim-sriov.c: virtual functions, and what vendors' drivers show of them. -ENOTTY as above. */
int sim_sriov_plug(const SimHost *sim, const SimGpu *gpu);
int sim_sriov_store(SimHost *sim, const char *folder, const char *attribute, const char *text);
/* NVIDIA's sriov-manage. */
int sim_run(const Host *host, const char *const *command);
/* A driver has come to a card: one that makes its functions by itself does. */
int sim_sriov_bound(const SimHost *sim, const char *address);
/* The driver leaves a card, and takes its functions with it. */
void sim_sriov_unbound(const SimHost *sim, const char *address);
void sim_sriov_unplug(const SimHost *sim, const SimGpu *gpu);

/* sim-nvidia.c: NVIDIA's control node. */
int sim_nvidia_plug(const SimHost *sim, const SimGpu *gpu);
int sim_nvidia_ioctl(const SimHost *sim, unsigned long request, void *argument);
/* What its driver was told of it. */
void sim_nvidia_forget(const SimHost *sim, const SimGpu *gpu);
/* A virtual function of it has a type. */
bool sim_nvidia_is_divided(const SimHost *sim, const SimGpu *gpu);

/* The stores of the mdev core. text is what was written. */
int sim_mdev_create(SimHost *sim, const char *parent, const char *type_folder, const char *text);
int sim_mdev_remove(SimHost *sim, const char *uuid, const char *text);
/* A store to another attribute, in a folder below sys/. */
int sim_mdev_configure(SimHost *sim, const char *folder, const char *attribute, const char *text);
/* Without looking for users: the card is gone. */
void sim_mdev_drop(const SimHost *sim, const SimGpu *gpu);

/* Which IOMMU groups somebody holds open; those above what there is room for count as not held. */
typedef struct SimHeld {
        uint64_t groups[1024];
} SimHeld;

void sim_held_read(const SimHost *sim, SimHeld *ret_held);
bool sim_held_has(const SimHeld *held, unsigned group);
bool sim_mdev_is_held(const SimHost *sim, const char *uuid, const SimHeld *held);

/* Events of a control node: who opens and closes vGPUs. */
int sim_watch_node(const Host *host, int fd);
ssize_t sim_read_node(const Host *host, int watch_fd, void *buffer, size_t size);

/* An ioctl on gpuN's node. */
int sim_control(SimHost *sim, unsigned index, bool owner, unsigned long request, void *argument);

/* sim-vfio.c: nodes below dev/vfio, what their ioctls answer, and the descriptors that come of these. */
int sim_vfio_open(const SimHost *sim, const char *path, int flags);
/* -ENOTTY: it is none of them, or does not know this. */
int sim_vfio_ioctl(const SimHost *sim, int fd, unsigned long request, void *argument);
/* -EINVAL: the descriptor is no session's; -ENODEV: it is over. */
int sim_vfio_check_data(const SimHost *sim, int fd);

/* sim-migration.c: a vGPU is made, and has gone; with the lock taken. */
int sim_device_add(const SimHost *sim, const SimGpu *gpu, const struct mdevgpu_type *type, const char *uuid);
void sim_device_remove(const SimHost *sim, const char *uuid);

/* sim-session.c: HostOps' */
ssize_t sim_read_data(const Host *host, int fd, void *buffer, size_t size);
ssize_t sim_write_data(const Host *host, int fd, const void *data, size_t size);
