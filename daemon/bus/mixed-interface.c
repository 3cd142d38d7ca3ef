/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Cards whose driver lets vGPUs of different sizes be there at one time, or not. */

#include "bus/bus-call.h"
#include "bus/bus-change.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"
#include "util/text.h"

static int find_gpu(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                    sd_bus_error *ret_error) {
        BusServer *server = userdata;
        Gpu *gpu;
        int r;

        r = bus_path_find_gpu(server->manager, path, &gpu);
        if (r <= 0 || gpu->mixed_size == MIXED_SIZE_NONE)
                return r < 0 ? r : 0;

        *ret_found = gpu;
        return 1;
}

static int get_enabled(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Gpu *gpu = userdata;
        int enabled = gpu->mixed_size == MIXED_SIZE_ON;

        return sd_bus_message_append_basic(reply, 'b', &enabled);
}

static void on_set(const Error *error, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;

        call->change = NULL;
        bus_changes_flush(call->server);
        if (error)
                bus_call_reply_error(call, error);
        else
                (void)sd_bus_reply_method_return(call->message, NULL);
}

static int method_set(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = bus_server_of(sd_bus_message_get_bus(message));
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        const Gpu *gpu = userdata;
        PolkitDetails details = {};
        Error error = ERROR_NULL;
        int on, r;

        r = sd_bus_message_read(message, "b", &on);
        if (r >= 0)
                r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        r = manager_check_mixed_size(server->manager, gpu->identity.address, on, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        (void)text_copy(details.gpu, sizeof(details.gpu), gpu->identity.address);
        r = bus_call_authorize(server, message, POLKIT_MANAGE_HARDWARE, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = manager_set_mixed_size(server->manager, gpu->identity.address, on, on_set, call, &call->change, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);
        if (r > 0) /* it is so */
                return sd_bus_reply_method_return(message, NULL);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Enabled", "b", get_enabled, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("Set", SD_BUS_ARGS("b", enabled, "a{sv}", options), SD_BUS_NO_RESULT, method_set,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const BusMask masks[] = {
        { GPU_CHANGED_MIXED, "Enabled" },
        {},
};

const BusInterface mixed_interface = {
        .name = "org.mdevgpu1.Gpu.MixedSize",
        .prefix = GPU_PREFIX,
        .vtable = vtable,
        .find = find_gpu,
        .masks = masks,
};
