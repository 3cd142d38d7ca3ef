/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which files of which folders are read: precedence, masking, trust, and things that are no files.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

#define VALID "version: 1\nmatch: {}\ntypes: [{id: 1, name: a, max-instances: 1, framebuffer: 1MiB}]\n"

#define ETC "etc/mdevgpud/types.d/"
#define RUN "run/mdevgpud/types.d/"
#define LIB "usr/lib/mdevgpud/types.d/"

/* A root folder for each test. */
static char *root;

static char *below_root(const char *path) {
        return g_build_filename(root, path, NULL);
}

static void make_file(const char *path, const char *text) {
        g_autofree char *full = below_root(path), *dir = g_path_get_dirname(full);
        FILE *f;

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        f = fopen(full, "we");
        g_assert_nonnull(f);
        g_assert_cmpint(fputs(text, f), >=, 0);
        g_assert_cmpint(fclose(f), ==, 0);
}

static void make_link(const char *path, const char *target) {
        g_autofree char *full = below_root(path), *dir = g_path_get_dirname(full);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        g_assert_cmpint(symlink(target, full), ==, 0);
}

static void change_mode(const char *path, mode_t mode) {
        g_autofree char *full = below_root(path);

        g_assert_cmpint(g_chmod(full, mode), ==, 0);
}

