/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions, as callers see them: enabling them as a job, what refuses it, and what a setting does by itself. */

#include <signal.h>
#include <string.h>

#include "client.h"

#define VF_TYPE "vfio-pci-vf"
#define UUID_B "6b2f6c5e-1111-4222-8333-444455557777"
#define UUID "6b2f6c5e-1111-4222-8333-444455556666"

static Harness *prepare(void) {
        Harness *h = harness_new();

        harness_prepare_machine(h, "host");
        harness_act(h, "plug-sriov", SRIOV_GPU, NULL);
        harness_act(h, "plug-nvidia", NVIDIA_GPU, NULL);
        return h;
}

static Harness *start(void) {
        Harness *h = prepare();

        harness_start_daemon_on(h, "host");
        return h;
}

typedef struct Expectation {
        Harness *h;
        const char *path, *interface, *property, *value;
} Expectation;

static bool is_so(void *userdata) {
        const Expectation *e = userdata;
        sd_bus_message *reply;
        g_autofree char *value = NULL;

        /* It may not be there yet. */
        reply = try_call(e->h->bus, e->path, "org.freedesktop.DBus.Properties", "Get", NULL, "ss", e->interface,
                         e->property);
        value = reply ? message_dump(reply) : NULL;
        sd_bus_message_unref(reply);
        return value && strstr(value, e->value);
}

static void expect(Harness *h, const char *path, const char *interface, const char *property, const char *value) {
        Expectation e = { h, path, interface, property, value };

        harness_wait(h->bus, is_so, &e);
}

static void expect_now(Harness *h, const char *path, const char *interface, const char *property, const char *value) {
        g_autofree char *is = get_property(h->bus, path, interface, property);

        g_assert_cmpstr(is, ==, value);
}

/* Its job, ended. */
static char *enable(Harness *h, const char *path, uint32_t n) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;
        const char *job;
        char *copy;

        reply = try_call(h->bus, path, SRIOV_INTERFACE, "EnableVfs", &error, "ua{sv}", n, 0);
        g_assert_cmpstr(error.message, ==, NULL);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &job), >, 0);
        copy = g_strdup(job);
        sd_bus_message_unref(reply);
        expect(h, copy, JOB_INTERFACE, "State", "done");
        return copy;
}

static void refuse(Harness *h, const char *path, uint32_t n, const char *name) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_error(try_call(h->bus, path, SRIOV_INTERFACE, "EnableVfs", &error, "ua{sv}", n, 0), &error, name);
}

/* When the job has ended what it did can be used. */
static void test_enable(void) {
        g_autoptr(Harness) h = start();
        g_autoptr(Cache) cache = cache_new(h);
        g_autofree char *job = NULL, *nothing = NULL, *more = NULL, *result = NULL;

        expect_now(h, SRIOV_PATH, SRIOV_INTERFACE, "NumVfs", "0");
        job = enable(h, SRIOV_PATH, 2);
        expect_now(h, job, JOB_INTERFACE, "State", "'done'");
        expect_now(h, job, JOB_INTERFACE, "Operation", "'enable-vfs'");
        expect_now(h, job, JOB_INTERFACE, "Objects", "( '" SRIOV_PATH "' )");
        result = get_property(h->bus, job, JOB_INTERFACE, "Result");
        g_assert_nonnull(strstr(result, SRIOV_GPU));
        g_assert_nonnull(strstr(result, "'changed' ( true )"));
        expect_now(h, SRIOV_PATH, SRIOV_INTERFACE, "NumVfs", "2");
        g_assert_cmpuint(count_rows(h->bus, "ListGpus", NULL, NULL), ==, 4);

        sd_bus_message_unref(manager_call(h->bus, "CreateVGpu", "sssa{sv}", SRIOV_GPU, VF_TYPE, UUID, 0));
        refuse(h, SRIOV_PATH, 0, ERROR_PREFIX "Busy");
        refuse(h, SRIOV_PATH, 1, ERROR_PREFIX "Busy");
        refuse(h, SRIOV_PATH, 1000, ERROR_INVALID_ARGS);
        /* There are as many: nothing is asked of the vGPU. */
        nothing = enable(h, SRIOV_PATH, 2);
        g_free(result);
        result = get_property(h->bus, nothing, JOB_INTERFACE, "Result");
        g_assert_nonnull(strstr(result, "'changed' ( false )"));

        sd_bus_message_unref(manager_call(h->bus, "DestroyVGpu", "sa{sv}", UUID, 0));
        more = enable(h, SRIOV_PATH, 4);
        expect_now(h, SRIOV_PATH, SRIOV_INTERFACE, "NumVfs", "4");
        cache_check(h, cache);
}

