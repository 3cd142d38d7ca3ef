/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/permission.h"
#include "core/topology-apply.h"
#include "core/topology-auto.h"
#include "core/topology-permit.h"
#include "core/topology-undo.h"
#include "core/users-query.h"
#include "core/vfs-change.h"
#include "core/vgpu.h"
#include "util/log.h"

typedef enum Phase {
        PHASE_CHECK, /* whether what has to go is in use */
        PHASE_APPLY,
        PHASE_UNDO,
        PHASE_END,
} Phase;

struct TopologyApply {
        Manager *manager;
        Task *task;
        TopologyPlan plan; /* the steps that change something */
        Phase phase;
        size_t next; /* step to check or to do; undoing: how many are left to take back */
        size_t base; /* steps of an earlier turn, which are done */
        bool more; /* when these are done the rest is planned */
        Caller by; /* whose permission is looked at then; has_caller */
        bool has_caller;
        VfsChange *vfs;
        unsigned n_tries; /* to take back the one that is next */
        bool cancelled;
        UsersQuery *query;
        bool begun; /* the step that is next */
        bool answered; /* what was begun has ended */
        Error answer;
        Error why; /* it is taken back; code 0 while it is not */
        Error undo_problem; /* the first thing that could not be taken back */
        sd_event_source *turn;
};

/* Not from within what has just called back: an operation is gone only when its callback returns. */
static void wake(TopologyApply *apply) {
        (void)sd_event_source_set_enabled(apply->turn, SD_EVENT_ONESHOT);
}

static void on_answer(const Error *error, VGpu *vgpu, void *userdata) {
        TopologyApply *apply = userdata;

        apply->answered = true;
        apply->answer = error ? *error : ERROR_NULL;
        wake(apply);
}

static void on_vfs(const Error *error, void *userdata) {
        TopologyApply *apply = userdata;

        apply->vfs = NULL;
        on_answer(error, NULL, apply);
}

static bool is_about_gpu(const TopologyStep *step) {
        return step->action == TOPOLOGY_ENABLE_VFS || step->action == TOPOLOGY_SET_MIXED;
}

/* 1: it has begun; 0: there is nothing to do. */
static int set_gpu(TopologyApply *apply, const TopologyStep *step, uint32_t n, Error *error) {
        int r;

        if (step->action == TOPOLOGY_ENABLE_VFS)
                r = manager_enable_vfs(apply->manager, step->gpu, n, on_vfs, apply, &apply->vfs, error);
        else
                r = manager_set_mixed_size(apply->manager, step->gpu, n > 0, on_vfs, apply, &apply->vfs, error);
        return r < 0 ? r : r == 0;
}

/* The same of any step. */
static int begin_step(TopologyApply *apply, const TopologyStep *step, Error *error) {
        int r;

        if (is_about_gpu(step))
                return set_gpu(apply, step, step->n_vfs, error);

        r = topology_step_begin(apply->manager, step, &apply->plan.owner, on_answer, apply, error);
        return r < 0 ? r : 1;
}

/* The same the other way. */
static int take_back_step(TopologyApply *apply, const TopologyStep *step, Error *error) {
        const Gpu *gpu = manager_find_gpu_of(apply->manager, step->gpu);

        /* What cannot be seen is not there, as far as the model goes. */
        if (gpu && (gpu->state == GPU_PROBING || gpu->state == GPU_BUSY || gpu->state == GPU_FAILED))
                return error_set(error, -ERROR_BUSY, "GPU %s cannot be read, so nobody knows what is on it",
                                 gpu->identity.address);
        if (is_about_gpu(step))
                return set_gpu(apply, step, step->old_vfs, error);

        return topology_step_take_back(apply->manager, step, apply->n_tries++, on_answer, apply, error);
}

static void on_users(const Error *error, const User *users, size_t n_users, const VGpuUsage *told, void *userdata) {
        TopologyApply *apply = userdata;
        const char *uuid = apply->plan.steps[apply->next].uuid;

        apply->query = NULL;
        apply->answered = true;
        apply->answer = error ? *error : ERROR_NULL;
        if (!error && n_users > 0)
                (void)error_set(&apply->answer, -ERROR_IN_USE, "vGPU %s would have to go and is in use by %s (PID %i)",
                                uuid, users[0].comm[0] != '\0' ? users[0].comm : "a process", users[0].pid);
        wake(apply);
}

