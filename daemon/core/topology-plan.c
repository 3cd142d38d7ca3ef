/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <uuid.h>

#include "core/gpu.h"
#include "core/topology-planner.h"
#include "core/vgpu.h"
#include "util/identity.h"
#include "util/string-table.h"
#include "util/text.h"

static const char *const topology_action_table[TOPOLOGY_ACTION_MAX] = {
        [TOPOLOGY_KEEP] = "keep",     [TOPOLOGY_DESTROY] = "destroy", [TOPOLOGY_UNDEFINE] = "undefine",
        [TOPOLOGY_MODIFY] = "modify", [TOPOLOGY_DEFINE] = "define",   [TOPOLOGY_START] = "start",
        [TOPOLOGY_CREATE] = "create", [TOPOLOGY_LATER] = "later",     [TOPOLOGY_ENABLE_VFS] = "enable-vfs",
        [TOPOLOGY_SET_MIXED] = "set-mixed-size",
};

DEFINE_STRING_TABLE(topology_action, TopologyAction)

TopologyAction topology_action_from_string(const char *s) {
        for (TopologyAction a = 0; a < TOPOLOGY_ACTION_MAX; a++)
                if (streq(topology_action_table[a], s))
                        return a;

        return TOPOLOGY_ACTION_INVALID;
}

int planner_add_problem(Planner *p, int code, const char *format, ...) {
        _cleanup_(freep) char *message = NULL;
        Error *problems;
        va_list ap;
        int r;

        va_start(ap, format);
        r = text_formatv(&message, format, ap);
        va_end(ap);
        if (r < 0)
                return r;

        problems = reallocarray(p->plan->problems, p->plan->n_problems + 1, sizeof(Error));
        if (!problems)
                return -ENOMEM;

        p->plan->problems = problems;
        problems[p->plan->n_problems] = ERROR_NULL;
        (void)error_set(&problems[p->plan->n_problems++], code, "%s", message);
        return 0;
}

TopologyStep *planner_add_step(Planner *p, TopologyAction action, const char *uuid, const char *gpu,
                               const char *type_id) {
        TopologyStep *steps, *step;

        steps = reallocarray(p->plan->steps, p->plan->n_steps + 1, sizeof(TopologyStep));
        if (!steps)
                return NULL;

        p->plan->steps = steps;
        step = &steps[p->plan->n_steps++];
        *step = (TopologyStep){ .action = action };
        (void)text_copy(step->uuid, sizeof(step->uuid), uuid);
        (void)text_copy(step->gpu, sizeof(step->gpu), gpu);
        (void)text_copy(step->type_id, sizeof(step->type_id), type_id);
        return step;
}

void planner_say(TopologyStep *step, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(step->reason, sizeof(step->reason), format, ap);
        va_end(ap);
        text_sanitize(step->reason);
}

bool planner_may_touch_gpu(const Planner *p, const Gpu *gpu) {
        if (!p->options->only)
                return true;

        for (size_t i = 0; i < p->options->n_only; i++)
                if (streq(p->options->only[i], gpu->identity.address))
                        return true;

        return false;
}

static bool is_missing(const Want *want) {
        return !want->given_up && !want->waits && (!want->vgpu || want->remade);
}

/* One after the other, as far as that goes: says what does not find a place. */
static int place_singly(Planner *p) {
        int r = 0;

        for (size_t i = 0; i < p->n_wants && r >= 0; i++) {
                const PlacementItem item = { .types = p->wants[i].types, .numa_node = -1 };
                const TopologyVGpu *spec = p->wants[i].spec;
                Error error = ERROR_NULL;
                int gpu;

                if (!is_missing(&p->wants[i]))
                        continue;

                gpu = placement_choose(p->view.gpus, p->view.n, &item, p->policy->placement.order);
                if (gpu >= 0) {
                        p->view.gpus[gpu].types[item.types[gpu]].reserved++;
                        p->wants[i].gpu = (size_t)gpu;
                        continue;
                }

                p->wants[i].given_up = true;
                (void)placement_explain(p->view.gpus, p->view.n, &item, spec->type, &error);
                if (i == 0 || p->wants[i - 1].spec != spec || !p->wants[i - 1].given_up) /* once for all of a kind */
                        r = planner_add_problem(p, error.code, "%s:%u: %s", p->topology->file, spec->line, error.message);
        }

        return r;
}

