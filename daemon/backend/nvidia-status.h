/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA status: what the resource manager answers a call with. The numbers are those of nvstatuscodes.h in NVIDIA's open
 * kernel modules (525 to 595, unchanged in all of them).
 */

#include "util/cleanup.h"

enum {
        NVIDIA_OK = 0x00,
        NVIDIA_BUSY_RETRY = 0x03,
        NVIDIA_INSUFFICIENT_PERMISSIONS = 0x1b,
        NVIDIA_INVALID_ARGUMENT = 0x1f, /* from 550 on also: the parameters' size is wrong */
        NVIDIA_INVALID_CLASS = 0x22,
        NVIDIA_INVALID_PARAM_STRUCT = 0x3a, /* up to 545: the parameters' size is wrong */
        NVIDIA_INVALID_STATE = 0x40,
        NVIDIA_NOT_SUPPORTED = 0x56,
        NVIDIA_OBJECT_NOT_FOUND = 0x57,
        NVIDIA_TIMEOUT_RETRY = 0x66,
};

#define NVIDIA_STATUS_SIZE 96U

/* "NOT_SUPPORTED (0x56): the driver or the GPU cannot do it"; of one that is not known, its number. */
void nvidia_status_describe(uint32_t status, char buffer[static NVIDIA_STATUS_SIZE]);
