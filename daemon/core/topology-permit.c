/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/permission.h"
#include "core/topology-permit.h"
#include "core/type.h"
#include "core/vgpu.h"

typedef struct Permit {
        const Manager *manager;
        const TopologyPlan *plan;
        const Caller *caller;
} Permit;

static bool has_step(const TopologyPlan *plan, TopologyAction action, const char *uuid) {
        for (size_t i = 0; i < plan->n_steps; i++)
                if (plan->steps[i].action == action && streq(plan->steps[i].uuid, uuid))
                        return true;

        return false;
}

static bool is_callers(const Permit *p, const VGpu *vgpu) {
        return vgpu->owner.known && vgpu->owner.uid == p->caller->uid;
}

/* It goes, with whatever keeps it; or it is what is asked for, and counts as that. */
static bool leaves(const VGpu *vgpu, void *userdata) {
        const Permit *p = userdata;

        if (has_step(p->plan, TOPOLOGY_START, vgpu->uuid))
                return is_callers(p, vgpu);

        return (!vgpu->present || has_step(p->plan, TOPOLOGY_DESTROY, vgpu->uuid)) &&
               (!vgpu->file || has_step(p->plan, TOPOLOGY_UNDEFINE, vgpu->uuid));
}

/* False: it makes nothing. */
static bool get_demand(const Permit *p, const TopologyStep *step, RuleDemand *ret) {
        const VGpu *vgpu = manager_find_vgpu(p->manager, step->uuid);
        const Gpu *gpu = manager_find_gpu_of(p->manager, step->gpu);
        const Type *type = gpu ? gpu_find_type_by_id(gpu, step->type_id) : NULL;
        bool counted = false;

        if (step->action == TOPOLOGY_START)
                counted = vgpu && vgpu->owner.known && !is_callers(p, vgpu);
        else if (step->action == TOPOLOGY_DEFINE)
                counted = vgpu && vgpu->owner.known;
        else if (step->action != TOPOLOGY_CREATE)
                return false;

        *ret = (RuleDemand){
                .gpu = gpu ? gpu->identity.address : step->gpu,
                .type_id = step->type_id,
                .type_name = type ? type->report.name : "",
                .framebuffer = permission_type_framebuffer(p->manager, gpu, step->type_id),
                .counted = counted,
        };
        return true;
}

int topology_plan_permit(const Manager *manager, const TopologyPlan *plan, const Caller *caller, Error *error) {
        Permit permit = { .manager = manager, .plan = plan, .caller = caller };
        _cleanup_(freep) RuleHolding *holdings = NULL;
        _cleanup_(freep) RuleDemand *demands = NULL;
        size_t n_holdings, n = 0;
        int r;

        r = permission_check_settings(manager, caller, error);
        if (r < 0 || !caller || !manager->rules)
                return r;

        demands = calloc(MAX(plan->n_steps, 1U), sizeof(RuleDemand));
        r = demands ? permission_get_holdings(manager, leaves, &permit, &holdings, &n_holdings) : -ENOMEM;
        if (r < 0)
                return error_set_errno(error, r, "the limits cannot be looked at");

        for (size_t i = 0; i < plan->n_steps; i++)
                n += get_demand(&permit, &plan->steps[i], &demands[n]) ? 1 : 0;
        return rules_judge(manager->rules, caller, holdings, n_holdings, demands, n, error);
}
