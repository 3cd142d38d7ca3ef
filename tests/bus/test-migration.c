/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Moving vGPUs between hosts, as callers see it: what is told of a type, and what two hosts make of that. */

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

#define OTHER_TYPE "mtty-2"

/* The answer of GetMigrationInfo(), as a{sv} again, but for one entry that is replaced, left out or added. */
typedef struct Edit {
        const char *key;
        const char *type; /* NULL: it is left out */
        const char *text;
        uint64_t number;
} Edit;

static void append_edit(sd_bus_message *to, const Edit *edit) {
        if (*edit->type == 's')
                g_assert_cmpint(sd_bus_message_append(to, "{sv}", edit->key, "s", edit->text), >=, 0);
        else if (*edit->type == 'u')
                g_assert_cmpint(sd_bus_message_append(to, "{sv}", edit->key, "u", (uint32_t)edit->number), >=, 0);
        else if (*edit->type == 't')
                g_assert_cmpint(sd_bus_message_append(to, "{sv}", edit->key, "t", edit->number), >=, 0);
        else
                g_assert_cmpint(sd_bus_message_append(to, "{sv}", edit->key, "b", (int)edit->number), >=, 0);
}

static void copy_edited(sd_bus_message *from, sd_bus_message *to, const Edit *edits, size_t n) {
        const char *key;

        g_assert_cmpint(sd_bus_message_enter_container(from, 'a', "{sv}"), >, 0);
        g_assert_cmpint(sd_bus_message_open_container(to, 'a', "{sv}"), >=, 0);
        while (sd_bus_message_enter_container(from, 'e', "sv") > 0) {
                bool edited = false;

                g_assert_cmpint(sd_bus_message_read(from, "s", &key), >, 0);
                for (size_t i = 0; i < n; i++)
                        edited = edited || g_str_equal(key, edits[i].key);
                if (edited)
                        g_assert_cmpint(sd_bus_message_skip(from, "v"), >=, 0);
                else {
                        g_assert_cmpint(sd_bus_message_open_container(to, 'e', "sv"), >=, 0);
                        g_assert_cmpint(sd_bus_message_append(to, "s", key), >=, 0);
                        g_assert_cmpint(sd_bus_message_copy(to, from, /* all= */ false), >, 0);
                        g_assert_cmpint(sd_bus_message_close_container(to), >=, 0);
                }
                g_assert_cmpint(sd_bus_message_exit_container(from), >=, 0);
        }
        for (size_t i = 0; i < n; i++)
                if (edits[i].type)
                        append_edit(to, &edits[i]);
        g_assert_cmpint(sd_bus_message_close_container(to), >=, 0);
}

/* What is asked of one GPU is asked ten times a second at most. */
static sd_bus_message *compare(Harness *h, const char *gpu, const char *type, const Edit *edits, size_t n,
                               sd_bus_error *ret_error) {
        sd_bus_message *info = manager_call(h->bus, "GetMigrationInfo", "ssa{sv}", gpu, type, 0), *m, *reply = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(h->bus, &m, BUS_NAME, BUS_PATH, MANAGER_INTERFACE, "CheckCompatibility"),
                >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", gpu), >=, 0);
        copy_edited(info, m, edits, n);
        (void)sd_bus_call(h->bus, m, 0, ret_error, &reply);
        sd_bus_message_unref(m);
        sd_bus_message_unref(info);
        return reply;
}

/* The verdict, and that a reason says so. */
static void judge(Harness *h, const char *gpu, const char *type, const Edit *edits, size_t n, const char *verdict,
                  const char *reason) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = compare(h, gpu, type, edits, n, &error);
        g_autofree char *text = NULL;
        const char *said;

        g_assert_cmpstr(error.message, ==, NULL);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &said), >, 0);
        g_assert_cmpstr(said, ==, verdict);
        text = message_dump(reply);
        g_test_message("%s: %s", verdict, text);
        g_assert_nonnull(strstr(text, reason));
        sd_bus_message_unref(reply);
}

