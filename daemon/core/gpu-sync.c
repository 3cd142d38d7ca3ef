/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/autostart.h"
#include "core/gpu-sync.h"
#include "core/idle-wait.h"
#include "core/incoming.h"
#include "core/state-transfer.h"
#include "core/manager.h"
#include "core/scan.h"
#include "core/operation-private.h"
#include "core/record.h"
#include "core/topology-auto.h"
#include "core/type.h"
#include "core/vfs-auto.h"
#include "core/vfs-change.h"
#include "core/vgpu.h"
#include "util/file.h"
#include "util/log.h"
#include "util/message-ids.h"
#include "util/text.h"

#define USEC_PER_MSEC UINT64_C(1000)

/* An mdev's uevents precede the link that proves it (kernel 6.12, drivers/vfio/mdev/mdev_core.c): look every 20 ms, for
 * two seconds. */
#define EXPECT_INTERVAL_USEC (20 * USEC_PER_MSEC)
#define EXPECT_TRIES 100U
#define EXPECTED_MAX 1024U

/* A GPU whose worker fails is read again after 1, 2, 4, 8 and 16 s, then at its next event or Refresh; one that another
 * process keeps for itself every 16 s, as nothing tells when that ends. */
#define FAILURE_INTERVAL_USEC (1000 * USEC_PER_MSEC)
#define FAILURES_MAX 5U

/* Anybody may ask for a refresh, and each costs the worker's time: so often at most, and none is lost. */
#define REFRESH_INTERVAL_USEC (100 * USEC_PER_MSEC)

typedef struct Expected {
        List link;
        char uuid[UUID_STRING_SIZE];
        unsigned tries;
} Expected;

static void gpu_start_sync(Gpu *gpu);
static void gpu_arm_expected(Gpu *gpu);

static void gpu_set_state(Gpu *gpu, GpuState state, const char *reason) {
        if (gpu->state == state && streq(gpu->reason, reason))
                return;

        gpu->state = state;
        (void)text_copy(gpu->reason, sizeof(gpu->reason), reason);
        if (gpu->linked)
                OBSERVE(gpu->manager, gpu_changed, gpu, GPU_CHANGED_STATE);
}

static bool replace_text(char *text, size_t size, const char *value) {
        if (streq(text, value))
                return false;

        (void)text_copy(text, size, value);
        return true;
}

static void apply_card(Gpu *gpu, const GpuReport *report) {
        char reason[sizeof(gpu->reason)];
        unsigned mask = 0;

        if (replace_text(gpu->driver, sizeof(gpu->driver), report->driver))
                mask |= GPU_CHANGED_DRIVER;
        if (replace_text(gpu->driver_version, sizeof(gpu->driver_version), report->driver_version))
                mask |= GPU_CHANGED_DRIVER;
        if (replace_text(gpu->backend, sizeof(gpu->backend), report->backend))
                mask |= GPU_CHANGED_DRIVER;
        if (replace_text(gpu->model, sizeof(gpu->model), report->model))
                mask |= GPU_CHANGED_IDENTITY;
        if (gpu->framebuffer_total != report->framebuffer_total) {
                gpu->framebuffer_total = report->framebuffer_total;
                mask |= GPU_CHANGED_IDENTITY;
        }
        gpu->framebuffer_used = report->framebuffer_used;
        if (gpu->pending_types != report->pending_types) {
                gpu->pending_types = report->pending_types;
                mask |= GPU_CHANGED_PENDING;
        }
        if ((gpu->max_vfs == 0) != (report->max_vfs == 0))
                mask |= GPU_CHANGED_SRIOV;
        else if (gpu->num_vfs != report->num_vfs || gpu->max_vfs != report->max_vfs)
                mask |= GPU_CHANGED_VFS;
        if ((gpu->mixed_size == MIXED_SIZE_NONE) != (report->mixed_size == MIXED_SIZE_NONE))
                mask |= GPU_CHANGED_MIXABLE;
        else if (gpu->mixed_size != report->mixed_size)
                mask |= GPU_CHANGED_MIXED;
        gpu->mixed_size = report->mixed_size;
        gpu->num_vfs = report->num_vfs;
        gpu->max_vfs = report->max_vfs;

        if (mask != 0 && gpu->linked)
                OBSERVE(gpu->manager, gpu_changed, gpu, mask);
        vfs_auto_explain(gpu, report, reason, sizeof(reason));
        gpu_set_state(gpu, report->state, reason);
}

