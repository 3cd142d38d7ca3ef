/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is to be said of one GPU: why it has no types, or no room for another vGPU. */

#include "core/diagnosis.h"
#include "core/gpu.h"
#include "core/type.h"
#include "core/vgpu.h"

#define MIB (UINT64_C(1) << 20)

/* Intel's GVT-g keeps this much of the aperture for the host, and its smallest type takes that much of it (Linux 6.1,
 * drivers/gpu/drm/i915/gvt: HOST_LOW_GM_SIZE, and the first row of the table of types). */
#define GVT_HOST_APERTURE (128 * MIB)
#define GVT_SMALLEST_TYPE (64 * MIB)
/* With less than this the larger types have no room. */
#define GVT_GOOD_APERTURE (512 * MIB)

typedef struct DriverAdvice {
        const char *driver, *message, *advice;
} DriverAdvice;

/* What the ordinary drivers of cards that can be divided are not. */
static const DriverAdvice drivers[] = {
        { "nouveau", "cannot divide a card",
          "Install the host's side of NVIDIA's vGPU software instead, and keep nouveau from being loaded." },
        { "nvidia", "is there, but does not act as the host's side of NVIDIA's vGPU software",
          "Install the vGPU host driver (NVIDIA calls it vGPU manager) instead of the one for this machine's own use. "
          "'mdevgpuctl probe' says what the driver answers." },
        { "amdgpu", "offers no vGPUs by itself",
          "For virtual functions of AMD's Instinct and Radeon Pro V cards install AMD's host driver (gim)." },
        { "vfio-pci", "has the whole card, to be handed to a virtual machine",
          "To have it divided, give it back to the vendor's driver: write its address to "
          "/sys/bus/pci/drivers/vfio-pci/unbind, then to /sys/bus/pci/drivers_probe." },
};

static int judge_gvt(Diagnosis *diagnosis, const HostFacts *facts, const Gpu *gpu) {
        const FindingPlace place = { .gpu = gpu };

        if (facts->gvt == GVT_ABSENT)
                return diagnosis_add(
                        diagnosis, FINDING_GVT_OFF, place,
                        "Use a kernel built with CONFIG_DRM_I915_GVT, as Debian's is. Intel's GVT-g is for "
                        "the GPUs of the 5th to the 10th generation of its processors (vendor-documented); "
                        "later ones have virtual functions.",
                        "Its driver i915 was built without Intel's GVT-g.");
        if (facts->gvt == GVT_OFF)
                return diagnosis_add(
                        diagnosis, FINDING_GVT_OFF, place,
                        "Start the kernel with i915.enable_gvt=1. Intel's GVT-g is for the GPUs of the 5th "
                        "to the 10th generation of its processors (vendor-documented).",
                        "Its driver i915 was not told to divide it: the parameter enable_gvt is off.");
        if (!facts->kvmgt_module)
                return diagnosis_add(diagnosis, FINDING_GVT_OFF, place,
                                     "Load it: modprobe kvmgt, and write 'kvmgt' to a file of /etc/modules-load.d.",
                                     "The module kvmgt is not loaded, without which i915 offers no types.");

        return diagnosis_add(diagnosis, FINDING_GVT_OFF, place,
                             "'journalctl -k -g i915' may say why. A GPU of a later generation than the 10th has no "
                             "GVT-g (vendor-documented).",
                             "i915.enable_gvt is on and kvmgt is loaded, but i915 offers no types for it.");
}

static int judge_aperture(Diagnosis *diagnosis, const HostFacts *facts, const Gpu *gpu) {
        for (size_t i = 0; i < facts->n_apertures; i++) {
                const Aperture *aperture = &facts->apertures[i];
                uint64_t left = aperture->size > GVT_HOST_APERTURE ? aperture->size - GVT_HOST_APERTURE : 0;

                if (!streq(aperture->address, gpu->identity.address) || aperture->size >= GVT_GOOD_APERTURE)
                        continue;

                return diagnosis_add(diagnosis, FINDING_APERTURE_SMALL, (FindingPlace){ .gpu = gpu },
                                     "Make the aperture as large as it can be in the firmware's setup.",
                                     "Its aperture is of %" PRIu64
                                     " MiB, of which Intel's GVT-g keeps 128 for the host: "
                                     "there is room for %" PRIu64 " of the smallest vGPUs (observed in Linux 6.1).",
                                     aperture->size / MIB, left / GVT_SMALLEST_TYPE);
        }

        return 0;
}