static void test_info(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *text = NULL, *sample = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;

        harness_start_daemon(h, /* without_polkit= */ true);
        reply = manager_call(h->bus, "GetMigrationInfo", "ssa{sv}", GPU, TYPE_NAME, 0);
        text = message_dump(reply);
        sd_bus_message_unref(reply);
        for (const char *const *part =
                     (const char *const[]){ "'format' ( 1 )", "'driver' ( 'mdevgpu_ref' )", "'type' ( '" TYPE "' )",
                                            "'framebuffer' ( 2147483648 )", "'registration' ( 'registered' )",
                                            "'migration' ( true )", "'migration-metadata' ( 'MGPUSTAT-1' )", NULL };
             *part; part++)
                if (!strstr(text, *part))
                        g_error("no %s in %s", *part, text);

        /* Its driver says nothing, and that is not made up for. */
        reply = manager_call(h->bus, "GetMigrationInfo", "ssa{sv}", OTHER_GPU, OTHER_TYPE, 0);
        sample = message_dump(reply);
        sd_bus_message_unref(reply);
        g_assert_nonnull(strstr(sample, "'type' ( '" OTHER_TYPE "' )"));
        g_assert_null(strstr(sample, "'migration"));

        assert_error(
                try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "GetMigrationInfo", &error, "ssa{sv}", GPU, "none", 0),
                &error, ERROR_PREFIX "NoSuchType");
        assert_error(
                try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "GetMigrationInfo", &error, "ssa{sv}", "none", TYPE, 0),
                &error, ERROR_PREFIX "NoSuchGpu");
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "GetMigrationInfo", &error, "ssa{sv}", GPU, TYPE, 1,
                              "probe", "b", 1),
                     &error, ERROR_INVALID_ARGS);
}

static void test_verdicts(void) {
        static const struct {
                Edit edit;
                const char *verdict, *reason;
        } cases[] = {
                { { "unknown-to-us", "s", "x", 0 }, "compatible", "metadata are the same" },
                { { "gpu", "s", "0000:99:00.0", 0 }, "compatible", "metadata are the same" },
                { { "framebuffer", "t", NULL, 1 }, "incompatible", "framebuffer: 2147483648 here, 1 there" },
                { { "heads", NULL, NULL, 0 }, "unknown", "only the host here tells it" },
                { { "heads", "s", "four", 0 }, "unknown", "only the host here tells it" },
                { { "driver", "s", "nvidia", 0 }, "incompatible", "driver: 'mdevgpu_ref' here, 'nvidia' there" },
                { { "vendor-id", "t", NULL, 1 }, "incompatible", "vendor of the card" },
                { { "type", "s", "mdevgpu_ref-77", 0 }, "incompatible", "has no type mdevgpu_ref-77" },
                { { "type", "s", LARGE_TYPE, 0 }, "incompatible", "framebuffer" },
                { { "registration", "s", "refused", 0 }, "incompatible", "refused there" },
                { { "migration", "b", NULL, 0 }, "incompatible", "cannot be migrated" },
                { { "migration", NULL, NULL, 0 }, "unknown", "does not say whether" },
                { { "migration-metadata", "s", "MGPUSTAT-2", 0 }, "incompatible", "metadata differ" },
                { { "migration-metadata", NULL, NULL, 0 }, "unknown", "only a trial tells" },
                { { "protocol-min", "s", "1.0", 0 }, "unknown", "protocol" },
                { { "format", "u", NULL, 2 }, "unknown", "newer" },
        };
        g_autoptr(Harness) h = harness_new();
        sd_bus_error error = SD_BUS_ERROR_NULL;

        harness_start_daemon(h, /* without_polkit= */ true);
        judge(h, GPU, TYPE, NULL, 0, "compatible", "metadata are the same");
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_test_message("%s", cases[i].edit.key);
                judge(h, GPU, TYPE, &cases[i].edit, 1, cases[i].verdict, cases[i].reason);
        }

        /* The very same host, and yet: there is no oracle. */
        judge(h, OTHER_GPU, OTHER_TYPE, NULL, 0, "unknown", "only a trial tells");

        for (const char *const *key = (const char *const[]){ "format", "backend", "type", NULL }; *key; key++)
                assert_error(compare(h, GPU, TYPE, &(Edit){ *key, NULL, NULL, 0 }, 1, &error), &error,
                             ERROR_INVALID_ARGS);
        assert_error(compare(h, GPU, TYPE, &(Edit){ "Not a key", "s", "x", 0 }, 1, &error), &error, ERROR_INVALID_ARGS);
}

