/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Saving: a worker copies the state out of the device, and then the vGPU goes on, stands or goes. If the worker is lost, another
 * one puts the vGPU back; so does a successor's, of one whose record says that it was being saved.
 */

#include "core/gpu.h"
#include "core/image-header.h"
#include "core/manager.h"
#include "core/migration.h"
#include "core/request.h"
#include "core/state-transfer-private.h"
#include "core/type.h"
#include "util/log.h"
#include "util/text.h"

/* How often it is tried to put one back that somebody has open. */
#define SETTLE_TRIES 120U
#define SETTLE_INTERVAL_USEC UINT64_C(500000)

StateAfter state_after_from_string(const char *s) {
        return streq(s, "run")       ? STATE_AFTER_RUN
               : streq(s, "stop")    ? STATE_AFTER_STOP
               : streq(s, "destroy") ? STATE_AFTER_DESTROY
                                     : STATE_AFTER_INVALID;
}

/*
 * Driver, type and metadata as another host is told them, so that what is restored is judged as what is moved.
 */
static int fill_header(const VGpu *vgpu, ImageHeader *header) {
        const Gpu *gpu = vgpu->gpu;
        const GpuIdentity *identity = &gpu->identity;
        const Type *type = vgpu_get_type(vgpu);
        int r;

        (void)gethostname(header->host, sizeof(header->host) - 1);
        text_sanitize(header->host);
        (void)text_copy(header->uuid, sizeof(header->uuid), vgpu->uuid);
        (void)text_copy(header->label, sizeof(header->label), vgpu->label);
        header->kind = vgpu->kind;
        if (identity->pci) {
                header->vendor_id = identity->vendor;
                header->device_id = identity->device;
                header->subsystem_id = (uint32_t)identity->subsystem_vendor << 16 | identity->subsystem_device;
        }
        (void)text_copy(header->gpu, sizeof(header->gpu), identity->address);
        (void)text_copy(header->backend, sizeof(header->backend), gpu->backend);
        (void)text_copy(header->driver, sizeof(header->driver), gpu->driver);
        (void)text_copy(header->driver_version, sizeof(header->driver_version), gpu->driver_version);
        header->type = type->report;
        r = migration_describe(type, NULL, &header->facts);
        if (r >= 0 && vgpu->file)
                r = attributes_copy(&vgpu->file->definition.attributes, &header->attributes);
        return r;
}

/* Of what a driver's word is needed for, there is that word or nothing. */
static int check_keeps(const VGpu *vgpu, const Type *type, Error *error) {
        if (vgpu->kind == VGPU_WHOLE || streq(vgpu->type_id, TYPE_ID_VF))
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "vGPU %s is handed to vfio-pci, and that driver gives no state", vgpu->uuid);
        if (type->report.details.keeps_state == TRISTATE_YES)
                return 0;
        if (type->report.details.keeps_state == TRISTATE_NO)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "vGPUs of type %s keep no state when nobody has them open: there is nothing to save or "
                                 "to restore; while a virtual machine runs with one, its state is the machine's to move",
                                 type->report.id);

        return error_set(error, -ERROR_NOT_SUPPORTED,
                         "It is not known that driver '%s' keeps the state of a vGPU that nobody has open: what would be "
                         "saved might be nothing; while a virtual machine runs with one, its state is the machine's to "
                         "move",
                         vgpu->gpu->driver);
}

static int judge_save(const Manager *manager, const SaveRequest *request, VGpu **ret_vgpu, Error *error) {
        const Type *type;
        VGpu *vgpu;
        int r;

        r = state_transfer_check_name(request->name, error);
        if (r >= 0)
                r = request_find_vgpu(manager, request->uuid, &vgpu, error);
        if (r < 0)
                return r;
        if (!vgpu->present || !vgpu->gpu)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not active: it has no state", vgpu->uuid);
        if (vgpu->lease != 0)
                return error_set(error, -ERROR_BUSY, "vGPU %s waits for a migration: it has no state yet", vgpu->uuid);
        if (vgpu->start_hold)
                return error_set(error, -ERROR_BUSY, "A virtual machine is being started with vGPU %s", vgpu->uuid);
        if (request->after == STATE_AFTER_DESTROY && !vgpu->managed && !request->unmanaged)
                return error_set(error, -ERROR_NOT_MANAGED,
                                 "vGPU %s was made by somebody else, and is destroyed only with the option 'unmanaged'",
                                 vgpu->uuid);
        type = vgpu_get_type(vgpu);
        if (!type)
                return error_set(error, -ERROR_NO_SUCH_TYPE,
                                 "GPU %s does not have the type %s of vGPU %s any more: what it is cannot be told",
                                 vgpu->gpu->identity.address, vgpu->type_id, vgpu->uuid);

        *ret_vgpu = vgpu;
        return check_keeps(vgpu, type, error);
}

