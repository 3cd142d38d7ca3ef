/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Steps: what follows when a job of an operation has ended. */

#include "core/autostart.h"
#include "core/definition-files.h"
#include "core/gpu-sync.h"
#include "core/gpu.h"
#include "core/incoming.h"
#include "core/manager.h"
#include "core/notes.h"
#include "core/operation-private.h"
#include "core/vgpu.h"
#include "util/log.h"
#include "util/text.h"

void operation_take_back(VGpu *vgpu) {
        const DestroyRequest request = { .uuid = vgpu->uuid, .unmanaged = true, .automatic = true };
        Manager *manager = vgpu->manager;
        Error error = ERROR_NULL;

        vgpu_set_made(vgpu, true);
        (void)vgpu_rest(vgpu, "created although its caller was told that the creation failed");
        if (manager_destroy_vgpu(manager, &request, NULL, NULL, NULL, &error) < 0)
                vgpu_set_state(vgpu, VGPU_ACTIVE, error.message);
}

/* Whether it is the device that the definition which counts describes, and that describes more than a device. */
static const Definition *find_unwritten(const VGpu *vgpu) {
        const Definition *d = vgpu->file && vgpu->file->problem[0] == '\0' ? &vgpu->file->definition : NULL;

        return d && d->attributes.n > 0 && streq(d->parent, vgpu->parent) && streq(d->type_id, vgpu->type_id) ? d
                                                                                                              : NULL;
}

void operation_finish_start(VGpu *vgpu) {
        OperationPlan plan = {
                .kind = OPERATION_MODIFY, .automatic = true, .label = vgpu->label, .owner = vgpu->owner
        };
        Job job = {
                .kind = JOB_CONFIGURE,
                .uuid = vgpu->uuid,
                .unless_used = true, /* somebody may have it already: he is not disturbed, and it says so */
                .iommu_group = vgpu->iommu_group,
        };
        const Definition *d = find_unwritten(vgpu);

        if (d) {
                job.attributes = &d->attributes;
                if (operation_start(vgpu, &plan, &job, NULL, NULL, NULL) >= 0)
                        return;
        }

        vgpu->unfinished = false;
        vgpu_write_record(vgpu, RECORD_SEEN);
        (void)vgpu_rest(vgpu, d ? "its start was cut off, and its attributes may not be written" : NULL);
}

/* All of it is done: the vGPU is shown before whoever asked is told. */
static void succeed(Operation *operation) {
        VGpu *vgpu = operation_release(operation);

        if (vgpu_rest(vgpu, NULL)) {
                autostart_definition_changed(vgpu, operation->was_autostart);
                operation->vgpu = vgpu;
        }
        operation_answer(operation, NULL);
        operation->vgpu = NULL;
        operation_free(operation);
}

static void fail(Operation *operation, const Error *error, bool taken) {
        operation_fail(operation, error, taken);
        operation_free(operation);
}

/* The device is there. */
static void made(Operation *operation) {
        VGpu *vgpu = operation->vgpu;

        vgpu_set_made(vgpu, true);
        autostart_succeeded(vgpu);
        vgpu_write_record(vgpu, RECORD_MADE);
        if (operation->expired && operation->step == STEP_STORE) {
                /* It is defined by now: to take all of that back would take the disk as long again. */
                (void)vgpu_rest(operation_release(operation),
                                "created although its caller was told that it took too long");
                operation_free(operation);
                /* What starts by itself has nobody who was told that it failed. */
        } else if (operation->expired && !operation->automatic) {
                operation_take_back(operation_release(operation));
                operation_free(operation);
        } else
                succeed(operation);
}

/* It cannot be taken back: then it stays, and says so. */
static void keep(Operation *operation, const Error *why) {
        VGpu *vgpu = operation_release(operation);

        vgpu_set_made(vgpu, true);
        vgpu_write_record(vgpu, RECORD_MADE);
        (void)vgpu_rest(vgpu, why->message);
        operation_answer(operation, &operation->undone);
        operation_free(operation);
}

