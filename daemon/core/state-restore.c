/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Restoring: the header is judged first, then the vGPU is made for it, and the rest is copied into that. It has a lease until all
 * is well, so that half of a vGPU goes in any case, whoever has died.
 */

#include "core/gpu.h"
#include "core/image-header.h"
#include "core/incoming.h"
#include "core/manager.h"
#include "core/migration.h"
#include "core/request.h"
#include "core/state-transfer-private.h"
#include "core/type.h"
#include "util/log.h"
#include "util/text.h"

/* Of a vGPU that is made for a state: it does not count while that is being copied into it (incoming.c). */
#define LEASE_SEC 1U
#define USEC_PER_SEC UINT64_C(1000000)

static void facts_donep(Facts *facts) {
        facts_done(facts);
}

static void on_undone(const Error *error, VGpu *vgpu, void *userdata) {
        StateTransfer *t = userdata;
        Error failure = t->failure;

        t->operation = NULL;
        if (error && vgpu)
                (void)error_set(&failure, t->failure.code, "%.300s; vGPU %s, which was made for it, cannot be removed: %.120s",
                                t->failure.message, t->uuid, error->message);
        state_transfer_finish(t, &failure);
}

void state_transfer_fail(StateTransfer *t, const Error *error) {
        const DestroyRequest request = { .uuid = t->uuid, .automatic = true };
        const VGpu *vgpu = state_transfer_find(t);
        Error failure = ERROR_NULL;

        /* One that has this UUID and not the claim is another: ours has gone. */
        if (!t->made || !vgpu || !vgpu->present || vgpu->claim != VGPU_CLAIM_RESTORE) {
                state_transfer_finish(t, error);
                return;
        }

        t->failure = *error;
        t->step = STATE_STEP_REMOVE;
        if (t->task)
                task_set_cancelable(t->task, false);
        state_transfer_claim(t, VGPU_CLAIM_NONE);
        if (manager_destroy_vgpu(t->manager, &request, on_undone, t, &t->operation, &failure) < 0)
                on_undone(&failure, state_transfer_find(t), t);
}

static void on_restored(JobResult *result, void *userdata) {
        StateTransfer *t = userdata;
        VGpu *vgpu = state_transfer_find(t);
        Error error = ERROR_NULL;

        t->job = NULL;
        if (t->task && result->error.code == 0)
                task_set_transfer(t->task, &result->progress);
        if (result->error.code == -EPIPE)
                (void)error_set(&error, -EIO, "Restoring the state of vGPU %s came to no end: %.200s", t->uuid,
                                result->error.message);
        else if (result->error.code < 0)
                error = result->error;
        else if (!vgpu || !vgpu->present || vgpu->claim != VGPU_CLAIM_RESTORE)
                (void)error_set(&error, -ERROR_NO_SUCH_VGPU, "vGPU %s has gone, and its state with it", t->uuid);
        else if (t->silent) /* whoever asked was told that it failed */
                (void)error_set(&error, -ERROR_CANCELLED, "Nobody waits for it any more");
        else if (incoming_keep(vgpu) < 0)
                (void)error_set(&error, -EIO, "That vGPU %s stays cannot be written to /run/mdevgpud", t->uuid);

        if (error.code < 0) {
                state_transfer_fail(t, &error);
                return;
        }
        if (t->task)
                t->task->changed = true;
        state_transfer_finish(t, NULL);
}

static int check_hold(const VGpu *vgpu, Error *error) {
        if (!vgpu || !vgpu->start_hold)
                return 0;

        return error_set(error, -ERROR_BUSY, "A virtual machine is being started with vGPU %s", vgpu->uuid);
}

/* The vGPU is there: nobody but us, from here on. */
static void fill(StateTransfer *t) {
        VGpu *vgpu = state_transfer_find(t);
        Error error = ERROR_NULL;
        Job job;
        int r;

        t->step = STATE_STEP_FILL;
        if (vgpu) {
                /* Also if it was to wait longer for what comes now. */
                incoming_watch(vgpu, incoming_now() + LEASE_SEC * USEC_PER_SEC);
                vgpu->half = true;
        }
        state_transfer_claim(t, VGPU_CLAIM_RESTORE);
        if (t->cancelled)
                r = error_set(&error, -ERROR_CANCELLED, "It was cancelled");
        else
                r = check_hold(vgpu, &error); /* that began while it was made */
        if (r >= 0) {
                job = state_transfer_get_job(t, JOB_RESTORE_STATE);
                r = state_transfer_submit(t, &job, on_restored);
        }
        if (r < 0) {
                (void)error_set_errno(&error, r, "the worker does not go on");
                state_transfer_fail(t, &error);
        }
}