static int apply_types(Gpu *gpu, const GpuReport *report) {
        Type *type;
        int r;

        LIST_FOREACH(type, &gpu->types, link)
                type->seen = false;

        for (size_t i = 0; i < report->n_types; i++) {
                type = gpu_find_type_by_id(gpu, report->types[i].id);
                if (type && type->seen) /* twice in one report: a worker that cannot be trusted */
                        continue;
                if (type)
                        type_update(type, &report->types[i]);
                else {
                        r = type_new(gpu, &report->types[i], &type);
                        if (r < 0)
                                return r;
                }
                type->seen = true;
        }

        LIST_FOREACH(type, &gpu->types, link)
                if (!type->seen)
                        type_free(type);

        return 0;
}

/* What our record says of a device, if it speaks of this one: a UUID can have been used again by somebody else. */
static bool read_record(const Gpu *gpu, const VGpuReport *report, Record *ret_record) {
        return record_read(gpu->manager->state_fd, report->uuid, ret_record) >= 0 &&
               streq(ret_record->gpu, gpu->identity.address) && streq(ret_record->type_id, report->type_id);
}

/* Made by us, and so is one whose maker was killed in the middle of it. */
static bool phase_is_made(RecordPhase phase) {
        return phase == RECORD_MADE || phase == RECORD_CREATING || phase == RECORD_BUILDING || phase == RECORD_DEFINING;
}

/* Started for what was to come into it, and not because it is defined: that does not come any more. */
static bool is_started_for(const Record *record) {
        return record->phase == RECORD_STARTING && record->lease != 0;
}

/* Half of what was asked for, and nobody was told that it is there. */
static bool is_half(const VGpu *vgpu, const Record *record) {
        return record->phase == RECORD_BUILDING || is_started_for(record) ||
               (record->phase == RECORD_DEFINING && !vgpu_is_as_defined(vgpu));
}

/* A device that we did not know: ours from before a restart if our record says so, else somebody else's. */
static void adopt_device(Gpu *gpu, VGpu *vgpu, const VGpuReport *report) {
        Record record;
        bool recorded = read_record(gpu, report, &record);
        bool ours = recorded && (phase_is_made(record.phase) || is_started_for(&record));

        vgpu->seen = true;
        vgpu_set_gpu(vgpu, gpu);
        vgpu_update(vgpu, report);
        vgpu_set_made(vgpu, ours);
        autostart_succeeded(vgpu);
        if (recorded && !vgpu->file)
                vgpu_set_label(vgpu, record.label);
        if (recorded && !vgpu->owner.known)
                vgpu_set_owner(vgpu, &record.owner);
        vgpu->unfinished = recorded && record.phase == RECORD_STARTING && !ours;
        if (ours && (record.lease != 0 || record.half))
                incoming_watch(vgpu, record.half ? incoming_now() : record.lease);
        vgpu->half = ours && record.half;
        (void)vgpu_rest(vgpu, NULL);
        if (recorded && record.saving)
                state_transfer_recover(vgpu);

        if (ours && is_half(vgpu, &record))
                operation_take_back(vgpu);
        else if (vgpu->unfinished)
                operation_finish_start(vgpu);
        else if (ours || vgpu->autostart)
                vgpu_write_record(vgpu, ours ? RECORD_MADE : RECORD_SEEN);
}

static int adopt_vgpu(Gpu *gpu, const VGpuReport *report) {
        VGpu *vgpu;
        int r;

        r = vgpu_new(gpu->manager, report->uuid, &vgpu);
        if (r >= 0)
                adopt_device(gpu, vgpu, report);
        return r;
}

/* One that we know: what is read of it replaces what we knew. */
static void renew_vgpu(Gpu *gpu, VGpu *vgpu, const VGpuReport *report) {
        bool renewed = !streq(vgpu->type_id, report->type_id);
        Record record = {};

        vgpu_update(vgpu, report);
        /* Removed and made again, of another type, between two readings: hardly by us. */
        if (renewed) {
                vgpu_set_made(vgpu, read_record(gpu, report, &record) && phase_is_made(record.phase));
                incoming_forget(vgpu);
                if (!vgpu->file)
                        vgpu_set_owner(vgpu, &record.owner);
        }
        if (vgpu->state == VGPU_REMOVING) /* it was made again */
                (void)vgpu_rest(vgpu, NULL);
}

