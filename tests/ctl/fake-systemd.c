/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A stand-in for systemd's manager that knows one unit:
 *
 *   fake-systemd ADDRESS LOAD-STATE ACTIVE-STATE UNIT-FILE-STATE RESULT
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define UNIT_PATH "/org/freedesktop/systemd1/unit/mdevgpud_2eservice"

typedef struct Unit {
        const char *load, *active, *file, *result;
} Unit;

static void check(int r, const char *what) {
        if (r >= 0)
                return;
        (void)fprintf(stderr, "fake-systemd: %s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static int method_load_unit(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *name;

        check(sd_bus_message_read(m, "s", &name), "LoadUnit");
        if (strcmp(name, "mdevgpud.service") != 0)
                return sd_bus_error_setf(ret_error, "org.freedesktop.systemd1.NoSuchUnit", "No %s", name);
        return sd_bus_reply_method_return(m, "o", UNIT_PATH);
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append_basic(reply, 's', *(const char **)userdata);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("LoadUnit", "s", "o", method_load_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("LoadState", "s", get_text, offsetof(Unit, load), 0),
        SD_BUS_PROPERTY("ActiveState", "s", get_text, offsetof(Unit, active), 0),
        SD_BUS_PROPERTY("UnitFileState", "s", get_text, offsetof(Unit, file), 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Result", "s", get_text, offsetof(Unit, result), 0),
        SD_BUS_VTABLE_END,
};

int main(int argc, char **argv) {
        Unit unit;
        sd_bus *bus;
        int r;

        if (argc != 6)
                return 2;
        unit = (Unit){ argv[2], argv[3], argv[4], argv[5] };

        check(sd_bus_new(&bus), "bus");
        check(sd_bus_set_address(bus, argv[1]), "address");
        check(sd_bus_set_bus_client(bus, true), "client");
        check(sd_bus_start(bus), "start");
        check(sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                       manager_vtable, NULL),
              "manager");
        check(sd_bus_add_object_vtable(bus, NULL, UNIT_PATH, "org.freedesktop.systemd1.Unit", unit_vtable, &unit),
              "unit");
        check(sd_bus_add_object_vtable(bus, NULL, UNIT_PATH, "org.freedesktop.systemd1.Service", service_vtable, &unit),
              "service");
        check(sd_bus_request_name(bus, "org.freedesktop.systemd1", 0), "name");
        puts("ready");
        (void)fflush(stdout);

        for (;;) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                check(r, "bus");
        }
}
