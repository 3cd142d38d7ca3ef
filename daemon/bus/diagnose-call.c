/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Why there are no types or no room, and what to do. */

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"
#include "core/diagnosis.h"
#include "core/examination.h"
#include "util/log.h"
#include "util/text.h"

static int append_path_entry(sd_bus_message *reply, const char *key, char *path) {
        _cleanup_(freep) char *owned = path;

        return owned ? sd_bus_message_append(reply, "{sv}", key, "o", owned) : -ENOMEM;
}

static int append_finding(sd_bus_message *reply, const Finding *finding) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_text_entry(reply, "id", finding_id_to_string(finding->id));
        if (r >= 0)
                r = bus_append_text_entry(reply, "severity", finding_severity_to_string(finding->severity));
        if (r >= 0)
                r = bus_append_text_entry(reply, "subject", finding->subject);
        if (r >= 0)
                r = bus_append_text_entry(reply, "message", finding->message);
        if (r >= 0)
                r = bus_append_text_entry(reply, "advice", finding->advice);
        if (r >= 0 && finding->gpu && finding->gpu->linked)
                r = append_path_entry(reply, "gpu", bus_path_of_gpu(finding->gpu));
        if (r >= 0 && finding->vgpu)
                r = append_path_entry(reply, "vgpu", bus_path_of_vgpu(finding->vgpu));

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int reply_findings(sd_bus_message *message, const Diagnosis *diagnosis) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < diagnosis->n_findings; i++)
                r = append_finding(reply, &diagnosis->findings[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_send(reply);
}

static int diagnose(const BusServer *server, const Error *error, const HostFacts *facts, sd_bus_message *message) {
        _cleanup_(config_report_done) ConfigReport definitions = {};
        _cleanup_(diagnosis_done) Diagnosis diagnosis = {};
        const DiagnosisInput input = {
                .manager = server->manager,
                .config = server->callbacks->config_report(server->userdata),
                .definitions = &definitions,
                .facts = facts,
                .facts_error = error ? error->message : NULL,
        };
        int r;

        r = definition_files_report(server->manager->mdev_definitions, &definitions);
        if (r >= 0)
                r = definition_files_report(server->manager->own_definitions, &definitions);
        if (r >= 0)
                r = diagnosis_make(&input, &diagnosis);

        return r < 0 ? r : reply_findings(message, &diagnosis);
}

static void on_examined(const Error *error, const HostFacts *facts, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        int r;

        call->examination = NULL;
        r = diagnose(call->server, error, facts, call->message);
        if (r < 0) {
                log_warning("Cannot answer with a diagnosis: %s", strerrordesc_np(-r));
                (void)sd_bus_reply_method_errno(call->message, r, /* error= */ NULL);
        }
}

int manager_method_diagnose(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        BusServer *server = userdata;
        Error error = ERROR_NULL;
        int r;

        r = bus_read_no_options(message, ret_error);
        if (r >= 0)
                r = bus_call_begin(server, message, &call, ret_error);
        if (r < 0)
                return r;

        /* What the model knows is told even if no worker can be had. */
        r = examination_new(server->manager, on_examined, call, &call->examination, &error);
        if (r < 0) {
                r = diagnose(server, &error, /* facts= */ NULL, message);
                return r < 0 ? bus_error_set(ret_error, r, NULL) : 1;
        }

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}
