/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Profiles: what each key may say, and for everything that is wrong the exact place and sentence.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include <glib.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

#define VALID "version: 1\nmatch: {}\ntypes: [{id: 1, name: a, max-instances: 1, framebuffer: 1MiB}]\n"

/* The key that a case is about stands in line 8, column 3. */
#define TYPE "version: 1\nmatch: {}\ntypes:\n- id: 1\n  name: a\n  max-instances: 1\n  framebuffer: 64MiB\n  "

/* The key that a case is about stands in line 2, column 9. */
#define MATCH(what) "version: 1\nmatch: {" what "}\ntypes: [{id: 1, name: a, max-instances: 1, framebuffer: 1MiB}]\n"

typedef struct Case {
        const char *text;
        const char *report; /* without the file's name; nothing if it is to pass in silence */
} Case;

/* The report as people see it. */
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

static Profile *parse(const char *text, size_t size, const char *expected) {
        ConfigReport report = {};
        Profile *profile = NULL;
        int r;

        r = config_parse_profile("f", text, size, &profile, &report);

        g_autofree char *printed = report_to_string(&report);
        g_assert_cmpstr(printed, ==, expected);
        g_assert_cmpint(r, ==, report.n_errors > 0 ? -EBADMSG : 0);
        if (r < 0)
                g_assert_null(profile);

        config_report_done(&report);
        return profile;
}

static void check_cases(const char *before, const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                g_autofree char *text = g_strconcat(before, cases[i].text, NULL);
                char *expected = g_strdup(""), *line;

                g_auto(GStrv) lines = g_strsplit(cases[i].report ?: "", "\n", -1);
                for (size_t j = 0; lines[j]; j++) {
                        line = g_strconcat(expected, "f:", lines[j], "\n", NULL);
                        g_free(expected);
                        expected = line;
                }

                profile_free(parse(text, strlen(text), expected));
                g_free(expected);
        }
}

#define HEX_63 "123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF"
#define HEX_64 "0" HEX_63

#define CHECK_CASES(before, cases) check_cases((before), (cases), G_N_ELEMENTS(cases))

static const char example[] = "version: 1\n"
                              "match: {vendor: 0x10de, device: [0x20b0], subsystem: any, address: \"*\"}\n"
                              "types:\n"
                              "  - {id: 530, name: \"Open vAmpere/2\", class: Compute, max-instances: 2,\n"
                              "     framebuffer: 19136MiB, reserved: 1344MiB, mappable-video: 24MiB, bar1: "
                              "256MiB, ecc: true, encoder: 50%,\n"
                              "     vdev-id: 0x20B01471, pdev-id: 0x20B0, multi-vgpu: false,\n"
                              "     displays: {heads: 4, max: 1920x1200, frame-limit: 120, limiter: on}}\n";

static void test_example_match(void) {
        Profile *p;

        p = parse(example, strlen(example), "");
        g_assert_nonnull(p);
        g_assert_cmpstr(p->file, ==, "f");
        g_assert_false(p->strict);
        g_assert_false(p->matches[0].any_vendor);
        g_assert_cmphex(p->matches[0].vendor, ==, 0x10de);
        g_assert_cmpuint(p->matches[0].n_devices, ==, 1);
        g_assert_cmphex(p->matches[0].devices[0], ==, 0x20b0);
        g_assert_cmpuint(p->matches[0].n_subsystems, ==, 0);
        g_assert_cmpstr(p->matches[0].address, ==, "*");
        profile_free(p);
}

