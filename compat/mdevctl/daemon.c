/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "daemon.h"
#include "host.h"

#define PRESENT_USEC UINT64_C(700000) /* of the second, so that the rest of the command has some of it */
#define CALL_USEC UINT64_C(30000000) /* its own answer comes within 20 s */

/* Who has the name; 0 if nobody has. It is not started for this. */
static int find_process(sd_bus *bus, uint64_t deadline, uint32_t *ret_pid) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetConnectionUnixProcessID");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", MANAGER_NAME);
        if (r >= 0)
                r = sd_bus_call(bus, m, manager_left(deadline), &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "u", ret_pid);
        sd_bus_error_free(&error);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(m);
        return r;
}

/*
 * A process that somebody has stopped, or that has ended, answers nothing. One that is merely late does, however busy the
 * host is; one that runs in circles is ended by its watchdog. Whatever cannot be looked at is taken to be well.
 */
static bool is_well(uint32_t pid) {
        _cleanup_(freep) char *text = NULL;
        const char *state;
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%" PRIu32 "/stat", pid);
        if (host_read(path, &text) < 0)
                return true;

        state = strrchr(text, ')'); /* behind the name, which may hold anything */
        return !state || state[1] != ' ' || !strchr("TtZX", state[2]);
}

static int find(sd_bus *bus, uint64_t deadline) {
        uint32_t pid = 0;
        int r;

        r = find_process(bus, deadline, &pid);
        return r < 0 || !is_well(pid) ? -ENXIO : 0;
}

/* The tests' program may be told to wait longer, for hosts that are busy with tests. */
static uint64_t patience(void) {
#ifdef TEST_ROOT
        const char *seconds = secure_getenv("MDEVCTL_PATIENCE");

        if (seconds)
                return strtoull(seconds, NULL, 10) * 1000000;
#endif
        return PRESENT_USEC;
}

int daemon_connect(sd_bus **ret_bus) {
        uint64_t deadline = manager_now() + patience();
        sd_bus *bus = NULL;
        int r;

        r = manager_connect(deadline, &bus);
        if (r >= 0)
                r = find(bus, deadline);
        if (r < 0) {
                if (bus)
                        sd_bus_close(bus); /* not flushed: that would wait */
                sd_bus_unref(bus);
                return -ENXIO;
        }

        *ret_bus = bus;
        return 0;
}

/* Sends what has come together without an error, and frees it. */
static int finish(sd_bus *bus, sd_bus_message *m, int r) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;

        if (r >= 0)
                r = sd_bus_call(bus, m, CALL_USEC, &error, &reply);
        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
        if (r < 0)
                (void)fail(r, "%s", error.message ?: strerrordesc_np(-r) ?: "unknown error");
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

static int append_attributes(sd_bus_message *m, const Device *d) {
        return manager_append_attributes(m, d->attributes, d->n_attributes);
}

static int call_with_device(sd_bus *bus, const char *member, const Device *d, bool autostart) {
        sd_bus_message *m = NULL;
        int r;

        r = manager_begin(bus, member, &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sss", d->parent, d->type, d->uuid);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && autostart)
                r = manager_append_flag(m, "autostart", true);
        if (r >= 0 && d->n_attributes > 0)
                r = append_attributes(m, d);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return finish(bus, m, r);
}

int daemon_define(sd_bus *bus, const Device *d) {
        return call_with_device(bus, "DefineVGpu", d, d->autostart);
}

int daemon_create(sd_bus *bus, const Device *d) {
        return call_with_device(bus, "CreateVGpu", d, false);
}

static int call_with_uuid(sd_bus *bus, const char *member, const char *uuid, bool unmanaged) {
        sd_bus_message *m = NULL;
        int r;

        r = manager_begin(bus, member, &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", uuid);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && unmanaged)
                r = manager_append_flag(m, "unmanaged", true);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return finish(bus, m, r);
}

int daemon_undefine(sd_bus *bus, const char *uuid) {
        return call_with_uuid(bus, "UndefineVGpu", uuid, true);
}

int daemon_start(sd_bus *bus, const char *uuid) {
        return call_with_uuid(bus, "StartVGpu", uuid, false);
}

int daemon_destroy(sd_bus *bus, const char *uuid) {
        return call_with_uuid(bus, "DestroyVGpu", uuid, true);
}

static int begin_modify(sd_bus *bus, const char *uuid, const char *scope, sd_bus_message **ret) {
        int r;

        r = manager_begin(bus, "ModifyVGpu", ret);
        if (r >= 0)
                r = sd_bus_message_append(*ret, "s", uuid);
        if (r >= 0)
                r = sd_bus_message_open_container(*ret, 'a', "{sv}");
        if (r >= 0)
                r = manager_append_flag(*ret, "unmanaged", true);
        if (r >= 0)
                r = sd_bus_message_append(*ret, "{sv}", "scope", "s", scope);
        return r;
}

static bool same_attributes(const Device *a, const Device *b) {
        if (a->n_attributes != b->n_attributes)
                return false;

        for (size_t i = 0; i < a->n_attributes; i++)
                if (strcmp(a->attributes[i].name, b->attributes[i].name) != 0 ||
                    strcmp(a->attributes[i].value, b->attributes[i].value) != 0)
                        return false;
        return true;
}

int daemon_modify(sd_bus *bus, const Device *before, const Device *after) {
        sd_bus_message *m = NULL;
        int r;

        r = begin_modify(bus, after->uuid, "config", &m);
        if (r >= 0)
                r = manager_append_flag(m, "autostart", after->autostart);
        if (r >= 0 && strcmp(before->type, after->type) != 0)
                r = sd_bus_message_append(m, "{sv}", "type", "s", after->type);
        if (r >= 0 && !same_attributes(before, after))
                r = append_attributes(m, after);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return finish(bus, m, r);
}

int daemon_modify_live(sd_bus *bus, const Device *d) {
        sd_bus_message *m = NULL;
        int r;

        r = begin_modify(bus, d->uuid, "live", &m);
        if (r >= 0)
                r = append_attributes(m, d);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return finish(bus, m, r);
}
