/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creation: what there was not yet, a vGPU or the definition of one.
 */

#include <stdio.h>
#include <time.h>

#include "bus.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

/* How long a GPU that has just come is waited for until it has been read, and how often it is looked at. */
#define PROBING_MAX_MSEC 10000U
#define PROBING_POLL_MSEC 50U

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

/* GPU TYPE [UUID]; what cannot have been meant as a UUID is most often the end of a name that was not quoted. */
static Status arguments_check(const Ctl *ctl, char **arguments) {
        if (!arguments[2] || text_is_uuid(arguments[2]))
                return STATUS_DONE;

        if (arguments[2][strspn(arguments[2], "0123456789abcdefABCDEF-")] == '\0' && strlen(arguments[2]) > 16)
                return ctl_error(STATUS_USAGE,
                                 "'%s' is no UUID: it has to have the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.",
                                 arguments[2]);

        return ctl_error(STATUS_USAGE, "'%s' is no UUID.\nA name with blanks must be quoted: mdevgpuctl %s %s '%s %s'",
                         arguments[2], ctl->verb, arguments[0], arguments[1], arguments[2]);
}

static uint64_t now_msec(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Who has just plugged a card in need not wait by himself until its types are known. False: it is not that, or takes long. */
static bool gpu_wait_until_read(Ctl *ctl, const char *gpu, uint64_t *deadline) {
        bool waited = *deadline == 0; /* it may have been read since it was busy: tried once more */

        if (*deadline == 0)
                *deadline = now_msec() + PROBING_MAX_MSEC;

        for (; now_msec() < *deadline; waited = true) {
                _cleanup_(json_object_putp) json_object *gpus = NULL;
                const char *state = NULL;

                if (bus_list(ctl, &bus_list_gpus, gpu, &gpus) != STATUS_DONE)
                        return false;
                if (json_object_array_length(gpus) > 0)
                        state = object_string(json_object_array_get_idx(gpus, 0), "state");
                if (!state || !streq(state, "probing"))
                        return waited;
                (void)usleep(PROBING_POLL_MSEC * 1000);
        }

        return false;
}

static Status create(Ctl *ctl, const char *member, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *gpu = NULL;
        uint64_t deadline = 0;
        Status status;

        status = arguments_check(ctl, arguments);
        if (status == STATUS_DONE)
                status = gpu_resolve(ctl, arguments[0], /* absent= */ false, &gpu);
        if (status != STATUS_DONE)
                return status;

        for (;;) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

                status = bus_change(ctl, member, "so", &error, &reply, "sss", gpu, arguments[1],
                                    arguments[2] ? arguments[2] : "");
                if (status == STATUS_DONE)
                        return created_read_and_print(ctl, member, reply);
                if (!sd_bus_error_is_set(&error))
                        return status;
                if (!sd_bus_error_has_name(&error, BUS_ERROR_BUSY) || !gpu_wait_until_read(ctl, gpu, &deadline))
                        return bus_error_report(ctl, &error);
        }
}

Status verb_create(Ctl *ctl, char **arguments) {
        return create(ctl, "CreateVGpu", arguments);
}

Status verb_prepare_incoming(Ctl *ctl, char **arguments) {
        return create(ctl, "PrepareIncoming", arguments);
}

/* A vGPU as it is. One that is defined already, and with what was asked for, is no failure. */
static Status define_active(Ctl *ctl, const char *name) {
        _cleanup_(freep) char *uuid = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *vgpu = NULL;
        const char *path;
        Status status;

        if (text_is_address(name))
                return ctl_error(STATUS_USAGE, "'%s' is no vGPU; usage: mdevgpuctl define GPU TYPE [UUID]|UUID", name);

        status = vgpu_resolve(ctl, name, /* ret_error= */ NULL, &uuid);
        if (status != STATUS_DONE)
                return status;
        if (ctl->unresolved)
                return ctl_error(
                        STATUS_USAGE,
                        "'%s' is neither a UUID nor a vGPU's label; usage: mdevgpuctl define GPU TYPE [UUID]|UUID",
                        name);

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
