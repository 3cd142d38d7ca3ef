/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Topologies and jobs, as callers see them; and what is there after kill -9, a restart and a new card. */

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

#define UUID_A "6b2f6c5e-1111-4222-8333-444455556666"
#define UUID_B "6b2f6c5e-1111-4222-8333-444455557777"

static void write_topologies(Harness *h, const char *text) {
        g_autofree char *dir = g_build_filename(h->dir, "host/etc/mdevgpud/topologies.d", NULL);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        harness_write(h, "host/etc/mdevgpud/topologies.d/test.yaml", text);
}

static void set_topologies(Harness *h, const char *text) {
        write_topologies(h, text);
        sd_bus_message_unref(manager_call(h->bus, "Reload", "a{sv}", 0));
}

static Harness *start(const char *text) {
        Harness *h = harness_new();

        harness_start_daemon(h, /* without_polkit= */ true);
        /* It is answered when the daemon has started, which reads its configuration then. */
        g_assert_cmpuint(count_rows(h->bus, "ListGpus", NULL, NULL), ==, 2);
        set_topologies(h, text);
        return h;
}

/* "t": one named vGPU and two that are not, on the card. */
#define TEXT                                                                                                           \
        "version: 1\n"                                                                                                 \
        "topologies:\n"                                                                                                \
        "  t:\n"                                                                                                       \
        "  - match: {address: \"" GPU "\"}\n"                                                                          \
        "    vgpus: [{type: " TYPE ", uuid: " UUID_A ", label: web1}, {type: " TYPE_NAME ", count: 2}]\n"              \
        "  none: [{match: {address: \"" GPU "\"}, vgpus: []}]\n"                                                       \
        "  much: [{match: {}, vgpus: [{type: " TYPE ", count: 500}]}]\n"

static char *call_and_dump(Harness *h, const char *member, const char *types, const char *argument) {
        sd_bus_message *reply;
        char *dump;

        reply = argument ? manager_call(h->bus, member, types, argument, 0) : manager_call(h->bus, member, types);
        dump = message_dump(reply);
        sd_bus_message_unref(reply);
        return dump;
}

static char *plan(Harness *h, const char *name) {
        return call_and_dump(h, "PlanTopology", "sa{sv}", name);
}

static unsigned count_actions(Harness *h, const char *name, const char *action) {
        g_autofree char *text = plan(h, name), *word = g_strdup_printf("'%s'", action);
        unsigned n = 0;

        for (const char *p = text; (p = strstr(p, word)); p++)
                n++;
        return n;
}

/* Applies one and waits for its end; how that was. */
static char *apply(Harness *h, const char *name) {
        sd_bus_message *reply;
        const char *path;

        reply = manager_call(h->bus, "ApplyTopology", "sa{sv}", name, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >, 0);
        for (unsigned i = 0; i < 500; i++) {
                g_autofree char *state = get_property(h->bus, path, JOB_INTERFACE, "State");

                if (!strstr(state, "queued") && !strstr(state, "running")) {
                        sd_bus_message_unref(reply);
                        return g_steal_pointer(&state);
                }
                g_usleep(20000);
        }
        g_error("the job does not end");
}

static void test_list(void) {
        g_autoptr(Harness) h = start(TEXT "default: t\n");
        g_autofree char *before = NULL, *state = NULL, *after = NULL, *active = NULL;

        before = call_and_dump(h, "ListTopologies", NULL, NULL);
        g_assert_nonnull(strstr(before, "much"));
        active = get_property(h->bus, BUS_PATH, MANAGER_INTERFACE, "ActiveTopology");
        g_assert_cmpstr(active, ==, "''");
        state = apply(h, "");
        g_assert_cmpstr(state, ==, "'done'");
        g_free(active);
        active = get_property(h->bus, BUS_PATH, MANAGER_INTERFACE, "ActiveTopology");
        g_assert_cmpstr(active, ==, "'t'");
        after = call_and_dump(h, "ListTopologies", NULL, NULL);
        g_assert_cmpstr(before, !=, after);
}

/* Every step is told in its order: the job, its vGPUs, its end. */
static void test_signals(void) {
        g_autoptr(Harness) h = start(TEXT);
        g_autoptr(Recorder) recorder = recorder_new(h);
        g_autoptr(Cache) cache = cache_new(h);
        int at;

        g_assert_cmpuint(count_actions(h, "t", "create"), ==, 3);
        recorder_call(recorder, BUS_PATH, MANAGER_INTERFACE, "ApplyTopology", "sa{sv}", "t", 0);
        at = recorder_expect(recorder, 0, "InterfacesAdded /org/mdevgpu1/job/1");
        at = recorder_expect(recorder, at, "JobNew");
        at = recorder_expect(recorder, at, "Reply");
        at = recorder_expect(recorder, at, "VGpuAdded");
        at = recorder_expect(recorder, at, "PropertiesChanged /org/mdevgpu1/job/1 " JOB_INTERFACE);
        at = recorder_expect(recorder, at, "Finished");
        (void)recorder_expect(recorder, at, "JobFinished");
        cache_check(h, cache);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 3);
        g_assert_cmpuint(count_actions(h, "t", "keep"), ==, 3);
        g_assert_cmpuint(count_actions(h, "none", "destroy"), ==, 3);
}