static void test_example_type(void) {
        const TypeSpec *t;
        Profile *p;

        p = parse(example, strlen(example), "");
        g_assert_nonnull(p);
        g_assert_cmpuint(p->n_types, ==, 1);

        t = &p->types[0];
        g_assert_cmpuint(t->id, ==, 530);
        g_assert_cmpstr(t->name, ==, "Open vAmpere/2");
        g_assert_cmpstr(t->class, ==, "Compute");
        g_assert_cmpuint(t->max_instances, ==, 2);
        g_assert_cmpuint(t->framebuffer, ==, 19136 * MIB);
        g_assert_cmpuint(t->reserved, ==, 1344 * MIB);
        g_assert_cmpuint(t->mappable_video, ==, 24 * MIB);
        g_assert_cmpuint(t->bar1, ==, 256 * MIB);
        g_assert_true(t->ecc);
        g_assert_cmpuint(t->encoder_percent, ==, 50);
        g_assert_cmphex(t->vdev_id, ==, 0x20b01471);
        g_assert_cmphex(t->pdev_id, ==, 0x20b0);
        g_assert_false(t->multi_vgpu);
        g_assert_false(t->keep_state);
        g_assert_cmpuint(t->heads, ==, 4);
        g_assert_cmpuint(t->max_width, ==, 1920);
        g_assert_cmpuint(t->max_height, ==, 1200);
        g_assert_cmpuint(t->frame_limit, ==, 120);
        g_assert_true(t->limiter);
        g_assert_cmpstr(t->nvidia_license, ==, "");
        g_assert_cmpstr(t->nvidia_signature, ==, "");
        g_assert_false(t->nvidia_newer);
        g_assert_cmpuint(t->line, ==, 4);
        profile_free(p);
}

static void test_defaults(void) {
        const TypeSpec *t;
        Profile *p;

        p = parse(VALID, strlen(VALID), "");
        g_assert_nonnull(p);
        g_assert_true(p->matches[0].any_vendor);
        g_assert_cmpuint(p->matches[0].n_devices, ==, 0);
        g_assert_cmpstr(p->matches[0].address, ==, "*");

        t = &p->types[0];
        g_assert_cmpstr(t->class, ==, "Compute");
        g_assert_cmpuint(t->reserved, ==, 0);
        g_assert_cmpuint(t->mappable_video, ==, 0);
        g_assert_cmpuint(t->bar1, ==, 0);
        g_assert_false(t->ecc);
        g_assert_cmpuint(t->encoder_percent, ==, 100);
        g_assert_cmphex(t->vdev_id, ==, 0);
        g_assert_cmphex(t->pdev_id, ==, 0);
        g_assert_false(t->multi_vgpu);
        g_assert_cmpuint(t->heads, ==, 1);
        g_assert_cmpuint(t->max_width, ==, 1920);
        g_assert_cmpuint(t->max_height, ==, 1080);
        g_assert_cmpuint(t->frame_limit, ==, 60);
        g_assert_true(t->limiter);
        profile_free(p);
}

/* Values that are right, in all the ways to write them. */
static void test_values(void) {
        static const struct {
                const char *text;
                size_t offset;
                size_t size;
                uint64_t value;
        } cases[] = {
#define VALUE(text, member, value) { text, offsetof(TypeSpec, member), sizeof(((TypeSpec *)0)->member), value }
                VALUE("bar1: 4KiB", bar1, 4096),
                VALUE("bar1: 1 GiB", bar1, GIB),
                VALUE("bar1: 64TiB", bar1, 64 * TIB),
                VALUE("reserved: 0KiB", reserved, 0),
                VALUE("reserved: \"12MiB\"", reserved, 12 * MIB),
                VALUE("mappable-video: 64MiB", mappable_video, 64 * MIB),
                VALUE("encoder: 0%", encoder_percent, 0),
                VALUE("encoder: 100 %", encoder_percent, 100),
                VALUE("vdev-id: 0x10000", vdev_id, 0x10000),
                VALUE("vdev-id: 0XffffFFFF", vdev_id, 0xffffffff),
                VALUE("pdev-id: 0x1", pdev_id, 1),
                VALUE("ecc: yes", ecc, 1),
                VALUE("ecc: True", ecc, 1),
                VALUE("ecc: ON", ecc, 1),
                VALUE("multi-vgpu: 'true'", multi_vgpu, 1),
                VALUE("keep-state: yes", keep_state, 1),
                VALUE("displays: {limiter: off}", limiter, 0),
                VALUE("displays: {limiter: no}", limiter, 0),
                VALUE("displays: {limiter: false}", limiter, 0),
                VALUE("displays: {heads: 0}", heads, 0),
                VALUE("displays: {heads: 0x10}", heads, 16),
                VALUE("displays: {max: 1x32768}", max_width, 1),
                VALUE("displays: {max: 1x32768}", max_height, 32768),
                VALUE("displays: {frame-limit: 1000}", frame_limit, 1000),
                VALUE("nvidia: {newer-drivers: yes}", nvidia_newer, 1),
#undef VALUE
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text = g_strconcat(TYPE, cases[i].text, "\n", NULL);
                uint64_t value = 0;
                Profile *p;

                p = parse(text, strlen(text), "");
                g_assert_nonnull(p);
                /* Little-endian, as every machine that this is tested on; a byte, four or eight. */
                memcpy(&value, (char *)&p->types[0] + cases[i].offset, cases[i].size);
                g_assert_cmpuint(GUINT64_FROM_LE(value), ==, cases[i].value);
                profile_free(p);
        }
}