static int apply_vgpu(Gpu *gpu, const VGpuReport *report) {
        VGpu *vgpu = MAP_FIND(&gpu->manager->vgpus, report->uuid, VGpu, node);

        if (!vgpu)
                return adopt_vgpu(gpu, report);

        if (!vgpu->present && vgpu->operation && operation_leaves_device(vgpu->operation)) {
                vgpu->overlooked = true;
                return 0;
        }

        if (!vgpu->present && !vgpu->operation && !vgpu->doubtful) {
                /* Defined, and somebody has started it. */
                adopt_device(gpu, vgpu, report);
                return 0;
        }

        if (vgpu->gpu != gpu) {
                /* It moved: gone over there, made here. The other GPU drops it at its next reading, or when its removal
                 * ends, and that has this one read again. */
                vgpu->elsewhere = true;
                if (vgpu->gpu)
                        gpu_mark_dirty(vgpu->gpu, /* may_register= */ false);
                return 0;
        }

        if (vgpu->seen) /* twice in one report */
                return 0;

        vgpu->seen = true;
        if (vgpu->doubtful)
                vgpu_update(vgpu, report);
        else if (!vgpu->operation)
                renew_vgpu(gpu, vgpu, report);
        return 0;
}

void gpu_mark_all_dirty(Manager *manager) {
        Gpu *gpu;

        LIST_FOREACH(gpu, &manager->gpus, link)
                gpu_mark_dirty(gpu, /* may_register= */ false);
}

/* What a worker that died left behind, if anything. */
static void settle_doubtful(Gpu *gpu, VGpu *vgpu) {
        VGpuReport report = {};
        Record record;

        vgpu->doubtful = false;
        if (!vgpu->seen) {
                vgpu_device_gone(vgpu, VGPU_END_UNDONE);
                return;
        }

        (void)text_copy(report.uuid, sizeof(report.uuid), vgpu->uuid);
        (void)text_copy(report.type_id, sizeof(report.type_id), vgpu->type_id);
        if (!read_record(gpu, &report, &record))
                record.phase = RECORD_PHASE_INVALID;
        if (record.phase == RECORD_STARTING) {
                autostart_succeeded(vgpu);
                vgpu->unfinished = true;
                (void)vgpu_rest(vgpu, NULL);
                operation_finish_start(vgpu);
        } else if (record.phase >= 0 && phase_is_made(record.phase))
                operation_take_back(vgpu);
        else { /* somebody else made one with this UUID meanwhile */
                record_remove(vgpu->manager->state_fd, vgpu->uuid);
                (void)vgpu_rest(vgpu, NULL);
        }
}

/* It is not listed any more: gone, or somebody else removes it and it is held. */
static void lose_vgpu(VGpu *vgpu) {
        if (vgpu_lingers(vgpu)) {
                vgpu->lingers = true;
                (void)vgpu_rest(vgpu, "somebody else removes it, and whoever holds it has not let go yet");
                return;
        }

        /* When a parent goes it is no parent any more before its vGPUs go, one after the other. */
        if (vgpu_is_listed(vgpu)) {
                gpu_refresh(vgpu->gpu);
                return;
        }

        log_full(vgpu->managed ? LOG_NOTICE : LOG_DEBUG,
                 LOG_FIELDS("MESSAGE_ID", MESSAGE_VGPU_LOST, "MDEVGPU_GPU", vgpu->gpu->identity.address, "MDEVGPU_VGPU",
                            vgpu->uuid, "MDEVGPU_TYPE", vgpu->type_id),
                 "vGPU %s has gone from GPU %s, and was not asked to", vgpu->uuid, vgpu->gpu->identity.address);
        vgpu_device_gone(vgpu, VGPU_END_VANISHED);
}

static int apply_vgpus(Gpu *gpu, const GpuReport *report) {
        VGpu *vgpu;
        int r;

        LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link)
                vgpu->seen = false;

        for (size_t i = 0; i < report->n_vgpus; i++) {
                r = apply_vgpu(gpu, &report->vgpus[i]);
                if (r < 0)
                        return r;
        }

        /* What an operation works on stays until that ends, whatever is read meanwhile. */
        LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link)
                if (vgpu->doubtful)
                        settle_doubtful(gpu, vgpu);
                else if (!vgpu->seen && vgpu->present && !vgpu->operation)
                        lose_vgpu(vgpu);
                else if (!vgpu->seen && vgpu->present && operation_leaves_device(vgpu->operation))
                        vgpu->overlooked = true;

        return 0;
}

static int gpu_apply_report(Gpu *gpu, const GpuReport *report) {
        int r;

        r = apply_types(gpu, report);
        gpu->applying = true;
        if (r >= 0)
                r = apply_vgpus(gpu, report);
        gpu->applying = false;
        gpu->manager->scanned_parent[0] = '\0';
        /* The state is last: who sees it become ready sees the types as well. */
        if (r >= 0)
                apply_card(gpu, report);

        return r;
}