static void end(TopologyApply *apply, TaskState state, const Error *error) {
        const Error answer = error ? *error : ERROR_NULL; /* which may be of what is freed */
        Manager *manager = apply->manager;
        Task *task = apply->task;

        apply->phase = PHASE_END;
        topology_journal_remove(manager->state_fd);
        if (state == TASK_DONE)
                topology_set_active(manager, apply->plan.topology);
        log_full(error ? LOG_WARNING : LOG_INFO, NULL, "%s topology '%s': %s", error ? "Did not apply" : "Applied",
                 apply->plan.topology,
                 error                  ? error->message
                 : apply->task->changed ? "done"
                                        : "everything was so already");
        topology_apply_free(apply);
        task_finish(task, state, answer.code < 0 ? &answer : NULL);
}

/* All that was done has been taken back, as far as that was possible. */
static void end_undone(TopologyApply *apply) {
        Error error = ERROR_NULL;

        if (apply->undo_problem.code < 0)
                (void)error_set(&error, apply->why.code, "%.200s; it was not possible to take all of it back: %.200s",
                                apply->why.message, apply->undo_problem.message);
        else
                (void)error_set(&error, apply->why.code, "%.400s; everything is as it was before", apply->why.message);

        apply->task->changed = apply->undo_problem.code < 0;
        end(apply, apply->cancelled ? TASK_CANCELLED : TASK_FAILED, &error);
}

/* n_begun: steps of which something may be there. */
static void begin_undo(TopologyApply *apply, size_t n_begun, const Error *why) {
        const TopologyProgress progress = { .undoing = true, .n_begun = n_begun };

        apply->why = *why;
        apply->phase = PHASE_UNDO;
        apply->next = n_begun;
        apply->n_tries = 0;
        apply->answered = false;
        task_set_cancelable(apply->task, false);
        task_forget_end(apply->task);
        (void)topology_journal_note(apply->manager->state_fd, &progress);
}

static void note_problem(TopologyApply *apply, const TopologyStep *step, const Error *error) {
        const char *kind = step->uuid[0] != '\0' ? "vGPU" : "GPU", *name = step->uuid[0] != '\0' ? step->uuid : step->gpu;

        if (apply->undo_problem.code == 0)
                (void)error_set(&apply->undo_problem, error->code, "%s %s: %.200s", kind, name, error->message);
}

/* True: something was begun, or all of it has ended. */
static bool turn_undo(TopologyApply *apply) {
        const TopologyStep *step;
        TopologyProgress progress = { .undoing = true };
        Error error = ERROR_NULL;
        int r;

        if (apply->answered && apply->answer.code < 0)
                error = apply->answer;
        apply->answered = false;
        if (apply->next == 0) {
                end_undone(apply);
                return true;
        }

        step = &apply->plan.steps[apply->next - 1];
        r = error.code;
        if (r == 0)
                r = take_back_step(apply, step, &error);
        if (r > 0)
                return true;
        if (r < 0)
                note_problem(apply, step, &error);

        progress.n_begun = --apply->next;
        apply->n_tries = 0;
        (void)topology_journal_note(apply->manager->state_fd, &progress);
        return false;
}

/* Something may be there of a step that failed. A GPU may have lost what it had, without getting what it was to have. */
static bool is_unclear(const TopologyApply *apply, const TopologyStep *step) {
        const Gpu *gpu = manager_find_gpu(apply->manager, step->gpu);

        if (apply->answer.code == -ERROR_TIMEOUT || apply->answer.code == -EPIPE)
                return true;

        return apply->begun && gpu &&
               (step->action == TOPOLOGY_ENABLE_VFS ||
                (step->action == TOPOLOGY_SET_MIXED && gpu->mixed_size != MIXED_SIZE_NONE));
}