#define NUMBER " is not a whole number (decimal without leading zeros, or hexadecimal as in 0x1f)"
#define FLAG " is not a boolean (true, yes, on, false, no, off)"
#define HEX " is not a hexadecimal number such as 0x10de"
#define UNIT "; use KiB, MiB, GiB or TiB"

static void test_wrong_values(void) {
        static const Case cases[] = {
                { "bar1: 4096", "8:9: error: bar1: '4096' has no unit" UNIT },
                { "bar1: 0", "8:9: error: bar1: '0' has no unit" UNIT },
                { "bar1: 1GB", "8:9: error: bar1: '1GB' has an unknown unit" UNIT },
                { "bar1: 1mib", "8:9: error: bar1: '1mib' has an unknown unit" UNIT },
                { "bar1: 1.5GiB", "8:9: error: bar1: '1.5GiB' is not a whole number with a unit, such as 512MiB" },
                { "bar1: -1GiB", "8:9: error: bar1: '-1GiB' is not a whole number with a unit, such as 512MiB" },
                { "bar1: 010MiB", "8:9: error: bar1: '010MiB' is not a whole number with a unit, such as 512MiB" },
                { "bar1: 3MiB",
                  "8:9: error: bar1: '3MiB' is not a power of two, as the size of a PCI region has to be" },
                { "bar1: 2KiB", "8:9: error: bar1: '2KiB' is not between 4KiB and 64TiB" },
                { "bar1: 128TiB", "8:9: error: bar1: '128TiB' is not between 4KiB and 64TiB" },
                /* 2^64 bytes and 1TiB, and a number that does not fit 64 bits itself */
                { "bar1: 16777217TiB", "8:9: error: bar1: '16777217TiB' is not between 4KiB and 64TiB" },
                { "bar1: 18446744073709551620KiB",
                  "8:9: error: bar1: '18446744073709551620KiB' is not between 4KiB and 64TiB" },
                { "bar1: [4KiB]", "8:9: error: bar1: must be a single value, not a list" },
                { "bar1: {a: b}", "8:9: error: bar1: must be a single value, not a mapping of keys to values" },
                { "bar1:", "8:8: error: bar1: has no value" },
                { "bar1: ~", "8:9: error: bar1: has no value" },
                { "reserved: null", "8:13: error: reserved: has no value" },
                { "reserved: \"\"", "8:13: error: reserved: '' is not a whole number with a unit, such as 512MiB" },
                { "mappable-video: 65MiB", "8:19: error: mappable-video: is more than the framebuffer, 64MiB" },
                { "encoder: 100", "8:12: error: encoder: '100' lacks the percent sign" },
                { "encoder: 101%", "8:12: error: encoder: '101%' is not between 0% and 100%" },
                { "encoder: 1.5%", "8:12: error: encoder: '1.5%' is not a whole number of percent, such as 50%" },
                { "encoder: half", "8:12: error: encoder: 'half' is not a whole number of percent, such as 50%" },
                { "ecc: 1", "8:8: error: ecc: '1'" FLAG },
                { "ecc: y", "8:8: error: ecc: 'y'" FLAG },
                { "multi-vgpu: maybe", "8:15: error: multi-vgpu: 'maybe'" FLAG },
                { "vdev-id: 20b01471", "8:12: error: vdev-id: '20b01471'" HEX },
                { "vdev-id: 0x1471", "8:12: error: vdev-id: '0x1471' is not between 0x10000 and 0xffffffff" },
                { "vdev-id: 0x100000000", "8:12: error: vdev-id: '0x100000000' is not between 0x10000 and 0xffffffff" },
                { "pdev-id: 0x", "8:12: error: pdev-id: '0x'" HEX },
                { "pdev-id: 0x0", "8:12: error: pdev-id: '0x0' is not between 0x1 and 0xffffffff" },
                { "pdev-id: 0x10000000000000001",
                  "8:12: error: pdev-id: '0x10000000000000001' is not between 0x1 and 0xffffffff" },
                { "class: \"a\\tb\"", "8:10: error: class: 'a?b' holds a character that is not printable ASCII" },
                { "class: \"a\\x7Fb\"", "8:10: error: class: 'a?b' holds a character that is not printable ASCII" },
                { "class: \"\"", "8:10: error: class: is empty" },
                { "class: \" a\"", "8:10: error: class: ' a' begins or ends with a blank" },
                { "class: aaaaaaaaaabbbbbbbbbbccccccccccd", NULL },
                { "class: aaaaaaaaaabbbbbbbbbbccccccccccdd", "8:10: error: class: is 32 bytes long, at most 31 fit" },
                { "class: Grün", "8:10: error: class: 'Grün' holds a character that is not printable ASCII" },
                { "nvidia: {license: \"\"}", "8:21: error: license: is empty" },
                { "nvidia: {signature: 0123}", "8:23: error: signature: is not 256 hexadecimal digits" },
                { "nvidia: {signature: " HEX_64 HEX_64 HEX_64 HEX_64 "0}",
                  "8:23: error: signature: is not 256 hexadecimal digits" },
                { "nvidia: {signature: g" HEX_63 HEX_64 HEX_64 HEX_64 "}",
                  "8:23: error: signature: is not 256 hexadecimal digits" },
                { "nvidia: {signature: " HEX_64 HEX_64 HEX_64 HEX_64 "}", NULL },
                { "nvidia: {layout: 510}", "8:12: error: unknown key 'layout'" },
                { "displays: 4", "8:13: error: displays: must be a mapping of keys to values, not a single value" },
                { "displays: {heads: 17}", "8:21: error: heads: '17' is not between 0 and 16" },
                { "displays: {heads: -1}", "8:21: error: heads: '-1'" NUMBER },
                { "displays: {heads: 08}", "8:21: error: heads: '08'" NUMBER },
                { "displays: {heads: 1 }\n  ecc: no", NULL },
                { "displays: {frame-limit: 0}", "8:27: error: frame-limit: '0' is not between 1 and 1000" },
                { "displays: {frame-limit: 18446744073709551617}",
                  "8:27: error: frame-limit: '18446744073709551617' is not between 1 and 1000" },
                { "displays: {max: 1920}",
                  "8:19: error: max: '1920' is not a width and height such as 1920x1080, at most 32768x32768" },
                { "displays: {max: 0x10}",
                  "8:19: error: max: '0x10' is not a width and height such as 1920x1080, at most 32768x32768" },
                { "displays: {max: 1920x}",
                  "8:19: error: max: '1920x' is not a width and height such as 1920x1080, at most 32768x32768" },
                { "displays: {max: 1920x1080x2}",
                  "8:19: error: max: '1920x1080x2' is not a width and height such as 1920x1080, at most 32768x32768" },
                { "displays: {max: 32769x1}",
                  "8:19: error: max: '32769x1' is not a width and height such as 1920x1080, at most 32768x32768" },
                { "displays: {limiter: 1}", "8:23: error: limiter: '1'" FLAG },
        };

        CHECK_CASES(TYPE, cases);
}

