/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is there: what of it stays, what goes, and what is changed. */

#include "core/definition-files.h"
#include "core/gpu.h"
#include "core/topology-planner.h"
#include "core/vgpu.h"
#include "util/text.h"

/* With what it is now, which is what it is to be again if the step is taken back. */
static TopologyStep *add_step_for(Planner *p, TopologyAction action, const VGpu *vgpu) {
        TopologyStep *step = planner_add_step(p, action, vgpu->uuid, vgpu->parent, vgpu->type_id);

        if (!step)
                return NULL;

        (void)text_copy(step->label, sizeof(step->label), vgpu->label);
        (void)text_copy(step->old_label, sizeof(step->old_label), vgpu->label);
        step->autostart = step->old_autostart = vgpu->autostart;
        step->unmanaged = !vgpu->managed;
        step->old_owner = vgpu->owner;
        return step;
}

static size_t index_of(const Planner *p, const Gpu *gpu) {
        size_t i = 0;

        while (i < p->view.n && p->view.objects[i] != gpu)
                i++;
        return i; /* view.n: none */
}

static bool may_touch(const Planner *p, const VGpu *vgpu) {
        return vgpu->managed || p->policy->unmanaged == TOPOLOGY_UNMANAGED_TAKE;
}

static bool is_claimed(const Planner *p, const VGpu *vgpu) {
        for (size_t i = 0; i < p->n_wants; i++)
                if (p->wants[i].vgpu == vgpu)
                        return true;

        return false;
}

/* The vGPU is of the type, on one of the GPUs, that the want is for. */
static bool is_alike(const Planner *p, const Want *want, const VGpu *vgpu) {
        size_t gpu = vgpu->gpu ? index_of(p, vgpu->gpu) : p->view.n;

        return gpu < p->view.n && want->types[gpu] >= 0 &&
               streq(p->view.gpus[gpu].types[want->types[gpu]].id, vgpu->type_id);
}

static bool is_usable(const VGpu *vgpu) {
        return vgpu->present || (vgpu->file && vgpu->file->problem[0] == '\0');
}

/* Somebody works on it: what comes of that nobody knows. */
static bool is_busy(const VGpu *vgpu) {
        return vgpu->operation || vgpu->doubtful || vgpu->state == VGPU_CREATING || vgpu->state == VGPU_REMOVING;
}

static int report_busy(Planner *p, const VGpu *vgpu) {
        return planner_add_problem(p, -ERROR_BUSY, "vGPU %s on %s is being changed; try again in a moment", vgpu->uuid,
                           vgpu->gpu ? vgpu->gpu->identity.address : vgpu->parent);
}

/* The one that the topology names. */
static int claim_named(Planner *p, Want *want) {
        VGpu *vgpu = MAP_FIND(&p->manager->vgpus, want->spec->uuid, VGpu, node);

        if (!vgpu)
                return 0;

        want->vgpu = vgpu;
        if (is_busy(vgpu)) {
                want->given_up = true;
                return p->options->only ? 0 : report_busy(p, vgpu);
        }
        if (is_usable(vgpu) && is_alike(p, want, vgpu))
                return 0;

        want->remade = true;
        if (p->options->only) {
                want->given_up = true;
                return 0;
        }
        if (vgpu->present ? may_touch(p, vgpu) : vgpu->owned || may_touch(p, vgpu))
                return 0;

        want->given_up = true;
        return planner_add_problem(p, -ERROR_NOT_MANAGED,
                           "vGPU %s is of type %s on %s, and is not ours: the topology wants '%s' there", vgpu->uuid,
                           vgpu->type_id, vgpu->parent, want->spec->type);
}

/* How well it would do for the want; -1: not at all. */
static int rate(const Planner *p, const Want *want, const VGpu *vgpu) {
        if (!is_usable(vgpu) || is_busy(vgpu) || !may_touch(p, vgpu) || is_claimed(p, vgpu) || !is_alike(p, want, vgpu))
                return -1;

        return (vgpu->present ? 4 : 0) + (streq(vgpu->label, want->spec->label) ? 2 : 0) +
               (vgpu->autostart == want->spec->autostart ? 1 : 0);
}

static void claim_any(Planner *p, Want *want) {
        int best = -1;
        VGpu *vgpu;

        LIST_FOREACH(vgpu, &p->manager->all_vgpus, link) {
                int rating = rate(p, want, vgpu);

                if (rating > best) {
                        want->vgpu = vgpu;
                        best = rating;
                }
        }
}

/* What fits is kept. Those that are named first, so that no other takes them. */
int planner_claim(Planner *p) {
        int r = 0;

        for (size_t i = 0; i < p->n_wants && r >= 0; i++)
                if (p->wants[i].spec->uuid[0] != '\0')
                        r = claim_named(p, &p->wants[i]);
        for (size_t i = 0; i < p->n_wants && r >= 0; i++)
                if (p->wants[i].spec->uuid[0] == '\0')
                        claim_any(p, &p->wants[i]);

        return r;
}

