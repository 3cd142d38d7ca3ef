/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Object paths: one for each GPU, type and vGPU, made of nothing but its name, so that each can be told from the other.
 * Makers return NULL when out of memory; the caller frees.
 */

#include "core/gpu.h"
#include "core/type.h"
#include "core/vgpu.h"

#define GPU_PREFIX "/org/mdevgpu1/gpu"
#define VGPU_PREFIX "/org/mdevgpu1/vgpu"
#define JOB_PREFIX "/org/mdevgpu1/job"
#define VGPU_PATH_START VGPU_PREFIX "/_"
#define BUS_PATH_OF_UUID_SIZE (sizeof(VGPU_PATH_START) + UUID_STRING_SIZE)

char *bus_path_of_gpu(const Gpu *gpu);
char *bus_path_of_address(const char *address); /* of a GPU that need not be there */
char *bus_path_of_type(const Type *type);
char *bus_path_of_vgpu(const VGpu *vgpu);
char *bus_path_of_uuid(const char *uuid); /* of a vGPU that need not be there */
void bus_format_path_of_uuid(const char *uuid, char ret_path[static BUS_PATH_OF_UUID_SIZE]);
char *bus_path_of_task(const Task *task);

/* The object that the path names: 1; or 0, there is none; or negative. */
int bus_path_find_gpu(const Manager *manager, const char *path, Gpu **ret_gpu);
int bus_path_find_type(const Manager *manager, const char *path, Type **ret_type);
int bus_path_find_vgpu(const Manager *manager, const char *path, VGpu **ret_vgpu);
int bus_path_find_task(const Manager *manager, const char *path, Task **ret_task);
