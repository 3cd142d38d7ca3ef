/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What mdevgpud.yaml allows to whom, with a polkit that allows everything: as callers see it, and across restarts. */

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "client.h"

#define UUID_A "6b2f6c5e-1111-4222-8333-444455556666"
#define UUID_B "6b2f6c5e-1111-4222-8333-444455557777"
#define UUID_C "6b2f6c5e-1111-4222-8333-444455558888"
#define VGPU_A "/org/mdevgpu1/vgpu/_6b2f6c5e_1111_4222_8333_444455556666"
#define VGPU_B "/org/mdevgpu1/vgpu/_6b2f6c5e_1111_4222_8333_444455557777"

#define RULES_FILE "host/etc/mdevgpud/mdevgpud.yaml"
#define YES "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n"
#define LIMIT ERROR_PREFIX "LimitExceeded"

/* A group that nobody is in. */
#define GROUP 4242

static Harness *start(const char *rules) {
        Harness *h = harness_new();

        harness_start_polkit(h, YES);
        harness_prepare_machine(h, "host");
        harness_write(h, RULES_FILE, rules);
        harness_write(h, "host/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        harness_write(h, "host/etc/group", "root:x:0:\nvms:x:4242:\n");
        harness_start_daemon(h, /* without_polkit= */ false);
        g_assert_cmpuint(count_rows(h->bus, "ListGpus", NULL, NULL), ==, 2);
        return h;
}

/* Fails the test unless the call fails with this error, and its message names the rule in that line. */
static void refuse(sd_bus *bus, const char *name, unsigned line, const char *member, const char *types, const char *a,
                   const char *b, const char *c) {
        g_autofree char *place = g_strdup_printf("mdevgpud.yaml:%u", line);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;

        if (c)
                reply = try_call(bus, BUS_PATH, MANAGER_INTERFACE, member, &error, types, a, b, c, 0);
        else
                reply = try_call(bus, BUS_PATH, MANAGER_INTERFACE, member, &error, types, a, 0);
        if (!error.message || !strstr(error.message, place))
                g_error("%s: %s", member, error.message);
        assert_error(reply, &error, name);
}

static void refuse_create(sd_bus *bus, const char *name, unsigned line, const char *gpu, const char *type) {
        refuse(bus, name, line, "CreateVGpu", "sssa{sv}", gpu, type, "");
}

static void define(sd_bus *bus, const char *uuid) {
        sd_bus_message_unref(manager_call(bus, "DefineVGpu", "sssa{sv}", GPU, TYPE, uuid, 0));
}

static void set_rules(Harness *h, const char *rules) {
        harness_write(h, RULES_FILE, rules);
        sd_bus_message_unref(manager_call(h->bus, "Reload", "a{sv}", 0));
}

static void assert_owner(Harness *h, const char *path, const char *uid) {
        g_autofree char *owner = get_property(h->bus, path, VGPU_INTERFACE, "OwnerUid");

        g_assert_cmpstr(owner, ==, uid);
}

/* What is active and what is defined, each once, whoever starts it; over a kill -9; and of each user for himself. */
static void test_user(void) {
        g_autoptr(Harness) h = start("version: 1\n"
                                     "limits:\n"
                                     "- {vgpus: 1}\n"
                                     "- {user: 65534, vgpus: 2}\n");
        sd_bus *nobody = harness_connect(h, NOBODY_UID), *other = harness_connect(h, DAEMON_UID);

        make_vgpu(nobody, TYPE, UUID_A);
        define(nobody, UUID_B);
        assert_owner(h, VGPU_A, "65534");
        assert_owner(h, VGPU_B, "65534");
        refuse_create(nobody, LIMIT, 4, GPU, TYPE);
        refuse(nobody, LIMIT, 4, "DefineVGpu", "sssa{sv}", GPU, TYPE, "");
        sd_bus_message_unref(manager_call(nobody, "StartVGpu", "sa{sv}", UUID_B, 0));
        sd_bus_message_unref(manager_call(nobody, "DefineVGpu", "sssa{sv}", "", "", UUID_A, 0));
        g_assert_cmpint(WTERMSIG(harness_stop_daemon(h, SIGKILL)), ==, SIGKILL);
        harness_start_daemon(h, /* without_polkit= */ false);
        refuse_create(nobody, LIMIT, 4, GPU, TYPE);
        assert_owner(h, VGPU_A, "65534");
        assert_owner(h, VGPU_B, "65534");

        make_vgpu(other, TYPE, UUID_C);
        refuse_create(other, LIMIT, 3, "", TYPE);
        for (unsigned i = 0; i < 3; i++) /* root's count for nobody */
                make_vgpu(h->bus, TYPE, "");

        destroy_vgpu(nobody, UUID_B); /* defined still */
        refuse_create(nobody, LIMIT, 4, GPU, TYPE);
        sd_bus_message_unref(manager_call(nobody, "UndefineVGpu", "sa{sv}", UUID_B, 0));
        make_vgpu(nobody, TYPE, UUID_B);

        set_rules(h, "version: 1\nlimits:\n- {user: root, vgpus: 3}\n");
        make_vgpu(nobody, TYPE, "");
        sd_bus_flush_close_unref(nobody);
        sd_bus_flush_close_unref(other);
}

/* Root is bound by what names him alone. */
static void test_root(void) {
        g_autoptr(Harness) h = start("version: 1\n"
                                     "limits:\n"
                                     "- {user: 0, vgpus: 1}\n");

        make_vgpu(h->bus, TYPE, "");
        refuse_create(h->bus, LIMIT, 3, GPU, TYPE);
}

/* All of a group together, by the group they were in when they made it. */
static void test_group(void) {
        g_autoptr(Harness) h = start("version: 1\n"
                                     "limits:\n"
                                     "- {group: vms, vgpus: 2, framebuffer: 4GiB}\n");
        sd_bus *nobody = harness_connect_in_group(h, NOBODY_UID, GROUP);
        sd_bus *member = harness_connect_in_group(h, DAEMON_UID, GROUP);
        sd_bus *other = harness_connect(h, DAEMON_UID);

        make_vgpu(nobody, TYPE, UUID_A);
        refuse_create(member, LIMIT, 3, GPU, LARGE_TYPE); /* by its framebuffer */
        make_vgpu(member, TYPE, UUID_B);
        refuse_create(nobody, LIMIT, 3, GPU, TYPE);
        refuse_create(member, LIMIT, 3, OTHER_GPU, "mtty-1"); /* by their number; how much memory that has is unknown */
        make_vgpu(other, TYPE, "");
        g_assert_cmpint(harness_stop_daemon(h, SIGTERM), ==, 0);
        harness_start_daemon(h, /* without_polkit= */ false);
        refuse_create(nobody, LIMIT, 3, GPU, TYPE);
        destroy_vgpu(member, UUID_B);
        refuse_create(nobody, LIMIT, 3, OTHER_GPU, "mtty-1");
        make_vgpu(nobody, TYPE, "");
        sd_bus_flush_close_unref(nobody);
        sd_bus_flush_close_unref(member);
        sd_bus_flush_close_unref(other);
}

/* Types and GPUs, by ids and names, on every way to one. */
static void test_use(void) {
        g_autoptr(Harness) h = start("version: 1\n"
                                     "policy:\n"
                                     "- {group: vms, types: [\"Test/S*\"], gpus: [\"0000:*\"]}\n"
                                     "- {group: vms, types: [mtty-2]}\n");
        sd_bus *member = harness_connect_in_group(h, NOBODY_UID, GROUP), *other = harness_connect(h, NOBODY_UID);
        sd_bus_error error = SD_BUS_ERROR_NULL;

        make_vgpu(member, TYPE, UUID_A);
        sd_bus_message_unref(manager_call(member, "CreateVGpu", "sssa{sv}", OTHER_GPU, "mtty-2", "", 0));
        refuse_create(member, ERROR_ACCESS_DENIED, 3, GPU, LARGE_TYPE);
        refuse_create(member, ERROR_ACCESS_DENIED, 3, OTHER_GPU, "mtty-1");
        refuse(member, ERROR_ACCESS_DENIED, 3, "DefineVGpu", "sssa{sv}", GPU, LARGE_TYPE, "");
        define(member, UUID_B);
        assert_error(try_call(member, BUS_PATH, MANAGER_INTERFACE, "ModifyVGpu", &error, "sa{sv}", UUID_B, 1, "type",
                              "s", LARGE_TYPE),
                     &error, ERROR_ACCESS_DENIED);
        sd_bus_message_unref(
                manager_call(other, "ModifyVGpu", "sa{sv}", UUID_B, 1, "type", "s", LARGE_TYPE)); /* in no such group */
        refuse(member, ERROR_ACCESS_DENIED, 3, "StartVGpu", "sa{sv}", UUID_B, NULL, NULL);
        destroy_vgpu(other, UUID_A); /* to have room */
        sd_bus_message_unref(manager_call(other, "StartVGpu", "sa{sv}", UUID_B, 0));
        sd_bus_flush_close_unref(member);
        sd_bus_flush_close_unref(other);
}

static const char *const topologies =
        "version: 1\n"
        "topologies:\n"
        "  three: [{match: {address: \"" GPU "\"}, vgpus: [{type: " TYPE ", count: 3}]}]\n"
        "  two: [{match: {address: \"" GPU "\"}, vgpus: [{type: " TYPE ", uuid: " UUID_B "}, {type: " TYPE "}]}]\n"
        "  large: [{match: {address: \"" GPU "\"}, vgpus: [{type: " LARGE_TYPE "}]}]\n";

static void apply(Harness *h, sd_bus *bus, const char *name) {
        sd_bus_message *reply = manager_call(bus, "ApplyTopology", "sa{sv}", name, 0);
        const char *path;

        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >, 0);
        for (unsigned i = 0; i < 500; i++) {
                g_autofree char *state = get_property(h->bus, path, JOB_INTERFACE, "State");

                if (g_str_equal(state, "'done'")) {
                        sd_bus_message_unref(reply);
                        return;
                }
                g_usleep(20000);
        }
        g_error("the job does not end well");
}

