/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Host: what /etc/mdevctl.d and sysfs say. Nothing is asked of a daemon, and nothing is changed.
 */

#include <limits.h>

#include "device.h"

#define HOST_CONFIG "/etc/mdevctl.d"
#define HOST_MDEVS "/sys/bus/mdev/devices"
#define HOST_PARENTS "/sys/class/mdev_bus"

/* "Error: " and a sentence on stderr; returns code. */
int fail(int code, const char *format, ...) _printf_(2, 3);
/* "Warning: " and a sentence: what is wrong with one of several. */
void warn(const char *format, ...) _printf_(1, 2);

/* A path of the host, below MDEVCTL_ENV_ROOT in the tests' program. -ENAMETOOLONG. */
int host_path(char ret_path[static PATH_MAX], const char *format, ...) _printf_(2, 3);

/* The whole of a file, terminated; its size, or negative errno. */
ssize_t host_read(const char *path, char **ret_text);

/* 1: the device is there, and *d says where, and of which type. 0: there is none. */
int host_load_active(const char *uuid, Device *d);

/* Sorted. A NULL matches all. What cannot be read is warned of and left out. */
int host_list_defined(const char *uuid, const char *parent, Devices *ret_devices);
int host_list_active(const char *uuid, const char *parent, Devices *ret_devices);

/* Exactly one, or an error that has been said. */
int host_get_defined(const char *uuid, const char *parent, Device *ret_device);

bool host_is_defined(const char *uuid, const char *parent);

/* Whether it is a parent of mediated devices, and whether it has the type. */
bool host_is_parent(const char *parent);
bool host_has_type(const char *parent, const char *type);
/* Whether it is a card whose virtual functions are on. */
bool host_has_functions(const char *parent);

typedef struct HostType {
        char *parent, *id, *device_api, *name, *description;
        int available;
} HostType;

typedef struct HostTypes {
        HostType *items;
        size_t n;
        char **parents; /* each that has been looked at, with types or without; sorted */
        size_t n_parents;
} HostTypes;

void host_types_done(HostTypes *types);

/* Sorted by parent and id. */
int host_list_types(const char *parent, HostTypes *ret_types);
