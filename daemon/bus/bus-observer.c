/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-change.h"
#include "bus/bus-journal.h"
#include "bus/bus-message.h"
#include "bus/bus-observer.h"
#include "bus/bus-path.h"
#include "bus/bus-unread.h"
#include "core/task.h"
#include "util/message-ids.h"

static bool gpu_is_degraded(const Gpu *gpu) {
        return gpu->linked && (gpu->state == GPU_FAILED || gpu->state == GPU_BUSY || gpu->state == GPU_DEGRADED);
}

/* `except` is on its way out; NULL for none. */
static bool is_degraded(const BusServer *server, const Gpu *except) {
        Gpu *gpu;

        if (server->callbacks->config_report(server->userdata)->n_errors > 0 ||
            definition_files_count_broken(server->manager->mdev_definitions) > 0 ||
            definition_files_count_broken(server->manager->own_definitions) > 0)
                return true;

        LIST_FOREACH(gpu, &server->manager->gpus, link)
                if (gpu != except && gpu_is_degraded(gpu))
                        return true;

        return false;
}

bool bus_is_degraded(const BusServer *server) {
        return is_degraded(server, /* except= */ NULL);
}

static void update_degraded(BusServer *server, const Gpu *except) {
        bool degraded = is_degraded(server, except);

        if (degraded == server->degraded)
                return;

        server->degraded = degraded;
        bus_journal_degraded(degraded);
        bus_changed(server, BUS_PATH, &manager_interface, MANAGER_CHANGED_DEGRADED);
}

void bus_update_degraded(BusServer *server) {
        update_degraded(server, /* except= */ NULL);
}

static void emit_manager_signal(BusServer *server, const char *signal, const char *name, const char *path) {
        int r;

        r = sd_bus_emit_signal(server->bus, BUS_PATH, manager_interface.name, signal, "so", name, path);
        if (r < 0)
                log_full(bus_log_level(r), NULL, "Cannot send %s of %s: %s", signal, name, strerrordesc_np(-r));
}

static void emit_added(BusServer *server, const char *path) {
        int r;

        bus_unread_count_signal(server);
        r = sd_bus_emit_object_added(server->bus, path);
        if (r < 0)
                log_full(bus_log_level(r), NULL, "Cannot tell that %s is there: %s", path, strerrordesc_np(-r));
        bus_queue_check(server);
}

static void emit_removed(BusServer *server, const char *path) {
        int r;

        bus_change_forget(server, path);

        bus_unread_count_signal(server);
        r = sd_bus_emit_object_removed(server->bus, path);
        if (r < 0)
                log_full(bus_log_level(r), NULL, "Cannot tell that %s is gone: %s", path, strerrordesc_np(-r));
}

static void on_gpu_added(Gpu *gpu, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_gpu(gpu) : NULL;

        if (server->manager)
                bus_journal_gpu_added(gpu);
        if (!path)
                return;

        emit_added(server, path);
        emit_manager_signal(server, "GpuAdded", gpu->identity.address, path);
        bus_update_degraded(server);
}

static void on_gpu_removed(Gpu *gpu, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_gpu(gpu) : NULL;

        if (server->manager)
                bus_journal_gpu_removed(gpu);
        if (!path)
                return;

        emit_removed(server, path);
        emit_manager_signal(server, "GpuRemoved", gpu->identity.address, path);
        update_degraded(server, /* except= */ gpu);
}

/* An interface that comes and goes: what has changed of it is told at once, as nobody changes it often. */
static void sriov_changed(BusServer *server, const Gpu *gpu, const char *path, unsigned mask) {
        char *names[] = { (char *)sriov_interface.name, NULL };
        int r = 0;

        if (mask & GPU_CHANGED_SRIOV)
                r = gpu->max_vfs > 0 ? sd_bus_emit_interfaces_added_strv(server->bus, path, names)
                                     : sd_bus_emit_interfaces_removed_strv(server->bus, path, names);
        else if (mask & GPU_CHANGED_VFS)
                r = sd_bus_emit_properties_changed(server->bus, path, sriov_interface.name, "NumVfs", "MaxVfs", NULL);
        if (r < 0)
                log_full(bus_log_level(r), NULL, "Cannot tell of the virtual functions of %s: %s", path,
                         strerrordesc_np(-r));
}