/* As a whole, with what goes gone; and nothing is touched when it is too much. */
static void test_topology(void) {
        g_autoptr(Harness) h = start("version: 1\n"
                                     "limits:\n"
                                     "- {user: 65534, vgpus: 2}\n"
                                     "policy:\n"
                                     "- {user: 65534, types: [" TYPE "]}\n");
        sd_bus *nobody = harness_connect(h, NOBODY_UID);
        g_autofree char *dir = g_build_filename(h->dir, "host/etc/mdevgpud/topologies.d", NULL);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        harness_write(h, "host/etc/mdevgpud/topologies.d/t.yaml", topologies);
        sd_bus_message_unref(manager_call(h->bus, "Reload", "a{sv}", 0));

        make_vgpu(nobody, TYPE, UUID_A);
        refuse(nobody, LIMIT, 3, "ApplyTopology", "sa{sv}", "three", NULL, NULL);
        refuse(nobody, ERROR_ACCESS_DENIED, 5, "ApplyTopology", "sa{sv}", "large", NULL, NULL);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 1);
        apply(h, nobody, "two"); /* keeps the one */
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 2);
        assert_owner(h, VGPU_B, "65534");
        apply(h, h->bus, "three");
        apply(h, nobody, "three"); /* is so already */
        destroy_vgpu(h->bus, UUID_A);
        apply(h, nobody, "three"); /* takes its place */
        sd_bus_flush_close_unref(nobody);
}

