/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/manager.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/string-table.h"
#include "util/text.h"

static const char *const vgpu_state_table[VGPU_STATE_MAX] = {
        [VGPU_CREATING] = "creating",
        [VGPU_ACTIVE] = "active",
        [VGPU_REMOVING] = "removing",
};

DEFINE_STRING_TABLE(vgpu_state, VGpuState)

static const char *const vgpu_kind_table[VGPU_KIND_MAX] = {
        [VGPU_MDEV] = "mdev",
        [VGPU_VF] = "vf",
        [VGPU_WHOLE] = "whole",
};

DEFINE_STRING_TABLE(vgpu_kind, VGpuKind)

int vgpu_new(Gpu *gpu, const char *uuid, VGpu **ret_vgpu) {
        VGpu *vgpu;
        int r;

        vgpu = calloc(1, sizeof(VGpu));
        if (!vgpu)
                return -ENOMEM;

        (void)text_copy(vgpu->uuid, sizeof(vgpu->uuid), uuid);
        r = map_add(&gpu->manager->vgpus, &vgpu->node, vgpu->uuid);
        if (r < 0) {
                free(vgpu);
                return r;
        }

        vgpu->gpu = gpu;
        vgpu->iommu_group = -1;
        list_append(&gpu->vgpus, &vgpu->link);

        *ret_vgpu = vgpu;
        return 0;
}

VGpu *vgpu_free(VGpu *vgpu) {
        if (!vgpu)
                return NULL;

        assert(!vgpu->linked);
        assert(!vgpu->operation);

        map_remove(&vgpu->gpu->manager->vgpus, &vgpu->node);
        list_unlink(&vgpu->link);
        free(vgpu);
        return NULL;
}

void vgpu_link(VGpu *vgpu) {
        assert(!vgpu->linked);

        vgpu->linked = true;
        OBSERVE(vgpu->gpu->manager, vgpu_added, vgpu);
}

void vgpu_unlink(VGpu *vgpu) {
        if (!vgpu->linked)
                return;

        OBSERVE(vgpu->gpu->manager, vgpu_removed, vgpu);
        vgpu->linked = false;
}

static void vgpu_changed(VGpu *vgpu, unsigned mask) {
        if (vgpu->linked && mask != 0)
                OBSERVE(vgpu->gpu->manager, vgpu_changed, vgpu, mask);
}

void vgpu_update(VGpu *vgpu, const VGpuReport *report) {
        unsigned mask = 0;

        if (!streq(vgpu->type_id, report->type_id))
                mask |= VGPU_CHANGED_TYPE;
        if (!streq(vgpu->parent, report->parent) || !streq(vgpu->sysfs_path, report->sysfs_path) ||
            vgpu->iommu_group != report->iommu_group || vgpu->kind != report->kind)
                mask |= VGPU_CHANGED_DEVICE;

        (void)text_copy(vgpu->type_id, sizeof(vgpu->type_id), report->type_id);
        (void)text_copy(vgpu->parent, sizeof(vgpu->parent), report->parent);
        (void)text_copy(vgpu->sysfs_path, sizeof(vgpu->sysfs_path), report->sysfs_path);
        vgpu->iommu_group = report->iommu_group;
        vgpu->kind = report->kind;
        vgpu_changed(vgpu, mask);
}

void vgpu_set_state(VGpu *vgpu, VGpuState state, const char *last_error) {
        unsigned mask = 0;

        if (vgpu->state != state)
                mask |= VGPU_CHANGED_STATE;
        if (!streq(vgpu->last_error, strempty(last_error)))
                mask |= VGPU_CHANGED_ERROR;

        vgpu->state = state;
        (void)text_copy(vgpu->last_error, sizeof(vgpu->last_error), strempty(last_error));
        vgpu_changed(vgpu, mask);
}

void vgpu_set_managed(VGpu *vgpu, bool managed) {
        unsigned mask = vgpu->managed != managed ? VGPU_CHANGED_MANAGED : 0;

        vgpu->managed = managed;
        vgpu_changed(vgpu, mask);
}

Type *vgpu_get_type(const VGpu *vgpu) {
        return gpu_find_type_by_id(vgpu->gpu, vgpu->type_id);
}
