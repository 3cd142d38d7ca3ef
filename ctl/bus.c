/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Bus: the daemon as this command sees it.
 */

#include <stdarg.h>

#include "agent.h"
#include "bus.h"
#include "options.h"
#include "reply.h"

/* A person may be typing a password while the call waits, which the usual 25 seconds do not allow for. */
#define INTERACTIVE_TIMEOUT_USEC (5U * 60U * 1000000U)

static int bus_connect_address(const char *address, sd_bus **ret) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;

        r = sd_bus_set_address(bus, address);
        if (r < 0)
                return r;

        r = sd_bus_set_bus_client(bus, true);
        if (r < 0)
                return r;

        r = sd_bus_start(bus);
        if (r < 0)
                return r;

        *ret = TAKE(bus);
        return 0;
}

Status bus_connect(Ctl *ctl, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        const char *unique, *where;
        int r;

        if (ctl->bus)
                return STATUS_DONE;

        if (ctl->address)
                r = bus_connect_address(ctl->address, &bus);
        else if (ctl->host)
                r = sd_bus_open_system_remote(&bus, ctl->host);
        else
                r = sd_bus_open_system(&bus);

        /* The name comes with the end of the handshake: later errors then are the daemon's or the loss of the bus. */
        if (r >= 0)
                r = sd_bus_get_unique_name(bus, &unique);
        if (r < 0 && ret_error) {
                (void)sd_bus_error_setf(ret_error, SD_BUS_ERROR_NO_SERVER, "%s", strerror(-r));
                return STATUS_UNREACHABLE;
        }
        if (r < 0 && ctl->host)
                return ctl_error(
                        STATUS_UNREACHABLE,
                        "Cannot reach the system bus of %s over ssh.\n'ssh %s systemd-stdio-bridge' has to work "
                        "without a question; what ssh said stands above.",
                        ctl->host, ctl->host);
        if (r < 0) {
                where = ctl->address;
                return ctl_error(STATUS_UNREACHABLE, "Cannot connect to the system bus%s%s: %s.", where ? " at " : "",
                                 where ? where : "", strerror(-r));
        }

        ctl->bus = TAKE(bus);
        return STATUS_DONE;
}

void bus_close(Ctl *ctl) {
        ctl->bus = sd_bus_flush_close_unref(ctl->bus);
}

static bool error_is_one_of(const sd_bus_error *error, const char *const *names) {
        for (; *names; names++)
                if (sd_bus_error_has_name(error, *names))
                        return true;

        return false;
}

static bool error_has_prefix(const sd_bus_error *error, const char *prefix) {
        return error->name && strncmp(error->name, prefix, strlen(prefix)) == 0;
}

Status bus_error_status(const sd_bus_error *error) {
        static const char *const not_authorized[] = {
                SD_BUS_ERROR_ACCESS_DENIED,
                SD_BUS_ERROR_AUTH_FAILED,
                SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                NULL,
        };
        static const char *const unreachable[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                SD_BUS_ERROR_NO_REPLY,
                SD_BUS_ERROR_NO_SERVER,
                SD_BUS_ERROR_DISCONNECTED,
                SD_BUS_ERROR_TIMEOUT,
                "org.freedesktop.DBus.Error.TimedOut",
                NULL,
        };

        /* What the command cannot know to be wrong, such as a UUID that is none, is wrong usage all the same. */
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_INVALID_ARGS))
                return STATUS_USAGE;

        if (error_is_one_of(error, not_authorized))
                return STATUS_NOT_AUTHORIZED;

        /* Activation that fails is told by the bus, or by systemd in its own words. */
        if (error_is_one_of(error, unreachable) || error_has_prefix(error, "org.freedesktop.DBus.Error.Spawn.") ||
            error_has_prefix(error, "org.freedesktop.systemd1."))
                return STATUS_UNREACHABLE;

        /* The object may go between learning its path and asking it. */
        if (error_has_prefix(error, BUS_ERROR_PREFIX "NoSuch") ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT))
                return STATUS_NOT_FOUND;

        return STATUS_FAILED;
}

