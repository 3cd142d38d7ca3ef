/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Other tools' files: that what is printed means the same when mdevgpud reads it, and what is said of what it cannot.
 */

#include "import/import.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include <glib.h>

#define MIB (UINT64_C(1) << 20)

typedef struct Imported {
        Import import;
        ConfigReport report;
        char *printed; /* of the report */
        int result;
} Imported;

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

static Imported *import_text(ImportReader read, const char *text, const char *name) {
        Imported *i = g_new0(Imported, 1);

        i->import = (Import){
                .file = "f",
                .text = text,
                .size = strlen(text),
                .profiles = profile_set_new(),
                .topologies = topology_set_new(),
                .report = &i->report,
                .names = (char **)(name ? &name : NULL),
                .n_names = name ? 1 : 0,
        };
        i->result = read(&i->import);
        i->import.names = NULL;
        i->printed = report_to_string(&i->report);
        g_assert_cmpint(i->result, ==, i->report.n_errors > 0 ? -EBADMSG : 0);
        return i;
}

static void imported_free(Imported *i) {
        profile_set_free(i->import.profiles);
        topology_set_free(i->import.topologies);
        config_report_done(&i->report);
        g_free(i->printed);
        g_free(i);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Imported, imported_free)

static char *print_profile(const Profile *profile) {
        _cleanup_(freep) char *buffer = NULL;
        size_t size = 0;
        FILE *stream;

        stream = open_memstream(&buffer, &size);
        g_assert_nonnull(stream);
        native_print_profile(stream, profile);
        g_assert_cmpint(fclose(stream), ==, 0);
        return g_strdup(buffer);
}

static void assert_same_type(const TypeSpec *a, const TypeSpec *b) {
        TypeSpec x = *a, y = *b;

        x.line = y.line = 0;
        g_assert_cmpstr(x.name, ==, y.name);
        g_assert_cmpstr(x.class, ==, y.class);
        g_assert_cmpstr(x.nvidia_license, ==, y.nvidia_license);
        g_assert_cmpstr(x.nvidia_signature, ==, y.nvidia_signature);
        memset(x.name, 0, sizeof(x.name));
        memset(y.name, 0, sizeof(y.name));
        memset(x.class, 0, sizeof(x.class));
        memset(y.class, 0, sizeof(y.class));
        memset(x.nvidia_license, 0, sizeof(x.nvidia_license));
        memset(y.nvidia_license, 0, sizeof(y.nvidia_license));
        memset(x.nvidia_signature, 0, sizeof(x.nvidia_signature));
        memset(y.nvidia_signature, 0, sizeof(y.nvidia_signature));

        g_assert_cmpuint(x.id, ==, y.id);
        g_assert_cmpuint(x.framebuffer, ==, y.framebuffer);
        g_assert_cmpuint(x.reserved, ==, y.reserved);
        g_assert_cmpuint(x.mappable_video, ==, y.mappable_video);
        g_assert_cmpuint(x.bar1, ==, y.bar1);
        g_assert_cmphex(x.vdev_id, ==, y.vdev_id);
        g_assert_cmphex(x.pdev_id, ==, y.pdev_id);
        g_assert_cmpuint(x.max_instances, ==, y.max_instances);
        g_assert_cmpuint(x.encoder_percent, ==, y.encoder_percent);
        g_assert_cmpuint(x.heads, ==, y.heads);
        g_assert_cmpuint(x.max_width, ==, y.max_width);
        g_assert_cmpuint(x.max_height, ==, y.max_height);
        g_assert_cmpuint(x.frame_limit, ==, y.frame_limit);
        g_assert_cmpint(x.limiter, ==, y.limiter);
        g_assert_cmpint(x.ecc, ==, y.ecc);
        g_assert_cmpint(x.multi_vgpu, ==, y.multi_vgpu);
}

static void assert_same_match(const ProfileMatch *a, const ProfileMatch *b) {
        g_assert_cmpint(a->any_vendor, ==, b->any_vendor);
        g_assert_cmpuint(a->any_vendor ? 0 : a->vendor, ==, b->any_vendor ? 0 : b->vendor);
        g_assert_cmpstr(a->address, ==, b->address);
        g_assert_cmpmem(a->devices, a->n_devices * sizeof(uint16_t), b->devices, b->n_devices * sizeof(uint16_t));
        g_assert_cmpmem(a->subsystems, a->n_subsystems * sizeof(SubsystemMatch), b->subsystems,
                        b->n_subsystems * sizeof(SubsystemMatch));
}

