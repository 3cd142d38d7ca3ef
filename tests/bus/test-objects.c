/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The objects: what is on the bus, what calls do to it, what signals say of it, and every refusal by name. */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "client.h"

#define UUID_A "6b2f6c5e-1111-4222-8333-444455556666"
#define UUID_UPPER "6B2F6C5E-1111-4222-8333-444455556666"
#define UUID_B "0f000000-0000-4000-8000-00000000000b"
#define PATH_A "/org/mdevgpu1/vgpu/_6b2f6c5e_1111_4222_8333_444455556666"

static Harness *start(void) {
        Harness *h = harness_new();

        harness_start_daemon(h, /* without_polkit= */ true);
        return h;
}

static void test_present(void) {
        g_autoptr(Harness) h = start();
        g_autofree char *gpu = NULL, *address = NULL, *state = NULL, *type_gpu = NULL, *version = NULL;
        sd_bus_message *reply;
        const char *path;

        reply = manager_call(h->bus, "GetGpu", "s", GPU);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >, 0);
        gpu = g_strdup(path);
        sd_bus_message_unref(reply);
        g_assert_cmpstr(gpu, ==, GPU_PATH);

        address = get_property(h->bus, gpu, GPU_INTERFACE, "Address");
        g_assert_cmpstr(address, ==, "'" GPU "'");
        state = get_property(h->bus, gpu, GPU_INTERFACE, "State");
        g_assert_cmpstr(state, ==, "'ready'");
        type_gpu = get_property(h->bus, TYPE_PATH, TYPE_INTERFACE, "Gpu");
        g_assert_cmpstr(type_gpu, ==, "'" GPU_PATH "'");
        version = get_property(h->bus, BUS_PATH, MANAGER_INTERFACE, "Version");
        g_assert_cmpstr(version, !=, "''");

        g_assert_cmpuint(count_rows(h->bus, "ListGpus", NULL, NULL), ==, 2);
        g_assert_cmpuint(count_rows(h->bus, "ListTypes", "gpu", "s", GPU), ==, 2);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 0);
}

static void assert_order(int a, int b) {
        g_assert_cmpint(a, >=, 0);
        g_assert_cmpint(b, >=, 0);
        g_assert_cmpint(a, <, b);
}

/* Whoever gets the answer to a call has heard before of everything that it did. */
static void test_order(void) {
        g_autoptr(Harness) h = start();
        g_autoptr(Recorder) recorder = recorder_new(h);
        int reply, second;

        recorder_call(recorder, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", "sssa{sv}", GPU, TYPE, UUID_UPPER, 0);
        reply = recorder_expect(recorder, 0, "Reply");
        assert_order(recorder_find(recorder, 0, "InterfacesAdded " PATH_A),
                     recorder_find(recorder, 0, "VGpuAdded " UUID_A));
        assert_order(recorder_find(recorder, 0, "VGpuAdded " UUID_A), reply);
        assert_order(
                recorder_find(recorder, 0, "PropertiesChanged " TYPE_PATH " " TYPE_INTERFACE " AvailableInstances"),
                reply);

        recorder_call(recorder, PATH_A, VGPU_INTERFACE, "Destroy", "a{sv}", 0);
        second = recorder_expect(recorder, reply + 1, "Reply");
        assert_order(recorder_find(recorder, reply, "InterfacesRemoved " PATH_A),
                     recorder_find(recorder, reply, "VGpuRemoved " UUID_A));
        assert_order(recorder_find(recorder, reply, "VGpuRemoved " UUID_A), second);
        assert_order(recorder_find(recorder, reply + 1, "PropertiesChanged " TYPE_PATH), second);
}

static void test_create(void) {
        g_autoptr(Harness) h = start();
        g_autofree char *made = NULL, *path = NULL, *generated = NULL, *before = NULL, *after = NULL, *managed = NULL;
        g_autofree char *type = NULL, *type_id = NULL, *state = NULL, *kind = NULL;

        before = get_property(h->bus, TYPE_PATH, TYPE_INTERFACE, "AvailableInstances");
        made = create_vgpu(h->bus, TYPE, UUID_UPPER, &path);
        g_assert_cmpstr(made, ==, UUID_A);
        g_assert_cmpstr(path, ==, PATH_A);
        after = get_property(h->bus, TYPE_PATH, TYPE_INTERFACE, "AvailableInstances");
        g_assert_cmpint(atoi(after), <, atoi(before));

        managed = get_property(h->bus, path, VGPU_INTERFACE, "Managed");
        g_assert_cmpstr(managed, ==, "true");
        type = get_property(h->bus, path, VGPU_INTERFACE, "Type");
        g_assert_cmpstr(type, ==, "'" TYPE_PATH "'");
        type_id = get_property(h->bus, path, VGPU_INTERFACE, "TypeId");
        g_assert_cmpstr(type_id, ==, "'" TYPE "'");
        state = get_property(h->bus, path, VGPU_INTERFACE, "State");
        g_assert_cmpstr(state, ==, "'active'");
        kind = get_property(h->bus, path, VGPU_INTERFACE, "Kind");
        g_assert_cmpstr(kind, ==, "'mdev'");

        /* By the type's name, and any UUID. */
        generated = create_vgpu(h->bus, TYPE_NAME, "", NULL);
        g_assert_cmpuint(strlen(generated), ==, 36);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 2);

        destroy_vgpu(h->bus, UUID_UPPER);
        destroy_vgpu(h->bus, generated);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 0);
}