static bool mdev_is_complete(const Host *host, const char *uuid) {
        char path[128];

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s/mdev_type", uuid);
        return path_exists(host->sys_fd, path);
}

/* Devices that were announced before they were complete: read when one is, give up on what went or never comes. */
static bool check_expected(Gpu *gpu) {
        bool complete = false;
        Expected *expected;

        LIST_FOREACH(expected, &gpu->expected, link) {
                if (mdev_is_complete(gpu->manager->host, expected->uuid))
                        complete = true;
                else if (++expected->tries < EXPECT_TRIES)
                        continue;

                list_unlink(&expected->link);
                gpu->n_expected--;
                free(expected);
        }

        return complete;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Gpu *gpu = userdata;

        gpu->retry = sd_event_source_disable_unref(gpu->retry);
        if (gpu->n_failures > 0)
                gpu_mark_dirty(gpu, /* may_register= */ true);

        return 0;
}

static int on_expecting(sd_event_source *source, uint64_t usec, void *userdata) {
        Gpu *gpu = userdata;

        gpu->expecting = sd_event_source_disable_unref(gpu->expecting);
        if (check_expected(gpu))
                gpu_mark_dirty(gpu, /* may_register= */ false);
        gpu_arm_expected(gpu);

        return 0;
}

static void gpu_arm(Gpu *gpu, sd_event_source **timer, uint64_t usec, sd_event_time_handler_t handler) {
        int r;

        if (*timer)
                return;

        r = sd_event_add_time_relative(gpu->manager->event, timer, CLOCK_MONOTONIC, usec, 0, handler, gpu);
        if (r < 0)
                log_debug("GPU %s: cannot arm a timer: %s", gpu->identity.address, strerror(-r));
}

static void gpu_arm_expected(Gpu *gpu) {
        if (!list_is_empty(&gpu->expected))
                gpu_arm(gpu, &gpu->expecting, EXPECT_INTERVAL_USEC, on_expecting);
}

static int on_refreshed(sd_event_source *source, uint64_t usec, void *userdata) {
        Gpu *gpu = userdata;

        gpu->refresh = sd_event_source_disable_unref(gpu->refresh);
        if (gpu->refresh_owed)
                gpu_refresh(gpu);

        return 0;
}

void gpu_refresh(Gpu *gpu) {
        gpu->refresh_owed = !!gpu->refresh;
        if (gpu->refresh_owed)
                return;

        gpu_mark_dirty(gpu, /* may_register= */ false);
        gpu_arm(gpu, &gpu->refresh, REFRESH_INTERVAL_USEC, on_refreshed);
}

static void gpu_fail(Gpu *gpu, int code, const char *reason) {
        gpu_set_state(gpu, GPU_FAILED, reason);
        if (gpu->retry || (gpu->n_failures >= FAILURES_MAX && code != -ERROR_BUSY))
                return;

        gpu_arm(gpu, &gpu->retry, FAILURE_INTERVAL_USEC << MIN(gpu->n_failures, FAILURES_MAX - 1), on_retry);
        gpu->n_failures++;
}

static void on_sync_done(JobResult *result, void *userdata) {
        Gpu *gpu = userdata;
        int r;

        gpu->sync = NULL;
        if (gpu->sync_stuck)
                gpu->stuck_pid = 0;
        gpu->sync_stuck = false;

        if (gpu->stuck_pid > 0 || gpu->stale)
                /* It never began, as the worker is stuck in an operation, whose end has it read again; or what it read is
                 * not so any more, which goes for a driver's refusal to change its types as well. */
                gpu->dirty = gpu->dirty_register = true;
        else if (result->error.code < 0)
                gpu_fail(gpu, result->error.code, result->error.message);
        else {
                r = gpu_apply_report(gpu, &result->report);
                if (r < 0)
                        gpu_fail(gpu, r, strerror(-r));
                else {
                        gpu->n_failures = 0;
                        gpu->binding = gpu->sync_binding;
                        manager_place_vgpus(gpu->manager);
                        autostart_check(gpu);
                        vfs_auto_check(gpu);
                        topology_auto_check(gpu->manager);
                }
        }

        gpu->stale = false;
        /* What made it dirty may be that the vGPU went for which types had to wait. */
        gpu->dirty_register = gpu->dirty_register || gpu->pending_types;
        if (gpu->dirty)
                gpu_start_sync(gpu);
        vfs_change_gpu_read(gpu);
        idle_wait_check(gpu->manager);
}

