/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Why there are no types or no room: each finding on a machine that gives cause for it, and not on one that gives none. */

#include <fcntl.h>
#include <sys/stat.h>

#include "core/diagnosis.h"
#include "backend/host-facts.h"
#include "core/examination.h"
#include "machine.h"
#include "util/text.h"

#define INTEL_RESOURCE                                                                                                 \
        "0x00000000f6000000 0x00000000f6ffffff 0x0000000000140204\n"                                                   \
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"                                                   \
        "0x00000000e0000000 0x00000000efffffff 0x000000000014220c\n"

typedef struct Scene {
        Machine *m;
        ConfigReport config;
        bool without_facts;
} Scene;

static void write_file(Scene *s, const char *path, const char *text, int mode) {
        g_autofree char *full = g_build_filename(s->m->root, path, NULL), *folder = g_path_get_dirname(full);

        g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
        g_assert_true(g_file_set_contents(full, text, -1, NULL));
        g_assert_cmpint(chmod(full, (mode_t)mode), ==, 0);
}

/* What a machine has on which nothing is to be found. */
static void be_healthy(Scene *s) {
        write_file(s, "sys/kernel/iommu_groups/7/type", "DMA\n", 0444);
}

static Gpu *first(Scene *s) {
        return machine_gpu(s->m, GPU_A);
}

/* A card whose driver does not divide it; whole: it can be handed over as a whole. */
static void set_driver(Scene *s, const char *driver, bool whole) {
        Gpu *gpu = first(s);
        Type *type;

        while ((type = LIST_FIRST(&gpu->types, Type, link)))
                type_free(type);
        gpu->state = driver[0] != '\0' ? GPU_UNSUPPORTED : GPU_NO_DRIVER;
        (void)text_copy(gpu->driver, sizeof(gpu->driver), driver);
        (void)text_copy(gpu->backend, sizeof(gpu->backend), whole ? "vfio-pci" : "");
        if (whole) {
                const TypeReport report = { .id = TYPE_ID_WHOLE, .kind = VGPU_WHOLE, .available = 1 };

                gpu->state = GPU_READY;
                g_assert_cmpint(type_new(gpu, &report, &type), ==, 0);
        }
        machine_set_types(s->m, 0, 1);
}

static void no_gpus(Scene *s) {
        manager_free(s->m->manager);
        s->m->manager = NULL;
        g_assert_cmpint(sim_host_unplug(&s->m->sim, GPU_A), ==, 0);
        g_assert_cmpint(sim_host_unplug(&s->m->sim, GPU_B), ==, 0);
        fake_platform_done(&s->m->fake);
        fake_platform_init(&s->m->fake, &s->m->sim.host);
        g_assert_cmpint(manager_new(
                                &(ManagerParameters){
                                        .event = s->m->event,
                                        .platform = &s->m->fake.platform,
                                        .host = &s->m->sim.host,
                                        .state_fd = s->m->state_fd,
                                },
                                &s->m->manager),
                        ==, 0);
}

static void iommu_off(Scene *s) {
        g_autofree char *file = g_build_filename(s->m->root, "sys/kernel/iommu_groups/7/type", NULL);
        g_autofree char *folder = g_path_get_dirname(file);

        g_assert_cmpint(unlink(file), ==, 0);
        g_assert_cmpint(rmdir(folder), ==, 0);
        write_file(s, "sys/firmware/acpi/tables/DMAR", "", 0400);
}

static void mdev_class_absent(Scene *s) {
        g_autofree char *from = g_build_filename(s->m->root, "sys/class", NULL);
        g_autofree char *to = g_build_filename(s->m->root, "sys/no-class", NULL);

        set_driver(s, "ast", /* whole= */ true);
        g_assert_cmpint(rename(from, to), ==, 0);
}

static void second_autostart(Scene *s) {
        write_file(s, "usr/lib/udev/rules.d/60-mdevctl.rules", "", 0644);
        write_file(s, "usr/sbin/mdevctl", "", 0755);
}

