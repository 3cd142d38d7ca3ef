/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-call.h"
#include "bus/bus-change.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"
#include "core/vfs-change.h"
#include "util/text.h"

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

/* The attributes are the caller's to release, whatever comes of it. */
static int read_arguments(sd_bus_message *message, uint32_t *ret_n, Attributes *attributes, sd_bus_error *ret_error) {
        const BusOption options[] = { { "attrs", 'a', { .attributes = attributes }, NULL } };
        int r;

        r = sd_bus_message_read(message, "u", ret_n);
        return r < 0 ? r : bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
}

static int method_enable_vfs(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = bus_server_of(sd_bus_message_get_bus(message));
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        _cleanup_(attributes_done) Attributes attributes = {};
        _cleanup_(freep) char *path = NULL;
        const Gpu *gpu = userdata;
        PolkitDetails details = {};
        Error error = ERROR_NULL;
        uint32_t n;
        Task *task;
        int r;

        r = read_arguments(message, &n, &attributes, ret_error);
        if (r < 0)
                return r;

        r = manager_check_vfs(server->manager, gpu->identity.address, n, attributes.n > 0, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        (void)text_copy(details.gpu, sizeof(details.gpu), gpu->identity.address);
        r = bus_call_authorize(server, message, POLKIT_MANAGE_HARDWARE, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = manager_enable_vfs_task(server->manager, gpu->identity.address, n, &attributes, bus_call_uid(call), &task,
                                    &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        log_full(LOG_INFO,
                 LOG_FIELDS("MDEVGPU_GPU", gpu->identity.address, "MDEVGPU_SENDER", sd_bus_message_get_sender(message)),
                 "GPU %s: enabling %u virtual functions for user %u, job %u", gpu->identity.address, n,
                 bus_call_uid(call), task->id);
        bus_changes_flush(server);
        path = bus_path_of_task(task);
        return path ? sd_bus_reply_method_return(message, "o", path) : -ENOMEM;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("NumVfs", "u", NULL, offsetof(Gpu, num_vfs), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("MaxVfs", "u", NULL, offsetof(Gpu, max_vfs), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("EnableVfs", SD_BUS_ARGS("u", number, "a{sv}", options), SD_BUS_RESULT("o", job),
                                method_enable_vfs, SD_BUS_VTABLE_UNPRIVILEGED),
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
