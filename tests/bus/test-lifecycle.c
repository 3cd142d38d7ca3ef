/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Starting, leaving, and what becomes of the bus meanwhile. */

#include <signal.h>
#include <sys/wait.h>

#include "client.h"

#define UUID "6b2f6c5e-1111-4222-8333-444455556666"

static char *name_owner(Harness *h) {
        sd_bus_message *reply = NULL;
        const char *owner;
        char *copy;

        g_assert_cmpint(sd_bus_call_method(h->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetNameOwner", NULL, &reply, "s", BUS_NAME), >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &owner), >, 0);
        copy = g_strdup(owner);
        sd_bus_message_unref(reply);
        return copy;
}

/* Whoever comes first by calling us is told of the hardware that is there, and not of none. */
static void test_early_call(void) {
        for (unsigned i = 0; i < 5; i++) {
                g_autoptr(Harness) h = harness_new();

                harness_start_daemon(h, /* without_polkit= */ true);
                g_assert_cmpuint(count_rows(h->bus, "ListTypes", "gpu", "s", GPU), ==, 2);
                g_assert_cmpuint(count_rows(h->bus, "ListGpus", "state", "s", "ready"), ==, 2);
        }
}

/* The second one leaves before it has touched the machine. */
static void test_second_daemon(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *owner = NULL, *owner_after = NULL, *types = NULL;
        int status;

        harness_start_daemon(h, /* without_polkit= */ true);
        owner = name_owner(h);

        harness_prepare_machine(h, "second");
        types = g_build_filename(h->dir, "second/sys/class/mdev_bus/" GPU "/mdev_supported_types/" TYPE, NULL);
        g_assert_false(g_file_test(types, G_FILE_TEST_EXISTS));
        status = harness_run_second_daemon(h, "second");
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), !=, 0);
        g_assert_false(g_file_test(types, G_FILE_TEST_EXISTS));

        owner_after = name_owner(h);
        g_assert_cmpstr(owner, ==, owner_after);
        g_assert_cmpuint(count_rows(h->bus, "ListGpus", NULL, NULL), ==, 2);

        /* With the name free it would have. */
        g_assert_cmpint(harness_stop_daemon(h, SIGTERM), ==, 0);
        harness_start_daemon_on(h, "second");
        g_assert_cmpuint(count_rows(h->bus, "ListTypes", "gpu", "s", GPU), ==, 2);
        g_assert_true(g_file_test(types, G_FILE_TEST_EXISTS));
}

/* It comes back to what it made, and knows that it did. */
static void test_restart(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *path = NULL, *managed = NULL;

        harness_start_daemon(h, /* without_polkit= */ true);
        g_free(create_vgpu(h->bus, TYPE, UUID, &path));
        g_assert_cmpint(harness_stop_daemon(h, SIGTERM), ==, 0);

        harness_start_daemon(h, /* without_polkit= */ true);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 1);
        managed = get_property(h->bus, path, VGPU_INTERFACE, "Managed");
        g_assert_cmpstr(managed, ==, "true");

        g_assert_cmpint(WTERMSIG(harness_stop_daemon(h, SIGKILL)), ==, SIGKILL);
        harness_start_daemon(h, /* without_polkit= */ true);
        destroy_vgpu(h->bus, UUID);
}

static void test_bus_dies(void) {
        g_autoptr(Harness) h = harness_new();
        int status;

        harness_start_daemon(h, /* without_polkit= */ true);
        harness_stop_bus(h);
        status = harness_wait_daemon(h);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), !=, 0);
}

/* A caller that leaves is no reason for anything to break, whenever it does. */
/* Nobody waits for these calls: they are done when nothing has changed for a while. */
static void wait_until_quiet(Harness *h) {
        unsigned before = UINT_MAX;

        for (unsigned quiet = 0; quiet < 10; quiet++) {
                unsigned n = (unsigned)count_rows(h->bus, "ListVGpus", NULL, NULL);

                quiet = n == before ? quiet : 0;
                before = n;
                g_usleep(200000);
        }
}

static void test_impatient_callers(void) {
        g_autoptr(Harness) h = harness_new();
        g_autoptr(Cache) cache = NULL;

        harness_start_daemon(h, /* without_polkit= */ true);
        cache = cache_new(h);
        for (unsigned i = 0; i < 24; i++) {
                sd_bus *bus = harness_connect(h, 0);
                sd_bus_message *m;

                g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, MANAGER_INTERFACE,
                                                               "CreateVGpu"), >=, 0);
                g_assert_cmpint(sd_bus_message_append(m, "sssa{sv}", GPU, TYPE, "", 0), >=, 0);
                g_assert_cmpint(sd_bus_send(bus, m, NULL), >=, 0);
                g_assert_cmpint(sd_bus_flush(bus), >=, 0);
                g_usleep(i * 5000);
                sd_bus_message_unref(m);
                sd_bus_close_unref(bus);
        }

        wait_until_quiet(h);
        cache_check(h, cache);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), <=, TYPE_INSTANCES);
}

/* More callers at a time than the bus gives a connection match rules: those who wait for nothing make room. */
static void test_many_callers(void) {
        g_autoptr(Harness) h = harness_new();
        sd_bus *buses[600];

        harness_start_daemon(h, /* without_polkit= */ true);
        for (size_t i = 0; i < G_N_ELEMENTS(buses); i++) {
                buses[i] = harness_connect(h, 0);
                sd_bus_message_unref(manager_call(buses[i], "Reload", "a{sv}", 0));
        }
        /* The first is forgotten by now, and asked about again. */
        sd_bus_message_unref(manager_call(buses[0], "Reload", "a{sv}", 0));

        for (size_t i = 0; i < G_N_ELEMENTS(buses); i++)
                sd_bus_flush_close_unref(buses[i]);
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/lifecycle/early-call", test_early_call);
        g_test_add_func("/lifecycle/second-daemon", test_second_daemon);
        g_test_add_func("/lifecycle/restart", test_restart);
        g_test_add_func("/lifecycle/bus-dies", test_bus_dies);
        g_test_add_func("/lifecycle/impatient-callers", test_impatient_callers);
        g_test_add_func("/lifecycle/many-callers", test_many_callers);

        return g_test_run();
}
