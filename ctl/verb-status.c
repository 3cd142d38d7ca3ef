/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Status: everything about one GPU or vGPU, or the daemon's overview. All is asked before anything is printed, so that
 * an error never lands in the middle of a page.
 */

#include <stdio.h>

#include "bus.h"
#include "pager.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

/* On the page of a GPU, which need not be named again in every row. */
static const Column page_vgpus[] = {
        { "uuid", "UUID", 0, NULL },
        { "type", "TYPE", 0, NULL },
        { "type_name", "NAME", 0, NULL },
        { "label", "LABEL", 0, "-" },
        { "autostart", "AUTOSTART", 0, "-" },
        { "managed", "MANAGED", 0, "yes" },
        { "state", "STATE", 0, "active" },
        { NULL, NULL, 0, NULL },
};

/* The object's properties, beginning with what it is and where. */
static Status object_read(Ctl *ctl, const char *kind, const char *get, const char *interface, const char *name,
                          json_object **ret) {
        _cleanup_(json_object_putp) json_object *object = NULL, *properties = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        Status status;
        int r;

        status = bus_call(ctl, get, "o", &reply, "s", name);
        if (status != STATUS_DONE)
                return status;

        r = sd_bus_message_read_basic(reply, SD_BUS_TYPE_OBJECT_PATH, &path);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to %s: %s.", get, strerror(-r));

        status = bus_get_properties(ctl, path, interface, &properties);
        if (status != STATUS_DONE)
                return status;

        object = json_object_new_object();
        if (!object || object_add_string(object, "object", kind) < 0 || object_add_string(object, "path", path) < 0 ||
            object_merge(object, properties) < 0)
                return ctl_oom();

        *ret = TAKE(object);
        return STATUS_DONE;
}

static Status gpu_read(Ctl *ctl, const char *wanted, json_object **ret) {
        _cleanup_(json_object_putp) json_object *gpu = NULL, *types = NULL, *vgpus = NULL;
        _cleanup_(freep) char *name = NULL;
        const char *address;
        Status status;

        status = gpu_resolve(ctl, wanted, /* absent= */ false, &name);
        if (status == STATUS_DONE)
                status = object_read(ctl, "gpu", "GetGpu", BUS_GPU, name, &gpu);
        if (status != STATUS_DONE)
                return status;

        address = object_string(gpu, "address");
        if (!address)
                address = name;

        status = bus_list(ctl, &bus_list_types, address, &types);
        if (status == STATUS_DONE)
                status = vgpus_list(ctl, address, &vgpus);
        if (status != STATUS_DONE)
                return status;

        if (object_add(gpu, "types", TAKE(types)) < 0 || object_add(gpu, "vgpus", TAKE(vgpus)) < 0)
                return ctl_oom();

        *ret = TAKE(gpu);
        return STATUS_DONE;
}

/* A vGPU points at its type; a person wants its name. A type that is gone has none. */
static Status vgpu_add_type_name(Ctl *ctl, json_object *vgpu) {
        _cleanup_(json_object_putp) json_object *type = NULL;
        const char *path = object_string(vgpu, "type");
        json_object *name = NULL;
        Status status;

        if (path) {
                status = bus_get_properties(ctl, path, BUS_TYPE, &type);
                if (status != STATUS_DONE)
                        return status;

                (void)json_object_object_get_ex(type, "name", &name);
        }

        return object_add(vgpu, "type_name", json_object_get(name)) < 0 ? ctl_oom() : STATUS_DONE;
}

/* It points at its GPU as well, which has a name; null: it is not there. */
static Status vgpu_add_gpu_address(Ctl *ctl, json_object *vgpu) {
        _cleanup_(json_object_putp) json_object *gpu = NULL;
        const char *path = object_string(vgpu, "gpu");
        json_object *address = NULL;
        Status status;

        if (path) {
                status = bus_get_properties(ctl, path, BUS_GPU, &gpu);
                if (status != STATUS_DONE)
                        return status;

                (void)json_object_object_get_ex(gpu, "address", &address);
        }

        return object_add(vgpu, "gpu_address", json_object_get(address)) < 0 ? ctl_oom() : STATUS_DONE;
}

/* Who uses it, if somebody does. Else there is no list, rather than an empty one: it may not be known. */
static Status vgpu_add_users(Ctl *ctl, json_object *vgpu) {
        _cleanup_(json_object_putp) json_object *users = NULL;
        const char *uuid = object_string(vgpu, "uuid"), *in_use = object_string(vgpu, "in_use");
        Status status;

        if (uuid && in_use && streq(in_use, "yes")) {
                users = json_object_new_array();
                if (!users)
                        return ctl_oom();

                status = users_add(ctl, uuid, users);
                if (status != STATUS_DONE)
                        return status;
        }

        return object_add(vgpu, "users", TAKE(users)) < 0 ? ctl_oom() : STATUS_DONE;
}

