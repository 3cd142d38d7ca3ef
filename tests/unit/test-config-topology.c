/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Topologies: what each key may say, what several files say together, and for everything that is wrong the exact place
 * and sentence.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include <glib.h>

#define UUID "11111111-2fa1-4d2e-883f-0016d3cca427"

/* The key that a case is about stands in line 5, column 13. */
#define VGPU(what) "version: 1\ntopologies:\n  a:\n  - match: {}\n    vgpus: [{" what "}]\n"
#define POLICY(what) "version: 1\npolicy: {" what "}\n"

typedef struct Case {
        const char *text;
        const char *report; /* without the file's name; nothing if it is to pass in silence */
} Case;

static char *report_to_string(const ConfigReport *report) {
        _cleanup_(freep) char *buffer = NULL;
        size_t size = 0;
        FILE *stream;

        stream = open_memstream(&buffer, &size);
        g_assert_nonnull(stream);
        config_report_print(report, stream);
        g_assert_cmpint(fclose(stream), ==, 0);
        return g_strdup(buffer);
}

/* Reads them one after the other, as files of these names; all has to be as expected. */
static TopologySet *parse(const char *const *texts, size_t n, const char *expected) {
        static const char *const names[] = { "f", "g" };
        TopologyDraft draft = { .set = topology_set_new() };
        ConfigReport report = {};

        for (size_t i = 0; i < n; i++) {
                size_t n_errors = report.n_errors;
                int r = config_parse_topologies(names[i], texts[i], strlen(texts[i]), &draft, &report);

                g_assert_cmpint(r, ==, report.n_errors > n_errors ? -EBADMSG : 0);
        }
        if (report.n_errors == 0)
                g_assert_cmpint(config_check_topologies(&draft, &report), ==, 0);

        g_autofree char *printed = report_to_string(&report);
        g_assert_cmpstr(printed, ==, expected);
        config_report_done(&report);
        return draft.set;
}

static void check_cases(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                g_autoptr(GString) expected = g_string_new(NULL);
                g_auto(GStrv) lines = g_strsplit(cases[i].report, "\n", -1);

                for (char **line = lines; *line && **line; line++)
                        g_string_append_printf(expected, "f:%s\n", *line);
                topology_set_free(parse(&cases[i].text, 1, expected->str));
        }
}

static void test_whole(void) {
        static const char *const text[] = {
                "version: 1\n"
                "topologies:\n"
                "  balanced:\n"
                "  - match: {address: \"0000:41:00.0\"}\n"
                "    mixed-size: false\n"
                "    virtual-functions: 4\n"
                "    vgpus:\n"
                "    - {type: Open vAmpere/2, count: 2}\n"
                "    - {type: nvidia-529, uuid: " UUID ", label: wéb1, autostart: yes}\n"
                "  empty:\n"
                "  - {match: {vendor: 0x10de}, vgpus: []}\n"
                "default: balanced\n"
                "policy:\n"
                "  prune: none\n"
                "  in-use: refuse\n"
                "  unmanaged: take\n"
                "  interrupted: go-on\n"
                "  placement: depth-first\n"
                "  exclude: [\"0000:42:*\", mtty]\n",
        };
        TopologySet *set = parse(text, 1, "");
        const Topology *t = topology_set_find(set, "balanced");

        g_assert_cmpuint(set->n_topologies, ==, 2);
        g_assert_cmpstr(set->default_name, ==, "balanced");
        g_assert_cmpint(set->policy.prune, ==, TOPOLOGY_PRUNE_NONE);
        g_assert_cmpint(set->policy.unmanaged, ==, TOPOLOGY_UNMANAGED_TAKE);
        g_assert_cmpint(set->policy.interrupted, ==, TOPOLOGY_INTERRUPTED_GO_ON);
        g_assert_cmpint(set->policy.placement.order, ==, PLACEMENT_DEPTH_FIRST);
        g_assert_cmpuint(set->policy.placement.n_excluded, ==, 2);
        g_assert_cmpstr(set->policy.placement.excluded[1], ==, "mtty");

        g_assert_cmpuint(t->n_entries, ==, 1);
        g_assert_cmpstr(t->entries[0].match.address, ==, "0000:41:00.0");
        g_assert_true(t->entries[0].one_size);
        g_assert_cmpint(t->entries[0].mixed_size, ==, TRISTATE_NO);
        g_assert_true(t->entries[0].has_vfs);
        g_assert_cmpuint(t->entries[0].n_vfs, ==, 4);
        g_assert_false(topology_set_find(set, "empty")->entries[0].has_vfs);
        g_assert_cmpuint(t->entries[0].n_vgpus, ==, 2);
        g_assert_cmpstr(t->entries[0].vgpus[0].type, ==, "Open vAmpere/2");
        g_assert_cmpuint(t->entries[0].vgpus[0].count, ==, 2);
        g_assert_cmpstr(t->entries[0].vgpus[1].uuid, ==, UUID);
        g_assert_cmpstr(t->entries[0].vgpus[1].label, ==, "wéb1");
        g_assert_true(t->entries[0].vgpus[1].autostart);
        g_assert_cmpuint(topology_count_vgpus(t), ==, 3);
        g_assert_cmpuint(topology_set_find(set, "empty")->entries[0].n_vgpus, ==, 0);
        g_assert_null(topology_set_find(set, "none"));
        topology_set_free(set);
}

