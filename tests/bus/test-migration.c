/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Moving vGPUs between hosts, as callers see it: what is told of a type, and what two hosts make of that. */

#include <string.h>

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

static sd_bus_message *compare(Harness *h, const char *gpu, const char *type, const Edit *edits, size_t n,
                               sd_bus_error *ret_error) {
        sd_bus_message *info = manager_call(h->bus, "GetMigrationInfo", "ssa{sv}", gpu, type, 0), *m, *reply = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(h->bus, &m, BUS_NAME, BUS_PATH, MANAGER_INTERFACE,
                                                       "CheckCompatibility"),
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
        for (const char *const *part = (const char *const[]){ "'format' ( 1 )", "'driver' ( 'mdevgpu_ref' )",
                                                              "'type' ( '" TYPE "' )", "'framebuffer' ( 2147483648 )",
                                                              "'registration' ( 'registered' )",
                                                              "'migration' ( true )",
                                                              "'migration-metadata' ( 'MGPUSTAT-1' )", NULL };
             *part; part++)
                if (!strstr(text, *part))
                        g_error("no %s in %s", *part, text);

        /* Its driver says nothing, and that is not made up for. */
        reply = manager_call(h->bus, "GetMigrationInfo", "ssa{sv}", OTHER_GPU, OTHER_TYPE, 0);
        sample = message_dump(reply);
        sd_bus_message_unref(reply);
        g_assert_nonnull(strstr(sample, "'type' ( '" OTHER_TYPE "' )"));
        g_assert_null(strstr(sample, "'migration"));

        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "GetMigrationInfo", &error, "ssa{sv}", GPU, "none",
                              0),
                     &error, ERROR_PREFIX "NoSuchType");
        assert_error(try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "GetMigrationInfo", &error, "ssa{sv}", "none", TYPE,
                              0),
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
        assert_error(compare(h, GPU, TYPE, &(Edit){ "Not a key", "s", "x", 0 }, 1, &error), &error,
                     ERROR_INVALID_ARGS);
}

/* As many as are taken, and one more; a text that is too long. */
static void test_hostile(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *longest = g_strnfill(5000, 'x');
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree Edit *many = g_new0(Edit, 100);

        harness_start_daemon(h, /* without_polkit= */ true);
        for (unsigned i = 0; i < 100; i++)
                many[i] = (Edit){ g_intern_string(g_strdup_printf("key-%u", i)), "s", "x", 0 };
        assert_error(compare(h, GPU, TYPE, many, 100, &error), &error, ERROR_INVALID_ARGS);
        assert_error(compare(h, GPU, TYPE, &(Edit){ "driver-version", "s", longest, 0 }, 1, &error), &error,
                     ERROR_INVALID_ARGS);
        assert_error(compare(h, GPU, TYPE, &(Edit){ "backend", "s", "", 0 }, 1, &error), &error, ERROR_INVALID_ARGS);
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/migration/info", test_info);
        g_test_add_func("/migration/verdicts", test_verdicts);
        g_test_add_func("/migration/hostile", test_hostile);

        return g_test_run();
}
