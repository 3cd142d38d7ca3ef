/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <uuid.h>

#include "core/definition-files.h"
#include "core/gpu.h"
#include "core/topology-planner.h"
#include "core/type.h"
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

void planner_say(TopologyStep *step, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(step->reason, sizeof(step->reason), format, ap);
        va_end(ap);
        text_sanitize(step->reason);
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

bool planner_may_touch_gpu(const Planner *p, const Gpu *gpu) {
        if (!p->options->only)
                return true;

        for (size_t i = 0; i < p->options->n_only; i++)
                if (streq(p->options->only[i], gpu->identity.address))
                        return true;

        return false;
}

/* The type that a spec means on each GPU that its entry matches. */
static int resolve_types(Planner *p, const TopologyEntry *entry, const TopologyVGpu *spec, int **ret) {
        int *types;
        int r;

        r = placement_view_find(&p->view, spec->type, &types);
        if (r < 0)
                return r;

        for (size_t i = 0; i < p->view.n; i++)
                if (!profile_match_gpu(&entry->match, &p->view.objects[i]->identity))
                        types[i] = -1;

        p->types[p->n_types++] = types;
        *ret = types;
        return 0;
}

/* There is nothing that could be this. */
static int report_impossible(Planner *p, const TopologyEntry *entry, const TopologyVGpu *spec) {
        const Gpu *gpu = NULL;
        size_t n = 0;

        for (size_t i = 0; i < p->view.n; i++)
                if (profile_match_gpu(&entry->match, &p->view.objects[i]->identity)) {
                        gpu = p->view.objects[i];
                        n++;
                }

        if (p->options->only) /* what is not there yet is waited for */
                return 0;
        if (n == 0)
                return planner_add_problem(p, -ERROR_NO_SUCH_GPU, "%s:%u: no GPU matches", p->topology->file, spec->line);
        if (n == 1 && !gpu_makes_vgpus(gpu))
                return planner_add_problem(p, -ERROR_NOT_SUPPORTED, "%s:%u: GPU %s is %s: %s", p->topology->file, spec->line,
                                   gpu->identity.address, strempty(gpu_state_to_string(gpu->state)), gpu->reason);

        return planner_add_problem(p, -ERROR_NO_SUCH_TYPE, "%s:%u: no GPU that matches has just one type '%s'",
                           p->topology->file, spec->line, spec->type);
}

static void add_want(Planner *p, const TopologyEntry *entry, const TopologyVGpu *spec, int *types) {
        for (uint32_t k = 0; k < spec->count; k++)
                p->wants[p->n_wants++] = (Want){
                        .entry = entry,
                        .spec = spec,
                        .types = types,
                        .gpu = p->view.n,
                        .waits = planner_waits(p, entry),
                };
}

/* As if each GPU had an entry of its own. */
static int add_wants_per_gpu(Planner *p, const TopologyEntry *entry, const TopologyVGpu *spec, const int *all) {
        for (size_t i = 0; i < p->view.n; i++) {
                int *types;

                if (all[i] < 0)
                        continue;
                types = calloc(p->view.n, sizeof(int));
                if (!types)
                        return -ENOMEM;

                p->types[p->n_types++] = types;
                for (size_t j = 0; j < p->view.n; j++)
                        types[j] = j == i ? all[i] : -1;
                add_want(p, entry, spec, types);
        }

        return 0;
}

static int add_wants(Planner *p, const TopologyEntry *entry, const TopologyVGpu *spec) {
        bool possible = planner_waits(p, entry);
        int *types = NULL;
        int r;

        r = resolve_types(p, entry, spec, &types);
        if (r < 0)
                return r;

        for (size_t i = 0; i < p->view.n; i++)
                possible = possible || types[i] >= 0;
        if (!possible)
                return report_impossible(p, entry, spec);

        if (spec->per_gpu)
                return add_wants_per_gpu(p, entry, spec, types);

        add_want(p, entry, spec, types);
        return 0;
}

/* How many vGPUs the topology may ask for on the GPUs there are, and how many lists of types that takes at most. */
static int allocate_wants(Planner *p) {
        size_t n_wants = 1, n_types = 1;

        for (size_t i = 0; i < p->topology->n_entries; i++)
                for (size_t j = 0; j < p->topology->entries[i].n_vgpus; j++) {
                        const TopologyVGpu *spec = &p->topology->entries[i].vgpus[j];
                        size_t n_gpus = spec->per_gpu ? p->view.n : 1;

                        n_wants += spec->count * n_gpus;
                        n_types += 1 + n_gpus;
                }

        p->types = calloc(n_types, sizeof(int *));
        p->wants = calloc(n_wants, sizeof(Want));
        return p->types && p->wants ? 0 : -ENOMEM;
}

static int check_gpus(Planner *p, const TopologyEntry *entry) {
        int r = 0;

        for (size_t i = 0; i < p->view.n && r >= 0; i++) {
                const Gpu *gpu = p->view.objects[i];

                if (!profile_match_gpu(&entry->match, &gpu->identity))
                        continue;
                if (!p->scope[i] && gpu->state == GPU_PROBING && !p->options->only)
                        r = planner_add_problem(p, -ERROR_BUSY, "GPU %s is still being read; try again in a moment",
                                        gpu->identity.address);
                p->scope[i] = true;
                if (entry->one_size)
                        p->view.gpus[i].mixed = false;
                if (r >= 0)
                        r = planner_want_vfs(p, entry, i);
                if (r >= 0)
                        r = planner_want_mixed(p, entry, i);
        }

        return r;
}

static int read_topology(Planner *p) {
        int r;

        r = allocate_wants(p);

        for (size_t i = 0; i < p->topology->n_entries && r >= 0; i++)
                r = check_gpus(p, &p->topology->entries[i]);
        for (size_t i = 0; i < p->topology->n_entries && r >= 0; i++) {
                const TopologyEntry *entry = &p->topology->entries[i];

                for (size_t j = 0; j < entry->n_vgpus && r >= 0; j++)
                        r = add_wants(p, entry, &entry->vgpus[j]);
        }

        return r;
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
static int claim(Planner *p) {
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
static int prune(Planner *p) {
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

static int keep(Planner *p) {
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

        r = read_topology(p);
        if (r >= 0)
                r = claim(p);
        if (r >= 0)
                r = prune(p);
        if (r >= 0)
                r = planner_add_vfs(p);
        if (r >= 0)
                r = keep(p);
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
