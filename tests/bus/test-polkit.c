/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The real polkitd, with the project's own policy: nobody changes anything unless a rule says so. */

#include <gio/gio.h>

#include "client.h"

#define UUID "6b2f6c5e-1111-4222-8333-444455556666"
#define VGPU_PATH "/org/mdevgpu1/vgpu/_6b2f6c5e_1111_4222_8333_444455556666"

/* One that is defined, and not active. */
#define UUID_INCOMING "6b2f6c5e-1111-4222-8333-44445555999a"
#define UUID_DEFINED "7c3f6c5e-1111-4222-8333-444455556666"
#define DEFINED_PATH "/org/mdevgpu1/vgpu/_7c3f6c5e_1111_4222_8333_444455556666"

#define RULE(body) "polkit.addRule(function(action, subject) {\n" body "\n});\n"
#define RULE_NO RULE("return polkit.Result.NO;")
#define RULE_YES RULE("return polkit.Result.YES;")
/* By real names, however the caller called them. */
#define RULE_SMALL                                                                                                     \
        RULE("return action.id == 'org.mdevgpu1.manage-vgpus' && subject.user == 'nobody' &&\n"                        \
             "       action.lookup('gpu') == '" GPU "' && action.lookup('type') == '" TYPE "'\n"                       \
             "       ? polkit.Result.YES : polkit.Result.NO;")

/* How every method is called so that nothing but polkit is in its way. */
typedef struct Method {
        const char *interface;
        const char *member;
        bool changes;
        bool (*append)(sd_bus_message *m);
} Method;

static bool append_create(sd_bus_message *m) {
        return sd_bus_message_append(m, "sssa{sv}", GPU, TYPE, "", 0) >= 0;
}

static bool append_uuid_options(sd_bus_message *m) {
        return sd_bus_message_append(m, "sa{sv}", UUID, 0) >= 0;
}

static bool append_define(sd_bus_message *m) {
        return sd_bus_message_append(m, "sssa{sv}", GPU, TYPE, "", 0) >= 0;
}

static bool append_defined(sd_bus_message *m) {
        return sd_bus_message_append(m, "sa{sv}", UUID_DEFINED, 0) >= 0;
}

static bool append_uuid(sd_bus_message *m) {
        return sd_bus_message_append(m, "s", UUID) >= 0;
}

static bool append_gpu(sd_bus_message *m) {
        return sd_bus_message_append(m, "s", GPU) >= 0;
}

static bool append_options(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 0) >= 0;
}

static bool append_topology(sd_bus_message *m) {
        return sd_bus_message_append(m, "sa{sv}", "t", 0) >= 0;
}

static bool append_attachment(sd_bus_message *m) {
        return sd_bus_message_append(m, "sa{sv}", "qemu", 0) >= 0;
}

static bool append_gpu_options(sd_bus_message *m) {
        return sd_bus_message_append(m, "sa{sv}", GPU, 0) >= 0;
}

static bool append_flag(sd_bus_message *m) {
        return sd_bus_message_append(m, "ba{sv}", 1, 0) >= 0;
}

static bool append_number(sd_bus_message *m) {
        return sd_bus_message_append(m, "ua{sv}", 2U, 0) >= 0;
}

static bool append_type(sd_bus_message *m) {
        return sd_bus_message_append(m, "ssa{sv}", GPU, TYPE, 0) >= 0;
}

static bool append_remote(sd_bus_message *m) {
        return sd_bus_message_append(m, "sa{sv}", GPU, 3, "format", "u", 1U, "backend", "s", "shim", "type", "s",
                                     TYPE) >= 0;
}

static bool append_uuids(sd_bus_message *m) {
        return sd_bus_message_append(m, "asa{sv}", 1, UUID, 0) >= 0;
}

static bool append_save(sd_bus_message *m) {
        return sd_bus_message_append(m, "ssa{sv}", UUID, "s", 0) >= 0;
}

static bool append_export(sd_bus_message *m) {
        return sd_bus_message_append(m, "sha{sv}", UUID, STDERR_FILENO, 0) >= 0;
}

