/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A virtual machine is being started with vGPUs: nothing of ours opens them meanwhile. */

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "core/start-hold.h"
#include "util/text.h"

/* More than any virtual machine has. */
#define UUIDS_MAX 64U

typedef struct Uuids {
        char items[UUIDS_MAX][UUID_STRING_SIZE];
        const char *pointers[UUIDS_MAX];
        size_t n;
} Uuids;

static int read_uuids(sd_bus_message *message, Uuids *ret_uuids, sd_bus_error *ret_error) {
        int r;

        ret_uuids->n = 0;
        r = sd_bus_message_enter_container(message, 'a', "s");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_at_end(message, /* complete= */ false)) == 0) {
                if (ret_uuids->n >= UUIDS_MAX)
                        return bus_error_setf(ret_error, -EINVAL, "More than %u vGPUs are named", UUIDS_MAX);
                r = bus_read_uuid(message, /* may_be_empty= */ false, ret_uuids->items[ret_uuids->n], ret_error);
                if (r < 0)
                        return r;
                ret_uuids->pointers[ret_uuids->n] = ret_uuids->items[ret_uuids->n];
                ret_uuids->n++;
        }

        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static void on_closed(void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;

        call->hold = NULL;
        (void)sd_bus_reply_method_return(call->message, NULL);
}

/* Of one of several vGPUs, its own; of several nothing that a rule could look at. */
static PolkitDetails details_of(const Uuids *uuids) {
        PolkitDetails details = {};

        if (uuids->n == 1)
                (void)text_copy(details.uuid, sizeof(details.uuid), uuids->items[0]);
        return details;
}

int manager_method_hold_for_start(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        uint32_t seconds = START_HOLD_DEFAULT;
        const BusOption options[] = { { "seconds", 'u', { .number = &seconds }, NULL } };
        BusServer *server = userdata;
        PolkitDetails details;
        Error error = ERROR_NULL;
        Uuids uuids;
        int r;

        r = read_uuids(message, &uuids, ret_error);
        if (r >= 0)
                r = bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
        if (r < 0)
                return r;
        if (seconds == 0 || seconds > START_HOLD_MAX)
                return bus_error_setf(ret_error, -EINVAL, "The option 'seconds' is from 1 to %u", START_HOLD_MAX);

        details = details_of(&uuids);
        r = bus_call_authorize(server, message, POLKIT_MIGRATE_STATE, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = start_hold_new(server->manager, uuids.pointers, uuids.n, seconds, on_closed, call, &call->hold, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);
        if (!call->hold)
                return sd_bus_reply_method_return(message, NULL);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}

int manager_method_end_hold(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        BusServer *server = userdata;
        PolkitDetails details;
        Uuids uuids;
        int r;

        r = read_uuids(message, &uuids, ret_error);
        if (r >= 0)
                r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        details = details_of(&uuids);
        r = bus_call_authorize(server, message, POLKIT_MIGRATE_STATE, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        start_hold_end(server->manager, uuids.pointers, uuids.n);
        return sd_bus_reply_method_return(message, NULL);
}