static int place(Planner *p) {
        _cleanup_(freep) PlacementItem *items = NULL;
        _cleanup_(freep) size_t *chosen = NULL;
        size_t n = 0, k = 0;
        int r;

        items = calloc(MAX(p->n_wants, 1U), sizeof(PlacementItem));
        chosen = calloc(MAX(p->n_wants, 1U), sizeof(size_t));
        if (!items || !chosen)
                return -ENOMEM;

        /* What is not to be changed takes nothing more. */
        for (size_t i = 0; i < p->view.n; i++)
                if (!planner_may_touch_gpu(p, p->view.objects[i]) && !p->view.gpus[i].problem)
                        p->view.gpus[i].problem = "is left as it is";

        for (size_t i = 0; i < p->n_wants; i++)
                if (is_missing(&p->wants[i]))
                        items[n++] = (PlacementItem){ .types = p->wants[i].types, .numa_node = -1 };

        r = placement_assign(p->view.gpus, p->view.n, items, n, p->policy->placement.order, chosen);
        if (r < 0)
                return place_singly(p);

        for (size_t i = 0; i < p->n_wants; i++)
                if (is_missing(&p->wants[i]))
                        p->wants[i].gpu = chosen[k++];
        return 0;
}

static bool uuid_is_taken(const Planner *p, const char *uuid) {
        for (size_t i = 0; i < p->plan->n_steps; i++)
                if (streq(p->plan->steps[i].uuid, uuid))
                        return true;
        for (size_t i = 0; i < p->n_wants; i++)
                if (streq(p->wants[i].spec->uuid, uuid))
                        return true;

        return map_find(&p->manager->vgpus, uuid);
}

/* The first of a series of UUIDs that nobody has. */
static int derive_uuid(const Planner *p, const char *gpu, const char *type_id, char ret[static UUID_STRING_SIZE]) {
        uint8_t namespace[16];
        uuid_t uuid;

        identity_of_host(namespace);
        for (unsigned k = 0;; k++) {
                _cleanup_(freep) char *name = NULL;
                int n = asprintf(&name, "%s/%s/%s/%u", p->topology->name, gpu, type_id, k);

                if (n < 0) {
                        name = NULL;
                        return -ENOMEM;
                }
                uuid_generate_sha1(uuid, namespace, name, (size_t)n);
                uuid_unparse_lower(uuid, ret);
                if (!uuid_is_taken(p, ret))
                        return 0;
        }
}

static int add_creations(Planner *p) {
        for (size_t i = 0; i < p->n_wants; i++) {
                const Want *want = &p->wants[i];
                const PlacementGpu *gpu;
                char uuid[UUID_STRING_SIZE];
                const char *type_id;
                TopologyStep *step;
                int r = 0;

                if (!is_missing(want) || want->gpu == p->view.n)
                        continue;

                gpu = &p->view.gpus[want->gpu];
                type_id = gpu->types[want->types[want->gpu]].id;
                if (want->spec->uuid[0] != '\0')
                        (void)text_copy(uuid, sizeof(uuid), want->spec->uuid);
                else
                        r = derive_uuid(p, gpu->address, type_id, uuid);
                if (r < 0)
                        return r;

                step = planner_add_step(p, TOPOLOGY_CREATE, uuid, gpu->address, type_id);
                if (!step)
                        return -ENOMEM;
                (void)text_copy(step->label, sizeof(step->label), want->spec->label);
                step->autostart = want->spec->autostart;
                planner_say(step, "the topology asks for it in line %u", want->spec->line);
        }

        return 0;
}

static int compare_steps(const void *a, const void *b) {
        const TopologyStep *x = a, *y = b;

        if (x->action != y->action)
                return x->action < y->action ? -1 : 1;
        if (!streq(x->gpu, y->gpu))
                return strcmp(x->gpu, y->gpu);
        if (!streq(x->type_id, y->type_id))
                return strcmp(x->type_id, y->type_id);
        return strcmp(x->uuid, y->uuid);
}

