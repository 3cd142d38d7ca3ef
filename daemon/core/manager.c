/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/autostart.h"
#include "core/gpu-sync.h"
#include "core/gpu.h"
#include "core/idle-wait.h"
#include "core/incoming.h"
#include "core/manager.h"
#include "core/migration-query.h"
#include "core/notes.h"
#include "core/operation-private.h"
#include "core/record.h"
#include "core/scan.h"
#include "core/start-hold.h"
#include "core/state-transfer.h"
#include "core/states-query.h"
#include "core/task.h"
#include "core/topology-apply.h"
#include "core/topology-auto.h"
#include "core/usage-query.h"
#include "core/vfs-change.h"
#include "core/vgpu.h"
#include "util/log.h"
#include "util/text.h"

static void on_worker_lost(const char *gpu, void *userdata) {
        Gpu *found = manager_find_gpu(userdata, gpu);

        if (found)
                gpu_mark_dirty(found, /* may_register= */ true);
}

static void on_worker_heard(const char *gpu, const WorkerEvent *event, void *userdata) {
        Manager *manager = userdata;
        Gpu *found = manager_find_gpu(manager, gpu);
        VGpu *vgpu = MAP_FIND(&manager->vgpus, event->uuid, VGpu, node);

        if (!found)
                return;
        if (vgpu && vgpu->gpu != found) /* not its to speak of */
                vgpu = NULL;

        switch (event->kind) {
        case WORKER_EVENT_USE:
                if (vgpu && vgpu->present)
                        vgpu_set_use(vgpu, event->use);
                break;
        case WORKER_EVENT_ERROR:
                manager->statistics.n_device_errors++;
                OBSERVE(manager, device_error, found, vgpu && vgpu->linked ? vgpu : NULL, event->code, event->text);
                break;
        default:
                /* Not as often as somebody may be able to have it said: whoever opens NVIDIA's program makes one. */
                found->dirty_register = true;
                gpu_refresh(found);
                break;
        }
}

int manager_new(const ManagerParameters *parameters, Manager **ret_manager) {
        Manager *manager;
        int r;

        manager = calloc(1, sizeof(Manager));
        if (!manager)
                return -ENOMEM;

        manager->event = sd_event_ref(parameters->event);
        manager->platform = parameters->platform;
        manager->platform->lost = on_worker_lost;
        manager->platform->heard = on_worker_heard;
        manager->platform->userdata = manager;
        manager->host = parameters->host;
        manager->state_fd = parameters->state_fd;
        manager->observer = parameters->observer;
        manager->name_lookup = parameters->name_lookup;
        manager->name_lookup_userdata = parameters->name_lookup_userdata;
        list_init(&manager->gpus);
        list_init(&manager->all_vgpus);
        list_init(&manager->forgotten);
        list_init(&manager->operations);
        list_init(&manager->idle_waits);
        list_init(&manager->migration_queries);
        list_init(&manager->migration_looks);
        list_init(&manager->start_holds);
        list_init(&manager->state_transfers);
        list_init(&manager->states_work);
        list_init(&manager->tasks);
        list_init(&manager->vfs_changes);
        statistics_init(&manager->statistics);

        r = definition_files_new(manager, VGPU_MDEV, &manager->mdev_definitions);
        if (r >= 0)
                r = definition_files_new(manager, VGPU_WHOLE, &manager->own_definitions);
        if (r < 0) {
                definition_files_free(manager->mdev_definitions);
                sd_event_unref(manager->event);
                free(manager);
                return r;
        }

        *ret_manager = manager;
        return 0;
}

/* Its operations have ended. */
static void release_gpu(Gpu *gpu) {
        Platform *platform = gpu->manager->platform;

        vfs_change_gpu_gone(gpu);
        usage_gpu_gone(gpu);
        migration_query_gpu_gone(gpu);
        state_transfers_gpu_gone(gpu);
        gpu_unlink(gpu);
        gpu_sync_stop(gpu);
        platform->ops->release_gpu(platform, gpu->identity.address);
        gpu_free(gpu);
}

/* It has gone, its vGPUs' devices with it, and whatever was going on there. What is defined for it stays. */
static void remove_gpu(Gpu *gpu) {
        Manager *manager = gpu->manager;
        VGpu *vgpu;

        gpu->leaving = true;
        LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link) {
                if (vgpu->operation)
                        operation_gpu_gone(vgpu->operation);
                if (vgpu->operation) { /* its definition is being written */
                        vgpu->present = vgpu->made = vgpu->lingers = vgpu->elsewhere = vgpu->doubtful = false;
                        incoming_forget(vgpu);
                        record_remove(manager->state_fd, vgpu->uuid);
                        vgpu_set_gpu(vgpu, NULL);
                } else
                        vgpu_device_gone(vgpu, VGPU_END_GPU_LEFT);
        }

        release_gpu(gpu);
        idle_wait_check(manager);
        topology_auto_check(manager);
}

