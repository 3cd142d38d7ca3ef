/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Topologies: named states of GPUs and vGPUs: what there are, what one would change, and doing it.
 */

#include <stdio.h>

#include "bus.h"
#include "pager.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

static const Column columns_topologies[] = {
        { "name", "NAME", 0, NULL },
        { "active", "ACTIVE", 0, NULL },
        { "default", "DEFAULT", 0, NULL },
        { "vgpus", "VGPUS", COLUMN_RIGHT, NULL },
        { "file", "FILE", COLUMN_TRUNCATE, NULL },
        { NULL, NULL, 0, NULL },
};

static const Column columns_steps[] = {
        { "action", "ACTION", 0, NULL },
        { "uuid", "UUID", 0, NULL },
        { "gpu", "GPU", 0, NULL },
        { "type", "TYPE", 0, NULL },
        { "label", "LABEL", 0, "-" },
        { "autostart", "AUTOSTART", 0, "no" },
        { "reason", "REASON", COLUMN_TRUNCATE, NULL },
        { NULL, NULL, 0, NULL },
};

static bool step_is(json_object *step, const char *action) {
        const char *s = object_string(step, "action");

        return s && streq(s, action);
}

static const BusList list_topologies = {
        .member = "ListTopologies",
        .expect = "a(ssba{sv})",
        .keys = (const char *const[]){ "name", "file", "active", NULL },
};

static Status topology_list(Ctl *ctl, const char *name) {
        _cleanup_(json_object_putp) json_object *rows = NULL;
        Status status;

        if (*name)
                return ctl_error(STATUS_USAGE, "'topology list' takes no name.");

        status = bus_list(ctl, &list_topologies, /* gpu= */ NULL, &rows);
        return status != STATUS_DONE ? status : rows_print(ctl, rows, columns_topologies, "No topologies.");
}

static Status plan_get(Ctl *ctl, const char *name, json_object **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Status status;
        int r;

        status = bus_call(ctl, "PlanTopology", "aa{sv}", &reply, "sa{sv}", name, 0);
        if (status != STATUS_DONE)
                return status;

        r = reply_read_value(reply, ret);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to PlanTopology: %s.", strerror(-r));

        return STATUS_DONE;
}

/* The steps of which it is said whether they are wanted; what cannot be done has no vGPU and is no row of a table. */
static Status steps_pick(json_object *plan, bool keeps, bool refusals, json_object **ret) {
        _cleanup_(json_object_putp) json_object *picked = json_object_new_array();

        if (!picked)
                return ctl_oom();

        for (size_t i = 0; i < json_object_array_length(plan); i++) {
                json_object *step = json_object_array_get_idx(plan, i);

                if ((step_is(step, "keep") && !keeps) || (step_is(step, "refuse") && !refusals))
                        continue;
                if (array_add(picked, json_object_get(step)) < 0)
                        return ctl_oom();
        }

        *ret = TAKE(picked);
        return STATUS_DONE;
}

static size_t refusals_report(json_object *plan) {
        size_t n = 0;

        for (size_t i = 0; i < json_object_array_length(plan); i++) {
                json_object *step = json_object_array_get_idx(plan, i);
                const char *reason = object_string(step, "reason");

                if (!step_is(step, "refuse"))
                        continue;
                (void)ctl_error(STATUS_FAILED, "Cannot be: %s", reason ? reason : "for no reason that is told");
                n++;
        }

        return n;
}

/* Prints the plan, with what stays or without; *ret_different: something would change, or cannot. */
static Status plan_show(Ctl *ctl, const char *name, bool keeps, bool *ret_different, size_t *ret_n_refused) {
        _cleanup_(json_object_putp) json_object *plan = NULL, *rows = NULL, *changes = NULL;
        bool text = ctl->output == OUTPUT_TEXT;
        Status status;

        status = plan_get(ctl, name, &plan);
        if (status == STATUS_DONE)
                status = steps_pick(plan, keeps, /* refusals= */ !text, &rows);
        if (status == STATUS_DONE)
                status = steps_pick(plan, /* keeps= */ false, /* refusals= */ true, &changes);
        if (status != STATUS_DONE)
                return status;

        *ret_different = json_object_array_length(changes) > 0;
        if (!ctl->quiet && !(text && *ret_different && json_object_array_length(rows) == 0))
                status = rows_print(ctl, rows, columns_steps, "Nothing differs.");
        *ret_n_refused = text && !ctl->quiet ? refusals_report(plan) : 0;
        return status;
}

