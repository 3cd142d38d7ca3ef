/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Configuration without memory: the nth allocation fails, for every n, or all from the nth on; then the answer is
 * -ENOMEM and nothing leaks. Allocations are counted here, so no sanitizer that counts them itself can be built in.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

/* glibc's own, which what follows stands before. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void __libc_free(void *p);

static bool counting;
static size_t n_allocations;
static size_t first_to_fail;
static size_t last_to_fail;
static ssize_t live;

static bool fails(void) {
        if (!counting)
                return false;

        n_allocations++;
        return n_allocations >= first_to_fail && n_allocations <= last_to_fail;
}

static void *counted(void *p) {
        if (counting && p)
                live++;
        return p;
}

__attribute__((visibility("default"))) void *malloc(size_t size) {
        return fails() ? (errno = ENOMEM, NULL) : counted(__libc_malloc(size));
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size) {
        return fails() ? (errno = ENOMEM, NULL) : counted(__libc_calloc(n, size));
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t size) {
        if (fails()) {
                errno = ENOMEM;
                return NULL;
        }

        return p ? __libc_realloc(p, size) : counted(__libc_malloc(size));
}

__attribute__((visibility("default"))) void free(void *p) {
        if (counting && p)
                live--;
        __libc_free(p);
}

/* Returns what config_load() returned, and whether the nth allocation was asked for at all. */
static int load(const char *root, size_t first, size_t last, bool *ret_reached) {
        ConfigReport report = {};
        ProfileSet *set = NULL;
        int r;

        live = 0;
        n_allocations = 0;
        first_to_fail = first;
        last_to_fail = last;
        counting = true;
        r = config_load(root, &set, &report);
        *ret_reached = n_allocations >= first;
        profile_set_free(set);
        config_report_done(&report);
        counting = false;

        g_assert_cmpint(live, ==, 0);
        return r;
}

static size_t check_load(const char *root, int expected) {
        bool reached;
        int r;

        for (size_t n = 1;; n++) {
                r = load(root, n, SIZE_MAX, &reached);
                g_assert_cmpint(r, ==, reached ? -ENOMEM : expected);

                /* glibc makes do without some, as where it would make a text's buffer smaller. */
                r = load(root, n, n, &reached);
                if (!reached || r != -ENOMEM)
                        g_assert_cmpint(r, ==, expected);
                if (!reached)
                        return n - 1;
        }
}

static void check_file(const char *path, const char *text, int expected) {
        g_autofree char *root = g_dir_make_tmp("test-config-XXXXXX", NULL);
        g_autofree char *file = g_build_filename(root, path, NULL);
        g_autofree char *dir = g_path_get_dirname(file);
        const char *argv[] = { "rm", "-rf", "--", root, NULL };
        size_t n;

        g_assert_nonnull(root);
        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        g_assert_true(g_file_set_contents(file, text, -1, NULL));
        g_assert_cmpint(g_chmod(file, 0644), ==, 0);

        n = check_load(root, expected);
        g_test_message("%zu allocations", n);
        g_assert_cmpuint(n, >, 20);

        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

static void check_text(const char *text, int expected) {
        check_file("etc/mdevgpud/types.d/a.yaml", text, expected);
}

static void test_mdev_gpu(void) {
        check_file(CONFIG_MDEV_GPU_YAML,
                   "gpus:\n"
                   "- filteredGpus: [{bus: 1}, {deviceId: 2, subdeviceId: 3}]\n"
                   "  mdevConfigs: [{num: 1, maxInstances: 1, fbLen: 64, fbRes: 0}]\n"
                   "- mdevConfigs: [{num: 2, maxInstances: 1, fbLen: 64, fbRes: 0, nun: 1}]\n",
                   0);
}

static void test_valid(void) {
        check_text("version: 1\n"
                   "match: {vendor: 0x10de, device: [0x1, 0x2], subsystem: [1:2, 3:4], address: \"0000:*\"}\n"
                   "types:\n"
                   "- {id: 1, name: a, max-instances: 1, framebuffer: 1MiB, displays: {max: 1x1}}\n"
                   "- {id: 2, name: a, max-instances: 1, framebuffer: 1MiB}\n",
                   0);
}

static void test_errors(void) {
        check_text("version: 1\n"
                   "match: {vendor: x, device: y, subsystem: [], address: a/b}\n"
                   "types:\n"
                   "- {idd: 1, &a name: *a, max-instances: 1, max-instances: 2, framebuffer: 1}\n"
                   "- {id: 1, name: !t b, max-instances: [1], framebuffer: 1MiB, ecc: 3, bar1: 3MiB}\n"
                   "- {id: 1, name: b, max-instances: 1, framebuffer: 1MiB}\n"
                   "- \"\n",
                   -EBADMSG);
}

static void test_characters(void) {
        check_text("a: \r b\n", -EBADMSG);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        umask(022);

        g_test_add_func("/config-memory/valid", test_valid);
        g_test_add_func("/config-memory/mdev-gpu", test_mdev_gpu);
        g_test_add_func("/config-memory/errors", test_errors);
        g_test_add_func("/config-memory/characters", test_characters);

        return g_test_run();
}
