/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rules: what mdevgpud.yaml may say, with the exact place and sentence for everything that is wrong, and what follows from
 * it for whom.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include "core/backend.h"

#include <glib.h>

#define GIB (UINT64_C(1) << 30)
#define ALICE 1000U
#define BOB 1001U
#define CAROL 1002U
#define VMS 4242U
#define LAB 4243U

static char *root; /* with users and groups of its own */

typedef struct Case {
        const char *text;
        const char *report; /* without the file's name; ROOT stands for that */
} Case;

static RuleSet *parse(const char *text, const char *report_text) {
        g_autoptr(GString) said = g_string_new(NULL), wanted = g_string_new(report_text);
        const char *expected;
        Settings *settings = settings_new();
        ConfigReport report = {};
        RuleSet *set;
        int r;

        (void)g_string_replace(wanted, "ROOT", root, 0);
        expected = wanted->str;
        settings->root = root;
        r = config_parse_settings("f", text, strlen(text), settings, &report);
        for (size_t i = 0; i < report.n_problems; i++)
                g_string_append_printf(said, "%u:%u: %s\n", report.problems[i].line, report.problems[i].column,
                                       report.problems[i].message);
        g_assert_cmpstr(said->str, ==, expected);
        g_assert_cmpint(r, ==, expected[0] != '\0' ? -EBADMSG : 0);
        config_report_done(&report);
        set = TAKE(settings->rules);
        settings_free(settings);
        return set;
}

