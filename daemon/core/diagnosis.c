/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/diagnosis.h"
#include "core/gpu.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/string-table.h"
#include "util/text.h"

/* The one table of what can be found: its word, which stays, and how grave it is. */
static const struct {
        const char *word;
        FindingSeverity severity;
} finding_table[FINDING_ID_MAX] = {
        [FINDING_NO_GPUS] = { "no-gpus", FINDING_WARNING },
        [FINDING_IOMMU_OFF] = { "iommu-off", FINDING_WARNING },
        [FINDING_MDEV_CLASS_ABSENT] = { "mdev-class-absent", FINDING_WARNING },
        [FINDING_SECOND_AUTOSTART] = { "second-autostart", FINDING_INFO },
        [FINDING_MDEVCTL_ABSOLUTE_PATH] = { "mdevctl-absolute-path", FINDING_INFO },
        [FINDING_LIBVIRT_BLIND] = { "libvirt-blind", FINDING_WARNING },
        [FINDING_FOREIGN_CALLOUTS] = { "foreign-callouts", FINDING_WARNING },
        [FINDING_MDEV_GPU_FILE] = { "mdev-gpu-file", FINDING_WARNING },
        [FINDING_MDEV_GPU_UNIT] = { "mdev-gpu-unit", FINDING_WARNING },
        [FINDING_MDEV_GPU_PROGRAM] = { "mdev-gpu-program", FINDING_INFO },
        [FINDING_HOST_NOT_EXAMINED] = { "host-not-examined", FINDING_WARNING },
        [FINDING_NO_DRIVER] = { "no-driver", FINDING_ERROR },
        [FINDING_DRIVER_NOT_VGPU] = { "driver-not-vgpu", FINDING_ERROR },
        [FINDING_GVT_OFF] = { "gvt-off", FINDING_ERROR },
        [FINDING_APERTURE_SMALL] = { "aperture-small", FINDING_WARNING },
        [FINDING_GPU_BUSY] = { "gpu-busy", FINDING_ERROR },
        [FINDING_GPU_FAILED] = { "gpu-failed", FINDING_ERROR },
        [FINDING_GPU_DEGRADED] = { "gpu-degraded", FINDING_ERROR },
        [FINDING_VFS_OFF] = { "vfs-off", FINDING_WARNING },
        [FINDING_NO_PROFILE] = { "no-profile", FINDING_ERROR },
        [FINDING_NO_TYPES] = { "no-types", FINDING_ERROR },
        [FINDING_TYPES_PENDING] = { "types-pending", FINDING_WARNING },
        [FINDING_TYPE_REFUSED] = { "type-refused", FINDING_ERROR },
        [FINDING_TYPE_DIFFERS] = { "type-differs", FINDING_WARNING },
        [FINDING_NO_ROOM] = { "no-room", FINDING_WARNING },
        [FINDING_CONFIG_ERROR] = { "config-error", FINDING_ERROR },
        [FINDING_CONFIG_WARNING] = { "config-warning", FINDING_WARNING },
        [FINDING_PROFILE_UNMATCHED] = { "profile-unmatched", FINDING_WARNING },
        [FINDING_VGPU_FAILED] = { "vgpu-failed", FINDING_ERROR },
        [FINDING_VGPU_GPU_ABSENT] = { "vgpu-gpu-absent", FINDING_WARNING },
};

static const char *const finding_severity_table[FINDING_SEVERITY_MAX] = {
        [FINDING_ERROR] = "error",
        [FINDING_WARNING] = "warning",
        [FINDING_INFO] = "info",
};

DEFINE_STRING_TABLE(finding_severity, FindingSeverity)

const char *finding_id_to_string(FindingId id) {
        return id >= 0 && id < FINDING_ID_MAX ? finding_table[id].word : NULL;
}

static void finding_done(Finding *finding) {
        free(finding->subject);
        free(finding->message);
        free(finding->advice);
}

void diagnosis_done(Diagnosis *diagnosis) {
        for (size_t i = 0; i < diagnosis->n_findings; i++)
                finding_done(&diagnosis->findings[i]);
        free(diagnosis->findings);
        *diagnosis = (Diagnosis){};
}