#define DRIVER "usr/lib/riscv64-linux-gnu/libvirt/connection-driver/libvirt_driver_nodedev.so"

static void absolute_path(Scene *s) {
        g_autofree char *path = g_build_filename(s->m->root, DRIVER, NULL);
        static const char driver[] = "\x7f"
                                     "ELF\0mdevctl.d\0/usr/sbin/mdevctl\0--parent";

        write_file(s, DRIVER, "", 0644);
        g_assert_true(g_file_set_contents(path, driver, sizeof(driver), NULL));
}

/* A process whose only inotify descriptor watches another folder */
static void libvirt_blind(Scene *s) {
        g_autofree char *proc = g_build_filename(s->m->root, "proc", NULL);
        g_autofree char *fd = g_build_filename(proc, "4711/fd", NULL), *link = g_build_filename(fd, "9", NULL);
        g_autofree char *root = g_build_filename(proc, "4711/root", NULL);

        write_file(s, DRIVER, "", 0644);
        write_file(s, "etc/mdevctl.d/README", "", 0644);
        write_file(s, "proc/4711/comm", "libvirtd\n", 0444);
        write_file(s, "proc/4711/fdinfo/9", "pos:\t0\ninotify wd:1 ino:0 sdev:1 mask:2\n", 0444);
        g_assert_cmpint(g_mkdir_with_parents(fd, 0755), ==, 0);
        g_assert_cmpint(symlink("anon_inode:inotify", link), ==, 0);
        g_assert_cmpint(symlink(s->m->root, root), ==, 0);
        (void)close(s->m->sim.host.proc_fd);
        s->m->sim.host.proc_fd = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(s->m->sim.host.proc_fd, >=, 0);
}

static void foreign_callouts(Scene *s) {
        write_file(s, "etc/mdevctl.d/scripts.d/callouts/accounting.sh", "#!/bin/sh\n", 0755);
        write_file(s, "etc/mdevctl.d/scripts.d/notifiers/README", "no script", 0644);
}

static void mdev_gpu(Scene *s) {
        write_file(s, "etc/systemd/system/mdev-post.service", "", 0644);
        write_file(s, "usr/bin/mdev-cli", "", 0755);
}

static void not_examined(Scene *s) {
        s->without_facts = true;
}

static void no_driver(Scene *s) {
        set_driver(s, "", /* whole= */ false);
}

static void nouveau(Scene *s) {
        set_driver(s, "nouveau", /* whole= */ true);
}

static void gvt_off(Scene *s) {
        set_driver(s, "i915", /* whole= */ true);
        write_file(s, "sys/module/i915/parameters/enable_gvt", "N\n", 0444);
}

static void kvmgt_absent(Scene *s) {
        set_driver(s, "i915", /* whole= */ true);
        write_file(s, "sys/module/i915/parameters/enable_gvt", "Y\n", 0444);
}

static void set_available(Scene *s, const char *address, uint32_t available) {
        Type *type;

        LIST_FOREACH(type, &machine_gpu(s->m, address)->types, link)
                type_set_available(type, available);
}

static void aperture_small(Scene *s) {
        (void)text_copy(first(s)->driver, sizeof(first(s)->driver), "i915");
        set_available(s, GPU_A, 0);
        write_file(s, "sys/bus/pci/devices/" GPU_A "/resource", INTEL_RESOURCE, 0444);
        write_file(s, "sys/bus/pci/drivers/i915/" GPU_A, "", 0644);
}

static void nvidia_in(Scene *s, GpuState state, const char *reason) {
        Gpu *gpu = first(s);

        set_driver(s, "nvidia", /* whole= */ false);
        gpu->state = state;
        (void)g_strlcpy(gpu->backend, "nvidia", sizeof(gpu->backend));
        (void)g_strlcpy(gpu->reason, reason, sizeof(gpu->reason));
}

