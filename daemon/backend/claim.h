/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Claim: that a PCI device is a vGPU, under which UUID, and whose it was before. The kernel knows no UUID of it, and its
 * address is used again by whoever comes next: so the claim is written before the device is taken, says which incarnation
 * of the address it means, and goes with it. One small file for each address in /run/mdevgpud/claims: it survives a
 * restart and no reboot, as the binding itself.
 */

#include "backend/pci.h"

typedef struct ClaimFunction {
        char address[PCI_ADDRESS_SIZE];
        char driver[PCI_DRIVER_SIZE]; /* that it had before; empty: none */
} ClaimFunction;

/* What a driver's attribute said before it was written for this vGPU. */
typedef struct ClaimSetting {
        char name[32];
        char value[32];
} ClaimSetting;

#define CLAIM_SETTINGS_MAX 8U

typedef struct Claim {
        char uuid[UUID_STRING_SIZE];
        char type_id[TYPE_ID_SIZE];
        uint64_t incarnation;
        bool busy; /* it is being taken or given back: with no vfio driver it is to be put back as it was */
        size_t n_functions;
        ClaimFunction functions[PCI_FUNCTIONS_MAX]; /* that were taken with it, itself first */
        size_t n_settings;
        ClaimSetting settings[CLAIM_SETTINGS_MAX];
} Claim;

/* -ENOENT: there is none of the device that is there now. */
int claim_read(const Host *host, const char *address, Claim *ret_claim);
/* The incarnation is filled in. */
int claim_write(const Host *host, const char *address, const Claim *claim);
void claim_remove(const Host *host, const char *address);

/* The UUID of the vGPU of this type that the device is: the claim's, or, of one that somebody else made, one that follows
 * from its address. */
void claim_identify(const Host *host, const char *address, const char *type_id, char ret_uuid[static UUID_STRING_SIZE]);