/* Removes the device again: what was asked for could not be done as a whole. */
static void undo(Operation *operation, const Error *why) {
        const Job job = { .kind = JOB_REMOVE, .uuid = operation->vgpu->uuid, .iommu_group = -1 };
        Error error = ERROR_NULL;
        int r;

        operation->begun = true;
        operation->undone = *why;
        r = operation_submit(operation, STEP_UNDO, &job);
        if (r < 0) {
                (void)error_set_errno(&error, r, "it could not be removed again after a failed creation");
                keep(operation, &error);
        }
}

/* How far a removal came whose worker died nobody knows: while somebody waits for it it is asked for again, once, and what of
 * it is done already is found done. */
static bool remove_again(Operation *operation, const JobResult *result) {
        const Job job = { .kind = JOB_REMOVE, .uuid = operation->vgpu->uuid, .iommu_group = -1 };

        if (result->error.code != -EPIPE || operation->retried || operation->expired)
                return false;

        operation->begun = operation->retried = true;
        return operation_submit(operation, operation->step, &job) >= 0;
}

static bool is_gone(const Operation *operation, const JobResult *result) {
        return result->error.code == 0 ||
               (result->error.code == -ERROR_NO_SUCH_VGPU && (operation->retried || operation->step == STEP_UNDO));
}

static void on_undone(Operation *operation, JobResult *result) {
        VGpu *vgpu = operation->vgpu;
        Error error;

        gpu_apply_counts(vgpu->gpu, result->counts, result->n_counts);
        if (remove_again(operation, result))
                return;
        if (!is_gone(operation, result)) {
                keep(operation, &result->error);
                return;
        }

        error = operation->undone;
        vgpu->present = vgpu->lingers = false;
        vgpu->gpu->stale = vgpu->gpu->stale || vgpu->gpu->sync;
        fail(operation, &error, /* taken= */ false);
}

/* What a worker left behind that died in the middle of it nobody knows: its UUID stays taken, and its record, until it
 * has been read whether it exists. */
static void doubt(Operation *operation, const Error *error) {
        operation_release(operation)->doubtful = true;
        operation_answer(operation, error);
        operation_free(operation);
}

static void on_made(Operation *operation, JobResult *result) {
        VGpu *vgpu = operation->vgpu;
        int r;

        gpu_apply_counts(vgpu->gpu, result->counts, result->n_counts);
        if (result->exists)
                vgpu_update(vgpu, &result->vgpu);

        if (result->error.code == -EPIPE) {
                doubt(operation, &result->error);
                return;
        }
        if (result->error.code < 0 && result->exists) {
                undo(operation, &result->error);
                return;
        }
        if (result->error.code < 0) {
                fail(operation, &result->error, result->error.code == -ERROR_ALREADY_EXISTS);
                return;
        }

        if (result->existed) {
                incoming_forget(vgpu); /* it is not ours to remove */
                autostart_succeeded(vgpu);
                vgpu_write_record(vgpu, RECORD_SEEN);
                succeed(operation);
                return;
        }

        if (!operation->stores || operation->expired) {
                made(operation);
                return;
        }

        operation->begun = true;
        operation->definition.kind = vgpu->kind;
        vgpu_write_record(vgpu, RECORD_DEFINING);
        memcpy(operation->definition.parent, vgpu->parent, sizeof(operation->definition.parent));
        r = operation_submit_store(operation);
        if (r < 0) {
                (void)error_set_errno(&result->error, r, "the definition cannot be written");
                undo(operation, &result->error);
        }
}

