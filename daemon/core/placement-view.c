/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fnmatch.h>

#include "core/gpu.h"
#include "core/placement-view.h"
#include "core/scan.h"
#include "core/type.h"
#include "core/vgpu.h"

static bool is_excluded(const PlacementRules *rules, const Gpu *gpu) {
        for (size_t i = 0; i < rules->n_excluded; i++)
                if (fnmatch(rules->excluded[i], gpu->identity.address, FNM_NOESCAPE) == 0)
                        return true;

        return false;
}

static const char *find_problem(const PlacementRules *rules, const Gpu *gpu) {
        if (gpu->leaving)
                return "is going";
        if (is_excluded(rules, gpu))
                return "is excluded by policy";
        if (gpu->state == GPU_PROBING)
                return "is still being read";
        if (gpu->state == GPU_BUSY)
                return "is busy";

        return gpu_makes_vgpus(gpu) ? NULL : "makes no vGPUs at present";
}

static PlacementType *find_type(const PlacementGpu *gpu, const char *id) {
        for (size_t i = 0; i < gpu->n_types; i++)
                if (streq(gpu->types[i].id, id))
                        return &gpu->types[i];

        return NULL;
}

static bool is_being_made(const VGpu *vgpu) {
        return !vgpu->present && (vgpu->state == VGPU_CREATING || vgpu->doubtful);
}

static int view_gpu(const Manager *manager, const PlacementRules *rules, const Gpu *gpu, PlacementGpu *ret) {
        size_t n = 0;
        Type *type;
        VGpu *vgpu;

        *ret = (PlacementGpu){
                .address = gpu->identity.address,
                .numa_node = scan_numa_node(manager->host, gpu->identity.address),
                .framebuffer = gpu->framebuffer_total,
                .mixed = true, /* no driver that is spoken to says otherwise but by what it counts */
                .problem = find_problem(rules, gpu),
        };

        LIST_FOREACH(type, &gpu->types, link)
                n++;
        ret->types = calloc(MAX(n, 1U), sizeof(PlacementType));
        if (!ret->types)
                return -ENOMEM;

        LIST_FOREACH(type, &gpu->types, link)
                ret->types[ret->n_types++] = (PlacementType){
                        .id = type->report.id,
                        .framebuffer = type->report.framebuffer,
                        .max = type->report.max_instances,
                        .available = type->report.registration == REGISTRATION_REGISTERED ||
                                                     type->report.registration == REGISTRATION_DIFFERS
                                             ? type->report.available
                                             : 0,
                };

        LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link) {
                PlacementType *of = find_type(ret, vgpu->type_id);

                if (of && vgpu->present)
                        of->used++;
                else if (of && is_being_made(vgpu))
                        of->reserved++;
        }

        return 0;
}

int placement_view_new(const Manager *manager, const PlacementRules *rules, PlacementView *ret) {
        _cleanup_(placement_view_done) PlacementView view = {};
        size_t n = MAX(manager->gpus_by_address.n, 1U);
        Gpu *gpu;
        int r;

        view.gpus = calloc(n, sizeof(PlacementGpu));
        view.objects = calloc(n, sizeof(Gpu *));
        if (!view.gpus || !view.objects)
                return -ENOMEM;

        LIST_FOREACH(gpu, &manager->gpus, link) {
                r = view_gpu(manager, rules, gpu, &view.gpus[view.n]);
                if (r < 0)
                        return r;
                view.objects[view.n++] = gpu;
        }

        *ret = view;
        view = (PlacementView){};
        return 0;
}

void placement_view_done(PlacementView *view) {
        for (size_t i = 0; i < view->n; i++)
                free(view->gpus[i].types);
        free(view->gpus);
        free(view->objects);
        *view = (PlacementView){};
}

int placement_view_find(const PlacementView *view, const char *word, int **ret_types) {
        int *types;

        types = calloc(MAX(view->n, 1U), sizeof(int));
        if (!types)
                return -ENOMEM;

        for (size_t i = 0; i < view->n; i++) {
                Type *type;

                types[i] = -1;
                if (gpu_find_type(view->objects[i], word, &type, NULL) >= 0)
                        types[i] = (int)(find_type(&view->gpus[i], type->report.id) - view->gpus[i].types);
        }

        *ret_types = types;
        return 0;
}
