/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Wishes: what a domain's XML says of vGPUs: those that it asks for in its metadata, and the host's devices that it is
 * started with. docs/libvirt.md has the format, domain.rng its schema.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manager.h"

#define NAMESPACE "urn:org.mdevgpu1:domain:1"

/* More than a virtual machine has, and what the daemon takes of attributes (CreateVGpu()). */
#define VGPUS_MAX 64U
#define ATTRIBUTES_MAX 64U

typedef struct Wish {
        char *uuid, *type;
        char *gpu; /* "": one that the daemon chooses */
        bool has_numa_node;
        uint32_t numa_node;
        ManagerAttribute attributes[ATTRIBUTES_MAX];
        size_t n_attributes;
} Wish;

typedef struct Domain {
        char uuid[37];
        Wish *wishes;
        size_t n_wishes;
        char *devices[VGPUS_MAX]; /* UUIDs of its mediated devices, addresses of its PCI devices (as 0000:41:00.4) */
        size_t n_devices;
} Domain;

/* The domain's XML, of which *ret_problem says what is wrong with it. -EBADMSG, -ENOMEM. */
int domain_parse(const char *text, size_t size, Domain *ret_domain, const char **ret_problem);

void domain_done(Domain *domain);