static void not_vgpu_host(Scene *s) {
        nvidia_in(s, GPU_NOT_VGPU_HOST, "it is a guest's");
}

static void layout_unknown(Scene *s) {
        nvidia_in(s, GPU_LAYOUT_UNKNOWN, "branch 999");
}

static void host_ready(Scene *s) {
        nvidia_in(s, GPU_HOST_READY, "");
}

static void busy(Scene *s) {
        first(s)->state = GPU_BUSY;
        (void)text_copy(first(s)->reason, sizeof(first(s)->reason), "process 4711 is stuck");
}

static void failed(Scene *s) {
        first(s)->state = GPU_FAILED;
        (void)text_copy(first(s)->reason, sizeof(first(s)->reason), "the list is spoiled");
}

static void degraded(Scene *s) {
        first(s)->state = GPU_DEGRADED;
        (void)text_copy(first(s)->reason, sizeof(first(s)->reason), "two types of five");
}

static void vfs_off(Scene *s) {
        set_driver(s, "vendor", /* whole= */ false);
        first(s)->state = GPU_READY;
        first(s)->max_vfs = 8;
}

static void no_profile(Scene *s) {
        set_driver(s, "mdevgpu_ref", /* whole= */ false);
        first(s)->state = GPU_READY;
        (void)text_copy(first(s)->backend, sizeof(first(s)->backend), "shim");
}

static void no_types(Scene *s) {
        set_driver(s, "vendor", /* whole= */ false);
        first(s)->state = GPU_READY;
        (void)text_copy(first(s)->backend, sizeof(first(s)->backend), "mdev");
        (void)text_copy(first(s)->reason, sizeof(first(s)->reason), "a switch is off");
}

static void types_pending(Scene *s) {
        first(s)->pending_types = true;
}

static void set_registration(Scene *s, Registration registration) {
        Type *type = gpu_find_type_by_id(first(s), TYPE_1);

        type->report.registration = registration;
        (void)text_copy(type->report.reason, sizeof(type->report.reason), "a field is odd");
}

static void refused(Scene *s) {
        set_registration(s, REGISTRATION_REFUSED);
}

static void differs(Scene *s) {
        set_registration(s, REGISTRATION_DIFFERS);
}

static void no_room(Scene *s) {
        set_available(s, GPU_A, 0);
}

/* What is wrong with the parts of a card says nothing of the whole. */
static void no_room_but_whole(Scene *s) {
        const TypeReport report = { .id = TYPE_ID_WHOLE, .kind = VGPU_WHOLE, .available = 1 };
        Type *type;

        no_room(s);
        g_assert_cmpint(type_new(first(s), &report, &type), ==, 0);
}

static void config_error(Scene *s) {
        g_assert_cmpint(config_report_add(&s->config, "a.yaml", 2, 3, PROBLEM_ERROR, "unknown key 'tipes'"), ==, 0);
}

static void config_warning(Scene *s) {
        g_assert_cmpint(config_report_add(&s->config, "a.yaml", 0, 0, PROBLEM_WARNING, "it is odd"), ==, 0);
}

static void profile_unmatched(Scene *s) {
        ProfileSet *set = profile_set_new();
        Profile *profile = profile_new("/etc/mdevgpud/types.d/50-x.yaml");
        const TypeSpec spec = { .id = 1, .name = "X", .max_instances = 1, .framebuffer = GIB };

        ProfileMatch *match = profile_add_match(profile);

        match->any_vendor = false;
        match->vendor = 0x1234;
        g_assert_cmpint(profile_add_type(profile, &spec), ==, 0);
        g_assert_cmpint(profile_set_add(set, profile), ==, 0);
        manager_set_profiles(s->m->manager, set);
}