static void mixed_changed(BusServer *server, const Gpu *gpu, const char *path, unsigned mask) {
        char *names[] = { (char *)mixed_interface.name, NULL };
        int r = 0;

        if (mask & GPU_CHANGED_MIXABLE)
                r = gpu->mixed_size != MIXED_SIZE_NONE ? sd_bus_emit_interfaces_added_strv(server->bus, path, names)
                                                       : sd_bus_emit_interfaces_removed_strv(server->bus, path, names);
        else if (mask & GPU_CHANGED_MIXED)
                r = sd_bus_emit_properties_changed(server->bus, path, mixed_interface.name, "Enabled", NULL);
        if (r < 0)
                log_full(bus_log_level(r), NULL, "Cannot tell whether %s mixes sizes: %s", path, strerrordesc_np(-r));
}

static void on_gpu_changed(Gpu *gpu, unsigned mask, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_gpu(gpu) : NULL;

        if (server->manager && (mask & GPU_CHANGED_STATE))
                bus_journal_gpu_state(gpu);
        if (!path)
                return;

        if (mask & ~(unsigned)(GPU_CHANGED_VFS | GPU_CHANGED_SRIOV | GPU_CHANGED_MIXED | GPU_CHANGED_MIXABLE))
                bus_changed(server, path, &gpu_interface, mask);
        sriov_changed(server, gpu, path, mask);
        mixed_changed(server, gpu, path, mask);
        if (mask & GPU_CHANGED_STATE)
                bus_update_degraded(server);
}

/* A vGPU points to its type's object, or to none while there is none. */
static void type_came_or_goes(BusServer *server, const Type *type) {
        VGpu *vgpu;

        LIST_FOREACH(vgpu, &type->gpu->vgpus, gpu_link)
                if (vgpu->linked && streq(vgpu->type_id, type->report.id)) {
                        _cleanup_(freep) char *path = bus_path_of_vgpu(vgpu);

                        if (path)
                                bus_changed(server, path, &vgpu_interface, VGPU_CHANGED_TYPE);
                }
}

static void on_type_added(Type *type, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_type(type) : NULL;

        if (server->manager)
                bus_journal_type(type);
        if (!path)
                return;

        emit_added(server, path);
        type_came_or_goes(server, type);
}

static void on_type_removed(Type *type, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_type(type) : NULL;

        if (!path)
                return;

        emit_removed(server, path);
        type_came_or_goes(server, type);
}

static void on_type_changed(Type *type, unsigned mask, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_type(type) : NULL;

        if (server->manager && (mask & TYPE_CHANGED_REGISTRATION))
                bus_journal_type(type);
        if (path)
                bus_changed(server, path, &type_interface, mask);
}

static void on_vgpu_added(VGpu *vgpu, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_vgpu(vgpu) : NULL;

        if (!path)
                return;

        emit_added(server, path);
        emit_manager_signal(server, "VGpuAdded", vgpu->uuid, path);
}

static void on_vgpu_removed(VGpu *vgpu, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_vgpu(vgpu) : NULL;

        if (!path)
                return;

        emit_removed(server, path);
        emit_manager_signal(server, "VGpuRemoved", vgpu->uuid, path);
}

static void on_vgpu_changed(VGpu *vgpu, unsigned mask, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_vgpu(vgpu) : NULL;

        if (path)
                bus_changed(server, path, &vgpu_interface, mask);
}

/* For an administrator: there is nothing in the model that it changes. */
static void on_device_error(Gpu *gpu, VGpu *vgpu, uint32_t code, const char *text, void *userdata) {
        log_full(LOG_WARNING,
                 LOG_FIELDS("MESSAGE_ID", MESSAGE_DEVICE_ERROR, "MDEVGPU_GPU", gpu->identity.address, "MDEVGPU_VGPU",
                            vgpu ? vgpu->uuid : ""),
                 "GPU %s reports error %u%s%s%s%s", gpu->identity.address, code, vgpu ? " of vGPU " : "",
                 vgpu ? vgpu->uuid : "", *text ? ": " : "", text);
}

