/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Mixed sizes: which cards let vGPUs of different sizes be there at one time, and having one do so or not.
 */

#include "bus.h"
#include "print.h"
#include "reply.h"
#include "verbs.h"

#define KEY "mixed_size"

static const Column columns_mixed[] = {
        { "address", "GPU", 0, NULL },
        { KEY, "MIXED", 0, NULL },
        { "driver", "DRIVER", 0, NULL },
        { "state", "STATE", 0, NULL },
        { "reason", "REASON", COLUMN_TRUNCATE, NULL },
        { NULL, NULL, 0, NULL },
};

static Status mixed_set(Ctl *ctl, json_object *row, bool on) {
        _cleanup_(json_object_putp) json_object *answer = NULL;
        bool changed = object_is_true(row, KEY) != on;
        Status status;

        /* The daemon is asked all the same: it may be being changed just now. */
        status = bus_change_at(ctl, object_string(row, "path"), BUS_MIXED_SIZE, "Set", "", NULL, "b", (int)on);
        if (status != STATUS_DONE || ctl->output == OUTPUT_TEXT)
                return status;

        answer = json_object_new_object();
        if (!answer || object_add(answer, "changed", json_object_new_boolean(changed)) < 0)
                return ctl_oom();
        return print_json(ctl, answer);
}

Status verb_mixed_size(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *rows = NULL;
        _cleanup_(freep) char *gpu = NULL;
        Status status;
        bool on;

        status = gpu_resolve(ctl, arguments[0], /* absent= */ false, &gpu);
        if (status == STATUS_DONE)
                status = gpus_list_with(ctl, gpu, KEY, &rows);
        if (status != STATUS_DONE)
                return status;
        if (gpu && json_object_array_length(rows) == 0)
                return ctl_error(STATUS_FAILED,
                                 "The driver of GPU %s has no such setting, or only with virtual functions enabled.",
                                 gpu);
        if (!gpu || !arguments[1])
                return rows_print(ctl, rows, columns_mixed, "No GPU's driver has such a setting.");

        on = streq(arguments[1], "on");
        if (!on && !streq(arguments[1], "off"))
                return ctl_error(STATUS_USAGE, "'%s' is neither 'on' nor 'off'.", arguments[1]);
        return mixed_set(ctl, json_object_array_get_idx(rows, 0), on);
}
