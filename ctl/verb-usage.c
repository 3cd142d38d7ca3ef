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
        { "framebuffer_used", "FRAMEBUFFER", COLUMN_RIGHT, NULL },
        { "encoder", "ENCODER", COLUMN_RIGHT, "-" },
        { "guest_driver", "DRIVER", 0, "-" },
        { "licensed", "LICENSED", 0, "-" },
        { NULL, NULL, 0, NULL },
};

static Status usage_read(Ctl *ctl, const char *wanted, json_object **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *usage = NULL, *told = NULL;
        _cleanup_(freep) char *name = NULL;
        Status status;
        int r;

        status = gpu_resolve(ctl, wanted, /* absent= */ false, &name);
        if (status == STATUS_DONE)
                status = bus_call(ctl, "GetUsage", "a{sv}", &reply, "sa{sv}", name, 0);
        if (status != STATUS_DONE)
                return status;

        r = reply_read_value(reply, &told);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to GetUsage: %s.", strerror(-r));

        usage = json_object_new_object();
        if (!usage || object_add_string(usage, "gpu", name) < 0 || object_merge(usage, told) < 0)
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

Status verb_usage(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *all = NULL;
        Status status = STATUS_DONE;

        all = json_object_new_array();
        if (!all)
                return ctl_oom();

        for (; *arguments; arguments++) {
                json_object *usage = NULL;
                Status one = usage_read(ctl, *arguments, &usage);

                status = status_first(status, one);
                if (one == STATUS_UNREACHABLE)
                        return status;
                if (one == STATUS_DONE && array_add(all, usage) < 0)
                        return ctl_oom();
        }

        if (ctl->output != OUTPUT_TEXT)
                return status_first(status, print_json(ctl, all));

        pager_open(ctl);
        for (size_t i = 0; i < json_object_array_length(all); i++) {
                if (i > 0)
                        putchar('\n');
                status = status_first(status, usage_print(ctl, json_object_array_get_idx(all, i)));
        }

        return status;
}
