/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creation: what there was not yet, a vGPU or the definition of one.
 */

#include <stdio.h>

#include "bus.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

static Status created_print(const Ctl *ctl, bool changed, const char *uuid, const char *path) {
        _cleanup_(json_object_putp) json_object *answer = NULL;

        if (ctl->output == OUTPUT_TEXT) {
                if (!ctl->quiet)
                        puts(uuid);
                return STATUS_DONE;
        }

        answer = json_object_new_object();
        if (!answer || object_add(answer, "changed", json_object_new_boolean(changed)) < 0 ||
            object_add_string(answer, "uuid", uuid) < 0 || object_add_string(answer, "path", path) < 0)
                return ctl_oom();

        return print_json(ctl, answer);
}

/* The answer of CreateVGpu, PrepareIncoming and DefineVGpu. */
static Status created_read_and_print(const Ctl *ctl, const char *member, sd_bus_message *reply) {
        const char *uuid, *path;
        int r;

        r = sd_bus_message_read(reply, "so", &uuid, &path);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to %s: %s.", member, strerror(-r));

        /* Scripts take this line for a UUID without looking. */
        if (!text_is_uuid(uuid))
                return ctl_error(STATUS_FAILED, "mdevgpud answered %s with '%s', which is no UUID.", member, uuid);

        return created_print(ctl, /* changed= */ true, uuid, path);
}

/* GPU TYPE [UUID]; a UUID that is none is most often the end of a name that was not quoted. */
static Status arguments_check(const Ctl *ctl, char **arguments) {
        if (!arguments[2] || text_is_uuid(arguments[2]))
                return STATUS_DONE;

        return ctl_error(STATUS_USAGE, "'%s' is no UUID.\nA name with blanks must be quoted: mdevgpuctl %s %s '%s %s'",
                         arguments[2], ctl->verb, arguments[0], arguments[1], arguments[2]);
}

static Status create(Ctl *ctl, const char *member, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *gpu = NULL;
        Status status;

        status = arguments_check(ctl, arguments);
        if (status == STATUS_DONE)
                status = gpu_resolve(ctl, arguments[0], /* absent= */ false, &gpu);
        if (status != STATUS_DONE)
                return status;

        status = bus_change(ctl, member, "so", /* ret_error= */ NULL, &reply, "sss", gpu, arguments[1],
                            arguments[2] ? arguments[2] : "");
        if (status != STATUS_DONE)
                return status;

        return created_read_and_print(ctl, member, reply);
}

Status verb_create(Ctl *ctl, char **arguments) {
        return create(ctl, "CreateVGpu", arguments);
}

Status verb_prepare_incoming(Ctl *ctl, char **arguments) {
        return create(ctl, "PrepareIncoming", arguments);
}

/* A vGPU as it is. One that is defined already, and with what was asked for, is no failure. */
static Status define_active(Ctl *ctl, const char *uuid) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *vgpu = NULL;
        const char *path;
        Status status;

        if (!text_is_uuid(uuid))
                return ctl_error(STATUS_USAGE, "'%s' is no UUID; usage: mdevgpuctl define GPU TYPE [UUID]|UUID", uuid);

        status = bus_change(ctl, "DefineVGpu", "so", &error, &reply, "sss", "", "", uuid);
        if (status == STATUS_DONE)
                return created_read_and_print(ctl, "DefineVGpu", reply);
        if (!sd_bus_error_is_set(&error))
                return status;

        if (sd_bus_error_has_name(&error, BUS_ERROR_ALREADY_EXISTS) && vgpu_find(ctl, uuid, &vgpu) == STATUS_DONE &&
            vgpu && object_is_true(vgpu, "persistent") && vgpu_is_as_wanted(ctl, vgpu)) {
                path = object_string(vgpu, "path");
                return created_print(ctl, /* changed= */ false, object_string(vgpu, "uuid"), path ? path : "");
        }

        return bus_error_report(ctl, &error);
}

Status verb_define(Ctl *ctl, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *gpu = NULL;
        Status status;

        if (!arguments[1])
                return define_active(ctl, arguments[0]);

        status = arguments_check(ctl, arguments);
        if (status == STATUS_DONE)
                status = gpu_resolve(ctl, arguments[0], /* absent= */ true, &gpu);
        if (status != STATUS_DONE)
                return status;

        status = bus_change(ctl, "DefineVGpu", "so", /* ret_error= */ NULL, &reply, "sss", gpu, arguments[1],
                            arguments[2] ? arguments[2] : "");
        if (status != STATUS_DONE)
                return status;

        return created_read_and_print(ctl, "DefineVGpu", reply);
}
