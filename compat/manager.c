/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <time.h>

#include "manager.h"

uint64_t manager_now(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t manager_left(uint64_t deadline) {
        uint64_t t = manager_now();

        return t < deadline ? deadline - t : 1;
}

static int wait_for_bus(sd_bus *bus, uint64_t deadline) {
        int r;

        while ((r = sd_bus_is_ready(bus)) == 0) {
                if (manager_now() >= deadline)
                        return -ETIMEDOUT;
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, manager_left(deadline));
                if (r < 0)
                        return r;
        }

        return r;
}

int manager_connect(uint64_t deadline, sd_bus **ret_bus) {
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = wait_for_bus(bus, deadline);
        if (r < 0) {
                /* Not flushed: that would wait. */
                if (bus)
                        sd_bus_close(bus);
                sd_bus_unref(bus);
                return r;
        }

        *ret_bus = bus;
        return 0;
}

int manager_begin(sd_bus *bus, const char *member, sd_bus_message **ret) {
        return sd_bus_message_new_method_call(bus, ret, MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, member);
}

int manager_append_flag(sd_bus_message *m, const char *key, int value) {
        return sd_bus_message_append(m, "{sv}", key, "b", value);
}

int manager_append_attributes(sd_bus_message *m, const ManagerAttribute *attributes, size_t n) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "attrs");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(ss)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ss)");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(m, "(ss)", attributes[i].name, attributes[i].value);
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}