int diagnosis_add(Diagnosis *diagnosis, FindingId id, FindingPlace place, const char *advice, const char *format, ...) {
        const char *subject = place.subject
                                      ?: place.vgpu ? place.vgpu->uuid
                                 : place.gpu        ? place.gpu->identity.address
                                                    : "host";
        Finding finding = { .id = id, .severity = finding_table[id].severity, .gpu = place.gpu, .vgpu = place.vgpu };
        Finding *findings;
        va_list ap;
        int r;

        va_start(ap, format);
        r = text_formatv(&finding.message, format, ap);
        va_end(ap);
        if (r < 0)
                return r;

        finding.subject = strdup(subject);
        finding.advice = strdup(advice);
        findings = reallocarray(diagnosis->findings, diagnosis->n_findings + 1, sizeof(Finding));
        if (findings)
                diagnosis->findings = findings;
        if (!finding.subject || !finding.advice || !findings) {
                finding_done(&finding);
                return -ENOMEM;
        }

        findings[diagnosis->n_findings++] = finding;
        return 0;
}

static int judge_iommu(Diagnosis *diagnosis, const HostFacts *facts) {
        static const char *const advice[FIRMWARE_IOMMU_MAX] = {
                [FIRMWARE_IOMMU_DMAR] = "The firmware has it (VT-d): start the kernel with intel_iommu=on.",
                [FIRMWARE_IOMMU_IVRS] =
                        "The firmware has it (AMD-Vi): start the kernel without amd_iommu=off and iommu=off.",
                [FIRMWARE_IOMMU_NONE] = ("Switch it on in the firmware's setup, where it is called VT-d or AMD-Vi, and "
                                         "sometimes IOMMU or SVM."),
        };

        if (facts->iommu)
                return 0;

        return diagnosis_add(
                diagnosis, FINDING_IOMMU_OFF, (FindingPlace){}, advice[facts->firmware_iommu],
                "The IOMMU is off: the kernel has no IOMMU groups. Whole cards and virtual functions cannot "
                "be handed to virtual machines; mediated devices can, where their driver needs no IOMMU.");
}

static bool any_gpu_lacks_types(const Manager *manager) {
        Gpu *gpu;

        LIST_FOREACH(gpu, &manager->gpus, link)
                if (gpu->linked && !diagnosis_gpu_is_divided(gpu))
                        return true;

        return false;
}

static int judge_mdev_class(Diagnosis *diagnosis, const DiagnosisInput *input) {
        if (input->facts->mdev_class || !any_gpu_lacks_types(input->manager))
                return 0;

        return diagnosis_add(diagnosis, FINDING_MDEV_CLASS_ABSENT, (FindingPlace){},
                             "If a card's driver is to offer mediated devices, install and load the driver that does; "
                             "its messages are in 'journalctl -k'. Cards that are divided by virtual functions or by a "
                             "profile need nothing here.",
                             "No driver offers mediated devices: /sys/class/mdev_bus is not there.");
}

static int judge_mdevctl(Diagnosis *diagnosis, const HostFacts *facts) {
        int r = 0;

        if (facts->mdevctl_rule && facts->mdevctl_program)
                r = diagnosis_add(diagnosis, FINDING_SECOND_AUTOSTART, (FindingPlace){},
                                  "Nothing has to be done. To have mdevgpud alone start them: "
                                  "ln -s /dev/null /etc/udev/rules.d/60-mdevctl.rules",
                                  "mdevctl's own udev rule starts definitions of mediated devices, too. That is "
                                  "harmless: whoever comes second finds the device there.");
        if (r >= 0 && facts->libvirt_blind != 0)
                r = diagnosis_add(
                        diagnosis, FINDING_LIBVIRT_BLIND, (FindingPlace){},
                        "Restart libvirtd, or virtnodedevd: running virtual machines are not stopped by that.",
                        "libvirt (process %u) does not watch /etc/mdevctl.d, which was not there when it "
                        "started: it does not notice definitions that others make.",
                        facts->libvirt_blind);
        if (r < 0 || facts->libvirt_mdevctl[0] == '\0')
                return r;

        return diagnosis_add(diagnosis, FINDING_MDEVCTL_ABSOLUTE_PATH, (FindingPlace){},
                             facts->libvirt_mdevctl_exists
                                     ? "Nothing has to be done: it reads and writes the same definitions."
                                     : "Install the package mdevctl, without which libvirt sees no definitions.",
                             "libvirt runs mdevctl as %s, whatever PATH says%s.", facts->libvirt_mdevctl,
                             facts->libvirt_mdevctl_exists ? "" : ", and there is no such file");
}