static Status vgpu_read(Ctl *ctl, const char *uuid, json_object **ret) {
        _cleanup_(json_object_putp) json_object *vgpu = NULL;
        json_object *group = NULL;
        Status status;

        status = object_read(ctl, "vgpu", "GetVGpu", BUS_VGPU, uuid, &vgpu);
        if (status == STATUS_DONE)
                status = vgpu_add_type_name(ctl, vgpu);
        if (status == STATUS_DONE)
                status = vgpu_add_gpu_address(ctl, vgpu);
        if (status == STATUS_DONE)
                status = vgpu_add_users(ctl, vgpu);
        if (status != STATUS_DONE)
                return status;

        /* On the bus -1 says that it is in none, as one that is not active. */
        if (json_object_object_get_ex(vgpu, "iommu_group", &group) && json_object_get_int64(group) < 0 &&
            object_add(vgpu, "iommu_group", NULL) < 0)
                return ctl_oom();

        *ret = TAKE(vgpu);
        return STATUS_DONE;
}

static Status table_below(const Ctl *ctl, const Column *columns, json_object *object, const char *key) {
        json_object *rows;

        if (!json_object_object_get_ex(object, key, &rows) || !rows || json_object_array_length(rows) == 0)
                return STATUS_DONE;

        putchar('\n');
        return print_table(ctl, columns, rows);
}

static Status gpu_print(const Ctl *ctl, json_object *gpu) {
        static const char *const hidden[] = { "object", "path", "address", "types", "vgpus", NULL };
        const char *address = object_string(gpu, "address");
        json_object *types = NULL;
        Status status;

        (void)json_object_object_get_ex(gpu, "types", &types);

        status = print_page(ctl, address ? address : "GPU", gpu, hidden);
        if (status == STATUS_DONE)
                status = table_below(ctl, columns_types + 1, gpu, "types");
        if (status == STATUS_DONE)
                status = types_print_reasons(ctl, types, /* with_gpu= */ false);
        if (status == STATUS_DONE)
                status = table_below(ctl, page_vgpus, gpu, "vgpus");

        return status;
}

/* A definition outlasts its GPU, which then has a name but no object. */
static int page_mark_absent_gpu(json_object *page) {
        const char *parent = object_string(page, "parent");
        _cleanup_(freep) char *text = NULL;
        json_object *gpu;

        if (isempty(parent) || !json_object_object_get_ex(page, "gpu", &gpu) || gpu)
                return 0;

        if (asprintf(&text, "%s (not there)", parent) < 0) {
                text = NULL;
                return -ENOMEM;
        }

        return object_add_string(page, "parent", text);
}

/* What a vGPU is made on is its GPU, or a virtual function of it. */
static int page_name_function(json_object *page) {
        const char *parent = object_string(page, "parent"), *address = object_string(page, "gpu_address");
        _cleanup_(freep) char *function = NULL;

        if (isempty(parent) || isempty(address) || streq(address, parent))
                return 0;

        function = strdup(parent);
        if (!function)
                return -ENOMEM;
        return object_add_string(page, "parent", address) < 0 || object_add_string(page, "function", function) < 0
                       ? -ENOMEM
                       : 0;
}

static Status vgpu_print(const Ctl *ctl, json_object *vgpu) {
        static const char *const hidden[] = { "object", "path", "uuid", "gpu", "gpu_address", "type", "users", NULL };
        _cleanup_(json_object_putp) json_object *page = NULL;
        const char *uuid = object_string(vgpu, "uuid");
        json_object *type_name = NULL;
        Status status;

        /* What it is comes first. */
        (void)json_object_object_get_ex(vgpu, "type_name", &type_name);
        page = json_object_new_object();
        if (!page || object_add(page, "type_name", json_object_get(type_name)) < 0 || object_merge(page, vgpu) < 0 ||
            page_mark_absent_gpu(page) < 0 || page_name_function(page) < 0)
                return ctl_oom();

        status = print_page(ctl, uuid ? uuid : "vGPU", page, hidden);
        if (status != STATUS_DONE)
                return status;

        return table_below(ctl, columns_users + 1, vgpu, "users");
}

static Status objects_print(const Ctl *ctl, json_object *objects) {
        Status status = STATUS_DONE;

        if (ctl->output != OUTPUT_TEXT)
                return print_json(ctl, objects);

        pager_open(ctl);
        for (size_t i = 0; i < json_object_array_length(objects) && status == STATUS_DONE; i++) {
                json_object *object = json_object_array_get_idx(objects, i);

                if (i > 0)
                        putchar('\n');
                status = streq(object_string(object, "object"), "gpu") ? gpu_print(ctl, object)
                                                                       : vgpu_print(ctl, object);
        }

        return status;
}

/* A GPU's name goes before a label, as the name cannot be changed. */
static Status object_read_named(Ctl *ctl, const char *name, json_object **ret) {
        _cleanup_(json_object_putp) json_object *gpus = NULL;
        _cleanup_(freep) char *uuid = NULL;
        Status status;

        if (text_is_short_address(name))
                return gpu_read(ctl, name, ret);

        status = bus_list(ctl, &bus_list_gpus, /* gpu= */ NULL, &gpus);
        if (status != STATUS_DONE)
                return status;
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                const char *address = object_string(json_object_array_get_idx(gpus, i), "address");

                if (address && streq(address, name))
                        return gpu_read(ctl, name, ret);
        }

        status = vgpu_resolve(ctl, name, /* ret_error= */ NULL, &uuid);
        if (status != STATUS_DONE)
                return status;

        return ctl->unresolved ? gpu_read(ctl, name, ret) : vgpu_read(ctl, uuid, ret);
}