/* A rule that cannot be understood is said, and what was in force stays. */
static void test_broken(void) {
        g_autoptr(Harness) h = start("version: 1\nlimits: [{vgpus: 0}]\n");
        sd_bus *nobody = harness_connect(h, NOBODY_UID);
        sd_bus_error error = SD_BUS_ERROR_NULL;

        harness_write(h, RULES_FILE, "version: 1\nlimits: [{vgpu: 1}, {group: xyz, vgpus: 1}]\n");
        (void)try_call(h->bus, BUS_PATH, MANAGER_INTERFACE, "Reload", &error, "a{sv}", 0);
        g_assert_nonnull(error.message);
        g_assert_nonnull(
                strstr(error.message, "mdevgpud.yaml:2:11: error: unknown key 'vgpu'; did you mean 'vgpus'?\n"));
        g_assert_nonnull(strstr(error.message, "mdevgpud.yaml:2:29: error: group: 'xyz' is not in /"));
        g_assert_nonnull(strstr(error.message, "/host/etc/group"));
        assert_error(NULL, &error, ERROR_PREFIX "ConfigInvalid");
        refuse_create(nobody, LIMIT, 2, GPU, TYPE);
        sd_bus_flush_close_unref(nobody);
}

static void assert_advice(Harness *h, const char *part) {
        sd_bus_message *reply = manager_call(h->bus, "Diagnose", "a{sv}", 0);
        g_autofree char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        g_assert_nonnull(f);
        g_assert_cmpint(sd_bus_message_dump(reply, f, 0), >=, 0);
        g_assert_cmpint(fclose(f), ==, 0);
        if (!strstr(text, part))
                g_error("no '%s' in: %s", part, text);
        sd_bus_message_unref(reply);
}

/* The daemon starts with a mistake: in a profile it lifts no limit, and in the limits it leaves none but root. */
static void test_broken_start(void) {
        g_autoptr(Harness) h = start("version: 1\nlimits: [{vgpus: 0}]\n");
        sd_bus *nobody = harness_connect(h, NOBODY_UID);
        sd_bus_error error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(harness_stop_daemon(h, SIGTERM), ==, 0);
        harness_break_config(h);
        harness_start_daemon(h, /* without_polkit= */ false);
        refuse_create(nobody, LIMIT, 2, OTHER_GPU, "mtty-2");
        assert_advice(h, "Until then mdevgpud.yaml alone is in force");

        g_assert_cmpint(harness_stop_daemon(h, SIGTERM), ==, 0);
        harness_set_types(h, /* large= */ true);
        harness_write(h, RULES_FILE, "version: 1\nlimits: [{vgpu: 0}]\n");
        harness_start_daemon(h, /* without_polkit= */ false);
        assert_error(try_call(nobody, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", &error, "sssa{sv}", OTHER_GPU,
                              "mtty-2", "", 0),
                     &error, ERROR_PREFIX "ConfigInvalid");
        assert_advice(h, "Until then nothing is in force");
        sd_bus_message_unref(manager_call(h->bus, "CreateVGpu", "sssa{sv}", OTHER_GPU, "mtty-2", "", 0));

        set_rules(h, "version: 1\nlimits: [{vgpus: 1}]\n");
        make_vgpu(nobody, TYPE, UUID_A);
        sd_bus_flush_close_unref(nobody);
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/limits/user", test_user);
        g_test_add_func("/limits/root", test_root);
        g_test_add_func("/limits/group", test_group);
        g_test_add_func("/limits/use", test_use);
        g_test_add_func("/limits/topology", test_topology);
        g_test_add_func("/limits/broken", test_broken);
        g_test_add_func("/limits/broken-start", test_broken_start);

        return g_test_run();
}
