/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Profiles that somebody wrote to do harm: 1 MiB of each is refused within 50 ms and 16 MiB.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include <glib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define VALID "version: 1\nmatch: {}\ntypes: [{id: 1, name: a, max-instances: 1, framebuffer: 1MiB}]\n"

/* Sanitizers take time, and address space without end. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SANITIZED)
#define MILLISECONDS_MAX (50.0 * 20)
#define LIMITS_MEMORY false
#else
#define MILLISECONDS_MAX 50.0
#define LIMITS_MEMORY true
#endif

#define MEMORY_MAX (16U * 1024U * 1024U)

typedef struct Hostile {
        const char *name;
        const char *begin;
        const char *repeat; /* until the file is full; $n is how often it was before, $b as many blanks */
        const char *end;
        bool harmless; /* a profile, or nothing, after all */
} Hostile;

static const Hostile hostile[] = {
        /* Nesting, in which libyaml 0.2.5 is quadratic: 80 kB of the first take it 11 seconds. */
        { "lists", "", "[", "" },
        { "mappings", "", "{", "" },
        { "lists-and-mappings", "", "[{", "" },
        { "values", "", "{a: ", "" },
        { "lists-by-lines", "", "[\n", "" },
        { "lists-behind-comments", "", "[ # ]\n", "" },
        { "lists-behind-quotes", "", "[ ']', ", "" },
        { "lists-in-key", "version: 1\nmatch: {", "[", "" },
        { "lists-in-type", "version: 1\ntypes:\n- id: 1\n  name: ", "[a, ", "" },
        { "dashes", "", "- ", "" },
        { "question-marks", "", "? ", "" },
        { "indented-keys", "", "$ba:\n", "" },
        { "indented-dashes", "", "$b-\n", "" },
        /* Width. */
        { "wide-list", "[", "a,", "]" },
        { "wide-list-of-lists", "[", "[],", "]" },
        { "wide-list-of-deep-lists", "[", "[[[[[[[[[[[[[]]]]]]]]]]]]],", "]" },
        { "wide-mapping", "{", "a,", "}" },
        { "keys", "", "key$n: 1\n", "" },
        { "same-key", "", "version: 1\n", "" },
        { "empty-keys", "", "?\n", "" },
        { "types", "version: 1\ntypes:\n", "- x\n", "" },
        { "types-empty", "version: 1\ntypes:\n", "- {}\n", "" },
        { "types-valid", "version: 1\ntypes:\n", "- {id: 1$n, name: a$n, max-instances: 1, framebuffer: 1MiB}\n", "" },
        { "types-same-id", "version: 1\ntypes:\n", "- {id: 1, name: a, max-instances: 1, framebuffer: 1MiB}\n", "" },
        { "devices", "version: 1\nmatch: {vendor: 0x1, device: [", "0x1,", "]}\n" },
        { "subsystems", "version: 1\nmatch: {subsystem: [", "1:1,", "]}\n" },
        { "unknown-value", "version: 1\nx: [", "1,", "]\n" },
        /* What has no place in configuration. */
        { "tag-directives", "", "%TAG !x$n! a\n", "" },
        { "tag-directives-in-comment", "#\n", "%TAG !x$n! a\n", "" },
        { "version-directive", "%YAML ", "1", "" },
        { "anchors", "version: 1\nmatch:\n", "- &a$n b\n", "" },
        { "aliases", "version: 1\nmatch:\n", "- *a\n", "" },
        { "billion-laughs", "a: &a [a,a,a,a,a,a,a,a,a]\n", "b$n: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", "" },
        { "documents", "", "---\n", "" },
        { "documents-valid", "", VALID "---\n", "" },
        { "anchor", "&", "a", "" },
        { "tag", "!", "a", "" },
        { "tag-escapes", "!<", "%41", "" },
        /* Length. */
        { "plain", "", "a", "" },
        { "plain-key", "", "a", ": 1" },
        { "plain-lines", "", " a\n", "" },
        { "quoted", "\"", "a", "\"" },
        { "quoted-without-end", "\"", "a", "" },
        { "quoted-key", "\"", "a", "\": 1" },
        { "quoted-escapes", "\"", "\\u0041", "\"" },
        { "quoted-lines", "\"", " \n", "\"" },
        { "single-quoted", "'", "''", "'" },
        { "name", "version: 1\ntypes: [{name: ", "a", "}]" },
        { "number", "version: 1\ntypes: [{id: ", "1", "}]" },
        { "hexadecimal", "version: 1\ntypes: [{vdev-id: 0x", "1", "}]" },
        { "size", "version: 1\ntypes: [{bar1: ", "1", "MiB}]" },
        { "size-of-blanks", "version: 1\ntypes: [{bar1: \"1", " ", "MiB\"}]" },
        { "address", "version: 1\nmatch: {address: \"", "*", "\"}" },
        { "literal", "version: |\n", "  a\n", "" },
        { "literal-empty", "version: |\n", "\n", "" },
        { "folded", "version: >\n", "  a\n", "" },
        { "colons", "", ": ", "" },
        { "colons-together", "", ":", "" },
        { "commas", "[", ",", "" },
        { "closing", "", "]", "" },
        { "tabs", "a:\n", "\t", "a" },
        { "carriage-returns", "", "\r", "" },
        { "control", "", "\x01", "" },
        { "not-utf8", "", "\xff", "" },
        { "unicode", "", "\xf0\x9f\x98\x80", "" },
        { "comments", "", "#\n", "", .harmless = true },
        { "comment", "", "#", "", .harmless = true },
        { "blanks", "", " ", "", .harmless = true },
        { "lines", "", "\n", "", .harmless = true },
        { "profile-and-comment", VALID "#", "a", "", .harmless = true },
};

