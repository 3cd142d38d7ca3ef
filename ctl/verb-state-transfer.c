/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * States that go elsewhere: from a vGPU into a file or to whoever reads standard output, and from there into a vGPU.
 */

#include "bus.h"
#include "job.h"
#include "reply.h"
#include "state-file.h"
#include "verbs.h"

/* The daemon gets the open file itself, which no bus takes to another machine. */
static Status bus_check(Ctl *ctl) {
        Status status;

        if (ctl->host)
                return ctl_error(STATUS_USAGE,
                                 "An open file cannot be handed to another machine: it is done there.\n"
                                 "'ssh %s mdevgpuctl %s …' does it.",
                                 ctl->host, ctl->verb);

        status = bus_connect(ctl, /* ret_error= */ NULL);
        if (status == STATUS_DONE && sd_bus_can_send(ctl->bus, SD_BUS_TYPE_UNIX_FD) <= 0)
                return ctl_error(STATUS_FAILED, "An open file cannot be handed over this bus.");

        return status;
}

/* If it is destroyed, this may be all that there is of its state. */
static bool is_precious(const Ctl *ctl) {
        return ctl->after && streq(ctl->after, "destroy");
}

/*
 * What came of the vGPU is not known, or it was to go when all of its state had been written, and something is done to it by
 * now: an error may say that it does not go, and it goes later.
 */
static bool may_be_destroyed(json_object *job) {
        json_object *result = NULL;

        if (job)
                (void)json_object_object_get_ex(job, "result", &result);

        return !job || (json_object_is_type(result, json_type_object) && object_is_true(result, "changed"));
}

static Status export_to(Ctl *ctl, const char *uuid, StateFile *file, sd_bus_message **ret_reply,
                        json_object **ret_job) {
        bool begun;
        Status status;

        status = bus_change(ctl, "ExportState", "o", /* ret_error= */ NULL, ret_reply, "sh", uuid, file->fd);
        begun = status == STATUS_DONE || status == STATUS_UNREACHABLE; /* without an answer it may have, too */

        /* Whoever reads at the other end sees the end of it when the daemon is done, and not when we are. */
        if (!file->temporary)
                state_file_close(file);
        if (status == STATUS_DONE)
                status = job_follow(ctl, *ret_reply, ret_job);
        if (status == STATUS_DONE)
                return state_file_publish(file);

        if (begun && is_precious(ctl) && may_be_destroyed(*ret_job))
                state_file_keep(file);
        else
                state_file_remove(file);
        return status;
}

Status verb_export_state(Ctl *ctl, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *job = NULL;
        _cleanup_(state_file_close) StateFile file = STATE_FILE_NULL;
        _cleanup_(freep) char *uuid = NULL;
        Status status;

        status = bus_check(ctl);
        if (status == STATUS_DONE)
                status = vgpu_resolve(ctl, arguments[0], /* ret_error= */ NULL, &uuid);
        if (status != STATUS_DONE)
                return status;

        interrupts_catch(/* transfer= */ true);
        status = state_file_create(arguments[1], &file);
        if (status != STATUS_DONE)
                return status;

        interrupts_unlink(is_precious(ctl) ? NULL : file.temporary);
        status = export_to(ctl, uuid, &file, &reply, &job);
        if (status != STATUS_DONE)
                return status;

        return state_tell(ctl, reply, job,
                          &(StateWords){ .done = "Exported", .to = "to", .name = file.name, .file = file.name });
}

Status verb_import_state(Ctl *ctl, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *job = NULL;
        _cleanup_(state_file_close) StateFile file = STATE_FILE_NULL;
        _cleanup_(freep) char *gpu = NULL;
        Status status;

        status = bus_check(ctl);
        if (status == STATUS_DONE)
                status = state_file_open(arguments[0], &file);
        if (status == STATUS_DONE)
                status = gpu_resolve(ctl, arguments[1] ? arguments[1] : "", /* absent= */ false, &gpu);
        if (status != STATUS_DONE)
                return status;

        interrupts_catch(/* transfer= */ true);
        status = bus_change(ctl, "ImportState", "o", /* ret_error= */ NULL, &reply, "sh", gpu, file.fd);
        state_file_close(&file);
        ctl->about = file.name ? file.name : "Standard input";
        if (status == STATUS_DONE)
                status = job_follow(ctl, reply, &job);
        if (status != STATUS_DONE)
                return status;

        return state_tell(
                ctl, reply, job,
                &(StateWords){
                        .done = "Imported", .to = "from", .name = file.name, .file = file.name, .is_restored = true });
}
