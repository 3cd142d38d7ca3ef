/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "machine.h"
#include "util/file.h"
#include "util/text.h"

static void on_gpu_added(Gpu *gpu, void *userdata) {
        g_string_append_printf(userdata, "+gpu %s %s\n", gpu->identity.address, gpu_state_to_string(gpu->state));
}

static void on_gpu_removed(Gpu *gpu, void *userdata) {
        g_string_append_printf(userdata, "-gpu %s\n", gpu->identity.address);
}

static void on_gpu_changed(Gpu *gpu, unsigned mask, void *userdata) {
        g_string_append_printf(userdata, "gpu %s", gpu->identity.address);
        if (mask & GPU_CHANGED_IDENTITY)
                g_string_append_printf(userdata, " name='%s'", gpu_get_name(gpu));
        if (mask & GPU_CHANGED_DRIVER)
                g_string_append_printf(userdata, " backend=%s", gpu->backend);
        if (mask & GPU_CHANGED_STATE)
                g_string_append_printf(userdata, " state=%s", gpu_state_to_string(gpu->state));
        if (mask & GPU_CHANGED_PENDING)
                g_string_append_printf(userdata, " pending=%i", gpu->pending_types);
        g_string_append_c(userdata, '\n');
}

static void on_type_added(Type *type, void *userdata) {
        g_assert_true(gpu_find_type_by_id(type->gpu, type->report.id) == type);
        g_string_append_printf(userdata, "+type %s %s %u\n", type->report.id,
                               registration_to_string(type->report.registration), type->report.available);
}

static void on_type_removed(Type *type, void *userdata) {
        g_assert_true(gpu_find_type_by_id(type->gpu, type->report.id) == type);
        g_string_append_printf(userdata, "-type %s\n", type->report.id);
}

static void on_type_changed(Type *type, unsigned mask, void *userdata) {
        g_string_append_printf(userdata, "type %s", type->report.id);
        if (mask & TYPE_CHANGED_DEFINITION)
                g_string_append(userdata, " definition");
        if (mask & TYPE_CHANGED_AVAILABLE)
                g_string_append_printf(userdata, " available=%u", type->report.available);
        if (mask & TYPE_CHANGED_REGISTRATION)
                g_string_append_printf(userdata, " %s", registration_to_string(type->report.registration));
        g_string_append_c(userdata, '\n');
}

static void on_vgpu_added(VGpu *vgpu, void *userdata) {
        g_assert_true(manager_find_vgpu(vgpu->manager, vgpu->uuid) == vgpu);
        g_string_append_printf(userdata, "+vgpu %.4s %s %s%s\n", vgpu->uuid, vgpu->type_id,
                               vgpu_state_to_string(vgpu->state), vgpu->managed ? " managed" : "");
}

static void on_vgpu_removed(VGpu *vgpu, void *userdata) {
        g_assert_true(manager_find_vgpu(vgpu->manager, vgpu->uuid) == vgpu);
        g_string_append_printf(userdata, "-vgpu %.4s\n", vgpu->uuid);
}

static void on_vgpu_changed(VGpu *vgpu, unsigned mask, void *userdata) {
        g_string_append_printf(userdata, "vgpu %.4s", vgpu->uuid);
        if (mask & VGPU_CHANGED_STATE)
                g_string_append_printf(userdata, " %s", vgpu_state_to_string(vgpu->state));
        if (mask & VGPU_CHANGED_ERROR)
                g_string_append(userdata, vgpu->last_error[0] != '\0' ? " error" : " no-error");
        if (mask & VGPU_CHANGED_TYPE)
                g_string_append_printf(userdata, " type=%s", vgpu->type_id);
        if (mask & VGPU_CHANGED_DEVICE)
                g_string_append(userdata, " device");
        if (mask & VGPU_CHANGED_MANAGED)
                g_string_append_printf(userdata, " managed=%i", vgpu->managed);
        if (mask & VGPU_CHANGED_GPU)
                g_string_append_printf(userdata, " gpu=%s", vgpu->gpu ? vgpu->gpu->identity.address : "none");
        if (mask & VGPU_CHANGED_DEFINITION)
                g_string_append_printf(userdata, " persistent=%i autostart=%i", vgpu->persistent, vgpu->autostart);
        if (mask & VGPU_CHANGED_LABEL)
                g_string_append_printf(userdata, " label='%s'", vgpu->label);
        if (mask & VGPU_CHANGED_USE)
                g_string_append_printf(userdata, " use=%s", vgpu_use_to_string(vgpu->use));
        g_string_append_c(userdata, '\n');
}