static void test_values(void) {
        static const Case cases[] = {
                { "", "" },
                { "version: 1\n", "" },
                { "version: 2\n", "1:10: error: version: '2' is not known to this mdevgpud, which reads 1\n" },
                { "topologies: {}\n", "1:1: error: file: the required key 'version' is missing\n" },
                { "version: 1\ntoplogies: {}\n", "2:1: error: unknown key 'toplogies'; did you mean 'topologies'?\n" },
                { "version: 1\ntopologies: []\n",
                  "2:13: error: topologies: must be a mapping of keys to values, not a list\n" },
                { "version: 1\ntopologies: {a: {}}\n",
                  "2:17: error: a: must be a list, not a mapping of keys to values\n" },
                { "version: 1\ntopologies: {\"\": []}\n",
                  "2:14: error: '' is not the name of a topology: one line of at most 63 bytes\n" },
                { "version: 1\ntopologies: {[a]: []}\n",
                  "2:14: error: the name of a topology must be a single word\n" },
                { "version: 1\ntopologies: {a: [], a: []}\n",
                  "2:21: error: topology 'a' is given in line 2 already\n" },
                { "version: 1\ntopologies: {a: [{vgpus: []}]}\n",
                  "2:18: error: entry: the required key 'match' is missing\n" },
                { "version: 1\ntopologies: {a: [{match: {}, mixedsize: 1, vgpus: []}]}\n",
                  "2:30: error: unknown key 'mixedsize'; did you mean 'mixed-size'?\n" },
                { "version: 1\ntopologies: {a: [{match: {device: 0x20b0}, vgpus: []}]}\n",
                  "2:35: error: device: needs 'vendor' beside it, as each vendor numbers its own\n" },
                { "version: 1\ntopologies: {a: [{match: {}, virtual-functions: all, vgpus: []}]}\n", "" },
                { "version: 1\ntopologies: {a: [{match: {}, virtual-functions: 65536, vgpus: []}]}\n",
                  "2:49: error: virtual-functions: '65536' is not between 0 and 65535\n" },
                { "version: 1\ntopologies: {a: [{match: {}, virtual-functions: every, vgpus: []}]}\n",
                  "2:49: error: virtual-functions: 'every' is not a whole number (decimal without leading zeros, or "
                  "hexadecimal as in 0x1f)\n" },
                { VGPU("type: a"), "" },
                { VGPU("count: 1"), "5:13: error: vgpu: the required key 'type' is missing\n" },
                { VGPU("type: \"\""), "5:20: error: type: is empty\n" },
                { VGPU("type: a, count: 0"), "5:30: error: count: '0' is not between 1 and 1024\n" },
                { VGPU("type: a, count: 2, uuid: " UUID), "5:30: error: count: 2 vGPUs cannot have one UUID\n" },
                { VGPU("type: a, uuid: x"),
                  "5:29: error: uuid: 'x' is not a UUID such as 00000000-0000-0000-0000-000000000000\n" },
                { VGPU("type: a, uuid: " UUID "}, {type: a, uuid: " UUID),
                  "5:84: error: uuid: is that of the vGPU in line 5 already\n" },
                { VGPU("type: a, label: \"a\\nb\""),
                  "5:30: error: label: 'a?b' is not one line of text of at most 127 bytes\n" },
                { VGPU("type: a, autostart: maybe"),
                  "5:34: error: autostart: 'maybe' is not a boolean (true, yes, on, false, no, off)\n" },
                { VGPU("type: a, count: 1000}, {type: a, count: 25"),
                  "5:37: error: more than 1024 vGPUs; the rest of the file has not been looked at\n" },
                { POLICY("prune: managd"), "2:17: error: prune: 'managd' is not known; did you mean 'managed'?\n" },
                { POLICY("prune: all"), "2:17: error: prune: 'all' is not known; known are managed, none\n" },
                { POLICY("in-use: pull"), "2:18: error: in-use: 'pull' is not known; known are refuse\n" },
                { POLICY("unmanaged: []"), "2:21: error: unmanaged: must be a single value, not a list\n" },
                { POLICY("interrupted: goon"),
                  "2:23: error: interrupted: 'goon' is not known; did you mean 'go-on'?\n" },
                { POLICY("placement: breadth_first"),
                  "2:21: error: placement: 'breadth_first' is not known; did you mean 'breadth-first'?\n" },
                { POLICY("exclude: [a/b]"),
                  "2:20: error: exclude: 'a/b' is not a pattern for a device's name in sysfs\n" },
                { "version: 1\ndefault: balancd\ntopologies: {balanced: []}\n",
                  "2:10: error: default: there is no topology 'balancd'; did you mean 'balanced'?\n" },
                { "version: 1\ndefault: x\n", "2:10: error: default: there is no topology 'x'\n" },
                /* All of it at once, by place. */
                { VGPU("count: 0") "policy: {prune: x}\nx: 1\n",
                  "5:13: error: vgpu: the required key 'type' is missing\n"
                  "5:21: error: count: '0' is not between 1 and 1024\n"
                  "6:17: error: prune: 'x' is not known; known are managed, none\n"
                  "7:1: error: unknown key 'x'\n" },
        };

        check_cases(cases, ELEMENTSOF(cases));
}