static void test_types(void) {
        static const Case cases[] = {
                { "- {id: 0, name: a, max-instances: 1, framebuffer: 1MiB}",
                  "4:8: error: id: '0' is not between 1 and 4294967295" },
                { "- {id: 4294967296, name: a, max-instances: 1, framebuffer: 1MiB}",
                  "4:8: error: id: '4294967296' is not between 1 and 4294967295" },
                { "- {id: 1, name: a, max-instances: 0, framebuffer: 1MiB}",
                  "4:35: error: max-instances: '0' is not between 1 and 65535" },
                { "- {id: 1, name: a, max-instances: 1, framebuffer: 1025KiB}",
                  "4:51: error: framebuffer: '1025KiB' is not a multiple of 1MiB" },
                { "- {id: 1, name: a, max-instances: 1, framebuffer: 0MiB}",
                  "4:51: error: framebuffer: '0MiB' is not between 1MiB and 64TiB" },
                { "- {}", "4:3: error: type: the required key 'id' is missing\n"
                          "4:3: error: type: the required key 'name' is missing\n"
                          "4:3: error: type: the required key 'max-instances' is missing\n"
                          "4:3: error: type: the required key 'framebuffer' is missing" },
                { "- nvidia-530", "4:3: error: type: must be a mapping of keys to values, not a single value" },
                { "- [a, b]", "4:3: error: type: must be a mapping of keys to values, not a list" },
                { "-", "4:2: error: type: has no value" },
                { "- {id: 7, name: a, max-instances: 1, framebuffer: 1MiB}\n"
                  "- {id: 8, name: b, max-instances: 1, framebuffer: 1MiB}\n"
                  "- {id: 0x7, name: c, max-instances: 1, framebuffer: 1MiB}",
                  "6:8: error: id: 7 is already the id of the type in line 4" },
                { "- {id: 7, name: a, max-instances: 1, framebuffer: 1MiB}\n"
                  "- {id: 8, name: a, max-instances: 1, framebuffer: 1MiB}",
                  "5:17: warning: name: 'a' is already the name of type 7 in line 4; both will have to be asked for by "
                  "id" },
                { "- {id: 1, max-instances: 1, framebuffer: 1MiB,\n"
                  "   name: 0123456789012345678901234567890}",
                  NULL },
                { "- {id: 1, max-instances: 1, framebuffer: 1MiB,\n"
                  "   name: 01234567890123456789012345678901}",
                  "5:10: warning: name: is 32 bytes long; NVIDIA's drivers up to 575 hold only 31" },
                { "- {id: 1, max-instances: 1, framebuffer: 1MiB,\n"
                  "   name: 012345678901234567890123456789012345678901234567890123456789abc}",
                  "5:10: warning: name: is 63 bytes long; NVIDIA's drivers up to 575 hold only 31" },
                { "- {id: 1, max-instances: 1, framebuffer: 1MiB,\n"
                  "   name: 012345678901234567890123456789012345678901234567890123456789abcd}",
                  "5:10: error: name: is 64 bytes long, at most 63 fit" },
        };

        CHECK_CASES("version: 1\nmatch: {}\ntypes:\n", cases);
}