static void on_made(const Error *error, VGpu *vgpu, void *userdata) {
        StateTransfer *t = userdata;

        Error taken = ERROR_NULL;

        t->operation = NULL;
        if (!error && (!vgpu || vgpu->lease == 0)) {
                (void)error_set(&taken, -ERROR_ALREADY_EXISTS, "Somebody else has started vGPU %s meanwhile", t->uuid);
                error = &taken;
        }
        if (error)
                state_transfer_finish(t, error);
        else {
                t->made = true;
                fill(t);
        }
}

/* Two hosts of one kind of driver are compared; another driver makes nothing of it, or something that nobody knows. */
static int check_driver(const Gpu *gpu, const ImageHeader *header, Error *error) {
        if (!streq(header->backend, gpu->backend) || !streq(header->driver, gpu->driver))
                return error_set(error, -ERROR_STATE_INCOMPATIBLE,
                                 "The state is of driver '%s' (%s), and GPU %s has driver '%s' (%s)", header->driver,
                                 header->backend, gpu->identity.address, gpu->driver, gpu->backend);
        if (gpu->identity.pci && header->vendor_id != gpu->identity.vendor)
                return error_set(error, -ERROR_STATE_INCOMPATIBLE, "The state is of a card of another vendor than GPU %s is",
                                 gpu->identity.address);

        return 0;
}

/* A type that is told by whoever asks stands for the saved one: another host may number them otherwise. */
static int compare(const Type *type, const ImageHeader *header, Error *error) {
        _cleanup_(freep) MigrationReasons *reasons = calloc(1, sizeof(MigrationReasons));
        _cleanup_(facts_donep) Facts here = {}, there = {};
        MigrationVerdict verdict;
        int r = reasons ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < header->facts.n; i++) {
                const Fact *f = &header->facts.items[i];

                r = facts_add(&there, f->key, f->kind, f->number, f->text);
        }
        if (r >= 0)
                r = facts_add_text(&there, "type", type->report.id);
        if (r >= 0)
                r = facts_add_text(&there, "type-name", type->report.name);
        /* Whether one could be made there is nothing that its state depends on. */
        if (r >= 0)
                r = facts_add_text(&there, "registration", registration_to_string(REGISTRATION_REGISTERED));
        /* As full of them as it may be, and these are not among them. */
        if (r == -E2BIG || r == -EINVAL)
                return error_set(error, -ERROR_STATE_INVALID,
                                 "The state image says more of its driver than a driver says");
        if (r >= 0)
                r = migration_describe(type, NULL, &here);
        if (r < 0)
                return error_set_errno(error, r, "the state cannot be judged");

        r = migration_judge(&here, &there, &verdict, reasons, error);
        if (r < 0)
                return error_set(error, -ERROR_STATE_INVALID,
                                 "The state image does not say what driver and type it is of");
        if (verdict != MIGRATION_INCOMPATIBLE)
                return 0;

        return error_set(error, -ERROR_STATE_INCOMPATIBLE, "The state does not fit type %s of GPU %s: %.300s",
                         type->report.id, type->gpu->identity.address,
                         reasons->n > 0 ? reasons->items[0] : "they differ");
}

static int check_type(Gpu *gpu, const char *word, const ImageHeader *header, Error *error) {
        Type *type;
        int r;

        r = gpu_find_type(gpu, word, &type, error);
        if (r < 0)
                return r;
        r = check_driver(gpu, header, error);
        if (r < 0)
                return r;
        if (type->report.details.keeps_state != TRISTATE_YES)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "vGPUs of type %s keep no state while nobody has them open, as far as is known: what is "
                                 "restored would be gone at once",
                                 type->report.id);

        return compare(type, header, error);
}

