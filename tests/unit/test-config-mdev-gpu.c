/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Mdev-GPU's file: that each of its keys means here what it meant there, and what is said of its traps.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include <glib.h>
#include <glib/gstdio.h>

#define MIB (UINT64_C(1) << 20)

/* The shortest type there is. */
#define TYPE(num) "{num: " num ", maxInstances: 1, fbLen: 64, fbRes: 0}"
#define TYPES "mdevConfigs: [" TYPE("1") "]"

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

static ProfileSet *parse(const char *text, const char *expected) {
        ProfileSet *set = profile_set_new();
        ConfigReport report = {};
        int r;

        g_assert_nonnull(set);
        r = config_parse_mdev_gpu("f", text, strlen(text), set, &report);
        g_autofree char *printed = report_to_string(&report);
        g_assert_cmpstr(printed, ==, expected);
        g_assert_cmpint(r, ==, report.n_errors > 0 ? -EBADMSG : 0);
        config_report_done(&report);
        return set;
}

static void check_report(const char *text, const char *expected) {
        profile_set_free(parse(text, expected));
}

/* All keys of its documentation, with values that differ from every default. */
static const char full[] =
        "gpus:\n"
        "  - filteredGpus:\n"
        "      - {domain: 0x10, bus: 0x41, slot: 3, function: 1, vendorId: 0x10de, deviceId: 0x20b0,\n"
        "         subvendorId: 0x10de, subdeviceId: 0x145e, identifier: 0x00104103}\n"
        "    mdevConfigs:\n"
        "      - num: 530\n"
        "        name: Open vAmpere/2\n"
        "        gpuClass: Quadro\n"
        "        maxInstances: 2\n"
        "        vDevId: 0x20B01471\n"
        "        pDevId: 0x20B0\n"
        "        fbLen: 19136\n"
        "        fbRes: 1344\n"
        "        mapVideoSize: 32\n"
        "        bar1Len: 0x400\n"
        "        encCap: 50\n"
        "        ecc: true\n"
        "        multiMdev: yes\n"
        "        virtDisplay: {numHeads: 4, maxResX: 4096, maxResY: 2160, frlConfig: 60, frlEnable: 1}\n";

static void test_every_key(void) {
        ProfileSet *set = parse(full, "");
        const TypeSpec *t;
        const Profile *p;

        g_assert_cmpuint(set->n_profiles, ==, 1);
        p = set->profiles[0];
        g_assert_true(p->fallback);
        g_assert_cmpstr(p->file, ==, "f");
        g_assert_cmpuint(p->n_matches, ==, 1);
        g_assert_cmpstr(p->matches[0].address, ==, "0010:41:03.1");
        g_assert_false(p->matches[0].any_vendor);
        g_assert_cmphex(p->matches[0].vendor, ==, 0x10de);
        g_assert_cmphex(p->matches[0].devices[0], ==, 0x20b0);
        g_assert_cmphex(p->matches[0].subsystems[0].value, ==, 0x10de145e);
        g_assert_cmphex(p->matches[0].subsystems[0].mask, ==, 0xffffffff);

        g_assert_cmpuint(p->n_types, ==, 1);
        t = &p->types[0];
        g_assert_cmpuint(t->id, ==, 530);
        g_assert_cmpstr(t->name, ==, "Open vAmpere/2");
        g_assert_cmpstr(t->class, ==, "Quadro");
        g_assert_cmpuint(t->max_instances, ==, 2);
        g_assert_cmphex(t->vdev_id, ==, 0x20b01471);
        g_assert_cmphex(t->pdev_id, ==, 0x20b0);
        g_assert_cmpuint(t->framebuffer, ==, 19136 * MIB);
        g_assert_cmpuint(t->reserved, ==, 1344 * MIB);
        g_assert_cmpuint(t->mappable_video, ==, 32 * MIB);
        g_assert_cmpuint(t->bar1, ==, 0x400 * MIB);
        g_assert_cmpuint(t->encoder_percent, ==, 50);
        g_assert_true(t->ecc);
        g_assert_true(t->multi_vgpu);
        g_assert_cmpuint(t->heads, ==, 4);
        g_assert_cmpuint(t->max_width, ==, 4096);
        g_assert_cmpuint(t->max_height, ==, 2160);
        g_assert_cmpuint(t->frame_limit, ==, 60);
        g_assert_true(t->limiter);
        profile_set_free(set);
}

