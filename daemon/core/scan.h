/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Scan: which GPUs there are, read by openat() from what the PCI and mdev cores provide in sysfs (libudev's enumeration
 * takes some fifteen times as long). Nothing of it is implemented by a vendor driver.
 */

#include "core/platform.h"
#include "core/profile.h"

/*
 * The GPU that a device is or belongs to: itself, or the physical function if it is a virtual one. -ENODEV if there is
 * no such device.
 */
int scan_resolve(const Host *host, const char *name, char ret_gpu[static SYSFS_NAME_SIZE]);

/* By its number it is a virtual function that this card can have, whether it says so already or not. */
bool scan_is_vf_of(const Host *host, const char *name, const char *card);

/* What is a GPU by its PCI class: a display controller, or AMD's processing accelerators. */
bool scan_class_is_display(uint32_t class);

/* Another number for each folder of this name below /sys that there was; 0: it cannot be told. */
uint64_t scan_incarnation(const Host *host, const char *path);

/*
 * Which registration of a device as an mdev parent is in force: another number each time its driver registers it. Of one
 * that is none, but a PCI device: which device that is. 0: it cannot be told.
 */
uint64_t scan_registration(const Host *host, const char *parent);

/* Which binding of a PCI device to its driver is in force: another number each time it is bound. 0: it cannot be told. */
uint64_t scan_binding(const Host *host, const char *name);

/* The NUMA node that a PCI device is at; -1: none, or not known. */
int scan_numa_node(const Host *host, const char *name);

/* Whether the machine has such a node, or does not tell of any. */
bool scan_has_numa_node(const Host *host, uint32_t node);

/* 1 and *ret filled if it is a GPU: a display controller or an mdev parent, and no virtual function; else 0. */
int scan_identify(const Host *host, const char *name, GpuIdentity *ret_identity);

/* Calls back for every GPU, once or more. Stops at the first negative return and gives it on. */
int scan_gpus(const Host *host, int (*found)(const GpuIdentity *identity, void *userdata), void *userdata);
