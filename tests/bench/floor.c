/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The floor: what a service costs that does nothing. It asks the daemon once for its vGPUs and objects and then answers
 * the same from memory, with nothing but libsystemd: a list from an array, and objects whose properties libsystemd reads
 * from structures itself. And an echo, which is what the bus alone costs.
 */

#include "bench.h"

/* The widest interface has fewer. */
#define PROPERTIES_MAX 24U

typedef struct Row {
        char *texts[5];
        char *path;
        char *kind;
        char *last_error;
        int managed;
        int persistent;
        int autostart;
} Row;

typedef struct Shape {
        char *name;
        sd_bus_vtable *vtable;
} Shape;

static Row *rows;
static size_t n_rows;
static Shape shapes[16];
static size_t n_shapes;

static char *take_text(sd_bus_message *m, char type) {
        const char *s;

        bench_try(sd_bus_message_read_basic(m, type, &s), "a text");
        return strdup(s);
}

static int take_bool(sd_bus_message *m) {
        int b;

        bench_try(sd_bus_message_read_basic(m, 'b', &b), "a boolean");
        return b;
}

static void take_row(sd_bus_message *m) {
        Row row = {};

        for (size_t i = 0; i < ELEMENTSOF(row.texts); i++)
                row.texts[i] = take_text(m, 's');
        row.path = take_text(m, 'o');
        bench_try(sd_bus_message_enter_container(m, 'a', "{sv}"), "a row's rest");
        while (bench_try(sd_bus_message_enter_container(m, 'e', "sv"), "an entry") > 0) {
                _cleanup_(freep) char *key = take_text(m, 's');
                bool text = streq(key, "kind") || streq(key, "last-error");

                bench_try(sd_bus_message_enter_container(m, 'v', text ? "s" : "b"), key);
                if (streq(key, "kind"))
                        row.kind = take_text(m, 's');
                else if (text)
                        row.last_error = take_text(m, 's');
                else if (streq(key, "managed"))
                        row.managed = take_bool(m);
                else if (streq(key, "persistent"))
                        row.persistent = take_bool(m);
                else if (streq(key, "autostart"))
                        row.autostart = take_bool(m);
                else
                        bench_die("ListVGpus has '%s', which the floor does not know", key);
                bench_try(sd_bus_message_exit_container(m), key);
                bench_try(sd_bus_message_exit_container(m), key);
        }
        bench_try(sd_bus_message_exit_container(m), "a row's rest");

        rows = reallocarray(rows, n_rows + 1, sizeof(Row));
        rows[n_rows++] = row;
}

static void take_rows(sd_bus *bus) {
        sd_bus_message *m;

        bench_try(sd_bus_call_method(bus, DAEMON_NAME, ROOT_PATH, MANAGER, "ListVGpus", NULL, &m, "a{sv}", 0),
                  "ListVGpus");
        bench_try(sd_bus_message_enter_container(m, 'a', "(sssssoa{sv})"), "the rows");
        while (bench_try(sd_bus_message_enter_container(m, 'r', "sssssoa{sv}"), "a row") > 0) {
                take_row(m);
                bench_try(sd_bus_message_exit_container(m), "a row");
        }
        sd_bus_message_unref(m);
}

static uint64_t take_value(sd_bus_message *m, const char *type) {
        uint64_t number = 0;
        const char *s;

        /* Of what drivers tell only few times there is nothing here. */
        if (streq(type, "a{sv}")) {
                bench_try(sd_bus_message_enter_container(m, 'a', "{sv}"), "a dictionary");
                if (bench_try(sd_bus_message_at_end(m, false), "a dictionary") == 0)
                        bench_die("A dictionary with entries, which the floor does not know");
                bench_try(sd_bus_message_exit_container(m), "a dictionary");
                return 0;
        }
        if (!*type || type[1])
                bench_die("A property of type %s, which the floor does not know", type);
        if (*type == 's' || *type == 'o') {
                bench_try(sd_bus_message_read_basic(m, *type, &s), "a property");
                return (uint64_t)(uintptr_t)strdup(s);
        }

        bench_try(sd_bus_message_read_basic(m, *type, &number), "a property");
        return number;
}

static int get_empty(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append(reply, "a{sv}", 0);
}

/* One vtable for all objects that have this interface, as a program would have. */
static const sd_bus_vtable *find_vtable(const char *interface, char *const names[], char *const types[], size_t n) {
        sd_bus_vtable *vtable;

        for (size_t i = 0; i < n_shapes; i++)
                if (streq(shapes[i].name, interface))
                        return shapes[i].vtable;
        if (n_shapes == ELEMENTSOF(shapes))
                bench_die("More interfaces than the floor has room for");

        vtable = calloc(n + 2, sizeof(sd_bus_vtable));
        vtable[0] = (sd_bus_vtable)SD_BUS_VTABLE_START(0);
        for (size_t i = 0; i < n; i++)
                vtable[i + 1] = (sd_bus_vtable)SD_BUS_PROPERTY(
                        strdup(names[i]), strdup(types[i]), streq(types[i], "a{sv}") ? get_empty : NULL,
                        i * sizeof(uint64_t), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE);
        vtable[n + 1] = (sd_bus_vtable)SD_BUS_VTABLE_END;
        shapes[n_shapes++] = (Shape){ .name = strdup(interface), .vtable = vtable };
        return vtable;
}

