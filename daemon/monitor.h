/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Monitor: what udev tells of devices that concern us, as plain Uevents. After an overrun of its buffer it says so, as
 * then only a new enumeration tells what there is.
 */

#include <systemd/sd-event.h>

#include "core/profile.h"
#include "core/uevent.h"

typedef struct Monitor Monitor;

typedef struct MonitorOps {
        void (*uevent)(const Uevent *uevent, void *userdata);
        void (*overrun)(void *userdata); /* events were lost */
} MonitorOps;

/* Subscribed when it returns: who enumerates afterwards misses nothing. */
int monitor_new(sd_event *event, const MonitorOps *ops, void *userdata, Monitor **ret_monitor);
Monitor *monitor_free(Monitor *monitor);
DEFINE_CLEANUP(Monitor *, monitor_free)

/* A manager's NameLookup by udev's hardware database; userdata is the Monitor. */
void monitor_lookup_names(const GpuIdentity *identity, char *vendor, size_t vendor_size, char *device,
                          size_t device_size, void *userdata);
