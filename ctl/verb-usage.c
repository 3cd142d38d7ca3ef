/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Usage: what drivers say that their GPUs and vGPUs use at this moment.
 */

#include <stdio.h>

#include "bus.h"
#include "pager.h"
#include "print.h"
#include "reply.h"
#include "verbs.h"

static const Column columns_usage[] = {
        { "uuid", "UUID", 0, NULL },
        { "type", "TYPE", 0, NULL },
        { "pid", "PID", COLUMN_RIGHT, NULL },
        { "vm", "VM", 0, "-" },
        { "framebuffer", "FRAMEBUFFER", COLUMN_RIGHT, "-" },
        { "framebuffer_used", "USED", COLUMN_RIGHT, "-" },
        { "encoder", "ENCODER", COLUMN_RIGHT, "-" },
        { "guest_driver", "DRIVER", 0, "-" },
        { "licensed", "LICENSED", 0, "-" },
        { NULL, NULL, 0, NULL },
};

/* On the bus 0 says that the driver names no process. */
static int vgpus_mark_unused(json_object *told) {
        json_object *vgpus, *pid;
        int r = 0;

        if (!json_object_object_get_ex(told, "vgpus", &vgpus) || !json_object_is_type(vgpus, json_type_array))
                return 0;

        for (size_t i = 0; i < json_object_array_length(vgpus) && r >= 0; i++) {
                json_object *vgpu = json_object_array_get_idx(vgpus, i);

                if (json_object_is_type(vgpu, json_type_object) && json_object_object_get_ex(vgpu, "pid", &pid) &&
                    json_object_get_int64(pid) == 0)
                        r = object_add(vgpu, "pid", NULL);
        }

        return r;
}

/* With ret_error an error of the daemon's is left there instead of being said. */
static Status usage_read(Ctl *ctl, const char *wanted, sd_bus_error *ret_error, json_object **ret) {
        static const BusMethod get_usage = { NULL, BUS_ROOT, BUS_MANAGER, "GetUsage", false };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *usage = NULL, *told = NULL;
        _cleanup_(freep) char *name = NULL;
        Status status;
        int r;

        status = gpu_resolve(ctl, wanted, /* absent= */ false, &name);
        if (status == STATUS_DONE && ret_error)
                status = bus_try(ctl, &get_usage, "a{sv}", ret_error, &reply, "sa{sv}", name, 0);
        else if (status == STATUS_DONE)
                status = bus_call(ctl, "GetUsage", "a{sv}", &reply, "sa{sv}", name, 0);
        if (status != STATUS_DONE)
                return status;

        r = reply_read_value(reply, &told);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to GetUsage: %s.", strerror(-r));

        usage = json_object_new_object();
        if (!usage || vgpus_mark_unused(told) < 0 || object_add_string(usage, "gpu", name) < 0 ||
            object_merge(usage, told) < 0)
                return ctl_oom();

        *ret = TAKE(usage);
        return STATUS_DONE;
}

static Status usage_print(const Ctl *ctl, json_object *usage) {
        static const char *const hidden[] = { "gpu", "vgpus", NULL };
        json_object *vgpus;
        Status status;

        status = print_page(ctl, object_string(usage, "gpu"), usage, hidden);
        if (status != STATUS_DONE || !json_object_object_get_ex(usage, "vgpus", &vgpus) ||
            !json_object_is_type(vgpus, json_type_array) || json_object_array_length(vgpus) == 0)
                return status;

        putchar('\n');
        return print_table(ctl, columns_usage, vgpus);
}

/* Of those that are named. */
static Status usage_read_named(Ctl *ctl, char **names, json_object *all) {
        Status status = STATUS_DONE;

        for (; *names; names++) {
                json_object *usage = NULL;
                Status one = usage_read(ctl, *names, /* ret_error= */ NULL, &usage);

                status = status_first(status, one);
                if (one == STATUS_UNREACHABLE)
                        return status;
                if (one == STATUS_DONE && array_add(all, usage) < 0)
                        return ctl_oom();
        }

        return status;
}

/* Of all whose drivers say anything. */
static Status usage_read_all(Ctl *ctl, json_object *all) {
        _cleanup_(json_object_putp) json_object *gpus = NULL;
        Status status;

        status = bus_list(ctl, &bus_list_gpus, /* gpu= */ NULL, &gpus);
        for (size_t i = 0; status != STATUS_UNREACHABLE && i < json_object_array_length(gpus); i++) {
                const char *address = object_string(json_object_array_get_idx(gpus, i), "address");
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
                json_object *usage = NULL;
                Status one = address ? usage_read(ctl, address, &error, &usage) : STATUS_DONE;

                if (sd_bus_error_has_name(&error, BUS_ERROR_PREFIX "NotSupported"))
                        continue;
                if (sd_bus_error_is_set(&error))
                        (void)bus_error_report(ctl, &error);
                status = status_first(status, one);
                if (usage && array_add(all, usage) < 0)
                        return ctl_oom();
        }

        return status;
}

Status verb_usage(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *all = NULL;
        Status status;

        all = json_object_new_array();
        if (!all)
                return ctl_oom();

        status = arguments[0] ? usage_read_named(ctl, arguments, all) : usage_read_all(ctl, all);
        if (status == STATUS_UNREACHABLE)
                return status;

        if (ctl->output != OUTPUT_TEXT)
                return status_first(status, print_json(ctl, all));

        pager_open(ctl);
        if (json_object_array_length(all) == 0 && status == STATUS_DONE && !ctl->no_legend)
                puts("No driver says anything.");
        for (size_t i = 0; i < json_object_array_length(all); i++) {
                if (i > 0)
                        putchar('\n');
                status = status_first(status, usage_print(ctl, json_object_array_get_idx(all, i)));
        }

        return status;
}