/* Its driver does not divide it. */
static int judge_driver(Diagnosis *diagnosis, const DiagnosisInput *input, const Gpu *gpu) {
        const FindingPlace place = { .gpu = gpu };

        if (gpu->driver[0] == '\0')
                return diagnosis_add(
                        diagnosis, FINDING_NO_DRIVER, place,
                        "Install the vendor's driver for it, or load it; 'journalctl -k' shows whether the "
                        "kernel has tried.",
                        "No driver is bound to it.");
        if (streq(gpu->driver, "i915") && input->facts)
                return judge_gvt(diagnosis, input->facts, gpu);

        for (size_t i = 0; i < ELEMENTSOF(drivers); i++)
                if (streq(gpu->driver, drivers[i].driver))
                        return diagnosis_add(diagnosis, FINDING_DRIVER_NOT_VGPU, place, drivers[i].advice,
                                             "Its driver %s %s.", gpu->driver, drivers[i].message);

        return diagnosis_add(diagnosis, FINDING_DRIVER_NOT_VGPU, place,
                             "Install the vendor's driver that divides the card, if there is one for it.",
                             "Its driver %s offers no vGPUs: it is no parent of mediated devices, and has no control "
                             "channel that mdevgpud knows.",
                             gpu->driver);
}

/* Backends whose types a profile has to state. */
static bool takes_types(const Gpu *gpu) {
        return streq(gpu->backend, "shim") || streq(gpu->backend, "nvidia");
}

static int judge_no_types(Diagnosis *diagnosis, const DiagnosisInput *input, Gpu *gpu) {
        _cleanup_(freep) TypeSpec *specs = NULL;
        const FindingPlace place = { .gpu = gpu };
        size_t n_specs = 0;
        int r = 0;

        if (input->manager->profiles)
                r = profile_set_select(input->manager->profiles, &gpu->identity, &specs, &n_specs);
        if (r < 0)
                return r;
        if (takes_types(gpu) && n_specs == 0)
                return diagnosis_add(diagnosis, FINDING_NO_PROFILE, place,
                                     "Write one: a file of /etc/mdevgpud/types.d, see mdevgpud-types.d(5); then: "
                                     "mdevgpuctl reload",
                                     "Its driver takes its types from a profile, and no profile matches it (vendor "
                                     "0x%04x, device 0x%04x).",
                                     gpu->identity.vendor, gpu->identity.device);
        if (streq(gpu->driver, "nvidia") && input->facts && !input->facts->nvidia_vgpu_module)
                return diagnosis_add(diagnosis, FINDING_DRIVER_NOT_VGPU, place, drivers[1].advice,
                                     "Its driver nvidia %s: the module nvidia_vgpu_vfio is not loaded.",
                                     drivers[1].message);
        if (streq(gpu->driver, "i915") && input->facts)
                return judge_gvt(diagnosis, input->facts, gpu);

        return diagnosis_add(diagnosis, FINDING_NO_TYPES, place,
                             "'journalctl -k' and 'journalctl -u mdevgpud' may say more; 'mdevgpuctl status GPU' shows "
                             "the card.",
                             "Its driver %s offers no types%s%s.", gpu->driver, gpu->reason[0] != '\0' ? ": " : "",
                             gpu->reason);
}

static int judge_type(Diagnosis *diagnosis, const Gpu *gpu, const Type *type) {
        const TypeReport *t = &type->report;
        const FindingPlace place = { .gpu = gpu };

        switch (t->registration) {
        case REGISTRATION_REFUSED:
                return diagnosis_add(diagnosis, FINDING_TYPE_REFUSED, place,
                                     "Change what the profile states for it, then: mdevgpuctl reload",
                                     "Its driver has refused the type %s: %s.", t->id, t->reason);
        case REGISTRATION_DIFFERS:
                return diagnosis_add(diagnosis, FINDING_TYPE_DIFFERS, place,
                                     "State it as the driver has it, or give it another id, or have the GPU's driver "
                                     "loaded anew.",
                                     "Its driver holds the type %s otherwise than the profile states it: %s.", t->id,
                                     t->reason);
        default:
                return 0;
        }
}