/* It waits for a state, or is defined and not active. False: it is neither. */
static bool is_meant(const VGpu *vgpu) {
        return vgpu && !vgpu->operation && !vgpu->doubtful && !vgpu->half && vgpu->claim == VGPU_CLAIM_NONE &&
               (vgpu->state == VGPU_INCOMING || vgpu->state == VGPU_DEFINED || vgpu->state == VGPU_FAILED);
}

/* It has one, or none, that was told whoever defined or prepared it. */
static int check_no_label(const VGpu *vgpu, bool has_label, Error *error) {
        if (!has_label)
                return 0;

        return error_set(error, -ERROR_INVALID_ARGUMENT,
                         "vGPU %s is there already and keeps its label: the option 'label' is for one that is made",
                         vgpu->uuid);
}

static int use_vgpu(StateTransfer *t, VGpu *vgpu, const char *word, const ImageHeader *header, Error *error) {
        StartRequest request = { .uuid = vgpu->uuid, .by = &t->by, .lease = LEASE_SEC };
        const Type *type = vgpu_get_type(vgpu);
        Type *named;
        int r;

        if (!vgpu->gpu || (t->gpu[0] != '\0' && !streq(t->gpu, vgpu->gpu->identity.address)) || !type ||
            gpu_find_type(vgpu->gpu, word, &named, NULL) < 0 || named != type)
                return error_set(error, -ERROR_ALREADY_EXISTS,
                                 "UUID %s is taken by a vGPU of another type, or on another GPU", vgpu->uuid);
        r = check_no_label(vgpu, t->has_label, error);
        if (r >= 0)
                r = check_hold(vgpu, error);
        if (r >= 0)
                r = check_type(vgpu->gpu, word, header, error);
        if (r < 0)
                return r;

        (void)text_copy(t->gpu, sizeof(t->gpu), vgpu->gpu->identity.address);
        if (!vgpu->present)
                return manager_start_vgpu(t->manager, &request, on_made, t, &t->operation, error);

        t->made = true;
        return 1;
}

static int make_vgpu(StateTransfer *t, const char *word, const ImageHeader *header, Error *error) {
        CreateRequest request = {
                .gpu = t->gpu,
                .type = word,
                .uuid = t->uuid,
                .label = t->has_label ? t->label : header->label,
                .attributes = header->attributes,
                .lease = LEASE_SEC,
                .by = &t->by,
        };
        Gpu *gpu;
        int r;

        /* Longer than ours, it is nobody's word. */
        if (!t->has_label && strlen(header->label) >= LABEL_SIZE)
                request.label = NULL;
        if (t->gpu[0] == '\0') {
                r = manager_choose_gpu(t->manager, &request, &gpu, error);
                if (r < 0)
                        return r;
                (void)text_copy(t->gpu, sizeof(t->gpu), gpu->identity.address);
        }

        gpu = manager_find_gpu(t->manager, t->gpu);
        if (!gpu)
                return error_set(error, -ERROR_NO_SUCH_GPU, "There is no GPU '%s'", t->gpu);
        r = check_type(gpu, word, header, error);
        return r < 0 ? r : manager_create_vgpu(t->manager, &request, on_made, t, &t->operation, error);
}

/* 1: it is there already; 0: it is being made. */
static int choose_vgpu(StateTransfer *t, const ImageHeader *header, Error *error) {
        const char *word = t->type[0] != '\0' ? t->type : header->type.id;
        VGpu *vgpu;

        if (streq(t->wanted_uuid, "new"))
                request_generate_uuid(t->uuid);
        else
                (void)text_copy(t->uuid, sizeof(t->uuid), t->wanted_uuid[0] != '\0' ? t->wanted_uuid : header->uuid);

        vgpu = state_transfer_find(t);
        if (is_meant(vgpu))
                return use_vgpu(t, vgpu, word, header, error);

        return make_vgpu(t, word, header, error);
}