int manager_check_save(Manager *manager, const SaveRequest *request, Error *error) {
        VGpu *vgpu;

        return judge_save(manager, request, &vgpu, error);
}

static void on_destroyed(const Error *error, VGpu *vgpu, void *userdata) {
        StateTransfer *t = userdata;
        Error failure = ERROR_NULL;

        t->operation = NULL;
        if (error)
                (void)error_set(&failure, error->code, "The state is saved, but the vGPU is not destroyed: %.400s",
                                error->message);
        state_transfer_finish(t, error ? &failure : NULL);
}

static void destroy(StateTransfer *t) {
        const DestroyRequest request = { .uuid = t->uuid, .unmanaged = t->unmanaged };
        Error error = ERROR_NULL;

        t->step = STATE_STEP_REMOVE;
        state_transfer_claim(t, VGPU_CLAIM_NONE);
        if (t->task)
                task_set_cancelable(t->task, false);
        if (manager_destroy_vgpu(t->manager, &request, on_destroyed, t, &t->operation, &error) < 0)
                on_destroyed(&error, NULL, t);
}

static void settle(StateTransfer *t);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        StateTransfer *t = userdata;

        t->again = sd_event_source_disable_unref(t->again);
        settle(t);
        return 0;
}

static bool settle_later(StateTransfer *t) {
        return ++t->n_tries < SETTLE_TRIES &&
               sd_event_add_time_relative(t->manager->event, &t->again, CLOCK_MONOTONIC, SETTLE_INTERVAL_USEC, 0,
                                          on_again, t) >= 0;
}

/* A successor has to try again. */
static void mark_unsettled(const StateTransfer *t, bool unsettled) {
        VGpu *vgpu = state_transfer_find(t);

        if (vgpu && vgpu->claim == VGPU_CLAIM_SAVE)
                vgpu->unsettled = unsettled;
}

static void tell_reset(StateTransfer *t, Error *error) {
        char before[sizeof(error->message)];

        log_warning("vGPU %s was left in the middle of a transfer, and could be put back only as new", t->uuid);
        if (t->task)
                t->task->transfer.was_reset = t->task->changed = true;
        if (error->code == 0)
                return;

        memcpy(before, error->message, sizeof(before));
        (void)error_set(error, error->code, "%.400s; it was reset, and what it held is gone", before);
}

static void on_settled(JobResult *result, void *userdata) {
        StateTransfer *t = userdata;
        Error error = t->failure;

        t->job = NULL;
        /* It may be a worker of the daemon before us that has it, and is not at its end. */
        if ((result->error.code == -ERROR_IN_USE || result->error.code == -ERROR_BUSY) && settle_later(t))
                return;
        mark_unsettled(t, result->error.code < 0);
        if (result->error.code < 0)
                (void)error_set(&error, t->failure.code < 0 ? t->failure.code : result->error.code,
                                "%.220s%s%.200s; whether it runs now is not known", t->failure.message,
                                t->failure.message[0] != '\0' ? "; " : "", result->error.message);
        else if (result->progress.was_reset)
                tell_reset(t, &error);
        if (error.code < 0 && t->silent)
                log_warning("vGPU %s was left in the middle of a transfer: %s", t->uuid, error.message);
        state_transfer_finish(t, error.code < 0 ? &error : NULL);
}

/* The worker is gone, and with it whatever it had open; not every driver has the device run again by that. */
static void settle(StateTransfer *t) {
        const Job job = state_transfer_get_job(t, JOB_SETTLE_STATE);
        const VGpu *vgpu = state_transfer_find(t);
        Error error = ERROR_NULL;
        int r;

        t->step = STATE_STEP_SETTLE;
        if (!vgpu || vgpu->claim != VGPU_CLAIM_SAVE) { /* it has gone */
                state_transfer_finish(t, t->failure.code < 0 ? &t->failure : NULL);
                return;
        }
        r = state_transfer_submit(t, &job, on_settled);
        if (r >= 0 || (r == -EBUSY && settle_later(t)))
                return;

        mark_unsettled(t, true);
        (void)error_set(&error, t->failure.code < 0 ? t->failure.code : r,
                        "%.300s; it cannot be put back: %s", t->failure.message, strerrordesc_np(-r) ?: "unknown error");
        state_transfer_finish(t, &error);
}