static void on_problems_changed(Manager *manager, void *userdata) {
        BusServer *server = userdata;

        if (!server->tells)
                return;

        bus_changed(server, BUS_PATH, &manager_interface, MANAGER_CHANGED_CONFIG);
        bus_update_degraded(server);
}

static void on_topology_changed(Manager *manager, void *userdata) {
        BusServer *server = userdata;

        if (server->tells)
                bus_changed(server, BUS_PATH, &manager_interface, MANAGER_CHANGED_TOPOLOGY);
}

static void emit_job_signal(BusServer *server, const char *signal, const Task *task, const char *path) {
        int r;

        r = sd_bus_emit_signal(server->bus, BUS_PATH, manager_interface.name, signal, "uo", task->id, path);
        if (r < 0)
                log_full(bus_log_level(r), NULL, "Cannot send %s of %s: %s", signal, path, strerrordesc_np(-r));
}

static void on_task_added(Task *task, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_task(task) : NULL;

        if (!path)
                return;

        emit_added(server, path);
        emit_job_signal(server, "JobNew", task, path);
}

static void on_task_removed(Task *task, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_task(task) : NULL;

        if (!path)
                return;

        emit_removed(server, path);
        emit_job_signal(server, "JobRemoved", task, path);
}

static void on_task_changed(Task *task, unsigned mask, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_task(task) : NULL;

        if (path)
                bus_changed(server, path, &job_interface, mask);
}

static int emit_finished(BusServer *server, const Task *task, const char *path) {
        _cleanup_(bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_signal(server->bus, &m, path, job_interface.name, "Finished");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', strempty(task_state_to_string(task->state)));
        if (r >= 0)
                r = bus_append_task_result(m, task);
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', bus_task_error(task));
        if (r >= 0)
                r = bus_append_text(m, task->error.message);
        if (r >= 0)
                r = sd_bus_send(server->bus, m, NULL);
        return r;
}

/* Its properties first, so that whoever hears that it has ended finds what came of it. */
static void on_task_finished(Task *task, void *userdata) {
        BusServer *server = userdata;
        _cleanup_(freep) char *path = server->tells ? bus_path_of_task(task) : NULL;
        int r;

        if (server->manager)
                bus_journal_task(task);
        if (!path)
                return;

        bus_changes_flush(server);
        r = emit_finished(server, task, path);
        if (r >= 0)
                r = sd_bus_emit_signal(server->bus, BUS_PATH, manager_interface.name, "JobFinished", "uosss", task->id,
                                       path, strempty(task_state_to_string(task->state)), bus_task_error(task),
                                       task->error.message);
        if (r < 0)
                log_full(bus_log_level(r), NULL, "Cannot tell that job %u has ended: %s", task->id,
                         strerrordesc_np(-r));
}

static void on_saved_states_changed(Manager *manager, void *userdata) {
        BusServer *server = userdata;
        int r = 0;

        if (server->tells)
                r = sd_bus_emit_signal(server->bus, BUS_PATH, manager_interface.name, "SavedStatesChanged", NULL);
        if (r < 0)
                log_full(bus_log_level(r), NULL, "Cannot tell that other states are saved: %s", strerrordesc_np(-r));
}

const ObserverOps bus_observer_ops = {
        .gpu_added = on_gpu_added,
        .gpu_removed = on_gpu_removed,
        .gpu_changed = on_gpu_changed,
        .type_added = on_type_added,
        .type_removed = on_type_removed,
        .type_changed = on_type_changed,
        .vgpu_added = on_vgpu_added,
        .vgpu_removed = on_vgpu_removed,
        .vgpu_changed = on_vgpu_changed,
        .device_error = on_device_error,
        .problems_changed = on_problems_changed,
        .topology_changed = on_topology_changed,
        .saved_states_changed = on_saved_states_changed,
        .task_added = on_task_added,
        .task_removed = on_task_removed,
        .task_changed = on_task_changed,
        .task_finished = on_task_finished,
};
