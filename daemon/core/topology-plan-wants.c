/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a topology asks for, on the GPUs there are. */

#include "core/gpu.h"
#include "core/topology-planner.h"
#include "util/text.h"

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

int planner_read_topology(Planner *p) {
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
