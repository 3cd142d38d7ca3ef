/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Diagnosis: why there are no types or no room, and what to do about it. A judgement over the model and over what a worker
 * saw of the machine; it asks nobody and changes nothing.
 */

#include "core/host-facts.h"
#include "core/manager.h"

typedef enum FindingId {
        /* of the machine */
        FINDING_NO_GPUS,
        FINDING_IOMMU_OFF,
        FINDING_MDEV_CLASS_ABSENT,
        FINDING_SECOND_AUTOSTART,
        FINDING_MDEVCTL_ABSOLUTE_PATH,
        FINDING_LIBVIRT_BLIND,
        FINDING_FOREIGN_CALLOUTS,
        FINDING_MDEV_GPU_FILE,
        FINDING_MDEV_GPU_UNIT,
        FINDING_MDEV_GPU_PROGRAM,
        FINDING_HOST_NOT_EXAMINED,
        /* of a GPU */
        FINDING_NO_DRIVER,
        FINDING_DRIVER_NOT_VGPU,
        FINDING_GVT_OFF,
        FINDING_APERTURE_SMALL,
        FINDING_GPU_BUSY,
        FINDING_GPU_FAILED,
        FINDING_GPU_DEGRADED,
        FINDING_VFS_OFF,
        FINDING_NO_PROFILE,
        FINDING_NO_TYPES,
        FINDING_TYPES_PENDING,
        FINDING_TYPE_REFUSED,
        FINDING_TYPE_DIFFERS,
        FINDING_NO_ROOM,
        /* of the configuration */
        FINDING_CONFIG_ERROR,
        FINDING_CONFIG_WARNING,
        FINDING_PROFILE_UNMATCHED,
        /* of a vGPU */
        FINDING_VGPU_FAILED,
        FINDING_VGPU_GPU_ABSENT,
        FINDING_ID_MAX,
        FINDING_ID_INVALID = -EINVAL,
} FindingId;

typedef enum FindingSeverity {
        FINDING_ERROR, /* something that should work does not */
        FINDING_WARNING, /* it may be wanted so, or will matter */
        FINDING_INFO, /* harmless, and worth knowing */
        FINDING_SEVERITY_MAX,
        FINDING_SEVERITY_INVALID = -EINVAL,
} FindingSeverity;

const char *finding_id_to_string(FindingId id);
const char *finding_severity_to_string(FindingSeverity severity);

typedef struct Finding {
        FindingId id;
        FindingSeverity severity;
        const Gpu *gpu; /* that it is about, or NULL; this and the next live as long as the model is left alone */
        const VGpu *vgpu;
        char *subject; /* a GPU's name, a UUID, FILE:LINE or "host" */
        char *message; /* what is the matter: sentences */
        char *advice; /* what to do: sentences; or empty */
} Finding;

/* More than a person reads; what is over it is left out, the gravest come first. */
#define FINDINGS_MAX 256U

typedef struct Diagnosis {
        Finding *findings; /* the gravest first, otherwise in the order of FindingId */
        size_t n_findings;
} Diagnosis;

typedef struct DiagnosisInput {
        const Manager *manager;
        const ConfigReport *config; /* of the configuration as it was last read */
        const ConfigReport *definitions; /* of definitions of vGPUs */
        const HostFacts *facts; /* NULL: they could not be had */
        const char *facts_error; /* and why */
} DiagnosisInput;

int diagnosis_make(const DiagnosisInput *input, Diagnosis *ret_diagnosis);
void diagnosis_done(Diagnosis *diagnosis);

typedef struct FindingPlace {
        const Gpu *gpu;
        const VGpu *vgpu;
        const char *subject; /* NULL: that of the GPU or vGPU, or "host" */
} FindingPlace;

/* For diagnosis-gpu.c: adds one; the severity is that of the id's row. */
int diagnosis_add(Diagnosis *diagnosis, FindingId id, FindingPlace place, const char *advice, const char *format, ...)
        _printf_(5, 6);

/* diagnosis-gpu.c: what is to be said of one GPU; and whether it has types besides the whole card. */
bool diagnosis_gpu_is_divided(const Gpu *gpu);
int diagnosis_judge_gpu(Diagnosis *diagnosis, const DiagnosisInput *input, Gpu *gpu);
