/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-observer.h"
#include "bus/bus-path.h"

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const BusServer *server = userdata;

        return bus_append_text(reply, server->version);
}

static int get_config_errors(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(config_report_done) ConfigReport definitions = {};
        const BusServer *server = userdata;
        int r;

        r = definition_files_report(server->manager->mdev_definitions, &definitions);
        if (r >= 0)
                r = definition_files_report(server->manager->own_definitions, &definitions);
        if (r < 0)
                return r;

        return manager_append_problems(reply, server->callbacks->config_report(server->userdata), &definitions);
}

static int get_degraded(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        int degraded = bus_is_degraded(userdata);

        return sd_bus_message_append_basic(reply, 'b', &degraded);
}

static int get_active_topology(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const BusServer *server = userdata;

        return bus_append_text(reply, server->manager->active_topology);
}

static int reply_path(sd_bus_message *message, char *path, sd_bus_error *ret_error) {
        _cleanup_(freep) char *owned = path;

        if (!owned)
                return bus_error_set(ret_error, -ENOMEM, NULL);

        return sd_bus_reply_method_return(message, "o", owned);
}

static int method_get_gpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = userdata;
        const char *address;
        Gpu *gpu;
        int r;

        r = bus_read_name(message, "name of the GPU", &address, ret_error);
        if (r < 0)
                return r;

        gpu = manager_find_gpu(server->manager, address);
        if (!gpu)
                return bus_error_setf(ret_error, -ERROR_NO_SUCH_GPU, "There is no GPU '%s'", address);

        return reply_path(message, bus_path_of_gpu(gpu), ret_error);
}