static void refuse_create(Harness *h, const char *gpu, const char *type, const char *uuid, const char *name) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_error(
                try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", &error, "sssa{sv}", gpu, type, uuid, 0),
                &error, name);
}

static void refuse_destroy(Harness *h, const char *uuid, const char *name) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "DestroyVGpu", &error, "sa{sv}", uuid, 0), &error,
                     name);
}

static void test_errors(void) {
        g_autoptr(Harness) h = start();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *longest = NULL;

        make_vgpu(h->bus, TYPE, UUID_A);
        refuse_create(h, "0000:99:00.0", TYPE, "", ERROR_PREFIX "NoSuchGpu");
        refuse_create(h, GPU, "mdevgpu_ref-999", "", ERROR_PREFIX "NoSuchType");
        refuse_create(h, GPU, TYPE, UUID_A, ERROR_PREFIX "AlreadyExists");
        refuse_create(h, GPU, TYPE, UUID_UPPER, ERROR_PREFIX "AlreadyExists");
        refuse_create(h, GPU, TYPE, "6b2f6c5e", ERROR_INVALID_ARGS);
        refuse_create(h, GPU, TYPE, "6b2f6c5e-1111-4222-8333-44445555666/", ERROR_INVALID_ARGS);
        refuse_create(h, "", TYPE, "", ERROR_INVALID_ARGS);
        refuse_create(h, GPU, "", "", ERROR_INVALID_ARGS);
        refuse_create(h, "../41", TYPE, "", ERROR_PREFIX "NoSuchGpu");
        refuse_create(h, "a\nforged line", TYPE, "", ERROR_INVALID_ARGS);
        refuse_create(h, GPU, "\x1b[31m", "", ERROR_INVALID_ARGS);
        longest = g_strnfill(256, 'x');
        refuse_create(h, longest, TYPE, "", ERROR_INVALID_ARGS);

        refuse_destroy(h, UUID_B, ERROR_PREFIX "NoSuchVGpu");
        refuse_destroy(h, "", ERROR_INVALID_ARGS);

        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "GetGpu", &error, "s", "0000:99:00.0"), &error,
                     ERROR_PREFIX "NoSuchGpu");
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "GetVGpu", &error, "s", UUID_B), &error,
                     ERROR_PREFIX "NoSuchVGpu");
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", &error, "s", "x"), &error,
                     ERROR_INVALID_ARGS);
        assert_error(try_call(h->bus, "/org/mdevgpu1/vgpu/_6B2F6C5E_1111_4222_8333_444455556666", VGPU_INTERFACE,
                              "Destroy", &error, "a{sv}", 0),
                     &error, "org.freedesktop.DBus.Error.UnknownObject");

        /* The whole card is one instance of the other type, and there is something on it. */
        refuse_create(h, GPU, LARGE_TYPE, "", ERROR_PREFIX "NoInstances");
        destroy_vgpu(h->bus, UUID_A);
        make_vgpu(h->bus, LARGE_TYPE, "");
        refuse_create(h, GPU, LARGE_TYPE, "", ERROR_PREFIX "NoInstances");
}