/* By NVIDIA's program: all or none. */
static void test_nvidia(void) {
        g_autoptr(Harness) h = start();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *all = NULL, *none = NULL;
        sd_bus_message *reply;
        const char *job;

        reply = try_call(h->bus, NVIDIA_PATH, SRIOV_INTERFACE, "EnableVfs", &error, "ua{sv}", 3U, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &job), >, 0);
        expect(h, job, JOB_INTERFACE, "State", "failed");
        expect_now(h, job, JOB_INTERFACE, "Error", "'" ERROR_INVALID_ARGS "'");
        sd_bus_message_unref(reply);

        all = enable(h, NVIDIA_PATH, 8);
        expect_now(h, NVIDIA_PATH, SRIOV_INTERFACE, "NumVfs", "8");
        sd_bus_message_unref(manager_call(h->bus, "CreateVGpu", "sssa{sv}", NVIDIA_GPU, "nvidia-1145", UUID, 0));
        sd_bus_message_unref(manager_call(h->bus, "DestroyVGpu", "sa{sv}", UUID, 0));
        none = enable(h, NVIDIA_PATH, 0);
        expect_now(h, NVIDIA_PATH, SRIOV_INTERFACE, "NumVfs", "0");
}

static void expect_file(Harness *h, const char *name, const char *value) {
        g_autofree char *path = g_build_filename(h->dir, name, NULL), *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(g_strchomp(text), ==, value);
}

static void set_mixed(Harness *h, int on, const char *refusal) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;

        reply = try_call(h->bus, NVIDIA_PATH, MIXED_INTERFACE, "Set", &error, "ba{sv}", on, 0);
        if (refusal) {
                assert_error(reply, &error, refusal);
                return;
        }
        g_assert_cmpstr(error.message, ==, NULL);
        sd_bus_message_unref(reply);
}

/* In the order that the driver wants: functions, this, vGPUs. */
static void test_mixed(void) {
        g_autoptr(Harness) h = start();
        g_autoptr(Cache) cache = cache_new(h);
        g_autofree char *all = NULL, *none = NULL, *again = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        set_mixed(h, true, "org.freedesktop.DBus.Error.UnknownMethod");
        all = enable(h, NVIDIA_PATH, 8);
        expect_now(h, NVIDIA_PATH, MIXED_INTERFACE, "Enabled", "false");
        set_mixed(h, true, NULL);
        expect_now(h, NVIDIA_PATH, MIXED_INTERFACE, "Enabled", "true");
        set_mixed(h, true, NULL);

        sd_bus_message_unref(manager_call(h->bus, "CreateVGpu", "sssa{sv}", NVIDIA_GPU, "nvidia-1145", UUID, 0));
        set_mixed(h, false, ERROR_PREFIX "Busy");
        sd_bus_message_unref(manager_call(h->bus, "CreateVGpu", "sssa{sv}", NVIDIA_GPU, "nvidia-1145", UUID_B, 1,
                                          "placement-id", "u", 2U));
        expect_file(h, "host/sys/bus/pci/devices/0000:61:01.1/nvidia/placement_id", "2");
        sd_bus_message_unref(manager_call(h->bus, "DestroyVGpu", "sa{sv}", UUID_B, 0));
        /* Nothing is left of one whose place cannot be had. */
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", &error, "sssa{sv}", NVIDIA_GPU,
                              "nvidia-1145", UUID_B, 1, "gpu-instance-id", "u", 1U),
                     &error, ERROR_PREFIX "NotSupported");
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 1);
        expect_now(h, NVIDIA_PATH, MIXED_INTERFACE, "Enabled", "true");
        sd_bus_message_unref(manager_call(h->bus, "DestroyVGpu", "sa{sv}", UUID, 0));
        set_mixed(h, false, NULL);
        expect_now(h, NVIDIA_PATH, MIXED_INTERFACE, "Enabled", "false");

        /* The driver forgets it with the functions. */
        set_mixed(h, true, NULL);
        none = enable(h, NVIDIA_PATH, 0);
        again = enable(h, NVIDIA_PATH, 8);
        expect_now(h, NVIDIA_PATH, MIXED_INTERFACE, "Enabled", "false");
        cache_check(h, cache);
}