/* What a step has been told; 0: go on. */
static int judge_answer(TopologyApply *apply) {
        const TopologyStep *step = &apply->plan.steps[apply->next];

        apply->answered = false;
        if (apply->answer.code == 0 || topology_step_is_done(apply->manager, step, apply->answer.code)) {
                apply->task->changed = true;
                task_set_done(apply->task, ++apply->next);
                return 0;
        }

        log_full(LOG_NOTICE, LOG_FIELDS("MDEVGPU_VGPU", step->uuid, "MDEVGPU_GPU", step->gpu),
                 "Cannot %s %s for topology '%s': %s",
                 step->uuid[0] != '\0' ? strempty(topology_action_to_string(step->action)) : "set up GPU",
                 step->uuid[0] != '\0' ? step->uuid : step->gpu, apply->plan.topology, apply->answer.message);
        if (apply->plan.automatic) {
                if (apply->why.code == 0)
                        apply->why = apply->answer;
                apply->next++;
                return 0;
        }

        begin_undo(apply, apply->next + (is_unclear(apply, step) ? 1 : 0), &apply->answer);
        return apply->answer.code;
}

/* What stays as it is needs nothing to be done. True: something is to be planned later. */
static bool drop_keeps(TopologyPlan *plan) {
        bool later = false;
        size_t n = 0;

        for (size_t i = 0; i < plan->n_steps; i++) {
                later = later || plan->steps[i].action == TOPOLOGY_LATER;
                if (plan->steps[i].action != TOPOLOGY_KEEP && plan->steps[i].action != TOPOLOGY_LATER)
                        plan->steps[n++] = plan->steps[i];
                else
                        topology_step_done(&plan->steps[i]);
        }
        plan->n_steps = n;
        return later;
}

/* Takes them over; the plan is empty then. */
static int append_steps(TopologyApply *apply, TopologyPlan *plan) {
        TopologyStep *steps;
        int r = 0;

        steps = reallocarray(apply->plan.steps, apply->plan.n_steps + plan->n_steps + 1, sizeof(TopologyStep));
        if (!steps)
                return -ENOMEM;

        apply->plan.steps = steps;
        if (plan->n_steps > 0)
                memcpy(&steps[apply->plan.n_steps], plan->steps, plan->n_steps * sizeof(TopologyStep));
        apply->plan.n_steps += plan->n_steps;
        for (size_t i = 0; i < plan->n_steps && r >= 0; i++)
                r = task_add_uuid(apply->task, plan->steps[i].uuid);
        plan->n_steps = 0;
        task_set_steps(apply->task, apply->plan.n_steps);
        return r;
}

/* Of those that are made unasked some may not have come, and why is said at the end: nothing can be planned for them. */
static bool has_functions(const TopologyApply *apply, const TopologyStep *step) {
        const Gpu *gpu = manager_find_gpu(apply->manager, step->gpu);

        return !apply->plan.automatic || (gpu && gpu->num_vfs == step->n_vfs);
}

/* GPUs whose virtual functions it has changed. */
static int list_changed_gpus(const TopologyApply *apply, const char ***ret_gpus, size_t *ret_n) {
        const char **gpus;
        size_t n = 0;

        gpus = calloc(MAX(apply->plan.n_steps, 1U), sizeof(char *));
        if (!gpus)
                return -ENOMEM;

        for (size_t i = 0; i < apply->plan.n_steps; i++)
                if (apply->plan.steps[i].action == TOPOLOGY_ENABLE_VFS && has_functions(apply, &apply->plan.steps[i]))
                        gpus[n++] = apply->plan.steps[i].gpu;

        *ret_gpus = gpus;
        *ret_n = n;
        return 0;
}

/* A plan for what virtual functions had to be there for. */
static int make_rest(const TopologyApply *apply, TopologyPlan *ret_plan, Error *error) {
        const TopologySet *set = apply->manager->topologies;
        _cleanup_(freep) const char **gpus = NULL;
        TopologyPlanOptions options = {};
        const Topology *topology;
        int r;

        r = topology_find(apply->manager, apply->plan.topology, &topology, error);
        if (r < 0)
                return r;
        r = list_changed_gpus(apply, &gpus, &options.n_only);
        options.only = gpus;
        if (r >= 0)
                r = topology_plan_new(apply->manager, topology, &set->policy, apply->plan.automatic ? &options : NULL,
                                      ret_plan);
        return r < 0 ? error_set_errno(error, r, "the rest of the topology cannot be planned") : 0;
}