static bool append_restore(sd_bus_message *m) {
        return sd_bus_message_append(m, "ssa{sv}", GPU, "s", 0) >= 0;
}

static bool append_import(sd_bus_message *m) {
        return sd_bus_message_append(m, "sha{sv}", GPU, STDERR_FILENO, 0) >= 0;
}

static bool append_saved(sd_bus_message *m) {
        return sd_bus_message_append(m, "sa{sv}", "s", 0) >= 0;
}

static bool append_nothing(sd_bus_message *m) {
        return true;
}

static bool append_incoming(sd_bus_message *m) {
        return sd_bus_message_append(m, "sa{sv}", UUID_INCOMING, 0) >= 0;
}

/* All there are. A method that is missing here fails the test: whoever adds one has to say which kind it is. */
static const Method methods[] = {
        { MANAGER_INTERFACE, "CreateVGpu", true, append_create },
        { MANAGER_INTERFACE, "DestroyVGpu", true, append_uuid_options },
        { MANAGER_INTERFACE, "DefineVGpu", true, append_define },
        { MANAGER_INTERFACE, "UndefineVGpu", true, append_defined },
        { MANAGER_INTERFACE, "StartVGpu", true, append_defined },
        { MANAGER_INTERFACE, "ModifyVGpu", true, append_defined },
        { MANAGER_INTERFACE, "PrepareIncoming", true, append_create },
        { MANAGER_INTERFACE, "ReleaseIncoming", true, append_incoming },
        { MANAGER_INTERFACE, "SaveState", true, append_save },
        { MANAGER_INTERFACE, "ExportState", true, append_export },
        { MANAGER_INTERFACE, "RestoreState", true, append_restore },
        { MANAGER_INTERFACE, "ImportState", true, append_import },
        { MANAGER_INTERFACE, "DeleteSavedState", true, append_saved },
        { MANAGER_INTERFACE, "HoldForStart", true, append_uuids },
        { MANAGER_INTERFACE, "EndHold", true, append_uuids },
        { MANAGER_INTERFACE, "Reload", true, append_options },
        { VGPU_INTERFACE, "Destroy", true, append_options },
        { VGPU_INTERFACE, "Start", true, append_options },
        { MANAGER_INTERFACE, "ApplyTopology", true, append_topology },
        { JOB_INTERFACE, "Cancel", true, append_options },
        { SRIOV_INTERFACE, "EnableVfs", true, append_number },
        { MIXED_INTERFACE, "Set", true, append_flag },

        { MANAGER_INTERFACE, "ListGpus", false, append_options },
        { MANAGER_INTERFACE, "ListTypes", false, append_options },
        { MANAGER_INTERFACE, "ListVGpus", false, append_options },
        { MANAGER_INTERFACE, "GetGpu", false, append_gpu },
        { MANAGER_INTERFACE, "GetVGpu", false, append_uuid },
        { MANAGER_INTERFACE, "Diagnose", false, append_options },
        { MANAGER_INTERFACE, "GetStatistics", false, append_options },
        { MANAGER_INTERFACE, "GetUsage", false, append_gpu_options },
        { MANAGER_INTERFACE, "GetUsers", false, append_uuid_options },
        { MANAGER_INTERFACE, "QueryMigration", false, append_uuid_options },
        { MANAGER_INTERFACE, "GetMigrationInfo", false, append_type },
        { MANAGER_INTERFACE, "CheckCompatibility", false, append_remote },
        { MANAGER_INTERFACE, "ListSavedStates", false, append_nothing },
        { MANAGER_INTERFACE, "ListTopologies", false, append_nothing },
        { MANAGER_INTERFACE, "ListJobs", false, append_nothing },
        { MANAGER_INTERFACE, "PlanTopology", false, append_topology },
        { MANAGER_INTERFACE, "CheckConfig", false, append_nothing },
        { GPU_INTERFACE, "Refresh", false, append_options },
        { VGPU_INTERFACE, "Refresh", false, append_options },
        { VGPU_INTERFACE, "GetAttachment", false, append_attachment },
};

