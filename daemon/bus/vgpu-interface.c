/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"

static int find_vgpu(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                     sd_bus_error *ret_error) {
        BusServer *server = userdata;
        VGpu *vgpu;
        int r;

        r = bus_path_find_vgpu(server->manager, path, &vgpu);
        if (r > 0)
                *ret_found = vgpu;
        return r;
}

static int get_kind(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *ret_error) {
        const VGpu *vgpu = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(vgpu_kind_to_string(vgpu->kind)));
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *ret_error) {
        const VGpu *vgpu = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(vgpu_state_to_string(vgpu->state)));
}

static int get_use(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                   void *userdata, sd_bus_error *ret_error) {
        const VGpu *vgpu = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(vgpu_use_to_string(vgpu->use)));
}

static int get_migration_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append_basic(reply, 's', vgpu_get_migration_state(userdata));
}

static int get_gpu(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                   void *userdata, sd_bus_error *ret_error) {
        _cleanup_(freep) char *gpu = NULL;
        const VGpu *vgpu = userdata;

        if (!vgpu->gpu) /* it is defined for one that is not there */
                return sd_bus_message_append_basic(reply, 'o', "/");

        gpu = bus_path_of_gpu(vgpu->gpu);
        return gpu ? sd_bus_message_append_basic(reply, 'o', gpu) : -ENOMEM;
}

static int get_type(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *ret_error) {
        const Type *type = vgpu_get_type(userdata);
        _cleanup_(freep) char *type_path = NULL;

        if (!type)
                return sd_bus_message_append_basic(reply, 'o', "/");

        type_path = bus_path_of_type(type);
        return type_path ? sd_bus_message_append_basic(reply, 'o', type_path) : -ENOMEM;
}

static int get_next_type_id(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const VGpu *vgpu = userdata;
        char buffer[TYPE_ID_SIZE];

        return sd_bus_message_append_basic(reply, 's',
                                           bus_clean_text(strempty(vgpu->next_type_id), buffer, sizeof(buffer)));
}

static int get_owner_uid(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const VGpu *vgpu = userdata;
        uint32_t uid = vgpu->owner.known ? vgpu->owner.uid : UNKNOWN_U32;

        return sd_bus_message_append_basic(reply, 'u', &uid);
}

static int method_refresh(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        VGpu *vgpu = userdata;

        if (vgpu->gpu)
                return bus_refresh_gpu(vgpu->gpu, message, ret_error);

        return bus_error_setf(ret_error, -ERROR_NO_SUCH_GPU, "vGPU %s is defined for %s, which is not there",
                              vgpu->uuid, vgpu->parent);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Uuid", "s", bus_get_text, offsetof(VGpu, uuid), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("SysfsPath", "s", bus_get_text, offsetof(VGpu, sysfs_path),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Kind", "s", get_kind, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Gpu", "o", get_gpu, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Type", "o", get_type, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Parent", "s", bus_get_text, offsetof(VGpu, parent), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("TypeId", "s", bus_get_text, offsetof(VGpu, type_id), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("NextTypeId", "s", get_next_type_id, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Label", "s", bus_get_text, offsetof(VGpu, label), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Persistent", "b", bus_get_bool, offsetof(VGpu, persistent),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Autostart", "b", bus_get_bool, offsetof(VGpu, autostart), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Managed", "b", bus_get_bool, offsetof(VGpu, managed), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("OwnerUid", "u", get_owner_uid, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("InUse", "s", get_use, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("MigrationState", "s", get_migration_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("IommuGroup", "i", NULL, offsetof(VGpu, iommu_group), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LastError", "s", bus_get_text, offsetof(VGpu, last_error),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("Destroy", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, vgpu_method_destroy,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, vgpu_method_start,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetAttachment", SD_BUS_ARGS("s", format, "a{sv}", options), SD_BUS_RESULT("s", text),
                                vgpu_method_get_attachment, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Refresh", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, method_refresh,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const BusMask masks[] = {
        { VGPU_CHANGED_STATE, "State" },
        { VGPU_CHANGED_ERROR, "LastError" },
        { VGPU_CHANGED_TYPE, "Type" },
        { VGPU_CHANGED_TYPE, "TypeId" },
        { VGPU_CHANGED_DEVICE, "SysfsPath" },
        { VGPU_CHANGED_DEVICE, "Kind" },
        { VGPU_CHANGED_DEVICE, "Parent" },
        { VGPU_CHANGED_DEVICE, "IommuGroup" },
        { VGPU_CHANGED_MANAGED, "Managed" },
        { VGPU_CHANGED_GPU, "Gpu" },
        { VGPU_CHANGED_DEFINITION, "Persistent" },
        { VGPU_CHANGED_DEFINITION, "Autostart" },
        { VGPU_CHANGED_LABEL, "Label" },
        { VGPU_CHANGED_USE, "InUse" },
        { VGPU_CHANGED_OWNER, "OwnerUid" },
        { VGPU_CHANGED_NEXT_TYPE, "NextTypeId" },
        { VGPU_CHANGED_MIGRATION, "MigrationState" },
        {},
};

const BusInterface vgpu_interface = {
        .name = "org.mdevgpu1.VGpu",
        .prefix = VGPU_PREFIX,
        .vtable = vtable,
        .find = find_vgpu,
        .masks = masks,
};