/* Its device goes, and its definition if that is ours; and what it took is free. */
static int add_removal(Planner *p, const VGpu *vgpu, const char *why) {
        size_t gpu = vgpu->gpu ? index_of(p, vgpu->gpu) : p->view.n;
        TopologyStep *step;

        if (vgpu->present) {
                step = add_step_for(p, TOPOLOGY_DESTROY, vgpu);
                if (!step)
                        return -ENOMEM;
                planner_say(step, "%s", why);
                for (size_t t = 0; gpu < p->view.n && t < p->view.gpus[gpu].n_types; t++)
                        if (streq(p->view.gpus[gpu].types[t].id, vgpu->type_id))
                                p->view.gpus[gpu].types[t].leaving++;
        }

        if (vgpu->file && (vgpu->owned || p->policy->unmanaged == TOPOLOGY_UNMANAGED_TAKE)) {
                step = add_step_for(p, TOPOLOGY_UNDEFINE, vgpu);
                if (!step)
                        return -ENOMEM;
                (void)text_copy(step->gpu, sizeof(step->gpu), vgpu->file->definition.parent);
                (void)text_copy(step->type_id, sizeof(step->type_id), vgpu->file->definition.type_id);
                step->unmanaged = !vgpu->owned;
                planner_say(step, "%s", why);
                return attributes_copy(&vgpu->file->definition.attributes, &step->attributes);
        }

        return 0;
}

/* What is there and not asked for. What is only defined is no vGPU that is there. */
int planner_prune(Planner *p) {
        VGpu *vgpu;
        int r = 0;

        for (size_t i = 0; i < p->n_wants && r >= 0; i++)
                if (p->wants[i].remade && !p->wants[i].given_up)
                        r = add_removal(p, p->wants[i].vgpu, "it is of another type, or elsewhere, than it shall be");
        if (r < 0 || p->policy->prune == TOPOLOGY_PRUNE_NONE || p->options->only)
                return r;

        LIST_FOREACH(vgpu, &p->manager->all_vgpus, link) {
                size_t gpu = vgpu->gpu ? index_of(p, vgpu->gpu) : p->view.n;

                if (gpu == p->view.n || !p->scope[gpu] || is_claimed(p, vgpu))
                        continue;
                if (is_busy(vgpu))
                        r = report_busy(p, vgpu);
                else if (vgpu->present && may_touch(p, vgpu))
                        r = add_removal(p, vgpu, "the topology does not ask for it");
                if (r < 0)
                        return r;
        }

        return 0;
}

/* What a vGPU that stays lacks. */
static int add_changes(Planner *p, const Want *want) {
        const TopologyVGpu *spec = want->spec;
        const VGpu *vgpu = want->vgpu;
        bool label = spec->label[0] != '\0' && !streq(spec->label, vgpu->label);
        bool autostart = spec->autostart != vgpu->autostart;
        TopologyAction action = TOPOLOGY_KEEP;
        TopologyStep *step;

        if (may_touch(p, vgpu) && planner_may_touch_gpu(p, vgpu->gpu) && (label || autostart))
                action = autostart && !vgpu->file ? TOPOLOGY_DEFINE : TOPOLOGY_MODIFY;
        if (action == TOPOLOGY_KEEP && !vgpu->present) /* it is started, which is enough */
                return 0;

        step = add_step_for(p, action, vgpu);
        if (!step)
                return -ENOMEM;
        if (action == TOPOLOGY_KEEP) {
                planner_say(step, "it is as the topology asks");
                return 0;
        }

        if (label)
                (void)text_copy(step->label, sizeof(step->label), spec->label);
        step->autostart = spec->autostart;
        if (vgpu->file)
                step->unmanaged = !vgpu->owned;
        planner_say(step, "%s%s%s",
            autostart ? spec->autostart ? "it shall start by itself" : "it shall not start by itself" : "",
            autostart && label ? ", and " : "", label ? "its label shall be another one" : "");
        return 0;
}

/* One that is defined, if there is room; if it is not named another one will do. */
static int add_start(Planner *p, Want *want) {
        const VGpu *vgpu = want->vgpu;
        size_t gpu = index_of(p, vgpu->gpu);
        PlacementGpu *place = &p->view.gpus[gpu];
        size_t type = (size_t)want->types[gpu];
        TopologyStep *step;

        if (!planner_may_touch_gpu(p, vgpu->gpu)) {
                want->given_up = true;
                return 0;
        }

        if (!placement_has_room(place, type)) {
                const PlacementItem item = { .types = want->types, .numa_node = -1 };
                Error error = ERROR_NULL;

                if (want->spec->uuid[0] == '\0') {
                        want->vgpu = NULL;
                        return 0;
                }
                want->given_up = true;
                (void)placement_explain(p->view.gpus, p->view.n, &item, want->spec->type, &error);
                return planner_add_problem(p, error.code, "%s:%u: vGPU %s cannot be started: %s", p->topology->file,
                                   want->spec->line, vgpu->uuid, error.message);
        }

        place->types[type].reserved++;
        step = add_step_for(p, TOPOLOGY_START, vgpu);
        if (!step)
                return -ENOMEM;
        planner_say(step, "it is defined and not there");
        return 0;
}

int planner_keep(Planner *p) {
        int r = 0;

        for (size_t i = 0; i < p->n_wants && r >= 0; i++) {
                Want *want = &p->wants[i];

                if (!want->vgpu || want->remade || want->given_up || (want->waits && !want->vgpu->present))
                        continue;
                if (!want->vgpu->present)
                        r = add_start(p, want);
                if (r >= 0 && want->vgpu && !want->given_up)
                        r = add_changes(p, want);
        }

        return r;
}