static const Method *find_method(const char *interface, const char *member) {
        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++)
                if (g_str_equal(methods[i].interface, interface) && g_str_equal(methods[i].member, member))
                        return &methods[i];

        g_error("%s.%s() is new: say in this test whether it changes something", interface, member);
}

static void check_method(sd_bus *nobody, const char *path, const Method *method, bool allowed) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m, *reply = NULL;

        g_test_message("%s on %s", method->member, path);
        g_assert_cmpint(sd_bus_message_new_method_call(nobody, &m, BUS_NAME, path, method->interface, method->member),
                        >=, 0);
        g_assert_true(method->append(m));
        (void)sd_bus_call(nobody, m, 0, &error, &reply);
        sd_bus_message_unref(m);

        if (method->changes && !allowed)
                assert_error(reply, &error, ERROR_ACCESS_DENIED);
        else {
                g_assert_cmpstr(error.name, ==, NULL);
                sd_bus_message_unref(reply);
        }
}

/* What is active cannot be started, and what is not cannot be destroyed: polkit is not asked about that. */
static bool makes_no_sense(const char *path, const Method *method) {
        return g_str_equal(method->interface, VGPU_INTERFACE) &&
               ((!g_str_equal(path, DEFINED_PATH) && g_str_equal(method->member, "Start")) ||
                (g_str_equal(path, DEFINED_PATH) && g_str_equal(method->member, "Destroy")));
}

static void have_incoming(sd_bus *root) {
        sd_bus_message_unref(manager_call(root, "PrepareIncoming", "sssa{sv}", GPU, TYPE, UUID_INCOMING, 0));
}

/* Root has the vGPU that is defined and not active. */
static void have_defined(sd_bus *root) {
        static const char *const undo[] = { "DestroyVGpu", "UndefineVGpu" };
        sd_bus_error error = SD_BUS_ERROR_NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(undo); i++) {
                sd_bus_message_unref(
                        try_call(root, BUS_PATH, MANAGER_INTERFACE, undo[i], &error, "sa{sv}", UUID_DEFINED, 0));
                sd_bus_error_free(&error);
        }
        sd_bus_message_unref(try_call(root, BUS_PATH, MANAGER_INTERFACE, "DefineVGpu", &error, "sssa{sv}", GPU, TYPE,
                                      UUID_DEFINED, 0));
        g_assert_cmpstr(error.name, ==, NULL);
}

/* Calls every method of every object below path, as introspection has it; how many of them change something. */
static unsigned walk(Harness *h, sd_bus *nobody, const char *path) {
        g_autoptr(GDBusNodeInfo) node = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;
        const char *xml;
        unsigned n = 0;

        reply = try_call(h->bus, path, "org.freedesktop.DBus.Introspectable", "Introspect", &error, NULL);
        g_assert_nonnull(reply);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &xml), >, 0);
        node = g_dbus_node_info_new_for_xml(xml, NULL);
        sd_bus_message_unref(reply);
        g_assert_nonnull(node);

        for (GDBusInterfaceInfo **i = node->interfaces; i && *i; i++) {
                if (g_str_has_prefix((*i)->name, "org.freedesktop.DBus."))
                        continue;
                for (GDBusMethodInfo **m = (*i)->methods; m && *m; m++) {
                        const Method *method = find_method((*i)->name, (*m)->name);

                        if (makes_no_sense(path, method))
                                continue;
                        check_method(nobody, path, method, /* allowed= */ false);
                        n += method->changes;
                }
                for (GDBusPropertyInfo **p = (*i)->properties; p && *p; p++)
                        g_assert_cmpint((*p)->flags, ==, G_DBUS_PROPERTY_INFO_FLAGS_READABLE);
        }

        for (GDBusNodeInfo **child = node->nodes; child && *child; child++) {
                g_autofree char *child_path = g_strdup_printf("%s/%s", path, (*child)->path);

                n += walk(h, nobody, child_path);
        }

        return n;
}

