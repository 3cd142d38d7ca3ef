/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu-sync.h"
#include "core/gpu.h"
#include "core/idle-wait.h"
#include "core/manager.h"
#include "core/operation-private.h"
#include "core/record.h"
#include "core/scan.h"
#include "core/vgpu.h"
#include "util/log.h"
#include "util/text.h"

static void on_worker_lost(const char *gpu, void *userdata) {
        Gpu *found = manager_find_gpu(userdata, gpu);

        if (found)
                gpu_mark_dirty(found, /* may_register= */ true);
}

int manager_new(const ManagerParameters *parameters, Manager **ret_manager) {
        Manager *manager;

        manager = calloc(1, sizeof(Manager));
        if (!manager)
                return -ENOMEM;

        manager->event = sd_event_ref(parameters->event);
        manager->platform = parameters->platform;
        manager->platform->lost = on_worker_lost;
        manager->platform->userdata = manager;
        manager->host = parameters->host;
        manager->state_fd = parameters->state_fd;
        manager->observer = parameters->observer;
        manager->name_lookup = parameters->name_lookup;
        manager->name_lookup_userdata = parameters->name_lookup_userdata;
        list_init(&manager->gpus);
        list_init(&manager->operations);
        list_init(&manager->idle_waits);

        *ret_manager = manager;
        return 0;
}

/* Its operations have ended. */
static void release_gpu(Gpu *gpu) {
        Platform *platform = gpu->manager->platform;

        gpu_unlink(gpu);
        gpu_sync_stop(gpu);
        platform->ops->release_gpu(platform, gpu->identity.address);
        gpu_free(gpu);
}

/* It has gone, its vGPUs with it, and whatever was going on. */
static void remove_gpu(Gpu *gpu) {
        Manager *manager = gpu->manager;
        VGpu *vgpu;

        LIST_FOREACH(vgpu, &gpu->vgpus, link) {
                if (vgpu->operation)
                        operation_end_gone(vgpu->operation);
                gpu_drop_vgpu(vgpu);
        }

        release_gpu(gpu);
        idle_wait_check(manager);
}

Manager *manager_free(Manager *manager) {
        Gpu *gpu;

        if (!manager)
                return NULL;

        /* What was begun ends without us; a successor reads what came of it. */
        manager->observer = (Observer){};
        manager->platform->lost = NULL;
        LIST_FOREACH(gpu, &manager->gpus, link) {
                VGpu *vgpu;

                LIST_FOREACH(vgpu, &gpu->vgpus, link)
                        if (vgpu->operation)
                                operation_end_shutdown(vgpu->operation);
                release_gpu(gpu);
        }

        idle_wait_free_all(manager);
        assert(list_is_empty(&manager->operations));
        map_done(&manager->gpus_by_address);
        map_done(&manager->vgpus);
        profile_set_free(manager->profiles);
        sd_event_unref(manager->event);
        free(manager);
        return NULL;
}

void manager_set_profiles(Manager *manager, ProfileSet *set) {
        Gpu *gpu;

        profile_set_free(manager->profiles);
        manager->profiles = set;
        LIST_FOREACH(gpu, &manager->gpus, link)
                gpu_mark_dirty(gpu, /* may_register= */ true);
}

Gpu *manager_find_gpu(const Manager *manager, const char *address) {
        return MAP_FIND(&manager->gpus_by_address, address, Gpu, node);
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
        }

        gpu->seen = true;
        gpu_mark_dirty(gpu, /* may_register= */ true);
        return 0;
}

static void handle_device(Manager *manager, const char *name) {
        char address[SYSFS_NAME_SIZE];
        GpuIdentity identity;
        Gpu *gpu;
        int r;

        r = scan_resolve(manager->host, name, address);
        if (r < 0)
                (void)text_copy(address, sizeof(address), name);

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

                LIST_FOREACH(vgpu, &gpu->vgpus, link)
                        if (streq(vgpu->parent, name)) {
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
        gpu = vgpu ? vgpu->gpu : find_gpu_by_devpath(manager, uevent->devpath, 0);
        if (!gpu)
                return;

        if (uevent->action == UEVENT_REMOVE) {
                /* One that we do not know may be in what is being read right now. */
                if (vgpu ? vgpu->state == VGPU_ACTIVE : !!gpu->sync)
                        gpu_mark_dirty(gpu, /* may_register= */ gpu->pending_types);
                return;
        }

        /* One that we know is one that we made or read: its link was there. */
        if (!vgpu && (uevent->action == UEVENT_ADD || uevent->action == UEVENT_BIND))
                gpu_expect(gpu, uuid);
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

static int on_scanned(const GpuIdentity *identity, void *userdata) {
        return add_gpu(userdata, identity);
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

bool manager_is_settled(const Manager *manager) {
        Gpu *gpu;

        LIST_FOREACH(gpu, &manager->gpus, link)
                if (gpu->state == GPU_PROBING)
                        return false;

        return true;
}

static bool record_is_needed(const char *uuid, void *userdata) {
        const Manager *manager = userdata;

        return MAP_FIND(&manager->vgpus, uuid, VGpu, node);
}

void manager_prune_records(Manager *manager) {
        Gpu *gpu;

        /* What a stuck or unreadable GPU has is not known. */
        LIST_FOREACH(gpu, &manager->gpus, link)
                if (gpu->state == GPU_BUSY || gpu->state == GPU_FAILED || gpu->state == GPU_PROBING)
                        return;

        record_prune(manager->state_fd, record_is_needed, manager);
}