static void refuse_option(Harness *h, const char *path, const char *interface, const char *member, const char *name,
                          const char *type, const char *value) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m, *reply = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(h->bus, &m, BUS_NAME, path, interface, member), >=, 0);
        if (g_str_equal(member, "CreateVGpu"))
                g_assert_cmpint(sd_bus_message_append(m, "sss", GPU, TYPE, ""), >=, 0);
        if (g_str_equal(member, "DestroyVGpu"))
                g_assert_cmpint(sd_bus_message_append(m, "s", UUID_A), >=, 0);
        if (g_str_equal(type, "s"))
                g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 1, name, "s", value), >=, 0);
        else
                g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 2, name, "b", 1, name, "b", 1), >=, 0);
        (void)sd_bus_call(h->bus, m, 0, &error, &reply);
        sd_bus_message_unref(m);

        g_assert_nonnull(error.message);
        g_assert_nonnull(strstr(error.message, name));
        assert_error(reply, &error, ERROR_INVALID_ARGS);
}

static void test_options(void) {
        g_autoptr(Harness) h = start();

        make_vgpu(h->bus, TYPE, UUID_A);
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", "colour", "s", "red");
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", "persistent", "s", "yes");
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "DestroyVGpu", "force", "b", NULL);
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "DestroyVGpu", "unmanaged", "s", "yes");
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "DestroyVGpu", "unmanaged", "twice", NULL);
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "Reload", "strict", "b", NULL);
        refuse_option(h, PATH_A, VGPU_INTERFACE, "Destroy", "force", "b", NULL);
        refuse_option(h, PATH_A, VGPU_INTERFACE, "Refresh", "now", "b", NULL);
        refuse_option(h, GPU_PATH, GPU_INTERFACE, "Refresh", "now", "b", NULL);
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "ListGpus", "managed", "b", NULL);
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "ListTypes", "state", "s", "ready");
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "ListVGpus", "label", "s", "web1");
        refuse_option(h, BUS_PATH, MANAGER_INTERFACE, "ListVGpus", "managed", "s", "yes");

        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 1);
}

static void test_filters(void) {
        g_autoptr(Harness) h = start();
        sd_bus_error error = SD_BUS_ERROR_NULL;

        make_vgpu(h->bus, TYPE, "");
        make_vgpu(h->bus, TYPE, "");
        g_assert_cmpuint(count_rows(h->bus, "ListGpus", "gpu", "s", GPU), ==, 1);
        g_assert_cmpuint(count_rows(h->bus, "ListGpus", "state", "s", "ready"), ==, 2);
        g_assert_cmpuint(count_rows(h->bus, "ListGpus", "state", "s", "failed"), ==, 0);
        g_assert_cmpuint(count_rows(h->bus, "ListTypes", "type", "s", TYPE), >=, 1);
        g_assert_cmpuint(count_rows(h->bus, "ListTypes", "type", "s", TYPE_NAME), >=, 1);
        g_assert_cmpuint(count_rows(h->bus, "ListTypes", "type", "s", "none"), ==, 0);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "gpu", "s", GPU), ==, 2);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "gpu", "s", OTHER_GPU), ==, 0);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "type", "s", TYPE_NAME), ==, 2);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "type", "s", LARGE_TYPE), ==, 0);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "state", "s", "active"), ==, 2);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "state", "s", "removing"), ==, 0);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "managed", "b", 1), ==, 2);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "managed", "b", 0), ==, 0);

        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "ListVGpus", &error, "a{sv}", 1, "gpu", "s", "none"),
                     &error, ERROR_PREFIX "NoSuchGpu");
        assert_error(
                try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "ListVGpus", &error, "a{sv}", 1, "state", "s", "odd"),
                &error, ERROR_INVALID_ARGS);
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "ListGpus", &error, "a{sv}", 1, "state", "s", "odd"),
                     &error, ERROR_INVALID_ARGS);
}