static void mdev_gpu_file(Scene *s) {
        ProfileSet *set = profile_set_new();
        const TypeSpec spec = { .id = 1, .name = "X", .max_instances = 1, .framebuffer = GIB };

        for (unsigned i = 0; i < 2; i++) {
                Profile *profile = profile_new(i ? "50-own.yaml" : "/etc/gvm/mdev-gpu/generate-vgpu-types.yaml");

                g_assert_nonnull(profile_add_match(profile));
                profile->fallback = i == 0;
                g_assert_cmpint(profile_add_type(profile, &spec), ==, 0);
                g_assert_cmpint(profile_set_add(set, profile), ==, 0);
        }
        manager_set_profiles(s->m->manager, set);
}

static VGpu *defined(Scene *s) {
        VGpu *vgpu;

        write_file(s, "etc/mdevctl.d/0000:99:00.0/" UUID_1,
                   "{\"mdev_type\":\"nvidia-530\",\"start\":\"auto\",\"attrs\":[]}", 0644);
        g_assert_cmpint(definition_files_read_all(s->m->manager->mdev_definitions), ==, 0);
        vgpu = manager_find_vgpu(s->m->manager, UUID_1);
        g_assert_nonnull(vgpu);
        return vgpu;
}

static void vgpu_failed(Scene *s) {
        vgpu_set_state(defined(s), VGPU_FAILED, "its type is gone");
}

static void vgpu_gpu_absent(Scene *s) {
        g_assert_true(defined(s)->autostart);
}

static const struct {
        const char *id, *severity;
        void (*make)(Scene *s);
        const char *subject, *message, *advice;
} scenes[] = {
        { "no-gpus", "warning", no_gpus, "host", "no GPU", "lspci" },
        { "iommu-off", "warning", iommu_off, "host", "IOMMU is off", "intel_iommu=on" },
        { "mdev-class-absent", "warning", mdev_class_absent, "host", "/sys/class/mdev_bus", "driver" },
        { "second-autostart", "info", second_autostart, "host", "udev rule", "Nothing has to be done" },
        { "mdevctl-absolute-path", "info", absolute_path, "host", "/usr/sbin/mdevctl", "Install" },
        { "libvirt-blind", "warning", libvirt_blind, "host", "process 4711) does not watch /etc/mdevctl.d",
          "Restart libvirtd" },
        { "foreign-callouts", "warning", foreign_callouts, "host", "1 scripts for mdevctl's callouts (accounting.sh)",
          "udev rule" },
        { "mdev-gpu-file", "warning", mdev_gpu_file, GPU_A, "50-own.yaml speak of it", "one of the two" },
        { "mdev-gpu-unit", "warning", mdev_gpu, "/etc/systemd/system/mdev-post.service", "beside",
          "systemctl disable" },
        { "mdev-gpu-program", "info", mdev_gpu, "/usr/bin/mdev-cli", "does not use it", "Remove" },
        { "host-not-examined", "warning", not_examined, "host", "no worker", "journal" },
        { "no-driver", "warning", no_driver, GPU_A, "No driver", "Install" },
        { "driver-not-vgpu", "warning", nouveau, GPU_A, "nouveau cannot", "NVIDIA" },
        { "driver-not-vgpu", "warning", not_vgpu_host, GPU_A, "runs no vGPUs: it is a guest's", "NVIDIA" },
        { "driver-not-vgpu", "warning", layout_unknown, GPU_A, "branch 999", "mdevgpuctl probe" },
        { "no-profile", "warning", host_ready, GPU_A, "no profile matches it", "mdevgpud-types.d(5)" },
        { "gvt-off", "warning", gvt_off, GPU_A, "enable_gvt is off", "i915.enable_gvt=1" },
        { "gvt-off", "warning", kvmgt_absent, GPU_A, "kvmgt is not loaded", "modprobe kvmgt" },
        { "aperture-small", "warning", aperture_small, GPU_A,
          "256 MiB, of which Intel's GVT-g keeps 128 for the host: "
          "there is room for 2",
          "firmware" },
        { "gpu-busy", "error", busy, GPU_A, "4711", "reboot" },
        { "gpu-failed", "error", failed, GPU_A, "the list is spoiled", "journal" },
        { "gpu-degraded", "error", degraded, GPU_A, "two types of five", "load the driver" },
        { "vfs-off", "warning", vfs_off, GPU_A, "None of its 8 virtual functions", "mdevgpuctl vfs" },
        { "no-profile", "warning", no_profile, GPU_A, "vendor 0x6d67, device 0x0001", "mdevgpud-types.d(5)" },
        { "no-types", "warning", no_types, GPU_A, "a switch is off", "journal" },
        { "types-pending", "warning", types_pending, GPU_A, "wait", "last vGPU" },
        { "type-refused", "error", refused, GPU_A, "refused the type " TYPE_1 ": a field is odd", "profile" },
        { "type-differs", "warning", differs, GPU_A, "otherwise", "id" },
        { "no-room", "warning", no_room, GPU_A, "no room", "mdevgpuctl types" },
        { "no-room", "warning", no_room_but_whole, GPU_A, "as a whole it can be handed over", "mdevgpuctl types" },
        { "config-error", "error", config_error, "a.yaml:2:3", "tipes", "reload" },
        { "config-warning", "warning", config_warning, "a.yaml", "odd", "" },
        { "profile-unmatched", "warning", profile_unmatched, "/etc/mdevgpud/types.d/50-x.yaml", "matches no GPU",
          "lspci" },
        { "vgpu-failed", "error", vgpu_failed, UUID_1, "its type is gone", "mdevgpuctl start" },
        { "vgpu-gpu-absent", "warning", vgpu_gpu_absent, UUID_1, "0000:99:00.0", "address" },
};