static void remove_tree(const char *path) {
        const char *argv[] = { "rm", "-rf", "--", path, NULL };

        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

/* Paths in the report stand as if the root were "". */
static char *report_to_string(const ConfigReport *report) {
        _cleanup_(freep) char *buffer = NULL;
        size_t size = 0;
        FILE *stream;

        stream = open_memstream(&buffer, &size);
        g_assert_nonnull(stream);
        config_report_print(report, stream);
        g_assert_cmpint(fclose(stream), ==, 0);

        g_auto(GStrv) parts = g_strsplit(buffer, root, -1);
        return g_strjoinv("", parts);
}

/* files: the profiles that are in force, by path and in order, separated by blanks; NULL if there is to be no set. */
static void check_load(const char *files, const char *expected) {
        g_autoptr(GString) loaded = g_string_new(NULL);
        ConfigReport report = {};
        ProfileSet *set = NULL;
        int r;

        r = config_load(root, &set, &report);
        g_autofree char *printed = report_to_string(&report);
        g_assert_cmpstr(printed, ==, expected);
        g_assert_cmpint(r, ==, files ? 0 : -EBADMSG);

        for (size_t i = 0; set && i < set->n_profiles; i++)
                g_string_append_printf(loaded, "%s%s", i > 0 ? " " : "", set->profiles[i]->file + strlen(root));
        g_assert_cmpstr(set ? loaded->str : NULL, ==, files);

        profile_set_free(set);
        config_report_done(&report);
}

static void test_none(void) {
        check_load("", "");

        make_file("etc/mdevgpud/other", "");
        check_load("", "");
}

static void test_no_root(void) {
        g_autofree char *missing = below_root("missing");
        ConfigReport report = {};
        ProfileSet *set = NULL;

        g_assert_cmpint(config_load(missing, &set, &report), ==, -EBADMSG);
        g_assert_null(set);
        g_autofree char *printed = report_to_string(&report);
        g_assert_cmpstr(printed, ==, "/missing: error: is not a folder\n");
        config_report_done(&report);
}

static void test_precedence(void) {
        make_file(LIB "10-a.yaml", VALID);
        make_file(LIB "20-b.yaml", VALID);
        make_file(LIB "30-c.yaml", VALID);
        make_file(RUN "20-b.yaml", VALID);
        make_file(RUN "15-d.yaml", VALID);
        make_file(RUN "30-c.yaml", VALID);
        make_file(ETC "30-c.yaml", VALID);
        make_file(ETC "05-e.yaml", VALID);
        check_load("/" ETC "05-e.yaml /" LIB "10-a.yaml /" RUN "15-d.yaml /" RUN "20-b.yaml /" ETC "30-c.yaml", "");
}

/* What is hidden is not even looked at. */
static void test_hidden(void) {
        make_file(LIB "a.yaml", "wrong");
        make_file(ETC "a.yaml", VALID);
        check_load("/" ETC "a.yaml", "");
}

static void test_mask(void) {
        make_file(LIB "a.yaml", VALID);
        make_file(LIB "b.yaml", VALID);
        make_file(LIB "c.yaml", VALID);
        make_file(RUN "c.yaml", VALID);
        make_file(LIB "d.yaml", VALID);
        make_link(ETC "a.yaml", "/dev/null");
        make_link(RUN "b.yaml", "../../../../../../../../../../dev/null");
        make_file(ETC "c.yaml", "");
        check_load("/" LIB "d.yaml", "");
}

static void test_names(void) {
        make_file(ETC "a.yaml.example", "wrong");
        make_file(ETC "a.yaml~", "wrong");
        make_file(ETC ".a.yaml", "wrong");
        make_file(ETC ".yaml", "wrong");
        make_file(ETC "README", "wrong");
        make_file(ETC "b.yml", "wrong");
        make_file(ETC "c.yaml", VALID);
        check_load("/" ETC "c.yaml",
                   "/etc/mdevgpud/types.d: warning: 'b.yml' is ignored, as its name does not end in .yaml\n");

        make_file(ETC "d\n\x1b[2J\xff.yaml", VALID);
        check_load(NULL, "/etc/mdevgpud/types.d: warning: 'b.yml' is ignored, as its name does not end in .yaml\n"
                         "/etc/mdevgpud/types.d: error: 'd??[2J?.yaml' is not a printable name\n");
}

static void test_links(void) {
        make_file("elsewhere/a", VALID);
        make_link(ETC "a.yaml", "../../../elsewhere/a");
        check_load("/" ETC "a.yaml", "");

        make_link(ETC "b.yaml", "nowhere");
        make_link(ETC "c.yaml", "c.yaml");
        check_load(NULL, "/" ETC "b.yaml: error: cannot be opened: No such file or directory\n"
                         "/" ETC "c.yaml: error: cannot be opened: Too many levels of symbolic links\n");
}

static void test_special(void) {
        g_autofree char *fifo = below_root(ETC "a.yaml"), *dir = below_root(ETC "b.yaml");

        make_link(ETC "c.yaml", "/dev/zero");
        g_assert_cmpint(mkfifo(fifo, 0644), ==, 0);
        g_assert_cmpint(g_mkdir(dir, 0755), ==, 0);

        /* Whoever opens the pipe waits for its other end. */
        alarm(10);
        check_load(NULL, "/" ETC "a.yaml: error: is neither a regular file nor a link to one\n"
                         "/" ETC "b.yaml: error: is neither a regular file nor a link to one\n"
                         "/" ETC "c.yaml: error: is neither a regular file nor a link to one\n");
        alarm(0);
}

static void test_folder_is_file(void) {
        make_file("etc/mdevgpud/types.d", VALID);
        check_load(NULL, "/etc/mdevgpud/types.d: error: cannot be listed: Not a directory\n");
}

static void test_writable(void) {
        make_file(ETC "a.yaml", VALID);
        change_mode(ETC "a.yaml", 0664);
        check_load("/" ETC "a.yaml", "");

        change_mode(ETC "a.yaml", 0646);
        check_load(NULL, "/" ETC "a.yaml: error: can be written by everybody\n");

        change_mode(ETC "a.yaml", 0644);
        change_mode(ETC, 0777);
        check_load(NULL, "/etc/mdevgpud/types.d: error: the folder can be written by everybody\n");
        change_mode(ETC, 01777);
        check_load(NULL, "/etc/mdevgpud/types.d: error: the folder can be written by everybody\n");
}

/* Where a link leads counts, not the link, whose mode is always 0777. */
static void test_writable_link(void) {
        make_file("elsewhere", VALID);
        change_mode("elsewhere", 0666);
        make_link(ETC "a.yaml", "../../../elsewhere");
        check_load(NULL, "/" ETC "a.yaml: error: can be written by everybody\n");
}

static void test_foreign(void) {
        g_autofree char *file = below_root(ETC "a.yaml"), *dir = below_root(ETC);

        if (geteuid() != 0) {
                g_test_fail_printf("only root can give a file away, which this test has to");
                return;
        }

        make_file(ETC "a.yaml", VALID);
        g_assert_cmpint(chown(file, 4711, 0), ==, 0);
        check_load(NULL, "/" ETC "a.yaml: error: is owned by neither root nor the user who reads it\n");

        g_assert_cmpint(chown(file, 0, 4711), ==, 0);
        check_load("/" ETC "a.yaml", "");

        g_assert_cmpint(chown(dir, 4711, 0), ==, 0);
        check_load(NULL,
                   "/etc/mdevgpud/types.d: error: the folder is owned by neither root nor the user who reads it\n");
}

/* Every error of every file, by name and then by place; not one set of those that are right. */
static void test_all_errors(void) {
        make_file(ETC "a.yaml", "version: 1\nmatch: {}\ntypes: [{id: 1, name: a, max-instances: 1, framebuffer: 1}]\n");
        make_file(RUN "b.yaml", "version: 1\nstrict: [\n");
        make_file(LIB "c.yaml", VALID "strict: a\n");
        make_file(LIB "d.yaml", VALID);
        check_load(NULL, "/" ETC "a.yaml:3:57: error: framebuffer: '1' has no unit; use KiB, MiB, GiB or TiB\n"
                         "/" RUN "b.yaml:2:9: error: strict: must be a single value, not a list\n"
                         "/" RUN "b.yaml:3:1: error: did not find expected node content while parsing a flow node\n"
                         "/" LIB "c.yaml:4:9: error: strict: 'a' is not a boolean (true, yes, on, false, no, off)\n");
}

static void test_warnings(void) {
        make_file(ETC "a.yaml", "version: 1\ntypes: []\n");
        check_load("/" ETC "a.yaml", "/" ETC "a.yaml:1:1: warning: profile: without 'match' it applies to every GPU\n"
                                     "/" ETC "a.yaml:2:8: warning: types: is empty, this profile offers nothing\n");
}

/* A comment of that many bytes. */
static char *make_comment(size_t size) {
        char *text = g_malloc(size + 1);

        memset(text, '#', size);
        text[size] = '\0';
        return text;
}

static void test_file_size(void) {
        g_autofree char *fits = make_comment(CONFIG_FILE_SIZE_MAX), *larger = make_comment(CONFIG_FILE_SIZE_MAX + 1);

        make_file(ETC "a.yaml", fits);
        check_load("", "");
        make_file(ETC "a.yaml", larger);
        check_load(NULL, "/" ETC "a.yaml: error: is larger than 1024 KiB\n");
}

static void test_total_size(void) {
        g_autofree char *text = make_comment(CONFIG_FILE_SIZE_MAX);

        make_file(ETC "a.yaml", text);
        make_file(ETC "b.yaml", text);
        make_file(ETC "c.yaml", text);
        make_file(ETC "d.yaml", text);
        check_load("", "");
        make_file(ETC "e.yaml", "#");
        make_file(ETC "f.yaml", "wrong");
        check_load(NULL,
                   "/" ETC "e.yaml: error: all files up to this one are larger than 4096 KiB; those after it have not "
                   "been looked at\n");
}

static void make_files(const char *text, size_t from, size_t to) {
        for (size_t i = from; i < to; i++) {
                g_autofree char *path = g_strdup_printf(ETC "%03zu.yaml", i);

                make_file(path, text);
        }
}

static void test_number_of_files(void) {
        make_files("#\n", 0, CONFIG_FILES_MAX);
        check_load("", "");
        make_files("#\n", CONFIG_FILES_MAX, CONFIG_FILES_MAX + 1);
        check_load(NULL, "/etc/mdevgpud/types.d: error: there are more than 256 files\n");
}

static void test_number_of_errors(void) {
        g_autoptr(GString) text = g_string_new("version: 1\n");
        ConfigReport report = {};
        ProfileSet *set = NULL;

        for (size_t i = 0; i < 2 * CONFIG_FILE_ERRORS_MAX; i++)
                g_string_append_printf(text, "key%zu: 1\n", i);
        make_files(text->str, 0, 20);

        g_assert_cmpint(config_load(root, &set, &report), ==, -EBADMSG);
        g_assert_null(set);
        /* Ten files with a line each that says that there is more, and one line that ends it. */
        g_assert_cmpuint(report.n_problems, ==, 10 * (CONFIG_FILE_ERRORS_MAX + 1) + 1);
        g_assert_cmpstr(report.problems[49].message, ==, "unknown key 'key49'");
        g_assert_cmpuint(report.problems[49].line, ==, 51);
        g_assert_cmpstr(report.problems[50].message, ==,
                        "too many errors; the rest of the file has not been looked at");
        g_assert_cmpuint(report.problems[50].line, ==, 51);
        g_assert_cmpstr(report.problems[510].message, ==,
                        "too many errors; the files after this one have not been looked at");
        g_assert_cmpuint(report.problems[510].line, ==, 0);
        g_assert_true(g_str_has_suffix(report.problems[510].file, "/009.yaml"));
        config_report_done(&report);
}

/* A report may be added to; only what is new decides. */
static void test_report_is_added_to(void) {
        ConfigReport report = {};
        ProfileSet *set = NULL;

        g_assert_cmpint(config_report_add(&report, "x", 1, 1, PROBLEM_ERROR, "earlier"), ==, 0);
        make_file(ETC "a.yaml", VALID);
        g_assert_cmpint(config_load(root, &set, &report), ==, 0);
        g_assert_nonnull(set);
        g_assert_cmpuint(report.n_problems, ==, 1);
        profile_set_free(set);
        config_report_done(&report);
}

static char *read_source(const char *dir, const char *name) {
        g_autofree char *path = g_test_build_filename(G_TEST_DIST, dir, name, NULL);
        GError *error = NULL;
        char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, &error));
        g_assert_no_error(error);
        return text;
}

