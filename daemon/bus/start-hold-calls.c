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

static size_t count_hex(const char *s) {
        return strspn(s, "0123456789abcdef");
}

/* As sysfs names it: 0000:41:00.4. */
static bool is_pci_address(const char *s) {
        size_t n = count_hex(s);

        if (n < 4 || n > 8 || s[n] != ':')
                return false;
        s += n + 1;
        if (count_hex(s) != 2 || s[2] != ':' || count_hex(s + 3) != 2 || s[5] != '.')
                return false;
        return s[6] >= '0' && s[6] <= '7' && s[7] == '\0';
}

/* 0: it is the address of something that is no vGPU. */
static int read_uuid(const Manager *manager, sd_bus_message *message, char ret_uuid[static UUID_STRING_SIZE],
                     sd_bus_error *ret_error) {
        const char *s, *uuid;
        int r;

        r = bus_read_name(message, "UUID", &s, ret_error);
        if (r < 0)
                return r;
        if (text_parse_uuid(s, ret_uuid) >= 0)
                return 1;
        if (!is_pci_address(s))
                return bus_error_setf(ret_error, -EINVAL, "'%s' is neither a UUID nor the address of a PCI device", s);

        uuid = start_hold_find_device(manager, s);
        if (!uuid)
                return 0;
        (void)text_copy(ret_uuid, UUID_STRING_SIZE, uuid);
        return 1;
}

static int read_uuids(const Manager *manager, sd_bus_message *message, Uuids *ret_uuids, sd_bus_error *ret_error) {
        int r;

        ret_uuids->n = 0;
        r = sd_bus_message_enter_container(message, 'a', "s");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_at_end(message, /* complete= */ false)) == 0) {
                if (ret_uuids->n >= UUIDS_MAX)
                        return bus_error_setf(ret_error, -EINVAL, "More than %u vGPUs are named", UUIDS_MAX);
                r = read_uuid(manager, message, ret_uuids->items[ret_uuids->n], ret_error);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
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

        r = read_uuids(server->manager, message, &uuids, ret_error);
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

        r = read_uuids(server->manager, message, &uuids, ret_error);
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