/* With a topology that asks for nothing. */
static Harness *start(const char *rules) {
        Harness *h = harness_new();
        g_autofree char *dir = g_build_filename(h->dir, "host/etc/mdevgpud/topologies.d", NULL);

        harness_start_polkit(h, rules);
        harness_prepare_machine(h, "host");
        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        harness_write(h, "host/etc/mdevgpud/topologies.d/t.yaml", "version: 1\ntopologies: {t: []}\n");
        harness_act(h, "plug-sriov", SRIOV_GPU, NULL);
        harness_act(h, "plug-nvidia", NVIDIA_GPU, NULL);
        harness_act(h, "set-vfs", NVIDIA_GPU, "8", NULL);
        harness_start_daemon(h, /* without_polkit= */ false);
        return h;
}

static void test_denied(void) {
        g_autoptr(Harness) h = start(RULE_NO);
        sd_bus *nobody;

        make_vgpu(h->bus, TYPE, UUID);
        have_defined(h->bus);
        have_incoming(h->bus);
        sd_bus_message_unref(manager_call(h->bus, "ApplyTopology", "sa{sv}", "t", 0)); /* a job of root's */

        nobody = harness_connect(h, NOBODY_UID);
        g_assert_cmpuint(walk(h, nobody, BUS_PATH), ==, 24);
        sd_bus_flush_close_unref(nobody);

        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 3);
        /* Root was never asked of polkit, which would have said no. */
        destroy_vgpu(h->bus, UUID);
}

/* The same calls, if polkit says yes. */
static void test_allowed(void) {
        g_autoptr(Harness) h = start(RULE_YES);
        sd_bus *nobody;

        nobody = harness_connect(h, NOBODY_UID);

        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
                const Method *method = &methods[i];

                /* Jobs end before they can be cancelled here, and there is no state (tests/bus/states.py has them). */
                if (!method->changes || g_str_equal(method->interface, JOB_INTERFACE) ||
                    g_str_has_suffix(method->member, "State"))
                        continue;
                if (g_str_has_prefix(method->member, "Destroy"))
                        make_vgpu(h->bus, TYPE, UUID);
                else if (g_str_equal(method->member, "ReleaseIncoming"))
                        have_incoming(h->bus);
                else
                        have_defined(h->bus);
                check_method(nobody,
                             g_str_equal(method->interface, SRIOV_INTERFACE)   ? SRIOV_PATH
                             : g_str_equal(method->interface, MIXED_INTERFACE) ? NVIDIA_PATH
                             : !g_str_equal(method->interface, VGPU_INTERFACE) ? BUS_PATH
                             : g_str_equal(method->member, "Start")            ? DEFINED_PATH
                                                                               : VGPU_PATH,
                             method, /* allowed= */ true);
        }

        /* What CreateVGpu(), PrepareIncoming() and DefineVGpu() made, and what was started. */
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 4);
        sd_bus_flush_close_unref(nobody);
}

static void test_allowed_by_details(void) {
        g_autoptr(Harness) h = harness_new();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *made = NULL;
        sd_bus *nobody;

        harness_start_polkit(h, RULE_SMALL);
        harness_start_daemon(h, /* without_polkit= */ false);
        nobody = harness_connect(h, NOBODY_UID);

        /* Also by the name that only the daemon can translate. */
        made = create_vgpu(nobody, TYPE_NAME, UUID, NULL);
        destroy_vgpu(nobody, made);
        make_vgpu(nobody, TYPE, UUID);
        sd_bus_message_unref(try_call(nobody, VGPU_PATH, VGPU_INTERFACE, "Destroy", &error, "a{sv}", 0));
        g_assert_cmpstr(error.name, ==, NULL);

        assert_error(
                try_call(nobody, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", &error, "sssa{sv}", GPU, LARGE_TYPE, "", 0),
                &error, ERROR_ACCESS_DENIED);
        assert_error(try_call(nobody, BUS_PATH, MANAGER_INTERFACE, "Reload", &error, "a{sv}", 0), &error,
                     ERROR_ACCESS_DENIED);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 0);
        sd_bus_flush_close_unref(nobody);
}