/* Whoever keeps a copy of all properties by signals has what Get answers, whatever happened meanwhile. */
static void test_cache(void) {
        g_autoptr(Harness) h = start();
        g_autoptr(Cache) cache = cache_new(h);
        g_autoptr(GPtrArray) uuids = g_ptr_array_new_with_free_func(g_free);
        GRand *random = g_rand_new_with_seed(g_test_rand_int());

        for (unsigned i = 0; i < 60; i++) {
                if (uuids->len > 0 && (uuids->len == 6 || g_rand_boolean(random))) {
                        unsigned k = (unsigned)g_rand_int_range(random, 0, (int)uuids->len);

                        destroy_vgpu(h->bus, uuids->pdata[k]);
                        g_ptr_array_remove_index_fast(uuids, k);
                } else
                        g_ptr_array_add(uuids, create_vgpu(h->bus, TYPE, "", NULL));

                if (i % 10 == 0)
                        sd_bus_message_unref(try_call(h->bus, GPU_PATH, GPU_INTERFACE, "Refresh", NULL, "a{sv}", 0));
        }

        cache_check(h, cache);

        harness_set_types(h, /* large= */ false);
        while (uuids->len > 0) {
                destroy_vgpu(h->bus, uuids->pdata[0]);
                g_ptr_array_remove_index_fast(uuids, 0);
        }
        sd_bus_message_unref(manager_call(h->bus, "Reload", "a{sv}", 0));
        cache_check(h, cache);

        harness_break_config(h);
        sd_bus_message_unref(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "Reload", NULL, "a{sv}", 0));
        cache_check(h, cache);

        g_rand_free(random);
}

static void test_reload(void) {
        g_autoptr(Harness) h = start();
        g_autoptr(Recorder) recorder = recorder_new(h);
        g_autofree char *degraded = NULL, *problems = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int i;

        sd_bus_message_unref(manager_call(h->bus, "CheckConfig", NULL));

        harness_break_config(h);
        sd_bus_message_unref(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "Reload", &error, "a{sv}", 0));
        /* Both errors of the file are in it, each with its place. */
        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "ConfigInvalid");
        g_assert_nonnull(strstr(error.message, "types.d/test.yaml:2:"));
        g_assert_nonnull(strstr(error.message, "types.d/test.yaml:3:"));
        sd_bus_error_free(&error);

        i = recorder_expect(recorder, 0, "Reloading true");
        i = recorder_expect(recorder, i, "PropertiesChanged " BUS_PATH " " MANAGER_INTERFACE);
        g_assert_nonnull(strstr(recorder->lines->pdata[i], "ConfigErrors"));
        g_assert_nonnull(strstr(recorder->lines->pdata[i], "Degraded"));
        i = recorder_expect(recorder, i, "Reloading false");

        degraded = get_property(h->bus, BUS_PATH, MANAGER_INTERFACE, "Degraded");
        g_assert_cmpstr(degraded, ==, "true");
        problems = get_property(h->bus, BUS_PATH, MANAGER_INTERFACE, "ConfigErrors");
        g_assert_nonnull(strstr(problems, "'error'"));

        /* The last good one is in force. */
        g_assert_cmpuint(count_rows(h->bus, "ListTypes", "gpu", "s", GPU), ==, 2);
        make_vgpu(h->bus, TYPE, UUID_A);
        destroy_vgpu(h->bus, UUID_A);

        /* One type less, and all is well again. */
        harness_set_types(h, /* large= */ false);
        sd_bus_message_unref(manager_call(h->bus, "Reload", "a{sv}", 0));
        g_free(degraded);
        degraded = get_property(h->bus, BUS_PATH, MANAGER_INTERFACE, "Degraded");
        g_assert_cmpstr(degraded, ==, "false");
        (void)recorder_expect(recorder, i + 1, "InterfacesRemoved " LARGE_TYPE_PATH);
}