static void test_defaults(void) {
        ProfileSet *set = parse("gpus: [{" TYPES "}]", "");
        const TypeSpec *t = &set->profiles[0]->types[0];

        g_assert_cmpstr(t->name, ==, "Arc GPU");
        g_assert_cmpstr(t->class, ==, "Compute");
        g_assert_cmphex(t->vdev_id, ==, 0);
        g_assert_cmphex(t->pdev_id, ==, 0);
        g_assert_cmpuint(t->mappable_video, ==, 24 * MIB);
        g_assert_cmpuint(t->bar1, ==, 256 * MIB);
        g_assert_cmpuint(t->encoder_percent, ==, 100);
        g_assert_false(t->ecc);
        g_assert_false(t->multi_vgpu);
        g_assert_cmpuint(t->heads, ==, 1);
        g_assert_cmpuint(t->max_width, ==, 1024);
        g_assert_cmpuint(t->max_height, ==, 1024);
        g_assert_cmpuint(t->frame_limit, ==, 120);
        g_assert_false(t->limiter);
        g_assert_cmpstr(t->nvidia_license, ==, "");
        g_assert_cmpstr(t->nvidia_signature, ==, "");
        profile_set_free(set);
}

/* Two that have no name have the same one, which stands nowhere in the file. */
static void test_default_names(void) {
        check_report("gpus:\n"
                     "  - mdevConfigs:\n"
                     "      - {num: 1, maxInstances: 1, fbLen: 64, fbRes: 0}\n"
                     "      - {num: 2, maxInstances: 1, fbLen: 64, fbRes: 0}\n",
                     "f:4:9: warning: name: 'Arc GPU' is already the name of type 1 in line 3; both will have to be "
                     "asked for by id\n");
}

/* What JSON writers make: no blanks behind colons, escaped solidi, tabs. */
static void test_json(void) {
        ProfileSet *set = parse("{\"gpus\":[{\"filteredGpus\":[{\"bus\":65}],\n\t\"mdevConfigs\":[{\"num\":7,"
                                "\"name\":\"a\\/b\",\"maxInstances\":1,\"fbLen\":64,\"fbRes\":0,\"ecc\":true}]}]}\n",
                                "");

        g_assert_cmpstr(set->profiles[0]->matches[0].address, ==, "*:41:??.?");
        g_assert_cmpstr(set->profiles[0]->types[0].name, ==, "a/b");
        g_assert_true(set->profiles[0]->types[0].ecc);
        profile_set_free(set);
}

static const GpuIdentity board_partner = {
        .address = "0000:41:00.1",
        .pci = true,
        .vendor = 0x10de,
        .device = 0x20b0,
        .subsystem_vendor = 0x1458,
        .subsystem_device = 0x145e,
};

static bool filter_meets(const char *filter, const GpuIdentity *gpu) {
        g_autofree char *text = g_strdup_printf("gpus: [{filteredGpus: [{%s}], " TYPES "}]", filter);
        ProfileSet *set = parse(text, "");
        bool meets = profile_matches(set->profiles[0], gpu);

        profile_set_free(set);
        return meets;
}

/* With the truth, which Mdev-GPU did not do for the last two. */
static void test_filters(void) {
        GpuIdentity other = board_partner, mtty = { .address = "mtty" };

        other.vendor = 0x8086;
        g_assert_true(filter_meets("", &board_partner));
        g_assert_true(filter_meets("", &mtty));
        g_assert_true(filter_meets("domain: 0, bus: 65, slot: 0", &board_partner));
        g_assert_false(filter_meets("domain: 1", &board_partner));
        g_assert_false(filter_meets("bus: 0x14", &board_partner));
        g_assert_false(filter_meets("domain: 0", &mtty));
        g_assert_true(filter_meets("identifier: 0x4100", &board_partner));
        g_assert_false(filter_meets("identifier: 0x4101", &board_partner));
        g_assert_true(filter_meets("deviceId: 0x20b0", &board_partner));
        g_assert_false(filter_meets("deviceId: 0x20b0", &other));
        g_assert_true(filter_meets("deviceId: 0x20b0, vendorId: 0x8086", &other));
        g_assert_true(filter_meets("subdeviceId: 0x145e", &board_partner));
        g_assert_false(filter_meets("subdeviceId: 0x145f", &board_partner));

        g_assert_true(filter_meets("subvendorId: 0x1458", &board_partner));
        g_assert_false(filter_meets("subvendorId: 0x10de", &board_partner));
        g_assert_true(filter_meets("function: 1", &board_partner));
        g_assert_false(filter_meets("function: 0", &board_partner));
}