static void refuse(Harness *h, const char *member, const char *name, const char *error_name) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, member, &error, "sa{sv}", name, 0), &error, error_name);
}

static void test_errors(void) {
        g_autoptr(Harness) h = start(TEXT);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *nobody;

        refuse(h, "PlanTopology", "x", ERROR_PREFIX "NoSuchTopology");
        refuse(h, "ApplyTopology", "", ERROR_PREFIX "NoSuchTopology");
        refuse(h, "ApplyTopology", "a\nb", ERROR_INVALID_ARGS);
        refuse(h, "ApplyTopology", "much", ERROR_PREFIX "NoInstances");
        g_assert_cmpuint(count_actions(h, "much", "refuse"), ==, 1);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 0);

        nobody = harness_connect(h, NOBODY_UID);
        assert_error(try_call(nobody, BUS_PATH, MANAGER_INTERFACE, "ApplyTopology", &error, "sa{sv}", "t", 0), &error,
                     ERROR_ACCESS_DENIED);
        sd_bus_flush_close_unref(nobody);

        g_free(apply(h, "t"));
        assert_error(try_call(h->bus, "/org/mdevgpu1/job/1", JOB_INTERFACE, "Cancel", &error, "a{sv}", 0), &error,
                     ERROR_PREFIX "NotSupported");
        nobody = harness_connect(h, NOBODY_UID);
        assert_error(try_call(nobody, "/org/mdevgpu1/job/1", JOB_INTERFACE, "Cancel", &error, "a{sv}", 0), &error,
                     ERROR_ACCESS_DENIED);
        sd_bus_flush_close_unref(nobody);
}

/* What is held is named, and nothing at all is changed. */
static void test_in_use(void) {
        g_autoptr(Harness) h = start(TEXT);
        g_autofree char *group = NULL, *state = NULL, *message = NULL, *path = NULL;
        int fd;

        make_vgpu(h->bus, TYPE, UUID_A);
        g_free(create_vgpu(h->bus, TYPE, UUID_B, &path));
        group = get_property(h->bus, path, VGPU_INTERFACE, "IommuGroup");
        fd = harness_hold(h, group);
        state = apply(h, "none");
        g_assert_cmpstr(state, ==, "'failed'");
        message = get_property(h->bus, "/org/mdevgpu1/job/1", JOB_INTERFACE, "ErrorMessage");
        g_assert_nonnull(strstr(message, UUID_B));
        g_assert_nonnull(strstr(message, "in use by"));
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 2);

        close(fd);
        g_free(state);
        state = apply(h, "none");
        g_assert_cmpstr(state, ==, "'done'");
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 0);
}

/* At the start what the default asks for is there before anybody is answered; and stays changed when changed. */
static void test_default(void) {
        g_autoptr(Harness) h = harness_new();

        harness_prepare_machine(h, "host");
        write_topologies(h, TEXT "default: t\n");
        harness_start_daemon(h, /* without_polkit= */ true);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 3);

        destroy_vgpu(h->bus, UUID_A);
        g_assert_cmpint(harness_stop_daemon(h, SIGTERM), ==, 0);
        harness_start_daemon(h, /* without_polkit= */ true);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 2);
        g_assert_cmpuint(count_actions(h, "t", "create"), ==, 1);
        g_free(apply(h, "t"));
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 3);
}

/* Killed at any moment: all is as before, or all is done. */
static void test_killed(void) {
        for (unsigned i = 0; i < 8; i++) {
                g_autoptr(Harness) h = start(TEXT);
                unsigned n;

                make_vgpu(h->bus, TYPE, UUID_B);
                sd_bus_message_unref(manager_call(h->bus, "ApplyTopology", "sa{sv}", "t", 0));
                g_usleep(i * 4000);
                g_assert_cmpint(WTERMSIG(harness_stop_daemon(h, SIGKILL)), ==, SIGKILL);
                harness_start_daemon(h, /* without_polkit= */ true);

                n = count_rows(h->bus, "ListVGpus", NULL, NULL);
                if (n == 1)
                        g_assert_cmpuint(count_actions(h, "none", "destroy"), ==, 1);
                else
                        g_assert_cmpuint(count_actions(h, "t", "keep"), ==, 3);
                g_free(apply(h, "t"));
                g_assert_cmpuint(count_actions(h, "t", "keep"), ==, 3);
        }
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/topology/list", test_list);
        g_test_add_func("/topology/signals", test_signals);
        g_test_add_func("/topology/errors", test_errors);
        g_test_add_func("/topology/in-use", test_in_use);
        g_test_add_func("/topology/default", test_default);
        g_test_add_func("/topology/killed", test_killed);

        return g_test_run();
}