static int judge_others(Diagnosis *diagnosis, const HostFacts *facts) {
        int r = 0;

        if (facts->n_callouts > 0)
                r = diagnosis_add(
                        diagnosis, FINDING_FOREIGN_CALLOUTS, (FindingPlace){},
                        "What they have to do at the start or end of a device has to be done otherwise: by a "
                        "udev rule, or by a client that hears the signals of org.mdevgpu1.",
                        "There are %u scripts for mdevctl's callouts (%s). mdevgpud does not run them: they are "
                        "run for what mdevctl itself starts and stops.",
                        facts->n_callouts, facts->callouts);
        if (r >= 0 && facts->mdev_gpu_unit)
                r = diagnosis_add(
                        diagnosis, FINDING_MDEV_GPU_UNIT,
                        (FindingPlace){ .subject = "/etc/systemd/system/mdev-post.service" },
                        "Disable and remove it: systemctl disable --now mdev-post.service",
                        "A unit of Mdev-GPU's is there, which registers types beside mdevgpud, or, where "
                        "mdevgpud has a mdev-post.service of its own, stands in that one's way and does not "
                        "start.");
        if (r >= 0 && facts->mdev_gpu_program)
                r = diagnosis_add(diagnosis, FINDING_MDEV_GPU_PROGRAM, (FindingPlace){ .subject = "/usr/bin/mdev-cli" },
                                  "Remove it if nobody needs it.",
                                  "Mdev-GPU's program is there. mdevgpud does not use it; types that it registers are "
                                  "not mdevgpud's.");
        return r;
}

static int judge_host(Diagnosis *diagnosis, const DiagnosisInput *input) {
        int r = 0;

        if (list_is_empty(&input->manager->gpus))
                r = diagnosis_add(
                        diagnosis, FINDING_NO_GPUS, (FindingPlace){},
                        "If there is a card, 'lspci -nn' shows it, as a display or processing device; else no "
                        "driver for something else offers mediated devices.",
                        "There is no GPU: no PCI device of a display class, and no parent of mediated "
                        "devices.");
        if (r < 0)
                return r;
        if (!input->facts)
                return diagnosis_add(diagnosis, FINDING_HOST_NOT_EXAMINED, (FindingPlace){},
                                     "Ask again; the journal of mdevgpud may say more.",
                                     "The machine could not be looked at: %s. What is said here is of GPUs, "
                                     "configuration and vGPUs only.",
                                     input->facts_error);

        r = judge_iommu(diagnosis, input->facts);
        if (r >= 0)
                r = judge_mdev_class(diagnosis, input);
        if (r >= 0)
                r = judge_mdevctl(diagnosis, input->facts);
        return r < 0 ? r : judge_others(diagnosis, input->facts);
}

/* What is done until the configuration is right. */
static const char *advise_config(const Manager *manager) {
        if (manager->profiles)
                return "Correct it, then: mdevgpuctl reload. Until then the last good configuration is in force.";
        if (manager->settings)
                return "Correct it, then: mdevgpuctl reload. Until then mdevgpud.yaml alone is in force, and no "
                       "profile and no topology: no configuration has been good since the daemon was started.";

        return "Correct it, then: mdevgpuctl reload. Until then nothing is in force, and only root may have vGPUs "
               "made: no configuration has been good since the daemon was started.";
}

static int judge_problems(Diagnosis *diagnosis, const ConfigReport *report, const char *advice) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < report->n_problems && diagnosis->n_findings < FINDINGS_MAX; i++) {
                const ConfigProblem *p = &report->problems[i];
                bool error = p->severity == PROBLEM_ERROR;
                char subject[4352];

                (void)snprintf(subject, sizeof(subject), p->line > 0 ? "%.4096s:%u:%u" : "%.4096s", p->file, p->line,
                               p->column);
                r = diagnosis_add(diagnosis, error ? FINDING_CONFIG_ERROR : FINDING_CONFIG_WARNING,
                                  (FindingPlace){ .subject = subject }, error ? advice : "", "%s.", p->message);
        }

        return r;
}