/* Any filter of a list is enough, and nothing is registered twice for a GPU that meets two. */
static void test_many_filters(void) {
        ProfileSet *set = parse("gpus: [{filteredGpus: [{bus: 1}, {bus: 65}, {slot: 0}], " TYPES "}]", "");
        TypeSpec *types;
        size_t n;

        g_assert_cmpuint(set->n_profiles, ==, 1);
        g_assert_cmpint(profile_set_select(set, &board_partner, &types, &n), ==, 0);
        g_assert_cmpuint(n, ==, 1);
        free(types);
        profile_set_free(set);
}

static void test_errors(void) {
        check_report("", "");
        check_report("[]", "f:1:1: error: file: must be a mapping of keys to values, not a list\n");
        check_report("gpu: []", "f:1:1: warning: unknown key 'gpu'; did you mean 'gpus'?\n"
                                "f:1:1: error: file: the required key 'gpus' is missing\n");
        check_report("gpus: [{}]", "f:1:8: error: entry: the required key 'mdevConfigs' is missing\n");
        check_report("gpus:\n- mdevConfigs:\n  - {}\n",
                     "f:3:5: error: type: the required key 'num' is missing\n"
                     "f:3:5: error: type: the required key 'maxInstances' is missing\n"
                     "f:3:5: error: type: the required key 'fbLen' is missing\n"
                     "f:3:5: error: type: the required key 'fbRes' is missing\n");
        check_report("gpus: [{mdevConfigs: [{num: 1, maxInstances: 1, fbLen: 16, fbRes: 0}]}]",
                     "f:1:23: error: mapVideoSize: 24MiB, as it is not given, is more than the framebuffer, 16MiB\n");
        check_report("gpus: [{filteredGpus: [{identifier: 0x4100, bus: 3}], " TYPES "}]",
                     "f:1:24: error: filter: its identifier is of another place than its domain, bus and slot say\n");
        check_report("gpus: [{filteredGpus: [{bus: 256}], " TYPES "}]",
                     "f:1:30: error: bus: '256' is not between 0 and 255\n");
}

static void test_traps(void) {
        check_report("gpus: [{mdevConfigs: [" TYPE("0") "]}]",
                     "f:1:29: error: num: '0' is not between 1 and 4294967295\n");
        check_report("gpus: [{mdevConfigs: [{name: a, num: 7, maxInstances: 1, fbLen: 64, fbRes: 0},\n" TYPE("7") "]}]",
                     "f:2:7: error: num: 7 is already the num of the type in line 1\n");
        check_report("gpus: [{mdevConfigs: [{num: 1, name: 0123456789012345678901234567890, maxInstances: 1, fbLen: 64,"
                     " fbRes: 0}]}]",
                     "");
        check_report(
                "gpus: [{mdevConfigs: [{num: 1, name: 01234567890123456789012345678901, maxInstances: 1, fbLen: 64,"
                " fbRes: 0}]}]",
                "f:1:38: warning: name: is 32 bytes long; NVIDIA's drivers up to 575 hold only 31\n");
        check_report("gpus: [{mdevConfigs: [{num: 1, name: "
                     "0123456789012345678901234567890123456789012345678901234567890123, maxInstances: 1, fbLen: 64,"
                     " fbRes: 0}]}]",
                     "f:1:38: error: name: is 64 bytes long, at most 63 fit\n");
        /* Which that program ignored, so that what is meant was not what held. */
        check_report("gpus: [{mdevConfigs: [{num: 1, maxInstances: 1, fbLen: 64, fbRes: 0, eccc: true}]}]",
                     "f:1:70: warning: unknown key 'eccc'; did you mean 'ecc'?\n");
}

#define RIVALS(first, second)                                                                                          \
        "gpus:\n- {filteredGpus: [" first "], " TYPES "}\n- {filteredGpus: [" second "], " TYPES "}\n"
#define WARNED                                                                                                         \
        "f:3:3: warning: this entry may be about a GPU of the entry in line 2 too; Mdev-GPU discarded the types of "   \
        "that one by then, here the GPU gets those of both, and this one's where the numbers are the same\n"

