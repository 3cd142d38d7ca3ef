/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-message.h"
#include "core/examination.h"
#include "core/manager.h"
#include "core/users-query.h"
#include "util/log.h"

BusCall *bus_call_free(BusCall *call) {
        if (!call)
                return NULL;

        list_unlink(&call->link);
        if (call->client) {
                list_unlink(&call->client_link);
                call->client->n_calls--;
        }
        idle_wait_free(call->wait);
        users_query_free(call->users);
        vfs_change_free(call->change);
        usage_query_free(call->usage);
        migration_query_free(call->migration);
        start_hold_free(call->hold);
        examination_free(call->examination);
        state_transfer_abandon(call->transfer);
        states_query_free(call->states);
        sd_bus_slot_unref(call->query);
        sd_bus_message_unref(call->message);
        sd_bus_error_free(&call->error);
        free(call);
        return NULL;
}

static BusCall *find_call(BusServer *server, const sd_bus_message *message) {
        BusCall *call;

        LIST_FOREACH(call, &server->calls, link)
                if (call->message == message)
                        return call;

        return NULL;
}

bool bus_call_is_known(BusServer *server, const sd_bus_message *message) {
        return find_call(server, message);
}

static int refuse_too_many(const BusClient *client, sd_bus_error *ret_error) {
        return bus_error_setf(ret_error, -ERROR_LIMIT_EXCEEDED,
                              "Your user has %zu calls that wait for an answer, and may have no more",
                              bus_client_calls_max(client));
}

static int call_new(BusServer *server, sd_bus_message *message, BusCall **ret_call, sd_bus_error *ret_error) {
        const char *sender = sd_bus_message_get_sender(message);
        BusClient *client;
        BusCall *call;
        int r;

        if (!sender)
                return bus_error_setf(ret_error, -EACCES, "The bus does not say who is asking");

        r = bus_client_get(server, sender, &client);
        if (r == -EDQUOT)
                return bus_error_setf(ret_error, -ERROR_LIMIT_EXCEEDED, "Too many callers wait for an answer");
        if (r < 0)
                return bus_error_set(ret_error, r, NULL);
        if (bus_client_count_calls(client) >= bus_client_calls_max(client))
                return refuse_too_many(client, ret_error);

        call = calloc(1, sizeof(BusCall));
        if (!call)
                return bus_error_set(ret_error, -ENOMEM, NULL);

        call->server = server;
        call->owner = CLIENT_UID_UNKNOWN;
        call->client = client;
        call->message = sd_bus_message_ref(message);
        list_append(&server->calls, &call->link);
        list_append(&client->calls, &call->client_link);
        client->n_calls++;

        *ret_call = call;
        return 0;
}

int bus_call_begin(BusServer *server, sd_bus_message *message, BusCall **ret_call, sd_bus_error *ret_error) {
        return call_new(server, message, ret_call, ret_error);
}

/* Has the message handled again; with an error, so that it ends with it. */
static void call_resume(BusCall *call, int code) {
        int r;

        call->state = code < 0 ? CALL_DENIED : CALL_AUTHORIZED;
        call->error_code = code;

        r = sd_bus_message_rewind(call->message, /* complete= */ true);
        if (r >= 0)
                r = sd_bus_enqueue_for_read(call->server->bus, call->message);
        if (r >= 0)
                r = sd_event_source_set_enabled(call->server->sweep_source, SD_EVENT_ONESHOT);
        if (r < 0) {
                (void)sd_bus_reply_method_errno(call->message, r, /* error= */ NULL);
                bus_call_free(call);
        }
}

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusCall *call = userdata;

        call->query = sd_bus_slot_unref(call->query);
        call_resume(call, polkit_read_reply(reply, call->action, &call->error));
        return 1;
}

