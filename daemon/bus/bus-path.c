/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <systemd/sd-bus.h>

#include "bus/bus-path.h"
#include "core/manager.h"
#include "core/task.h"

char *bus_path_of_gpu(const Gpu *gpu) {
        return bus_path_of_address(gpu->identity.address);
}

char *bus_path_of_address(const char *address) {
        char *path;

        return sd_bus_path_encode(GPU_PREFIX, address, &path) < 0 ? NULL : path;
}

char *bus_path_of_type(const Type *type) {
        char *path;

        if (sd_bus_path_encode_many(&path, GPU_PREFIX "/%/type/%", type->gpu->identity.address, type->report.id) < 0)
                return NULL;

        return path;
}

char *bus_path_of_vgpu(const VGpu *vgpu) {
        return bus_path_of_uuid(vgpu->uuid);
}

char *bus_path_of_task(const Task *task) {
        char *path;

        return asprintf(&path, JOB_PREFIX "/%u", task->id) < 0 ? NULL : path;
}

void bus_format_path_of_uuid(const char *uuid, char ret_path[static BUS_PATH_OF_UUID_SIZE]) {
        size_t n = strlen(VGPU_PATH_START);

        memcpy(ret_path, VGPU_PATH_START, n);
        for (; *uuid && n < BUS_PATH_OF_UUID_SIZE - 1; uuid++)
                ret_path[n++] = *uuid == '-' ? '_' : *uuid;
        ret_path[n] = '\0';
}

char *bus_path_of_uuid(const char *uuid) {
        char path[BUS_PATH_OF_UUID_SIZE];

        bus_format_path_of_uuid(uuid, path);
        return strdup(path);
}

int bus_path_find_gpu(const Manager *manager, const char *path, Gpu **ret_gpu) {
        _cleanup_(freep) char *address = NULL;
        Gpu *gpu;
        int r;

        r = sd_bus_path_decode(path, GPU_PREFIX, &address);
        if (r <= 0)
                return r;

        gpu = manager_find_gpu(manager, address);
        if (!gpu || !gpu->linked)
                return 0;

        *ret_gpu = gpu;
        return 1;
}

int bus_path_find_type(const Manager *manager, const char *path, Type **ret_type) {
        _cleanup_(freep) char *address = NULL, *id = NULL;
        Type *type;
        Gpu *gpu;
        int r;

        r = sd_bus_path_decode_many(path, GPU_PREFIX "/%/type/%", &address, &id);
        if (r <= 0)
                return r;

        gpu = manager_find_gpu(manager, address);
        type = gpu ? gpu_find_type_by_id(gpu, id) : NULL;
        if (!type)
                return 0;

        *ret_type = type;
        return 1;
}

int bus_path_find_vgpu(const Manager *manager, const char *path, VGpu **ret_vgpu) {
        static const char prefix[] = VGPU_PATH_START;
        char uuid[UUID_STRING_SIZE];
        const char *name;
        VGpu *vgpu;

        if (strncmp(path, prefix, strlen(prefix)) != 0)
                return 0;

        name = path + strlen(prefix);
        if (strlen(name) != sizeof(uuid) - 1)
                return 0;

        for (size_t i = 0; i < sizeof(uuid); i++)
                uuid[i] = name[i] == '_' ? '-' : name[i];

        /* The manager takes any spelling, an object has but one path. */
        vgpu = manager_find_vgpu(manager, uuid);
        if (!vgpu || !streq(vgpu->uuid, uuid))
                return 0;

        *ret_vgpu = vgpu;
        return 1;
}

int bus_path_find_task(const Manager *manager, const char *path, Task **ret_task) {
        _cleanup_(freep) char *own = NULL;
        Task *task;

        LIST_FOREACH(task, &manager->tasks, link) {
                free(own);
                own = bus_path_of_task(task);
                if (!own)
                        return -ENOMEM;
                if (streq(own, path)) {
                        *ret_task = task;
                        return 1;
                }
        }

        return 0;
}
