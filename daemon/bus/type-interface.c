/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static int find_type(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                     sd_bus_error *ret_error) {
        BusServer *server = userdata;
        Type *type;
        int r;

        r = bus_path_find_type(server->manager, path, &type);
        if (r > 0)
                *ret_found = type;
        return r;
}

static int get_gpu(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                   void *userdata, sd_bus_error *ret_error) {
        const Type *type = userdata;
        _cleanup_(freep) char *gpu = bus_path_of_gpu(type->gpu);

        return gpu ? sd_bus_message_append_basic(reply, 'o', gpu) : -ENOMEM;
}

static int get_source(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const TypeSource *source = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(type_source_to_string(*source)));
}

static int get_registration(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Registration *registration = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(registration_to_string(*registration)));
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Gpu", "o", get_gpu, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Id", "s", bus_get_text, offsetof(Type, report.id), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Name", "s", bus_get_text, offsetof(Type, report.name), CHANGES),
        SD_BUS_PROPERTY("Description", "s", bus_get_text, offsetof(Type, report.description), CHANGES),
        SD_BUS_PROPERTY("DeviceApi", "s", bus_get_text, offsetof(Type, report.device_api), CHANGES),
        SD_BUS_PROPERTY("Class", "s", bus_get_text, offsetof(Type, report.class), CHANGES),
        SD_BUS_PROPERTY("VendorId", "u", NULL, offsetof(Type, report.vendor_id), CHANGES),
        SD_BUS_PROPERTY("MaxInstances", "u", NULL, offsetof(Type, report.max_instances), CHANGES),
        SD_BUS_PROPERTY("AvailableInstances", "u", NULL, offsetof(Type, report.available), CHANGES),
        SD_BUS_PROPERTY("Framebuffer", "t", NULL, offsetof(Type, report.framebuffer), CHANGES),
        SD_BUS_PROPERTY("Heads", "u", NULL, offsetof(Type, report.heads), CHANGES),
        SD_BUS_PROPERTY("MaxWidth", "u", NULL, offsetof(Type, report.max_width), CHANGES),
        SD_BUS_PROPERTY("MaxHeight", "u", NULL, offsetof(Type, report.max_height), CHANGES),
        SD_BUS_PROPERTY("FrameLimit", "u", NULL, offsetof(Type, report.frame_limit), CHANGES),
        SD_BUS_PROPERTY("Source", "s", get_source, offsetof(Type, report.source), CHANGES),
        SD_BUS_PROPERTY("Registration", "s", get_registration, offsetof(Type, report.registration), CHANGES),
        SD_BUS_PROPERTY("Reason", "s", bus_get_text, offsetof(Type, report.reason), CHANGES),
        SD_BUS_VTABLE_END,
};

static const BusMask masks[] = {
        { TYPE_CHANGED_DEFINITION, "Name" },
        { TYPE_CHANGED_DEFINITION, "Description" },
        { TYPE_CHANGED_DEFINITION, "DeviceApi" },
        { TYPE_CHANGED_DEFINITION, "Class" },
        { TYPE_CHANGED_DEFINITION, "VendorId" },
        { TYPE_CHANGED_DEFINITION, "MaxInstances" },
        { TYPE_CHANGED_DEFINITION, "Framebuffer" },
        { TYPE_CHANGED_DEFINITION, "Heads" },
        { TYPE_CHANGED_DEFINITION, "MaxWidth" },
        { TYPE_CHANGED_DEFINITION, "MaxHeight" },
        { TYPE_CHANGED_DEFINITION, "FrameLimit" },
        { TYPE_CHANGED_AVAILABLE, "AvailableInstances" },
        { TYPE_CHANGED_REGISTRATION, "Source" },
        { TYPE_CHANGED_REGISTRATION, "Registration" },
        { TYPE_CHANGED_REGISTRATION, "Reason" },
        {},
};

const BusInterface type_interface = {
        .name = "org.mdevgpu1.Type",
        .prefix = GPU_PREFIX,
        .vtable = vtable,
        .find = find_type,
        .masks = masks,
};
