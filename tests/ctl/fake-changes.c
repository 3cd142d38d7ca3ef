/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes, of which the stand-in daemon makes none: it only answers as if it had.
 */

#include <errno.h>

#include "fake.h"

/* What the rest of the message, or of the container that has been entered, says. */
static void render(FILE *f, sd_bus_message *m) {
        const char *contents, *text, *gap = "";
        char type;
        int flag;

        while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
                fputs(gap, f);
                gap = " ";
                if (type == 's') {
                        check(sd_bus_message_read_basic(m, type, &text), "read");
                        fprintf(f, "'%s'", text);
                } else if (type == 'b') {
                        check(sd_bus_message_read_basic(m, type, &flag), "read");
                        fputs(flag ? "true" : "false", f);
                } else if (type == 'h') {
                        check(sd_bus_message_skip(m, "h"), "skip");
                        fputs("file", f);
                } else {
                        check(sd_bus_message_enter_container(m, type, contents), "enter");
                        fputc(type == 'a' ? '[' : '(', f);
                        render(f, m);
                        fputc(type == 'a' ? ']' : ')', f);
                        check(sd_bus_message_exit_container(m), "exit");
                }
        }
}

int echo(sd_bus_message *m) {
        char *text = NULL;
        size_t size = 0;
        FILE *f;

        f = open_memstream(&text, &size);
        check(f ? 0 : -ENOMEM, "echo");
        check(sd_bus_message_rewind(m, true), "rewind");
        render(f, m);
        check(fclose(f) == 0 ? 0 : -ENOMEM, "echo");

        check(sd_bus_reply_method_errorf(m, ERROR_PREFIX "NotSupported", "%s %s", sd_bus_message_get_member(m), text),
              "reply");
        free(text);
        return 1;
}

int answer_create(sd_bus_message *m, sd_bus_message *reply) {
        const char *gpu, *type, *uuid;

        check(sd_bus_message_read(m, "sss", &gpu, &type, &uuid), "read");
        if (obey(m, gpu))
                return 1;
        if (strcmp(uuid, UUID_ECHO) == 0)
                return echo(m);
        if (is("odd")) {
                check(sd_bus_reply_method_errorf(m, ERROR_PREFIX "NotSupported", "asked for %s", gpu), "reply");
                return 1;
        }
        if (sd_bus_message_is_method_call(m, NULL, "DefineVGpu") &&
            (strcasecmp(uuid, UUID) == 0 || strcmp(uuid, UUID_FAILED) == 0 || strcasecmp(uuid, UUID_DEFINED) == 0)) {
                check(sd_bus_reply_method_errorf(m, ERROR_PREFIX "AlreadyExists", "%s is taken already.", uuid),
                      "reply");
                return 1;
        }

        if (is("hostile"))
                uuid = HOSTILE;
        else if (!*uuid)
                uuid = UUID;
        APPEND(reply, "so", uuid, VGPU_PATH);
        return 0;
}

/* Only what the methods below know is expected; everything else is left to echo(). */
static int says_unmanaged(sd_bus_message *m) {
        const char *option;
        int unmanaged = 0;

        check(sd_bus_message_enter_container(m, 'a', "{sv}"), "enter");
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                check(sd_bus_message_read(m, "s", &option), "read");
                if (strcmp(option, "unmanaged") == 0)
                        check(sd_bus_message_read(m, "v", "b", &unmanaged), "read");
                else
                        check(sd_bus_message_skip(m, "v"), "skip");
                check(sd_bus_message_exit_container(m), "exit");
        }

        return unmanaged;
}

int answer_change(sd_bus_message *m, sd_bus_message *reply) {
        const char *member = sd_bus_message_get_member(m), *uuid;

        check(sd_bus_message_read(m, "s", &uuid), "read");
        if (obey(m, uuid))
                return 1;
        if (strcmp(uuid, UUID_ECHO) == 0)
                return echo(m);

        if (strncmp(uuid, "foreign", strlen("foreign")) == 0 && !says_unmanaged(m)) {
                check(sd_bus_reply_method_errorf(m, ERROR_PREFIX "NotManaged", "%s is somebody else's", uuid), "reply");
                return 1;
        }
        if (strcmp(member, "StartVGpu") == 0 && strcasecmp(uuid, UUID_DEFINED) != 0) {
                check(sd_bus_reply_method_errorf(m, ERROR_PREFIX "AlreadyExists", "%s is there.", uuid), "reply");
                return 1;
        }
        if (strcmp(member, "ModifyVGpu") == 0 && strcasecmp(uuid, UUID_DEFINED) == 0) {
                check(sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED, "polkit says no"), "reply");
                return 1;
        }
        return 0;
}
