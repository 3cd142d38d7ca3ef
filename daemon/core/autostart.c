/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/autostart.h"
#include "core/definition-files.h"
#include "core/gpu.h"
#include "core/manager.h"
#include "core/operation-private.h"
#include "core/scan.h"
#include "core/type.h"
#include "util/log.h"
#include "util/message-ids.h"

/* Tries: at once, then after 1, 2, 4 and 8 s; a driver that is still coming up has had its time by then. */
#define STARTS_MAX 5U
#define RETRY_INTERVAL_USEC UINT64_C(1000000)

/* When a driver goes its vGPUs go first: only after this it is clear that somebody removed just the one. */
#define VANISHED_INTERVAL_USEC UINT64_C(2000000)

static void arm(VGpu *vgpu, uint64_t usec, sd_event_time_handler_t handler) {
        int r;

        vgpu->start_timer = sd_event_source_disable_unref(vgpu->start_timer);
        r = sd_event_add_time_relative(vgpu->manager->event, &vgpu->start_timer, CLOCK_MONOTONIC, usec, 0, handler,
                                       vgpu);
        if (r < 0)
                log_debug("vGPU %s: cannot arm a timer: %s", vgpu->uuid, strerror(-r));
}

void autostart_write_record(const VGpu *vgpu) {
        Record record;

        if (!vgpu->stopped && !vgpu->waits) {
                record_remove(vgpu->manager->state_fd, vgpu->uuid);
                return;
        }

        record = vgpu_get_record(vgpu, vgpu->stopped ? RECORD_STOPPED : RECORD_WAITING);
        if (record_write(vgpu->manager->state_fd, vgpu->uuid, &record) < 0)
                log_debug("vGPU %s: that it was stopped cannot be recorded", vgpu->uuid);
}

static void set_stopped(VGpu *vgpu, bool stopped) {
        vgpu->stopped = stopped;
        vgpu->waits = false;
        autostart_write_record(vgpu);
}

static void set_waits(VGpu *vgpu, bool waits) {
        vgpu->waits = waits;
        autostart_write_record(vgpu);
}

/* Still the registration of its parent on which it was made: nothing but a person removed it. */
static bool parent_stayed(const VGpu *vgpu, uint64_t registration) {
        return registration != 0 && scan_registration(vgpu->manager->host, vgpu->parent) == registration;
}

/* Once, when its GPU has been read: what became of it while no daemon ran. */
static void judge_record(VGpu *vgpu) {
        Record record;

        if (vgpu->judged)
                return;
        vgpu->judged = true;
        if (record_read(vgpu->manager->state_fd, vgpu->uuid, &record) < 0)
                return;

        switch (record.phase) {
        case RECORD_STOPPED:
                vgpu->stopped = true;
                break;
        case RECORD_WAITING:
                vgpu->waits = true;
                break;
        case RECORD_MADE:
        case RECORD_SEEN:
                set_stopped(vgpu, parent_stayed(vgpu, record.registration));
                break;
        default: /* a create that did not come to anything */
                set_stopped(vgpu, false);
                break;
        }
}

static bool is_due(const VGpu *vgpu) {
        const Type *type = vgpu_get_type(vgpu);

        return vgpu->autostart && vgpu->state == VGPU_DEFINED && !vgpu->operation && !vgpu->stopped && !vgpu->waits &&
               !vgpu->start_timer && vgpu->gpu && gpu_makes_vgpus(vgpu->gpu) && type &&
               (type->report.registration == REGISTRATION_REGISTERED ||
                type->report.registration == REGISTRATION_DIFFERS);
}

static void start(VGpu *vgpu);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        VGpu *vgpu = userdata;

        vgpu->start_timer = sd_event_source_disable_unref(vgpu->start_timer);
        if (is_due(vgpu))
                start(vgpu);
        return 0;
}

static void try_again(VGpu *vgpu) {
        vgpu->n_starts++;
        vgpu->tried = scan_registration(vgpu->manager->host, vgpu->parent);
        if (!autostart_gave_up(vgpu))
                arm(vgpu, RETRY_INTERVAL_USEC << (vgpu->n_starts - 1), on_retry);
}

void autostart_failed(VGpu *vgpu, const Error *error) {
        try_again(vgpu);
        log_full(LOG_WARNING,
                 LOG_FIELDS("MESSAGE_ID", MESSAGE_VGPU_FAILED, "MDEVGPU_VGPU", vgpu->uuid, "MDEVGPU_TYPE",
                            vgpu->type_id),
                 "Cannot start vGPU %s%s: %s", vgpu->uuid, autostart_gave_up(vgpu) ? "" : " yet", error->message);
        (void)vgpu_rest(vgpu, error->message);
}

static void on_started(const Error *error, VGpu *vgpu, void *userdata) {
        Manager *manager = userdata;

        manager->n_autostarts--;
        if (!error)
                log_full(LOG_INFO,
                         LOG_FIELDS("MESSAGE_ID", MESSAGE_VGPU_CREATED, "MDEVGPU_VGPU", vgpu->uuid, "MDEVGPU_TYPE",
                                    vgpu->type_id, "MDEVGPU_GPU", vgpu->parent),
                         "Started vGPU %s of type %s on %s", vgpu->uuid, vgpu->type_id, vgpu->parent);
}

