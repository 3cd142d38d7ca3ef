/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Users: the processes that hold vGPUs open.
 */

#include <stdio.h>

#include "bus.h"
#include "pager.h"
#include "print.h"
#include "reply.h"
#include "verbs.h"

const Column columns_users[] = {
        { "uuid", "UUID", 0, NULL },
        { "pid", "PID", COLUMN_RIGHT, NULL },
        { "uid", "UID", COLUMN_RIGHT, NULL },
        { "comm", "COMMAND", 0, NULL },
        { "unit", "UNIT", 0, NULL },
        { "vm", "VM", 0, NULL },
        { NULL, NULL, 0, NULL },
};

/* All keys are there, whatever is known of the process, and none of the daemon's replaces the UUID. */
static int user_add(json_object *users, const char *uuid, json_object *told) {
        static const char *const keys[] = { "pid", "uid", "comm", "unit", "vm" };
        json_object *user;

        user = json_object_new_object();
        if (!user || array_add(users, user) < 0 || object_add_string(user, "uuid", uuid) < 0)
                return -ENOMEM;

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                json_object *value = NULL;

                (void)json_object_object_get_ex(told, keys[i], &value);
                if (object_add(user, keys[i], json_object_get(value)) < 0)
                        return -ENOMEM;
        }

        return object_merge(user, told);
}

Status users_add(Ctl *ctl, const char *uuid, json_object *users) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *told = NULL;
        Status status;
        int r;

        status = bus_call(ctl, "GetUsers", "aa{sv}", &reply, "sa{sv}", uuid, 0);
        if (status != STATUS_DONE)
                return status;

        r = reply_read_value(reply, &told);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(told); i++)
                r = user_add(users, uuid, json_object_array_get_idx(told, i));
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to GetUsers: %s.", strerror(-r));

        return STATUS_DONE;
}

Status verb_users(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *users = NULL;
        bool several = arguments[1];
        Status status = STATUS_DONE;

        users = json_object_new_array();
        if (!users)
                return ctl_oom();

        for (; *arguments; arguments++) {
                _cleanup_(freep) char *uuid = NULL;
                Status one = vgpu_resolve(ctl, *arguments, /* ret_error= */ NULL, &uuid);

                if (one == STATUS_DONE)
                        one = users_add(ctl, uuid, users);
                status = status_first(status, one);
                if (one == STATUS_UNREACHABLE)
                        return status;
        }

        /* No user was found, which is not said where somebody could not be asked for. */
        if (status != STATUS_DONE && json_object_array_length(users) == 0 && ctl->output == OUTPUT_TEXT)
                return status;

        return status_first(status,
                            rows_print(ctl, users, several ? columns_users : columns_users + 1, "No users found."));
}