/* As many as are taken, and one more; a text that is too long. */
static void test_hostile(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *longest = g_strnfill(5000, 'x');
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree Edit *many = g_new0(Edit, 100);

        harness_start_daemon(h, /* without_polkit= */ true);
        for (unsigned i = 0; i < 100; i++) {
                g_autofree char *key = g_strdup_printf("key-%u", i);

                many[i] = (Edit){ g_intern_string(key), "s", "x", 0 };
        }
        assert_error(compare(h, GPU, TYPE, many, 100, &error), &error, ERROR_INVALID_ARGS);
        assert_error(compare(h, GPU, TYPE, &(Edit){ "driver-version", "s", longest, 0 }, 1, &error), &error,
                     ERROR_INVALID_ARGS);
        assert_error(compare(h, GPU, TYPE, &(Edit){ "backend", "s", "", 0 }, 1, &error), &error, ERROR_INVALID_ARGS);
}

#define UUID "6b2f6c5e-1111-4222-8333-444455556666"
#define VGPU_PATH "/org/mdevgpu1/vgpu/_6b2f6c5e_1111_4222_8333_444455556666"
#define PROPERTIES "org.freedesktop.DBus.Properties"

static char *query(Harness *h, const char *uuid) {
        sd_bus_message *reply = manager_call(h->bus, "QueryMigration", "sa{sv}", uuid, 0);
        char *text = message_dump(reply);

        sd_bus_message_unref(reply);
        g_test_message("%s", text);
        return text;
}

static void prepare(Harness *h, const char *uuid, uint32_t lease) {
        sd_bus_message_unref(
                manager_call(h->bus, "PrepareIncoming", "sssa{sv}", GPU, TYPE, uuid, 1, "lease", "u", lease));
}

static void expect(Harness *h, const char *property, const char *value) {
        g_autofree char *is = get_property(h->bus, VGPU_PATH, VGPU_INTERFACE, property);

        g_assert_cmpstr(is, ==, value);
}

static bool is_gone(void *userdata) {
        const Harness *h = userdata;
        sd_bus_message *reply = try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "GetVGpu", NULL, "s", UUID);

        sd_bus_message_unref(reply);
        return !reply;
}

static bool is_kept(void *userdata) {
        const Harness *h = userdata;
        g_autofree char *state = get_property(h->bus, VGPU_PATH, VGPU_INTERFACE, "State");

        return g_str_equal(state, "'active'");
}

/* It waits, and goes when its lease ends; one that is kept does not. */
static void test_incoming(void) {
        g_autoptr(Harness) h = harness_new();
        g_autoptr(Cache) cache = NULL;
        g_autofree char *told = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        gint64 begun;

        harness_start_daemon(h, /* without_polkit= */ true);
        cache = cache_new(h);
        begun = g_get_monotonic_time();
        prepare(h, UUID, 2);
        expect(h, "State", "'incoming'");
        expect(h, "MigrationState", "'incoming'");
        told = query(h, UUID);
        g_assert_nonnull(strstr(told, "'lease-end'"));
        g_assert_nonnull(strstr(told, "'migratable' ( 'yes' )"));
        harness_wait(h->bus, is_gone, h);
        g_assert_cmpint(g_get_monotonic_time() - begun, >=, 1900000);

        prepare(h, UUID, 1);
        sd_bus_message_unref(manager_call(h->bus, "ReleaseIncoming", "sa{sv}", UUID, 1, "keep", "b", 1));
        expect(h, "State", "'active'");
        expect(h, "MigrationState", "'none'");
        harness_pump(h->bus, 2000);
        expect(h, "State", "'active'");
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "ReleaseIncoming", &error, "sa{sv}", UUID, 0),
                     &error, ERROR_PREFIX "NoSuchVGpu");
        destroy_vgpu(h->bus, UUID);

        prepare(h, UUID, 300);
        sd_bus_message_unref(manager_call(h->bus, "ReleaseIncoming", "sa{sv}", UUID, 0));
        g_assert_true(is_gone(h));
        cache_check(h, cache);

        for (const uint32_t *lease = (const uint32_t[]){ 0, 86401, UINT32_MAX, 7 }; *lease != 7; lease++)
                assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "PrepareIncoming", &error, "sssa{sv}", GPU,
                                      TYPE, UUID, 1, "lease", "u", *lease),
                             &error, ERROR_INVALID_ARGS);
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "PrepareIncoming", &error, "sssa{sv}", GPU, TYPE,
                              UUID, 1, "persistent", "b", 1),
                     &error, ERROR_INVALID_ARGS);
}

