/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/scan.h"
#include "core/topology-apply.h"
#include "core/topology-auto.h"
#include "core/type.h"
#include "core/vfs-change.h"
#include "util/log.h"
#include "util/text.h"

/* Cards that come together are looked at together; and while something else goes on, again and again. */
#define DELAY_USEC UINT64_C(100000)

struct TopologyAuto {
        Manager *manager;
        TopologyMemory memory;
        bool changed; /* the memory, since it was saved */
        bool recovered; /* what was left has been looked at */
        sd_event_source *timer;
};

static void save(TopologyAuto *a) {
        int r;

        a->changed = false;
        if (a->manager->state_fd < 0)
                return;
        r = topology_memory_write(a->manager->state_fd, &a->memory);
        if (r < 0)
                log_debug("What has been applied cannot be recorded: %s", strerror(-r));
}

static void set_active(TopologyAuto *a, const char *name) {
        if (streq(a->memory.active, name))
                return;

        (void)text_copy(a->memory.active, sizeof(a->memory.active), name);
        (void)text_copy(a->manager->active_topology, sizeof(a->manager->active_topology), name);
        OBSERVE(a->manager, topology_changed, a->manager);
        save(a);
}

void topology_set_active(Manager *manager, const char *name) {
        if (manager->topology_auto)
                set_active(manager->topology_auto, name);
        else if (!streq(manager->active_topology, name)) {
                (void)text_copy(manager->active_topology, sizeof(manager->active_topology), name);
                OBSERVE(manager, topology_changed, manager);
        }
}

/* vGPUs can be made on it. */
static bool is_up(const Gpu *gpu) {
        return gpu_makes_vgpus(gpu) && gpu_offers_type(gpu);
}

/* Nothing is known of it at present: no reason to take it for gone. */
static bool is_unclear(const Gpu *gpu) {
        return gpu->state == GPU_PROBING || gpu->state == GPU_BUSY || gpu->state == GPU_FAILED;
}

/*
 * The virtual functions of a card go with its driver, and come only with another binding of it, which is looked at as if the
 * card were new. But for those that we made ourselves: by a change of their number, or by handing the card over whole.
 */
static bool has_its_driver(const Gpu *gpu, TopologySeen *seen) {
        uint64_t binding;

        if (gpu->max_vfs == 0 || gpu->driver[0] == '\0' || gpu->vfs_changed || vfs_change_is_on(gpu))
                return true;
        binding = strstr(gpu->driver, "vfio") ? 0 : gpu->binding;
        if (binding != 0 && seen->binding != 0 && binding != seen->binding && binding != gpu->vfs_ours)
                return false;

        seen->binding = binding;
        return true;
}

/* in_passing: what has gone may be back in a moment, and is looked for later. */
static bool is_the_same(const TopologyAuto *a, TopologySeen *seen, bool in_passing) {
        const Gpu *gpu = manager_find_gpu(a->manager, seen->gpu);

        if (!gpu)
                return in_passing;
        if (is_unclear(gpu))
                return true;
        if (!is_up(gpu) || scan_registration(a->manager->host, seen->gpu) != seen->registration)
                return in_passing;

        return has_its_driver(gpu, seen);
}

/* Those that have gone are forgotten: when they are back they are new. */
static void forget_gone(TopologyAuto *a, bool in_passing) {
        size_t n = 0;

        for (size_t i = 0; i < a->memory.n_seen; i++) {
                TopologySeen *seen = &a->memory.seen[i];
                uint64_t binding = seen->binding;

                if (!is_the_same(a, seen, in_passing)) {
                        a->changed = true;
                        continue;
                }
                a->changed = a->changed || seen->binding != binding;
                a->memory.seen[n++] = *seen;
        }

        a->memory.n_seen = n;
}

static bool was_seen(const TopologyAuto *a, const Gpu *gpu) {
        for (size_t i = 0; i < a->memory.n_seen; i++)
                if (streq(a->memory.seen[i].gpu, gpu->identity.address))
                        return true;

        return false;
}

static int remember(TopologyAuto *a, const Gpu *gpu) {
        TopologySeen *seen;

        seen = reallocarray(a->memory.seen, a->memory.n_seen + 1, sizeof(TopologySeen));
        if (!seen)
                return -ENOMEM;

        a->memory.seen = seen;
        seen = &seen[a->memory.n_seen++];
        *seen = (TopologySeen){ .registration = scan_registration(a->manager->host, gpu->identity.address) };
        (void)text_copy(seen->gpu, sizeof(seen->gpu), gpu->identity.address);
        (void)has_its_driver(gpu, seen);
        return 0;
}

/* The default topology on GPUs that have just come. What does not work is said, and is no reason to leave the rest. */
static int apply_default(TopologyAuto *a, const char *const *gpus, size_t n_gpus) {
        const TopologyPlanOptions options = { .only = gpus, .n_only = n_gpus };
        _cleanup_(topology_plan_done) TopologyPlan plan = {};
        const TopologySet *set = a->manager->topologies;
        const Topology *topology = set ? topology_set_find(set, set->default_name) : NULL;
        int r;

        if (!topology)
                return 0;

        r = topology_plan_new(a->manager, topology, &set->policy, &options, &plan);
        if (r < 0)
                return r;
        for (size_t i = 0; i < plan.n_problems; i++)
                log_warning("Default topology '%s': %s", topology->name, plan.problems[i].message);
        if (topology_plan_count_changes(&plan) > 0)
                return topology_apply_plan(a->manager, &plan);

        set_active(a, topology->name);
        return 0;
}