/* The state is saved. */
static void finish_save(StateTransfer *t, const TransferProgress *progress) {
        const VGpu *vgpu = state_transfer_find(t);
        Error late = ERROR_NULL;

        if (!state_transfer_begin(t, progress->total))
                return;
        if (t->task) {
                task_set_transfer(t->task, progress);
                t->task->changed = progress->was_reset || t->after != STATE_AFTER_RUN;
        }
        /* Who was told that it failed expects his vGPU to run. */
        if (t->silent && t->after == STATE_AFTER_STOP)
                settle(t);
        else if (t->cancelled && t->after == STATE_AFTER_DESTROY) {
                /* Who has cancelled it may throw away what came, and does not expect the vGPU to go. */
                (void)error_set(&late, -ERROR_CANCELLED, "Cancelled when all of the state had gone already: vGPU %s stays",
                                t->uuid);
                state_transfer_finish(t, &late);
        } else if (!t->silent && t->after == STATE_AFTER_DESTROY && vgpu && vgpu->claim == VGPU_CLAIM_SAVE)
                destroy(t);
        else
                state_transfer_finish(t, NULL);
}

static void on_saved(JobResult *result, void *userdata) {
        StateTransfer *t = userdata;

        t->job = NULL;
        /* Whoever waits for it or not; also of one that failed, perhaps when the state had been written. */
        if (t->name[0] != '\0' && (result->error.code == 0 || !t->callback))
                OBSERVE(t->manager, saved_states_changed, t->manager);
        if (result->error.code == -EPIPE) {
                (void)error_set(&t->failure, -EIO, "Saving the state of vGPU %s came to no end: %.200s", t->uuid,
                                result->error.message);
                settle(t);
        } else if (result->error.code < 0)
                state_transfer_finish(t, &result->error);
        else
                finish_save(t, &result->progress);
}

static int submit_save(StateTransfer *t, const VGpu *vgpu) {
        const int fds[] = { t->cancelled_fd, t->fd };
        Job job = state_transfer_get_job(t, JOB_SAVE_STATE);
        ImageHeader header;
        int r;

        image_header_init(&header);
        r = fill_header(vgpu, &header);
        if (r >= 0) {
                job.fds = fds;
                job.n_fds = t->name[0] != '\0' ? 1 : 2;
                job.precopy = t->precopy;
                job.stay_stopped = t->after == STATE_AFTER_STOP;
                job.replace = t->replace;
                job.quota = t->manager->settings ? t->manager->settings->saved_states_max : SETTINGS_SAVED_STATES_MAX;
                job.header = &header;
                r = state_transfer_submit(t, &job, on_saved);
        }
        /* Whoever reads at the other end of it waits for the worker to be done, and not for us. */
        t->fd = fd_close(t->fd);
        image_header_done(&header);
        return r;
}

int manager_save_state(Manager *manager, const SaveRequest *request, StateTransferCallback callback, void *userdata,
                       StateTransfer **ret_transfer, Error *error) {
        _cleanup_(state_transfer_freep) StateTransfer *t = NULL;
        VGpu *vgpu;
        int r;

        r = judge_save(manager, request, &vgpu, error);
        if (r >= 0)
                r = state_transfer_check_room(manager, error);
        if (r >= 0)
                r = state_transfer_new(manager, request->name, request->fd, callback, userdata, &t, error);
        if (r < 0)
                return r;

        (void)text_copy(t->uuid, sizeof(t->uuid), vgpu->uuid);
        (void)text_copy(t->gpu, sizeof(t->gpu), vgpu->gpu->identity.address);
        t->after = request->after;
        t->unmanaged = request->unmanaged;
        t->precopy = request->precopy;
        t->replace = request->replace;
        t->started_by = request->started_by;
        state_transfer_claim(t, VGPU_CLAIM_SAVE);
        r = submit_save(t, vgpu);
        if (r < 0) {
                state_transfer_claim(t, VGPU_CLAIM_NONE);
                return request_submit_error(r, vgpu->gpu, error);
        }

        *ret_transfer = TAKE(t);
        return 0;
}

void state_transfer_recover(VGpu *vgpu) {
        _cleanup_(state_transfer_freep) StateTransfer *t = NULL;
        Error error = ERROR_NULL;

        /* The name keeps it from being given a descriptor. */
        if (state_transfer_new(vgpu->manager, "recover", -EBADF, NULL, NULL, &t, &error) < 0) {
                log_warning("vGPU %s was being saved, and cannot be put back: %s", vgpu->uuid, error.message);
                return;
        }

        t->silent = true;
        (void)text_copy(t->uuid, sizeof(t->uuid), vgpu->uuid);
        (void)text_copy(t->gpu, sizeof(t->gpu), vgpu->gpu->identity.address);
        state_transfer_claim(t, VGPU_CLAIM_SAVE);
        settle(TAKE(t));
}
