/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Doctor: what stands in the way of vGPUs, as the daemon finds it; and if there is no daemon to ask, why that is.
 */

#include <stdio.h>

#include "bus.h"
#include "pager.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

#define UNIT "mdevgpud.service"
#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* What systemd says of the unit; empty: it does not say. */
typedef struct UnitState {
        char load[32], active[32], file[32], result[64];
} UnitState;

static int finding_new(json_object *findings, const char *id, const char *message, const char *advice) {
        json_object *finding;

        finding = json_object_new_object();
        if (!finding || array_add(findings, finding) < 0)
                return -ENOMEM;

        if (object_add_string(finding, "id", id) < 0 || object_add_string(finding, "severity", "error") < 0 ||
            object_add_string(finding, "subject", "mdevgpud") < 0 ||
            object_add_string(finding, "message", message) < 0 || object_add_string(finding, "advice", advice) < 0)
                return -ENOMEM;

        return 0;
}

static void unit_get(Ctl *ctl, const char *path, const char *interface, const char *property, char *buffer,
                     size_t size) {
        const BusMethod get = { SYSTEMD, path, PROPERTIES, "Get", false };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *value;

        if (bus_try(ctl, &get, "v", &error, &reply, "ss", interface, property) == STATUS_DONE &&
            sd_bus_message_read(reply, "v", "s", &value) >= 0)
                (void)snprintf(buffer, size, "%s", value);
}

/* False: there is no systemd to be asked. */
static bool unit_read(Ctl *ctl, UnitState *ret_state) {
        static const BusMethod load = { SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "LoadUnit", false };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        UnitState state = {};
        const char *path;

        if (bus_try(ctl, &load, "o", &error, &reply, "s", UNIT) != STATUS_DONE ||
            sd_bus_message_read(reply, "o", &path) < 0)
                return false;

        unit_get(ctl, path, SYSTEMD ".Unit", "LoadState", state.load, sizeof(state.load));
        unit_get(ctl, path, SYSTEMD ".Unit", "ActiveState", state.active, sizeof(state.active));
        unit_get(ctl, path, SYSTEMD ".Unit", "UnitFileState", state.file, sizeof(state.file));
        unit_get(ctl, path, SYSTEMD ".Service", "Result", state.result, sizeof(state.result));
        *ret_state = state;
        return true;
}

static int unit_judge(json_object *findings, const UnitState *state) {
        _cleanup_(freep) char *message = NULL;

        if (streq(state->load, "not-found"))
                return finding_new(findings, "daemon-not-installed", "There is no unit " UNIT " on this machine.",
                                   "Install mdevgpud; if it was installed just now: systemctl daemon-reload");
        if (streq(state->load, "masked"))
                return finding_new(findings, "daemon-masked", "The unit " UNIT " is masked: nothing may start it.",
                                   "systemctl unmask " UNIT "; then: systemctl enable --now " UNIT);
        if (streq(state->active, "failed")) {
                if (asprintf(&message, "The unit " UNIT " has failed: %s.", state->result) < 0) {
                        message = NULL;
                        return -ENOMEM;
                }
                return finding_new(findings, "daemon-failed", message,
                                   "'journalctl -u mdevgpud' says why; then: systemctl restart mdevgpud");
        }
        if (streq(state->file, "disabled"))
                return finding_new(findings, "daemon-disabled",
                                   "The unit " UNIT " is disabled: neither a call nor hardware starts it.",
                                   "systemctl enable --now mdevgpud");
        if (streq(state->active, "inactive"))
                return finding_new(findings, "daemon-stopped", "The unit " UNIT " does not run, and was not started.",
                                   "systemctl start mdevgpud; 'journalctl -u mdevgpud' says more if it does not stay.");

        return finding_new(findings, "daemon-silent", "The unit " UNIT " runs, but does not answer on the bus.",
                           "systemctl status mdevgpud; 'journalctl -u mdevgpud' may say why.");
}

/* The daemon could not be asked, as *error says. */
static Status findings_without_daemon(Ctl *ctl, const sd_bus_error *error, json_object *findings) {
        _cleanup_(freep) char *message = NULL;
        UnitState state;
        int r;

        if (asprintf(&message, "%s: %s", ctl->bus ? "mdevgpud cannot be reached" : "The message bus cannot be reached",
                     isempty(error->message) ? error->name : error->message) < 0) {
                message = NULL;
                return ctl_oom();
        }

        if (!ctl->bus)
                r = finding_new(findings, "bus-unreachable", message,
                                "Start it: systemctl start dbus.socket. In a container there may be none.");
        else if (unit_read(ctl, &state))
                r = unit_judge(findings, &state);
        else
                r = finding_new(findings, "daemon-silent", message,
                                "There is no systemd on this bus that could say more; start mdevgpud.");

        return r < 0 ? ctl_oom() : STATUS_DONE;
}

