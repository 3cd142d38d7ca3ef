/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Uevent: one message of the device manager as a plain value. It is a hint to read again, never the truth: it may be
 * late, repeated, lost or of a device that has gone since.
 */

#include "util/cleanup.h"

typedef enum UeventAction {
        UEVENT_ADD, /* of a scan, too: the device is there */
        UEVENT_REMOVE,
        UEVENT_CHANGE,
        UEVENT_BIND,
        UEVENT_UNBIND,
        UEVENT_OTHER, /* online, offline, move: nothing that concerns us */
        UEVENT_ACTION_MAX,
        UEVENT_ACTION_INVALID = -EINVAL,
} UeventAction;

typedef enum UeventSubsystem {
        UEVENT_PCI,
        UEVENT_MDEV,
        UEVENT_MDEVGPU, /* a GPU's control node of the open shim */
        UEVENT_PARENT, /* any other device that announced itself as an mdev parent (MDEV_STATE=) */
        UEVENT_SUBSYSTEM_MAX,
        UEVENT_SUBSYSTEM_INVALID = -EINVAL,
} UeventSubsystem;

/* The strings belong to the sender and live for the call only. */
typedef struct Uevent {
        UeventAction action;
        UeventSubsystem subsystem;
        const char *name; /* sysfs name of the device: 0000:41:00.0, an mdev's UUID, gpu0, mtty */
        const char *devpath; /* below /sys: /devices/pci0000:00/0000:00:01.0/0000:41:00.0 */
} Uevent;
