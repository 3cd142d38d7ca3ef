/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PCI: what the PCI core says of one device in sysfs (Documentation/ABI/testing/sysfs-bus-pci), and handing it from one
 * driver to another. An address is as sysfs has it: 0000:41:00.0.
 */

#include "core/backend.h"

#define PCI_ADDRESS_SIZE 64U
#define PCI_DRIVER_SIZE 64U
#define PCI_FUNCTIONS_MAX 8U
/* PCI Express allows 65535 virtual functions; no GPU comes near this. */
#define PCI_VFS_MAX 256U

typedef struct PciAddress {
        char name[PCI_ADDRESS_SIZE];
} PciAddress;

bool pci_exists(const Host *host, const char *address);
bool pci_is_vf(const Host *host, const char *address);
/* An attribute as a number; fallback if it is not there or none. */
uint32_t pci_read_number(const Host *host, const char *address, const char *attribute, uint32_t fallback);
/* The name of the driver that is bound; empty: none. */
void pci_read_driver(const Host *host, const char *address, char ret_driver[static PCI_DRIVER_SIZE]);
/* -1: it has none, as without an IOMMU. */
int32_t pci_read_group(const Host *host, const char *address);
/* Another number for another device at the same address, as the folder is another; 0: not there. */
uint64_t pci_read_incarnation(const Host *host, const char *address);

/* A driver that hands its device to user space: vfio-pci, and its variants for some vendors (xe-vfio-pci). */
bool pci_driver_is_vfio(const char *driver);
#define PCI_VFIO_DRIVER "vfio-pci"
bool pci_driver_is_loaded(const Host *host, const char *driver);

/* The device itself, then the other functions in its slot; virtual functions are not among them. */
size_t pci_read_functions(const Host *host, const char *address, PciAddress ret[static PCI_FUNCTIONS_MAX]);
/* Its virtual functions, in the order of their numbers. */
size_t pci_read_vfs(const Host *host, const char *address, PciAddress ret[static PCI_VFS_MAX]);

/* Takes the device from its driver, if it has one, and hands it to this one, vfio-pci or a variant, and proves it. */
int pci_hand_to_vfio(const Host *host, const char *address, const char *vfio_driver, Error *error);
/*
 * Takes it from a vfio driver, which waits for whoever holds it, and gives it to that driver; "": to none; NULL: to the one
 * that the kernel chooses.
 */
int pci_give_back(const Host *host, const char *address, const char *driver, Error *error);