Manager *manager_free(Manager *manager) {
        VGpu *vgpu;
        Task *task;
        Gpu *gpu;

        if (!manager)
                return NULL;

        /* What was begun ends without us; a successor reads what came of it. */
        manager->observer = (Observer){};
        manager->platform->lost = NULL;
        manager->platform->heard = NULL;
        state_transfers_end(manager);
        states_queries_end(manager);
        topology_auto_end(manager);
        topology_apply_free(manager->topology_apply);
        notes_free(manager);
        definition_files_free(manager->mdev_definitions);
        definition_files_free(manager->own_definitions);
        LIST_FOREACH(vgpu, &manager->all_vgpus, link) {
                if (vgpu->operation)
                        operation_end_shutdown(vgpu->operation);
                vgpu->linked = false;
                vgpu_free(vgpu);
        }
        LIST_FOREACH(gpu, &manager->gpus, link)
                release_gpu(gpu);
        LIST_FOREACH(task, &manager->tasks, link) /* after the GPUs, whose changes tell them of their end */
                task_free(task);

        idle_wait_free_all(manager);
        start_hold_end_all(manager);
        assert(list_is_empty(&manager->operations));
        map_done(&manager->gpus_by_address);
        map_done(&manager->vgpus);
        profile_set_free(manager->profiles);
        topology_set_free(manager->topologies);
        settings_free(manager->settings);
        sd_event_unref(manager->event);
        free(manager);
        return NULL;
}

void manager_set_profiles(Manager *manager, ProfileSet *set) {
        Gpu *gpu;

        profile_set_free(manager->profiles);
        manager->profiles = set;
        LIST_FOREACH(gpu, &manager->gpus, link) {
                gpu->apply_pending = true;
                gpu_mark_dirty(gpu, /* may_register= */ true);
        }
}

void manager_set_settings(Manager *manager, Settings *settings) {
        settings_free(manager->settings);
        manager->settings = settings;
        manager->rules = settings->rules;
}

void manager_set_topologies(Manager *manager, TopologySet *set) {
        topology_set_free(manager->topologies);
        manager->topologies = set;
        manager->placement = set->policy.placement;
}

Gpu *manager_find_gpu(const Manager *manager, const char *address) {
        return MAP_FIND(&manager->gpus_by_address, address, Gpu, node);
}

Gpu *manager_find_gpu_of(const Manager *manager, const char *parent) {
        char address[SYSFS_NAME_SIZE];

        Gpu *gpu;

        /* One that is no PCI device, or is not there, is found by its own name. */
        gpu = manager_find_gpu(manager, scan_resolve(manager->host, parent, address) < 0 ? parent : address);
        return gpu && !gpu->leaving ? gpu : NULL;
}

/* A device has come for which something is defined. */
void manager_place_vgpus(Manager *manager) {
        VGpu *vgpu;

        LIST_FOREACH(vgpu, &manager->all_vgpus, link)
                if (!vgpu->gpu && vgpu->file)
                        vgpu_set_gpu(vgpu, manager_find_gpu_of(manager, vgpu->file->definition.parent));
}

VGpu *manager_find_vgpu(const Manager *manager, const char *uuid) {
        char lower[UUID_STRING_SIZE];
        VGpu *vgpu;

        if (text_parse_uuid(uuid, lower) < 0)
                return NULL;

        vgpu = MAP_FIND(&manager->vgpus, lower, VGpu, node);
        return vgpu && vgpu->linked ? vgpu : NULL;
}

static bool identity_equal(const GpuIdentity *a, const GpuIdentity *b) {
        return streq(a->address, b->address) && a->pci == b->pci && a->vendor == b->vendor && a->device == b->device &&
               a->subsystem_vendor == b->subsystem_vendor && a->subsystem_device == b->subsystem_device &&
               a->class == b->class;
}

/* There is such a GPU: show it if it is new, read it again in any case. */
static int add_gpu(Manager *manager, const GpuIdentity *identity) {
        Gpu *gpu = manager_find_gpu(manager, identity->address);
        int r;

        if (gpu && !identity_equal(&gpu->identity, identity)) {
                log_debug("GPU %s is another card than before", identity->address);
                remove_gpu(gpu);
                gpu = NULL;
        }

        if (!gpu) {
                r = gpu_new(manager, identity, &gpu);
                if (r < 0)
                        return r;
                gpu_link(gpu);
                manager_place_vgpus(manager);
        }

        gpu->seen = true;
        gpu_mark_dirty(gpu, /* may_register= */ true);
        return 0;
}

