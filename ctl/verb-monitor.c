/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Monitor: what happens, as it happens: a line for each event, for a person or as JSON.
 */

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "bus.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

/* A line has room for a sentence. */
#define TEXT_CHARS_MAX 256U

#define GPU_PATH BUS_ROOT "/gpu/"
#define VGPU_PATH BUS_ROOT "/vgpu/_"
#define JOB_PATH BUS_ROOT "/job/"

typedef struct Monitor {
        Ctl *ctl;
        Status status; /* of what could not be printed */
} Monitor;

/* What a label of a path stands for: _xx is a byte. NULL: out of memory. */
static char *label_decode(const char *label, size_t length) {
        char *decoded = malloc(length + 1);
        size_t n = 0;

        if (!decoded)
                return NULL;

        for (size_t i = 0; i < length; i++) {
                unsigned byte;

                if (label[i] == '_' && i + 2 < length && isxdigit((unsigned char)label[i + 1]) &&
                    isxdigit((unsigned char)label[i + 2]) && sscanf(label + i + 1, "%2x", &byte) == 1 && byte > 0) {
                        decoded[n++] = (char)byte;
                        i += 2;
                } else
                        decoded[n++] = label[i];
        }
        decoded[n] = 0;
        return decoded;
}

static int add_decoded(json_object *event, const char *key, const char *label, size_t length) {
        _cleanup_(freep) char *decoded = label_decode(label, length);

        return decoded ? object_add_string(event, key, decoded) : -ENOMEM;
}

/* Which thing the path names: adds its names, and says what kind of thing it is. */
static int event_add_object(json_object *event, const char *path, const char **ret_kind) {
        const char *type;
        int r;

        *ret_kind = "daemon";
        if (strncmp(path, VGPU_PATH, strlen(VGPU_PATH)) == 0) {
                _cleanup_(freep) char *uuid = strdup(path + strlen(VGPU_PATH));

                if (!uuid)
                        return -ENOMEM;
                for (char *p = uuid; *p; p++)
                        if (*p == '_')
                                *p = '-';
                *ret_kind = "vgpu";
                return object_add_string(event, "uuid", uuid);
        }
        if (strncmp(path, JOB_PATH, strlen(JOB_PATH)) == 0) {
                *ret_kind = "job";
                return object_add(event, "job", json_object_new_int64(atoll(path + strlen(JOB_PATH))));
        }
        if (strncmp(path, GPU_PATH, strlen(GPU_PATH)) != 0)
                return 0;

        path += strlen(GPU_PATH);
        type = strstr(path, "/type/");
        *ret_kind = type ? "type" : "gpu";
        r = add_decoded(event, "gpu", path, type ? (size_t)(type - path) : strlen(path));
        if (r >= 0 && type)
                r = add_decoded(event, "type", type + strlen("/type/"), strlen(type + strlen("/type/")));
        return r;
}

static json_object *event_new(void) {
        json_object *event = json_object_new_object();
        char text[64];
        struct timespec ts;
        struct tm tm;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        (void)localtime_r(&ts.tv_sec, &tm);
        if (strftime(text, sizeof(text), "%FT%T%z", &tm) == 0)
                text[0] = 0;

        if (!event || object_add_string(event, "time", text) < 0 || object_add(event, "event", NULL) < 0) {
                json_object_put(event);
                return NULL;
        }

        return event;
}

static int event_set_name(json_object *event, const char *kind, const char *what) {
        char name[64];

        (void)snprintf(name, sizeof(name), "%s-%s", kind, what);
        return object_add_string(event, "event", name);
}

/* "GPU 0000:41:00.0", "vGPU UUID", "job 4" */
static void subject_print(json_object *event) {
        static const struct {
                const char *key, *label;
        } names[] = { { "uuid", "vGPU" }, { "job", "job" }, { "gpu", "GPU" }, { "type", "type" } };
        bool any = false;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(freep) char *text = NULL;
                json_object *value;

                if (!json_object_object_get_ex(event, names[i].key, &value))
                        continue;
                text = print_text(names[i].key, value, 0);
                printf("%s%s %s", any ? " " : "", names[i].label, text ? text : "-");
                any = true;
        }
        if (!any)
                printf("mdevgpud");
}

/* Of something new only what tells what it is, and of no property more than fits. */
static bool is_shown(const char *key, bool all) {
        static const char *const telling[] = { "name",  "driver",    "state",               "type_id",
                                               "label", "operation", "available_instances", "registration", "parent" };

        for (size_t i = 0; !all && i < ELEMENTSOF(telling); i++)
                if (streq(key, telling[i]))
                        return true;

        /* Whether another one means something: where it does not, that is not known and so empty. */
        return all && !streq(key, "progress_valid");
}