static void test_rivals(void) {
        check_report(RIVALS("", ""), WARNED);
        check_report(RIVALS("", "{bus: 1}"), WARNED);
        check_report(RIVALS("{bus: 1}", "{slot: 1}"), WARNED);
        check_report(RIVALS("{bus: 1}", "{bus: 2}"), "");
        check_report(RIVALS("{bus: 1}, {bus: 2}", "{bus: 3}, {bus: 2, slot: 1}"), WARNED);
        check_report(RIVALS("{identifier: 0x4100}", "{bus: 0x41}"), WARNED);
        check_report(RIVALS("{identifier: 0x4100}", "{bus: 0x40}"), "");
        check_report(RIVALS("{deviceId: 1}", "{vendorId: 0x8086}"), "");
}

static void make_file(const char *root, const char *path, const char *text) {
        g_autofree char *full_path = g_build_filename(root, path, NULL), *dir = g_path_get_dirname(full_path);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        g_assert_true(g_file_set_contents(full_path, text, -1, NULL));
}

static size_t count_types(const ProfileSet *set, const GpuIdentity *gpu, uint32_t id) {
        TypeSpec *types;
        size_t n;

        g_assert_cmpint(profile_set_select(set, gpu, &types, &n), ==, 0);
        for (size_t i = 0; i < n; i++)
                g_assert_cmpuint(types[i].id, ==, id);
        free(types);
        return n;
}

static ProfileSet *load(const char *root) {
        ConfigReport report = {};
        ProfileSet *set = NULL;

        g_assert_cmpint(config_load(root, &set, &report), ==, 0);
        g_assert_cmpuint(report.n_problems, ==, 0);
        config_report_done(&report);
        return set;
}

/* Where it is found, which of the two names counts, and that a native file wins for the GPUs of which it speaks. */
static void test_places(void) {
        g_autofree char *root = g_dir_make_tmp("mdevgpud-test-XXXXXX", NULL);
        const char *argv[] = { "rm", "-rf", "--", root, NULL };
        GpuIdentity other = board_partner;
        ConfigReport report = {};
        ProfileSet *set;

        (void)g_strlcpy(other.address, "0000:42:00.0", sizeof(other.address));

        make_file(root, CONFIG_MDEV_GPU_JSON, "{\"gpus\": [{\"mdevConfigs\": [" TYPE("2") "]}]}");
        set = load(root);
        g_assert_cmpuint(count_types(set, &board_partner, 2), ==, 1);
        profile_set_free(set);

        make_file(root, CONFIG_MDEV_GPU_YAML, "gpus: [{" TYPES "}]");
        set = load(root);
        g_assert_cmpuint(count_types(set, &board_partner, 1), ==, 1);
        profile_set_free(set);

        make_file(root, "/etc/mdevgpud/types.d/own.yaml",
                  "version: 1\nmatch: {address: \"0000:41:*\"}\n"
                  "types: [{id: 9, name: a, max-instances: 1, framebuffer: 64MiB}]\n");
        set = load(root);
        g_assert_cmpuint(count_types(set, &board_partner, 9), ==, 1);
        g_assert_cmpuint(count_types(set, &other, 1), ==, 1);
        profile_set_free(set);

        make_file(root, CONFIG_MDEV_GPU_YAML, "gpus: x");
        g_assert_cmpint(config_load(root, &set, &report), ==, -EBADMSG);
        g_assert_true(g_str_has_suffix(report.problems[0].file, "/generate-vgpu-types.yaml"));
        config_report_done(&report);

        g_autofree char *folder = g_build_filename(root, "/etc/gvm/mdev-gpu", NULL);
        make_file(root, CONFIG_MDEV_GPU_YAML, "gpus: [{" TYPES "}]");
        g_assert_cmpint(g_chmod(folder, 0777), ==, 0);
        g_assert_cmpint(config_load(root, &set, &report), ==, -EBADMSG);
        g_assert_cmpstr(report.problems[0].message, ==, "the folder can be written by everybody");
        config_report_done(&report);

        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/config/mdev-gpu/every-key", test_every_key);
        g_test_add_func("/config/mdev-gpu/defaults", test_defaults);
        g_test_add_func("/config/mdev-gpu/default-names", test_default_names);
        g_test_add_func("/config/mdev-gpu/json", test_json);
        g_test_add_func("/config/mdev-gpu/filters", test_filters);
        g_test_add_func("/config/mdev-gpu/many-filters", test_many_filters);
        g_test_add_func("/config/mdev-gpu/errors", test_errors);
        g_test_add_func("/config/mdev-gpu/traps", test_traps);
        g_test_add_func("/config/mdev-gpu/rivals", test_rivals);
        g_test_add_func("/config/mdev-gpu/places", test_places);

        return g_test_run();
}