static void scene_init(Scene *s) {
        *s = (Scene){ .m = machine_with_gpus() };
        be_healthy(s);
}

static void scene_done(Scene *s) {
        config_report_done(&s->config);
        machine_free(s->m);
}

static void diagnose(Scene *s, Diagnosis *ret) {
        const ConfigReport none = {};
        HostFacts facts;
        const DiagnosisInput input = {
                .manager = s->m->manager,
                .config = &s->config,
                .definitions = &none,
                .facts = s->without_facts ? NULL : &facts,
                .facts_error = "no worker",
        };

        host_facts_read(&s->m->sim.host, &facts);
        g_assert_cmpint(diagnosis_make(&input, ret), ==, 0);
}

static const Finding *find(const Diagnosis *diagnosis, const char *id) {
        for (size_t i = 0; i < diagnosis->n_findings; i++)
                if (streq(finding_id_to_string(diagnosis->findings[i].id), id))
                        return &diagnosis->findings[i];

        return NULL;
}

static void test_healthy(void) {
        Diagnosis diagnosis;
        Scene s;

        scene_init(&s);
        diagnose(&s, &diagnosis);
        for (size_t i = 0; i < diagnosis.n_findings; i++)
                g_test_message("%s: %s", finding_id_to_string(diagnosis.findings[i].id), diagnosis.findings[i].message);
        g_assert_cmpuint(diagnosis.n_findings, ==, 0);
        diagnosis_done(&diagnosis);
        scene_done(&s);
}

static void test_scenes(void) {
        bool seen[FINDING_ID_MAX] = {};

        for (size_t i = 0; i < ELEMENTSOF(scenes); i++) {
                const Finding *finding;
                Diagnosis diagnosis;
                Scene s;

                g_test_message("%s", scenes[i].id);
                scene_init(&s);
                scenes[i].make(&s);
                diagnose(&s, &diagnosis);
                finding = find(&diagnosis, scenes[i].id);
                g_assert_nonnull(finding);
                g_assert_cmpstr(finding_severity_to_string(finding->severity), ==, scenes[i].severity);
                g_assert_cmpstr(finding->subject, ==, scenes[i].subject);
                g_assert_nonnull(strstr(finding->message, scenes[i].message));
                g_assert_nonnull(strstr(finding->advice, scenes[i].advice));
                g_assert_true(g_str_has_suffix(finding->message, "."));
                seen[finding->id] = true;
                diagnosis_done(&diagnosis);
                scene_done(&s);
        }

        for (FindingId id = 0; id < FINDING_ID_MAX; id++)
                g_assert_true(seen[id]);
}