static int hold(Harness *h) {
        g_autofree char *group = get_property(h->bus, VGPU_PATH, VGPU_INTERFACE, "IommuGroup");

        return harness_hold(h, g_strstrip(group));
}

/* What has come for it has it as any other: nothing takes it away. */
static void test_come(void) {
        g_autoptr(Harness) h = harness_new();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *told = NULL;
        int fd;

        harness_start_daemon(h, /* without_polkit= */ true);
        prepare(h, UUID, 4);
        fd = hold(h);
        told = query(h, UUID);
        g_assert_nonnull(strstr(told, "'comm' ( 'test-bus-migrat' )"));
        /* It is no QEMU that has it. */
        g_assert_nonnull(strstr(told, "'migratable' ( 'unknown' )"));
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "ReleaseIncoming", &error, "sa{sv}", UUID, 0),
                     &error, ERROR_PREFIX "InUse");
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "QueryMigration", &error, "sa{sv}", UUID, 1, "probe",
                              "b", 1),
                     &error, ERROR_PREFIX "InUse");
        expect(h, "MigrationState", "'incoming'");
        harness_wait(h->bus, is_kept, h);
        expect(h, "MigrationState", "'none'");
        g_assert_cmpint(close(fd), ==, 0);
        harness_pump(h->bus, 1000);
        expect(h, "State", "'active'");
        destroy_vgpu(h->bus, UUID);
}

/* The daemon is killed: its successor knows how long it waits, and removes what should have gone meanwhile. */
static void test_killed(void) {
        g_autoptr(Harness) h = harness_new();
        gint64 begun;

        harness_start_daemon(h, /* without_polkit= */ true);
        prepare(h, UUID, 4);
        begun = g_get_monotonic_time();
        (void)harness_stop_daemon(h, SIGKILL);
        harness_start_daemon_on(h, "host");
        expect(h, "State", "'incoming'");
        expect(h, "Managed", "true");
        harness_wait(h->bus, is_gone, h);
        g_assert_cmpint(g_get_monotonic_time() - begun, >=, 3900000);

        prepare(h, UUID, 1);
        (void)harness_stop_daemon(h, SIGKILL);
        g_usleep(1500000);
        harness_start_daemon_on(h, "host");
        harness_wait(h->bus, is_gone, h);

        /* What is kept is so for a successor, too. */
        prepare(h, UUID, 60);
        sd_bus_message_unref(manager_call(h->bus, "ReleaseIncoming", "sa{sv}", UUID, 1, "keep", "b", 1));
        (void)harness_stop_daemon(h, SIGKILL);
        harness_start_daemon_on(h, "host");
        expect(h, "State", "'active'");
        expect(h, "MigrationState", "'none'");
        destroy_vgpu(h->bus, UUID);
}

static bool is_free(void *userdata) {
        const Harness *h = userdata;
        g_autofree char *state = get_property(h->bus, VGPU_PATH, VGPU_INTERFACE, "MigrationState");

        return g_str_equal(state, "'none'");
}

/* As a hook asks: from its answer on nothing is probed. */
static void test_hold(void) {
        g_autoptr(Harness) h = harness_new();
        g_autoptr(Cache) cache = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *told = NULL;
        sd_bus_message *reply;

        harness_start_daemon(h, /* without_polkit= */ true);
        cache = cache_new(h);
        make_vgpu(h->bus, TYPE, UUID);
        for (unsigned i = 0; i < 2; i++) {
                sd_bus_message_unref(manager_call(h->bus, "HoldForStart", "asa{sv}", 2, UUID,
                                                  "00000000-1111-4222-8333-444455556666", 1, "seconds", "u",
                                                  i == 0 ? 60U : 1U));
                expect(h, "MigrationState", "'starting'");
                assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "QueryMigration", &error, "sa{sv}", UUID, 1,
                                      "probe", "b", 1),
                             &error, ERROR_PREFIX "Busy");
                if (i == 0)
                        sd_bus_message_unref(manager_call(h->bus, "EndHold", "asa{sv}", 1, UUID, 0));
                else /* nobody says anything: it ends by itself */
                        harness_wait(h->bus, is_free, h);
                expect(h, "MigrationState", "'none'");
        }
        cache_check(h, cache);

        reply = manager_call(h->bus, "QueryMigration", "sa{sv}", UUID, 1, "probe", "b", 1);
        told = message_dump(reply);
        sd_bus_message_unref(reply);
        for (const char *const *part = (const char *const[]){ "'probed' ( true )", "'stop-copy' ( true )",
                                                              "'pre-copy' ( true )", "'dirty-tracking' ( false )",
                                                              "'device-state' ( 'running' )", NULL };
             *part; part++)
                if (!strstr(told, *part))
                        g_error("no %s in %s", *part, told);
        harness_wait(h->bus, is_free, h);
        destroy_vgpu(h->bus, UUID);
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "HoldForStart", &error, "asa{sv}", 1, "x", 0),
                     &error, ERROR_INVALID_ARGS);
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "HoldForStart", &error, "asa{sv}", 0, 1, "seconds",
                              "u", 601U),
                     &error, ERROR_INVALID_ARGS);
}