static int check_rest(const TopologyApply *apply, const TopologyPlan *plan, Error *error) {
        for (size_t i = 0; i < plan->n_problems; i++) {
                if (!apply->plan.automatic)
                        return error_set(error, plan->problems[i].code, "%s", plan->problems[i].message);
                log_warning("Default topology '%s': %s", apply->plan.topology, plan->problems[i].message);
        }
        for (size_t i = 0; i < plan->n_steps; i++)
                if (plan->steps[i].action == TOPOLOGY_ENABLE_VFS)
                        return error_set(error, -EIO, "GPU %s has other virtual functions than were enabled: %s",
                                         plan->steps[i].gpu, plan->steps[i].reason);

        return topology_plan_permit(apply->manager, plan, apply->has_caller ? &apply->by : NULL, error);
}

/* The virtual functions are there: what shall be on them. */
static int plan_rest(TopologyApply *apply, Error *error) {
        _cleanup_(topology_plan_done) TopologyPlan plan = {};
        int r;

        apply->more = false;
        r = make_rest(apply, &plan, error);
        if (r >= 0)
                r = check_rest(apply, &plan, error);
        if (r < 0)
                return r;

        (void)drop_keeps(&plan);
        apply->base = apply->next;
        apply->phase = PHASE_CHECK;
        r = append_steps(apply, &plan);
        return r < 0 ? error_set_errno(error, r, "the rest of the topology cannot be applied") : 0;
}

static bool turn_apply(TopologyApply *apply) {
        TopologyProgress progress = {};
        Error error = ERROR_NULL;
        int r;

        if (apply->answered && judge_answer(apply) < 0)
                return false;
        if (apply->cancelled) {
                (void)error_set(&error, -ERROR_CANCELLED, "It was cancelled");
                begin_undo(apply, apply->next, &error);
                return false;
        }
        if (apply->next == apply->plan.n_steps && apply->more) {
                r = plan_rest(apply, &error);
                if (r < 0)
                        begin_undo(apply, apply->next, &error);
                return false;
        }
        if (apply->next == apply->plan.n_steps) {
                end(apply, apply->why.code < 0 ? TASK_FAILED : TASK_DONE, apply->why.code < 0 ? &apply->why : NULL);
                return true;
        }

        progress.n_begun = apply->next + 1;
        r = topology_journal_note(apply->manager->state_fd, &progress);
        if (r < 0)
                (void)error_set_errno(&error, r, "what is being done cannot be recorded");
        else
                r = begin_step(apply, &apply->plan.steps[apply->next], &error);
        apply->begun = r > 0;
        if (apply->begun)
                return true;

        apply->answered = true;
        apply->answer = error;
        return false;
}

/* True: nothing has been touched, and that is its end. */
static bool refuse(TopologyApply *apply, const Error *why) {
        Error error = ERROR_NULL;

        if (apply->base > 0) {
                begin_undo(apply, apply->base, why);
                return false;
        }

        (void)error_set(&error, why->code, "%.400s; nothing was changed", why->message);
        end(apply, apply->cancelled ? TASK_CANCELLED : TASK_FAILED, &error);
        return true;
}

static bool turn_check(TopologyApply *apply) {
        Error error = ERROR_NULL;
        int r = 0;

        if (apply->cancelled)
                (void)error_set(&apply->answer, -ERROR_CANCELLED, "It was cancelled");
        if ((apply->answered || apply->cancelled) && apply->answer.code < 0) {
                const Error why = apply->answer;

                apply->answered = false;
                return refuse(apply, &why);
        }
        apply->next += apply->answered ? 1 : 0;
        apply->answered = false;

        for (; apply->next < apply->plan.n_steps; apply->next++) {
                const TopologyStep *step = &apply->plan.steps[apply->next];
                const VGpu *vgpu = manager_find_vgpu(apply->manager, step->uuid);

                if (step->action != TOPOLOGY_DESTROY || !vgpu || !vgpu->present || !vgpu->gpu)
                        continue;
                r = users_query_new(apply->manager, vgpu, on_users, apply, &apply->query, &error);
                if (r >= 0)
                        return true;
                break;
        }

        if (r >= 0 && apply->plan.n_steps > 0) {
                r = topology_journal_write(apply->manager->state_fd, &apply->plan, /* anew= */ apply->base == 0);
                if (r < 0)
                        (void)error_set(&error, -EIO, "What is to be done cannot be recorded: %s",
                                        strerrordesc_np(-r) ?: "unknown error");
        }
        if (r < 0)
                return refuse(apply, &error);

        apply->phase = PHASE_APPLY;
        apply->next = apply->base;
        return false;
}

