/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA stand: the model of NVIDIA's resource manager as a Host has it: nodes that are opened, called and closed. There is
 * one in a process at a time.
 */

#include "core/platform.h"
#include "nvidia-model.h"

#define STAND_GPU "0000:41:00.0"
#define STAND_MINOR 3U

/* The model that nodes below lead to; NULL: no more. */
void nvidia_stand_use(NvidiaModel *model);

/* As HostOps have them. A node of another name, or a descriptor that is not one of these nodes': -ENOENT, -ENOTTY. */
int nvidia_stand_open_node(const Host *host, const char *path, int flags);
int nvidia_stand_ioctl(const Host *host, int fd, unsigned long request, void *argument);

/* For NvidiaModel.notified. */
void nvidia_stand_notified(NvidiaModel *model, unsigned file);

/* How many of the model's nodes are open now. */
unsigned nvidia_stand_count_open(void);

/* A machine of files with one card, STAND_GPU, in it, and its driver. */
typedef struct NvidiaStand {
        NvidiaModel model;
        ModelGpu *gpu;
        Host host;
        char *root;
} NvidiaStand;

NvidiaStand *nvidia_stand_new(const char *version);
void nvidia_stand_free(NvidiaStand *stand);

/* A file of that machine, below its root; NULL removes it. */
void nvidia_stand_write(NvidiaStand *stand, const char *path, const char *text);