static void take_interface(sd_bus_message *m, sd_bus *own, const char *path, const char *interface) {
        char *names[PROPERTIES_MAX], *types[PROPERTIES_MAX];
        uint64_t *values = calloc(PROPERTIES_MAX, sizeof(uint64_t));
        size_t n = 0;

        bench_try(sd_bus_message_enter_container(m, 'a', "{sv}"), "properties");
        while (bench_try(sd_bus_message_enter_container(m, 'e', "sv"), "a property") > 0) {
                const char *contents;

                if (n == PROPERTIES_MAX)
                        bench_die("%s has more properties than the floor has room for", interface);
                names[n] = take_text(m, 's');
                bench_try(sd_bus_message_peek_type(m, NULL, &contents), names[n]);
                types[n] = strdup(contents);
                bench_try(sd_bus_message_enter_container(m, 'v', types[n]), names[n]);
                values[n] = take_value(m, types[n]);
                n++;
                bench_try(sd_bus_message_exit_container(m), "a property");
                bench_try(sd_bus_message_exit_container(m), "a property");
        }
        bench_try(sd_bus_message_exit_container(m), "properties");

        /* libsystemd's own interfaces have none here, and are added by it. */
        if (n > 0)
                bench_try(sd_bus_add_object_vtable(own, NULL, path, interface, find_vtable(interface, names, types, n),
                                                   values),
                          path);
        while (n > 0) {
                free(names[--n]);
                free(types[n]);
        }
}

static void take_objects(sd_bus *bus, sd_bus *own) {
        sd_bus_message *m;

        bench_try(sd_bus_call_method(bus, DAEMON_NAME, ROOT_PATH, "org.freedesktop.DBus.ObjectManager",
                                     "GetManagedObjects", NULL, &m, ""),
                  "GetManagedObjects");
        bench_try(sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}"), "the objects");
        while (bench_try(sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}"), "an object") > 0) {
                _cleanup_(freep) char *path = take_text(m, 'o');

                bench_try(sd_bus_message_enter_container(m, 'a', "{sa{sv}}"), path);
                while (bench_try(sd_bus_message_enter_container(m, 'e', "sa{sv}"), path) > 0) {
                        _cleanup_(freep) char *interface = take_text(m, 's');

                        take_interface(m, own, path, interface);
                        bench_try(sd_bus_message_exit_container(m), path);
                }
                bench_try(sd_bus_message_exit_container(m), path);
                bench_try(sd_bus_message_exit_container(m), path);
        }
        sd_bus_message_unref(m);
}

static int append_row(sd_bus_message *reply, const Row *row) {
        return sd_bus_message_append(reply, "(sssssoa{sv})", row->texts[0], row->texts[1], row->texts[2], row->texts[3],
                                     row->texts[4], row->path, 5, "kind", "s", row->kind, "managed", "b", row->managed,
                                     "persistent", "b", row->persistent, "autostart", "b", row->autostart,
                                     "last-error", "s", row->last_error);
}

static int method_list(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        sd_bus_message *reply;

        bench_try(sd_bus_message_skip(message, "a{sv}"), "the filter");
        bench_try(sd_bus_message_new_method_return(message, &reply), "a reply");
        bench_try(sd_bus_message_open_container(reply, 'a', "(sssssoa{sv})"), "a reply");
        for (size_t i = 0; i < n_rows; i++)
                bench_try(append_row(reply, &rows[i]), "a row");
        bench_try(sd_bus_message_close_container(reply), "a reply");
        bench_try(sd_bus_message_send(reply), "a reply");
        sd_bus_message_unref(reply);
        return 1;
}

static int method_echo(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *s;

        bench_try(sd_bus_message_read_basic(message, 's', &s), "the text");
        return sd_bus_reply_method_return(message, "s", s);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ListVGpus", "a{sv}", "a(sssssoa{sv})", method_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Echo", "s", "s", method_echo, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int bench_floor(int argc, char **argv) {
        sd_bus *bus = bench_open(argv[0]), *own = bench_open(argv[0]);

        take_rows(bus);
        take_objects(bus, own);
        sd_bus_flush_close_unref(bus);

        bench_try(sd_bus_add_object_manager(own, NULL, ROOT_PATH), "the object manager");
        bench_try(sd_bus_add_object_vtable(own, NULL, ROOT_PATH, MANAGER, manager_vtable, NULL), "the manager");
        bench_try(sd_bus_request_name(own, FLOOR_NAME, 0), FLOOR_NAME);
        for (;;) {
                while (bench_try(sd_bus_process(own, NULL), "sd_bus_process") > 0)
                        ;
                bench_try(sd_bus_wait(own, UINT64_MAX), "sd_bus_wait");
        }
}
