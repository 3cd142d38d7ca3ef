/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What libvirt's hook reads of domains, with what several versions of libvirt and programs above it have in theirs; then damaged.
 */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "hook/domain.h"

typedef struct Case {
        const char *file, *uuid;
        const char *wishes[3]; /* UUID and type */
        const char *devices[4];
} Case;

static const Case CASES[] = {
        {
                "libvirt-9.0-prepare.xml",
                "5d0f2c54-7a1e-4d2b-9f57-0a3b8f6d1e21",
                { "6b2f6c5e-1111-4222-8333-444455556666 nvidia-35",
                  "6B2F6C5E-1111-4222-8333-444455557777 Reference half" },
                { "6b2f6c5e-1111-4222-8333-444455556666", "6b2f6c5e-1111-4222-8333-444455557777" },
        },
        {
                "libvirt-9.0-s390.xml",
                "2f0d1a7c-3f59-4a9f-93a1-6f2f9c0f7d55",
                {},
                { "9063cba3-ecef-47b6-abcf-3fef4fdcad85", "783e6dbb-ea0e-411f-94e2-717eaad438bf" },
        },
        {
                "libvirt-10.x-nova.xml",
                "b1c7de0a-98b4-4a3c-8b0f-f5a3b21f1c02",
                {},
                { "0000:41:00.4", "c0a7e5b8-0d6a-4b0e-9c0c-1d1c8a1a5f01" },
        },
        {
                "libvirt-11.x-migrate.xml",
                "0f5cbf0e-61f7-4a8d-8b72-6f9b1e7d4a10",
                { "9c6f2d7b-2c0e-4d7a-a7ce-1b0a9e6f4d33 mdevgpu_ref-7" },
                { "9c6f2d7b-2c0e-4d7a-a7ce-1b0a9e6f4d33", "10000:e1:1f.7", "0000:e1:00.0" },
        },
};

static char *load(const char *file, size_t *ret_size) {
        g_autofree char *path = g_test_build_filename(G_TEST_DIST, "tests", "unit", "domains", file, NULL);
        char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, ret_size, NULL));
        return text;
}

static void check(const Case *c, const Domain *domain) {
        size_t n = 0;

        g_assert_cmpstr(domain->uuid, ==, c->uuid);
        for (; n < G_N_ELEMENTS(c->wishes) && c->wishes[n]; n++) {
                g_autofree char *found = NULL;

                g_assert_cmpuint(n, <, domain->n_wishes);
                found = g_strdup_printf("%s %s", domain->wishes[n].uuid, domain->wishes[n].type);
                g_assert_cmpstr(found, ==, c->wishes[n]);
        }
        g_assert_cmpuint(n, ==, domain->n_wishes);
        for (n = 0; n < G_N_ELEMENTS(c->devices) && c->devices[n]; n++) {
                g_assert_cmpuint(n, <, domain->n_devices);
                g_assert_cmpstr(domain->devices[n], ==, c->devices[n]);
        }
        g_assert_cmpuint(n, ==, domain->n_devices);
}

static void test_versions(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
                size_t size;
                g_autofree char *text = load(CASES[i].file, &size);
                const char *problem = NULL;
                Domain domain;

                g_test_message("%s", CASES[i].file);
                g_assert_cmpint(domain_parse(text, size, &domain, &problem), ==, 0);
                check(&CASES[i], &domain);
                domain_done(&domain);
        }
}

static void test_wish(void) {
        size_t size;
        g_autofree char *text = load(CASES[0].file, &size);
        const char *problem = NULL;
        const Wish *wish;
        Domain domain;

        g_assert_cmpint(domain_parse(text, size, &domain, &problem), ==, 0);
        g_assert_cmpstr(domain.wishes[0].gpu, ==, "");
        g_assert_false(domain.wishes[0].has_numa_node);
        g_assert_cmpuint(domain.wishes[0].n_attributes, ==, 0);
        wish = &domain.wishes[1];
        g_assert_cmpstr(wish->gpu, ==, "0000:41:00.0");
        g_assert_true(wish->has_numa_node);
        g_assert_cmpuint(wish->numa_node, ==, 1);
        g_assert_cmpuint(wish->n_attributes, ==, 2);
        g_assert_cmpstr(wish->attributes[0].name, ==, "frame_rate_limiter");
        g_assert_cmpstr(wish->attributes[1].value, ==, "plugin0.x=1, y='2'");
        domain_done(&domain);
}

/* Of a device that is not understood nothing is known, and libvirt says what is wrong with it; the others count. */
static void test_odd_devices(void) {
        static const char *const odd[] = {
                "type='pci'><source><address domain='0x0000' bus='0x100' slot='0x00' function='0x0'/></source>",
                "type='pci'><source><address domain='0x0000' bus='0x41' slot='0x20' function='0x0'/></source>",
                "type='pci'><source><address domain='0x0000' bus='0x41' slot='0x00' function='8'/></source>",
                "type='pci'><source><address domain='-1' bus='0x41' slot='0x00' function='0x0'/></source>",
                "type='pci'><source><address domain='0x0000' bus='' slot='0x00' function='0x0'/></source>",
                "type='pci'><source><address domain='0x0000' slot='0x00' function='0x0'/></source>",
                "type='pci'><source><address uuid='9063cba3-ecef-47b6-abcf-3fef4fdcad85'/></source>",
                "type='mdev'><source><address uuid='9063cba3'/></source>",
                "type='mdev'><source><address/></source>",
                "type='mdev'><source/>",
                "type='mdev'>",
                "mode='subsystem'><source><address uuid='9063cba3-ecef-47b6-abcf-3fef4fdcad85'/></source>",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
                g_autofree char *text = g_strdup_printf(
                        "<domain><uuid>%s</uuid><devices><hostdev %s</hostdev><hostdev type='pci'><source>"
                        "<address bus='1' slot='2' function='3'/></source></hostdev></devices></domain>",
                        CASES[0].uuid, odd[i]);
                const char *problem = NULL;
                Domain domain;

                g_test_message("%s", odd[i]);
                g_assert_cmpint(domain_parse(text, strlen(text), &domain, &problem), ==, 0);
                g_assert_cmpuint(domain.n_devices, ==, 1);
                g_assert_cmpstr(domain.devices[0], ==, "0000:01:02.3");
                domain_done(&domain);
        }
}

/* Cut off at each place, and with each byte another: taken or refused, with a reason, and no more read than there is. */
static void test_damaged(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
                size_t size;
                g_autofree char *text = load(CASES[i].file, &size);

                for (size_t k = 0; k < size; k++) {
                        g_autofree char *copy = g_memdup2(text, size);
                        size_t length = k % 2 == 0 ? k : size;
                        const char *problem = NULL;
                        Domain domain;
                        int r;

                        copy[k] = (char)(copy[k] ^ (1 << k % 7));
                        r = domain_parse(copy, length, &domain, &problem);
                        if (r < 0) {
                                g_assert_cmpint(r, ==, -EBADMSG);
                                g_assert_nonnull(problem);
                        } else
                                domain_done(&domain);
                }
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hook-domain/versions", test_versions);
        g_test_add_func("/hook-domain/wish", test_wish);
        g_test_add_func("/hook-domain/odd-devices", test_odd_devices);
        g_test_add_func("/hook-domain/damaged", test_damaged);
        return g_test_run();
}