/* One of NVIDIA's is never opened to be asked. */
static void test_nvidia(void) {
        g_autoptr(Harness) h = harness_new();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *told = NULL;

        harness_prepare_machine(h, "host");
        harness_act(h, "plug-nvidia", NVIDIA_GPU, NULL);
        harness_act(h, "set-vfs", NVIDIA_GPU, "8", NULL);
        harness_start_daemon_on(h, "host");
        sd_bus_message_unref(manager_call(h->bus, "CreateVGpu", "sssa{sv}", NVIDIA_GPU, "nvidia-1145", UUID, 0));
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "QueryMigration", &error, "sa{sv}", UUID, 1, "probe",
                              "b", 1),
                     &error, ERROR_PREFIX "NotSupported");
        told = query(h, UUID);
        g_assert_nonnull(strstr(told, "'probed' ( false )"));
        g_assert_nonnull(strstr(told, "'migratable' ( 'unknown' )"));
        judge(h, NVIDIA_GPU, "nvidia-1145", NULL, 0, "unknown", "only a trial tells");
}

/* A program that says what QEMU's does, and has the vGPU open. */
static void test_qemu(void) {
        static const struct {
                const char *version, *migratable;
        } cases[] = { { "7.2.17 (Debian 1:7.2+dfsg-7+deb12u16)", "'no'" },
                      { "8.1.0\n", "'yes'" },
                      { "?", "'unknown'" } };
        g_autoptr(Harness) h = harness_new();
        g_autofree char *group = NULL, *node = NULL;

        harness_start_daemon(h, /* without_polkit= */ true);
        make_vgpu(h->bus, TYPE, UUID);
        group = get_property(h->bus, VGPU_PATH, VGPU_INTERFACE, "IommuGroup");
        node = g_strdup_printf("%s/host/dev/vfio/%s", h->dir, g_strstrip(group));
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *program = g_strdup_printf("%s/qemu-system-%zu", h->dir, i), *told = NULL;
                g_autofree char *command = g_strdup_printf(
                        "cp \"$(command -v sleep)\" %s && printf 'QEMU emulator version %s' >> %s && exec %s 20 <> %s",
                        program, cases[i].version, program, program, node);
                const char *argv[] = { "sh", "-c", command, NULL };
                g_autofree char *comm = NULL, *part = g_strconcat("'migratable' ( ", cases[i].migratable, " )", NULL);
                GPid pid;

                g_assert_true(g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                            NULL, NULL, &pid, NULL));
                do {
                        g_autofree char *path = g_strdup_printf("/proc/%i/comm", pid);

                        g_usleep(10000);
                        g_free(comm);
                        comm = NULL;
                        g_assert_true(g_file_get_contents(path, &comm, NULL, NULL));
                } while (!g_str_has_prefix(comm, "qemu-system"));
                told = query(h, UUID);
                g_assert_nonnull(strstr(told, part));
                g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
                g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        }
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/migration/info", test_info);
        g_test_add_func("/migration/verdicts", test_verdicts);
        g_test_add_func("/migration/hostile", test_hostile);
        g_test_add_func("/migration/incoming", test_incoming);
        g_test_add_func("/migration/come", test_come);
        g_test_add_func("/migration/killed", test_killed);
        g_test_add_func("/migration/hold", test_hold);
        g_test_add_func("/migration/nvidia", test_nvidia);
        g_test_add_func("/migration/qemu", test_qemu);

        return g_test_run();
}