/* The daemon speaks to every program; what to type next only this one knows. */
static const char *error_hint(const Ctl *ctl, const sd_bus_error *error) {
        static const struct {
                const char *name, *hint;
        } hints[] = {
                { BUS_ERROR_PREFIX "NoSuchGpu", "'mdevgpuctl gpus' lists the GPUs." },
                { BUS_ERROR_PREFIX "NoSuchType", "'mdevgpuctl types GPU' lists its types." },
                { BUS_ERROR_PREFIX "NoSuchVGpu", "'mdevgpuctl list' lists the vGPUs." },
                { BUS_ERROR_PREFIX "NoSuchState", "'mdevgpuctl states' lists the saved states." },
                { BUS_ERROR_PREFIX "NoSuchTopology", "'mdevgpuctl topology list' lists the topologies." },
                { BUS_ERROR_PREFIX "InUse", "'mdevgpuctl users UUID' lists who uses it." },
        };

        if (sd_bus_error_has_name(error, BUS_ERROR_PREFIX "NotManaged") &&
            (ctl->takes & ~ctl->given & OPTION_UNMANAGED))
                return "With --unmanaged it is done all the same.";
        if (sd_bus_error_has_name(error, BUS_ERROR_ALREADY_EXISTS) && (ctl->takes & ~ctl->given & OPTION_REPLACE))
                return "With --replace it is replaced.";

        if (ctl->unresolved && sd_bus_error_has_name(error, SD_BUS_ERROR_INVALID_ARGS))
                return "No vGPU has that label either; 'mdevgpuctl list' lists the vGPUs.";
        if (ctl->unresolved && sd_bus_error_has_name(error, BUS_ERROR_PREFIX "NoSuchGpu"))
                return "No vGPU has that label either; 'mdevgpuctl gpus' lists the GPUs, 'mdevgpuctl list' the vGPUs.";

        for (size_t i = 0; i < ELEMENTSOF(hints); i++)
                if (sd_bus_error_has_name(error, hints[i].name))
                        return hints[i].hint;

        return NULL;
}

Status bus_error_report(const Ctl *ctl, const sd_bus_error *error) {
        Status status = bus_error_status(error);
        const char *message = isempty(error->message) ? error->name : error->message, *hint = error_hint(ctl, error);

        if (status != STATUS_UNREACHABLE)
                return ctl_error(status, "%s%s%s", message, hint ? "\n" : "", hint ? hint : "");

        /* Not the daemon's sentence but the bus's, which does not know what was wanted. */
        return ctl_error(status, "Cannot reach mdevgpud%s%s: %s", ctl->host ? " on " : "", ctl->host ? ctl->host : "",
                         message);
}

static Status message_new(Ctl *ctl, const char *path, const char *interface, const char *member, sd_bus_message **ret) {
        Status status;
        int r;

        status = bus_connect(ctl, /* ret_error= */ NULL);
        if (status != STATUS_DONE)
                return status;

        r = sd_bus_message_new_method_call(ctl->bus, ret, BUS_NAME, path, interface, member);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot compose %s: %s.", member, strerror(-r));

        return STATUS_DONE;
}

static Status message_call(Ctl *ctl, sd_bus_message *m, uint64_t timeout_usec, const char *expect,
                           sd_bus_error *ret_error, sd_bus_message **ret_reply) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call(ctl->bus, m, timeout_usec, &error, &reply);
        if (r < 0 && ret_error) {
                (void)sd_bus_error_move(ret_error, &error);
                return bus_error_status(ret_error);
        }
        if (r < 0)
                return bus_error_report(ctl, &error);

        if (!sd_bus_message_has_signature(reply, expect))
                return ctl_error(STATUS_FAILED, "mdevgpud answered %s with '%s' where '%s' was expected.",
                                 sd_bus_message_get_member(m), sd_bus_message_get_signature(reply, true), expect);

        if (ret_reply)
                *ret_reply = TAKE(reply);
        return STATUS_DONE;
}