bool diagnosis_gpu_is_divided(const Gpu *gpu) {
        Type *type;

        LIST_FOREACH(type, &gpu->types, link)
                if (type->report.kind != VGPU_WHOLE)
                        return true;

        return false;
}

static unsigned count_vgpus(const Gpu *gpu) {
        unsigned n = 0;
        VGpu *vgpu;

        LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link)
                n += vgpu->present;
        return n;
}

/* Whether none of its types has an instance left; what is not known counts as left. */
static const Type *find_full(const Gpu *gpu) {
        const Type *full = NULL;
        Type *type;

        LIST_FOREACH(type, &gpu->types, link) {
                if (type->report.kind == VGPU_WHOLE)
                        continue;
                if (type->report.available != 0)
                        return NULL;
                if (!full || type->report.reason[0] != '\0')
                        full = type;
        }

        return full;
}

static bool is_handed_over(const Gpu *gpu) {
        VGpu *vgpu;

        LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link)
                if (vgpu->present && vgpu->kind == VGPU_WHOLE)
                        return true;
        return false;
}

static bool can_be_handed_over(const Gpu *gpu) {
        Type *type;

        LIST_FOREACH(type, &gpu->types, link)
                if (type->report.kind == VGPU_WHOLE && type->report.available != 0)
                        return true;
        return false;
}

static int judge_room(Diagnosis *diagnosis, const DiagnosisInput *input, const Gpu *gpu) {
        const Type *full = find_full(gpu);
        unsigned n = count_vgpus(gpu);
        int r;

        if (!full || is_handed_over(gpu)) /* as a whole, as somebody wanted */
                return 0;

        r = diagnosis_add(
                diagnosis, FINDING_NO_ROOM, (FindingPlace){ .gpu = gpu },
                n > 0 ? "Destroy one of its vGPUs, or use another GPU. 'mdevgpuctl list' shows them."
                      : "'mdevgpuctl types GPU' says of each type why; something else may use the card.",
                "It has no room for a part of it: none of the types that divide it has an instance left, with "
                "%u vGPU%s on it%s%s%s.",
                n, n == 1 ? "" : "s", can_be_handed_over(gpu) ? "; as a whole it can be handed over" : "",
                full->report.reason[0] != '\0' ? "; " : "", full->report.reason);
        if (r >= 0 && streq(gpu->driver, "i915") && input->facts)
                r = judge_aperture(diagnosis, input->facts, gpu);
        return r;
}

/* What it would be divided into is not enabled, and nothing else is there to divide it. */
static bool lacks_functions(const Gpu *gpu) {
        return gpu->max_vfs > 0 && gpu->num_vfs == 0 && count_vgpus(gpu) == 0 &&
               (!diagnosis_gpu_is_divided(gpu) || find_full(gpu));
}

static int judge_types(Diagnosis *diagnosis, const DiagnosisInput *input, Gpu *gpu) {
        Type *type;
        int r = 0;

        if (gpu->pending_types)
                r = diagnosis_add(diagnosis, FINDING_TYPES_PENDING, (FindingPlace){ .gpu = gpu },
                                  "They are registered by themselves when the last vGPU on this GPU goes; where the "
                                  "profile says `pending-apply: manual`, by 'mdevgpuctl reload' then.",
                                  "Types wait to be registered, as that would disturb the vGPUs that are there.");
        LIST_FOREACH(type, &gpu->types, link)
                if (r >= 0)
                        r = judge_type(diagnosis, gpu, type);
        if (r < 0)
                return r;

        if (lacks_functions(gpu))
                return diagnosis_add(diagnosis, FINDING_VFS_OFF, (FindingPlace){ .gpu = gpu },
                                     "Enable them: 'mdevgpuctl vfs GPU all', or a number; for each boot by 'sriov' in "
                                     "mdevgpud.yaml(5).",
                                     "None of its %" PRIu32
                                     " virtual functions is enabled, on which its driver may offer "
                                     "vGPUs.",
                                     gpu->max_vfs);
        if (diagnosis_gpu_is_divided(gpu))
                return judge_room(diagnosis, input, gpu);
        /* It has been handed over as a whole, as somebody wanted. */
        if (!list_is_empty(&gpu->types) && count_vgpus(gpu) > 0)
                return 0;
        return streq(gpu->backend, "vfio-pci") ? judge_driver(diagnosis, input, gpu)
                                               : judge_no_types(diagnosis, input, gpu);
}

