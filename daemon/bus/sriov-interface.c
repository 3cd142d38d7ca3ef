/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-interface.h"
#include "bus/bus-path.h"

static int find_gpu(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                    sd_bus_error *ret_error) {
        BusServer *server = userdata;
        Gpu *gpu;
        int r;

        r = bus_path_find_gpu(server->manager, path, &gpu);
        if (r <= 0 || gpu->max_vfs == 0)
                return r < 0 ? r : 0;

        *ret_found = gpu;
        return 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("NumVfs", "u", NULL, offsetof(Gpu, num_vfs), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("MaxVfs", "u", NULL, offsetof(Gpu, max_vfs), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

static const BusMask masks[] = {
        { GPU_CHANGED_VFS, "NumVfs" },
        { GPU_CHANGED_VFS, "MaxVfs" },
        {},
};

const BusInterface sriov_interface = {
        .name = "org.mdevgpu1.Gpu.Sriov",
        .prefix = GPU_PREFIX,
        .vtable = vtable,
        .find = find_gpu,
        .masks = masks,
};
