/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lists: vGPUs, GPUs and types, a row each.
 */

#include <stdio.h>

#include "bus.h"
#include "pager.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

/* Only what nobody has to type may be cut. */
const Column columns_gpus[] = {
        { "address", "ADDRESS", 0, NULL },
        { "name", "NAME", COLUMN_TRUNCATE, NULL },
        { "driver", "DRIVER", 0, NULL },
        { "state", "STATE", 0, NULL },
        { NULL, NULL, 0, NULL },
};

const Column columns_vgpus[] = {
        { "uuid", "UUID", 0, NULL },
        { "gpu", "GPU", 0, NULL },
        { "type", "TYPE", 0, NULL },
        { "type_name", "NAME", 0, NULL },
        { "label", "LABEL", 0, "-" },
        { "autostart", "AUTOSTART", 0, "-" },
        { "managed", "MANAGED", 0, "yes" },
        { "state", "STATE", 0, "active" },
        { NULL, NULL, 0, NULL },
};

const Column columns_types[] = {
        { "gpu", "GPU", 0, NULL },
        { "id", "ID", 0, NULL },
        { "name", "NAME", 0, NULL },
        { "device_api", "API", COLUMN_ALIKE, NULL },
        { "max_instances", "MAX", COLUMN_RIGHT, NULL },
        { "available_instances", "AVAILABLE", COLUMN_RIGHT, NULL },
        { "framebuffer", "FRAMEBUFFER", COLUMN_RIGHT, NULL },
        { "registration", "REGISTRATION", 0, "registered" },
        { NULL, NULL, 0, NULL },
};

/* The list names a type by its id; a person knows its name. A type that is gone has none. */
static int vgpu_add_type_name(json_object *vgpu, json_object *types) {
        json_object *name = NULL;

        for (size_t i = 0; i < json_object_array_length(types); i++) {
                json_object *type = json_object_array_get_idx(types, i);
                json_object *of, *id, *gpu, *type_id;

                if (json_object_object_get_ex(type, "gpu", &gpu) && json_object_object_get_ex(type, "id", &type_id) &&
                    json_object_object_get_ex(vgpu, "gpu", &of) && json_object_object_get_ex(vgpu, "type", &id) &&
                    json_object_equal(gpu, of) && json_object_equal(type_id, id))
                        (void)json_object_object_get_ex(type, "name", &name);
        }

        return object_add(vgpu, "type_name", json_object_get(name));
}

Status vgpus_list(Ctl *ctl, const char *gpu, json_object **ret) {
        _cleanup_(json_object_putp) json_object *vgpus = NULL, *types = NULL;
        Status status;

        status = bus_list(ctl, &bus_list_vgpus, gpu, &vgpus);
        if (status == STATUS_DONE)
                status = bus_list(ctl, &bus_list_types, gpu, &types);
        if (status != STATUS_DONE)
                return status;

        for (size_t i = 0; i < json_object_array_length(vgpus); i++) {
                json_object *vgpu = json_object_array_get_idx(vgpus, i);

                if (vgpu_add_type_name(vgpu, types) < 0)
                        return ctl_oom();

                /* In a table one column tells all: only what is defined can be started, or not. */
                if (ctl->output == OUTPUT_TEXT && !object_is_true(vgpu, "persistent") &&
                    object_add(vgpu, "autostart", NULL) < 0)
                        return ctl_oom();
        }

        *ret = TAKE(vgpus);
        return STATUS_DONE;
}

Status vgpu_find(Ctl *ctl, const char *uuid, json_object **ret) {
        _cleanup_(json_object_putp) json_object *vgpus = NULL;
        json_object *found = NULL;
        Status status;

        status = bus_list(ctl, &bus_list_vgpus, /* gpu= */ NULL, &vgpus);
        if (status != STATUS_DONE)
                return status;

        for (size_t i = 0; i < json_object_array_length(vgpus) && !found; i++) {
                json_object *vgpu = json_object_array_get_idx(vgpus, i);
                const char *s = object_string(vgpu, "uuid");

                if (s && strcasecmp(s, uuid) == 0)
                        found = vgpu;
        }

        *ret = json_object_get(found);
        return STATUS_DONE;
}

static Status type_print_reason(json_object *type, bool with_gpu) {
        const char *gpu = object_string(type, "gpu"), *id = object_string(type, "id");
        const char *registration = object_string(type, "registration"), *reason = object_string(type, "reason");
        _cleanup_(freep) char *text = NULL, *safe = NULL;

        /* A type that is registered may have none left for a reason. */
        bool plain = registration && streq(registration, "registered");

        if (asprintf(&text, "%s%s%s: %s%s%s", with_gpu && gpu ? gpu : "", with_gpu && gpu ? " " : "", id ? id : "-",
                     plain          ? ""
                     : registration ? registration
                                    : "-",
                     plain ? "" : ": ", reason) < 0) {
                text = NULL;
                return ctl_oom();
        }

        safe = text_escape(text, 0, 0);
        if (!safe)
                return ctl_oom();

        puts(safe);
        return STATUS_DONE;
}

Status types_print_reasons(const Ctl *ctl, json_object *types, bool with_gpu) {
        Status status = STATUS_DONE;
        bool any = false;

        /* Who wants rows alone does not want sentences below them. */
        for (size_t i = 0; i < json_object_array_length(types) && status == STATUS_DONE && !ctl->no_legend; i++) {
                json_object *type = json_object_array_get_idx(types, i);

                if (isempty(object_string(type, "reason")))
                        continue;

                if (!any)
                        putchar('\n');
                any = true;
                status = type_print_reason(type, with_gpu);
        }

        return status;
}