/* The sample says what it claims to. */
static void test_operators(void) {
        const char *path = g_getenv("MDEVGPUD_SAMPLE_RULES");
        g_autofree char *sample = NULL;
        g_autoptr(Harness) h = harness_new();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(GString) rules = NULL;
        sd_bus *member, *other;

        g_assert_nonnull(path);
        g_assert_true(g_file_get_contents(path, &sample, NULL, NULL));
        rules = g_string_new(sample);
        /* A group that is there, with a member. */
        g_assert_cmpuint(g_string_replace(rules, "isInGroup(\"mdevgpu\")", "isInGroup(\"nogroup\")", 0), ==, 1);

        harness_start_polkit(h, rules->str);
        harness_start_daemon(h, /* without_polkit= */ false);
        member = harness_connect(h, NOBODY_UID);
        other = harness_connect(h, DAEMON_UID);

        make_vgpu(member, TYPE, UUID);
        assert_error(try_call(other, BUS_PATH, MANAGER_INTERFACE, "DestroyVGpu", &error, "sa{sv}", UUID, 0), &error,
                     ERROR_CHALLENGE);
        assert_error(try_call(member, BUS_PATH, MANAGER_INTERFACE, "Reload", &error, "a{sv}", 0), &error,
                     ERROR_CHALLENGE);
        destroy_vgpu(member, UUID);
        sd_bus_flush_close_unref(member);
        sd_bus_flush_close_unref(other);
}

/* Without a rule the policy of the project speaks: an administrator's password, which nobody asks for here. */
static void test_challenge(void) {
        g_autoptr(Harness) h = harness_new();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *nobody;

        harness_start_polkit(h, "");
        harness_start_daemon(h, /* without_polkit= */ false);
        nobody = harness_connect(h, NOBODY_UID);
        assert_error(try_call(nobody, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", &error, "sssa{sv}", GPU, TYPE, "", 0),
                     &error, ERROR_CHALLENGE);
        assert_error(try_call(nobody, BUS_PATH, MANAGER_INTERFACE, "Reload", &error, "a{sv}", 0), &error,
                     ERROR_CHALLENGE);
        sd_bus_flush_close_unref(nobody);
}

static void test_absent(void) {
        g_autoptr(Harness) h = harness_new();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *nobody;

        harness_start_daemon(h, /* without_polkit= */ false);
        nobody = harness_connect(h, NOBODY_UID);
        (void)try_call(nobody, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", &error, "sssa{sv}", GPU, TYPE, "", 0);
        g_assert_nonnull(error.message);
        g_assert_nonnull(strstr(error.message, "polkit"));
        assert_error(NULL, &error, ERROR_ACCESS_DENIED);

        make_vgpu(h->bus, TYPE, UUID);
        destroy_vgpu(h->bus, UUID);
        sd_bus_flush_close_unref(nobody);
}

/* Told that there is none, the simulated host asks nobody. */
static void test_without(void) {
        g_autoptr(Harness) h = harness_new();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *nobody;

        harness_start_daemon(h, /* without_polkit= */ true);
        nobody = harness_connect(h, NOBODY_UID);
        assert_error(try_call(nobody, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", &error, "sssa{sv}", GPU, TYPE, "", 0),
                     &error, ERROR_ACCESS_DENIED);
        g_assert_cmpuint(count_rows(nobody, "ListVGpus", NULL, NULL), ==, 0);
        sd_bus_flush_close_unref(nobody);
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/polkit/denied", test_denied);
        g_test_add_func("/polkit/allowed", test_allowed);
        g_test_add_func("/polkit/allowed-by-details", test_allowed_by_details);
        g_test_add_func("/polkit/operators", test_operators);
        g_test_add_func("/polkit/challenge", test_challenge);
        g_test_add_func("/polkit/absent", test_absent);
        g_test_add_func("/polkit/without", test_without);

        return g_test_run();
}
