/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"

static int find_gpu(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                    sd_bus_error *ret_error) {
        BusServer *server = userdata;
        Gpu *gpu;
        int r;

        r = bus_path_find_gpu(server->manager, path, &gpu);
        if (r > 0)
                *ret_found = gpu;
        return r;
}

static int get_name(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *ret_error) {
        return bus_append_text(reply, gpu_get_name(userdata));
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *ret_error) {
        const GpuState *state = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(gpu_state_to_string(*state)));
}

int bus_refresh_gpu(Gpu *gpu, sd_bus_message *message, sd_bus_error *ret_error) {
        int r;

        r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        gpu_refresh(gpu);
        return sd_bus_reply_method_return(message, NULL);
}

static int method_refresh(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return bus_refresh_gpu(userdata, message, ret_error);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Address", "s", bus_get_text, offsetof(Gpu, identity.address), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Vendor", "s", bus_get_text, offsetof(Gpu, vendor_name), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Driver", "s", bus_get_text, offsetof(Gpu, driver), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DriverVersion", "s", bus_get_text, offsetof(Gpu, driver_version),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Backend", "s", bus_get_text, offsetof(Gpu, backend), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("State", "s", get_state, offsetof(Gpu, state), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Reason", "s", bus_get_text, offsetof(Gpu, reason), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("FramebufferTotal", "t", NULL, offsetof(Gpu, framebuffer_total),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("FramebufferUsed", "t", NULL, offsetof(Gpu, framebuffer_used), 0),
        SD_BUS_PROPERTY("PendingTypes", "b", bus_get_bool, offsetof(Gpu, pending_types),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("Refresh", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, method_refresh,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const BusMask masks[] = {
        { GPU_CHANGED_IDENTITY, "Name" },
        { GPU_CHANGED_IDENTITY, "Vendor" },
        { GPU_CHANGED_IDENTITY, "FramebufferTotal" },
        { GPU_CHANGED_DRIVER, "Driver" },
        { GPU_CHANGED_DRIVER, "DriverVersion" },
        { GPU_CHANGED_DRIVER, "Backend" },
        { GPU_CHANGED_STATE, "State" },
        { GPU_CHANGED_STATE, "Reason" },
        { GPU_CHANGED_PENDING, "PendingTypes" },
        {},
};

const BusInterface gpu_interface = {
        .name = "org.mdevgpu1.Gpu",
        .prefix = GPU_PREFIX,
        .vtable = vtable,
        .find = find_gpu,
        .masks = masks,
};