static void on_device_error(Gpu *gpu, VGpu *vgpu, uint32_t code, const char *text, void *userdata) {
        g_string_append_printf(userdata, "error %u of %s: %s\n", code, vgpu ? vgpu->uuid : gpu->identity.address, text);
}

static void on_problems_changed(Manager *manager, void *userdata) {
        g_string_append(userdata, "problems\n");
}

static void on_saved_states_changed(Manager *manager, void *userdata) {
        g_string_append(userdata, "saved-states\n");
}

static void on_topology_changed(Manager *manager, void *userdata) {
        g_string_append_printf(userdata, "topology '%s'\n", manager->active_topology);
}

static void on_task_added(Task *task, void *userdata) {
        g_assert_true(manager_find_task(task->manager, task->id) == task);
        g_string_append_printf(userdata, "+task %u %s\n", task->id, task->operation);
}

static void on_task_removed(Task *task, void *userdata) {
        g_string_append_printf(userdata, "-task %u\n", task->id);
}

static void on_task_changed(Task *task, unsigned mask, void *userdata) {
        if (mask & TASK_CHANGED_STATE)
                g_string_append_printf(userdata, "task %u %s\n", task->id, task_state_to_string(task->state));
}

static void on_task_finished(Task *task, void *userdata) {
        g_string_append_printf(userdata, "task %u ends: %s\n", task->id, task->error.message);
}

static const ObserverOps observer_ops = {
        .gpu_added = on_gpu_added,
        .gpu_removed = on_gpu_removed,
        .gpu_changed = on_gpu_changed,
        .type_added = on_type_added,
        .type_removed = on_type_removed,
        .type_changed = on_type_changed,
        .vgpu_added = on_vgpu_added,
        .vgpu_removed = on_vgpu_removed,
        .vgpu_changed = on_vgpu_changed,
        .device_error = on_device_error,
        .problems_changed = on_problems_changed,
        .saved_states_changed = on_saved_states_changed,
        .topology_changed = on_topology_changed,
        .task_added = on_task_added,
        .task_removed = on_task_removed,
        .task_changed = on_task_changed,
        .task_finished = on_task_finished,
};

static const HostOps *sim_ops; /* the simulated host's own */

static int store(const Host *host, int dir_fd, const char *path, const char *text) {
        Machine *m = host->userdata;

        if (m->refuse_create < 0 && g_str_has_suffix(path, "/create"))
                return m->refuse_create;

        return sim_ops->store(host, dir_fd, path, text);
}

static void start_manager(Machine *m) {
        const ManagerParameters parameters = {
                .event = m->event,
                .platform = &m->fake.platform,
                .host = &m->sim.host,
                .state_fd = m->state_fd,
                .observer = { .ops = &observer_ops, .userdata = m->log },
        };

        fake_platform_init(&m->fake, &m->sim.host);
        g_assert_cmpint(manager_new(&parameters, &m->manager), ==, 0);
        manager_read_definitions(m->manager);
}

int machine_write_record(Machine *m, const char *uuid, RecordPhase phase, const char *gpu, const char *type) {
        Record record = { .phase = phase, .iommu_group = -1 };

        (void)text_copy(record.gpu, sizeof(record.gpu), gpu);
        (void)text_copy(record.type_id, sizeof(record.type_id), type);
        return record_write(m->state_fd, uuid, &record);
}