/* A later file replaces topologies by name and says more of the policy. */
static void test_files(void) {
        static const char *const texts[] = {
                "version: 1\ntopologies: {a: [], b: []}\ndefault: a\npolicy: {prune: none, exclude: [x, y]}\n",
                "version: 1\ntopologies: {a: [{match: {}, vgpus: []}]}\ndefault: b\npolicy: {placement: depth-first}\n",
        };
        static const char *const wrong[] = { "version: 1\ntopologies: {a: []}\n", "version: 1\ndefault: zzz\n" };
        TopologySet *set = parse(texts, 2, "");

        g_assert_cmpuint(set->n_topologies, ==, 2);
        g_assert_cmpstr(topology_set_find(set, "a")->file, ==, "g");
        g_assert_cmpuint(topology_set_find(set, "a")->n_entries, ==, 1);
        g_assert_cmpstr(set->default_name, ==, "b");
        g_assert_cmpint(set->policy.prune, ==, TOPOLOGY_PRUNE_NONE);
        g_assert_cmpint(set->policy.placement.order, ==, PLACEMENT_DEPTH_FIRST);
        g_assert_cmpuint(set->policy.placement.n_excluded, ==, 2);
        topology_set_free(set);

        topology_set_free(parse(wrong, 2, "g:2:10: error: default: there is no topology 'zzz'\n"));
}

/* All kinds of files, all or nothing but the settings, which are right. */
static void test_load(void) {
        g_autofree char *root = g_dir_make_tmp("mdevgpu-XXXXXX", NULL), *dir = NULL, *file = NULL, *expected = NULL;
        const char *argv[] = { "rm", "-rf", "--", root, NULL };
        TopologySet *topologies = NULL;
        ProfileSet *profiles = NULL;
        Settings *settings;
        ConfigReport report = {};

        g_assert_cmpint(config_load_all(root, &profiles, &topologies, &settings, &report), ==, 0);
        g_assert_cmpuint(topologies->n_topologies, ==, 0);
        topology_set_free(topologies);
        settings_free(settings);
        profile_set_free(profiles);

        dir = g_build_filename(root, "etc/mdevgpud/topologies.d", NULL);
        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        file = g_build_filename(dir, "10.yaml", NULL);
        g_assert_true(g_file_set_contents(file, "version: 1\ntopologies: 1\n", -1, NULL));
        g_assert_cmpint(config_load_all(root, &profiles, &topologies, &settings, &report), ==, -EBADMSG);
        g_assert_nonnull(settings);
        settings_free(settings);
        expected = g_strdup_printf(
                "%s:2:13: error: topologies: must be a mapping of keys to values, not a single value\n", file);
        g_autofree char *printed = report_to_string(&report);
        g_assert_cmpstr(printed, ==, expected);
        config_report_done(&report);

        /* A root that is none is said once. */
        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
        g_assert_cmpint(config_load_all(root, &profiles, &topologies, &settings, &report), ==, -EBADMSG);
        g_assert_null(settings);
        g_assert_cmpuint(report.n_problems, ==, 1);
        config_report_done(&report);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/config/topology/whole", test_whole);
        g_test_add_func("/config/topology/values", test_values);
        g_test_add_func("/config/topology/files", test_files);
        g_test_add_func("/config/topology/load", test_load);
        return g_test_run();
}