/* What people copy is right: each example that is installed, and the one of the manual page. */
static void test_examples(void) {
        g_autofree char *dir = g_test_build_filename(G_TEST_DIST, "etc", "types.d", NULL);
        g_autofree char *page = read_source("docs", "mdevgpud-types.d.5.scd");
        g_autoptr(GDir) examples = g_dir_open(dir, 0, NULL);
        const char *name;
        unsigned n = 0;

        g_assert_nonnull(examples);
        while ((name = g_dir_read_name(examples))) {
                g_autofree char *text = read_source("etc/types.d", name);

                g_assert_true(g_str_has_suffix(name, ".yaml.example"));
                make_file(ETC "a.yaml", text);
                check_load("/" ETC "a.yaml", "");
                n++;
        }
        g_assert_cmpuint(n, ==, 2);

        g_auto(GStrv) before = g_strsplit(page, "```\nversion: 1", 2);
        g_assert_cmpuint(g_strv_length(before), ==, 2);
        g_auto(GStrv) after = g_strsplit(before[1], "```", 2);
        g_autofree char *text = g_strconcat("version: 1", after[0], NULL);
        make_file(ETC "a.yaml", text);
        check_load("/" ETC "a.yaml", "");
}

static void run_in_root(gconstpointer data) {
        void (*test)(void) = *(void (*const *)(void))data;

        root = g_dir_make_tmp("test-config-XXXXXX", NULL);
        g_assert_nonnull(root);
        test();
        remove_tree(root);
        g_clear_pointer(&root, g_free);
}

