/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * HostFacts: what a worker saw of the machine around the GPUs that decides whether there can be vGPUs, and what else on it
 * deals with them. Plain values: they cross the wire. Nothing here is a judgement; core/diagnosis.h makes one.
 */

#include "core/profile.h"

#define FACTS_PATH_SIZE 256U
#define FACTS_APERTURES_MAX 8U

/* What the firmware says of an IOMMU: the ACPI table that describes one. */
typedef enum FirmwareIommu {
        FIRMWARE_IOMMU_NONE,
        FIRMWARE_IOMMU_DMAR, /* Intel's VT-d */
        FIRMWARE_IOMMU_IVRS, /* AMD-Vi */
        FIRMWARE_IOMMU_MAX,
        FIRMWARE_IOMMU_INVALID = -EINVAL,
} FirmwareIommu;

/* Whether Intel's i915 was told to divide its GPU; the parameter is there only if the kernel was built with GVT-g. */
typedef enum GvtParameter {
        GVT_ABSENT,
        GVT_OFF,
        GVT_ON,
        GVT_PARAMETER_MAX,
        GVT_PARAMETER_INVALID = -EINVAL,
} GvtParameter;

/* Of a GPU of Intel's: the size of what the CPU sees of its graphics memory, in bytes. */
typedef struct Aperture {
        char address[SYSFS_NAME_SIZE];
        uint64_t size;
} Aperture;

typedef struct HostFacts {
        bool iommu; /* the kernel has put devices into IOMMU groups */
        FirmwareIommu firmware_iommu;
        bool mdev_class; /* some driver has registered as the parent of mediated devices since the boot */
        bool nvidia_vgpu_module; /* nvidia_vgpu_vfio, which only the host's side of NVIDIA's vGPU software has */
        GvtParameter gvt;
        bool kvmgt_module;
        Aperture apertures[FACTS_APERTURES_MAX];
        size_t n_apertures;
        bool mdevctl_rule; /* mdevctl's own udev rule is there and not masked */
        bool mdevctl_program; /* /usr/sbin/mdevctl, which that rule runs */
        char libvirt_mdevctl[FACTS_PATH_SIZE]; /* the path of mdevctl that libvirt was built with; empty: none or no libvirt */
        bool libvirt_mdevctl_exists;
        uint32_t libvirt_blind; /* the process of libvirt that does not watch /etc/mdevctl.d; 0: none, or not known */
        char callouts[FACTS_PATH_SIZE]; /* mdevctl's scripts, "NAME, NAME …", as many as fit */
        uint32_t n_callouts;
        bool mdev_gpu_unit; /* /etc/systemd/system/mdev-post.service */
        bool mdev_gpu_program; /* /usr/bin/mdev-cli */
} HostFacts;
