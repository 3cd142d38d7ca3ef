/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which driver speaks which dialect, and what a type looks like in each.
 */

#include "backend/nvidia-info.h"

#include <glib.h>

static void test_versions(void) {
        static const char *const bad[] = {
                "",           "580",    "580.",     ".95",     "580.95.",    "580.95.05.1", "580.95.05 ",
                " 580.95.05", "580.-5", "580.95.x", "99999.1", "580.1024.1", "580.1.1024",  "580.00000001.1",
        };

        g_assert_cmpuint(nvidia_version_parse("580.95.05"), >, nvidia_version_parse("580.94.18"));
        g_assert_cmpuint(nvidia_version_parse("580.105.08"), >, nvidia_version_parse("580.95.05"));
        g_assert_cmpuint(nvidia_version_parse("595.44.02"), >, nvidia_version_parse("590.999.99"));
        g_assert_cmpuint(nvidia_version_parse("565.77"), ==, nvidia_version_parse("565.77.00"));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                g_assert_cmpuint(nvidia_version_parse(bad[i]), ==, 0);
}

static void test_find(void) {
        static const struct {
                const char *version, *layout, *other; /* other: where two are possible */
                bool known;
        } rows[] = {
                { "470.256.02", NULL, NULL, false },
                { "510.47.03", "MDEV-GPU-510", NULL, true },
                { "510.108.03", "MDEV-GPU-510", NULL, false },
                { "515.43.04", NULL, NULL, false },
                { "520.61.05", NULL, NULL, false },
                { "525.47.03", NULL, NULL, false },
                { "525.47.04", "L1", NULL, true },
                { "525.147.05", "L1", NULL, true },
                { "525.200", "L1", NULL, false },
                { "530.41.03", "L1", NULL, true },
                { "535.43.02", "L1", NULL, true },
                { "535.288.01", "L1", NULL, true },
                { "540.1", NULL, NULL, false },
                { "545.29.06", "L1", NULL, true },
                { "550.40.07", "L2", NULL, true },
                { "550.54.14", "L2", NULL, true },
                { "555.58.02", "L2", NULL, true },
                { "560.35.03", "L2", NULL, true },
                { "565.77", "L2", NULL, true },
                { "570.86.15", "L3", NULL, true },
                { "570.211.01", "L3", NULL, true },
                { "575.51.02", "L4", NULL, true },
                { "580.65.06", "L5", NULL, true },
                { "580.82.09", "L5", NULL, true },
                { "580.90.01", "L5", "L6", false },
                { "580.94.02", "L6", NULL, true },
                { "580.142", "L6", NULL, true },
                { "580.159.03", "L6", NULL, false },
                { "590.48.01", "L6", NULL, true },
                { "595.44.02", "L7", NULL, true },
                { "595.45.04", "L7", NULL, true },
                { "595.99.99", "L7", NULL, false },
                { "600.1", NULL, NULL, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const NvidiaDialect *found[2] = {};
                bool known;
                size_t n;

                n = nvidia_dialects_find(nvidia_version_parse(rows[i].version), found, &known);
                g_assert_cmpuint(n, ==, (rows[i].layout ? 1U : 0U) + (rows[i].other ? 1U : 0U));
                g_assert_cmpint(known, ==, rows[i].known);
                if (rows[i].layout)
                        g_assert_cmpstr(found[0]->layout, ==, rows[i].layout);
                if (rows[i].other)
                        g_assert_cmpstr(found[1]->layout, ==, rows[i].other);
        }
}

static const NvidiaDialect *dialect(const char *version) {
        const NvidiaDialect *found[2];
        bool known;

        g_assert_cmpuint(nvidia_dialects_find(nvidia_version_parse(version), found, &known), ==, 1);
        return found[0];
}

static const NvidiaCard card = { .device = 0x20b0, .subsystem_device = 0x145f };

static TypeSpec golden_spec(void) {
        return (TypeSpec){
                .id = 530,
                .name = "Golden half",
                .class = "Compute",
                .max_instances = 2,
                .framebuffer = UINT64_C(19136) << 20,
                .reserved = UINT64_C(1344) << 20,
                .mappable_video = UINT64_C(24) << 20,
                .bar1 = UINT64_C(4096) << 20,
                .encoder_percent = 55,
                .heads = 4,
                .max_width = 1920,
                .max_height = 1080,
                .frame_limit = 60,
                .limiter = true,
                .ecc = true,
                .multi_vgpu = true,
        };
}

/* The size that the dump states, and its bytes. */
static size_t load_dump(const char *layout, uint8_t *bytes, size_t size) {
        g_autofree char *name = g_strdup_printf("nvidia-set-info-%s.txt", layout), *text = NULL;
        g_autofree char *path = g_test_build_filename(G_TEST_DIST, "tests", "unit", "data", name, NULL);
        g_auto(GStrv) lines = NULL;
        size_t n = 0;

        memset(bytes, 0, size);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                char *p = *line;
                guint64 offset;

                if (*p == '#' || *p == '\0')
                        continue;
                if (g_str_has_prefix(p, "size ")) {
                        n = g_ascii_strtoull(p + 5, NULL, 10);
                        continue;
                }
                offset = g_ascii_strtoull(p, &p, 16);
                while (*p) {
                        g_assert_cmpuint(offset, <, size);
                        bytes[offset++] = (uint8_t)g_ascii_strtoull(p, &p, 16);
                }
        }

        return n;
}