/* Many calls at once are answered each, and none too much is made. */
static void test_pipelined(void) {
        g_autoptr(Harness) h = start();
        g_autoptr(Recorder) recorder = recorder_new(h);
        unsigned n_made = 0, n_refused = 0;

        for (unsigned i = 0; i < 50; i++)
                recorder_call(recorder, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", "sssa{sv}", GPU, TYPE, "", 0);
        for (int i = -1, n = 0; n < 50; n++) {
                int reply = recorder_find(recorder, i + 1, "Reply"), error = recorder_find(recorder, i + 1, "Error");

                if (reply < 0 && error < 0) {
                        harness_pump(recorder->bus, 10);
                        n--;
                        continue;
                }
                i = error < 0 || (reply >= 0 && reply < error) ? reply : error;
                if (i == reply)
                        n_made++;
                else {
                        g_assert_cmpstr(recorder->lines->pdata[i], ==, "Error " ERROR_PREFIX "NoInstances");
                        n_refused++;
                }
        }

        g_assert_cmpuint(n_made, ==, TYPE_INSTANCES);
        g_assert_cmpuint(n_refused, ==, 50 - TYPE_INSTANCES);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, TYPE_INSTANCES);
}

/* Anybody may, as often as they like: that it is not done as often, core sees to. */
static void test_refresh(void) {
        g_autoptr(Harness) h = start();
        sd_bus *nobody = harness_connect(h, NOBODY_UID);

        for (unsigned i = 0; i < 200; i++)
                sd_bus_message_unref(try_call(nobody, GPU_PATH, GPU_INTERFACE, "Refresh", NULL, "a{sv}", 0));
        g_free(create_vgpu(h->bus, TYPE, UUID_A, NULL));
        sd_bus_flush_close_unref(nobody);
}

static void assert_use(Harness *h, const char *path, const char *expected) {
        g_autofree char *use = get_property(h->bus, path, VGPU_INTERFACE, "InUse");

        g_assert_cmpstr(use, ==, expected);
}

/* Held open, it stays; and the driver tells of that at once. */
static void test_in_use(void) {
        g_autoptr(Harness) h = start();
        g_autoptr(Recorder) recorder = recorder_new(h);
        g_autofree char *path = NULL, *group = NULL;
        int fd, at;

        g_free(create_vgpu(h->bus, TYPE, UUID_A, &path));
        group = get_property(h->bus, path, VGPU_INTERFACE, "IommuGroup");
        assert_use(h, path, "'no'");
        at = recorder_expect(recorder, 0, "VGpuAdded " UUID_A);

        fd = harness_hold(h, group);
        at = recorder_expect(recorder, at, "PropertiesChanged " PATH_A " " VGPU_INTERFACE " InUse");
        assert_use(h, path, "'yes'");
        refuse_destroy(h, UUID_A, ERROR_PREFIX "InUse");
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 1);

        (void)close(fd);
        recorder_expect(recorder, at + 1, "PropertiesChanged " PATH_A " " VGPU_INTERFACE " InUse");
        assert_use(h, path, "'no'");
        destroy_vgpu(h->bus, UUID_A);
}