static void test_values(void) {
        static const Case cases[] = {
                { "", "" },
                { "version: 1\n", "" },
                { "limits: []\n", "1:1: file: the required key 'version' is missing\n" },
                { "version: 1\nlimit: []\n", "2:1: unknown key 'limit'; did you mean 'limits'?\n" },
                { "version: 1\nlimits: {}\n", "2:9: limits: must be a list, not a mapping of keys to values\n" },
                { "version: 1\nlimits: [{user: alice, vgpus: 0}, {group: 0, framebuffer: 1GiB}]\n", "" },
                { "version: 1\nlimits: [{user: carol, vgpus: 1}]\n",
                  "2:17: user: 'carol' is not in ROOT/etc/passwd; write the number of one that comes from "
                  "elsewhere\n" },
                { "version: 1\nlimits: [{user: 4294967295, vgpus: 1}]\n",
                  "2:17: user: '4294967295' is not in ROOT/etc/passwd; write the number of one that comes from "
                  "elsewhere\n" },
                { "version: 1\nlimits: [{user: 1, group: 1, vgpus: 1}]\n",
                  "2:27: group: a rule is for a user or for a group, not for both\n" },
                { "version: 1\nlimits: [{user: alice}]\n",
                  "2:10: limit: one of the keys 'vgpus' and 'framebuffer' is required\n" },
                { "version: 1\nlimits: [{vgpus: -1}, {framebuffer: 3}]\n",
                  "2:18: vgpus: '-1' is not a whole number (decimal without leading zeros, or hexadecimal as in 0x1f)\n"
                  "2:37: framebuffer: '3' has no unit; use KiB, MiB, GiB or TiB\n" },
                { "version: 1\nlimits:\n- {user: alice, vgpus: 1}\n- {user: 1000, vgpus: 2}\n- {vgpus: 1}\n- {vgpus: "
                  "1}\n",
                  "4:3: limit: line 3 has one for the same user already\n"
                  "6:3: limit: line 5 has one for the same users, which is everybody already\n" },
                { "version: 1\npolicy: [{user: alice}]\n",
                  "2:10: rule: one of the keys 'types' and 'gpus' is required\n" },
                { "version: 1\npolicy: [{types: nvidia-1}]\n", "2:18: types: must be a list, not a single value\n" },
                { "version: 1\npolicy: [{types: [\"\"]}]\n",
                  "2:19: types: '' is not a pattern of at most 255 bytes\n" },
                { "version: 1\npolicy: [{group: vms, types: []}, {gpus: [\"0000:41:*\"]}]\n", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                rule_set_free(parse(cases[i].text, cases[i].report));
}

/* The first place that has it counts, whole; a link to /dev/null is a file that says nothing. */
static void test_places(void) {
        static const char *const places[] = { "usr/lib/mdevgpud", "run/mdevgpud", "etc/mdevgpud" };
        ConfigReport report = {};
        g_autofree char *file = NULL;
        Settings *settings;

        for (size_t i = 0; i <= ELEMENTSOF(places); i++) {
                g_assert_cmpint(config_load_settings(root, &settings, &report), ==, 0);
                g_assert_cmpuint(settings->rules ? settings->rules->n_limits : 0, ==, i);
                settings_free(settings);
                if (i == ELEMENTSOF(places))
                        break;

                g_autofree char *dir = g_build_filename(root, places[i], NULL);
                g_autoptr(GString) text = g_string_new("version: 1\nlimits:\n");

                for (size_t k = 0; k <= i; k++)
                        g_string_append_printf(text, "- {user: %zu, vgpus: 1}\n", k);
                g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
                g_free(file);
                file = g_build_filename(dir, "mdevgpud.yaml", NULL);
                g_assert_true(g_file_set_contents(file, text->str, -1, NULL));
        }

        g_assert_cmpint(unlink(file), ==, 0);
        g_assert_cmpint(symlink("/dev/null", file), ==, 0);
        g_assert_cmpint(config_load_settings(root, &settings, &report), ==, 0);
        g_assert_null(settings->rules);
        settings_free(settings);
        g_assert_cmpuint(report.n_problems, ==, 0);
}

/* Who has what, as "owner's number: its group: GiB"; 0 GiB stands for an unknown size. */
typedef struct Has {
        uid_t uid;
        gid_t group;
        unsigned gib;
} Has;

static const Has has[] = { { ALICE, VMS, 4 }, { ALICE, LAB, 4 }, { BOB, VMS, 8 }, { 0, VMS, 16 }, { CAROL, LAB, 0 } };

static int judge(const RuleSet *set, const Caller *caller, const char *type, unsigned n, unsigned gib, Error *error) {
        Owner owners[ELEMENTSOF(has)];
        RuleHolding holdings[ELEMENTSOF(has)];
        RuleDemand demands[8];

        for (size_t i = 0; i < ELEMENTSOF(has); i++) {
                owners[i] = (Owner){ .known = true, .uid = has[i].uid, .groups = { has[i].group }, .n_groups = 1 };
                holdings[i] = (RuleHolding){ &owners[i], has[i].gib > 0 ? has[i].gib * GIB : UNKNOWN_U64 };
        }
        for (unsigned i = 0; i < n; i++)
                demands[i] = (RuleDemand){ .gpu = "0000:41:00.0",
                                           .type_id = type,
                                           .type_name = "Small one",
                                           .framebuffer = gib > 0 ? gib * GIB : UNKNOWN_U64 };

        return rules_judge(set, caller, holdings, ELEMENTSOF(has), demands, n, error);
}

/* Asks for n vGPUs of type t-1, as a user in one group. */
static void check(const char *rules, uid_t uid, gid_t group, unsigned n, unsigned gib, int expected, unsigned line) {
        g_autofree char *text = g_strdup_printf("version: 1\n%s", rules), *place = g_strdup_printf("f:%u", line);
        const Caller caller = { .uid = uid, .groups = &group, .n_groups = 1, .groups_known = true };
        RuleSet *set = parse(text, "");
        Error error = ERROR_NULL;
        int r = judge(set, &caller, "t-1", n, gib, &error);

        if (r != expected || (r < 0 && !strstr(error.message, place)))
                g_error("%s: user %u, %u of %u GiB: %i, %s", rules, uid, n, gib, r, error.message);
        rule_set_free(set);
}

static void test_limits(void) {
        const int over = -ERROR_LIMIT_EXCEEDED;

        /* What is there counts, and what is asked for counts together. */
        check("limits: [{user: alice, vgpus: 4}]\n", ALICE, VMS, 2, 4, 0, 0);
        check("limits: [{user: alice, vgpus: 4}]\n", ALICE, VMS, 3, 4, over, 2);
        check("limits: [{user: alice, vgpus: 1}]\n", ALICE, VMS, 0, 0, 0,
              0); /* over it already, and asks for nothing */
        check("limits: [{user: alice, vgpus: 1}]\n", BOB, VMS, 8, 4, 0, 0);
        check("limits: [{user: alice, framebuffer: 12GiB}]\n", ALICE, VMS, 1, 4, 0, 0);
        check("limits: [{user: alice, framebuffer: 12GiB}]\n", ALICE, VMS, 2, 4, over, 2);
        check("limits: [{user: alice, framebuffer: 12GiB}]\n", ALICE, VMS, 1, 0, over, 2);
        check("limits: [{user: alice, vgpus: 9}]\n", ALICE, VMS, 1, 0, 0, 0);
        /* What is there and of no known size may be more than all that is allowed. */
        check("limits: [{framebuffer: 12GiB}]\n", CAROL, LAB, 1, 1, over, 2);
        check("limits: [{vgpus: 2}]\n", CAROL, LAB, 1, 1, 0, 0);
        /* Everybody's is of each, and not of who has one of his own. */
        check("limits: [{vgpus: 2}]\n", BOB, VMS, 1, 1, 0, 0);
        check("limits: [{vgpus: 2}]\n", BOB, VMS, 2, 1, over, 2);
        check("limits:\n- {vgpus: 1}\n- {user: 1001, vgpus: 3}\n", BOB, VMS, 2, 1, 0, 0);
        check("limits:\n- {vgpus: 1}\n- {user: 1001, vgpus: 3}\n", BOB, VMS, 3, 1, over, 4);
        /* A group's is of all in it, besides their own; root is nobody's. */
        check("limits: [{group: vms, vgpus: 3}]\n", ALICE, VMS, 1, 1, 0, 0);
        check("limits: [{group: vms, vgpus: 3}]\n", ALICE, VMS, 2, 1, over, 2);
        check("limits: [{group: vms, vgpus: 3}]\n", ALICE, LAB, 8, 1, 0, 0);
        check("limits: [{group: vms, framebuffer: 16GiB}]\n", BOB, VMS, 1, 4, 0, 0);
        check("limits: [{group: vms, framebuffer: 16GiB}]\n", BOB, VMS, 1, 5, over, 2);
        check("limits:\n- {group: vms, vgpus: 9}\n- {user: bob, vgpus: 1}\n", BOB, VMS, 1, 1, over, 4);
        /* Root is bound by what names him. */
        check("limits: [{vgpus: 0}, {group: vms, vgpus: 0}]\n", 0, VMS, 8, 9, 0, 0);
        check("limits: [{user: root, vgpus: 2}]\n", 0, VMS, 1, 9, 0, 0);
        check("limits: [{user: root, vgpus: 2}]\n", 0, VMS, 2, 9, over, 2);
}

static void test_uses(void) {
        check("policy: [{types: [t-2]}]\n", ALICE, VMS, 1, 1, -EACCES, 2);
        check("policy: [{types: [t-2]}]\n", ALICE, VMS, 0, 1, 0, 0);
        check("policy: [{types: [t-2]}]\n", 0, VMS, 1, 1, 0, 0);
        check("policy: [{user: root, types: [t-2]}]\n", 0, VMS, 1, 1, -EACCES, 2);
        check("policy: [{types: [\"Small*\"]}]\n", ALICE, VMS, 1, 1, 0, 0);
        check("policy: [{types: [\"t-?\"], gpus: [\"0000:4?:*\"]}]\n", ALICE, VMS, 1, 1, 0, 0);
        check("policy: [{types: [t-1], gpus: [\"0000:42:*\"]}]\n", ALICE, VMS, 1, 1, -EACCES, 2);
        check("policy: [{types: []}]\n", ALICE, VMS, 1, 1, -EACCES, 2);
        /* For others they mean nothing; of several one is enough. */
        check("policy: [{group: lab, types: [t-2]}]\n", ALICE, VMS, 1, 1, 0, 0);
        check("policy:\n- {group: vms, types: [t-2]}\n- {user: alice, gpus: [\"*\"]}\n", ALICE, VMS, 1, 1, 0, 0);
        check("policy:\n- {user: bob, types: []}\n- {group: vms, types: [t-2]}\n- {types: [t-3]}\n", ALICE, VMS, 1, 1,
              -EACCES, 4);
}

/* Who may be in any group is not let through where it matters. */
static void test_unknown_groups(void) {
        const Caller caller = { .uid = ALICE }, admin = { .uid = 0 };
        RuleSet *of_group = parse("version: 1\nlimits:\n- {group: vms, vgpus: 9}\n", "");
        RuleSet *of_user = parse("version: 1\nlimits:\n- {user: alice, vgpus: 9}\n", "");
        Error error = ERROR_NULL;

        g_assert_cmpint(judge(of_group, &caller, "t-1", 1, 1, &error), ==, -EACCES);
        g_assert_nonnull(strstr(error.message, "f:3"));
        g_assert_cmpint(judge(of_group, &admin, "t-1", 1, 1, &error), ==, 0);
        g_assert_cmpint(judge(of_user, &caller, "t-1", 1, 1, &error), ==, 0);
        g_assert_cmpint(judge(NULL, &caller, "t-1", 1, 1, &error), ==, 0);
        rule_set_free(of_group);
        rule_set_free(of_user);
}

static void test_owner(void) {
        static const char *const bad[] = { "x",   "1:",         "1:2,",          "1,2", "-1",
                                           "1:x", "4294967295", "1:99999999999", " 1",  ":1" };
        RuleSet *set = parse("version: 1\nlimits: [{group: 77, vgpus: 1}]\n", "");
        char text[OWNER_TEXT_SIZE], again[OWNER_TEXT_SIZE];
        gid_t groups[100];
        Caller caller = { .uid = 4294967294U, .groups = groups, .n_groups = G_N_ELEMENTS(groups) };
        Owner owner, back;

        /* More groups than are remembered, those that count among the last. */
        for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++)
                groups[i] = i == 99 ? 77 : 4294967000U + i;
        owner = caller_get_owner(&caller, set);
        g_assert_cmpuint(owner.n_groups, ==, OWNER_GROUPS_MAX);
        g_assert_cmpuint(owner.groups[0], ==, 77);
        owner_format(&owner, text);
        g_assert_cmpint(owner_parse(text, &back), ==, 0);
        g_assert_true(owner_equal(&owner, &back));
        owner_format(&back, again);
        g_assert_cmpstr(text, ==, again);

        g_assert_cmpint(owner_parse("", &back), ==, 0);
        g_assert_false(back.known);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                g_assert_cmpint(owner_parse(bad[i], &back), ==, -EINVAL);
        rule_set_free(set);
}

int main(int argc, char **argv) {
        g_autofree char *etc = NULL, *passwd = NULL, *group = NULL;
        const char *clean[] = { "rm", "-rf", "--", NULL, NULL };
        int r;

        g_test_init(&argc, &argv, NULL);
        root = g_dir_make_tmp("mdevgpu-XXXXXX", NULL);
        etc = g_build_filename(root, "etc", NULL);
        passwd = g_build_filename(etc, "passwd", NULL);
        group = g_build_filename(etc, "group", NULL);
        if (g_mkdir_with_parents(etc, 0755) < 0 ||
            !g_file_set_contents(passwd, "root:x:0:0::/:\nalice:x:1000:1::/:\nbob:x:1001:1::/:\n", -1, NULL) ||
            !g_file_set_contents(group, "root:x:0:\nvms:x:4242:\nlab:x:4243:alice\n", -1, NULL))
                return 1;

        g_test_add_func("/rules/values", test_values);
        g_test_add_func("/rules/places", test_places);
        g_test_add_func("/rules/limits", test_limits);
        g_test_add_func("/rules/uses", test_uses);
        g_test_add_func("/rules/unknown-groups", test_unknown_groups);
        g_test_add_func("/rules/owner", test_owner);
        r = g_test_run();

        clean[3] = root;
        (void)g_spawn_sync(NULL, (char **)clean, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
        g_free(root);
        return r;
}