static void start(VGpu *vgpu) {
        const StartRequest request = { .uuid = vgpu->uuid, .automatic = true };
        Manager *manager = vgpu->manager;
        Error error = ERROR_NULL;

        if (manager_start_vgpu(manager, &request, on_started, manager, NULL, &error) >= 0)
                manager->n_autostarts++;
        else
                autostart_failed(vgpu, &error);
}

/* Its driver has come anew, or its types have been registered anew: what failed before says nothing of that. */
static void forgive(VGpu *vgpu) {
        uint64_t registration = vgpu->n_starts > 0 ? scan_registration(vgpu->manager->host, vgpu->parent) : 0;

        if (registration == 0 || registration == vgpu->tried)
                return;

        vgpu->start_timer = sd_event_source_disable_unref(vgpu->start_timer);
        vgpu->n_starts = 0;
        if (vgpu->state == VGPU_FAILED && vgpu->file->problem[0] == '\0')
                vgpu_set_state(vgpu, VGPU_DEFINED, NULL);
}

void autostart_check(Gpu *gpu) {
        VGpu *vgpu;

        LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link) {
                if (!vgpu->autostart || vgpu->present || vgpu->operation)
                        continue;

                /* Before its record is made to say something else. */
                if (!vgpu->judged && manager_adopt_lingering(gpu->manager, vgpu->uuid, vgpu))
                        continue;

                judge_record(vgpu);
                if (vgpu->waits && !vgpu_get_type(vgpu)) /* it has gone: when it is back that is the occasion */
                        set_waits(vgpu, false);
                forgive(vgpu);
                if (is_due(vgpu))
                        start(vgpu);
        }
}

bool autostart_is_pending(const Manager *manager) {
        return manager->n_autostarts > 0;
}

bool autostart_gave_up(const VGpu *vgpu) {
        return vgpu->n_starts >= STARTS_MAX;
}

void autostart_succeeded(VGpu *vgpu) {
        vgpu->start_timer = sd_event_source_disable_unref(vgpu->start_timer);
        vgpu->n_starts = 0;
        vgpu->stopped = vgpu->waits = false;
        vgpu->judged = true;
}

static int on_vanished(sd_event_source *source, uint64_t usec, void *userdata) {
        VGpu *vgpu = userdata;

        vgpu->start_timer = sd_event_source_disable_unref(vgpu->start_timer);
        if (vgpu->present || vgpu->operation)
                return 0;

        set_stopped(vgpu, parent_stayed(vgpu, vgpu->registration));
        if (is_due(vgpu))
                start(vgpu);
        return 0;
}

void autostart_device_gone(VGpu *vgpu, VGpuEnd end) {
        vgpu->start_timer = sd_event_source_disable_unref(vgpu->start_timer);
        if (end != VGPU_END_UNDONE)
                vgpu->n_starts = 0;

        if (vgpu->autostart && end == VGPU_END_VANISHED) {
                /* Until this is known the record stays as it is. */
                arm(vgpu, VANISHED_INTERVAL_USEC, on_vanished);
                return;
        }

        set_stopped(vgpu, vgpu->autostart && end == VGPU_END_DESTROYED);
        if (vgpu->autostart && end == VGPU_END_UNDONE)
                try_again(vgpu);
}

/* Of one that somebody else made there is no record before it is to start by itself. */
static void note_seen(const VGpu *vgpu) {
        Record record;

        if (record_read(vgpu->manager->state_fd, vgpu->uuid, &record) >= 0)
                return;

        vgpu_write_record(vgpu, RECORD_SEEN);
}

void autostart_definition_changed(VGpu *vgpu, bool was_autostart) {
        bool failed = vgpu->n_starts > 0;

        if (vgpu->present && !vgpu->operation && vgpu->autostart && !was_autostart)
                note_seen(vgpu);
        if (vgpu->present || vgpu->operation || vgpu->doubtful)
                return;

        /* What waits to be known, whether a person stopped it, waits on. */
        if (failed || !vgpu->autostart)
                vgpu->start_timer = sd_event_source_disable_unref(vgpu->start_timer);
        vgpu->n_starts = 0;
        if (vgpu->state == VGPU_FAILED && vgpu->file->problem[0] == '\0')
                vgpu_set_state(vgpu, VGPU_DEFINED, NULL);
        if (failed && vgpu->autostart)
                arm(vgpu, 0, on_retry);

        /* What was there when the daemon began is due; what comes while its type is there has missed the occasion. */
        if (vgpu->autostart && !was_autostart && vgpu->manager->started && vgpu_get_type(vgpu)) {
                vgpu->judged = true;
                set_waits(vgpu, true);
        } else if (!vgpu->autostart && (vgpu->stopped || vgpu->waits))
                set_stopped(vgpu, false);
}