/* Printed and read again it is what it was. */
static void assert_round_trip(const Profile *profile) {
        g_autofree char *text = print_profile(profile);
        ConfigReport report = {};
        Profile *again = NULL;

        g_test_message("%s", text);
        g_assert_cmpint(config_parse_profile("native", text, strlen(text), &again, &report), ==, 0);
        g_autofree char *printed = report_to_string(&report);
        g_assert_cmpstr(printed, ==, "");

        g_assert_cmpuint(again->n_matches, ==, profile->n_matches);
        for (size_t i = 0; i < profile->n_matches; i++)
                assert_same_match(&profile->matches[i], &again->matches[i]);
        g_assert_cmpuint(again->n_types, ==, profile->n_types);
        for (size_t i = 0; i < profile->n_types; i++)
                assert_same_type(&profile->types[i], &again->types[i]);

        profile_free(again);
        config_report_done(&report);
}

static void test_mdev_gpu(void) {
        g_autoptr(Imported) i = import_text(
                import_mdev_gpu,
                "gpus:\n"
                "- filteredGpus: [{bus: 65, deviceId: 0x20b0}, {subdeviceId: 0x145e}, {subvendorId: 0x1458}, {}]\n"
                "  mdevConfigs:\n"
                "  - {num: 530, name: 'a \"b\" \\c', gpuClass: Quadro, maxInstances: 2, vDevId: 0x20B01471,\n"
                "     pDevId: 0x20B0, fbLen: 19136, fbRes: 1344, mapVideoSize: 0, bar1Len: 0x400, encCap: 50,\n"
                "     ecc: true, multiMdev: yes, virtDisplay: {numHeads: 0, maxResX: 4096, frlEnable: 1}}\n"
                "  - {num: 531, maxInstances: 1, fbLen: 64, fbRes: 1}\n"
                "- mdevConfigs: [{num: 1, name: c, maxInstances: 1, fbLen: 64, fbRes: 0}]\n",
                NULL);

        g_assert_cmpuint(i->import.profiles->n_profiles, ==, 2);
        for (size_t k = 0; k < 2; k++)
                assert_round_trip(i->import.profiles->profiles[k]);
}

static TopologySet *read_topologies_again(const TopologySet *set) {
        _cleanup_(freep) char *buffer = NULL;
        TopologyDraft draft = { .set = topology_set_new() };
        ConfigReport report = {};
        size_t size = 0;
        FILE *stream;
        int r;

        stream = open_memstream(&buffer, &size);
        g_assert_nonnull(stream);
        native_print_topologies(stream, set);
        g_assert_cmpint(fclose(stream), ==, 0);
        g_test_message("%s", buffer);

        r = config_parse_topologies("native", buffer, size, &draft, &report);
        g_autofree char *printed = report_to_string(&report);
        g_assert_cmpstr(printed, ==, "");
        g_assert_cmpint(r, ==, 0);
        config_report_done(&report);
        return draft.set;
}

static void assert_same_topology(const Topology *a, const Topology *b) {
        g_assert_cmpstr(a->name, ==, b->name);
        g_assert_cmpuint(a->n_entries, ==, b->n_entries);
        for (size_t i = 0; i < a->n_entries; i++) {
                assert_same_match(&a->entries[i].match, &b->entries[i].match);
                g_assert_cmpuint(a->entries[i].n_vgpus, ==, b->entries[i].n_vgpus);
                for (size_t j = 0; j < a->entries[i].n_vgpus; j++) {
                        g_assert_cmpstr(a->entries[i].vgpus[j].type, ==, b->entries[i].vgpus[j].type);
                        g_assert_cmpuint(a->entries[i].vgpus[j].count, ==, b->entries[i].vgpus[j].count);
                        g_assert_cmpint(a->entries[i].vgpus[j].per_gpu, ==, b->entries[i].vgpus[j].per_gpu);
                }
        }
}

