/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lists: vGPUs, GPUs and types, a row each.
 */

#include <stdio.h>

#include "bus.h"
#include "pager.h"
#include "print.h"
#include "verbs.h"

const Column columns_gpus[] = {
        { "address", "ADDRESS", 0 },
        { "name", "NAME", COLUMN_TRUNCATE },
        { "driver", "DRIVER", 0 },
        { "state", "STATE", 0 },
        { NULL, NULL, 0 },
};

const Column columns_vgpus[] = {
        { "uuid", "UUID", 0 },
        { "gpu", "GPU", 0 },
        { "type", "TYPE", 0 },
        { "state", "STATE", 0 },
        { "label", "LABEL", COLUMN_TRUNCATE },
        { NULL, NULL, 0 },
};

static const Column columns_types[] = {
        { "gpu", "GPU", 0 },
        { "id", "ID", 0 },
        { "name", "NAME", COLUMN_TRUNCATE },
        { "device_api", "API", 0 },
        { "max_instances", "MAX", COLUMN_RIGHT },
        { "available_instances", "AVAILABLE", COLUMN_RIGHT },
        { "framebuffer", "FRAMEBUFFER", COLUMN_RIGHT },
        { "registration", "REGISTRATION", 0 },
        { NULL, NULL, 0 },
};

static Status rows_print(const Ctl *ctl, json_object *rows, const Column *columns, const char *none) {
        if (ctl->output != OUTPUT_TEXT)
                return print_json(ctl, rows);

        pager_open(ctl);
        if (json_object_array_length(rows) > 0)
                return print_table(ctl, columns, rows);

        if (!ctl->no_legend)
                puts(none);
        return STATUS_DONE;
}

Status verb_list(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *rows = NULL;
        Status status;

        status = bus_list(ctl, &bus_list_vgpus, /* gpu= */ NULL, &rows);
        if (status != STATUS_DONE)
                return status;

        return rows_print(ctl, rows, columns_vgpus, "No vGPUs.");
}

Status verb_gpus(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *rows = NULL;
        Status status;

        status = bus_list(ctl, &bus_list_gpus, /* gpu= */ NULL, &rows);
        if (status != STATUS_DONE)
                return status;

        return rows_print(ctl, rows, columns_gpus, "No GPUs.");
}

Status verb_types(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *rows = NULL;
        Status status;

        status = bus_list(ctl, &bus_list_types, arguments[0], &rows);
        if (status != STATUS_DONE)
                return status;

        return rows_print(ctl, rows, columns_types, "No types.");
}
