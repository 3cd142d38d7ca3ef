/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes: making and removing vGPUs.
 */

#include <stdio.h>

#include "bus.h"
#include "print.h"
#include "reply.h"
#include "verbs.h"
#include "text.h"

static Status created_print(const Ctl *ctl, const char *uuid, const char *path) {
        _cleanup_(json_object_putp) json_object *answer = NULL;

        if (ctl->output == OUTPUT_TEXT) {
                if (!ctl->quiet)
                        puts(uuid);
                return STATUS_DONE;
        }

        answer = json_object_new_object();
        if (!answer || object_add(answer, "changed", json_object_new_boolean(true)) < 0 ||
            object_add_string(answer, "uuid", uuid) < 0 || object_add_string(answer, "path", path) < 0)
                return ctl_oom();

        return print_json(ctl, answer);
}

Status verb_create(Ctl *ctl, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *wanted = arguments[2] ? arguments[2] : "", *uuid, *path;
        _cleanup_(freep) char *gpu = NULL;
        Status status;
        int r;

        if (!isempty(wanted) && !text_is_uuid(wanted))
                return ctl_error(STATUS_USAGE,
                                 "'%s' is no UUID.\nA name with blanks must be quoted: mdevgpuctl create %s '%s %s'",
                                 wanted, arguments[0], arguments[1], wanted);

        status = gpu_resolve(ctl, arguments[0], &gpu);
        if (status != STATUS_DONE)
                return status;

        status = bus_call(ctl, "CreateVGpu", BUS_CALL_CHANGES, "so", /* ret_error= */ NULL, &reply, "sssa{sv}", gpu,
                          arguments[1], wanted, 0);
        if (status != STATUS_DONE)
                return status;

        r = sd_bus_message_read(reply, "so", &uuid, &path);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to CreateVGpu: %s.", strerror(-r));

        /* Scripts take this line for a UUID without looking. */
        if (!text_is_uuid(uuid))
                return ctl_error(STATUS_FAILED, "mdevgpud answered CreateVGpu with '%s', which is no UUID.", uuid);

        return created_print(ctl, uuid, path);
}

/* An error is set if it was the daemon that refused. */
static Status destroyed_add(json_object *vgpus, const char *uuid, bool changed, const sd_bus_error *error) {
        json_object *entry;

        entry = json_object_new_object();
        if (!entry || array_add(vgpus, entry) < 0 || object_add_string(entry, "uuid", uuid) < 0 ||
            object_add(entry, "changed", json_object_new_boolean(changed)) < 0)
                return ctl_oom();

        if (sd_bus_error_is_set(error) &&
            (object_add_string(entry, "error", error->name) < 0 ||
             object_add_string(entry, "message", error->message ? error->message : "") < 0))
                return ctl_oom();

        return STATUS_DONE;
}

static Status destroy_one(Ctl *ctl, const char *uuid, json_object *vgpus) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Status status;

        /* The number of options says whether what follows it is read. */
        status = bus_call(ctl, "DestroyVGpu", BUS_CALL_CHANGES, "", &error, /* ret_reply= */ NULL, "sa{sv}", uuid,
                          ctl->unmanaged ? 1 : 0, "unmanaged", "b", true);
        if (sd_bus_error_is_set(&error))
                (void)bus_error_report(ctl, &error);

        return status_first(status, destroyed_add(vgpus, uuid, status == STATUS_DONE, &error));
}

/* Goes on past a failure: one vGPU in use is no reason to leave the others, and the first failure is what is told. */
Status verb_destroy(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *answer = NULL;
        Status status = STATUS_DONE;
        bool changed = false;
        json_object *vgpus;

        answer = json_object_new_object();
        vgpus = json_object_new_array();
        if (!answer || !vgpus || object_add(answer, "changed", NULL) < 0 || object_add(answer, "vgpus", vgpus) < 0)
                return ctl_oom();

        for (char **uuid = arguments; *uuid; uuid++) {
                Status one = destroy_one(ctl, *uuid, vgpus);

                changed = changed || one == STATUS_DONE;
                status = status_first(status, one);
                if (one == STATUS_UNREACHABLE)
                        break;
        }

        if (ctl->output == OUTPUT_TEXT)
                return status;

        if (object_add(answer, "changed", json_object_new_boolean(changed)) < 0)
                return ctl_oom();

        return status_first(status, print_json(ctl, answer));
}
