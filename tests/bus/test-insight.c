/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon says of its machine and of itself: the diagnosis, and the statistics. */

#include <string.h>

#include "client.h"

#define UUID_A "6b2f6c5e-1111-4222-8333-444455556666"

static char *call_dump(Harness *h, const char *member) {
        sd_bus_message *reply = manager_call(h->bus, member, "a{sv}", 0);
        char *text = message_dump(reply);

        sd_bus_message_unref(reply);
        return text;
}

static void test_diagnose(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *before = NULL, *after = NULL, *full = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        harness_start_daemon(h, /* without_polkit= */ true);
        before = call_dump(h, "Diagnose");
        /* The simulated card is behind no IOMMU, and that is all. */
        g_assert_nonnull(strstr(before, "'id' ( 'iommu-off' )"));
        g_assert_nonnull(strstr(before, "'severity' ( 'warning' )"));
        g_assert_nonnull(strstr(before, "'subject' ( 'host' )"));
        g_assert_null(strstr(before, "'error'"));

        harness_write(h, "host/usr/bin/mdev-cli", "");
        harness_break_config(h);
        sd_bus_message_unref(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "Reload", &error, "a{sv}", 0));
        g_assert_true(sd_bus_error_has_name(&error, ERROR_PREFIX "ConfigInvalid"));
        sd_bus_error_free(&error);
        after = call_dump(h, "Diagnose");
        g_assert_nonnull(strstr(after, "'id' ( 'config-error' )"));
        g_assert_nonnull(strstr(after, "'id' ( 'mdev-gpu-program' )"));
        /* The gravest first. */
        g_assert_true(strstr(after, "'config-error'") < strstr(after, "'iommu-off'"));
        g_assert_true(strstr(after, "'iommu-off'") < strstr(after, "'mdev-gpu-program'"));

        while (atoi(full ?: "1") > 0) {
                make_vgpu(h->bus, LARGE_TYPE, "");
                g_free(full);
                full = get_property(h->bus, LARGE_TYPE_PATH, TYPE_INTERFACE, "AvailableInstances");
        }
        g_free(full);
        full = get_property(h->bus, TYPE_PATH, TYPE_INTERFACE, "AvailableInstances");
        for (int n = atoi(full); n > 0; n--)
                make_vgpu(h->bus, TYPE, "");
        g_free(after);
        after = call_dump(h, "Diagnose");
        g_assert_nonnull(strstr(after, "'id' ( 'no-room' )"));
        g_assert_nonnull(strstr(after, "'gpu' ( '" GPU_PATH "' )"));

        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "Diagnose", &error, "a{sv}", 1, "deep", "b", 1),
                     &error, ERROR_INVALID_ARGS);
}

/* Reads "NAME" ( N ) out of a dump. */
static uint64_t number_of(const char *dump, const char *name) {
        g_autofree char *key = g_strdup_printf("'%s' ( ", name);
        const char *found = strstr(dump, key);

        g_assert_nonnull(found);
        return g_ascii_strtoull(found + strlen(key), NULL, 10);
}

static void test_statistics(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *before = NULL, *after = NULL;
        unsigned long long done, failed, usec, sum = 0;
        const char *row;
        char *end;

        harness_start_daemon(h, /* without_polkit= */ true);
        before = call_dump(h, "GetStatistics");
        g_assert_nonnull(strstr(before, "( 'create' 0 0 0 "));
        make_vgpu(h->bus, TYPE, UUID_A);
        destroy_vgpu(h->bus, UUID_A);
        sd_bus_message_unref(manager_call(h->bus, "Reload", "a{sv}", 0));
        after = call_dump(h, "GetStatistics");

        row = strstr(after, "( 'create' ");
        g_assert_nonnull(row);
        g_assert_cmpint(sscanf(row, "( 'create' %llu %llu %llu ( ", &done, &failed, &usec), ==, 3);
        g_assert_cmpuint(done, ==, 1);
        g_assert_cmpuint(failed, ==, 0);
        g_assert_cmpuint(usec, >, 0);
        /* Each operation is in one bucket. */
        row = strchr(row + 2, '(') + 2;
        for (const char *p = row; *p != ')'; p = end + 1)
                sum += g_ascii_strtoull(p, &end, 10);
        g_assert_cmpuint(sum, ==, done + failed);
        g_assert_nonnull(strstr(after, "( 'destroy' 1 0 "));

        g_assert_cmpuint(number_of(after, "reloads-done"), ==, number_of(before, "reloads-done") + 1);
        g_assert_cmpuint(number_of(after, "workers-started"), >, 0);
        g_assert_cmpuint(number_of(after, "since"), ==, number_of(before, "since"));
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/insight/diagnose", test_diagnose);
        g_test_add_func("/insight/statistics", test_statistics);

        return g_test_run();
}