static void on_opened(JobResult *result, void *userdata) {
        StateTransfer *t = userdata;
        uint64_t total = result->header ? result->header->size : UNKNOWN_U64;
        Error error = ERROR_NULL;
        int r;

        t->job = NULL;
        if (result->error.code == -EPIPE)
                r = error_set(&error, -EIO, "The state could not be read: %.200s", result->error.message);
        else if (result->error.code < 0) {
                error = result->error;
                r = error.code;
        } else if (t->cancelled)
                r = error_set(&error, -ERROR_CANCELLED, "It was cancelled");
        else {
                t->step = STATE_STEP_MAKE;
                r = choose_vgpu(t, result->header, &error);
        }
        if (r < 0) {
                /* Whosever the vGPU is that has this UUID. */
                t->uuid[0] = '\0';
                state_transfer_finish(t, &error);
                return;
        }

        if (t->task)
                (void)task_add_uuid(t->task, t->uuid);
        if (!state_transfer_begin(t, total))
                return;
        if (r > 0)
                fill(t);
}

static int judge_restore(const Manager *manager, const RestoreRequest *request, Error *error) {
        char uuid[UUID_STRING_SIZE];
        const VGpu *vgpu;
        int r;

        r = state_transfer_check_name(request->name, error);
        if (r >= 0)
                r = request_check_label(request->label, error);
        if (r < 0)
                return r;
        if (request->gpu[0] != '\0' && !manager_find_gpu(manager, request->gpu))
                return error_set(error, -ERROR_NO_SUCH_GPU, "There is no GPU '%.64s'", request->gpu);
        if (strlen(request->type) >= TYPE_ID_SIZE)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "That is no type");
        if (request->uuid[0] == '\0' || streq(request->uuid, "new"))
                return 0;
        if (text_parse_uuid(request->uuid, uuid) < 0)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'%.64s' is no UUID, and not 'new'", request->uuid);

        vgpu = MAP_FIND(&manager->vgpus, uuid, VGpu, node);
        if (!is_meant(vgpu))
                return request_check_uuid_free(manager, uuid, uuid, error);
        r = check_no_label(vgpu, request->label, error);
        return r < 0 ? r : check_hold(vgpu, error);
}

int manager_check_restore(Manager *manager, const RestoreRequest *request, Error *error) {
        return judge_restore(manager, request, error);
}

/* The call whose he is may be over long before it is judged what he may do. */
static int copy_caller(StateTransfer *t, const Caller *by) {
        t->by = *by;
        t->by.groups = NULL;
        if (by->n_groups == 0)
                return 0;

        t->groups = calloc(by->n_groups, sizeof(gid_t));
        if (!t->groups)
                return -ENOMEM;
        memcpy(t->groups, by->groups, by->n_groups * sizeof(gid_t));
        t->by.groups = t->groups;
        return 0;
}

static int submit_open(StateTransfer *t) {
        const int fds[] = { t->cancelled_fd, t->fd };
        Job job = state_transfer_get_job(t, JOB_OPEN_STATE);
        int r;

        job.fds = fds;
        job.n_fds = t->name[0] != '\0' ? 1 : 2;
        r = state_transfer_submit(t, &job, on_opened);
        t->fd = fd_close(t->fd);
        return r;
}

int manager_restore_state(Manager *manager, const RestoreRequest *request, StateTransferCallback callback,
                          void *userdata, StateTransfer **ret_transfer, Error *error) {
        _cleanup_(state_transfer_freep) StateTransfer *t = NULL;
        int r;

        r = judge_restore(manager, request, error);
        if (r >= 0)
                r = state_transfer_check_room(manager, error);
        if (r >= 0)
                r = state_transfer_new(manager, request->name, request->fd, callback, userdata, &t, error);
        if (r < 0)
                return r;

        t->restores = true;
        t->started_by = request->started_by;
        (void)text_copy(t->gpu, sizeof(t->gpu), request->gpu);
        (void)text_copy(t->type, sizeof(t->type), request->type);
        (void)text_copy(t->label, sizeof(t->label), strempty(request->label));
        t->has_label = request->label;
        if (text_parse_uuid(request->uuid, t->wanted_uuid) < 0)
                (void)text_copy(t->wanted_uuid, sizeof(t->wanted_uuid), request->uuid);
        r = copy_caller(t, request->by);
        if (r >= 0)
                r = submit_open(t);
        if (r < 0)
                return error_set_errno(error, r, "the state cannot be read");

        *ret_transfer = TAKE(t);
        return 0;
}
