/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The documented interface is the one that is on the bus, member by member; and all of it is documented. */

#include <gio/gio.h>

#include "client.h"

#define EMITS_CHANGED "org.freedesktop.DBus.Property.EmitsChangedSignal"

static char *read_documentation(void) {
        const char *path = g_getenv("MDEVGPUD_INTERFACES");
        char *text;

        g_assert_nonnull(path);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return text;
}

static GDBusNodeInfo *parse(const char *xml) {
        g_autoptr(GError) error = NULL;
        GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(xml, &error);

        g_assert_no_error(error);
        return node;
}

static GDBusNodeInfo *introspect(Harness *h, const char *path) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;
        GDBusNodeInfo *node;
        const char *xml;

        reply = try_call(h->bus, path, "org.freedesktop.DBus.Introspectable", "Introspect", &error, NULL);
        if (!reply)
                g_error("%s: %s", path, error.message);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &xml), >, 0);
        node = parse(xml);
        sd_bus_message_unref(reply);
        return node;
}

static void describe_arguments(GString *text, const char *direction, GDBusArgInfo **arguments) {
        for (; arguments && *arguments; arguments++)
                g_string_append_printf(text, " %s %s:%s", direction, (*arguments)->name, (*arguments)->signature);
}

/* A line for each member, with everything that a program can depend on. */
static char *describe(GDBusInterfaceInfo *interface) {
        GString *text = g_string_new(NULL);

        for (GDBusMethodInfo **m = interface->methods; m && *m; m++) {
                g_string_append_printf(text, "method %s", (*m)->name);
                describe_arguments(text, "in", (*m)->in_args);
                describe_arguments(text, "out", (*m)->out_args);
                g_string_append_c(text, '\n');
        }
        for (GDBusSignalInfo **s = interface->signals; s && *s; s++) {
                g_string_append_printf(text, "signal %s", (*s)->name);
                describe_arguments(text, "out", (*s)->args);
                g_string_append_c(text, '\n');
        }
        for (GDBusPropertyInfo **p = interface->properties; p && *p; p++)
                g_string_append_printf(text, "property %s %s %s%s %s\n", (*p)->name, (*p)->signature,
                                       (*p)->flags & G_DBUS_PROPERTY_INFO_FLAGS_READABLE ? "read" : "",
                                       (*p)->flags & G_DBUS_PROPERTY_INFO_FLAGS_WRITABLE ? "write" : "",
                                       g_dbus_annotation_info_lookup((*p)->annotations, EMITS_CHANGED) ?: "true");

        return g_string_free(text, FALSE);
}

/* There is a job for a while. */
static void apply_nothing(Harness *h) {
        g_autofree char *dir = g_build_filename(h->dir, "host/etc/mdevgpud/topologies.d", NULL);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        harness_write(h, "host/etc/mdevgpud/topologies.d/t.yaml", "version: 1\ntopologies: {t: []}\n");
        sd_bus_message_unref(manager_call(h->bus, "Reload", "a{sv}", 0));
        sd_bus_message_unref(manager_call(h->bus, "ApplyTopology", "sa{sv}", "t", 0));
}

/* It has been read that the card can have virtual functions. */
static bool has_functions(void *userdata) {
        Harness *h = userdata;
        sd_bus_message *reply;
        bool has;

        reply = try_call(h->bus, SRIOV_PATH, "org.freedesktop.DBus.Properties", "Get", NULL, "ss", SRIOV_INTERFACE,
                         "MaxVfs");
        has = reply;
        sd_bus_message_unref(reply);
        return has;
}

static bool has_sizes(void *userdata) {
        Harness *h = userdata;
        sd_bus_message *reply;
        bool has;

        reply = try_call(h->bus, NVIDIA_PATH, "org.freedesktop.DBus.Properties", "Get", NULL, "ss", MIXED_INTERFACE,
                         "Enabled");
        has = reply;
        sd_bus_message_unref(reply);
        return has;
}

static void test_equal(void) {
        static const struct {
                const char *interface;
                const char *path;
        } objects[] = {
                { MANAGER_INTERFACE, BUS_PATH },
                { GPU_INTERFACE, GPU_PATH },
                { TYPE_INTERFACE, TYPE_PATH },
                { VGPU_INTERFACE, "/org/mdevgpu1/vgpu/_6b2f6c5e_1111_4222_8333_444455556666" },
                { JOB_INTERFACE, "/org/mdevgpu1/job/1" },
                { SRIOV_INTERFACE, SRIOV_PATH },
                { MIXED_INTERFACE, NVIDIA_PATH },
        };
        g_autoptr(Harness) h = harness_new();
        g_autofree char *xml = read_documentation();
        g_autoptr(GDBusNodeInfo) documented = parse(xml);
        unsigned n = 0;

        harness_start_daemon(h, /* without_polkit= */ true);
        make_vgpu(h->bus, TYPE, "6b2f6c5e-1111-4222-8333-444455556666");
        apply_nothing(h);
        harness_act(h, "plug-sriov", SRIOV_GPU, NULL);
        harness_wait(h->bus, has_functions, h);
        harness_act(h, "plug-nvidia", NVIDIA_GPU, NULL);
        harness_act(h, "set-vfs", NVIDIA_GPU, "8", NULL);
        harness_wait(h->bus, has_sizes, h);

        for (size_t i = 0; i < G_N_ELEMENTS(objects); i++) {
                g_autoptr(GDBusNodeInfo) live = introspect(h, objects[i].path);
                GDBusInterfaceInfo *a = g_dbus_node_info_lookup_interface(documented, objects[i].interface);
                GDBusInterfaceInfo *b = g_dbus_node_info_lookup_interface(live, objects[i].interface);
                g_autofree char *said = NULL, *is = NULL;

                g_assert_nonnull(a);
                g_assert_nonnull(b);
                said = describe(a);
                is = describe(b);
                g_assert_cmpstr(said, ==, is);
        }

        /* And none is documented that is nowhere. */
        for (GDBusInterfaceInfo **i = documented->interfaces; i && *i; i++)
                n++;
        g_assert_cmpuint(n, ==, G_N_ELEMENTS(objects));
}

