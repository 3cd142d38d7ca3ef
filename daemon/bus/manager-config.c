/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-call.h"
#include "bus/bus-change.h"
#include "bus/bus-error.h"
#include "bus/bus-message.h"
#include "bus/bus-observer.h"
#include "util/log.h"
#include "util/text.h"

/* An error message that lists every error of a configuration ends somewhere. */
#define ERROR_LIST_MAX (16U * 1024U)

static int append_problem(sd_bus_message *message, const ConfigProblem *problem) {
        int r;

        r = sd_bus_message_open_container(message, 'r', "suuss");
        if (r < 0)
                return r;

        r = bus_append_text(message, problem->file);
        if (r < 0)
                return r;

        r = sd_bus_message_append(message, "uus", problem->line, problem->column,
                                  problem_severity_to_string(problem->severity));
        if (r < 0)
                return r;

        r = bus_append_text(message, problem->message);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(message);
}

static int append_report(sd_bus_message *message, const ConfigReport *report) {
        int r;

        for (size_t i = 0; i < report->n_problems; i++) {
                r = append_problem(message, &report->problems[i]);
                if (r < 0)
                        return r;
        }

        return 0;
}

int manager_append_problems(sd_bus_message *message, const ConfigReport *config, const ConfigReport *definitions) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "(suuss)");
        if (r >= 0)
                r = append_report(message, config);
        if (r >= 0)
                r = append_report(message, definitions);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(message);
}

int manager_method_check_config(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(config_report_done) ConfigReport definitions = {};
        const ConfigReport *report;
        BusServer *server = userdata;
        int r;

        r = server->callbacks->check_config(&report, server->userdata);
        if (r < 0)
                return bus_error_setf(ret_error, r, "The configuration cannot be read: %s", strerrordesc_np(-r));

        r = definition_files_report(server->manager->mdev_definitions, &definitions);
        if (r >= 0)
                r = definition_files_report(server->manager->own_definitions, &definitions);
        if (r < 0)
                return bus_error_set(ret_error, r, NULL);

        r = sd_bus_message_new_method_return(message, &reply);
        if (r < 0)
                return r;

        r = manager_append_problems(reply, report, &definitions);
        if (r < 0)
                return r;

        return sd_bus_message_send(reply);
}

static void announce_reload(BusServer *server, bool active) {
        int r;

        r = sd_bus_emit_signal(server->bus, BUS_PATH, manager_interface.name, "Reloading", "b", (int)active);
        if (r < 0)
                log_warning("Cannot announce a reload: %s", strerrordesc_np(-r));
}

int bus_server_reload(BusServer *server, Error *error) {
        int r;

        announce_reload(server, true);
        r = server->callbacks->reload(error, server->userdata);
        if (server->manager)
                (*(r < 0 ? &server->manager->statistics.n_reloads_failed : &server->manager->statistics.n_reloads))++;

        bus_changed(server, BUS_PATH, &manager_interface, MANAGER_CHANGED_CONFIG);
        bus_update_degraded(server);
        bus_changes_flush(server);
        announce_reload(server, false);
        return r;
}

/* One error to a line, "file:line:column: error: message", as many as there is room for. NULL: out of memory. */
static char *list_errors(const ConfigReport *report) {
        _cleanup_(freep) char *list = NULL;
        size_t size, n_left = report->n_errors;
        FILE *f;

        f = open_memstream(&list, &size);
        if (!f)
                return NULL;

        (void)fputs("The configuration is not valid; the last good one stays in force", f);
        for (size_t i = 0; i < report->n_problems && ftell(f) < (long)ERROR_LIST_MAX; i++) {
                const ConfigProblem *p = &report->problems[i];

                if (p->severity != PROBLEM_ERROR)
                        continue;
                (void)fprintf(f, "\n%s:%" PRIu32 ":%" PRIu32 ": error: %s", p->file, p->line, p->column, p->message);
                n_left--;
        }
        if (n_left > 0)
                (void)fprintf(f, "\n… and %zu more, which a check of the configuration lists", n_left);

        if (fclose(f) != 0)
                return NULL;

        return TAKE(list);
}

/* Lines are separated by newlines, the only control character that is meant. */
static void sanitize_lines(char *text) {
        for (char *line = text, *end; line; line = end ? end + 1 : NULL) {
                end = strchr(line, '\n');
                if (end)
                        *end = '\0';
                text_sanitize(line);
                if (end)
                        *end = '\n';
        }
}

static int set_config_invalid(BusServer *server, sd_bus_error *ret_error) {
        _cleanup_(freep) char *list = NULL;

        list = list_errors(server->callbacks->config_report(server->userdata));
        if (!list)
                return bus_error_set(ret_error, -ENOMEM, NULL);

        sanitize_lines(list);
        (void)sd_bus_error_set(ret_error, bus_error_name(-ERROR_CONFIG_INVALID), list);
        return -ERROR_CONFIG_INVALID;
}

/* What was reloaded has reached the drivers, or they take too long to wait for them. */
static void on_reload_settled(void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        int r;

        call->wait = NULL;
        bus_changes_flush(call->server);
        r = sd_bus_reply_method_return(call->message, NULL);
        if (r < 0)
                log_warning("Cannot answer that the configuration was reloaded: %s", strerrordesc_np(-r));
}

int manager_method_reload(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        BusServer *server = userdata;
        Error error = ERROR_NULL;
        int r;

        r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        r = bus_call_authorize(server, message, POLKIT_RELOAD, &(PolkitDetails){}, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = bus_server_reload(server, &error);
        log_full(r < 0 ? LOG_WARNING : LOG_INFO, LOG_FIELDS("MDEVGPU_SENDER", sd_bus_message_get_sender(message)),
                 "Configuration reloaded for user %u: %s", bus_call_uid(call),
                 r < 0 ? "not valid, the last good one stays" : "in force");
        if (r == -ERROR_CONFIG_INVALID)
                return set_config_invalid(server, ret_error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        /* Who calls reload and then create finds the types that the new profiles state. */
        r = manager_wait_idle(server->manager, on_reload_settled, call, &call->wait);
        if (r < 0)
                return bus_error_set(ret_error, r, NULL);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}