static const char vgpu_configs[] = "version: v1\n"
                                   "vgpu-configs:\n"
                                   "  default:\n"
                                   "  - {device-filter: [\"0x20B010DE\", \"0x233510DE\"], devices: all,\n"
                                   "     vgpu-devices: {A100-40C: 1, \"A100-5C\": 2}}\n"
                                   "  - {devices: [0, 3], vgpu-devices: {T4-1Q: 16}}\n"
                                   "  other:\n"
                                   "  - {devices: all, vgpu-devices: {T4-2Q: 8}}\n";

static void test_vgpu_device_manager(void) {
        g_autoptr(Imported) i = import_text(import_vgpu_device_manager, vgpu_configs, NULL);
        const TopologySet *set = i->import.topologies;
        const TopologyEntry *entry;
        TopologySet *again;

        g_assert_cmpstr(i->printed, ==,
                        "f:6:16: warning: devices: GPU 0 is the driver's own number for it; the topology is for all "
                        "that match, until 'address' says which one is meant\n"
                        "f:6:19: warning: devices: GPU 3 is the driver's own number for it; the topology is for all "
                        "that match, until 'address' says which one is meant\n");
        g_assert_cmpuint(set->n_topologies, ==, 2);
        entry = &set->topologies[0]->entries[0];
        g_assert_cmphex(entry->match.vendor, ==, 0x10de);
        g_assert_cmphex(entry->match.devices[0], ==, 0x20b0);
        g_assert_cmphex(entry->match.devices[1], ==, 0x2335);
        g_assert_cmpstr(entry->vgpus[1].type, ==, "A100-5C");
        g_assert_cmpuint(entry->vgpus[1].count, ==, 2);
        g_assert_true(entry->vgpus[1].per_gpu);

        again = read_topologies_again(set);
        g_assert_cmpuint(again->n_topologies, ==, 2);
        for (size_t k = 0; k < 2; k++)
                assert_same_topology(set->topologies[k], again->topologies[k]);
        topology_set_free(again);
}

static void test_one_configuration(void) {
        g_autoptr(Imported) i = import_text(import_vgpu_device_manager, vgpu_configs, "other");

        g_assert_cmpstr(i->printed, ==, "");
        g_assert_cmpuint(i->import.topologies->n_topologies, ==, 1);
        g_assert_cmphex(i->import.topologies->topologies[0]->entries[0].match.vendor, ==, 0x10de);
        g_assert_cmpstr(i->import.topologies->topologies[0]->name, ==, "other");
}

static void test_vgpu_device_manager_errors(void) {
        g_autoptr(Imported) i = import_text(import_vgpu_device_manager,
                                            "version: v2\nvgpu-configs:\n  a: [{device-filter: 0x10, devices: x,\n"
                                            "    vgpu-devices: {b: 0}}]\n  a: []\n",
                                            NULL);

        g_assert_cmpstr(i->printed, ==,
                        "f:1:10: error: version: 'v2' is not known; v1 is\n"
                        "f:3:23: error: device-filter: '0x10' is not a device and its vendor such as 0x233510DE\n"
                        "f:3:38: error: devices: 'x' is not a whole number (decimal without leading zeros, or "
                        "hexadecimal as in 0x1f)\n"
                        "f:4:23: error: vgpu-devices: '0' is not between 1 and 1024\n"
                        "f:5:3: error: configuration 'a' is given already\n");
}

static void test_mig_parted(void) {
        g_autoptr(Imported) i = import_text(import_mig_parted,
                                            "version: v1\nmig-configs:\n  a:\n  - {devices: all, mig-enabled: true,\n"
                                            "     mig-devices: {1g.5gb: 7}}\n",
                                            NULL);

        g_assert_cmpstr(i->printed, ==,
                        "f:5:20: warning: mig-devices: '1g.5gb' is a GPU instance, which mdevgpud does not make; let "
                        "mig-parted or nvidia-smi make 7, and a topology the vGPUs upon them\n");
        g_assert_cmpuint(i->import.topologies->n_topologies, ==, 0);
}