/* The card whose virtual function a device is that does not say so yet: it is announced before it does (kernel 6.12,
 * drivers/pci/iov.c), and once more then. */
static Gpu *find_card_of(const Manager *manager, const char *name) {
        Gpu *gpu;

        LIST_FOREACH(gpu, &manager->gpus, link)
                if (gpu->max_vfs > 0 && !streq(gpu->identity.address, name) &&
                    scan_is_vf_of(manager->host, name, gpu->identity.address))
                        return gpu;

        return NULL;
}

static void handle_device(Manager *manager, const char *name) {
        char address[SYSFS_NAME_SIZE];
        GpuIdentity identity;
        Gpu *gpu;
        int r;

        r = scan_resolve(manager->host, name, address);
        if (r < 0)
                (void)text_copy(address, sizeof(address), name);

        gpu = streq(address, name) && !manager_find_gpu(manager, name) ? find_card_of(manager, name) : NULL;
        if (gpu) {
                gpu_mark_dirty(gpu, /* may_register= */ true);
                return;
        }

        /* It was announced before it said whose virtual function it is, and its card was not known: no GPU after all. */
        gpu = streq(address, name) ? NULL : manager_find_gpu(manager, name);
        if (gpu)
                remove_gpu(gpu);

        if (scan_identify(manager->host, address, &identity) > 0) {
                r = add_gpu(manager, &identity);
                if (r < 0)
                        log_debug("GPU %s cannot be taken up: %s", address, strerror(-r));
                return;
        }

        gpu = manager_find_gpu(manager, address);
        if (gpu)
                remove_gpu(gpu);
}

/* A virtual function that went cannot be asked any more whose it was; the vGPUs on it know. */
static void handle_vf_removal(Manager *manager, const char *name) {
        Gpu *gpu;

        LIST_FOREACH(gpu, &manager->gpus, link) {
                VGpu *vgpu;

                LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link)
                        if (vgpu->present && streq(vgpu->parent, name)) {
                                gpu_mark_dirty(gpu, /* may_register= */ false);
                                return;
                        }
        }
}

/* The GPU in whose folder a device lies: devpath is /devices/…/PARENT/…, and levels up is the parent. */
static Gpu *find_gpu_by_devpath(Manager *manager, const char *devpath, unsigned levels) {
        char path[4096], address[SYSFS_NAME_SIZE], *slash;

        if (!text_copy(path, sizeof(path), devpath))
                return NULL;

        do {
                slash = strrchr(path, '/');
                if (!slash)
                        return NULL;
                *slash = '\0';
        } while (levels-- > 0);

        slash = strrchr(path, '/');
        if (!slash)
                return NULL;

        /* After the parent's own removal it cannot be resolved; its name still finds it if it is the GPU itself. */
        if (scan_resolve(manager->host, slash + 1, address) < 0)
                return manager_find_gpu(manager, slash + 1);

        return manager_find_gpu(manager, address);
}

static void handle_mdev(Manager *manager, const Uevent *uevent) {
        char uuid[UUID_STRING_SIZE];
        VGpu *vgpu;
        Gpu *gpu;

        if (text_parse_uuid(uevent->name, uuid) < 0)
                return;

        vgpu = MAP_FIND(&manager->vgpus, uuid, VGpu, node);
        gpu = vgpu && vgpu->present ? vgpu->gpu : find_gpu_by_devpath(manager, uevent->devpath, 0);
        if (!gpu)
                return;

        if (uevent->action == UEVENT_REMOVE) {
                if (vgpu && vgpu->present && vgpu->operation)
                        vgpu->overlooked = vgpu->overlooked || operation_leaves_device(vgpu->operation);
                /* One that we do not know may be in what is being read right now. */
                else if ((vgpu && vgpu->present) || gpu->sync)
                        gpu_mark_dirty(gpu, /* may_register= */ gpu->pending_types);
                return;
        }

        if (uevent->action != UEVENT_ADD && uevent->action != UEVENT_BIND)
                return;
        /* One that exists is one that we made or read: its link was there. Unless it has gone, and is made anew elsewhere. */
        if (vgpu && vgpu->present) {
                gpu = find_gpu_by_devpath(manager, uevent->devpath, 0);
                if (gpu && !vgpu->operation && !vgpu_is_listed(vgpu))
                        gpu_expect(gpu, uuid);
                return;
        }
        if (!vgpu || !vgpu->operation)
                gpu_expect(gpu, uuid);
        else
                vgpu->overlooked = vgpu->overlooked || operation_leaves_device(vgpu->operation);
}

