/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The state of vGPUs: saved, restored, exported, imported; and what is saved. */

#include "bus/bus-call.h"
#include "bus/bus-change.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"
#include "bus/vgpu-answer.h"
#include "core/state-transfer.h"
#include "core/states-query.h"
#include "util/log.h"
#include "util/text.h"

/* It goes on as a job, or has not begun. */
static void on_begun(const Error *error, const Task *task, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        _cleanup_(freep) char *path = NULL;

        call->transfer = NULL;
        if (error) {
                bus_call_reply_error(call, error);
                return;
        }

        log_full(LOG_INFO, LOG_FIELDS("MDEVGPU_SENDER", sd_bus_message_get_sender(call->message)),
                 "Job %u for user %u: %s of vGPU %s", task->id, bus_call_uid(call), task->operation,
                 task->n_uuids > 0 ? task->uuids[0] : "that is not known yet");
        bus_changes_flush(call->server);
        path = bus_path_of_task(task);
        if (path)
                (void)sd_bus_reply_method_return(call->message, "o", path);
        else
                (void)sd_bus_reply_method_errno(call->message, -ENOMEM, /* error= */ NULL);
}

static int read_state_name(sd_bus_message *message, const char **ret_name, sd_bus_error *ret_error) {
        int r;

        r = bus_read_name(message, "name of the saved state", ret_name, ret_error);
        if (r >= 0 && !saved_state_name_is_good(*ret_name))
                return bus_error_setf(ret_error, -EINVAL,
                                      "'%s' is no name of a saved state: that is of 1 to %u letters, digits, '.', '_' and "
                                      "'-', and does not begin with '.'",
                                      *ret_name, SAVED_STATE_NAME_SIZE - 1);
        return r;
}

/* The descriptor is the message's. */
static int read_target(sd_bus_message *message, bool in_store, const char **ret_name, int *ret_fd,
                       sd_bus_error *ret_error) {
        *ret_name = "";
        *ret_fd = -EBADF;
        return in_store ? read_state_name(message, ret_name, ret_error) : sd_bus_message_read_basic(message, 'h', ret_fd);
}

static int read_save(sd_bus_message *message, bool in_store, SaveRequest *request, char uuid[static UUID_STRING_SIZE],
                     sd_bus_error *ret_error) {
        const char *after = "run";
        const BusOption options[] = {
                { "after", 's', { &after }, NULL },
                { "precopy", 'b', { &request->precopy }, NULL },
                { "unmanaged", 'b', { &request->unmanaged }, NULL },
                { "replace", 'b', { &request->replace }, NULL },
        };
        int r;

        request->uuid = uuid;
        request->precopy = true;
        r = bus_read_uuid(message, /* may_be_empty= */ false, uuid, ret_error);
        if (r >= 0)
                r = read_target(message, in_store, &request->name, &request->fd, ret_error);
        if (r >= 0) /* the last is of the store alone */
                r = bus_read_options(message, "option", options, ELEMENTSOF(options) - !in_store, ret_error);
        if (r < 0)
                return r;

        request->after = state_after_from_string(after);
        if (request->after < 0)
                return bus_error_setf(ret_error, -EINVAL, "The option 'after' is run, stop or destroy");
        return 0;
}

/* To destroy it takes what it takes otherwise. As bus_call_authorize(). */
static int authorize_save(BusServer *server, sd_bus_message *message, const SaveRequest *request,
                          const PolkitDetails *details, BusCall **ret_call, sd_bus_error *ret_error) {
        int r;

        r = bus_call_authorize(server, message, POLKIT_MIGRATE_STATE, details, ret_call, ret_error);
        if (r <= 0 || request->after != STATE_AFTER_DESTROY)
                return r;

        *ret_call = NULL; /* it is among the server's, and found again */
        return bus_call_authorize(server, message, POLKIT_MANAGE_VGPUS, details, ret_call, ret_error);
}