Status rows_print(const Ctl *ctl, json_object *rows, const Column *columns, const char *none) {
        if (ctl->output != OUTPUT_TEXT)
                return print_json(ctl, rows);

        pager_open(ctl);
        if (json_object_array_length(rows) > 0)
                return print_table(ctl, columns, rows);

        if (!ctl->no_legend)
                puts(none);
        return STATUS_DONE;
}

static bool gpus_have(json_object *gpus, const char *name) {
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                const char *address = object_string(json_object_array_get_idx(gpus, i), "address");

                if (address && streq(address, name))
                        return true;
        }

        return false;
}

Status gpu_resolve(Ctl *ctl, const char *name, bool absent, char **ret) {
        _cleanup_(json_object_putp) json_object *gpus = NULL;
        _cleanup_(freep) char *resolved = NULL;
        Status status;

        if (!name) {
                *ret = NULL;
                return STATUS_DONE;
        }

        if (text_is_short_address(name)) {
                status = bus_list(ctl, &bus_list_gpus, /* gpu= */ NULL, &gpus);
                if (status != STATUS_DONE)
                        return status;

                if (asprintf(&resolved, "0000:%s", name) < 0) {
                        resolved = NULL;
                        return ctl_oom();
                }
        }

        if (!resolved || gpus_have(gpus, name) || !(absent || gpus_have(gpus, resolved))) {
                free(resolved);
                resolved = strdup(name);
                if (!resolved)
                        return ctl_oom();
        }

        *ret = TAKE(resolved);
        return STATUS_DONE;
}

/* Of those that have a label in common no more are listed. */
#define LABELLED_SHOWN_MAX 8U

/* How many vGPUs have the label, and which they are, as a person reads it. */
static int vgpus_find_label(json_object *vgpus, const char *label, size_t *ret_n, char **ret_uuids) {
        _cleanup_(freep) char *uuids = NULL;
        size_t n = 0;

        for (size_t i = 0; i < json_object_array_length(vgpus); i++) {
                json_object *vgpu = json_object_array_get_idx(vgpus, i);
                const char *uuid = object_string(vgpu, "uuid"), *text = object_string(vgpu, "label");
                char *longer;

                if (!uuid || !text || !streq(text, label))
                        continue;
                if (++n > LABELLED_SHOWN_MAX)
                        continue;
                if (asprintf(&longer, "%s%s%s", uuids ? uuids : "", uuids ? ", " : "", uuid) < 0)
                        return -ENOMEM;
                free(uuids);
                uuids = longer;
        }

        *ret_n = n;
        *ret_uuids = TAKE(uuids);
        return 0;
}

static Status label_resolve(Ctl *ctl, const char *label, sd_bus_error *ret_error, char **ret) {
        _cleanup_(json_object_putp) json_object *vgpus = NULL;
        _cleanup_(freep) char *uuids = NULL;
        Status status;
        size_t n;

        status = bus_list(ctl, &bus_list_vgpus, /* gpu= */ NULL, &vgpus);
        if (status != STATUS_DONE)
                return status;
        if (vgpus_find_label(vgpus, label, &n, &uuids) < 0)
                return ctl_oom();
        if (n > 1 && ret_error) {
                (void)sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS,
                                        "%zu vGPUs have the label '%s', name one by its UUID: %s", n, label, uuids);
                return STATUS_USAGE;
        }
        if (n > 1)
                return ctl_error(STATUS_USAGE, "%zu vGPUs have the label '%s', name one by its UUID: %s", n, label,
                                 uuids);

        *ret = TAKE(uuids);
        return STATUS_DONE;
}

Status vgpu_resolve(Ctl *ctl, const char *name, sd_bus_error *ret_error, char **ret) {
        _cleanup_(freep) char *uuid = NULL;
        Status status;

        ctl->unresolved = NULL;
        if (!text_is_uuid(name) && *name) {
                status = label_resolve(ctl, name, ret_error, &uuid);
                if (status != STATUS_DONE)
                        return status;
        }

        if (!uuid) {
                ctl->unresolved = text_is_uuid(name) ? NULL : name;
                uuid = strdup(name);
                if (!uuid)
                        return ctl_oom();
        }

        *ret = TAKE(uuid);
        return STATUS_DONE;
}

Status verb_list(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *rows = NULL;
        Status status;

        status = vgpus_list(ctl, /* gpu= */ NULL, &rows);
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
        _cleanup_(freep) char *gpu = NULL;
        Status status;

        status = gpu_resolve(ctl, arguments[0], /* absent= */ false, &gpu);
        if (status == STATUS_DONE)
                status = bus_list(ctl, &bus_list_types, gpu, &rows);
        if (status == STATUS_DONE)
                status = rows_print(ctl, rows, gpu ? columns_types + 1 : columns_types, "No types.");
        if (status != STATUS_DONE || ctl->output != OUTPUT_TEXT)
                return status;

        return types_print_reasons(ctl, rows, /* with_gpu= */ !gpu);
}

Status gpus_list_with(Ctl *ctl, const char *gpu, const char *key, json_object **ret) {
        _cleanup_(json_object_putp) json_object *gpus = NULL, *rows = json_object_new_array();
        Status status;

        status = bus_list(ctl, &bus_list_gpus, gpu, &gpus);
        if (status != STATUS_DONE)
                return status;

        for (size_t i = 0; rows && i < json_object_array_length(gpus); i++) {
                json_object *row = json_object_array_get_idx(gpus, i);

                if (json_object_object_get_ex(row, key, NULL) && array_add(rows, json_object_get(row)) < 0)
                        return ctl_oom();
        }

        *ret = TAKE(rows);
        return *ret ? STATUS_DONE : ctl_oom();
}