static int on_turn(sd_event_source *source, void *userdata) {
        TopologyApply *apply = userdata;
        bool waiting = false;

        if (apply->task->state == TASK_QUEUED)
                task_begin(apply->task);

        while (!waiting)
                switch (apply->phase) {
                case PHASE_CHECK:
                        waiting = turn_check(apply);
                        break;
                case PHASE_APPLY:
                        waiting = turn_apply(apply);
                        break;
                default:
                        waiting = turn_undo(apply);
                        break;
                }

        return 0;
}

/* What runs comes to its end first. */
static void on_cancel(Task *task, void *userdata) {
        TopologyApply *apply = userdata;

        apply->cancelled = true;
        if (apply->query) {
                apply->query = users_query_free(apply->query);
                wake(apply);
        }
}

static bool is_due(const TopologyApply *apply, const TopologyStep *step) {
        const VGpu *vgpu = MAP_FIND(&apply->manager->vgpus, step->uuid, VGpu, node);

        if (step->action == TOPOLOGY_CREATE)
                return !vgpu;

        return (step->action == TOPOLOGY_START || step->action == TOPOLOGY_DEFINE) && vgpu && !vgpu->owner.known &&
               !vgpu->operation;
}

const TopologyStep *topology_apply_next_due(const TopologyApply *apply, size_t *i, const Owner **ret_owner) {
        if (!apply || (apply->phase != PHASE_CHECK && apply->phase != PHASE_APPLY))
                return NULL;

        for (*i = MAX(*i, apply->phase == PHASE_CHECK ? apply->base : apply->next); *i < apply->plan.n_steps;)
                if (is_due(apply, &apply->plan.steps[(*i)++])) {
                        *ret_owner = &apply->plan.owner;
                        return &apply->plan.steps[*i - 1];
                }

        return NULL;
}

TopologyApply *topology_apply_free(TopologyApply *apply) {
        if (!apply)
                return NULL;

        apply->manager->topology_apply = NULL;
        users_query_free(apply->query);
        vfs_change_free(apply->vfs);
        free((gid_t *)apply->by.groups);
        sd_event_source_disable_unref(apply->turn);
        topology_plan_done(&apply->plan);
        free(apply);
        return NULL;
}

DEFINE_CLEANUP(TopologyApply *, topology_apply_free)

/* Takes the plan over in any case. */
static int apply_new(Manager *manager, TopologyPlan *plan, const char *operation, TopologyApply **ret_apply) {
        const Caller self = { .uid = geteuid(), .groups_known = true };
        _cleanup_(topology_apply_freep) TopologyApply *apply = NULL;
        int r = 0;

        apply = calloc(1, sizeof(TopologyApply));
        if (!apply) {
                topology_plan_done(plan);
                return -ENOMEM;
        }

        apply->manager = manager;
        apply->plan = *plan;
        *plan = (TopologyPlan){};
        apply->more = drop_keeps(&apply->plan);
        if (!apply->plan.owner.known) /* nobody asked for it */
                apply->plan.owner = caller_get_owner(&self, manager->rules);
        manager->topology_apply = apply;

        r = sd_event_add_defer(manager->event, &apply->turn, on_turn, apply);
        if (r >= 0)
                r = task_new(manager, operation, apply->plan.topology, apply->plan.owner.uid, apply->plan.n_steps, &apply->task);
        for (size_t i = 0; i < apply->plan.n_steps && r >= 0; i++)
                r = task_add_uuid(apply->task, apply->plan.steps[i].uuid);
        if (r < 0) {
                task_free(apply->task);
                return r;
        }

        apply->task->cancel = on_cancel;
        apply->task->userdata = apply;
        *ret_apply = TAKE(apply);
        return 0;
}

int topology_find(const Manager *manager, const char *name, const Topology **ret_topology, Error *error) {
        if (name[0] == '\0' && manager->topologies)
                name = manager->topologies->default_name;
        if (name[0] == '\0')
                return error_set(error, -ERROR_NO_SUCH_TOPOLOGY,
                                 "There is no default topology: name one of those that "
                                 "ListTopologies() shows");

        *ret_topology = topology_set_find(manager->topologies, name);
        if (!*ret_topology)
                return error_set(error, -ERROR_NO_SUCH_TOPOLOGY,
                                 "There is no topology '%.64s'; ListTopologies() shows those there are", name);

        return 0;
}