static void set_settings(Harness *h, const char *text) {
        harness_write(h, "host/etc/mdevgpud/mdevgpud.yaml", text);
}

#define SETTINGS "version: 1\nsriov: [{match: {address: \"" SRIOV_GPU "\"}, vfs: 3}, {match: {}, vfs: all}]\n"

/* At the start, before READY; and when a card comes. What somebody has changed by hand survives a restart. */
static void test_settings(void) {
        g_autoptr(Harness) h = prepare();
        g_autofree char *job = NULL, *none = NULL;

        set_settings(h, SETTINGS);
        harness_start_daemon_on(h, "host");
        expect_now(h, SRIOV_PATH, SRIOV_INTERFACE, "NumVfs", "3");
        expect_now(h, NVIDIA_PATH, SRIOV_INTERFACE, "NumVfs", "8");

        job = enable(h, SRIOV_PATH, 0);
        /* By a program that takes the card from its driver meanwhile: that is no new driver. */
        none = enable(h, NVIDIA_PATH, 0);
        harness_pump(h->bus, 200);
        expect_now(h, NVIDIA_PATH, SRIOV_INTERFACE, "NumVfs", "0");
        expect_now(h, NVIDIA_PATH, GPU_INTERFACE, "Reason",
                   "'none of its 8 virtual functions is enabled, on which its driver 'nvidia' may offer vGPUs'");
        (void)harness_stop_daemon(h, SIGKILL);
        harness_start_daemon_on(h, "host");
        expect_now(h, SRIOV_PATH, SRIOV_INTERFACE, "NumVfs", "0");

        harness_act(h, "unplug", SRIOV_GPU, NULL);
        harness_act(h, "plug-sriov", SRIOV_GPU, NULL);
        expect(h, SRIOV_PATH, SRIOV_INTERFACE, "NumVfs", "3");
}

/* What is defined on a function starts when the setting has made that; after a driver was reloaded as well. */
static void test_settings_and_definitions(void) {
        g_autoptr(Harness) h = prepare();

        set_settings(h, SETTINGS);
        harness_start_daemon_on(h, "host");
        sd_bus_message_unref(
                manager_call(h->bus, "CreateVGpu", "sssa{sv}", SRIOV_GPU, VF_TYPE, UUID, 1, "autostart", "b", 1));
        (void)harness_stop_daemon(h, SIGTERM);
        harness_act(h, "unbind", SRIOV_GPU, NULL);
        harness_start_daemon_on(h, "host");
        expect_now(h, SRIOV_PATH, SRIOV_INTERFACE, "NumVfs", "0");
        expect_now(h, SRIOV_PATH, GPU_INTERFACE, "Reason",
                   "'no driver is bound to it; when one is, the 3 virtual functions that a setting asks for will be "
                   "enabled'");

        harness_act(h, "bind", SRIOV_GPU, NULL);
        expect(h, SRIOV_PATH, SRIOV_INTERFACE, "NumVfs", "3");
        expect(h, "/org/mdevgpu1/vgpu/_6b2f6c5e_1111_4222_8333_444455556666", VGPU_INTERFACE, "State", "active");
}

static void test_settings_wrong(void) {
        g_autoptr(Harness) h = start();
        sd_bus_error error = SD_BUS_ERROR_NULL;

        set_settings(h, "version: 1\nsriov: [{match: {}, vf: 3}]\nnvidia: {sriov-manage: relative}\n");
        (void)try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "Reload", &error, "a{sv}", 0);
        g_assert_nonnull(strstr(error.message, "mdevgpud.yaml:2:21: error: unknown key 'vf'"));
        assert_error(NULL, &error, ERROR_PREFIX "ConfigInvalid");
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/sriov/enable", test_enable);
        g_test_add_func("/sriov/nvidia", test_nvidia);
        g_test_add_func("/sriov/mixed", test_mixed);
        g_test_add_func("/sriov/settings", test_settings);
        g_test_add_func("/sriov/settings-and-definitions", test_settings_and_definitions);
        g_test_add_func("/sriov/settings-wrong", test_settings_wrong);

        return g_test_run();
}
