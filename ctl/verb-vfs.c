/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Virtual functions: how many each card has, and enabling another number of them.
 */

#include "bus.h"
#include "print.h"
#include "reply.h"
#include "verbs.h"

static const Column columns_vfs[] = {
        { "address", "GPU", 0, NULL },
        { "num_vfs", "ENABLED", COLUMN_RIGHT, NULL },
        { "max_vfs", "MAX", COLUMN_RIGHT, NULL },
        { "driver", "DRIVER", 0, NULL },
        { "state", "STATE", 0, NULL },
        { "reason", "REASON", COLUMN_TRUNCATE, NULL },
        { NULL, NULL, 0, NULL },
};

static Status number_parse(json_object *row, const char *text, uint32_t *ret) {
        unsigned long n;
        json_object *max;

        if (streq(text, "all") && json_object_object_get_ex(row, "max_vfs", &max)) {
                *ret = (uint32_t)json_object_get_int64(max);
                return STATUS_DONE;
        }

        errno = 0;
        n = strtoul(text, NULL, 10);
        if (!*text || strspn(text, "0123456789") != strlen(text) || errno != 0 || n > UINT32_MAX)
                return ctl_error(STATUS_USAGE, "'%s' is no number of virtual functions, and not 'all'.", text);

        *ret = (uint32_t)n;
        return STATUS_DONE;
}

static Status vfs_enable(Ctl *ctl, json_object *row, uint32_t n) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Status status;

        status = bus_change_at(ctl, object_string(row, "path"), BUS_SRIOV, "EnableVfs", "o", &reply, "u", n);
        return status != STATUS_DONE ? status : job_wait(ctl, reply);
}

Status verb_vfs(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *rows = NULL;
        _cleanup_(freep) char *gpu = NULL;
        json_object *row;
        Status status;
        uint32_t n = 0;

        status = gpu_resolve(ctl, arguments[0], /* absent= */ false, &gpu);
        if (status == STATUS_DONE)
                status = gpus_list_with(ctl, gpu, "max_vfs", &rows);
        if (status != STATUS_DONE)
                return status;
        if (gpu && json_object_array_length(rows) == 0)
                return ctl_error(STATUS_FAILED, "GPU %s has no virtual functions.", gpu);
        if (!gpu || !arguments[1])
                return rows_print(ctl, rows, columns_vfs, "No GPU has virtual functions.");

        row = json_object_array_get_idx(rows, 0);
        status = number_parse(row, arguments[1], &n);
        return status != STATUS_DONE ? status : vfs_enable(ctl, row, n);
}