static void on_destroyed(Operation *operation, JobResult *result) {
        VGpu *vgpu = operation->vgpu;
        Gpu *gpu = vgpu->gpu;
        bool automatic = operation->automatic;

        /* A sync that reads meanwhile may have seen the vGPU before it went. */
        gpu->stale = gpu->stale || gpu->sync;

        if (remove_again(operation, result))
                return;
        if (!is_gone(operation, result)) {
                fail(operation, &result->error, /* taken= */ false);
                gpu_mark_dirty(gpu, /* may_register= */ false);
                return;
        }

        vgpu_device_gone(operation_release(operation), automatic ? VGPU_END_UNDONE : VGPU_END_DESTROYED);
        gpu_apply_counts(gpu, result->counts, result->n_counts);
        operation_answer(operation, NULL);
        operation_free(operation);
        if (gpu->pending_types)
                gpu_mark_dirty(gpu, /* may_register= */ true);
}

/* Of what is not defined the record holds the label. */
static int record_label(VGpu *vgpu, const char *label) {
        Record record;
        int r;

        if (streq(vgpu->label, label))
                return 0;

        r = record_read(vgpu->manager->state_fd, vgpu->uuid, &record);
        if (r < 0)
                record = vgpu_get_record(vgpu, vgpu->made ? RECORD_MADE : RECORD_SEEN);
        (void)text_copy(record.label, sizeof(record.label), label);
        r = record_write(vgpu->manager->state_fd, vgpu->uuid, &record);
        if (r >= 0)
                vgpu_set_label(vgpu, label);
        return r;
}

static void on_configured(Operation *operation, JobResult *result) {
        Error error = result->error;
        int r;

        if (operation->automatic) /* its start has come to its end */
                vgpu_write_record(operation->vgpu, RECORD_SEEN);
        if (operation->automatic && error.code == -ERROR_IN_USE)
                (void)error_set(&result->error, error.code,
                                "its start was cut off, and its attributes are not written: %.400s", error.message);
        if (result->error.code < 0) {
                fail(operation, &result->error, /* taken= */ false);
                return;
        }
        if (!operation->stores) {
                r = record_label(operation->vgpu, operation->label);
                if (r < 0) {
                        (void)error_set(&result->error, -EIO, "The label cannot be recorded: %s",
                                        strerrordesc_np(-r) ?: "unknown error");
                        fail(operation, &result->error, /* taken= */ false);
                } else
                        succeed(operation);
                return;
        }

        operation->begun = true;
        r = operation_submit_store(operation);
        if (r < 0) {
                (void)error_set_errno(&result->error, r, "the vGPU was changed, but its definition cannot be written");
                fail(operation, &result->error, /* taken= */ false);
        }
}

/* What is on the disk now is what counts. */
static bool read_back(const Operation *operation, Error *error) {
        const Definition *wanted = &operation->definition;
        const DefinitionFile *file;

        file = definition_files_read(manager_get_definitions(operation->manager, wanted->kind), wanted->parent,
                                     operation->vgpu->uuid);
        if (file && file->problem[0] == '\0' && definition_equal(&file->definition, wanted))
                return true;

        (void)error_set(error, -EIO, "/etc/%s/%s/%s is not what was written to it: %s", definition_folder(wanted->kind),
                        wanted->parent, operation->vgpu->uuid,
                        !file                      ? "it is gone"
                        : file->problem[0] != '\0' ? file->problem
                                                   : "somebody else has changed it since");
        return false;
}

static bool note_is_written(const Operation *operation) {
        Note note;

        return notes_read(operation->manager, operation->vgpu->uuid, &note) >= 0 && note.managed == operation->owned &&
               streq(note.label, operation->label);
}

/* The worker that was at the files died: what is on the disk tells how far it came. */
static void judge_lost(Operation *operation, JobResult *result) {
        VGpu *vgpu = operation->vgpu;
        Manager *manager = operation->manager;
        DefinitionFiles *files = manager_get_definitions(manager, operation->definition.kind);
        Error error = ERROR_NULL;
        bool done;

        notes_clean(manager);
        operation->note_stays = true;
        if (operation->store_action == STORE_NOTE)
                done = note_is_written(operation);
        else if (operation->store_action == STORE_UNDEFINE)
                done = !definition_files_read(files, operation->definition.parent, vgpu->uuid);
        else
                done = read_back(operation, &error);
        if (done)
                result->error = ERROR_NULL;
        if (!vgpu->file)
                notes_forget(manager, vgpu->uuid);
}