static void on_sync_timeout(pid_t pid, void *userdata) {
        Gpu *gpu = userdata;

        gpu->sync_stuck = true;
        gpu_set_stuck(gpu, pid);
        vfs_change_gpu_read(gpu);
        idle_wait_check(gpu->manager);
}

/* What the host's settings say of all types. */
static void add_settings(const Settings *settings, TypeSpec *types, size_t n_types) {
        for (size_t i = 0; settings && i < n_types; i++) {
                types[i].nvidia_newer = types[i].nvidia_newer || settings->nvidia_newer;
                types[i].nvidia_legacy = settings->nvidia_legacy;
        }
}

static void gpu_start_sync(Gpu *gpu) {
        const JobListener listener = { .timeout = on_sync_timeout, .done = on_sync_done, .userdata = gpu };
        Manager *manager = gpu->manager;
        _cleanup_(freep) TypeSpec *types = NULL;
        char reason[REASON_SIZE];
        size_t n_types = 0;
        Job job;
        int r;

        if (gpu->sync)
                return;

        r = manager->profiles ? profile_set_select(manager->profiles, &gpu->identity, &types, &n_types) : 0;
        if (n_types > REPORT_TYPES_MAX) {
                (void)snprintf(reason, sizeof(reason),
                               "profiles state %zu types for it, and %u are the most there can be", n_types,
                               REPORT_TYPES_MAX);
                gpu_fail(gpu, -E2BIG, reason);
                return;
        }
        gpu->sync_binding = scan_binding(manager->host, gpu->identity.address);
        if (r >= 0) {
                add_settings(manager->settings, types, n_types);
                job = (Job){
                        .kind = JOB_SYNC,
                        /* Without a good configuration nobody knows what should be registered: leave it alone. */
                        .may_register = gpu->dirty_register && manager->profiles,
                        .apply_pending = gpu->apply_pending,
                        .types = types,
                        .n_types = n_types,
                };
                r = manager->platform->ops->submit(manager->platform, gpu->identity.address, &job, &listener,
                                                   &gpu->sync);
        }
        if (r == -EBUSY && gpu->stuck_pid > 0) /* in an operation: its end marks the GPU dirty */
                return;
        if (r < 0) {
                gpu_fail(gpu, r,
                         r == -EBUSY    ? "its last worker process has not ended yet"
                         : r == -EDQUOT ? "too many operations wait for it"
                                        : strerrordesc_np(-r));
                return;
        }

        gpu->dirty = gpu->dirty_register = gpu->apply_pending = false;
}

void gpu_mark_dirty(Gpu *gpu, bool may_register) {
        gpu->dirty = true;
        gpu->dirty_register = gpu->dirty_register || may_register;
        gpu_start_sync(gpu);
}

void gpu_expect(Gpu *gpu, const char *uuid) {
        Expected *expected;

        LIST_FOREACH(expected, &gpu->expected, link)
                if (streq(expected->uuid, uuid))
                        return;

        if (mdev_is_complete(gpu->manager->host, uuid)) {
                gpu_mark_dirty(gpu, /* may_register= */ false);
                return;
        }

        /* More than anybody makes in two seconds: then the next reading has to do. */
        expected = gpu->n_expected < EXPECTED_MAX ? calloc(1, sizeof(Expected)) : NULL;
        if (!expected) {
                gpu_mark_dirty(gpu, /* may_register= */ false);
                return;
        }

        (void)text_copy(expected->uuid, sizeof(expected->uuid), uuid);
        list_append(&gpu->expected, &expected->link);
        gpu->n_expected++;
        gpu_arm_expected(gpu);
}

void gpu_set_stuck(Gpu *gpu, pid_t pid) {
        char reason[REASON_SIZE];

        gpu->stuck_pid = pid;
        (void)snprintf(
                reason, sizeof(reason),
                "worker process %i is stuck in the kernel or its driver; this GPU is served again when it returns",
                (int)pid);
        gpu_set_state(gpu, GPU_BUSY, reason);
}

void gpu_sync_stop(Gpu *gpu) {
        Expected *expected;

        if (gpu->sync)
                gpu->manager->platform->ops->forget(gpu->manager->platform, gpu->sync);
        gpu->sync = NULL;
        gpu->retry = sd_event_source_disable_unref(gpu->retry);
        gpu->expecting = sd_event_source_disable_unref(gpu->expecting);
        gpu->refresh = sd_event_source_disable_unref(gpu->refresh);
        vfs_auto_stop(gpu);

        LIST_FOREACH(expected, &gpu->expected, link) {
                list_unlink(&expected->link);
                free(expected);
        }
        gpu->n_expected = 0;
}
