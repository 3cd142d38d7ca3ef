/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Virtual functions that a topology asks for. Which types a GPU has then, and how many of each, its driver says when they
 * are there, so that what shall be on it is planned in a second turn.
 */

#include <inttypes.h>

#include "core/gpu.h"
#include "core/topology-planner.h"
#include "core/vgpu.h"
#include "util/text.h"

int planner_want_vfs(Planner *p, const TopologyEntry *entry, size_t i) {
        const Gpu *gpu = p->view.objects[i];
        const char *address = gpu->identity.address, *file = p->topology->file;
        uint32_t n = entry->n_vfs == SETTINGS_ALL_VFS ? gpu->max_vfs : entry->n_vfs;

        if (!entry->has_vfs || gpu->state == GPU_PROBING || !planner_may_touch_gpu(p, gpu))
                return 0;
        if (gpu->max_vfs == 0)
                return planner_add_problem(p, -ERROR_NOT_SUPPORTED, "%s:%u: GPU %s has no virtual functions", file,
                                           entry->vfs_line, address);
        if (n > gpu->max_vfs)
                return planner_add_problem(p, -ERROR_NOT_SUPPORTED,
                                           "%s:%u: GPU %s can have at most %" PRIu32 " virtual functions", file,
                                           entry->vfs_line, address, gpu->max_vfs);
        if (p->vfs[i] != UNKNOWN_U32 && p->vfs[i] != n)
                return planner_add_problem(p, -ERROR_CONFIG_INVALID,
                                           "%s:%u: GPU %s shall have %" PRIu32
                                           " virtual functions, and by another entry %" PRIu32,
                                           file, entry->vfs_line, address, n, p->vfs[i]);

        p->vfs[i] = n;
        return 0;
}

int planner_want_mixed(Planner *p, const TopologyEntry *entry, size_t i) {
        const Gpu *gpu = p->view.objects[i];

        if (entry->mixed_size == TRISTATE_UNKNOWN || !planner_may_touch_gpu(p, gpu))
                return 0;
        if (p->mixed[i] != TRISTATE_UNKNOWN && p->mixed[i] != entry->mixed_size)
                return planner_add_problem(p, -ERROR_CONFIG_INVALID,
                                           "%s:%u: GPU %s shall take several sizes by one entry, and not by another",
                                           p->topology->file, p->topology->line, gpu->identity.address);

        p->mixed[i] = entry->mixed_size;
        return 0;
}

/* Which driver has no such setting decides by itself. */
static bool changes_mixed(const Planner *p, size_t i) {
        MixedSize now = p->view.objects[i]->mixed_size;

        return p->mixed[i] != TRISTATE_UNKNOWN && now != MIXED_SIZE_NONE &&
               (now == MIXED_SIZE_ON) != (p->mixed[i] == TRISTATE_YES);
}

static bool changes(const Planner *p, size_t i) {
        return p->vfs[i] != UNKNOWN_U32 && p->vfs[i] != p->view.objects[i]->num_vfs;
}

bool planner_waits(const Planner *p, const TopologyEntry *entry) {
        for (size_t i = 0; i < p->view.n; i++)
                if (changes(p, i) && profile_match_gpu(&entry->match, &p->view.objects[i]->identity))
                        return true;

        return false;
}

static bool goes(const Planner *p, const VGpu *vgpu) {
        for (size_t i = 0; i < p->plan->n_steps; i++)
                if (p->plan->steps[i].action == TOPOLOGY_DESTROY && streq(p->plan->steps[i].uuid, vgpu->uuid))
                        return true;

        return false;
}

/* All of them go with the functions: what fits is kept, so that this is refused rather than made anew. */
static const VGpu *find_one_that_stays(const Planner *p, const Gpu *gpu) {
        VGpu *vgpu;

        LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link)
                if (vgpu->present && !goes(p, vgpu))
                        return vgpu;

        return NULL;
}

static int add_enable(Planner *p, size_t i) {
        const Gpu *gpu = p->view.objects[i];
        const VGpu *vgpu = find_one_that_stays(p, gpu);
        TopologyStep *step;

        if (vgpu)
                return planner_add_problem(p, -ERROR_BUSY,
                                           "GPU %s shall have %" PRIu32 " virtual functions instead of %" PRIu32
                                           ", and vGPU %s stays there; destroy it first",
                                           gpu->identity.address, p->vfs[i], gpu->num_vfs, vgpu->uuid);

        step = planner_add_step(p, TOPOLOGY_ENABLE_VFS, "", gpu->identity.address, "");
        if (!step)
                return -ENOMEM;

        step->n_vfs = p->vfs[i];
        step->old_vfs = gpu->num_vfs;
        planner_say(step, "it shall have %" PRIu32 " virtual functions, and has %" PRIu32, p->vfs[i], gpu->num_vfs);
        return 0;
}

static int add_mixed(Planner *p, size_t i) {
        const Gpu *gpu = p->view.objects[i];
        const VGpu *vgpu = find_one_that_stays(p, gpu);
        TopologyStep *step;

        if (vgpu)
                return planner_add_problem(p, -ERROR_BUSY,
                                           "GPU %s shall be set to take %s, and vGPU %s stays there; destroy it first",
                                           gpu->identity.address,
                                           p->mixed[i] == TRISTATE_YES ? "several sizes" : "one size alone", vgpu->uuid);

        step = planner_add_step(p, TOPOLOGY_SET_MIXED, "", gpu->identity.address, "");
        if (!step)
                return -ENOMEM;

        step->n_vfs = p->mixed[i] == TRISTATE_YES;
        step->old_vfs = gpu->mixed_size == MIXED_SIZE_ON;
        planner_say(step, "it shall take %s", step->n_vfs > 0 ? "several sizes" : "one size alone");
        return 0;
}

static int add_later(Planner *p, const Want *want, unsigned n) {
        TopologyStep *step;

        step = planner_add_step(p, TOPOLOGY_LATER, want->spec->uuid, "", want->spec->type);
        if (!step)
                return -ENOMEM;

        (void)text_copy(step->label, sizeof(step->label), want->spec->label);
        step->autostart = want->spec->autostart;
        planner_say(step, "%u by line %u: where and whether is known when the virtual functions are there", n,
                    want->spec->line);
        return 0;
}

int planner_add_vfs(Planner *p) {
        size_t n_before = p->plan->n_problems;
        unsigned n = 0;
        int r = 0;

        for (size_t i = 0; i < p->view.n && r >= 0; i++)
                if (changes(p, i)) /* with other functions the setting may be another one */
                        r = add_enable(p, i);
                else if (changes_mixed(p, i))
                        r = add_mixed(p, i);
        if (p->plan->n_problems > n_before) /* it will not come to that */
                return r;

        for (size_t i = 0; i < p->n_wants && r >= 0; i++) {
                const Want *want = &p->wants[i];

                if (want->waits && !want->given_up && (!want->vgpu || want->remade || !want->vgpu->present))
                        n++;
                if (n > 0 && (i + 1 == p->n_wants || p->wants[i + 1].spec != want->spec)) {
                        r = add_later(p, want, n);
                        n = 0;
                }
        }

        return r;
}