Status bus_try(Ctl *ctl, const BusMethod *method, const char *expect, sd_bus_error *ret_error,
               sd_bus_message **ret_reply, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Status status;
        va_list ap;
        int r;

        status = bus_connect(ctl, ret_error);
        if (status != STATUS_DONE)
                return status;

        r = sd_bus_message_new_method_call(ctl->bus, &m, method->destination ? method->destination : BUS_NAME,
                                           method->path, method->interface, method->member);
        if (r >= 0 && method->no_start)
                r = sd_bus_message_set_auto_start(m, false);
        va_start(ap, types);
        if (r >= 0 && !isempty(types))
                r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot compose %s: %s.", method->member, strerror(-r));

        return message_call(ctl, m, /* timeout_usec= */ 0, expect, ret_error, ret_reply);
}

static Status message_incomplete(const char *member, int r) {
        if (r == -EINVAL)
                return ctl_error(STATUS_USAGE, "An argument is not valid UTF-8.");

        return ctl_error(STATUS_FAILED, "Cannot compose %s: %s.", member, strerror(-r));
}

Status bus_call(Ctl *ctl, const char *member, const char *expect, sd_bus_message **ret_reply, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Status status;
        va_list ap;
        int r;

        status = message_new(ctl, BUS_ROOT, BUS_MANAGER, member, &m);
        if (status != STATUS_DONE)
                return status;

        va_start(ap, types);
        r = isempty(types) ? 0 : sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r < 0)
                return message_incomplete(member, r);

        return message_call(ctl, m, /* timeout_usec= */ 0, expect, /* ret_error= */ NULL, ret_reply);
}

Status bus_call_with(Ctl *ctl, const char *member, const char *expect, sd_bus_message **ret_reply,
                     int (*append)(sd_bus_message *m, void *userdata), void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Status status;
        int r;

        status = message_new(ctl, BUS_ROOT, BUS_MANAGER, member, &m);
        if (status != STATUS_DONE)
                return status;

        r = append(m, userdata);
        if (r < 0)
                return message_incomplete(member, r);

        return message_call(ctl, m, /* timeout_usec= */ 0, expect, /* ret_error= */ NULL, ret_reply);
}

Status bus_ask(Ctl *ctl, const char *path, const char *interface, const char *member, const char *expect,
               sd_bus_message **ret_reply, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Status status;
        va_list ap;
        int r;

        status = message_new(ctl, path, interface, member, &m);
        if (status != STATUS_DONE)
                return status;

        va_start(ap, types);
        r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r >= 0)
                r = options_append(ctl, m);
        if (r < 0)
                return message_incomplete(member, r);

        return message_call(ctl, m, /* timeout_usec= */ 0, expect, /* ret_error= */ NULL, ret_reply);
}

/* Behind its arguments come the options of the command line; and polkit may ask who sits at the terminal. */
static Status message_change(Ctl *ctl, sd_bus_message *m, const char *expect, sd_bus_error *ret_error,
                             sd_bus_message **ret_reply) {
        const char *member = sd_bus_message_get_member(m);
        uint64_t timeout_usec = 0; /* the library's own */
        int r;

        r = options_append(ctl, m);
        if (r < 0)
                return message_incomplete(member, r);

        if (isatty(STDIN_FILENO)) {
                r = sd_bus_message_set_allow_interactive_authorization(m, true);
                if (r < 0)
                        return ctl_error(STATUS_FAILED, "Cannot compose %s: %s.", member, strerror(-r));

                timeout_usec = INTERACTIVE_TIMEOUT_USEC;
                agent_open(ctl);
        }

        return message_call(ctl, m, timeout_usec, expect, ret_error, ret_reply);
}

Status bus_change(Ctl *ctl, const char *member, const char *expect, sd_bus_error *ret_error, sd_bus_message **ret_reply,
                  const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Status status;
        va_list ap;
        int r;

        status = message_new(ctl, BUS_ROOT, BUS_MANAGER, member, &m);
        if (status != STATUS_DONE)
                return status;

        va_start(ap, types);
        r = isempty(types) ? 0 : sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r < 0)
                return message_incomplete(member, r);

        return message_change(ctl, m, expect, ret_error, ret_reply);
}