/* What is in a property that has members, in words: {"gpu": "0000:41:00.0", "changed": true}; and of a list how many. */
static char *members_text(const char *key, json_object *value) {
        _cleanup_(freep) char *text = NULL;
        char *closed;

        if (json_object_is_type(value, json_type_array))
                return asprintf(&text, "%zu", json_object_array_length(value)) < 0 ? NULL : TAKE(text);
        if (!json_object_is_type(value, json_type_object) || json_object_object_length(value) == 0)
                return print_text(key, json_object_is_type(value, json_type_object) ? NULL : value, TEXT_CHARS_MAX);

        json_object_object_foreach(value, member, inner) {
                _cleanup_(freep) char *label = text_label(member), *inside = print_text(member, inner, TEXT_CHARS_MAX);
                char *longer;

                if (!label || !inside ||
                    asprintf(&longer, "%s%s%s %s", text ? text : "(", text ? ", " : "", label, inside) < 0)
                        return NULL;
                free(text);
                text = longer;
        }

        return text && asprintf(&closed, "%s)", text) >= 0 ? closed : NULL;
}

static void properties_print(const Ctl *ctl, json_object *properties, bool all, bool empty) {
        const char *separator = ": ";

        json_object_object_foreach(properties, key, value) {
                _cleanup_(freep) char *text = NULL, *label = NULL;
                bool bad = ctl->color && print_is_bad(key, value);

                if (!is_shown(key, all) || (!empty && print_is_empty(value)))
                        continue;
                text = members_text(key, value);
                label = text_label(key);
                printf("%s%s %s%s%s", separator, label ? label : key, bad ? COLOR_RED : "", text ? text : "-",
                       bad ? COLOR_OFF : "");
                separator = ", ";
        }
}

/* "gpu-added" is told as "GPU 0000:41:00.0 added". */
static void event_print_text(const Ctl *ctl, json_object *event) {
        const char *name = object_string(event, "event"), *time_text = object_string(event, "time");
        const char *what = name ? strrchr(name, '-') : NULL;
        json_object *properties = NULL;

        printf("%.8s ", time_text && strlen(time_text) > 11 ? time_text + 11 : "-");
        subject_print(event);
        printf(" %s", what ? what + 1 : "-");
        if (json_object_object_get_ex(event, "properties", &properties))
                properties_print(ctl, properties, what && !streq(what, "-added"),
                                 what && streq(what, "-changed") && !json_object_object_get_ex(event, "job", NULL));
        putchar('\n');
}

static void event_emit(Monitor *monitor, json_object *event) {
        Ctl line = *monitor->ctl;

        if (monitor->ctl->output == OUTPUT_TEXT)
                event_print_text(monitor->ctl, event);
        else {
                line.output = OUTPUT_JSON_SHORT; /* a line is an event */
                monitor->status = status_first(monitor->status, print_json(&line, event));
        }

        if (fflush(stdout) != 0)
                monitor->status = ctl_error(STATUS_FAILED, "Cannot write: %s.", strerror(errno));
}

static int add_properties(sd_bus_message *m, json_object *into) {
        _cleanup_(json_object_putp) json_object *properties = NULL;
        int r;

        r = reply_read_value(m, &properties);
        return r < 0 ? r : object_merge(into, properties);
}

/* a{sa{sv}}: the interfaces of an object that has come. An interface that a GPU gets later is a change of the GPU. */
static int read_interfaces(sd_bus_message *m, json_object *properties, bool *ret_whole) {
        const char *interface;
        bool whole = false;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                r = sd_bus_message_read_basic(m, 's', &interface);
                if (r < 0)
                        return r;
                if (strncmp(interface, BUS_NAME ".", strlen(BUS_NAME) + 1) == 0) {
                        whole = whole || !strchr(interface + strlen(BUS_NAME) + 1, '.');
                        r = add_properties(m, properties);
                } else
                        r = sd_bus_message_skip(m, "a{sv}");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        *ret_whole = whole;
        return r;
}

static int on_added(sd_bus_message *m, json_object *event) {
        json_object *properties;
        const char *path, *kind;
        bool whole;
        int r;

        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = object_add_string(event, "path", path);
        if (r >= 0)
                r = event_add_object(event, path, &kind);
        if (r < 0)
                return r;

        properties = json_object_new_object();
        r = object_add(event, "properties", properties);
        if (r >= 0)
                r = properties ? read_interfaces(m, properties, &whole) : -ENOMEM;
        return r < 0 ? r : event_set_name(event, kind, whole ? "added" : "changed");
}

static int on_removed(sd_bus_message *m, json_object *event) {
        const char *path, *kind, *interface;
        bool whole = false;
        int r;

        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = object_add_string(event, "path", path);
        if (r >= 0)
                r = event_add_object(event, path, &kind);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &interface)) > 0)
                whole = whole || (strncmp(interface, BUS_NAME ".", strlen(BUS_NAME) + 1) == 0 &&
                                  !strchr(interface + strlen(BUS_NAME) + 1, '.'));

        return r < 0 ? r : event_set_name(event, kind, whole ? "removed" : "changed");
}