void manager_handle_uevent(Manager *manager, const Uevent *uevent) {
        Gpu *gpu;

        if (uevent->action == UEVENT_OTHER)
                return;

        switch (uevent->subsystem) {
        case UEVENT_MDEV:
                handle_mdev(manager, uevent);
                break;
        case UEVENT_MDEVGPU:
                /* …/0000:41:00.0/mdevgpu/gpu0 */
                gpu = find_gpu_by_devpath(manager, uevent->devpath, 1);
                if (gpu)
                        gpu_mark_dirty(gpu, /* may_register= */ true);
                break;
        case UEVENT_PCI:
        case UEVENT_PARENT:
                if (uevent->action == UEVENT_REMOVE)
                        handle_vf_removal(manager, uevent->name);
                handle_device(manager, uevent->name);
                break;
        default:
                break;
        }
}

/* A card that is a parent as well is met twice. Read once is enough: what changes from now on is announced. */
static int on_scanned(const GpuIdentity *identity, void *userdata) {
        const Gpu *gpu = manager_find_gpu(userdata, identity->address);

        return gpu && gpu->seen && identity_equal(&gpu->identity, identity) ? 0 : add_gpu(userdata, identity);
}

int manager_scan(Manager *manager) {
        Gpu *gpu;
        int r;

        LIST_FOREACH(gpu, &manager->gpus, link)
                gpu->seen = false;

        r = scan_gpus(manager->host, on_scanned, manager);
        if (r < 0)
                return r;

        LIST_FOREACH(gpu, &manager->gpus, link)
                if (!gpu->seen)
                        remove_gpu(gpu);

        return 0;
}

DefinitionFiles *manager_get_definitions(const Manager *manager, VGpuKind kind) {
        return kind == VGPU_MDEV ? manager->mdev_definitions : manager->own_definitions;
}

void manager_read_definitions(Manager *manager) {
        int r, k;

        r = definition_files_read_all(manager->mdev_definitions);
        k = definition_files_read_all(manager->own_definitions);
        if (definition_files_has_workshop(manager->mdev_definitions) ||
            definition_files_has_workshop(manager->own_definitions))
                notes_clean(manager);
        if (r >= 0 && k >= 0)
                notes_prune(manager);
        manager->started = true;
}

bool manager_is_settled(const Manager *manager) {
        Gpu *gpu;

        if (autostart_is_pending(manager) || vfs_change_is_pending(manager))
                return false;

        LIST_FOREACH(gpu, &manager->gpus, link)
                if (gpu->state == GPU_PROBING || gpu->vfs_retry)
                        return false;

        return true;
}

bool manager_adopt_lingering(Manager *manager, const char *uuid, VGpu *vgpu) {
        VGpuReport report = {};
        Record record;
        Gpu *gpu;

        if (record_read(manager->state_fd, uuid, &record) < 0 || record.iommu_group < 0)
                return false;
        gpu = manager_find_gpu(manager, record.gpu);
        if (!gpu || !vgpu_uuid_lingers(manager->host, uuid, record.iommu_group))
                return false;
        if (!vgpu && vgpu_new(manager, uuid, &vgpu) < 0)
                return false;

        (void)text_copy(report.type_id, sizeof(report.type_id), record.type_id);
        (void)text_copy(report.parent, sizeof(report.parent), record.gpu);
        report.iommu_group = record.iommu_group;
        vgpu_set_gpu(vgpu, gpu);
        vgpu_update(vgpu, &report);
        vgpu_set_made(vgpu, record.phase == RECORD_MADE);
        vgpu_set_owner(vgpu, &record.owner);
        vgpu->lingers = true;
        (void)vgpu_rest(vgpu, "its removal waits in the kernel until whoever holds it lets go");
        return true;
}

static bool record_is_needed(const char *uuid, void *userdata) {
        Manager *manager = userdata;
        VGpu *vgpu = MAP_FIND(&manager->vgpus, uuid, VGpu, node);

        if (vgpu && (vgpu->present || vgpu->operation || vgpu->doubtful))
                return true;

        return manager_adopt_lingering(manager, uuid, vgpu) || (vgpu && vgpu->autostart);
}

bool manager_prune_records(Manager *manager) {
        Gpu *gpu;

        /* What a stuck or unreadable GPU has is not known. */
        LIST_FOREACH(gpu, &manager->gpus, link)
                if (gpu->state == GPU_BUSY || gpu->state == GPU_FAILED || gpu->state == GPU_PROBING)
                        return false;

        record_prune(manager->state_fd, record_is_needed, manager);
        return true;
}
