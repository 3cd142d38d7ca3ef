/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Call: a method call that changes something, on its way from authorization to its reply.
 *
 * A handler reads and judges its arguments, then asks bus_call_authorize(). Who is asking and whether they may are
 * questions to others, so the handler usually returns without having done anything; when the answer is there, the very
 * message is handled again from the start, and nothing that the first pass looked at can be stale in the second.
 */

#include "bus/bus-client.h"
#include "bus/bus-polkit.h"
#include "core/manager.h"
#include "core/migration-query.h"
#include "core/operation.h"
#include "core/start-hold.h"
#include "core/state-transfer.h"
#include "core/states-query.h"
#include "core/vfs-change.h"
#include "core/usage-query.h"

typedef enum BusCallState {
        CALL_NEW,
        CALL_IDENTIFYING, /* the bus is asked who the client is */
        CALL_AUTHORIZING, /* polkit is asked */
        CALL_AUTHORIZED, /* the message is on its way to its handler again */
        CALL_DENIED, /* the same, with the error that it will return */
        CALL_RUNNING, /* its operation runs */
} BusCallState;

/* What a call about a vGPU does, for the log, and how it is answered. */
typedef struct BusVerb {
        const char *done; /* "Created" */
        const char *failed; /* "Cannot create" */
        bool returns_vgpu; /* its UUID and path; else nothing */
        const char *message_id; /* of what the journal says when it is done, or NULL */
} BusVerb;

typedef struct BusCall {
        BusServer *server;
        BusClient *client;
        List link; /* in server->calls */
        List client_link; /* in client->calls */
        BusCallState state;
        sd_bus_message *message;
        const char *action;
        const char *granted; /* another that was allowed before, of a call that needs two; or NULL */
        uid_t owner; /* who may do it anyway; CLIENT_UID_UNKNOWN: nobody */
        PolkitDetails details; /* what was asked for when polkit was asked */
        sd_bus_slot *query;
        char cancellation[32];
        int error_code;
        sd_bus_error error;
        Operation *operation;
        IdleWait *wait; /* of a reload, for what it set in motion */
        UsersQuery *users;
        VfsChange *change; /* of a GPU's hardware */
        UsageQuery *usage;
        MigrationQuery *migration;
        StartHold *hold; /* that waits for vGPUs to be closed */
        Examination *examination;
        StateTransfer *transfer; /* that has not begun */
        StatesQuery *states;
        const BusVerb *verb; /* of a call about a vGPU */
} BusCall;

/*
 * May the sender of this message do this? A call that needs two actions asks for one after the other, with the same details. 1: yes, and *ret_call is the handler's to free or to give to an operation.
 * 0: that is not known yet; the handler has to return 1, as if it had answered. Negative: no, as *ret_error says.
 */
int bus_call_authorize(BusServer *server, sd_bus_message *message, const char *action, const PolkitDetails *details,
                       BusCall **ret_call, sd_bus_error *ret_error);

/* The same for what belongs to a user, who may do it without being asked for more. */
int bus_call_authorize_owner(BusServer *server, sd_bus_message *message, const char *action,
                             const PolkitDetails *details, uid_t owner, BusCall **ret_call, sd_bus_error *ret_error);

/* A call that anybody may make and that takes time: it counts among those that its user has waiting. */
int bus_call_begin(BusServer *server, sd_bus_message *message, BusCall **ret_call, sd_bus_error *ret_error);

/* Whether the message is that of a call which is on its way: it is handled again, or about to be. */
bool bus_call_is_known(BusServer *server, const sd_bus_message *message);

/* An operation has it now: its callback answers and frees the call. */
void bus_call_run(BusCall *call, Operation *operation);

/* Nobody waits for it any more: what has not begun never begins. Frees it. */
void bus_call_abandon(BusCall *call);

/* Who the client is has been answered; too_many: its user may not have so many. */
void bus_call_client_identified(BusCall *call, bool too_many);

/* Sends the error that an operation ended with. */
void bus_call_reply_error(BusCall *call, const Error *error);

/* For the log: who asked. */
uid_t bus_call_uid(const BusCall *call);

/* For rules: the same with his groups, as long as the call lives. Of one that has been authorized. */
Caller bus_call_get_caller(const BusCall *call);

BusCall *bus_call_free(BusCall *call);
DEFINE_CLEANUP(BusCall *, bus_call_free)

/* Calls that nobody waits for: the model is about to go. */
void bus_calls_abandon_all(BusServer *server);