static int judge(Manager *manager, const char *name, TopologyPlan *ret_plan, Error *error) {
        _cleanup_(topology_plan_done) TopologyPlan plan = {};
        const Topology *topology;
        int r;

        r = topology_find(manager, name, &topology, error);
        if (r < 0)
                return r;
        if (manager->topology_apply)
                return error_set(error, -ERROR_BUSY, "Topology '%s' is being applied; one is at a time",
                                 manager->topology_apply->plan.topology);

        r = topology_plan_new(manager, topology, &manager->topologies->policy, NULL, &plan);
        if (r < 0)
                return error_set_errno(error, r, "the topology cannot be planned");
        if (plan.n_problems == 1)
                return error_set(error, plan.problems[0].code, "%s", plan.problems[0].message);
        if (plan.n_problems > 1)
                return error_set(error, plan.problems[0].code, "%.400s; and %zu more, which its plan lists",
                                 plan.problems[0].message, plan.n_problems - 1);

        *ret_plan = plan;
        plan = (TopologyPlan){};
        return 0;
}

int topology_check_apply(Manager *manager, const char *name, Error *error) {
        _cleanup_(topology_plan_done) TopologyPlan plan = {};

        return judge(manager, name, &plan, error);
}

/* He may be gone when it is asked. */
static int set_caller(TopologyApply *apply, const Caller *by) {
        gid_t *groups;

        groups = calloc(MAX(by->n_groups, 1U), sizeof(gid_t));
        if (!groups)
                return -ENOMEM;

        if (by->n_groups > 0)
                memcpy(groups, by->groups, by->n_groups * sizeof(gid_t));
        apply->by = *by;
        apply->by.groups = groups;
        apply->has_caller = true;
        return 0;
}

int topology_apply(Manager *manager, const char *name, const Caller *by, Task **ret_task, Error *error) {
        TopologyPlan plan = {};
        TopologyApply *apply;
        int r;

        r = judge(manager, name, &plan, error);
        if (r < 0)
                return r;
        r = topology_plan_permit(manager, &plan, by, error);
        if (r < 0) {
                topology_plan_done(&plan);
                return r;
        }
        plan.owner = permission_get_owner(manager, by, NULL);
        r = apply_new(manager, &plan, "apply-topology", &apply);
        if (r < 0)
                return error_set_errno(error, r, "the topology cannot be applied");

        r = by ? set_caller(apply, by) : 0;
        if (r < 0) {
                task_free(apply->task);
                topology_apply_free(apply);
                return error_set_errno(error, r, "the topology cannot be applied");
        }

        task_set_cancelable(apply->task, true);
        if (ret_task)
                *ret_task = apply->task;
        return 0;
}

int topology_apply_plan(Manager *manager, TopologyPlan *plan) {
        TopologyApply *apply;

        plan->automatic = true;
        return apply_new(manager, plan, "apply-topology", &apply);
}

/* Rules may be stricter by now, and he may have made others. */
static int permit_left(const Manager *manager, const TopologyPlan *plan, const Owner *owner, Error *error) {
        const Caller caller = owner_get_caller(owner);

        return topology_plan_permit(manager, plan, owner->known ? &caller : NULL, error);
}

int topology_go_on(Manager *manager, const TopologyPlan *left, Error *error) {
        TopologyPlan plan = {};
        TopologyApply *apply;
        int r;

        r = judge(manager, left->topology, &plan, error);
        if (r < 0)
                return r;
        r = topology_plan_add_left(&plan, manager, left);
        if (r < 0)
                (void)error_set_errno(error, r, "the topology cannot be applied");
        else
                r = permit_left(manager, &plan, &left->owner, error);
        if (r < 0) {
                topology_plan_done(&plan);
                return r;
        }

        plan.owner = left->owner;
        r = apply_new(manager, &plan, "apply-topology", &apply);
        return r < 0 ? error_set_errno(error, r, "the topology cannot be applied") : 0;
}

int topology_roll_back(Manager *manager, TopologyPlan *plan, const TopologyProgress *progress) {
        TopologyApply *apply;
        Error why = ERROR_NULL;
        int r;

        r = apply_new(manager, plan, "roll-back-topology", &apply);
        if (r < 0)
                return r;

        (void)error_set(&why, -ERROR_CANCELLED, "The daemon ended while it was being applied");
        begin_undo(apply, progress->n_begun, &why);
        return 0;
}