static Status topology_plan(Ctl *ctl, const char *name) {
        size_t n_refused = 0;
        bool different;
        Status status;

        status = plan_show(ctl, name, /* keeps= */ true, &different, &n_refused);
        return status_first(status, n_refused > 0 ? STATUS_FAILED : STATUS_DONE);
}

static Status topology_diff(Ctl *ctl, const char *name) {
        bool different = false;
        size_t n_refused;
        Status status;

        status = plan_show(ctl, name, /* keeps= */ false, &different, &n_refused);
        return status_first(status, different ? STATUS_DIFFERENT : STATUS_DONE);
}

static Status topology_apply(Ctl *ctl, const char *name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Status status;

        status = bus_change(ctl, "ApplyTopology", "o", /* ret_error= */ NULL, &reply, "s", name);
        return status != STATUS_DONE ? status : job_wait(ctl, reply);
}

/* A text as YAML takes it in double quotes, which is as JSON writes it. */
static void yaml_print(const char *key, const char *text) {
        json_object *string = json_object_new_string(text ? text : "");

        printf("%s%s", key,
               string ? json_object_to_json_string_ext(string, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
                      : "\"\"");
        json_object_put(string);
}

static bool is_exported(json_object *vgpu, const char *gpu) {
        const char *of = object_string(vgpu, "gpu"), *state = object_string(vgpu, "state");

        return object_is_true(vgpu, "managed") && of && streq(of, gpu) && state && streq(state, "active");
}

static void vgpu_export(json_object *vgpu) {
        yaml_print("    - {type: ", object_string(vgpu, "type"));
        yaml_print(", uuid: ", object_string(vgpu, "uuid"));
        if (!isempty(object_string(vgpu, "label")))
                yaml_print(", label: ", object_string(vgpu, "label"));
        if (object_is_true(vgpu, "autostart"))
                printf(", autostart: true");
        puts("}");
}

/* Every GPU that makes vGPUs, with what we made there: what there is, and that there is no more. */
static Status topology_export(Ctl *ctl, const char *name) {
        _cleanup_(json_object_putp) json_object *gpus = NULL, *vgpus = NULL;
        Status status;

        status = bus_list(ctl, &bus_list_gpus, /* gpu= */ NULL, &gpus);
        if (status == STATUS_DONE)
                status = bus_list(ctl, &bus_list_vgpus, /* gpu= */ NULL, &vgpus);
        if (status != STATUS_DONE)
                return status;

        puts("version: 1\ntopologies:");
        yaml_print("  ", *name ? name : "exported");
        puts(":");
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *gpu = json_object_array_get_idx(gpus, i), *n_vfs, *mixed;
                const char *address = object_string(gpu, "address"), *state = object_string(gpu, "state");
                bool any = false;

                if (!address || !state || !streq(state, "ready"))
                        continue;
                yaml_print("  - match: {address: ", address);
                puts("}");
                if (json_object_object_get_ex(gpu, "num_vfs", &n_vfs))
                        printf("    virtual-functions: %s\n", json_object_get_string(n_vfs));
                if (json_object_object_get_ex(gpu, "mixed_size", &mixed))
                        printf("    mixed-size: %s\n", json_object_get_string(mixed));
                for (size_t j = 0; j < json_object_array_length(vgpus); j++) {
                        json_object *vgpu = json_object_array_get_idx(vgpus, j);

                        if (!is_exported(vgpu, address))
                                continue;
                        if (!any)
                                puts("    vgpus:");
                        any = true;
                        vgpu_export(vgpu);
                }
                if (!any)
                        puts("    vgpus: []");
        }

        return STATUS_DONE;
}

Status verb_topology(Ctl *ctl, char **arguments) {
        static const struct {
                const char *word;
                Status (*run)(Ctl *ctl, const char *name);
        } words[] = {
                { "list", topology_list },   { "plan", topology_plan },   { "diff", topology_diff },
                { "assert", topology_diff }, { "apply", topology_apply }, { "export", topology_export },
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(words[i].word, arguments[0]))
                        return words[i].run(ctl, arguments[1] ? arguments[1] : "");

        return ctl_error(STATUS_USAGE,
                         "'topology %s' is nothing that can be done; 'mdevgpuctl help topology' lists it.",
                         arguments[0]);
}
