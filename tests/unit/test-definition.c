/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Definitions: the format that mdevctl writes, to the byte; what it may have been made into by others; every hostile
 * text, each refused with a sentence and nothing taken of it.
 */

#include "core/definition.h"
#include "util/text.h"

#include <glib.h>

/* As mdevctl 1.2.0 on Debian 12 writes them. */
static const struct {
        const char *text, *type_id;
        bool autostart;
        const char *attributes[8]; /* name, value, … */
} golden[] = {
        {
                .text = "{\n"
                        "  \"mdev_type\": \"nvidia-530\",\n"
                        "  \"start\": \"manual\",\n"
                        "  \"attrs\": []\n"
                        "}",
                .type_id = "nvidia-530",
        },
        {
                .text = "{\n"
                        "  \"mdev_type\": \"i915-GVTg_V5_4\",\n"
                        "  \"start\": \"auto\",\n"
                        "  \"attrs\": [\n"
                        "    {\n"
                        "      \"assign_adapter\": \"5\"\n"
                        "    },\n"
                        "    {\n"
                        "      \"assign_adapter\": \"6\"\n"
                        "    },\n"
                        "    {\n"
                        "      \"nvidia/vgpu_params\": \"a=\\\"b\\\", c=\\\\d/é\"\n"
                        "    }\n"
                        "  ]\n"
                        "}",
                .type_id = "i915-GVTg_V5_4",
                .autostart = true,
                .attributes = { "assign_adapter", "5", "assign_adapter", "6", "nvidia/vgpu_params",
                                "a=\"b\", c=\\d/é" },
        },
};

static size_t count_attributes(const char *const attributes[static 8]) {
        size_t n = 0;

        while (n < 8 && attributes[n])
                n++;
        return n / 2;
}

static void test_golden(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(golden); i++) {
                Definition d = { .parent = "0000:41:00.0" };
                g_autofree char *text = NULL;
                Error error = ERROR_NULL;

                g_assert_cmpint(definition_parse(golden[i].text, strlen(golden[i].text), &d, &error), ==, 0);
                g_assert_cmpstr(d.parent, ==, "0000:41:00.0");
                g_assert_cmpstr(d.type_id, ==, golden[i].type_id);
                g_assert_cmpint(d.autostart, ==, golden[i].autostart);
                g_assert_cmpuint(d.attributes.n, ==, count_attributes(golden[i].attributes));
                for (size_t k = 0; k < d.attributes.n; k++) {
                        g_assert_cmpstr(d.attributes.items[k].name, ==, golden[i].attributes[2 * k]);
                        g_assert_cmpstr(d.attributes.items[k].value, ==, golden[i].attributes[2 * k + 1]);
                }

                g_assert_cmpint(definition_format(&d, &text), ==, 0);
                g_assert_cmpstr(text, ==, golden[i].text);
                definition_done(&d);
        }
}

