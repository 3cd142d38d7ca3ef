/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Saved states: what vGPUs had in them, kept by the daemon under a name.
 */

#include <stdio.h>

#include "bus.h"
#include "job.h"
#include "pager.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

static const Column columns_states[] = {
        { "name", "NAME", 0, NULL },       { "uuid", "VGPU", 0, NULL },
        { "type", "TYPE", 0, NULL },       { "size", "SIZE", COLUMN_RIGHT, NULL },
        { "created", "CREATED", 0, NULL }, { "label", "LABEL", COLUMN_TRUNCATE, "-" },
        { NULL, NULL, 0, NULL },
};

static Status state_print_json(const Ctl *ctl, sd_bus_message *reply, json_object *result, const char *file) {
        const char *path;
        Status status;

        status = job_path(reply, &path);
        if (status != STATUS_DONE)
                return status;

        /* Of what went on, not of what came of it. */
        json_object_object_del(result, "phase");
        json_object_object_del(result, "dirty");
        if (object_add_string(result, "job", path) < 0 || (file && object_add_string(result, "file", file) < 0))
                return ctl_oom();

        return print_json(ctl, result);
}

/* " 12 MiB", "; it stood still for 83 ms" */
static void amount_print(json_object *result, const char *before, const char *key, const char *behind) {
        _cleanup_(freep) char *text = NULL;
        json_object *value;

        if (!json_object_object_get_ex(result, key, &value) || !json_object_is_type(value, json_type_int))
                return;

        text = print_text(key, value, 0);
        fprintf(stderr, "%s%s%s", before, text ? text : "-", behind);
}

Status state_tell(const Ctl *ctl, sd_bus_message *reply, json_object *job, const StateWords *words) {
        _cleanup_(freep) char *name = NULL;
        json_object *result = NULL;
        const char *uuid;

        (void)json_object_object_get_ex(job, "result", &result);
        uuid = json_object_is_type(result, json_type_object) ? object_string(result, "uuid") : NULL;

        /* Scripts take it for a UUID without looking. */
        if (!uuid || !text_is_uuid(uuid))
                return ctl_error(STATUS_FAILED, "It is done, but mdevgpud does not say with which vGPU.");
        if (ctl->output != OUTPUT_TEXT)
                return state_print_json(ctl, reply, result, words->file);
        if (ctl->quiet)
                return STATUS_DONE;

        name = text_escape(words->name ? words->name : "", 0, 0);
        if (!name)
                return ctl_oom();

        fprintf(stderr, "%s vGPU %s%s%s%s%s", words->done, uuid, words->name ? " " : "", words->name ? words->to : "",
                words->name ? " " : "", name);
        amount_print(result, ": ", "bytes", "");
        if (!words->is_restored)
                amount_print(result, "; it stood still for ", "downtime", "");
        fputs(".\n", stderr);
        if (object_is_true(result, "reset"))
                fputs("Its driver did not let it go on: it was reset, and is as new.\n", stderr);
        if (words->is_restored)
                puts(uuid);
        return STATUS_DONE;
}

/* Nobody waits for it: its number, by which jobs shows and cancel stops it. */
static Status job_leave(const Ctl *ctl, sd_bus_message *reply) {
        _cleanup_(json_object_putp) json_object *answer = NULL;
        const char *path, *id;
        Status status;

        status = job_path(reply, &path);
        if (status != STATUS_DONE)
                return status;

        if (ctl->output != OUTPUT_TEXT) {
                answer = json_object_new_object();
                if (!answer || object_add_string(answer, "job", path) < 0)
                        return ctl_oom();
                return print_json(ctl, answer);
        }

        id = strrchr(path, '/');
        if (!ctl->quiet)
                puts(id ? id + 1 : path);
        return STATUS_DONE;
}

static Status state_finish(Ctl *ctl, sd_bus_message *reply, const StateWords *words) {
        _cleanup_(json_object_putp) json_object *job = NULL;
        Status status;

        if (ctl->given & OPTION_NO_WAIT)
                return job_leave(ctl, reply);

        interrupts_catch(/* transfer= */ false);
        status = job_follow(ctl, reply, &job);
        return status != STATUS_DONE ? status : state_tell(ctl, reply, job, words);
}

Status verb_save(Ctl *ctl, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *uuid = NULL;
        Status status;

        status = vgpu_resolve(ctl, arguments[0], /* ret_error= */ NULL, &uuid);
        if (status == STATUS_DONE)
                status = bus_change(ctl, "SaveState", "o", /* ret_error= */ NULL, &reply, "ss", uuid, arguments[1]);
        if (status != STATUS_DONE)
                return status;

        return state_finish(ctl, reply, &(StateWords){ .done = "Saved", .to = "as", .name = arguments[1] });
}

Status verb_restore(Ctl *ctl, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *gpu = NULL;
        Status status;

        status = gpu_resolve(ctl, arguments[1] ? arguments[1] : "", /* absent= */ false, &gpu);
        if (status == STATUS_DONE)
                status = bus_change(ctl, "RestoreState", "o", /* ret_error= */ NULL, &reply, "ss", gpu, arguments[0]);
        if (status != STATUS_DONE)
                return status;

        ctl->about = arguments[0];
        return state_finish(
                ctl, reply,
                &(StateWords){ .done = "Restored", .to = "from", .name = arguments[0], .is_restored = true });
}

static int state_compare(const void *a, const void *b) {
        const char *s = object_string(*(json_object *const *)a, "name");
        const char *t = object_string(*(json_object *const *)b, "name");

        return s && t ? strcmp(s, t) : 0;
}

/* Files that are no state that can be read, a line each below the table. */
static Status states_print_errors(json_object *states) {
        bool any = false;

        for (size_t i = 0; i < json_object_array_length(states); i++) {
                json_object *state = json_object_array_get_idx(states, i);
                const char *name = object_string(state, "name"), *error = object_string(state, "error");
                _cleanup_(freep) char *safe_name = NULL, *safe = NULL;

                if (isempty(error))
                        continue;
                safe_name = text_escape(name ? name : "-", 0, 0);
                safe = text_escape(error, 0, 0);
                if (!safe_name || !safe)
                        return ctl_oom();
                printf("%s%s: %s\n", any ? "" : "\n", safe_name, safe);
                any = true;
        }

        return STATUS_DONE;
}

Status verb_states(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *states = NULL;
        Status status;

        status = bus_list(ctl, &bus_list_states, /* gpu= */ NULL, &states);
        if (status != STATUS_DONE)
                return status;

        json_object_array_sort(states, state_compare);
        status = rows_print(ctl, states, columns_states, "No saved states.");
        return status != STATUS_DONE || ctl->output != OUTPUT_TEXT || ctl->no_legend ? status
                                                                                     : states_print_errors(states);
}