Machine *machine_new(void) {
        Machine *m = g_new0(Machine, 1);

        m->root = g_dir_make_tmp("mdevgpu-XXXXXX", NULL);
        g_assert_nonnull(m->root);
        g_assert_cmpint(sim_host_open(m->root, &m->sim), ==, 0);
        sim_ops = m->sim.host.ops;
        m->host_ops = *sim_ops;
        m->host_ops.store = store;
        m->sim.host.ops = &m->host_ops;

        g_assert_cmpint(mkdirat(m->sim.root_fd, "state", 0700), ==, 0);
        m->state_fd = directory_open(m->sim.root_fd, "state");
        g_assert_cmpint(m->state_fd, >=, 0);
        g_assert_cmpint(sd_event_new(&m->event), >=, 0);
        m->log = g_string_new(NULL);
        start_manager(m);
        return m;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        return remove(path);
}

void machine_free(Machine *m) {
        manager_free(m->manager);
        fake_platform_done(&m->fake);
        sd_event_unref(m->event);
        fd_close(m->state_fd);
        sim_host_close(&m->sim);
        g_assert_cmpint(nftw(m->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
        g_string_free(m->log, TRUE);
        g_free(m->root);
        g_free(m);
}

void machine_restart(Machine *m) {
        manager_free(m->manager);
        fake_platform_done(&m->fake);
        machine_clear_log(m);
        start_manager(m);
}

void machine_set_types(Machine *m, unsigned n_types, unsigned gib) {
        ProfileSet *set = profile_set_new();
        Profile *profile = profile_new("test.yaml");

        g_assert_nonnull(profile_add_match(profile));

        for (unsigned i = 1; i <= n_types; i++) {
                TypeSpec spec = {
                        .id = i,
                        .max_instances = 16,
                        .framebuffer = gib * GIB,
                        .max_width = 1920,
                        .max_height = 1080,
                        .frame_limit = 60,
                };

                (void)snprintf(spec.name, sizeof(spec.name), "Type %u", i);
                g_assert_cmpint(profile_add_type(profile, &spec), ==, 0);
        }
        profile->pending_manual = m->pending_manual;
        g_assert_cmpint(profile_set_add(set, profile), ==, 0);
        manager_set_profiles(m->manager, set);
}

void machine_add_gpu(Machine *m, const char *address) {
        g_autofree char *path = g_strdup_printf("/devices/pci0000:00/%s", address);

        g_assert_cmpint(sim_host_plug(&m->sim, address, SIM_GPU_SHIM, 8 * GIB), ==, 0);
        machine_uevent(m, UEVENT_ADD, UEVENT_PCI, path);
        machine_settle(m);
}

void machine_uevent(Machine *m, UeventAction action, UeventSubsystem subsystem, const char *devpath) {
        const Uevent uevent = {
                .action = action,
                .subsystem = subsystem,
                .name = strrchr(devpath, '/') + 1,
                .devpath = devpath,
        };

        manager_handle_uevent(m->manager, &uevent);
}

void machine_turn(Machine *m) {
        while (sd_event_run(m->event, 0) > 0)
                ;
}

void machine_settle(Machine *m) {
        do
                machine_turn(m);
        while (fake_do_one(&m->fake));
}

void machine_expect_log(Machine *m, const char *expected) {
        g_assert_cmpstr(m->log->str, ==, expected);
        machine_clear_log(m);
}

void machine_clear_log(Machine *m) {
        g_string_truncate(m->log, 0);
}

int machine_store(Machine *m, const char *path, const char *text) {
        return sim_ops->store(&m->sim.host, m->sim.host.sys_fd, path, text);
}

int machine_make_mdev(Machine *m, const char *parent, const char *type, const char *uuid) {
        g_autofree char *path = g_strdup_printf("class/mdev_bus/%s/mdev_supported_types/%s/create", parent, type);

        return machine_store(m, path, uuid);
}

int machine_remove_mdev(Machine *m, const char *uuid) {
        g_autofree char *path = g_strdup_printf("bus/mdev/devices/%s/remove", uuid);

        return machine_store(m, path, "1");
}

pid_t machine_hold(Machine *m, const char *node) {
        int ready[2];
        char byte;
        pid_t pid;

        g_assert_cmpint(pipe(ready), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
                if (openat(m->sim.host.dev_fd, node, O_RDWR) < 0 || write(ready[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        (void)pause();
        }
        g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
        fd_close(ready[0]);
        fd_close(ready[1]);
        return pid;
}

void machine_let_go(pid_t pid) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
}

bool machine_has_mdev(Machine *m, const char *uuid) {
        g_autofree char *path = g_strdup_printf("bus/mdev/devices/%s/mdev_type", uuid);

        return path_exists(m->sim.host.sys_fd, path);
}

bool machine_has_record(Machine *m, const char *uuid) {
        return path_exists(m->state_fd, uuid);
}

Gpu *machine_gpu(Machine *m, const char *address) {
        Gpu *gpu = manager_find_gpu(m->manager, address);

        g_assert_nonnull(gpu);
        return gpu;
}

uint32_t machine_available(Machine *m, const char *address, const char *type_id) {
        Type *type = gpu_find_type_by_id(machine_gpu(m, address), type_id);

        g_assert_nonnull(type);
        return type->report.available;
}

void machine_on_answer(const Error *error, VGpu *vgpu, void *userdata) {
        Answer *answer = userdata;

        answer->n++;
        answer->error = error ? *error : ERROR_NULL;
        answer->linked = vgpu && vgpu->linked;
        if (answer->log)
                g_string_append(answer->log, error ? "refused\n" : "answered\n");
}

Operation *machine_create(Machine *m, const char *gpu, const char *type, const char *uuid, Answer *answer) {
        const CreateRequest request = { .gpu = gpu, .type = type, .uuid = uuid };
        Operation *operation = NULL;
        Error error = ERROR_NULL;
        int r;

        r = manager_create_vgpu(m->manager, &request, machine_on_answer, answer, &operation, &error);
        if (r < 0)
                g_error("the creation did not begin: %s", error.message);

        return operation;
}

Operation *machine_destroy(Machine *m, const char *uuid, Answer *answer) {
        const DestroyRequest request = { .uuid = uuid };
        Operation *operation = NULL;
        Error error = ERROR_NULL;
        int r;

        r = manager_destroy_vgpu(m->manager, &request, machine_on_answer, answer, &operation, &error);
        if (r < 0)
                g_error("the destruction did not begin: %s", error.message);

        return operation;
}

VGpu *machine_have_vgpu(Machine *m, const char *gpu, const char *uuid) {
        Answer answer = {};
        VGpu *vgpu;

        (void)machine_create(m, gpu, TYPE_1, uuid, &answer);
        machine_settle(m);
        g_assert_cmpstr(answer.error.message, ==, "");
        vgpu = manager_find_vgpu(m->manager, uuid);
        g_assert_nonnull(vgpu);
        machine_clear_log(m);
        return vgpu;
}

Machine *machine_with_gpus(void) {
        Machine *m = machine_new();

        machine_set_types(m, 2, 2);
        machine_add_gpu(m, GPU_A);
        machine_add_gpu(m, GPU_B);
        machine_clear_log(m);
        return m;
}

PlatformJob *machine_find_create(Machine *m) {
        PlatformJob *job = fake_find_job(&m->fake, JOB_CREATE, NULL);

        g_assert_nonnull(job);
        return job;
}

PlatformJob *machine_find_remove(Machine *m) {
        PlatformJob *job = fake_find_job(&m->fake, JOB_REMOVE, NULL);

        g_assert_nonnull(job);
        return job;
}

/* Its deadline comes now. */
void machine_hurry(Machine *m, Operation *operation) {
        g_assert_nonnull(operation->deadline);
        g_assert_cmpint(sd_event_source_set_time(operation->deadline, 0), >=, 0);
        machine_turn(m);
}

void machine_assert_refused(Machine *m, const CreateRequest *request, int code, const char *part) {
        Error error = ERROR_NULL;

        g_assert_cmpint(manager_check_create(m->manager, request, &error), ==, code);
        g_assert_nonnull(strstr(error.message, part));
        error = ERROR_NULL;
        g_assert_cmpint(manager_create_vgpu(m->manager, request, NULL, NULL, NULL, &error), ==, code);
        g_assert_cmpint(error.code, ==, code);
        g_assert_nonnull(strstr(error.message, part));
        g_assert_true(text_is_printable(error.message));
}
