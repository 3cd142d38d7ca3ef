/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Migration: what two hosts compare before a vGPU moves, what is known of moving one, and the destination's side of it.
 */

#include <fcntl.h>
#include <stdio.h>

#include "bus.h"
#include "pager.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

/* Far more than any answer of GetMigrationInfo() has. */
#define REMOTE_MAX 65536U

static Status object_read(const char *member, sd_bus_message *reply, json_object **ret) {
        int r;

        r = reply_read_value(reply, ret);
        return r < 0 ? ctl_error(STATUS_FAILED, "Cannot read the answer to %s: %s.", member, strerror(-r))
                     : STATUS_DONE;
}

static Status info_show(Ctl *ctl, char **arguments) {
        static const char *const hidden[] = { NULL };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *info = NULL;
        _cleanup_(freep) char *gpu = NULL;
        Status status;

        if (ctl->given & OPTION_PROBE)
                return ctl_error(STATUS_USAGE, "--probe goes with a UUID: a type cannot be opened.");

        status = gpu_resolve(ctl, arguments[0], /* absent= */ false, &gpu);
        if (status == STATUS_DONE)
                status = bus_call(ctl, "GetMigrationInfo", "a{sv}", &reply, "ssa{sv}", gpu, arguments[1], 0);
        if (status == STATUS_DONE)
                status = object_read("GetMigrationInfo", reply, &info);
        if (status != STATUS_DONE)
                return status;
        if (ctl->output != OUTPUT_TEXT)
                return print_json(ctl, info);

        return print_page(ctl, arguments[1], info, hidden);
}

static void reasons_print(json_object *object) {
        json_object *reasons;

        if (!json_object_object_get_ex(object, "reasons", &reasons) || !json_object_is_type(reasons, json_type_array))
                return;

        for (size_t i = 0; i < json_object_array_length(reasons); i++) {
                _cleanup_(freep) char *safe =
                        text_escape(json_object_get_string(json_object_array_get_idx(reasons, i)), 0, 0);

                printf("  %s\n", safe ? safe : "");
        }
}

static Status query_show(Ctl *ctl, const char *name) {
        static const char *const hidden[] = { "reasons", "users", NULL };
        _cleanup_(freep) char *uuid = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *answer = NULL;
        json_object *users;
        Status status;

        status = vgpu_resolve(ctl, name, /* ret_error= */ NULL, &uuid);
        if (status != STATUS_DONE)
                return status;

        if (ctl->given & OPTION_PROBE)
                status = bus_change(ctl, "QueryMigration", "a{sv}", /* ret_error= */ NULL, &reply, "s", uuid);
        else
                status = bus_call(ctl, "QueryMigration", "a{sv}", &reply, "sa{sv}", uuid, 0);
        if (status == STATUS_DONE)
                status = object_read("QueryMigration", reply, &answer);
        if (status != STATUS_DONE)
                return status;
        if (ctl->output != OUTPUT_TEXT)
                return print_json(ctl, answer);

        status = print_page(ctl, uuid, answer, hidden);
        reasons_print(answer);
        if (status != STATUS_DONE || !json_object_object_get_ex(answer, "users", &users) ||
            !json_object_is_type(users, json_type_array) || json_object_array_length(users) == 0)
                return status;

        putchar('\n');
        return print_table(ctl, columns_users + 1, users); /* without the vGPU, which is one */
}

Status verb_migration(Ctl *ctl, char **arguments) {
        if (!arguments[1] && text_is_address(arguments[0]))
                return ctl_error(STATUS_USAGE, "'%s' is no vGPU; usage: mdevgpuctl migration GPU TYPE|UUID",
                                 arguments[0]);

        return arguments[1] ? info_show(ctl, arguments) : query_show(ctl, arguments[0]);
}