/* Exactly as much as a file may have. */
static char *make_text(const Hostile *h) {
        size_t n_end = strlen(h->end);
        g_autoptr(GString) text = g_string_new(h->begin);
        bool constant = !strchr(h->repeat, '$');

        for (unsigned i = 0; text->len < CONFIG_FILE_SIZE_MAX; i++) {
                if (constant)
                        g_string_append(text, h->repeat);
                else {
                        g_autofree char *number = g_strdup_printf("%u", i), *blanks = g_strnfill(i, ' ');
                        g_autoptr(GString) piece = g_string_new(h->repeat);

                        g_string_replace(piece, "$n", number, 0);
                        g_string_replace(piece, "$b", blanks, 0);
                        g_string_append(text, piece->str);
                }
        }

        g_string_truncate(text, CONFIG_FILE_SIZE_MAX - n_end);
        g_string_append(text, h->end);
        g_assert_cmpuint(text->len, ==, CONFIG_FILE_SIZE_MAX);
        return g_strndup(text->str, text->len);
}

static double cpu_milliseconds(void) {
        struct timespec t;

        g_assert_cmpint(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), ==, 0);
        return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* How much address space this process takes up. */
static rlim_t address_space(void) {
        unsigned long pages = 0;
        FILE *f = fopen("/proc/self/statm", "re");

        g_assert_nonnull(f);
        g_assert_cmpint(fscanf(f, "%lu", &pages), ==, 1);
        g_assert_cmpint(fclose(f), ==, 0);
        return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Where memory is limited, in a process of its own: -ENOMEM is another answer than -EBADMSG. */
static int refuse_within_limits(const Hostile *h, const char *text) {
        double begin, end;
        size_t n_problems;
        int r;

        if (LIMITS_MEMORY) {
                struct rlimit limit = {};

                limit.rlim_cur = limit.rlim_max = address_space() + MEMORY_MAX;

                g_assert_cmpint(setrlimit(RLIMIT_AS, &limit), ==, 0);
        }

        ConfigReport report = {};
        Profile *profile = NULL;

        begin = cpu_milliseconds();
        r = config_parse_profile(h->name, text, CONFIG_FILE_SIZE_MAX, &profile, &report);
        profile_free(profile);
        end = cpu_milliseconds();

        if (report.n_problems > 0)
                printf("# %s:%u:%u: %s\n", h->name, report.problems[0].line, report.problems[0].column,
                       report.problems[0].message);
        printf("# %s: %d, %.1f ms\n", h->name, r, end - begin);
        (void)fflush(stdout);

        n_problems = report.n_problems;
        config_report_done(&report);
        if (r != (h->harmless ? 0 : -EBADMSG) || n_problems > CONFIG_FILE_ERRORS_MAX + CONFIG_FILE_WARNINGS_MAX + 2)
                return 1;

        return end - begin > MILLISECONDS_MAX ? 2 : 0;
}

static void test_hostile(gconstpointer data) {
        const Hostile *h = data;
        g_autofree char *text = make_text(h);
        int status = 0;
        pid_t pid;

        if (!LIMITS_MEMORY) {
                /* Here a fork takes a second. */
                g_assert_cmpint(refuse_within_limits(h, text), ==, 0);
                return;
        }

        (void)fflush(stdout);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                alarm(30);
                _exit(refuse_within_limits(h, text));
        }

        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

/* Characters that an editor does not show as what they are to YAML. */
static void test_characters(void) {
        static const struct {
                const char *text;
                size_t size;
                uint32_t line;
                uint32_t column;
                const char *message;
        } cases[] = {
#define CASE(text, line, column, message) { text, sizeof(text) - 1, line, column, message }
                CASE("a: b\0c", 1, 5, "a NUL byte, which a text does not hold"),
                CASE("#\xc3\xa9\n# \xff", 2, 3, "the text is not valid UTF-8 here"),
                CASE("#\xc3\xa9\xc3", 1, 3, "the text is not valid UTF-8 here"),
                CASE("#\xc0\x80", 1, 2, "the text is not valid UTF-8 here"),
                CASE("#\xe0\x80\xaf", 1, 2, "the text is not valid UTF-8 here"),
                CASE("#\xf0\x80\x80\xaf", 1, 2, "the text is not valid UTF-8 here"),
                CASE("#\xed\xa0\x80", 1, 2, "the text is not valid UTF-8 here"),
                CASE("#\xf4\x90\x80\x80", 1, 2, "the text is not valid UTF-8 here"),
                CASE("# a\rb", 1, 4, "a line end that is neither LF nor CR LF"),
                CASE("# a\xc2\x85"
                     "b",
                     1, 4, "a line end that is neither LF nor CR LF"),
                CASE("# a\xe2\x80\xa8"
                     "b",
                     1, 4, "a line end that is neither LF nor CR LF"),
                CASE("# a\xe2\x80\xa9"
                     "b",
                     1, 4, "a line end that is neither LF nor CR LF"),
                CASE("# \x1b[2J", 1, 3, "a control character"),
                CASE("# \x7f", 1, 3, "a control character"),
                CASE("# \xc2\x9b", 1, 3, "a control character"),
                CASE("\n\xef\xbb\xbf", 2, 1, "a control character"),
                CASE("# \xef\xbf\xbf", 1, 3, "a control character"),
                CASE("%YAML 1.1\n---\n", 1, 1, "a line that begins with '%'; YAML directives are not accepted"),
                CASE("\xff\xfe"
                     "a\0",
                     1, 1, "the text is not valid UTF-8 here"), /* UTF-16 */
#undef CASE
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                /* Nothing behind it, so that a sanitizer sees who reads on. */
                g_autofree char *text = g_memdup2(cases[i].text, cases[i].size);
                ConfigReport report = {};
                Profile *profile = NULL;

                g_assert_cmpint(config_parse_profile("f", text, cases[i].size, &profile, &report), ==, -EBADMSG);
                g_assert_null(profile);
                g_assert_cmpuint(report.n_problems, ==, 1);
                g_assert_cmpstr(report.problems[0].message, ==, cases[i].message);
                g_assert_cmpuint(report.problems[0].line, ==, cases[i].line);
                g_assert_cmpuint(report.problems[0].column, ==, cases[i].column);
                config_report_done(&report);
        }
}

/* The deepest that is read, and one more. */
static void test_depth(void) {
        for (size_t depth = 15; depth <= 16; depth++) {
                g_autofree char *open = g_strnfill(depth, '['), *close = g_strnfill(depth, ']');
                g_autofree char *text = g_strdup_printf(VALID "x: %s%s\n", open, close);
                ConfigReport report = {};
                Profile *profile = NULL;

                g_assert_cmpint(config_parse_profile("f", text, strlen(text), &profile, &report), ==, -EBADMSG);
                g_assert_cmpuint(report.n_problems, ==, depth == 15 ? 1 : 2);
                g_assert_cmpstr(report.problems[0].message, ==, "unknown key 'x'");
                if (depth == 16) {
                        g_assert_cmpstr(report.problems[1].message, ==,
                                        "nested more than 16 deep; the rest of the file has not been looked at");
                        g_assert_cmpuint(report.problems[1].line, ==, 4);
                        g_assert_cmpuint(report.problems[1].column, ==, 19);
                }
                config_report_done(&report);
        }
}

/* n values are not too many, one more is. */
static void check_number(const char *before, const char *value, size_t n, const char *after, const char *message) {
        for (size_t more = 0; more <= 1; more++) {
                g_autoptr(GString) text = g_string_new(before);
                ConfigReport report = {};
                Profile *profile = NULL;
                bool found = false;

                for (size_t i = 0; i < n + more; i++)
                        g_string_append(text, value);
                g_string_append(text, after);

                (void)config_parse_profile("f", text->str, text->len, &profile, &report);
                for (size_t i = 0; i < report.n_problems; i++)
                        found = found || streq(report.problems[i].message, message);
                g_assert_true(found == (more == 1));
                profile_free(profile);
                config_report_done(&report);
        }
}

static void test_numbers(void) {
        check_number("version: 1\nmatch: {vendor: 0x1, device: [", "0x1,", 256, "]}\ntypes: []\n",
                     "device: more than 256; the rest of the file has not been looked at");
        check_number("version: 1\nmatch: {subsystem: [", "1:1,", 256, "]}\ntypes: []\n",
                     "subsystem: more than 256; the rest of the file has not been looked at");
        /* The list, its end, the key before it, the mapping and its end count too. */
        check_number("x: [", "1,", 65536 - 5, "]\n",
                     "more than 65536 items; the rest of the file has not been looked at");
}

static void test_number_of_types(void) {
        g_autoptr(GString) text = g_string_new("version: 1\nmatch: {}\ntypes:\n");
        ConfigReport report = {};
        Profile *profile = NULL;

        for (unsigned i = 1; i <= PROFILE_TYPES_MAX; i++)
                g_string_append_printf(text, "- {id: %u, name: t%u, max-instances: 1, framebuffer: 1MiB}\n", i, i);
        g_assert_cmpint(config_parse_profile("f", text->str, text->len, &profile, &report), ==, 0);
        g_assert_cmpuint(profile->n_types, ==, PROFILE_TYPES_MAX);
        profile = profile_free(profile);

        g_string_append(text, "- {id: 999, name: t, max-instances: 1, framebuffer: 1MiB}\n- wrong\n");
        g_assert_cmpint(config_parse_profile("f", text->str, text->len, &profile, &report), ==, -EBADMSG);
        g_assert_null(profile);
        g_assert_cmpuint(report.n_problems, ==, 1);
        g_assert_cmpstr(report.problems[0].message, ==,
                        "more than 256 types; the rest of the file has not been looked at");
        g_assert_cmpuint(report.problems[0].line, ==, 260);
        config_report_done(&report);
}

/* Warnings alone never make a file wrong. */
static void test_number_of_warnings(void) {
        g_autoptr(GString) text = g_string_new("version: 1\nmatch: {}\ntypes:\n");
        ConfigReport report = {};
        Profile *profile = NULL;

        for (unsigned i = 1; i <= PROFILE_TYPES_MAX; i++)
                g_string_append_printf(text, "- {id: %u, name: t, max-instances: 1, framebuffer: 1MiB}\n", i);
        g_assert_cmpint(config_parse_profile("f", text->str, text->len, &profile, &report), ==, 0);
        g_assert_nonnull(profile);
        g_assert_cmpuint(report.n_errors, ==, 0);
        g_assert_cmpuint(report.n_problems, ==, CONFIG_FILE_WARNINGS_MAX + 1);
        g_assert_cmpstr(report.problems[CONFIG_FILE_WARNINGS_MAX].message, ==,
                        "further warnings about this file are left out");
        profile_free(profile);
        config_report_done(&report);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
                g_autofree char *path = g_strconcat("/config-hostile/text/", hostile[i].name, NULL);

                g_test_add_data_func(path, &hostile[i], test_hostile);
        }
        g_test_add_func("/config-hostile/characters", test_characters);
        g_test_add_func("/config-hostile/depth", test_depth);
        g_test_add_func("/config-hostile/numbers", test_numbers);
        g_test_add_func("/config-hostile/number-of-types", test_number_of_types);
        g_test_add_func("/config-hostile/number-of-warnings", test_number_of_warnings);

        return g_test_run();
}