/* What others may write, and what it means. */
static void test_lenient(void) {
        static const struct {
                const char *text;
                bool autostart;
                const char *value; /* of the one attribute, or NULL */
        } cases[] = {
                { "{\"mdev_type\":\"t\",\"start\":\"auto\"}", true, NULL },
                { "{\"start\":\"auto\",\"attrs\":[],\"mdev_type\":\"t\"}\n\r\t ", true, NULL },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\",\"attrs\":null}", true, NULL },
                { "{\"mdev_type\":\"t\",\"start\":\"Auto\"}", false, NULL },
                { "{\"mdev_type\":\"t\",\"start\":\"\"}", false, NULL },
                { "{\"mdev_type\":\"t\",\"start\":\"auto \"}", false, NULL },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\\u0000\"}", false, NULL },
                { "{\"mdev_type\":\"t\",\"start\":true}", false, NULL },
                { "{\"mdev_type\":\"t\",\"start\":{\"auto\":1}}", false, NULL },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\",\"x\":[{\"y\":[1.5e3,null,true]}]}", true, NULL },
                /* Of a key that is there twice the last counts, as with mdevctl. */
                { "{\"mdev_type\":\"x\",\"mdev_type\":\"t\",\"start\":\"auto\",\"start\":\"manual\"}", false, NULL },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\",\"attrs\":[{\"a\":\"1\",\"a\":\"2\"}]}", true, "2" },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\",\"attrs\":[{\"a\":\"\"}]}", true, "" },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\",\"attrs\":[{\"a\":\"\\u00e9\"}]}", true, "é" },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\",\"attrs\":[{\"a\":\"\\ud83d\\ude00\"}]}", true, "😀" },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\",\"attrs\":[{\"remove_me/remove\":\"1\"}]}", true, "1" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Error error = ERROR_NULL;
                Definition d = {};

                if (definition_parse(cases[i].text, strlen(cases[i].text), &d, &error) < 0)
                        g_error("%s: %s", cases[i].text, error.message);
                g_assert_cmpstr(d.type_id, ==, "t");
                g_assert_cmpint(d.autostart, ==, cases[i].autostart);
                g_assert_cmpuint(d.attributes.n, ==, cases[i].value ? 1 : 0);
                if (cases[i].value)
                        g_assert_cmpstr(d.attributes.items[0].value, ==, cases[i].value);
                definition_done(&d);
        }
}

/* In memory that ends where the text does, so that a reader that goes on is caught under ASan. */
static void assert_refused(const char *text, size_t size, const char *part) {
        g_autofree char *exact = g_memdup2(text, size);
        Definition d = { .parent = "parent", .type_id = "untouched", .autostart = true };
        Error error = ERROR_NULL;
        int r;

        r = definition_parse(exact, size, &d, &error);
        if (r >= 0)
                g_error("taken: %.80s", text);
        g_assert_cmpint(error.code, ==, r);
        if (!strstr(error.message, part))
                g_error("'%s' says nothing of '%s': %.80s", error.message, part, text);
        g_assert_true(text_is_printable(error.message));
        g_assert_cmpstr(d.type_id, ==, "untouched");
        g_assert_true(d.autostart && d.attributes.n == 0 && !d.attributes.items);
}

#define HEAD "{\"mdev_type\":\"t\",\"start\":\"auto\","