static void test_profile_override(void) {
        g_autoptr(Imported) i = import_text(import_profile_override,
                                            "# made by hand\n"
                                            "[profile.nvidia-55] # GRID P40-4Q\r\n"
                                            "num_displays = 1\n"
                                            "display_width = 1_920\n"
                                            "display_height = 1080\n"
                                            "max_pixels = 2073600\n"
                                            "cuda_enabled = 1\n"
                                            "frl_enabled = false\n"
                                            "max_instances = 4\n"
                                            "vgpu_type = 'NVS'\n"
                                            "features = \"Quadro-\\\"x\\\"\"\n"
                                            "pci_id = 0x1B3011E7\n"
                                            "framebuffer = 0x74000000\n"
                                            "framebuffer_reservation = \"192MiB\"\n"
                                            "[profile.\"nvidia-56\"]\n"
                                            "num_displays = 2\n"
                                            "[mdev.00000000-0000-0000-0000-000000000100]\n"
                                            "frl_enabled = 0\n",
                                            NULL);
        const Profile *p = i->import.profiles->profiles[0];

        g_assert_cmpstr(i->printed, ==,
                        "f:6:1: warning: max_pixels: has no equivalent\n"
                        "f:7:1: warning: cuda_enabled: has no equivalent\n"
                        "f:17:1: warning: profile nvidia-56 changes a type of the driver's; a type of one's own needs "
                        "framebuffer and max-instances besides, so that it stands in a comment\n"
                        "f:17:1: warning: [mdev.00000000-0000-0000-0000-000000000100]: has no equivalent; mdevgpud has "
                        "types, and nothing that changes one for a single VM\n");
        g_assert_cmpuint(p->n_types, ==, 2);
        g_assert_cmpuint(p->types[0].id, ==, 55);
        g_assert_cmpuint(p->types[0].framebuffer, ==, UINT64_C(0x74000000));
        g_assert_cmpuint(p->types[0].reserved, ==, 192 * MIB);
        g_assert_cmphex(p->types[0].vdev_id, ==, 0x1b3011e7);
        g_assert_cmpstr(p->types[0].class, ==, "NVS");
        g_assert_cmpstr(p->types[0].nvidia_license, ==, "Quadro-\"x\"");
        g_assert_false(p->types[0].limiter);
        g_assert_cmpuint(p->types[0].max_width, ==, 1920);

        g_autofree char *text = print_profile(p);
        g_assert_nonnull(strstr(text, "\n# - {id: 56, "));
        i->import.profiles->profiles[0]->n_types = 1;
        assert_round_trip(p);
}

static void test_profile_override_errors(void) {
        static const char *const lines[] = {
                "x", "a = ", "a = [1]", "a = 'b", "a = 1 2", "[a", "[[profile.nvidia-1]]", "a = \"b\\n", "a.b = 1",
        };

        for (size_t k = 0; k < G_N_ELEMENTS(lines); k++) {
                g_autoptr(Imported) i = import_text(import_profile_override, lines[k], NULL);

                g_test_message("%s", lines[k]);
                g_assert_cmpuint(i->report.n_errors, ==, 1);
                g_assert_true(g_str_has_prefix(i->printed, "f:1:1: error: is not "));
        }
}

#if HAVE_LIBXML2
#define SIGNATURE_BYTES "00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff "

static const char vgpu_config[] =
        "<?xml version=\"1.0\"?>\n"
        "<vgpuconfig version=\"1.0\">\n"
        "<vgpuType id=\"0x212\" name=\"GRID A100-20C\" class=\"Compute\">\n"
        "  <devId vendorId=\"0x10de\" deviceId=\"0x20b0\" subsystemVendorId=\"0x10de\" subsystemId=\"0x1471\"/>\n"
        "  <display width=\"4096\" height=\"2160\"/>\n"
        "  <framebuffer> 0x4AC000000 </framebuffer><fbReservation>0x54000000</fbReservation>\n"
        "  <mappableVideoSize>0x400000</mappableVideoSize><bar1Length>0x400</bar1Length>\n"
        "  <encoderCapacity>0x64</encoderCapacity><numHeads>1</numHeads><frlConfig>0x3c</frlConfig>\n"
        "  <eccSupported>1</eccSupported><license>NVIDIA-x,9.0</license>\n"
        "</vgpuType>\n"
        "<pgpu><devId vendorId=\"0x10de\" deviceId=\"0x20b0\" subsystemVendorId=\"0x10de\" subsystemId=\"0x145e\"/>\n"
        "  <supportedVgpu vgpuId=\"0x212\"><maxVgpus>2</maxVgpus><digest type=\"signature\">" SIGNATURE_BYTES
                SIGNATURE_BYTES SIGNATURE_BYTES SIGNATURE_BYTES SIGNATURE_BYTES SIGNATURE_BYTES SIGNATURE_BYTES
                        SIGNATURE_BYTES "</digest></supportedVgpu>\n"
        "  <supportedVgpu vgpuId=\"0x999\"><maxVgpus>2</maxVgpus></supportedVgpu>\n"
        "</pgpu>\n"
        "<pgpu><devId vendorId=\"0x10de\" deviceId=\"0x20b2\" subsystemVendorId=\"0\" subsystemId=\"0\"/>\n"
        "  <supportedVgpu vgpuId=\"530\"><maxVgpus>4</maxVgpus></supportedVgpu></pgpu>\n"
        "</vgpuconfig>\n";