static void planner_done(Planner *p) {
        for (size_t i = 0; i < p->n_types; i++)
                free(p->types[i]);
        free(p->types);
        free(p->wants);
        free(p->scope);
        free(p->vfs);
        free(p->mixed);
        placement_view_done(&p->view);
}

static int make_plan(Planner *p) {
        int r;

        r = placement_view_new(p->manager, &p->policy->placement, &p->view);
        if (r < 0)
                return r;
        p->scope = calloc(MAX(p->view.n, 1U), sizeof(bool));
        p->vfs = malloc(MAX(p->view.n, 1U) * sizeof(uint32_t));
        p->mixed = calloc(MAX(p->view.n, 1U), sizeof(Tristate));
        if (!p->scope || !p->vfs || !p->mixed)
                return -ENOMEM;
        memset(p->vfs, 0xff, p->view.n * sizeof(uint32_t));

        r = planner_read_topology(p);
        if (r >= 0)
                r = planner_claim(p);
        if (r >= 0)
                r = planner_prune(p);
        if (r >= 0)
                r = planner_add_vfs(p);
        if (r >= 0)
                r = planner_keep(p);
        if (r >= 0)
                r = place(p);
        if (r >= 0)
                r = add_creations(p);
        return r;
}

int topology_plan_new(const Manager *manager, const Topology *topology, const TopologyPolicy *policy,
                      const TopologyPlanOptions *options, TopologyPlan *ret) {
        static const TopologyPlanOptions all = {};
        _cleanup_(topology_plan_done) TopologyPlan plan = {};
        _cleanup_(planner_done) Planner planner = {
                .manager = manager,
                .topology = topology,
                .policy = policy,
                .options = options ?: &all,
                .plan = &plan,
        };
        int r;

        (void)text_copy(plan.topology, sizeof(plan.topology), topology->name);
        r = make_plan(&planner);
        if (r < 0)
                return r;

        if (plan.n_steps > 0)
                qsort(plan.steps, plan.n_steps, sizeof(TopologyStep), compare_steps);
        *ret = plan;
        plan = (TopologyPlan){};
        return 0;
}

static bool has_uuid(const TopologyPlan *plan, const char *uuid) {
        for (size_t i = 0; i < plan->n_steps; i++)
                if (streq(plan->steps[i].uuid, uuid))
                        return true;

        return false;
}

int topology_plan_add_left(TopologyPlan *plan, const Manager *manager, const TopologyPlan *left) {
        TopologyStep *steps;
        int r = 0;

        steps = reallocarray(plan->steps, plan->n_steps + left->n_steps + 1, sizeof(TopologyStep));
        if (!steps)
                return -ENOMEM;

        plan->steps = steps;
        for (size_t i = 0; i < left->n_steps && r >= 0; i++) {
                const TopologyStep *step = &left->steps[i];
                const VGpu *vgpu = manager_find_vgpu(manager, step->uuid);

                if (step->action != TOPOLOGY_UNDEFINE || !vgpu || vgpu->present || !vgpu->file ||
                    has_uuid(plan, step->uuid))
                        continue;
                steps[plan->n_steps] = *step;
                steps[plan->n_steps].attributes = (Attributes){};
                r = attributes_copy(&step->attributes, &steps[plan->n_steps++].attributes);
        }

        qsort(plan->steps, plan->n_steps, sizeof(TopologyStep), compare_steps);
        return r;
}

void topology_step_done(TopologyStep *step) {
        attributes_done(&step->attributes);
}

void topology_plan_done(TopologyPlan *plan) {
        for (size_t i = 0; i < plan->n_steps; i++)
                topology_step_done(&plan->steps[i]);
        free(plan->steps);
        free(plan->problems);
        *plan = (TopologyPlan){};
}

size_t topology_plan_count_changes(const TopologyPlan *plan) {
        size_t n = 0;

        for (size_t i = 0; i < plan->n_steps; i++)
                n += plan->steps[i].action != TOPOLOGY_KEEP;

        return n;
}