static int look_at_gpus(TopologyAuto *a) {
        _cleanup_(freep) const char **gpus = NULL;
        size_t n = 0;
        Gpu *gpu;
        int r = 0;

        forget_gone(a, /* in_passing= */ false);
        gpus = calloc(MAX(a->manager->gpus_by_address.n, 1U), sizeof(char *));
        if (!gpus)
                return -ENOMEM;

        LIST_FOREACH(gpu, &a->manager->gpus, link)
                if (is_up(gpu) && !was_seen(a, gpu)) {
                        gpus[n++] = gpu->identity.address;
                        r = remember(a, gpu);
                        if (r < 0)
                                return r;
                }

        if (n > 0)
                r = apply_default(a, gpus, n);
        if (n > 0 || a->changed)
                save(a);
        return r;
}

/* What nobody asked for is not taken back: on the GPUs for which it was under way it is looked at once more. */
static int resume_default(TopologyAuto *a, const TopologyPlan *plan) {
        _cleanup_(freep) const char **gpus = NULL;
        size_t n = 0;

        topology_journal_remove(a->manager->state_fd);
        gpus = calloc(MAX(plan->n_steps, 1U), sizeof(char *));
        if (!gpus)
                return -ENOMEM;

        for (size_t i = 0; i < plan->n_steps; i++) {
                const Gpu *gpu = manager_find_gpu_of(a->manager, plan->steps[i].gpu);

                if (gpu && (n == 0 || !streq(gpus[n - 1], gpu->identity.address)))
                        gpus[n++] = gpu->identity.address;
        }

        return n > 0 ? apply_default(a, gpus, n) : 0;
}

/* What a daemon that died left: completed, which is what applying it anew does, or taken back. */
static int recover(TopologyAuto *a) {
        _cleanup_(topology_plan_done) TopologyPlan plan = {};
        const TopologySet *set = a->manager->topologies;
        TopologyProgress progress;
        Error error = ERROR_NULL;
        int r;

        r = topology_journal_read(a->manager->state_fd, &plan, &progress);
        if (r == -ENOENT)
                return 0;
        if (r < 0) {
                log_warning("What a daemon left that died while it applied a topology cannot be understood; run "
                            "'mdevgpuctl topology plan' to see what differs");
                topology_journal_remove(a->manager->state_fd);
                return 0;
        }

        log_notice("The daemon ended while it %s topology '%s', %zu of %zu steps had begun",
                   progress.undoing ? "took back" : "applied", plan.topology, progress.n_begun, plan.n_steps);
        if (plan.automatic && !progress.undoing)
                return resume_default(a, &plan);
        if (set && set->policy.interrupted == TOPOLOGY_INTERRUPTED_GO_ON && !progress.undoing) {
                r = topology_go_on(a->manager, &plan, &error);
                if (r >= 0)
                        return 0;
                log_warning("Going on with topology '%s' is not possible, so it is taken back: %s", plan.topology,
                            error.message);
        }

        return topology_roll_back(a->manager, &plan, &progress);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void arm(TopologyAuto *a) {
        int r;

        if (a->timer)
                return;

        r = sd_event_add_time_relative(a->manager->event, &a->timer, CLOCK_MONOTONIC, DELAY_USEC, 0, on_timer, a);
        if (r < 0)
                log_debug("Cannot arm a timer: %s", strerror(-r));
}

/* Those that are stuck may never end. */
static bool something_runs(const Manager *manager) {
        Operation *operation;

        LIST_FOREACH(operation, &manager->operations, link)
                if (!operation->expired)
                        return true;

        return manager->topology_apply || !manager_is_settled(manager);
}

static void look(TopologyAuto *a) {
        int r = 0;

        if (something_runs(a->manager)) {
                arm(a);
                return;
        }

        if (!a->recovered) {
                a->recovered = true;
                r = recover(a);
        }
        if (r >= 0 && a->manager->topology_apply)
                arm(a);
        else if (r >= 0)
                r = look_at_gpus(a);
        if (r < 0)
                log_error("Cannot apply the default topology: %s", strerror(-r));
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        TopologyAuto *a = userdata;

        a->timer = sd_event_source_disable_unref(a->timer);
        look(a);
        return 0;
}

void topology_auto_begin(Manager *manager) {
        TopologyAuto *a;

        if (manager->topology_auto)
                return;

        a = calloc(1, sizeof(TopologyAuto));
        if (!a) {
                log_error("Cannot apply the default topology: %s", strerror(ENOMEM));
                return;
        }

        a->manager = manager;
        manager->topology_auto = a;
        topology_memory_read(manager->state_fd, &a->memory);
        if (a->memory.active[0] != '\0') {
                (void)text_copy(manager->active_topology, sizeof(manager->active_topology), a->memory.active);
                OBSERVE(manager, topology_changed, manager);
        }
        look(a);
}

void topology_auto_end(Manager *manager) {
        TopologyAuto *a = TAKE(manager->topology_auto);

        if (!a)
                return;

        sd_event_source_disable_unref(a->timer);
        topology_memory_done(&a->memory);
        free(a);
}

void topology_auto_check(Manager *manager) {
        TopologyAuto *a = manager->topology_auto;

        if (!a)
                return;

        forget_gone(a, /* in_passing= */ true); /* the binding that is seen next may be of our own making */
        arm(a);
}

bool topology_auto_is_pending(const Manager *manager) {
        return manager->topology_apply || (manager->topology_auto && manager->topology_auto->timer);
}