/* What only NVIDIA's drivers take: it goes through as it stands. */
static void test_nvidia(void) {
        static const char text[] = TYPE "nvidia: {license: \"A,1.0;B-C,2.0\", newer-drivers: true,\n"
                                        "           signature: " HEX_64 HEX_64 HEX_64 HEX_64 "}\n";
        Profile *p;

        p = parse(text, strlen(text), "");
        g_assert_nonnull(p);
        g_assert_cmpstr(p->types[0].nvidia_license, ==, "A,1.0;B-C,2.0");
        g_assert_cmpstr(p->types[0].nvidia_signature, ==, HEX_64 HEX_64 HEX_64 HEX_64);
        g_assert_true(p->types[0].nvidia_newer);
        profile_free(p);
}

static void test_keys(void) {
        static const Case cases[] = {
                { "bar2: 1MiB", "8:3: error: unknown key 'bar2'; did you mean 'bar1'?" },
                { "maxInstances: 1", "8:3: error: unknown key 'maxInstances'; did you mean 'max-instances'?" },
                { "mappable_video: 1", "8:3: error: unknown key 'mappable_video'; did you mean 'mappable-video'?" },
                { "Mutli-VGPU: 1", "8:3: error: unknown key 'Mutli-VGPU'; did you mean 'multi-vgpu'?" },
                { "bra1: 1MiB", "8:3: error: unknown key 'bra1'; did you mean 'bar1'?" },
                { "ec: 1", "8:3: error: unknown key 'ec'; did you mean 'ecc'?" },
                { "signature: {a: [b, {c: d}]}", "8:3: error: unknown key 'signature'" },
                { "\"\": 1", "8:3: error: unknown key ''" },
                { "\"a\\eb\": 1", "8:3: error: unknown key 'a?b'" },
                { "<<: {ecc: 1}", "8:3: error: unknown key '<<'" },
                { "[ecc]: yes", "8:3: error: a key must be a single word" },
                { "? {ecc: yes}\n  : yes", "8:5: error: a key must be a single word" },
                { "framebuffer: 2MiB", "8:3: error: key 'framebuffer' is given in line 7 already" },
                { "ecc: yes\n  ecc: yes\n  ecc: no", "9:3: error: key 'ecc' is given in line 8 already\n"
                                                     "10:3: error: key 'ecc' is given in line 8 already" },
                { "displays: {hads: 1, frame-limit: 1, frame-limit: 2}",
                  "8:14: error: unknown key 'hads'; did you mean 'heads'?\n"
                  "8:39: error: key 'frame-limit' is given in line 8 already" },
                { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1",
                  "8:3: error: unknown key 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'" },
        };
        /* A key that is meant for a required one is one mistake, not two. */
        static const Case misspelt[] = {
                { "- {id: 1, name: a, max-instances: 1, framebufer: 1MiB}",
                  "4:38: error: unknown key 'framebufer'; did you mean 'framebuffer'?" },
        };

        CHECK_CASES(TYPE, cases);
        CHECK_CASES("version: 1\nmatch: {}\ntypes:\n", misspelt);
}