static void test_hostile(void) {
        static const struct {
                const char *text, *part;
        } cases[] = {
                { " ", "not complete" },
                { "\n", "not complete" },
                { "x", "no JSON" },
                { "nul", "not complete" },
                { "null", "not complete" },
                { "\"auto\"", "no JSON object" },
                { "[]", "no JSON object" },
                { "{}", "\"mdev_type\"" },
                { "{}}", "no JSON: unexpected" },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\"} {}", "no JSON: unexpected" },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\"}x", "no JSON: unexpected" },
                { "{\"mdev_type\":\"t\",\"start\":\"auto\",}", "no JSON" },
                { "{'mdev_type':'t','start':'auto'}", "no JSON" },
                { "{/**/\"mdev_type\":\"t\",\"start\":\"auto\"}", "no JSON" },
                { "\xef\xbb\xbf{\"mdev_type\":\"t\",\"start\":\"auto\"}", "no JSON" },
                { "{\"mdev_type\":\"t\"}", "\"start\"" },
                { "{\"mdev_type\":\"t\",\"start\":null}", "\"start\"" },
                { "{\"start\":\"auto\"}", "\"mdev_type\"" },
                { "{\"mdev_type\":1,\"start\":\"auto\"}", "\"mdev_type\"" },
                { "{\"mdev_type\":null,\"start\":\"auto\"}", "\"mdev_type\"" },
                { "{\"mdev_type\":\"t\\u0000x\",\"start\":\"auto\"}", "\"mdev_type\"" },
                { "{\"mdev_type\":\"\",\"start\":\"auto\"}", "no name of a type" },
                { "{\"mdev_type\":\"..\",\"start\":\"auto\"}", "no name of a type" },
                { "{\"mdev_type\":\"a/b\",\"start\":\"auto\"}", "no name of a type" },
                { "{\"mdev_type\":\"a\\nb\",\"start\":\"auto\"}", "no name of a type" },
                { "{\"mdev_type\":\"\xff\",\"start\":\"auto\"}", "no JSON" },
                { HEAD "\"attrs\":{}}", "\"attrs\"" },
                { HEAD "\"attrs\":\"\"}", "\"attrs\"" },
                { HEAD "\"attrs\":[null]}", "one key" },
                { HEAD "\"attrs\":[\"a\"]}", "one key" },
                { HEAD "\"attrs\":[{}]}", "one key" },
                { HEAD "\"attrs\":[{\"a\":\"1\",\"b\":\"2\"}]}", "one key" },
                { HEAD "\"attrs\":[{\"a\":1}]}", "no string" },
                { HEAD "\"attrs\":[{\"a\":null}]}", "no string" },
                { HEAD "\"attrs\":[{\"a\":[\"1\"]}]}", "no string" },
                { HEAD "\"attrs\":[{\"a\":\"1\\u0000\"}]}", "no string" },
                { HEAD "\"attrs\":[{\"a\":\"1\\n2\"}]}", "no line of text" },
                { HEAD "\"attrs\":[{\"a\":\"\\u001b[2J\"}]}", "no line of text" },
                { HEAD "\"attrs\":[{\"a\":\"1\"},{\"\":\"1\"}]}", "no name of an attribute" },
                { HEAD "\"attrs\":[{\"..\":\"1\"}]}", "no name of an attribute" },
                { HEAD "\"attrs\":[{\"/a\":\"1\"}]}", "no name of an attribute" },
                { HEAD "\"attrs\":[{\"a/\":\"1\"}]}", "no name of an attribute" },
                { HEAD "\"attrs\":[{\"a//b\":\"1\"}]}", "no name of an attribute" },
                { HEAD "\"attrs\":[{\"a/./b\":\"1\"}]}", "no name of an attribute" },
                { HEAD "\"attrs\":[{\"a/../../b\":\"1\"}]}", "no name of an attribute" },
                { HEAD "\"attrs\":[{\"a\\n\":\"1\"}]}", "no name of an attribute" },
                { HEAD "\"attrs\":[{\"remove\":\"1\"}]}", "destroy" },
                { HEAD "\"attrs\":[{\"\\u0072emove\":\"1\"}]}", "destroy" },
                { HEAD "\"x\":[[[[[[[[[1]]]]]]]]]}", "no JSON" },
        };

        assert_refused("", 0, "empty");
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                assert_refused(cases[i].text, strlen(cases[i].text), cases[i].part);
}

/* Every prefix of a good one is none, and so is one with any byte of it replaced by a NUL. */
static void test_truncated(void) {
        const char *text = golden[1].text;
        size_t size = strlen(text);

        for (size_t n = 1; n < size; n++)
                assert_refused(text, n, ""); /* cut within a character, it is no UTF-8 either */

        for (size_t n = 0; n < size; n++) {
                g_autofree char *copy = g_strdup(text);

                copy[n] = '\0';
                if (n > 0)
                        assert_refused(copy, size, "");
        }
        assert_refused("{\"mdev_type\":\"t\",\"start\":\"auto\"}\0", 33, "follows");
}

