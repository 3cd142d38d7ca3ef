/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Metrics of everything: GPUs, types and vGPUs as they are now, operations as the daemon has counted them.
 *
 * Everything is read before anything is printed, so that what is printed is whole.
 */

#include <stdio.h>

#include "bus.h"
#include "metrics.h"
#include "print.h"
#include "reply.h"
#include "verbs.h"

/* What the bus said, by path: a{oa{sa{sv}}} with the keys of its properties. */
typedef struct Model {
        json_object *daemon; /* properties of the Manager */
        json_object *gpus, *types, *vgpus; /* arrays of objects with their properties, and `path` */
        json_object *statistics; /* NULL: this daemon has none */
} Model;

static void model_done(Model *model) {
        json_object_put(model->daemon);
        json_object_put(model->gpus);
        json_object_put(model->types);
        json_object_put(model->vgpus);
        json_object_put(model->statistics);
}

static int read_object(sd_bus_message *m, Model *model, const char *path) {
        static const char *const names[] = { BUS_GPU, BUS_TYPE, BUS_VGPU };
        json_object *const lists[] = { model->gpus, model->types, model->vgpus };
        const char *interface;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                json_object *properties = NULL;

                r = sd_bus_message_read_basic(m, 's', &interface);
                if (r >= 0)
                        r = reply_read_value(m, &properties);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < ELEMENTSOF(names); i++)
                        if (streq(interface, names[i])) {
                                r = object_add_string(properties, "path", path);
                                if (r >= 0)
                                        r = array_add(lists[i], json_object_get(properties));
                        }
                json_object_put(properties);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_objects(sd_bus_message *m, Model *model) {
        const char *path;
        int r;

        model->gpus = json_object_new_array();
        model->types = json_object_new_array();
        model->vgpus = json_object_new_array();
        if (!model->gpus || !model->types || !model->vgpus)
                return -ENOMEM;

        r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
                r = sd_bus_message_read_basic(m, 'o', &path);
                if (r >= 0)
                        r = read_object(m, model, path);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        return r;
}

/* A method that a daemon of another version may not have; *ret is NULL then. */
static Status ask_optional(Ctl *ctl, const char *member, const char *expect, const char *argument, json_object **ret) {
        const BusMethod method = { NULL, BUS_ROOT, BUS_MANAGER, member, false };
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Status status;

        *ret = NULL;
        if (argument)
                status = bus_try(ctl, &method, expect, &error, &reply, "sa{sv}", argument, 0);
        else
                status = bus_try(ctl, &method, expect, &error, &reply, "a{sv}", 0);
        /* Also what is refused of one thing, or has gone meanwhile: the rest is told. */
        if (sd_bus_error_is_set(&error))
                return status == STATUS_UNREACHABLE ? bus_error_report(ctl, &error) : STATUS_DONE;
        if (status != STATUS_DONE)
                return status;

        if (reply_read_value(reply, ret) < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to %s.", member);
        return STATUS_DONE;
}

/* A count of users where one is known or has to be looked for: what is known not to be used has none. */
static Status users_count(Ctl *ctl, json_object *vgpu) {
        const char *use = object_string(vgpu, "in_use"), *state = object_string(vgpu, "state");
        const char *uuid = object_string(vgpu, "uuid");
        _cleanup_(json_object_putp) json_object *users = NULL;
        Status status;

        if (!uuid || !state || (!streq(state, "active") && !streq(state, "incoming") && !streq(state, "removing")))
                return STATUS_DONE;
        if (use && streq(use, "no"))
                return object_add(vgpu, "n_users", json_object_new_int64(0)) < 0 ? ctl_oom() : STATUS_DONE;

        status = ask_optional(ctl, "GetUsers", "aa{sv}", uuid, &users);
        if (status != STATUS_DONE || !users)
                return status;

        return object_add(vgpu, "n_users", json_object_new_int64((int64_t)json_object_array_length(users))) < 0
                       ? ctl_oom()
                       : STATUS_DONE;
}

static Status usage_get(Ctl *ctl, json_object *gpu) {
        const char *address = object_string(gpu, "address");
        json_object *usage = NULL;
        Status status;

        if (!address)
                return STATUS_DONE;

        status = ask_optional(ctl, "GetUsage", "a{sv}", address, &usage);
        if (status == STATUS_DONE && usage && object_add(gpu, "usage", usage) < 0)
                return ctl_oom();
        return status;
}

static Status model_read(Ctl *ctl, Model *model) {
        static const BusMethod get = { NULL, BUS_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                                       false };
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Status status;

        status = bus_get_properties(ctl, BUS_ROOT, BUS_MANAGER, &model->daemon);
        if (status != STATUS_DONE)
                return status;
        status = bus_try(ctl, &get, "a{oa{sa{sv}}}", &error, &reply, NULL);
        if (sd_bus_error_is_set(&error))
                return bus_error_report(ctl, &error);
        if (status != STATUS_DONE)
                return status;
        if (read_objects(reply, model) < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to GetManagedObjects.");

        status = ask_optional(ctl, "GetStatistics", "a{sv}", NULL, &model->statistics);
        for (size_t i = 0; status == STATUS_DONE && i < json_object_array_length(model->gpus); i++)
                status = usage_get(ctl, json_object_array_get_idx(model->gpus, i));
        for (size_t i = 0; status == STATUS_DONE && i < json_object_array_length(model->vgpus); i++)
                status = users_count(ctl, json_object_array_get_idx(model->vgpus, i));
        return status;
}

Status verb_metrics(Ctl *ctl, char **arguments) {
        Model model = {};
        Status status;

        if (ctl->output != OUTPUT_TEXT)
                return ctl_error(STATUS_USAGE, "metrics prints OpenMetrics text; there is no JSON of it.");

        status = model_read(ctl, &model);
        if (status == STATUS_DONE) {
                metrics_print_daemon(model.daemon);
                metrics_print_gpus(model.gpus);
                metrics_print_types(model.types, model.gpus);
                metrics_print_vgpus(model.vgpus, model.gpus);
                if (model.statistics)
                        metrics_print_statistics(model.statistics);
                metrics_end();
        }

        model_done(&model);
        return status;
}