static bool is_about_division(FindingId id) {
        return id == FINDING_NO_DRIVER || id == FINDING_DRIVER_NOT_VGPU || id == FINDING_GVT_OFF ||
               id == FINDING_NO_PROFILE || id == FINDING_NO_TYPES;
}

/* Whether somebody expects types of it: a profile states some, or vGPUs are defined for it. */
static bool is_wanted(const Manager *manager, const Gpu *gpu) {
        if (!list_is_empty(&gpu->vgpus))
                return true;

        for (size_t i = 0; manager->profiles && i < manager->profiles->n_profiles; i++) {
                const Profile *profile = manager->profiles->profiles[i];

                if (profile->n_types > 0 && profile_matches(profile, &gpu->identity))
                        return true;
        }

        return false;
}

static bool another_is_divided(const Manager *manager) {
        Gpu *gpu;

        LIST_FOREACH(gpu, &manager->gpus, link)
                if (gpu->linked && diagnosis_gpu_is_divided(gpu))
                        return true;

        return false;
}

static int judge_gpu(Diagnosis *diagnosis, const DiagnosisInput *input, Gpu *gpu) {
        const FindingPlace place = { .gpu = gpu };
        int r;

        switch (gpu->state) {
        case GPU_NO_DRIVER:
        case GPU_UNSUPPORTED:
                return judge_driver(diagnosis, input, gpu);
        case GPU_BUSY:
                return diagnosis_add(
                        diagnosis, FINDING_GPU_BUSY, place,
                        "If it stays so, the driver is stuck, and its messages are in 'journalctl -k'. Other "
                        "GPUs are not concerned. Often only a reboot helps.",
                        "Its driver does not answer: %s.", gpu->reason);
        case GPU_FAILED:
                return diagnosis_add(diagnosis, FINDING_GPU_FAILED, place,
                                     "It is tried again by itself; 'journalctl -u mdevgpud' shows how often it failed.",
                                     "It cannot be read: %s.", gpu->reason);
        case GPU_DEGRADED:
                r = diagnosis_add(
                        diagnosis, FINDING_GPU_DEGRADED, place,
                        "'mdevgpuctl types GPU' says which types it holds. Unload and load the driver, with no "
                        "vGPU on the card, for it to begin anew.",
                        "It works, but its driver holds its types otherwise than it should: %s.", gpu->reason);
                return r < 0 ? r : judge_types(diagnosis, input, gpu);
        case GPU_NOT_VGPU_HOST:
                return diagnosis_add(diagnosis, FINDING_DRIVER_NOT_VGPU, place, drivers[1].advice,
                                     "Its driver %s runs no vGPUs: %s.", gpu->driver, gpu->reason);
        case GPU_LAYOUT_UNKNOWN:
                return diagnosis_add(
                        diagnosis, FINDING_DRIVER_NOT_VGPU, place,
                        "Install a version that this mdevgpud knows, or a newer mdevgpud; 'mdevgpuctl probe' "
                        "says what the driver answers.",
                        "Its driver %s is not one whose interface is known, so that no type is registered "
                        "with it: %s.",
                        gpu->driver, gpu->reason);
        case GPU_HOST_READY:
        case GPU_READY:
                return judge_types(diagnosis, input, gpu);
        case GPU_PROBING: /* nothing is known yet */
        default:
                return 0;
        }
}

int diagnosis_judge_gpu(Diagnosis *diagnosis, const DiagnosisInput *input, Gpu *gpu) {
        size_t first = diagnosis->n_findings;
        int r;

        r = judge_gpu(diagnosis, input, gpu);
        if (r < 0 || is_wanted(input->manager, gpu) || !another_is_divided(input->manager))
                return r;

        /* The card that shows the console, beside one that is divided, is as it should be. */
        for (size_t i = first; i < diagnosis->n_findings; i++)
                if (is_about_division(diagnosis->findings[i].id))
                        diagnosis->findings[i].severity = FINDING_WARNING;
        return 0;
}