static Status status_of_objects(Ctl *ctl, char **names) {
        _cleanup_(json_object_putp) json_object *objects = NULL;
        Status status = STATUS_DONE;

        objects = json_object_new_array();
        if (!objects)
                return ctl_oom();

        for (; *names; names++) {
                json_object *object = NULL;
                Status one;

                one = text_is_uuid(*names) ? vgpu_read(ctl, *names, &object) : object_read_named(ctl, *names, &object);
                status = status_first(status, one);
                if (one == STATUS_UNREACHABLE)
                        return status;
                if (one == STATUS_DONE && array_add(objects, object) < 0)
                        return ctl_oom();
        }

        return status_first(status, objects_print(ctl, objects));
}

/* The daemon's properties with its lists; a daemon that knows no ConfigErrors has none to show. */
static Status overview_read(Ctl *ctl, json_object **ret) {
        _cleanup_(json_object_putp) json_object *overview = NULL, *gpus = NULL, *vgpus = NULL, *problems = NULL;
        json_object *errors;
        Status status;

        status = bus_get_properties(ctl, BUS_ROOT, BUS_MANAGER, &overview);
        if (status == STATUS_DONE)
                status = bus_list(ctl, &bus_list_gpus, /* gpu= */ NULL, &gpus);
        if (status == STATUS_DONE)
                status = vgpus_list(ctl, /* gpu= */ NULL, &vgpus);
        if (status != STATUS_DONE)
                return status;

        if (json_object_object_get_ex(overview, "config_errors", &errors)) {
                if (rows_name(errors, bus_list_problems.keys, &problems) < 0)
                        return ctl_error(STATUS_FAILED, "mdevgpud's list of configuration errors is malformed.");
                if (object_add(overview, "config_errors", TAKE(problems)) < 0)
                        return ctl_oom();
        }

        if (object_add(overview, "gpus", TAKE(gpus)) < 0 || object_add(overview, "vgpus", TAKE(vgpus)) < 0)
                return ctl_oom();

        *ret = TAKE(overview);
        return STATUS_DONE;
}

/* Replaces a list on the page by how long it is. */
static int page_add_count(json_object *page, json_object *overview, const char *key) {
        json_object *list;

        if (!json_object_object_get_ex(overview, key, &list))
                return 0;

        return object_add(page, key, json_object_new_int64((int64_t)json_object_array_length(list)));
}

static int page_add_configuration(json_object *page, json_object *problems) {
        size_t errors = problems_count(problems, "error"), warnings = json_object_array_length(problems) - errors;
        _cleanup_(freep) char *text = NULL;
        int r;

        if (errors == 0 && warnings == 0)
                return object_add_string(page, "configuration", "in order");

        if (warnings == 0)
                r = asprintf(&text, "%zu error%s", errors, errors == 1 ? "" : "s");
        else if (errors == 0)
                r = asprintf(&text, "%zu warning%s", warnings, warnings == 1 ? "" : "s");
        else
                r = asprintf(&text, "%zu error%s, %zu warning%s", errors, errors == 1 ? "" : "s", warnings,
                             warnings == 1 ? "" : "s");
        if (r < 0) {
                text = NULL;
                return -ENOMEM;
        }

        return object_add_string(page, "configuration", text);
}

static Status overview_print_page(const Ctl *ctl, json_object *overview, json_object *problems) {
        static const char *const hidden[] = { "config_errors", NULL };
        _cleanup_(json_object_putp) json_object *page = NULL;

        page = json_object_new_object();
        if (!page || object_merge(page, overview) < 0 || page_add_count(page, overview, "gpus") < 0 ||
            page_add_count(page, overview, "vgpus") < 0 || (problems && page_add_configuration(page, problems) < 0))
                return ctl_oom();

        return print_page(ctl, "mdevgpud", page, hidden);
}

static Status status_of_daemon(Ctl *ctl) {
        _cleanup_(json_object_putp) json_object *overview = NULL;
        json_object *problems = NULL;
        Status status;

        status = overview_read(ctl, &overview);
        if (status != STATUS_DONE)
                return status;

        if (ctl->output != OUTPUT_TEXT)
                return print_json(ctl, overview);

        (void)json_object_object_get_ex(overview, "config_errors", &problems);

        pager_open(ctl);
        status = overview_print_page(ctl, overview, problems);
        if (status == STATUS_DONE)
                status = table_below(ctl, columns_gpus, overview, "gpus");
        if (status == STATUS_DONE)
                status = table_below(ctl, columns_vgpus, overview, "vgpus");
        if (status != STATUS_DONE || !problems || json_object_array_length(problems) == 0)
                return status;

        putchar('\n');
        return problems_print(ctl, problems);
}

Status verb_status(Ctl *ctl, char **arguments) {
        return arguments[0] ? status_of_objects(ctl, arguments) : status_of_daemon(ctl);
}