int main(int argc, char **argv) {
        static const struct {
                void (*test)(void);
                const char *path;
        } tests[] = {
                { test_none, "/config-files/none" },
                { test_no_root, "/config-files/no-root" },
                { test_precedence, "/config-files/precedence" },
                { test_hidden, "/config-files/hidden" },
                { test_mask, "/config-files/mask" },
                { test_names, "/config-files/names" },
                { test_links, "/config-files/links" },
                { test_special, "/config-files/special" },
                { test_folder_is_file, "/config-files/folder-is-file" },
                { test_writable, "/config-files/writable" },
                { test_writable_link, "/config-files/writable-link" },
                { test_foreign, "/config-files/foreign" },
                { test_all_errors, "/config-files/all-errors" },
                { test_warnings, "/config-files/warnings" },
                { test_file_size, "/config-files/file-size" },
                { test_total_size, "/config-files/total-size" },
                { test_number_of_files, "/config-files/number-of-files" },
                { test_number_of_errors, "/config-files/number-of-errors" },
                { test_examples, "/config-files/examples" },
                { test_report_is_added_to, "/config-files/report-is-added-to" },
        };

        g_test_init(&argc, &argv, NULL);
        umask(022);

        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add_data_func(tests[i].path, &tests[i].test, run_in_root);

        return g_test_run();
}