/* All of a file, or of standard input, as one JSON object. */
static Status remote_read(const char *name, json_object **ret) {
        _cleanup_(freep) char *text = malloc(REMOTE_MAX + 1);
        bool is_input = streq(name, "-");
        size_t n = 0;
        ssize_t k = 0;
        int fd;

        if (!text)
                return ctl_oom();
        fd = is_input ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return ctl_error(STATUS_FAILED, "Cannot open %s: %s.", name, strerror(errno));

        while (n <= REMOTE_MAX && (k = read(fd, text + n, REMOTE_MAX + 1 - n)) != 0) {
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        break;
                n += (size_t)k;
        }
        if (k < 0)
                (void)ctl_error(STATUS_FAILED, "Cannot read %s: %s.", name, strerror(errno));
        if (!is_input)
                (void)close(fd);
        if (k < 0)
                return STATUS_FAILED;

        text[n <= REMOTE_MAX ? n : 0] = '\0';
        *ret = n <= REMOTE_MAX ? json_tokener_parse(text) : NULL;
        if (!json_object_is_type(*ret, json_type_object))
                return ctl_error(STATUS_USAGE,
                                 "%s has not what 'mdevgpuctl migration GPU TYPE --json' prints on the other host.",
                                 is_input ? "Standard input" : name);
        return STATUS_DONE;
}

typedef struct Remote {
        const char *gpu;
        json_object *object;
} Remote;

/* "driver_version" is "driver-version" on the bus. What is not known is null, and is not sent. */
static int entry_append(sd_bus_message *m, const char *name, json_object *value) {
        _cleanup_(freep) char *key = strdup(name);

        if (!key)
                return -ENOMEM;
        for (char *p = key; *p; p++)
                if (*p == '_')
                        *p = '-';

        switch (json_object_get_type(value)) {
        case json_type_boolean:
                return sd_bus_message_append(m, "{sv}", key, "b", json_object_get_boolean(value));
        case json_type_int:
                return sd_bus_message_append(m, "{sv}", key, "t", json_object_get_uint64(value));
        case json_type_string:
                return sd_bus_message_append(m, "{sv}", key, "s", json_object_get_string(value));
        default:
                return 0;
        }
}

static int remote_append(sd_bus_message *m, void *userdata) {
        const Remote *remote = userdata;
        int r;

        r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, remote->gpu);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        json_object_object_foreach(remote->object, key, value) {
                if (r >= 0)
                        r = entry_append(m, key, value);
        }

        return r < 0 ? r : sd_bus_message_close_container(m);
}

static Status verdict_status(const char *verdict) {
        if (streq(verdict, "compatible"))
                return STATUS_DONE;
        if (streq(verdict, "incompatible"))
                return STATUS_DIFFERENT;

        return streq(verdict, "unknown") ? STATUS_UNKNOWN : STATUS_FAILED;
}

Status verb_compat(Ctl *ctl, char **arguments) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *remote = NULL, *answer = NULL, *reasons = NULL;
        _cleanup_(freep) char *gpu = NULL;
        const char *verdict;
        Status status;
        int r;

        status = remote_read(arguments[1], &remote);
        if (status == STATUS_DONE)
                status = gpu_resolve(ctl, arguments[0], /* absent= */ false, &gpu);
        if (status == STATUS_DONE)
                status = bus_call_with(ctl, "CheckCompatibility", "sas", &reply, remote_append,
                                       &(Remote){ .gpu = gpu, .object = remote });
        if (status != STATUS_DONE)
                return status;

        answer = json_object_new_object();
        r = sd_bus_message_read(reply, "s", &verdict);
        if (r >= 0)
                r = reply_read_value(reply, &reasons);
        if (r >= 0)
                r = answer ? object_add_string(answer, "verdict", verdict) : -ENOMEM;
        if (r >= 0)
                r = object_add(answer, "reasons", TAKE(reasons));
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to CheckCompatibility: %s.", strerror(-r));

        status = verdict_status(verdict);
        if (ctl->output != OUTPUT_TEXT)
                return status_first(print_json(ctl, answer), status);
        if (!ctl->quiet) {
                _cleanup_(freep) char *safe = text_escape(verdict, 0, 0);

                puts(safe ? safe : "");
                reasons_print(answer);
        }
        return status;
}
