/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The daemon itself: its configuration and its version.
 */

#include <stdio.h>

#include "bus.h"
#include "pager.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

/* "FILE:LINE:COLUMN: "; a file that cannot be read has no line, and what is no file's fault no place at all. */
static Status problem_print_place(json_object *problem) {
        static const char *const keys[] = { "file", "line", "column" };
        size_t i;

        for (i = 0; i < ELEMENTSOF(keys); i++) {
                _cleanup_(freep) char *safe = NULL;
                json_object *value;

                if (!json_object_object_get_ex(problem, keys[i], &value) || isempty(json_object_get_string(value)))
                        break;

                safe = text_escape(json_object_get_string(value), 0, 0);
                if (!safe)
                        return ctl_oom();

                printf("%s:", safe);
        }

        if (i > 0)
                putchar(' ');
        return STATUS_DONE;
}

static Status problem_print(const Ctl *ctl, json_object *problem) {
        const char *severity = object_string(problem, "severity"), *message = object_string(problem, "message");
        bool bad = ctl->color && severity && streq(severity, "error");
        _cleanup_(freep) char *safe_severity = NULL, *safe_message = NULL;
        Status status;

        safe_severity = text_escape(severity ? severity : "", 0, 0);
        safe_message = text_escape(message ? message : "", 0, 0);
        if (!safe_severity || !safe_message)
                return ctl_oom();

        status = problem_print_place(problem);
        if (status != STATUS_DONE)
                return status;

        printf("%s%s:%s %s\n", bad ? COLOR_RED : "", safe_severity, bad ? COLOR_OFF : "", safe_message);
        return STATUS_DONE;
}

Status problems_print(const Ctl *ctl, json_object *problems) {
        Status status = STATUS_DONE;

        for (size_t i = 0; i < json_object_array_length(problems) && status == STATUS_DONE; i++)
                status = problem_print(ctl, json_object_array_get_idx(problems, i));

        return status;
}

size_t problems_count(json_object *problems, const char *severity) {
        size_t n = 0;

        for (size_t i = 0; i < json_object_array_length(problems); i++) {
                const char *s = object_string(json_object_array_get_idx(problems, i), "severity");

                if (s && streq(s, severity))
                        n++;
        }

        return n;
}

Status verb_check(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *problems = NULL;
        Status status;

        status = bus_list(ctl, &bus_list_problems, /* gpu= */ NULL, &problems);
        if (status != STATUS_DONE)
                return status;

        if (ctl->output != OUTPUT_TEXT)
                status = print_json(ctl, problems);
        else if (!ctl->quiet) {
                pager_open(ctl);
                status = problems_print(ctl, problems);
        }

        return status_first(status, problems_count(problems, "error") > 0 ? STATUS_FAILED : STATUS_DONE);
}

static size_t types_count(json_object *types, const char *registration) {
        size_t n = 0;

        for (size_t i = 0; i < json_object_array_length(types); i++) {
                const char *s = object_string(json_object_array_get_idx(types, i), "registration");

                if (s && streq(s, registration))
                        n++;
        }

        return n;
}

/*
 * The configuration is in force, and yet a driver may not have what it states: that is no failure of the reload, but who
 * asked for it wants to know.
 */
static void reload_tell_types(Ctl *ctl) {
        static const struct {
                const char *registration, *text;
        } kinds[] = {
                { "pending", "pending" },
                { "refused", "refused" },
                { "differs", "held otherwise by the driver" },
        };
        _cleanup_(json_object_putp) json_object *types = NULL;
        bool any = false;

        if (ctl->quiet || bus_list(ctl, &bus_list_types, /* gpu= */ NULL, &types) != STATUS_DONE)
                return;

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                size_t n = types_count(types, kinds[i].registration);

                if (n == 0)
                        continue;

                fprintf(stderr, "%s%zu%s %s", any ? ", " : "", n, any ? "" : n == 1 ? " type" : " types", kinds[i].text);
                any = true;
        }

        if (any)
                fputs("; 'mdevgpuctl types' says why\n", stderr);
}

Status verb_reload(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *answer = NULL;
        Status status;

        status = bus_change(ctl, "Reload", "", /* ret_error= */ NULL, /* ret_reply= */ NULL, /* types= */ NULL);
        if (status != STATUS_DONE)
                return status;

        reload_tell_types(ctl);
        if (ctl->output == OUTPUT_TEXT)
                return STATUS_DONE;

        answer = json_object_new_object();
        if (!answer || object_add(answer, "reloaded", json_object_new_boolean(true)) < 0)
                return ctl_oom();

        return print_json(ctl, answer);
}

/* The command's version is known even where the daemon's is not. */
Status verb_version(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *properties = NULL, *answer = NULL;
        json_object *version = NULL;
        _cleanup_(freep) char *text = NULL;
        Status status;

        status = bus_get_properties(ctl, BUS_ROOT, BUS_MANAGER, &properties);
        (void)json_object_object_get_ex(properties, "version", &version);

        if (ctl->output != OUTPUT_TEXT) {
                answer = json_object_new_object();
                if (!answer || object_add_string(answer, "mdevgpuctl", MDEVGPUCTL_VERSION) < 0 ||
                    object_add(answer, "mdevgpud", json_object_get(version)) < 0)
                        return ctl_oom();

                return status_first(status, print_json(ctl, answer));
        }

        printf("mdevgpuctl %s\n", MDEVGPUCTL_VERSION);
        if (status != STATUS_DONE)
                return status;

        text = print_text("version", version, 0);
        if (!text)
                return ctl_oom();

        printf("mdevgpud %s\n", text);
        return STATUS_DONE;
}