static int method_get_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = userdata;
        char uuid[UUID_STRING_SIZE];
        VGpu *vgpu;
        int r;

        r = bus_read_uuid(message, /* may_be_empty= */ false, uuid, ret_error);
        if (r < 0)
                return r;

        vgpu = manager_find_vgpu(server->manager, uuid);
        if (!vgpu)
                return bus_error_setf(ret_error, -ERROR_NO_SUCH_VGPU, "There is no vGPU %s", uuid);

        return reply_path(message, bus_path_of_vgpu(vgpu), ret_error);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("CreateVGpu", SD_BUS_ARGS("s", gpu, "s", type, "s", uuid, "a{sv}", options),
                                SD_BUS_RESULT("s", uuid, "o", path), manager_method_create_vgpu,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DestroyVGpu", SD_BUS_ARGS("s", uuid, "a{sv}", options), SD_BUS_NO_RESULT,
                                manager_method_destroy_vgpu, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DefineVGpu", SD_BUS_ARGS("s", gpu, "s", type, "s", uuid, "a{sv}", options),
                                SD_BUS_RESULT("s", uuid, "o", path), manager_method_define_vgpu,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("UndefineVGpu", SD_BUS_ARGS("s", uuid, "a{sv}", options), SD_BUS_NO_RESULT,
                                manager_method_undefine_vgpu, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("StartVGpu", SD_BUS_ARGS("s", uuid, "a{sv}", options), SD_BUS_NO_RESULT,
                                manager_method_start_vgpu, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ModifyVGpu", SD_BUS_ARGS("s", uuid, "a{sv}", options), SD_BUS_NO_RESULT,
                                manager_method_modify_vgpu, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetUsers", SD_BUS_ARGS("s", uuid, "a{sv}", options), SD_BUS_RESULT("aa{sv}", users),
                                manager_method_get_users, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetUsage", SD_BUS_ARGS("s", gpu, "a{sv}", options), SD_BUS_RESULT("a{sv}", usage),
                                manager_method_get_usage, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetMigrationInfo", SD_BUS_ARGS("s", gpu, "s", type, "a{sv}", options),
                                SD_BUS_RESULT("a{sv}", info), manager_method_get_migration_info,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CheckCompatibility", SD_BUS_ARGS("s", gpu, "a{sv}", remote),
                                SD_BUS_RESULT("s", verdict, "as", reasons), manager_method_check_compatibility,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("QueryMigration", SD_BUS_ARGS("s", uuid, "a{sv}", options),
                                SD_BUS_RESULT("a{sv}", migration), manager_method_query_migration,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PrepareIncoming", SD_BUS_ARGS("s", gpu, "s", type, "s", uuid, "a{sv}", options),
                                SD_BUS_RESULT("s", uuid, "o", path), manager_method_prepare_incoming,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ReleaseIncoming", SD_BUS_ARGS("s", uuid, "a{sv}", options), SD_BUS_NO_RESULT,
                                manager_method_release_incoming, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SaveState", SD_BUS_ARGS("s", uuid, "s", name, "a{sv}", options),
                                SD_BUS_RESULT("o", job), manager_method_save_state, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ExportState", SD_BUS_ARGS("s", uuid, "h", target, "a{sv}", options),
                                SD_BUS_RESULT("o", job), manager_method_export_state, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RestoreState", SD_BUS_ARGS("s", gpu, "s", name, "a{sv}", options),
                                SD_BUS_RESULT("o", job), manager_method_restore_state, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ImportState", SD_BUS_ARGS("s", gpu, "h", source, "a{sv}", options),
                                SD_BUS_RESULT("o", job), manager_method_import_state, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListSavedStates", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssstta{sv})", states),
                                manager_method_list_saved_states, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DeleteSavedState", SD_BUS_ARGS("s", name, "a{sv}", options), SD_BUS_NO_RESULT,
                                manager_method_delete_saved_state, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("HoldForStart", SD_BUS_ARGS("as", uuids, "a{sv}", options), SD_BUS_NO_RESULT,
                                manager_method_hold_for_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("EndHold", SD_BUS_ARGS("as", uuids, "a{sv}", options), SD_BUS_NO_RESULT,
                                manager_method_end_hold, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListGpus", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("a(ssssoa{sv})", gpus),
                                manager_method_list_gpus, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListTypes", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("a(ssssuuoa{sv})", types),
                                manager_method_list_types, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListVGpus", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("a(sssssoa{sv})", vgpus),
                                manager_method_list_vgpus, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetGpu", SD_BUS_ARGS("s", gpu), SD_BUS_RESULT("o", path), method_get_gpu,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetVGpu", SD_BUS_ARGS("s", uuid), SD_BUS_RESULT("o", path), method_get_vgpu,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListTopologies", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssba{sv})", topologies),
                                manager_method_list_topologies, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PlanTopology", SD_BUS_ARGS("s", name, "a{sv}", options), SD_BUS_RESULT("aa{sv}", plan),
                                manager_method_plan_topology, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ApplyTopology", SD_BUS_ARGS("s", name, "a{sv}", options), SD_BUS_RESULT("o", job),
                                manager_method_apply_topology, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListJobs", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ussoa{sv})", jobs),
                                manager_method_list_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CheckConfig", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(suuss)", problems),
                                manager_method_check_config, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Diagnose", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("aa{sv}", findings),
                                manager_method_diagnose, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetStatistics", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a{sv}", statistics),
                                manager_method_get_statistics, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, manager_method_reload,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("ConfigErrors", "a(suuss)", get_config_errors, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Degraded", "b", get_degraded, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ActiveTopology", "s", get_active_topology, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_SIGNAL_WITH_ARGS("GpuAdded", SD_BUS_ARGS("s", gpu, "o", path), 0),
        SD_BUS_SIGNAL_WITH_ARGS("GpuRemoved", SD_BUS_ARGS("s", gpu, "o", path), 0),
        SD_BUS_SIGNAL_WITH_ARGS("VGpuAdded", SD_BUS_ARGS("s", uuid, "o", path), 0),
        SD_BUS_SIGNAL_WITH_ARGS("VGpuRemoved", SD_BUS_ARGS("s", uuid, "o", path), 0),
        SD_BUS_SIGNAL_WITH_ARGS("JobNew", SD_BUS_ARGS("u", id, "o", path), 0),
        SD_BUS_SIGNAL_WITH_ARGS("JobFinished", SD_BUS_ARGS("u", id, "o", path, "s", result, "s", error, "s", message),
                                0),
        SD_BUS_SIGNAL_WITH_ARGS("JobRemoved", SD_BUS_ARGS("u", id, "o", path), 0),
        SD_BUS_SIGNAL_WITH_ARGS("SavedStatesChanged", SD_BUS_NO_ARGS, 0),
        SD_BUS_SIGNAL_WITH_ARGS("Reloading", SD_BUS_ARGS("b", active), 0),
        SD_BUS_VTABLE_END,
};

static const BusMask masks[] = {
        { MANAGER_CHANGED_CONFIG, "ConfigErrors" },
        { MANAGER_CHANGED_DEGRADED, "Degraded" },
        { MANAGER_CHANGED_TOPOLOGY, "ActiveTopology" },
        {},
};

const BusInterface manager_interface = {
        .name = "org.mdevgpu1.Manager",
        .prefix = BUS_PATH,
        .vtable = vtable,
        .masks = masks,
};