static int on_changed(sd_bus_message *m, json_object *event) {
        const char *interface, *kind;
        json_object *properties;
        int r;

        r = sd_bus_message_read(m, "s", &interface);
        if (r >= 0)
                r = object_add_string(event, "path", sd_bus_message_get_path(m));
        if (r >= 0)
                r = event_add_object(event, sd_bus_message_get_path(m), &kind);
        if (r < 0)
                return r;

        r = reply_read_value(m, &properties);
        if (r >= 0)
                r = object_add(event, "properties", properties);
        return r < 0 ? r : event_set_name(event, kind, "changed");
}

static int on_finished(sd_bus_message *m, json_object *event) {
        const char *path, *result, *error, *message;
        json_object *properties;
        uint32_t id;
        int r;

        r = sd_bus_message_read(m, "uosss", &id, &path, &result, &error, &message);
        if (r < 0)
                return r;

        properties = json_object_new_object();
        if (object_add_string(event, "path", path) < 0 || object_add(event, "job", json_object_new_int64(id)) < 0 ||
            !properties || object_add(event, "properties", properties) < 0 ||
            object_add_string(properties, "result", result) < 0 || object_add_string(properties, "error", error) < 0 ||
            object_add_string(properties, "message", message) < 0)
                return -ENOMEM;

        return event_set_name(event, "job", "finished");
}

static int on_reloading(sd_bus_message *m, json_object *event) {
        int active;
        int r;

        r = sd_bus_message_read(m, "b", &active);
        return r < 0 ? r : event_set_name(event, "daemon", active ? "reloading" : "reloaded");
}

static int on_owner(sd_bus_message *m, json_object *event) {
        const char *name, *old, *owner;
        int r;

        r = sd_bus_message_read(m, "sss", &name, &old, &owner);
        return r < 0 ? r : event_set_name(event, "daemon", *owner ? "returned" : "left");
}

static const struct {
        const char *interface, *member;
        int (*read)(sd_bus_message *m, json_object *event);
} signals[] = {
        { "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", on_added },
        { "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", on_removed },
        { "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed },
        { BUS_MANAGER, "JobFinished", on_finished },
        { BUS_MANAGER, "Reloading", on_reloading },
        { "org.freedesktop.DBus", "NameOwnerChanged", on_owner },
};

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(json_object_putp) json_object *event = NULL;
        Monitor *monitor = userdata;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                if (sd_bus_message_is_signal(m, signals[i].interface, signals[i].member) <= 0)
                        continue;

                event = event_new();
                r = event ? signals[i].read(m, event) : -ENOMEM;
                if (r == -ENOMEM)
                        monitor->status = ctl_oom();
                else if (r < 0)
                        (void)ctl_error(STATUS_FAILED, "A signal %s of mdevgpud's makes no sense: %s.",
                                        signals[i].member, strerror(-r));
                else
                        event_emit(monitor, event);
                return 0;
        }

        return 0;
}

static Status matches_add(Ctl *ctl, Monitor *monitor) {
        static const char *const matches[] = {
                "type='signal',sender='" BUS_NAME "',path_namespace='" BUS_ROOT "'",
                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged'"
                ","
                "arg0='" BUS_NAME "'",
        };
        Status status;
        int r;

        status = bus_connect(ctl, /* ret_error= */ NULL);
        for (size_t i = 0; status == STATUS_DONE && i < ELEMENTSOF(matches); i++) {
                r = sd_bus_add_match(ctl->bus, NULL, matches[i], on_signal, monitor);
                if (r < 0)
                        status = ctl_error(STATUS_FAILED, "Cannot listen to the bus: %s.", strerror(-r));
        }

        return status;
}

/* Whoever waits for events should know that it listens by now, and whether there is anybody to be heard. */
static Status greet(Ctl *ctl, Monitor *monitor) {
        static const BusMethod has_owner = { "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                             "NameHasOwner", false };
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *event = NULL;
        int owned = 0;

        if (bus_try(ctl, &has_owner, "b", &error, &reply, "s", BUS_NAME) != STATUS_DONE)
                return bus_error_report(ctl, &error);
        (void)sd_bus_message_read(reply, "b", &owned);

        event = event_new();
        if (!event || event_set_name(event, "daemon", owned ? "present" : "absent") < 0)
                return ctl_oom();
        event_emit(monitor, event);
        return monitor->status;
}

Status verb_monitor(Ctl *ctl, char **arguments) {
        Monitor monitor = { .ctl = ctl };
        Status status;
        int r;

        status = matches_add(ctl, &monitor);
        if (status == STATUS_DONE)
                status = greet(ctl, &monitor);
        if (status != STATUS_DONE)
                return status;

        for (;;) {
                r = sd_bus_process(ctl->bus, NULL);
                if (monitor.status != STATUS_DONE)
                        return monitor.status;
                if (r == 0)
                        r = sd_bus_wait(ctl->bus, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return ctl_error(STATUS_UNREACHABLE, "The bus is gone: %s.", strerror(-r));
        }
}