static unsigned check_tree(Harness *h, const char *path, GDBusNodeInfo *documented) {
        g_autoptr(GDBusNodeInfo) node = introspect(h, path);
        unsigned n = 0;

        for (GDBusInterfaceInfo **i = node->interfaces; i && *i; i++) {
                if (g_str_has_prefix((*i)->name, "org.freedesktop.DBus."))
                        continue;
                g_assert_nonnull(g_dbus_node_info_lookup_interface(documented, (*i)->name));
                n++;
        }

        for (GDBusNodeInfo **child = node->nodes; child && *child; child++) {
                g_autofree char *child_path = g_strdup_printf("%s/%s", path, (*child)->path);

                n += check_tree(h, child_path, documented);
        }

        return n;
}

/* Walking from the root one finds every object, each once, and nothing undocumented. */
static void test_tree(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *xml = read_documentation();
        g_autoptr(GDBusNodeInfo) documented = parse(xml);
        unsigned n_types;

        harness_start_daemon(h, /* without_polkit= */ true);
        make_vgpu(h->bus, TYPE, "");
        make_vgpu(h->bus, TYPE, "");
        apply_nothing(h);

        n_types = count_rows(h->bus, "ListTypes", NULL, NULL);
        g_assert_cmpuint(n_types, >, 2);
        g_assert_cmpuint(check_tree(h, BUS_PATH, documented), ==, 1 + 2 + n_types + 2 + 1);
}

/* The comment right before what stands at position; fails if there is other text between. */
static char *comment_before(const char *xml, const char *position) {
        g_autofree char *before = g_strndup(xml, (gsize)(position - xml));
        char *end = g_strrstr(before, "-->"), *begin;

        g_assert_nonnull(end);
        g_assert_cmpstr(g_strstrip(end + 3), ==, "");
        *end = '\0';
        begin = g_strrstr(before, "<!--");
        g_assert_nonnull(begin);
        return g_strdup(g_strstrip(begin + 4));
}

static char *find_member(const char *xml, const char *interface, const char *kind, const char *name) {
        g_autofree char *head = g_strdup_printf("<interface name=\"%s\">", interface);
        g_autofree char *tag = g_strdup_printf("<%s name=\"%s\"", kind, name);
        const char *start = strstr(xml, head), *position;

        g_assert_nonnull(start);
        position = strstr(start, tag);
        g_assert_nonnull(position);
        return comment_before(xml, position);
}

static void check_comment(const char *comment, const char *name, GDBusArgInfo **in, GDBusArgInfo **out) {
        g_autofree char *head = g_strdup_printf("%s:", name);

        g_test_message("%s", name);
        g_assert_true(g_str_has_prefix(comment, head));
        g_assert_nonnull(strstr(comment, "Since: "));
        g_assert_cmpuint(strlen(comment), >, strlen(head) + 30);

        for (unsigned i = 0; i < 2; i++)
                for (GDBusArgInfo **a = i ? out : in; a && *a; a++) {
                        g_autofree char *argument = g_strdup_printf("@%s: ", (*a)->name);

                        g_assert_nonnull(strstr(comment, argument));
                }
}

static void test_documented(void) {
        g_autofree char *xml = read_documentation();
        g_autoptr(GDBusNodeInfo) documented = parse(xml);
        unsigned n = 0;

        for (GDBusInterfaceInfo **i = documented->interfaces; i && *i; i++) {
                const char *name = (*i)->name;

                for (GDBusMethodInfo **m = (*i)->methods; m && *m; m++, n++) {
                        g_autofree char *comment = find_member(xml, name, "method", (*m)->name);

                        check_comment(comment, (*m)->name, (*m)->in_args, (*m)->out_args);
                }
                for (GDBusSignalInfo **s = (*i)->signals; s && *s; s++, n++) {
                        g_autofree char *comment = find_member(xml, name, "signal", (*s)->name);

                        check_comment(comment, (*s)->name, NULL, (*s)->args);
                }
                for (GDBusPropertyInfo **p = (*i)->properties; p && *p; p++, n++) {
                        g_autofree char *comment = find_member(xml, name, "property", (*p)->name);

                        check_comment(comment, (*p)->name, NULL, NULL);
                }
        }

        g_assert_cmpuint(n, >, 50);
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/introspection/equal", test_equal);
        g_test_add_func("/introspection/tree", test_tree);
        g_test_add_func("/introspection/documented", test_documented);

        return g_test_run();
}