static void test_profile(void) {
        static const Case cases[] = {
                { "", NULL },
                { "# nothing\n\n  # but this\n", NULL },
                { "\xef\xbb\xbf" VALID, NULL },
                { "---\n" VALID "...\n", NULL },
                { VALID "strict: yes\n", NULL },
                { VALID "mixed-size: no\n", NULL },
                { VALID "pending-apply: manual\n", NULL },
                { VALID "pending-apply: auto\n", NULL },
                { VALID "pending-apply: later\n", "4:16: error: pending-apply: 'later' is not auto or manual" },
                { "version: 1\r\nmatch: {}\r\ntypes: []\r\n",
                  "3:8: warning: types: is empty, this profile offers nothing" },
                { "version: 1\ntypes: []\n", "1:1: warning: profile: without 'match' it applies to every GPU\n"
                                             "2:8: warning: types: is empty, this profile offers nothing" },
                { "{}", "1:1: error: profile: the required key 'version' is missing\n"
                        "1:1: error: profile: the required key 'types' is missing" },
                { "- a\n", "1:1: error: profile: must be a mapping of keys to values, not a list" },
                { "~", "1:1: error: profile: has no value" },
                { "---\n", "2:1: error: profile: has no value" },
                { "match: {}\ntypes: []\nversion: 2\n",
                  "2:8: warning: types: is empty, this profile offers nothing\n"
                  "3:10: error: version: '2' is not known to this mdevgpud, which reads 1" },
                /* What follows may mean anything. */
                { "version: 2\ngpus: {}\n", "1:10: error: version: '2' is not known to this mdevgpud, which reads 1" },
                { "version: v1\ngpus: {}\n", "1:1: error: profile: the required key 'types' is missing\n"
                                             "1:10: error: version: 'v1'" NUMBER "\n"
                                             "2:1: error: unknown key 'gpus'" },
                { "version: 1\nmatch: {}\ntypes: {id: 1}\n",
                  "3:8: error: types: must be a list, not a mapping of keys to values" },
                { VALID "strict: 1\n", "4:9: error: strict: '1'" FLAG },
                { VALID "mixed-size: all\n", "4:13: error: mixed-size: 'all'" FLAG },
                { VALID "---\n" VALID, "4:1: error: a second document; give it a file of its own" },
                { VALID "...\n---\n...\n", "5:1: error: a second document; give it a file of its own" },
        };

        CHECK_CASES("", cases);
}

