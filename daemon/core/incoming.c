/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <time.h>

#include "core/gpu.h"
#include "core/incoming.h"
#include "core/manager.h"
#include "core/request.h"
#include "util/log.h"

#define USEC_PER_SEC UINT64_C(1000000)

/* What cannot be removed at the moment for another reason than that it is used. */
#define RETRY_USEC (10 * USEC_PER_SEC)

/* What holds half of a state, and somebody has open: it goes soon after he has closed it. */
#define HALF_RETRY_USEC (3 * USEC_PER_SEC)

static void arm(VGpu *vgpu, uint64_t usec);

uint64_t incoming_now(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_BOOTTIME, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000U;
}

void incoming_forget(VGpu *vgpu) {
        vgpu->lease_timer = sd_event_source_disable_unref(vgpu->lease_timer);
        vgpu->lease = 0;
        vgpu->half = false;
}

int incoming_keep(VGpu *vgpu) {
        Record record = vgpu_get_record(vgpu, vgpu->made ? RECORD_MADE : RECORD_SEEN);
        int r;

        record.lease = 0;
        record.half = false;
        r = record_write(vgpu->manager->state_fd, vgpu->uuid, &record);
        if (r < 0)
                return r;

        incoming_forget(vgpu);
        if (!vgpu->operation)
                (void)vgpu_rest(vgpu, vgpu->last_error);
        vgpu_migration_changed(vgpu);
        return 0;
}

/* Without an error it has gone. */
static void on_removed(const Error *error, VGpu *gone, void *userdata) {
        VGpu *vgpu = userdata;

        if (!error)
                return;
        if (error->code != -ERROR_IN_USE || vgpu->half) {
                log_debug("vGPU %s waits for no migration any more and cannot be removed yet: %s", vgpu->uuid,
                          error->message);
                arm(vgpu, incoming_now() + (vgpu->half ? HALF_RETRY_USEC : RETRY_USEC));
                return;
        }

        log_debug("vGPU %s is used: what it was made for has come", vgpu->uuid);
        if (incoming_keep(vgpu) < 0)
                arm(vgpu, incoming_now() + RETRY_USEC);
}

static int on_lease(sd_event_source *source, uint64_t usec, void *userdata) {
        VGpu *vgpu = userdata;
        const DestroyRequest request = { .uuid = vgpu->uuid, .automatic = true, .unmanaged = true };
        Error error = ERROR_NULL;

        vgpu->lease_timer = sd_event_source_disable_unref(vgpu->lease_timer);
        if (!vgpu->present && !vgpu->operation && !vgpu->doubtful) {
                incoming_forget(vgpu);
                return 0;
        }
        /* Also while a machine starts with it, which is what it was made for: that has a bound of its own. */
        if (vgpu->operation || vgpu->doubtful || vgpu->claim != VGPU_CLAIM_NONE || vgpu->start_hold) {
                arm(vgpu, incoming_now() + USEC_PER_SEC);
                return 0;
        }

        if (vgpu->half)
                log_debug("vGPU %s holds half of a state, and is removed", vgpu->uuid);
        else
                log_info("vGPU %s was made for a migration that has not come, and is removed unless it is used",
                         vgpu->uuid);
        if (manager_destroy_vgpu(vgpu->manager, &request, on_removed, vgpu, NULL, &error) < 0)
                arm(vgpu, incoming_now() + RETRY_USEC);
        return 0;
}

static void arm(VGpu *vgpu, uint64_t usec) {
        int r;

        r = sd_event_add_time(vgpu->manager->event, &vgpu->lease_timer, CLOCK_BOOTTIME, usec, USEC_PER_SEC / 10,
                              on_lease, vgpu);
        if (r < 0)
                log_warning("vGPU %s was made for a migration, and will stay if that does not come: %s", vgpu->uuid,
                            strerrordesc_np(-r));
}

void incoming_watch(VGpu *vgpu, uint64_t lease) {
        /* Whatever a record says: it is no reason to wait for ever. */
        lease = MIN(lease, incoming_now() + INCOMING_LEASE_MAX * USEC_PER_SEC);
        incoming_forget(vgpu);
        vgpu->lease = lease;
        arm(vgpu, lease);
}

static int judge(const Manager *manager, const ReleaseRequest *request, VGpu **ret_vgpu, Error *error) {
        int r;

        r = request_find_vgpu(manager, request->uuid, ret_vgpu, error);
        if (r >= 0 && (*ret_vgpu)->lease == 0)
                r = error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s does not wait for a migration (any more)",
                              (*ret_vgpu)->uuid);
        if (r >= 0 && request->keep && (*ret_vgpu)->half)
                r = error_set(error, -ERROR_BUSY, "vGPU %s holds half of a state, and is being removed",
                              (*ret_vgpu)->uuid);
        return r;
}

int manager_check_release(Manager *manager, const ReleaseRequest *request, Error *error) {
        VGpu *vgpu;

        return judge(manager, request, &vgpu, error);
}

int manager_release_incoming(Manager *manager, const ReleaseRequest *request, OperationCallback callback,
                             void *userdata, Operation **ret_operation, Error *error) {
        const DestroyRequest destroy = { .uuid = request->uuid };
        VGpu *vgpu;
        int r;

        r = judge(manager, request, &vgpu, error);
        if (r < 0)
                return r;
        if (!request->keep)
                return manager_destroy_vgpu(manager, &destroy, callback, userdata, ret_operation, error);

        r = incoming_keep(vgpu);
        if (r < 0)
                return error_set(error, -EIO, "That vGPU %s stays cannot be written to /run/mdevgpud: %s", vgpu->uuid,
                                 strerrordesc_np(-r) ?: "unknown error");
        *ret_operation = NULL;
        return 0;
}
