/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VF_GPU_H
#define VF_GPU_H

#include <linux/pci.h>

/* vf-nvidia.c, vf-xe.c: drivers by the names that the daemon knows them by */
extern struct pci_driver vf_nvidia_driver;
extern struct pci_driver vf_xe_driver;

extern const struct pci_device_id vf_gpu_ids[];

#endif