static void test_match(void) {
        static const Case cases[] = {
                { MATCH("vendor: any, device: any, subsystem: any, address: \"0000:*\""), NULL },
                { MATCH("vendor: 0x10de, device: 0x20b0, subsystem: 10de:145e"), NULL },
                { MATCH("vendor: 0x0"), "2:17: error: vendor: '0x0' is not between 0x1 and 0xffff" },
                { MATCH("vendor: 0x10000"), "2:17: error: vendor: '0x10000' is not between 0x1 and 0xffff" },
                { MATCH("vendor: 4318"), "2:17: error: vendor: '4318'" HEX },
                { MATCH("vendor: nvidia"), "2:17: error: vendor: 'nvidia'" HEX },
                { MATCH("vendor: [0x10de]"), "2:17: error: vendor: must be a single value, not a list" },
                { MATCH("device: 0x20b0"),
                  "2:17: error: device: needs 'vendor' beside it, as each vendor numbers its own" },
                { MATCH("vendor: any, device: [0x20b0]"),
                  "2:30: error: device: needs 'vendor' beside it, as each vendor numbers its own" },
                { MATCH("vendor: 0x10de, device: []"),
                  "2:33: error: device: is an empty list; write any, or leave it out" },
                { MATCH("vendor: 0x10de, device: [0x20b0, any, [0x1], {a: b}, ~]"),
                  "2:42: error: device: 'any'" HEX "\n"
                  "2:47: error: device: must be a single value, not a list\n"
                  "2:54: error: device: must be a single value, not a mapping of keys to values\n"
                  "2:62: error: device: has no value" },
                { MATCH("subsystem: 10de"),
                  "2:20: error: subsystem: '10de' is not a vendor and device such as 10de:145e or 0x10de145e" },
                { MATCH("subsystem: 10de145e"),
                  "2:20: error: subsystem: '10de145e' is not a vendor and device such as 10de:145e or 0x10de145e" },
                { MATCH("subsystem: 0x10de145e0"),
                  "2:20: error: subsystem: '0x10de145e0' is not a vendor and device such as 10de:145e or 0x10de145e" },
                { MATCH("subsystem: 110de:145e"),
                  "2:20: error: subsystem: '110de:145e' is not a vendor and device such as 10de:145e or 0x10de145e" },
                { MATCH("subsystem: \"10de:\""),
                  "2:20: error: subsystem: '10de:' is not a vendor and device such as 10de:145e or 0x10de145e" },
                { MATCH("address: a/b"), "2:18: error: address: 'a/b' is not a pattern for a device's name in sysfs" },
                { MATCH("address: \"\""), "2:18: error: address: '' is not a pattern for a device's name in sysfs" },
                { MATCH("addres: a"), "2:9: error: unknown key 'addres'; did you mean 'address'?" },
                { "version: 1\nmatch: any\ntypes: []\n",
                  "2:8: error: match: must be a mapping of keys to values, not a single value\n"
                  "3:8: warning: types: is empty, this profile offers nothing" },
        };

        CHECK_CASES("", cases);
}

static void test_match_values(void) {
        static const char text[] = MATCH("vendor: 0x10DE, device: [0x20b0, 0x20B2], address: \"0000:4?:00.[01]\",\n"
                                         "subsystem: [10de:145e, 0x10DE:0x1, 0x10dec0de]");
        Profile *p;

        p = parse(text, strlen(text), "");
        g_assert_nonnull(p);
        g_assert_cmphex(p->matches[0].vendor, ==, 0x10de);
        g_assert_cmpuint(p->matches[0].n_devices, ==, 2);
        g_assert_cmphex(p->matches[0].devices[0], ==, 0x20b0);
        g_assert_cmphex(p->matches[0].devices[1], ==, 0x20b2);
        g_assert_cmpuint(p->matches[0].n_subsystems, ==, 3);
        g_assert_cmphex(p->matches[0].subsystems[0].value, ==, 0x10de145e);
        g_assert_cmphex(p->matches[0].subsystems[1].value, ==, 0x10de0001);
        g_assert_cmphex(p->matches[0].subsystems[2].value, ==, 0x10dec0de);
        g_assert_cmpstr(p->matches[0].address, ==, "0000:4?:00.[01]");
        profile_free(p);
}

