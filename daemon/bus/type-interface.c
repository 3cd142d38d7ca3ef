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

/* An entry, unless the number is the one that stands for not knowing it. */
static int append_u64(sd_bus_message *reply, const char *key, uint64_t v) {
        return v != UNKNOWN_U64 ? sd_bus_message_append(reply, "{sv}", key, "t", v) : 0;
}

static int append_u32(sd_bus_message *reply, const char *key, uint32_t v) {
        return v != UNKNOWN_U32 ? sd_bus_message_append(reply, "{sv}", key, "u", v) : 0;
}

static int append_tristate(sd_bus_message *reply, const char *key, Tristate v) {
        return v != TRISTATE_UNKNOWN ? sd_bus_message_append(reply, "{sv}", key, "b", (int)(v == TRISTATE_YES)) : 0;
}

static int append_details(sd_bus_message *reply, const TypeDetails *d) {
        int r;

        r = append_u64(reply, "reserved", d->reserved);
        if (r >= 0)
                r = append_u64(reply, "mappable-video", d->mappable_video);
        if (r >= 0)
                r = append_u64(reply, "bar1", d->bar1);
        if (r >= 0)
                r = append_u64(reply, "host-reserved", d->host_reserved);
        if (r >= 0)
                r = append_u32(reply, "encoder", d->encoder);
        if (r >= 0)
                r = append_u32(reply, "gpu-instance", d->gpu_instance);
        if (r >= 0)
                r = append_u32(reply, "placements", d->placements);
        if (r >= 0)
                r = append_tristate(reply, "ecc", d->ecc);
        if (r >= 0)
                r = append_tristate(reply, "multi-vgpu", d->multi_vgpu);
        if (r >= 0)
                r = append_tristate(reply, "limiter", d->limiter);
        if (r >= 0)
                r = append_tristate(reply, "creatable", d->creatable);
        if (r >= 0)
                r = append_tristate(reply, "keeps-state", d->keeps_state);
        return r;
}

static int get_details(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Type *type = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_details(reply, &type->report.details);
        return r < 0 ? r : sd_bus_message_close_container(reply);
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
        SD_BUS_PROPERTY("Details", "a{sv}", get_details, 0, CHANGES),
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
        { TYPE_CHANGED_DETAILS, "Details" },
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