/* One type in each layout, against what a C compiler makes of the public headers. */
static void test_golden(void) {
        static const char *const versions[] = {
                "510.47.03", "525.60.11", "535.183.01", "550.163.01", "565.57.01", "570.211.01",
                "575.64.05", "580.82.09", "580.142",    "590.48.01",  "595.45.04",
        };
        TypeSpec spec = golden_spec();

        (void)g_strlcpy(spec.nvidia_license, "Example,1.0", sizeof(spec.nvidia_license));
        for (unsigned i = 0; i < NVIDIA_SIGNATURE_SIZE; i++)
                (void)snprintf(spec.nvidia_signature + 2 * (size_t)i, 3, i % 2 ? "%02x" : "%02X", i + 1);

        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                const NvidiaDialect *d = dialect(versions[i]);
                uint8_t expected[8192], got[8192] = {};
                char reason[REASON_SIZE];

                g_assert_cmpuint(load_dump(d->layout, expected, sizeof(expected)), ==,
                                 d->controls[NVIDIA_CONTROL_SET_INFO].size);
                g_assert_true(nvidia_info_encode(d, &spec, &card, 2, got, reason));
                for (size_t k = 0; k < sizeof(got); k++)
                        if (got[k] != expected[k])
                                g_error("%s: byte %zu is %02x, not %02x", versions[i], k, got[k], expected[k]);
        }
}

/* What is not stated is the card's own; no licence and signature unless somebody brings them. */
static void test_defaults(void) {
        const NvidiaDialect *d = dialect("580.142");
        uint8_t parameters[8192] = {};
        TypeSpec spec = golden_spec();
        char reason[REASON_SIZE];

        g_assert_true(nvidia_info_encode(d, &spec, &card, 1, parameters, reason));
        g_assert_cmphex(nvidia_get(d, parameters, 8, NVIDIA_AT_INFO_VDEV_ID), ==, 0x20b0145f);
        g_assert_cmphex(nvidia_get(d, parameters, 8, NVIDIA_AT_INFO_PDEV_ID), ==, 0x20b0);
        g_assert_cmpuint(nvidia_get(d, parameters, 0, NVIDIA_AT_SET_INFO_STATE), ==, 1);
        g_assert_cmpuint(nvidia_get(d, parameters, 0, NVIDIA_AT_SET_INFO_DISCARD), ==, 0);
        for (unsigned i = 0; i < 256; i++) /* signature and licence are neighbours */
                g_assert_cmpuint(parameters[8 + 132 + i], ==, 0);

        g_assert_cmpuint(nvidia_get(d, parameters, 8, NVIDIA_AT_INFO_BAR1), ==, 4096);
        spec.bar1 = 0;
        g_assert_true(nvidia_info_encode(d, &spec, &card, 1, parameters, reason));
        g_assert_cmpuint(nvidia_get(d, parameters, 8, NVIDIA_AT_INFO_BAR1), ==, 256);

        spec.vdev_id = 0x1e3012ba;
        spec.pdev_id = 0x1e30;
        g_assert_true(nvidia_info_encode(d, &spec, &card, 1, parameters, reason));
        g_assert_cmphex(nvidia_get(d, parameters, 8, NVIDIA_AT_INFO_VDEV_ID), ==, 0x1e3012ba);
        g_assert_cmphex(nvidia_get(d, parameters, 8, NVIDIA_AT_INFO_PDEV_ID), ==, 0x1e30);
}

static void assert_refused(const char *version, const TypeSpec *spec, const char *word) {
        uint8_t parameters[8192] = {};
        char reason[REASON_SIZE] = "";

        g_assert_false(nvidia_info_encode(dialect(version), spec, &card, 2, parameters, reason));
        g_assert_nonnull(strstr(reason, word));
}

static void test_limits(void) {
        TypeSpec spec = golden_spec();
        uint8_t parameters[8192] = {};
        char reason[REASON_SIZE];

        (void)snprintf(spec.name, sizeof(spec.name), "%s", "a name of just as many bytes: 32");
        g_assert_cmpuint(strlen(spec.name), ==, 32);
        assert_refused("575.64.05", &spec, "31 bytes");
        g_assert_true(nvidia_info_encode(dialect("580.65.06"), &spec, &card, 2, parameters, reason));

        spec = golden_spec();
        spec.max_instances = 0;
        assert_refused("580.142", &spec, "max-instances");
        spec = golden_spec();
        (void)g_strlcpy(spec.nvidia_signature, "0123", sizeof(spec.nvidia_signature));
        assert_refused("580.142", &spec, "larger");
        spec = golden_spec();
        spec.bar1 = 1000;
        assert_refused("580.142", &spec, "bar1");
        spec = golden_spec();
        spec.framebuffer = UINT64_MAX;
        assert_refused("580.142", &spec, "framebuffer");
        spec.framebuffer = UINT64_MAX / 2;
        spec.reserved = UINT64_MAX / 2;
        assert_refused("580.142", &spec, "framebuffer");
}

/* Text from the driver need not end, nor be text. */
static void test_text(void) {
        uint8_t parameters[8192];
        char buffer[64];

        memset(parameters, 0xff, sizeof(parameters));
        nvidia_get_text(dialect("580.142"), parameters, 8, NVIDIA_AT_INFO_NAME, buffer, sizeof(buffer));
        g_assert_cmpuint(strlen(buffer), ==, 63);
        g_assert_cmpint(buffer[0], ==, '?');
        nvidia_get_text(dialect("525.60.11"), parameters, 8, NVIDIA_AT_INFO_NAME, buffer, sizeof(buffer));
        g_assert_cmpuint(strlen(buffer), ==, 32);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/nvidia-layout/versions", test_versions);
        g_test_add_func("/nvidia-layout/find", test_find);
        g_test_add_func("/nvidia-layout/golden", test_golden);
        g_test_add_func("/nvidia-layout/defaults", test_defaults);
        g_test_add_func("/nvidia-layout/limits", test_limits);
        g_test_add_func("/nvidia-layout/text", test_text);

        return g_test_run();
}