/* Made by somebody else, it stays unless it is said that it is meant. */
static void test_unmanaged(void) {
        g_autoptr(Harness) h = start();
        g_autoptr(Recorder) recorder = recorder_new(h);

        /* Answered when the types are there. */
        g_assert_cmpuint(count_rows(h->bus, "ListTypes", "gpu", "s", GPU), ==, 2);

        harness_act(h, "mdev-create", GPU, TYPE, UUID_B, NULL);
        (void)recorder_expect(recorder, 0, "VGpuAdded " UUID_B);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "managed", "b", 0), ==, 1);
        refuse_destroy(h, UUID_B, ERROR_PREFIX "NotManaged");
        sd_bus_message_unref(manager_call(h->bus, "DestroyVGpu", "sa{sv}", UUID_B, 1, "unmanaged", "b", 1));
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 0);
}

static void test_hotplug(void) {
        g_autoptr(Harness) h = start();
        g_autoptr(Recorder) recorder = recorder_new(h);
        g_autoptr(Cache) cache = cache_new(h);
        int gone, i;

        make_vgpu(h->bus, TYPE, UUID_A);
        harness_act(h, "unplug", GPU, NULL);
        gone = recorder_expect(recorder, 0, "GpuRemoved " GPU);
        /* What is on it goes first. */
        assert_order(recorder_find(recorder, 0, "VGpuRemoved " UUID_A), gone);
        assert_order(recorder_find(recorder, 0, "InterfacesRemoved " TYPE_PATH), gone);
        assert_order(recorder_find(recorder, 0, "InterfacesRemoved " GPU_PATH), gone);
        cache_check(h, cache);

        harness_act(h, "plug", GPU, NULL);
        i = recorder_expect(recorder, gone, "InterfacesAdded " GPU_PATH);
        i = recorder_expect(recorder, i, "GpuAdded " GPU);
        (void)recorder_expect(recorder, i, "InterfacesAdded " TYPE_PATH);
        cache_check(h, cache);
}

static bool shows_second(void *userdata) {
        Harness *h = userdata;

        return count_rows(h->bus, "ListVGpus", "gpu", "s", "second") == 1;
}

/* More events than wait in a socket, before those of a GPU that appears: what is shown is what there is, all the same. */
static void test_overrun(void) {
        g_autoptr(Harness) h = start();
        g_autofree char *limit = NULL;

        g_assert_true(g_file_get_contents("/proc/sys/net/unix/max_dgram_qlen", &limit, NULL, NULL));
        g_assert_cmpint(kill(h->daemon, SIGSTOP), ==, 0);
        harness_act(h, "plug-mtty", "first", NULL);
        /* Three events each. */
        for (unsigned i = 0; i <= strtoul(limit, NULL, 10) / 3; i++) {
                harness_act(h, "mdev-create", "first", "mtty-1", UUID_A, NULL);
                harness_act(h, "mdev-remove", UUID_A, NULL);
        }
        harness_act(h, "plug-mtty", "second", NULL);
        harness_act(h, "mdev-create", "second", "mtty-1", UUID_B, NULL);
        g_assert_cmpint(kill(h->daemon, SIGCONT), ==, 0);
        harness_wait(h->bus, shows_second, h);
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/objects/present", test_present);
        g_test_add_func("/objects/order", test_order);
        g_test_add_func("/objects/create", test_create);
        g_test_add_func("/objects/errors", test_errors);
        g_test_add_func("/objects/options", test_options);
        g_test_add_func("/objects/filters", test_filters);
        g_test_add_func("/objects/cache", test_cache);
        g_test_add_func("/objects/reload", test_reload);
        g_test_add_func("/objects/pipelined", test_pipelined);
        g_test_add_func("/objects/refresh", test_refresh);
        g_test_add_func("/objects/in-use", test_in_use);
        g_test_add_func("/objects/unmanaged", test_unmanaged);
        g_test_add_func("/objects/overrun", test_overrun);
        g_test_add_func("/objects/hotplug", test_hotplug);

        return g_test_run();
}