static void test_large(void) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *deep = g_strnfill(100000, '[');
        Error error = ERROR_NULL;
        Definition d = {};

        assert_refused(deep, strlen(deep), "no JSON");

        /* At the bound, and one byte over it. */
        g_string_assign(text, "{\"mdev_type\":\"t\",\"start\":\"auto\"}");
        while (text->len < DEFINITION_TEXT_MAX)
                g_string_append_c(text, ' ');
        g_assert_cmpint(definition_parse(text->str, text->len, &d, &error), ==, 0);
        definition_done(&d);
        g_string_append_c(text, ' ');
        assert_refused(text->str, text->len, "larger");

        g_string_printf(text, HEAD "\"attrs\":[");
        for (unsigned i = 0; i <= ATTRIBUTES_MAX; i++)
                g_string_append_printf(text, "%s{\"a\":\"%u\"}", i > 0 ? "," : "", i);
        g_string_append(text, "]}");
        assert_refused(text->str, text->len, "more than 64");

        g_string_printf(text, HEAD "\"attrs\":[{\"a\":\"%4096s\"}]}", "x");
        assert_refused(text->str, text->len, "no line of text");
        g_string_printf(text, HEAD "\"attrs\":[{\"%0*i\":\"\"}]}", (int)ATTRIBUTE_NAME_SIZE, 0);
        assert_refused(text->str, text->len, "no name of an attribute");
        g_string_printf(text, "{\"mdev_type\":\"%0*i\",\"start\":\"auto\"}", (int)TYPE_ID_SIZE, 0);
        assert_refused(text->str, text->len, "no name of a type");
}

/* The largest there can be is within what is read again, and comes back as it was. */
static void test_largest(void) {
        g_autofree char *name = g_strnfill(ATTRIBUTE_NAME_SIZE - 1, '"');
        g_autofree char *value = g_strnfill(ATTRIBUTE_VALUE_SIZE - 1, '\\'), *text = NULL;
        Definition d = { .parent = "p", .autostart = true }, again = { .parent = "p" };
        Error error = ERROR_NULL;

        memset(d.type_id, '"', sizeof(d.type_id) - 1);
        for (unsigned i = 0; i < ATTRIBUTES_MAX; i++)
                g_assert_cmpint(attributes_add(&d.attributes, name, value, &error), ==, 0);

        g_assert_cmpint(definition_format(&d, &text), ==, 0);
        g_assert_cmpuint(strlen(text), <, DEFINITION_TEXT_MAX);
        g_assert_cmpint(definition_parse(text, strlen(text), &again, &error), ==, 0);
        g_assert_true(definition_equal(&d, &again));
        definition_done(&again);
        definition_done(&d);
}

/* What is the same, and what is not. */
static void test_equal(void) {
        Definition a = { .parent = "p", .type_id = "t" }, b;

        g_assert_cmpint(attributes_add(&a.attributes, "x", "1", NULL), ==, 0);
        g_assert_cmpint(attributes_add(&a.attributes, "y", "2", NULL), ==, 0);
        g_assert_cmpint(definition_copy(&a, &b), ==, 0);
        g_assert_true(definition_equal(&a, &b));

        b.autostart = true;
        g_assert_false(definition_equal(&a, &b));
        b.autostart = false;
        b.type_id[0] = 'u';
        g_assert_false(definition_equal(&a, &b));
        b.type_id[0] = 't';
        b.parent[0] = 'q';
        g_assert_false(definition_equal(&a, &b));
        b.parent[0] = 'p';
        b.attributes.items[1].value[0] = '3';
        g_assert_false(definition_equal(&a, &b));
        b.attributes.items[1].value[0] = '2';
        b.attributes.items[1].name[0] = 'z';
        g_assert_false(definition_equal(&a, &b));
        attributes_done(&b.attributes);
        g_assert_false(definition_equal(&a, &b));
        definition_done(&b);
        definition_done(&a);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/definition/golden", test_golden);
        g_test_add_func("/definition/lenient", test_lenient);
        g_test_add_func("/definition/hostile", test_hostile);
        g_test_add_func("/definition/truncated", test_truncated);
        g_test_add_func("/definition/large", test_large);
        g_test_add_func("/definition/largest", test_largest);
        g_test_add_func("/definition/equal", test_equal);

        return g_test_run();
}