static int save(BusServer *server, sd_bus_message *message, bool in_store, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        char uuid[UUID_STRING_SIZE];
        SaveRequest request = {};
        PolkitDetails details;
        Error error = ERROR_NULL;
        int r;

        r = read_save(message, in_store, &request, uuid, ret_error);
        if (r < 0)
                return r;

        r = manager_check_save(server->manager, &request, &error);
        if (r >= 0)
                r = vgpu_details_of(server, uuid, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = authorize_save(server, message, &request, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        request.started_by = bus_call_uid(call);
        r = manager_save_state(server->manager, &request, on_begun, call, &call->transfer, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}

int manager_method_save_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return save(userdata, message, /* in_store= */ true, ret_error);
}

int manager_method_export_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return save(userdata, message, /* in_store= */ false, ret_error);
}

static int read_restore(sd_bus_message *message, bool in_store, RestoreRequest *request, sd_bus_error *ret_error) {
        const BusOption options[] = {
                { "uuid", 's', { &request->uuid }, NULL },
                { "type", 's', { &request->type }, NULL },
                { "label", 's', { &request->label }, NULL },
        };
        int r;

        *request = (RestoreRequest){ .uuid = "", .type = "" };
        r = bus_read_name(message, "name of the GPU", &request->gpu, ret_error);
        if (r >= 0)
                r = read_target(message, in_store, &request->name, &request->fd, ret_error);
        return r < 0 ? r : bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
}

static int restore(BusServer *server, sd_bus_message *message, bool in_store, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        PolkitDetails details = {};
        RestoreRequest request;
        Error error = ERROR_NULL;
        Caller caller;
        int r;

        r = read_restore(message, in_store, &request, ret_error);
        if (r < 0)
                return r;
        r = manager_check_restore(server->manager, &request, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        (void)text_copy(details.gpu, sizeof(details.gpu), request.gpu);
        (void)text_copy(details.type, sizeof(details.type), request.type);
        if (!streq(request.uuid, "new")) /* that is no UUID, and nothing that a rule could look at */
                (void)text_copy(details.uuid, sizeof(details.uuid), request.uuid);
        r = bus_call_authorize(server, message, POLKIT_MIGRATE_STATE, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        caller = bus_call_get_caller(call);
        request.by = &caller;
        request.started_by = bus_call_uid(call);
        r = manager_restore_state(server->manager, &request, on_begun, call, &call->transfer, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}

int manager_method_restore_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return restore(userdata, message, /* in_store= */ true, ret_error);
}

int manager_method_import_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return restore(userdata, message, /* in_store= */ false, ret_error);
}

static int append_details(sd_bus_message *reply, const SavedState *s) {
        const struct {
                const char *key, *text;
        } entries[] = {
                { "label", s->label },   { "host", s->host },
                { "gpu", s->gpu },       { "driver", s->driver },
                { "error", s->error },   { "driver-version", s->driver_version },
        };
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(entries); i++)
                if (entries[i].text[0] != '\0')
                        r = bus_append_text_entry(reply, entries[i].key, entries[i].text);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_saved(sd_bus_message *reply, const SavedState *s) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ssstta{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "ssstt", s->name, s->uuid, s->type_id, s->size, s->created_usec);
        if (r >= 0)
                r = append_details(reply, s);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int reply_list(sd_bus_message *message, const JobResult *result) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssstta{sv})");
        for (size_t i = 0; r >= 0 && i < result->n_saved; i++)
                r = append_saved(reply, &result->saved[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_send(reply);
}

static void on_listed(const Error *error, const JobResult *result, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        int r;

        call->states = NULL;
        if (error) {
                bus_call_reply_error(call, error);
                return;
        }

        r = reply_list(call->message, result);
        if (r < 0) {
                log_warning("Cannot answer what states are saved: %s", strerrordesc_np(-r));
                (void)sd_bus_reply_method_errno(call->message, r, /* error= */ NULL);
        }
}

int manager_method_list_saved_states(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        BusServer *server = userdata;
        Error error = ERROR_NULL;
        int r;

        r = bus_call_begin(server, message, &call, ret_error);
        if (r < 0)
                return r;

        r = states_query_new(server->manager, on_listed, call, &call->states, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}

static void on_deleted(const Error *error, const JobResult *result, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;

        call->states = NULL;
        if (error)
                bus_call_reply_error(call, error);
        else
                (void)sd_bus_reply_method_return(call->message, NULL);
}

int manager_method_delete_saved_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        const PolkitDetails details = {};
        BusServer *server = userdata;
        Error error = ERROR_NULL;
        const char *name;
        int r;

        r = read_state_name(message, &name, ret_error);
        if (r >= 0)
                r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        r = bus_call_authorize(server, message, POLKIT_MIGRATE_STATE, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = states_query_new_delete(server->manager, name, on_deleted, call, &call->states, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}
