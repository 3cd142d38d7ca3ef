/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * xe profile: how Intel's xe provisions one virtual function, or all of them at once, below
 * /sys/bus/pci/devices/GPU/sriov_admin (kernel 6.19; vram_quota since 7.0;
 * Documentation/ABI/testing/sysfs-driver-intel-xe-sriov). Functions are numbered from 1 on.
 */

#include "backend/claim.h"
#include "core/profile.h"

bool xe_profile_present(const Host *host, const char *gpu);
/* Whether the memory of a function can be set. */
bool xe_profile_has_vram(const Host *host, const char *gpu);
bool xe_profile_knows(const char *attribute);

/* What all attributes of a function say now, for xe_profile_restore(). */
void xe_profile_save(const Host *host, const char *gpu, unsigned number, Claim *claim);
void xe_profile_restore(const Host *host, const char *gpu, unsigned number, const Claim *claim);

/* One attribute, with the driver's answer explained; what names the vGPU or the function. */
int xe_profile_write(const Host *host, const char *gpu, unsigned number, const Attribute *attribute, const char *what,
                     Error *error);
/* All that a type states, read back. */
int xe_profile_apply(const Host *host, const char *gpu, unsigned number, const TypeSpec *spec, const char *what,
                     Error *error);
/* One attribute of all functions, those that are not enabled yet included. */
int xe_profile_write_all(const Host *host, const char *gpu, const Attribute *attribute, Error *error);
