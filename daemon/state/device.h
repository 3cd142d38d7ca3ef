/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * State device: a vGPU opened to speak VFIO migration, version 2, with its driver (Linux UAPI, include/uapi/linux/vfio.h;
 * STOP_COPY since 5.18, PRE_COPY since 6.2). One process can have it open at a time: while this one has, no machine can start
 * with it, and while a machine has, this fails.
 */

#include "core/backend.h"

/* enum vfio_device_mig_state; PRE_COPY and PRE_COPY_P2P came with 6.2. */
typedef enum DeviceState {
        DEVICE_ERROR = 0,
        DEVICE_STOP = 1,
        DEVICE_RUNNING = 2,
        DEVICE_STOP_COPY = 3,
        DEVICE_RESUMING = 4,
        DEVICE_RUNNING_P2P = 5,
        DEVICE_PRE_COPY = 6,
        DEVICE_PRE_COPY_P2P = 7,
        DEVICE_STATE_MAX,
        DEVICE_STATE_INVALID = -EINVAL,
} DeviceState;

/* VFIO_MIGRATION_* */
enum {
        DEVICE_CAN_STOP_COPY = 1U << 0,
        DEVICE_CAN_P2P = 1U << 1,
        DEVICE_CAN_PRE_COPY = 1U << 2,
};

typedef struct StateDevice {
        const Host *host;
        int device_fd;
        int group_fd; /* of a device that is opened by its group, or -EBADF */
        int container_fd; /* that group's, or the iommufd */
        int data_fd; /* of the session that is under way, or -EBADF */
        char name[SYSFS_NAME_SIZE]; /* among its bus' devices */
} StateDevice;

#define STATE_DEVICE_NULL                                                                                              \
        { .device_fd = -EBADF, .group_fd = -EBADF, .container_fd = -EBADF, .data_fd = -EBADF }

const char *device_state_to_string(DeviceState s);

/*
 * path: below /sys, as "bus/mdev/devices/UUID". By its own node where it has one and the kernel has /dev/iommu, else by its
 * group. -ERROR_IN_USE: somebody has it, or another device of its group; -ERROR_NOT_SUPPORTED: it has neither.
 */
int state_device_open(const Host *host, const char *path, StateDevice *ret_device, Error *error);
/* As the driver likes: most find the device as new when it is opened again. */
void state_device_close(StateDevice *device);

/* DEVICE_CAN_*. -ERROR_NOT_SUPPORTED: the driver does not migrate it. */
int state_device_get_flags(StateDevice *device, uint64_t *ret_flags, Error *error);
/* Bytes that STOP_COPY would give. -ERROR_NOT_SUPPORTED: the driver does not foretell (or the kernel is older than 6.2). */
int state_device_get_size(StateDevice *device, uint64_t *ret_size);
/* Whether it tracks which pages the device writes to. */
bool state_device_tracks_pages(StateDevice *device);

int state_device_get_state(StateDevice *device, DeviceState *ret_state, Error *error);
/* Its data_fd is that of the session which this begins, or ends; and is the same from PRE_COPY to STOP_COPY. */
int state_device_set_state(StateDevice *device, DeviceState state, Error *error);

/* In PRE_COPY: bytes that are to come of what was first there, and of what has changed since. */
int state_device_get_precopy(StateDevice *device, uint64_t *ret_initial, uint64_t *ret_dirty);

/* Back to RUNNING, as new: the only way out of ERROR. */
int state_device_reset(StateDevice *device, Error *error);

/*
 * Back to RUNNING from wherever it is, for one whose user has died in the middle: most drivers do so when that one closes it, but
 * not all (observed: mtty of Linux 6.12). With what is in it, unless it was being given a state or failed: then as new,
 * and 1 is returned.
 */
int state_device_settle(StateDevice *device, Error *error);