/* 1: yes; 0: polkit is asked; or negative: no. */
static int call_authorize_client(BusCall *call, sd_bus_error *ret_error) {
        const BusClient *client = call->client;
        BusServer *server = call->server;
        int r;

        if (client->state == CLIENT_UNKNOWN)
                return bus_error_setf(ret_error, -EACCES, "The bus does not say which user is asking");
        if (client->uid == 0 || (call->owner != CLIENT_UID_UNKNOWN && client->uid == call->owner))
                return 1;
        if (server->without_polkit)
                return client->uid == geteuid() ? 1
                                                : bus_error_setf(ret_error, -EACCES,
                                                                 "Only root and the user who runs this may change "
                                                                 "anything: it was started without polkit");

        (void)snprintf(call->cancellation, sizeof(call->cancellation), "mdevgpud-%" PRIu64,
                       ++server->last_cancellation);
        r = polkit_check(server->bus, &call->query, client->name, call->action, &call->details,
                         sd_bus_message_get_allow_interactive_authorization(call->message) > 0, call->cancellation,
                         on_polkit, call);
        if (r < 0)
                return bus_error_setf(ret_error, -EACCES, "polkit cannot be asked about %s: %s", call->action,
                                      strerrordesc_np(-r));

        call->state = CALL_AUTHORIZING;
        return 0;
}

void bus_call_client_identified(BusCall *call, bool too_many) {
        int r;

        if (call->state != CALL_IDENTIFYING)
                return;

        if (too_many)
                r = refuse_too_many(call->client, &call->error);
        else
                r = call_authorize_client(call, &call->error);
        if (r != 0)
                call_resume(call, MIN(r, 0));
}

static bool is_granted(const BusCall *call, const char *action, const PolkitDetails *details) {
        return call->state == CALL_AUTHORIZED && polkit_details_equal(&call->details, details) &&
               (streq(call->action, action) || (call->granted && streq(call->granted, action)));
}

static int call_start(BusCall *call, const char *action, const PolkitDetails *details, sd_bus_error *ret_error) {
        /* What was allowed stays so for the same thing, until the call has been handled again. */
        call->granted = call->state == CALL_AUTHORIZED && polkit_details_equal(&call->details, details) ? call->action : NULL;
        call->action = action;
        call->details = *details;

        if (call->client->state == CLIENT_ASKING) {
                call->state = CALL_IDENTIFYING;
                return 0;
        }

        return call_authorize_client(call, ret_error);
}

int bus_call_authorize(BusServer *server, sd_bus_message *message, const char *action, const PolkitDetails *details,
                       BusCall **ret_call, sd_bus_error *ret_error) {
        return bus_call_authorize_owner(server, message, action, details, CLIENT_UID_UNKNOWN, ret_call, ret_error);
}

int bus_call_authorize_owner(BusServer *server, sd_bus_message *message, const char *action,
                             const PolkitDetails *details, uid_t owner, BusCall **ret_call, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        int r;

        call = find_call(server, message);
        if (!call) {
                r = call_new(server, message, &call, ret_error);
                if (r < 0)
                        return r;
        }

        call->owner = owner;
        if (call->state == CALL_DENIED) {
                (void)sd_bus_error_move(ret_error, &call->error);
                return call->error_code;
        }

        /* What was authorized has to be what will be done: names may mean something else by now. */
        if (is_granted(call, action, details))
                r = 1;
        else
                r = call_start(call, action, details, ret_error);

        if (r > 0)
                *ret_call = TAKE(call);
        else if (r == 0)
                (void)TAKE(call); /* in server->calls until the answer is there */
        return r;
}

void bus_call_run(BusCall *call, Operation *operation) {
        call->state = CALL_RUNNING;
        call->operation = operation;
}

void bus_call_abandon(BusCall *call) {
        if (call->state == CALL_AUTHORIZING)
                polkit_cancel(call->server->bus, call->cancellation);
        if (call->operation)
                operation_abandon(call->operation);

        bus_call_free(call);
}

void bus_calls_abandon_all(BusServer *server) {
        BusCall *call;

        LIST_FOREACH(call, &server->calls, link)
                bus_call_abandon(call);
}

void bus_call_reply_error(BusCall *call, const Error *error) {
        _cleanup_(bus_error_done) sd_bus_error bus_error = SD_BUS_ERROR_NULL;

        (void)bus_error_set(&bus_error, error->code, error);
        (void)sd_bus_reply_method_error(call->message, &bus_error);
}

uid_t bus_call_uid(const BusCall *call) {
        return call->client ? call->client->uid : CLIENT_UID_UNKNOWN;
}

Caller bus_call_get_caller(const BusCall *call) {
        const BusClient *client = call->client;

        return (Caller){
                .uid = client->uid,
                .groups = client->groups,
                .n_groups = client->n_groups,
                .groups_known = client->groups_known,
        };
}