Status bus_change_at(Ctl *ctl, const char *path, const char *interface, const char *member, const char *expect,
                     sd_bus_message **ret_reply, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Status status;
        va_list ap;
        int r;

        status = message_new(ctl, path, interface, member, &m);
        if (status != STATUS_DONE)
                return status;

        va_start(ap, types);
        r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r < 0)
                return message_incomplete(member, r);

        return message_change(ctl, m, expect, /* ret_error= */ NULL, ret_reply);
}

Status bus_change_object(Ctl *ctl, const char *path, const char *interface, const char *member,
                         sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Status status;

        status = message_new(ctl, path, interface, member, &m);
        if (status != STATUS_DONE)
                return status;

        return message_change(ctl, m, "", ret_error, /* ret_reply= */ NULL);
}

const BusList bus_list_gpus = {
        .member = "ListGpus",
        .filtered = true,
        .expect = "a(ssssoa{sv})",
        .keys = (const char *const[]){ "address", "name", "driver", "state", "path", NULL },
};

const BusList bus_list_types = {
        .member = "ListTypes",
        .filtered = true,
        .expect = "a(ssssuuoa{sv})",
        .keys = (const char *const[]){ "gpu", "id", "name", "device_api", "max_instances", "available_instances",
                                       "path", NULL },
        .extras = (const char *const[]){ "keeps_state", NULL },
};

const BusList bus_list_vgpus = {
        .member = "ListVGpus",
        .filtered = true,
        .expect = "a(sssssoa{sv})",
        .keys = (const char *const[]){ "uuid", "gpu", "type", "state", "label", "path", NULL },
};

const BusList bus_list_problems = {
        .member = "CheckConfig",
        .expect = "a(suuss)",
        .keys = (const char *const[]){ "file", "line", "column", "severity", "message", NULL },
};

const BusList bus_list_states = {
        .member = "ListSavedStates",
        .expect = "a(ssstta{sv})",
        .keys = (const char *const[]){ "name", "uuid", "type", "size", "created", NULL },
        .extras = (const char *const[]){ "label", "host", "gpu", "driver", "driver_version", "error", NULL },
};

static int rows_complete(json_object *rows, const char *const *keys) {
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);

                for (size_t k = 0; keys && keys[k]; k++)
                        if (!json_object_object_get_ex(row, keys[k], NULL) && object_add(row, keys[k], NULL) < 0)
                                return -ENOMEM;
        }

        return 0;
}

Status bus_list(Ctl *ctl, const BusList *list, const char *gpu, json_object **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *rows = NULL, *named = NULL, *sorted = NULL;
        Status status;
        int r;

        /* The number of entries says whether what follows it is read. */
        status = bus_call(ctl, list->member, list->expect, &reply, list->filtered ? "a{sv}" : NULL, gpu ? 1 : 0, "gpu",
                          "s", gpu);
        if (status != STATUS_DONE)
                return status;

        r = reply_read_value(reply, &rows);
        if (r >= 0)
                r = rows_name(rows, list->keys, &named);
        if (r >= 0)
                r = rows_complete(named, list->extras);
        if (r >= 0 && list != &bus_list_problems)
                r = rows_sort(named, &sorted);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to %s: %s.", list->member, strerror(-r));

        *ret = sorted ? TAKE(sorted) : TAKE(named);
        return STATUS_DONE;
}

Status bus_get_properties(Ctl *ctl, const char *path, const char *interface, json_object **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(json_object_putp) json_object *properties = NULL;
        Status status;
        int r;

        status = message_new(ctl, path, "org.freedesktop.DBus.Properties", "GetAll", &m);
        if (status != STATUS_DONE)
                return status;

        r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, interface);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot compose GetAll: %s.", strerror(-r));

        status = message_call(ctl, m, 0, "a{sv}", /* ret_error= */ NULL, &reply);
        if (status != STATUS_DONE)
                return status;

        r = reply_read_value(reply, &properties);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the properties of %s: %s.", path, strerror(-r));

        *ret = TAKE(properties);
        return STATUS_DONE;
}