/* What stands in the way of types is an error where nothing else is divided, or where somebody asks for it. */
static void test_severity(void) {
        const Finding *finding;
        Diagnosis diagnosis;
        Scene s;

        scene_init(&s);
        nouveau(&s);
        g_assert_cmpint(sim_host_unplug(&s.m->sim, GPU_B), ==, 0);
        machine_uevent(s.m, UEVENT_REMOVE, UEVENT_PCI, PATH_B);
        machine_turn(s.m);
        diagnose(&s, &diagnosis);
        finding = find(&diagnosis, "driver-not-vgpu");
        g_assert_nonnull(finding);
        g_assert_cmpint(finding->severity, ==, FINDING_ERROR);
        g_assert_true(finding == &diagnosis.findings[0]);
        diagnosis_done(&diagnosis);
        scene_done(&s);
}

/* Masked, mdevctl's rule starts nothing. */
static void test_masked_rule(void) {
        g_autofree char *link = NULL;
        Diagnosis diagnosis;
        Scene s;

        scene_init(&s);
        second_autostart(&s);
        write_file(&s, "etc/udev/rules.d/other.rules", "", 0644);
        link = g_build_filename(s.m->root, "etc/udev/rules.d/60-mdevctl.rules", NULL);
        g_assert_cmpint(symlink("/dev/null", link), ==, 0);
        diagnose(&s, &diagnosis);
        g_assert_null(find(&diagnosis, "second-autostart"));
        diagnosis_done(&diagnosis);
        scene_done(&s);
}

/* Without its driver for them libvirt lists no node devices: whether it watches makes no difference. */
static void test_without_nodedev(void) {
        g_autofree char *path = NULL;
        Diagnosis diagnosis;
        Scene s;

        scene_init(&s);
        libvirt_blind(&s);
        path = g_build_filename(s.m->root, DRIVER, NULL);
        g_assert_cmpint(unlink(path), ==, 0);
        diagnose(&s, &diagnosis);
        g_assert_null(find(&diagnosis, "libvirt-blind"));
        diagnosis_done(&diagnosis);
        scene_done(&s);
}

static void on_examined(const Error *error, const HostFacts *facts, void *userdata) {
        g_string_append_printf(userdata, "%s", facts ? "facts" : error->message);
}

/* A worker is asked, and what becomes of it is told once. */
static void test_examination(void) {
        g_autoptr(GString) told = g_string_new(NULL);
        Examination *examination;
        Error error = ERROR_NULL;
        Scene s;

        scene_init(&s);
        g_assert_cmpint(examination_new(s.m->manager, on_examined, told, &examination, &error), ==, 0);
        machine_settle(s.m);
        g_assert_cmpstr(told->str, ==, "facts");

        g_string_truncate(told, 0);
        g_assert_cmpint(examination_new(s.m->manager, on_examined, told, &examination, &error), ==, 0);
        fake_time_out(fake_find_job(&s.m->fake, JOB_EXAMINE, NULL), 4711);
        g_assert_nonnull(strstr(told->str, "4711"));

        g_string_truncate(told, 0);
        g_assert_cmpint(examination_new(s.m->manager, on_examined, told, &examination, &error), ==, 0);
        examination_free(examination);
        machine_settle(s.m);
        g_assert_cmpstr(told->str, ==, "");
        scene_done(&s);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/diagnosis/healthy", test_healthy);
        g_test_add_func("/diagnosis/scenes", test_scenes);
        g_test_add_func("/diagnosis/severity", test_severity);
        g_test_add_func("/diagnosis/masked-rule", test_masked_rule);
        g_test_add_func("/diagnosis/without-nodedev", test_without_nodedev);
        g_test_add_func("/diagnosis/examination", test_examination);

        return g_test_run();
}