static void test_yaml(void) {
        static const Case cases[] = {
                { "ecc: &a yes", "8:8: error: an anchor (&a); anchors are not accepted" },
                { "ecc: *a", "8:8: error: an alias (*a); aliases are not accepted" },
                { "*a : yes", "8:3: error: an alias (*a); aliases are not accepted" },
                { "ecc: !!bool yes", "8:8: error: a tag (tag:yaml.org,2002:bool); tags are not accepted" },
                { "ecc: ! yes", "8:8: error: a tag (!); tags are not accepted" },
                { "displays: !a &b {}", "8:13: error: an anchor (&b); anchors are not accepted\n"
                                        "8:13: error: a tag (!a); tags are not accepted" },
                { "bar1: &a [4KiB]", "8:9: error: an anchor (&a); anchors are not accepted\n"
                                     "8:9: error: bar1: must be a single value, not a list" },
                { "class: \"a\\0b\"", "8:10: error: a NUL within a text" },
                { "\"ecc\\0\": yes", "8:3: error: a NUL within a text" },
                /* The end of the text, and where the quote that is not closed stands. */
                { "class: \"abc\n  ecc: yes\n",
                  "10:1: error: found unexpected end of stream while scanning a quoted scalar that begins in line 8, "
                  "column 10" },
                { "class: 'abc\n  ecc: 'yes'\n", "8:10: error: class: 'abc ecc: ' begins or ends with a blank\n"
                                                 "9:9: error: did not find expected key while parsing a block mapping "
                                                 "that begins in line 4, column 3" },
                { "displays: {heads: 1\n  ecc: yes\n",
                  "8:21: error: heads: '1 ecc'" NUMBER "\n"
                  "9:6: error: did not find expected ',' or '}' while parsing a flow mapping that begins in line 8, "
                  "column 13" },
                { "class: *", "8:11: error: did not find expected alphabetic or numeric character while scanning an "
                              "alias that begins in line 8, column 10; a text that begins with * or & needs quotes" },
                { "\tecc: yes",
                  "8:3: error: found a tab character that violates indentation while scanning a plain scalar "
                  "that begins in line 7, column 16" },
                { "displays:\n\theads: 1",
                  "9:1: error: found character that cannot start any token while scanning for the "
                  "next token; indent with blanks, and put a text that begins with @, ` or % in "
                  "quotes" },
                { "class: a: b", "8:11: error: mapping values are not allowed in this context" },
                /* The last line has no end. */
                { "displays: {heads: 1",
                  "8:22: error: did not find expected ',' or '}' while parsing a flow mapping that "
                  "begins in line 8, column 13" },
                /* What stands before a syntax error is reported too. */
                { "ecc: 1\n  bar1: @", "8:8: error: ecc: '1'" FLAG "\n"
                                       "9:9: error: found character that cannot start any token while scanning for the "
                                       "next token; indent with blanks, and put a text that begins with @, ` or % in "
                                       "quotes" },
        };

        CHECK_CASES(TYPE, cases);
}

static void test_empty(void) {
        Profile *p;

        p = parse("# nothing\n", strlen("# nothing\n"), "");
        g_assert_null(p);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_set_nonfatal_assertions(); /* show every case that fails, not the first alone */

        g_test_add_func("/config/example-match", test_example_match);
        g_test_add_func("/config/example-type", test_example_type);
        g_test_add_func("/config/defaults", test_defaults);
        g_test_add_func("/config/values", test_values);
        g_test_add_func("/config/wrong-values", test_wrong_values);
        g_test_add_func("/config/types", test_types);
        g_test_add_func("/config/nvidia", test_nvidia);
        g_test_add_func("/config/keys", test_keys);
        g_test_add_func("/config/profile", test_profile);
        g_test_add_func("/config/match", test_match);
        g_test_add_func("/config/match-values", test_match_values);
        g_test_add_func("/config/yaml", test_yaml);
        g_test_add_func("/config/empty", test_empty);

        return g_test_run();
}