/* Several parents may define it: all of that goes. */
static void on_undefined(Operation *operation, JobResult *result) {
        VGpu *vgpu = operation->vgpu;
        int r;

        (void)definition_files_read(manager_get_definitions(operation->manager, operation->definition.kind),
                                    operation->definition.parent, vgpu->uuid);
        if (!operation->note_stays)
                notes_settle(operation->manager, vgpu->uuid);
        if (!vgpu->file) {
                succeed(operation);
                return;
        }

        if (streq(vgpu->file->definition.parent, operation->definition.parent) &&
            (vgpu->file->definition.kind == VGPU_MDEV) == (operation->definition.kind == VGPU_MDEV))
                r = -EIO; /* somebody has just written it again */
        else {
                operation->begun = true;
                operation->definition.kind = vgpu->file->definition.kind;
                memcpy(operation->definition.parent, vgpu->file->definition.parent,
                       sizeof(operation->definition.parent));
                r = operation_submit_store(operation);
        }
        if (r < 0) {
                (void)error_set(&result->error, r, "vGPU %s is still defined for %s", vgpu->uuid,
                                vgpu->file->definition.parent);
                fail(operation, &result->error, /* taken= */ false);
        }
}

/* A definition was to be written that belongs to a device which has just been made. */
static void on_create_written(Operation *operation, JobResult *result) {
        bool gone = !operation->vgpu->present;
        Error error = ERROR_NULL;

        if (gone) {
                (void)error_set(&error, -ERROR_NO_SUCH_GPU, "%s has gone, and the vGPU with it%s",
                                operation->definition.parent, result->error.code == 0 ? "; its definition stays" : "");
                fail(operation, &error, /* taken= */ false);
        } else if (result->error.code == 0)
                made(operation);
        else
                undo(operation, &result->error);
}

/* A definition was to be written, and has been, or not. */
static void on_written(Operation *operation, JobResult *result) {
        bool written = result->error.code == 0;
        Error error;

        if (written && operation->store_action != STORE_NOTE)
                (void)read_back(operation, &result->error);
        if (written && operation->vgpu->file)
                notes_settle(operation->manager, operation->vgpu->uuid);
        else if (written)
                notes_forget(operation->manager, operation->vgpu->uuid);
        if (operation->store_action == STORE_NOTE)
                vgpu_files_changed(operation->vgpu);

        if (operation->kind == OPERATION_CREATE) {
                on_create_written(operation, result);
                return;
        }

        error = result->error;
        if (error.code < 0 && operation->begun)
                (void)error_set(&error, error.code, "The vGPU was changed, but its definition was not: %.400s",
                                result->error.message);
        if (error.code < 0)
                fail(operation, &error, /* taken= */ false);
        else
                succeed(operation);
}

static void step_done(Operation *operation, JobResult *result) {
        switch (operation->step) {
        case STEP_UNDO:
                on_undone(operation, result);
                return;
        case STEP_STORE:
                if (result->error.code == -EPIPE)
                        judge_lost(operation, result);
                if (operation->kind == OPERATION_UNDEFINE && result->error.code == 0)
                        on_undefined(operation, result);
                else
                        on_written(operation, result);
                return;
        default:
                break;
        }

        switch (operation->kind) {
        case OPERATION_DESTROY:
                on_destroyed(operation, result);
                break;
        case OPERATION_MODIFY:
                on_configured(operation, result);
                break;
        default:
                on_made(operation, result);
                break;
        }
}

void operation_step_done(Operation *operation, JobResult *result) {
        Manager *manager = operation->manager;

        step_done(operation, result);
        notes_submit(manager);
}
