/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Image header: what an image of a vGPU's state says of what made it. docs/state-format.md describes it; state/image.h reads and
 * writes it. */

#include "core/backend.h"

/* Texts are printable and end within their arrays; a number that is not known is the maximum of its type. */
struct ImageHeader {
        uint64_t created_usec; /* CLOCK_REALTIME */
        char host[64];
        char uuid[UUID_STRING_SIZE]; /* the vGPU's */
        char label[256];
        VGpuKind kind;
        uint32_t vendor_id, device_id, subsystem_id; /* the GPU's, of PCI; subsystem: vendor in the upper half */
        char gpu[SYSFS_NAME_SIZE]; /* where it was */
        char backend[32];
        char driver[64];
        char driver_version[64];
        TypeReport type; /* its fields but for what is left, and what a profile said */
        Facts facts; /* of GetMigrationInfo() */
        Attributes attributes; /* of its definition */
        uint64_t migration_flags; /* VFIO_MIGRATION_* */
        uint64_t size; /* bytes of data that the driver foretold */
};

void image_header_init(ImageHeader *header);
void image_header_done(ImageHeader *header);
