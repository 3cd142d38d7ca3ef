/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/permission.h"
#include "core/topology-apply.h"
#include "core/type.h"
#include "core/vgpu.h"

static const Type *find_type(const Manager *manager, const Gpu *gpu, const char *type_id) {
        const Type *type = gpu ? gpu_find_type_by_id(gpu, type_id) : NULL;
        Gpu *other;

        if (type)
                return type;
        LIST_FOREACH(other, &manager->gpus, link) {
                type = gpu_find_type_by_id(other, type_id);
                if (type)
                        return type;
        }

        return NULL;
}

uint64_t permission_type_framebuffer(const Manager *manager, const Gpu *gpu, const char *type_id) {
        const Type *type = find_type(manager, gpu, type_id);

        return type && type->report.framebuffer > 0 ? type->report.framebuffer : UNKNOWN_U64;
}

/* Whose it is, or will be when what is under way has ended. */
static const Owner *find_owner(const VGpu *vgpu) {
        return !vgpu->owner.known && vgpu->operation ? &vgpu->operation->owner : &vgpu->owner;
}

/* Of what is there, what is defined and what is being written, which may be of other types, the most. */
static uint64_t get_framebuffer(const Manager *manager, const VGpu *vgpu) {
        const char *const types[] = {
                vgpu->type_id,
                vgpu->file ? vgpu->file->definition.type_id : "",
                vgpu->operation ? vgpu->operation->definition.type_id : "",
        };
        uint64_t framebuffer = 0;

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (types[i][0] != '\0')
                        framebuffer = MAX(framebuffer, permission_type_framebuffer(manager, vgpu->gpu, types[i]));

        return framebuffer > 0 ? framebuffer : UNKNOWN_U64;
}

int permission_get_holdings(const Manager *manager, bool (*leaves)(const VGpu *vgpu, void *userdata), void *userdata,
                            RuleHolding **ret_holdings, size_t *ret_n) {
        const TopologyApply *apply = manager->topology_apply;
        const TopologyStep *step;
        RuleHolding *holdings;
        const Owner *owner;
        VGpu *vgpu;
        size_t n = 0, i = 0;

        while (topology_apply_next_due(apply, &i, &owner))
                n++;
        holdings = calloc(MAX(manager->vgpus.n + n, 1U), sizeof(RuleHolding));
        if (!holdings)
                return -ENOMEM;

        n = i = 0;
        while ((step = topology_apply_next_due(apply, &i, &owner)))
                holdings[n++] = (RuleHolding){
                        .owner = owner,
                        .framebuffer = permission_type_framebuffer(manager, manager_find_gpu_of(manager, step->gpu),
                                                                   step->type_id),
                };

        LIST_FOREACH(vgpu, &manager->all_vgpus, link)
                if (find_owner(vgpu)->known && !(leaves && leaves(vgpu, userdata)))
                        holdings[n++] = (RuleHolding){
                                .owner = find_owner(vgpu),
                                .framebuffer = get_framebuffer(manager, vgpu),
                        };

        *ret_holdings = holdings;
        *ret_n = n;
        return 0;
}

static bool is_same(const VGpu *vgpu, void *userdata) {
        return vgpu == userdata;
}

int permission_check_settings(const Manager *manager, const Caller *caller, Error *error) {
        if (manager->settings || !caller || caller->uid == 0)
                return 0;

        return error_set(error, -ERROR_CONFIG_INVALID,
                         "It is not known what user %u may have, as mdevgpud.yaml, which says so, has errors: until it "
                         "is corrected only root may have vGPUs made; 'mdevgpuctl check' lists them",
                         caller->uid);
}

int permission_check(const Manager *manager, const PermissionRequest *request, Error *error) {
        _cleanup_(freep) RuleHolding *holdings = NULL;
        const Type *type = find_type(manager, request->gpu, request->type_id);
        const RuleDemand demand = {
                .gpu = request->gpu ? request->gpu->identity.address : request->parent,
                .type_id = request->type_id,
                .type_name = type ? type->report.name : "",
                .framebuffer = permission_type_framebuffer(manager, request->gpu, request->type_id),
                .counted = request->counted,
        };
        Caller owner;
        size_t n;
        int r;

        r = permission_check_settings(manager, request->caller, error);
        if (r < 0 || !request->caller || !manager->rules)
                return r;

        r = permission_get_holdings(manager, is_same, (void *)request->vgpu, &holdings, &n);
        if (r < 0)
                return error_set_errno(error, r, "the limits cannot be looked at");

        r = rules_judge(manager->rules, request->caller, holdings, n, &demand, 1, error);
        if (r < 0 || !request->owner)
                return r;

        owner = owner_get_caller(request->owner);
        return rules_judge_amount(manager->rules, &owner, holdings, n, &demand, 1, error);
}

/* How much framebuffer a virtual function of Intel's xe has (sriov_admin, kernel 7.0), whatever its type says. */
static bool has_quota(const Attributes *attributes) {
        for (size_t i = 0; attributes && i < attributes->n; i++)
                if (streq(attributes->items[i].name, "vram_quota"))
                        return true;

        return false;
}

int permission_check_attributes(const Manager *manager, const Caller *caller, const Owner *owner,
                                const Attributes *attributes, Error *error) {
        const LimitRule *rule;
        Caller other;
        int r;

        if (!caller || !has_quota(attributes))
                return 0;

        r = permission_check_settings(manager, caller, error);
        if (r < 0)
                return r;
        rule = rules_find_framebuffer(manager->rules, caller);
        if (!rule && owner && owner->known && caller->uid != 0) {
                other = owner_get_caller(owner);
                rule = rules_find_framebuffer(manager->rules, &other);
        }
        if (!rule)
                return 0;

        return error_set(
                error, -ERROR_LIMIT_EXCEEDED,
                "The attribute vram_quota is not set here, as %s:%u limits the framebuffer, which is counted by "
                "types: take a type that has as much as is wanted",
                manager->rules->file, rule->line);
}

Owner permission_get_owner(const Manager *manager, const Caller *caller, const Owner *owner) {
        if (owner)
                return *owner;

        return caller ? caller_get_owner(caller, manager->rules) : (Owner){};
}