Status findings_get(Ctl *ctl, json_object **ret) {
        static const BusMethod diagnose = { NULL, BUS_ROOT, BUS_MANAGER, "Diagnose", false };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(json_object_putp) json_object *findings = NULL;
        Status status;
        int r;

        status = bus_try(ctl, &diagnose, "aa{sv}", &error, &reply, "a{sv}", 0);
        if (status == STATUS_UNREACHABLE) {
                findings = json_object_new_array();
                if (!findings)
                        return ctl_oom();
                status = findings_without_daemon(ctl, &error, findings);
        } else if (sd_bus_error_is_set(&error))
                return bus_error_report(ctl, &error);
        else if (status == STATUS_DONE) {
                r = reply_read_value(reply, &findings);
                if (r < 0)
                        return ctl_error(STATUS_FAILED, "Cannot read the answer to Diagnose: %s.", strerror(-r));
        }
        if (status != STATUS_DONE)
                return status;

        *ret = TAKE(findings);
        return STATUS_DONE;
}

/* A paragraph, indented and wrapped at blanks; lines that no blank breaks get longer. */
static Status paragraph_print(const Ctl *ctl, const char *text) {
        _cleanup_(freep) char *safe = text_escape(text, 0, 0);
        size_t width = ctl->columns > 24 ? ctl->columns : 100, used = 0;
        char *word, *rest = safe;

        if (!safe)
                return ctl_oom();

        while ((word = strsep(&rest, " "))) {
                size_t length = strlen(word);

                if (used > 0 && used + 1 + length > width) {
                        putchar('\n');
                        used = 0;
                }
                printf("%s%s", used > 0 ? " " : "    ", word);
                used += (used > 0 ? 1 : 4) + length;
        }
        putchar('\n');
        return STATUS_DONE;
}

static Status finding_print(const Ctl *ctl, json_object *finding) {
        const char *severity = object_string(finding, "severity"), *id = object_string(finding, "id");
        const char *subject = object_string(finding, "subject"), *message = object_string(finding, "message");
        const char *advice = object_string(finding, "advice"), *color = "", *off = "";
        _cleanup_(freep) char *head = NULL, *safe = NULL;
        Status status;

        if (asprintf(&head, "%s: %s", subject ? subject : "-", id ? id : "-") < 0) {
                head = NULL;
                return ctl_oom();
        }
        safe = text_escape(head, 0, 0);
        if (!safe)
                return ctl_oom();

        if (ctl->color && severity && !streq(severity, "info")) {
                color = streq(severity, "error") ? COLOR_RED : COLOR_YELLOW;
                off = COLOR_OFF;
        }
        printf("%s%s%s %s\n", color,
               !severity                    ? "-"
               : streq(severity, "error")   ? "error"
               : streq(severity, "warning") ? "warning"
                                            : "info",
               off, safe);
        status = paragraph_print(ctl, message ? message : "-");
        if (status == STATUS_DONE && !isempty(advice))
                status = paragraph_print(ctl, advice);
        return status;
}

Status findings_print(const Ctl *ctl, json_object *findings) {
        Status status = STATUS_DONE;

        for (size_t i = 0; i < json_object_array_length(findings) && status == STATUS_DONE; i++) {
                if (i > 0)
                        putchar('\n');
                status = finding_print(ctl, json_object_array_get_idx(findings, i));
        }
        if (json_object_array_length(findings) == 0)
                puts("Nothing is wrong.");

        return status;
}

Status verb_doctor(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *findings = NULL;
        Status status;

        status = findings_get(ctl, &findings);
        if (status != STATUS_DONE)
                return status;

        if (ctl->output != OUTPUT_TEXT)
                status = print_json(ctl, findings);
        else if (!ctl->quiet) {
                pager_open(ctl);
                status = findings_print(ctl, findings);
        }
        if (status != STATUS_DONE)
                return status;

        return problems_count(findings, "error") > 0 ? STATUS_FAILED : STATUS_DONE;
}