static void test_vgpu_config(void) {
        g_autoptr(Imported) i = import_text(import_vgpu_config, vgpu_config, NULL);
        const TypeSpec *t;

        g_assert_cmpstr(i->printed, ==, "f:13:1: warning: vgpuId: there is no type 2457\n");
        g_assert_cmpuint(i->import.profiles->n_profiles, ==, 2);
        t = &i->import.profiles->profiles[0]->types[0];
        g_assert_cmpuint(t->id, ==, 530);
        g_assert_cmpstr(t->name, ==, "GRID A100-20C");
        g_assert_cmpuint(t->framebuffer, ==, 19136 * MIB);
        g_assert_cmpuint(t->reserved, ==, 1344 * MIB);
        g_assert_cmpuint(t->bar1, ==, 1024 * MIB);
        g_assert_cmphex(t->vdev_id, ==, 0x20b01471);
        g_assert_cmpuint(t->max_instances, ==, 2);
        g_assert_cmpuint(strlen(t->nvidia_signature), ==, 256);
        g_assert_cmpuint(i->import.profiles->profiles[1]->types[0].max_instances, ==, 4);
        g_assert_cmpstr(i->import.profiles->profiles[1]->types[0].nvidia_signature, ==, "");
        for (size_t k = 0; k < 2; k++)
                assert_round_trip(i->import.profiles->profiles[k]);

        g_autoptr(Imported) one = import_text(import_vgpu_config, vgpu_config, "20B2");
        g_assert_cmpuint(one->import.profiles->n_profiles, ==, 1);
        g_assert_cmphex(one->import.profiles->profiles[0]->matches[0].devices[0], ==, 0x20b2);
}

static void test_vgpu_config_errors(void) {
        static const char *const texts[] = {
                "",
                "x",
                "<a/>",
                "<vgpuconfig>",
                "<vgpuconfig><vgpuType/></vgpuconfig>",
                "<vgpuconfig><vgpuType id='x' name='a' class='b'/></vgpuconfig>",
                "<vgpuconfig><vgpuType id='1' name='' class='b'/></vgpuconfig>",
                "<vgpuconfig><pgpu/></vgpuconfig>",
                "<vgpuconfig><vgpuType id='1' name='a' class='b'><framebuffer>-1</framebuffer></vgpuType></vgpuconfig>",
                ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><vgpuconfig><vgpuType id='1' name='&x;' "
                 "class='b'/></vgpuconfig>"),
        };

        for (size_t k = 0; k < G_N_ELEMENTS(texts); k++) {
                g_autoptr(Imported) i = import_text(import_vgpu_config, texts[k], NULL);

                g_test_message("%s: %s", texts[k], i->printed);
                g_assert_cmpuint(i->report.n_errors, >, 0);
        }
}
#endif

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/import/mdev-gpu", test_mdev_gpu);
        g_test_add_func("/import/vgpu-device-manager", test_vgpu_device_manager);
        g_test_add_func("/import/vgpu-device-manager/one", test_one_configuration);
        g_test_add_func("/import/vgpu-device-manager/errors", test_vgpu_device_manager_errors);
        g_test_add_func("/import/mig-parted", test_mig_parted);
        g_test_add_func("/import/profile-override", test_profile_override);
        g_test_add_func("/import/profile-override/errors", test_profile_override_errors);
#if HAVE_LIBXML2
        g_test_add_func("/import/vgpu-config", test_vgpu_config);
        g_test_add_func("/import/vgpu-config/errors", test_vgpu_config_errors);
#endif

        return g_test_run();
}
