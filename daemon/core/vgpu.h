/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VGpu: one virtual GPU: a mediated device today, a virtual function or a whole card as well, and nothing outside a
 * backend asks which.
 *
 * It is built invisible and linked (published) when it was seen; its GPU owns it.
 */

#include "core/backend.h"
#include "core/observer.h"
#include "util/list.h"
#include "util/map.h"

typedef enum VGpuState {
        VGPU_CREATING, /* invisible: its create is on the way */
        VGPU_ACTIVE,
        VGPU_REMOVING,
        VGPU_STATE_MAX,
        VGPU_STATE_INVALID = -EINVAL,
} VGpuState;

typedef struct Manager Manager;
typedef struct Operation Operation;

struct VGpu {
        Gpu *gpu;
        List link; /* in gpu->vgpus, from vgpu_new() on */
        MapNode node; /* in manager->vgpus, keyed by uuid, from vgpu_new() on: the UUID is taken */
        bool linked; /* visible */
        bool seen;   /* in the report that is being applied */
        VGpuState state;
        char uuid[UUID_STRING_SIZE];
        char type_id[TYPE_ID_SIZE];
        char parent[SYSFS_NAME_SIZE];
        char sysfs_path[512];
        int32_t iommu_group; /* -1: none */
        VGpuKind kind;
        bool doubtful; /* its create ended with its worker: the next reading tells whether it exists */
        bool managed;      /* made by us: our record says so */
        bool elsewhere;    /* another GPU has reported it since */
        char last_error[REASON_SIZE * 2];
        Operation *operation; /* that works on it, or NULL */
};

const char *vgpu_state_to_string(VGpuState s);
const char *vgpu_kind_to_string(VGpuKind k);

/* Takes the UUID; -EEXIST if it is taken. */
int vgpu_new(Gpu *gpu, const char *uuid, VGpu **ret_vgpu);
VGpu *vgpu_free(VGpu *vgpu);
DEFINE_CLEANUP(VGpu *, vgpu_free)

void vgpu_link(VGpu *vgpu);   /* tells the observer */
void vgpu_unlink(VGpu *vgpu); /* tells the observer; harmless if it is not linked */

/* Takes over what was read; tells the observer what changed if the vGPU is linked. */
void vgpu_update(VGpu *vgpu, const VGpuReport *report);
void vgpu_set_state(VGpu *vgpu, VGpuState state, const char *last_error);
void vgpu_set_managed(VGpu *vgpu, bool managed);

/* The type object that it is an instance of, or NULL if its GPU shows no such type (any more). */
Type *vgpu_get_type(const VGpu *vgpu);