static int judge_profiles(Diagnosis *diagnosis, const Manager *manager) {
        int r = 0;

        for (size_t i = 0; r >= 0 && manager->profiles && i < manager->profiles->n_profiles; i++) {
                const Profile *profile = manager->profiles->profiles[i];
                bool matched = false;
                Gpu *gpu;

                LIST_FOREACH(gpu, &manager->gpus, link)
                        matched = matched || profile_matches(profile, &gpu->identity);
                if (matched || profile->n_types == 0)
                        continue;

                r = diagnosis_add(
                        diagnosis, FINDING_PROFILE_UNMATCHED, (FindingPlace){ .subject = profile->file },
                        "If it should: compare its `match` with the numbers that 'lspci -nn' shows of the card.",
                        "This profile matches no GPU of this machine: its types are registered nowhere.");
        }

        return r;
}

/* Of a GPU of which types.d speaks Mdev-GPU's file says nothing: who edits the latter should know. */
static int judge_fallbacks(Diagnosis *diagnosis, const Manager *manager) {
        const ProfileSet *set = manager->profiles;
        Gpu *gpu;
        int r = 0;

        LIST_FOREACH(gpu, &manager->gpus, link) {
                const Profile *fallback = NULL, *native = NULL;

                for (size_t i = 0; set && i < set->n_profiles; i++) {
                        const Profile *profile = set->profiles[i];

                        if (!profile_matches(profile, &gpu->identity))
                                continue;
                        if (profile->fallback)
                                fallback = profile;
                        else
                                native = profile;
                }
                if (r < 0 || !fallback || !native)
                        continue;

                r = diagnosis_add(diagnosis, FINDING_MDEV_GPU_FILE, (FindingPlace){ .gpu = gpu },
                                  "Keep its types in one of the two files, and remove it from the other.",
                                  "Both %s and %s speak of it; what counts is the latter alone.", fallback->file,
                                  native->file);
        }

        return r;
}

static int judge_vgpus(Diagnosis *diagnosis, const Manager *manager) {
        VGpu *vgpu;
        int r = 0;

        LIST_FOREACH(vgpu, &manager->all_vgpus, link) {
                const FindingPlace place = { .vgpu = vgpu, .gpu = vgpu->gpu };

                if (r < 0 || !vgpu->linked)
                        continue;
                if (vgpu->state == VGPU_FAILED)
                        r = diagnosis_add(diagnosis, FINDING_VGPU_FAILED, place,
                                          "When the cause is gone: mdevgpuctl start UUID", "It cannot be started: %s.",
                                          vgpu->last_error[0] != '\0' ? vgpu->last_error : "no reason is known");
                else if (!vgpu->gpu && vgpu->autostart)
                        r = diagnosis_add(diagnosis, FINDING_VGPU_GPU_ABSENT, place,
                                          "It is started when that device comes. If it has another address now, define "
                                          "the vGPU for that one.",
                                          "It is to be started by itself, but there is no GPU %s.", vgpu->parent);
        }

        return r;
}

static int compare_findings(const void *a, const void *b) {
        const Finding *x = a, *y = b;

        if (x->severity != y->severity)
                return x->severity < y->severity ? -1 : 1;
        if (x->id != y->id)
                return x->id < y->id ? -1 : 1;
        return strcmp(x->subject, y->subject);
}

static int judge(Diagnosis *diagnosis, const DiagnosisInput *input) {
        Gpu *gpu;
        int r;

        r = judge_host(diagnosis, input);
        LIST_FOREACH(gpu, &input->manager->gpus, link)
                if (r >= 0 && gpu->linked)
                        r = diagnosis_judge_gpu(diagnosis, input, gpu);
        if (r >= 0)
                r = judge_problems(diagnosis, input->config, advise_config(input->manager));
        if (r >= 0)
                r = judge_problems(diagnosis, input->definitions, "Correct it, then: mdevgpuctl reload.");
        if (r >= 0)
                r = judge_profiles(diagnosis, input->manager);
        if (r >= 0)
                r = judge_fallbacks(diagnosis, input->manager);
        return r < 0 ? r : judge_vgpus(diagnosis, input->manager);
}

int diagnosis_make(const DiagnosisInput *input, Diagnosis *ret_diagnosis) {
        Diagnosis diagnosis = {};
        int r;

        r = judge(&diagnosis, input);
        if (r < 0) {
                diagnosis_done(&diagnosis);
                return r;
        }

        if (diagnosis.n_findings > 0)
                qsort(diagnosis.findings, diagnosis.n_findings, sizeof(Finding), compare_findings);
        while (diagnosis.n_findings > FINDINGS_MAX)
                finding_done(&diagnosis.findings[--diagnosis.n_findings]);
        *ret_diagnosis = diagnosis;
        return 0;
}
