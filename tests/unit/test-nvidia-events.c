/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is heard of a card of NVIDIA's between two jobs, and what its driver says of the machines that run with its vGPUs.
 */

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#include "backend/backends.h"
#include "bench.h"
#include "core/gpu.h"
#include "core/migration.h"
#include "core/type.h"
#include "util/file.h"

#define VENDOR_TYPE "nvidia-100"

static const uint8_t uuid_1[16] = { 0x11, 0x11, 0x11, 0x11, 0x2f, 0xa1, 0x4d, 0x2e,
                                    0x88, 0x3f, 0x00, 0x16, 0xd3, 0xcc, 0xa4, 0x27 };

typedef struct Fixture {
        Bench *b;
        NvidiaModel *m;
        ModelGpu *gpu;
} Fixture;

static Fixture begin(const char *version) {
        Fixture f = { .b = bench_new_nvidia(version) };

        f.m = f.b->nvidia;
        f.gpu = &f.m->gpus[0];
        nvidia_model_run_vgpud(f.m, f.gpu);
        return f;
}

static void end(Fixture *f) {
        runner_done(&f->b->worker);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);
        g_assert_cmpuint(f->m->n_objects, ==, 0);
        bench_free(f->b);
}

static void sync_types(Fixture *f) {
        g_assert_cmpint(bench_sync(f->b, bench_specs, BENCH_N_SPECS, true), ==, 0);
}

/* As a worker does between two jobs: what it would tell, or -1 if it would go on waiting. */
static int hear(Fixture *f, WorkerEvent *event) {
        struct pollfd p = { .fd = runner_watch(&f->b->worker), .events = POLLIN };

        g_assert_cmpint(p.fd, >=, 0);
        if (poll(&p, 1, 0) <= 0)
                return -1;

        return f->b->worker.backend->hear(&f->b->worker, event);
}

static void expect_changed(Fixture *f) {
        WorkerEvent event = { .kind = WORKER_EVENT_KIND_INVALID };

        g_assert_cmpint(hear(f, &event), ==, 1);
        g_assert_cmpint(event.kind, ==, WORKER_EVENT_CHANGED);
        g_assert_cmpint(hear(f, &event), ==, -1);
}

static void start_guest(Fixture *f, bool tell) {
        f->gpu->guests[0] = (ModelGuest){ .type = 100,
                                          .pid = 4711,
                                          .encoder = 40,
                                          .framebuffer = 3 * GIB,
                                          .licensed = true,
                                          .license_state = 2,
                                          .frame_limit = 60,
                                          .loaded = true,
                                          .vgpu = { 9, 9 },
                                          .vm_id = { 0xab },
                                          .vm_id_is_uuid = true,
                                          .driver = "550.54.14",
                                          .vm = "web1" };
        memcpy(f->gpu->guests[0].mdev, uuid_1, sizeof(uuid_1));
        f->gpu->n_guests = 1;
        if (tell)
                nvidia_model_notify(f->m, f->gpu, 0);
}

/* Nobody listens to a card without vGPUs, as the nodes would be open for it. */
static void test_guests(gconstpointer version) {
        Fixture f = begin(version);
        WorkerEvent event;

        sync_types(&f);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);
        start_guest(&f, true);
        g_assert_cmpint(hear(&f, &event), ==, -1);
        f.gpu->n_guests = 0;

        g_assert_cmpint(bench_create(f.b, VENDOR_TYPE, UUID_1), ==, 0);
        sync_types(&f);
        g_assert_cmpuint(f.b->result.report.n_vgpus, ==, 1);
        g_assert_cmpint(f.b->result.report.vgpus[0].use, ==, VGPU_USE_UNKNOWN);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 3);
        g_assert_cmpint(hear(&f, &event), ==, -1);

        start_guest(&f, true);
        nvidia_model_notify(f.m, f.gpu, 1);
        expect_changed(&f);
        sync_types(&f);
        g_assert_cmpint(f.b->result.report.vgpus[0].use, ==, VGPU_USE_YES);
        g_assert_cmpuint(f.b->result.report.framebuffer_used, ==, 3 * GIB);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 3);

        f.gpu->n_guests = 0;
        nvidia_model_notify(f.m, f.gpu, 2);
        expect_changed(&f);
        sync_types(&f);
        g_assert_cmpint(f.b->result.report.vgpus[0].use, ==, VGPU_USE_UNKNOWN);

        g_assert_cmpint(bench_remove(f.b, UUID_1), ==, 0);
        sync_types(&f);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);
        end(&f);
}

/* NVIDIA's daemon runs again, discards what is registered, and ends. */
static void test_vgpud(void) {
        Fixture f = begin("580.142");

        sync_types(&f);
        nvidia_model_run_vgpud(f.m, f.gpu);
        g_assert_false(nvidia_model_lists(f.gpu, 1));
        nvidia_sim_end_vgpud();
        expect_changed(&f);
        sync_types(&f);
        g_assert_true(nvidia_model_lists(f.gpu, 1) && nvidia_model_lists(f.gpu, 100));

        /* And again, with a vGPU: then ours wait. */
        start_guest(&f, false);
        nvidia_model_run_vgpud(f.m, f.gpu);
        nvidia_sim_end_vgpud();
        expect_changed(&f);
        sync_types(&f);
        g_assert_false(nvidia_model_lists(f.gpu, 1));
        g_assert_true(f.b->result.report.pending_types);
        f.gpu->n_guests = 0;
        end(&f);
}

/* A node that always says it has something to tell is not listened to for ever. */
static void test_spins(void) {
        Fixture f = begin("580.142");
        WorkerEvent event;
        unsigned n = 0;
        int r;

        g_assert_cmpint(bench_create(f.b, VENDOR_TYPE, UUID_1), ==, 0);
        sync_types(&f);
        f.m->mute_events = true;
        nvidia_model_notify(f.m, f.gpu, 0);
        do {
                r = hear(&f, &event);
                g_assert_cmpuint(n++, <, 20);
        } while (r == 0);
        g_assert_cmpint(r, ==, 1);
        g_assert_cmpint(hear(&f, &event), ==, -1);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);

        /* The next reading tries again. */
        f.m->mute_events = false;
        sync_types(&f);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 3);
        end(&f);
}

/* A driver that lets nobody listen, wherever it begins to, is read all the same. */
static void test_deaf(void) {
        Fixture f = begin("580.142");
        unsigned n, first;

        g_assert_cmpint(bench_create(f.b, VENDOR_TYPE, UUID_1), ==, 0);
        f.m->n_ioctls = 0;
        runner_done(&f.b->worker);
        sync_types(&f);
        n = f.m->n_ioctls;
        f.m->n_ioctls = 0;
        sync_types(&f);
        first = f.m->n_ioctls;
        g_assert_cmpuint(first, <, n);
        for (unsigned i = first - 10; i < n; i++) {
                runner_done(&f.b->worker);
                f.m->n_ioctls = 0;
                f.m->die_after = i;
                sync_types(&f);
                f.m->die_after = 0;
        }
        sync_types(&f);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 3);
        end(&f);
}

static const Fact *find_fact(const Facts *facts, const char *key) {
        const Fact *fact = facts_find(facts, key);

        if (!fact)
                g_error("nothing is said of %s", key);
        return fact;
}

/* What each layout's driver says of a card and of whom it serves. */
static void test_usage(gconstpointer version) {
        Fixture f = begin(version);
        const UsageReport *usage = &f.b->result.usage;
        const VGpuUsage *row;

        sync_types(&f);
        g_assert_cmpint(bench_job(f.b, &(Job){ .kind = JOB_USAGE }), ==, 0);
        g_assert_cmpuint(usage->n_vgpus, ==, 0);
        g_assert_cmpuint(usage->framebuffer_used, ==, 0);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);

        g_assert_cmpint(bench_create(f.b, VENDOR_TYPE, UUID_1), ==, 0);
        start_guest(&f, false);
        for (unsigned i = 0; i < 2; i++) {
                f.m->swaps_uuids = i == 1;
                g_assert_cmpint(bench_job(f.b, &(Job){ .kind = JOB_USAGE }), ==, 0);
                g_assert_cmpuint(usage->framebuffer_used, ==, 3 * GIB);
                g_assert_cmpuint(usage->framebuffer_total, ==, UNKNOWN_U64);
                g_assert_cmpuint(usage->n_vgpus, ==, 1);
                row = &usage->vgpus[0];
                g_assert_cmpstr(row->uuid, ==, UUID_1);
        }
        g_assert_cmpstr(row->type_id, ==, VENDOR_TYPE);
        g_assert_cmpint(row->pid, ==, 4711);
        g_assert_cmpstr(find_fact(&row->facts, "vm")->text, ==, "web1");
        g_assert_cmpstr(find_fact(&row->facts, "vm-uuid")->text, ==, "ab000000-0000-0000-0000-000000000000");
        g_assert_cmpstr(find_fact(&row->facts, "guest-driver")->text, ==, "550.54.14");
        g_assert_cmpuint(find_fact(&row->facts, "framebuffer-used")->number, ==, 3 * GIB);
        g_assert_cmpuint(find_fact(&row->facts, "encoder")->number, ==, 40);
        g_assert_cmpuint(find_fact(&row->facts, "frame-limit")->number, ==, 60);
        g_assert_cmpuint(find_fact(&row->facts, "licensed")->number, ==, 1);
        g_assert_cmpuint(find_fact(&row->facts, "license-state")->number, ==, 2);
        g_assert_cmpuint(find_fact(&row->facts, "migration-prohibited")->number, ==, 0);
        g_assert_cmpuint(find_fact(&row->facts, "guest-driver-loaded")->number, ==, 1);

        g_assert_cmpuint(find_fact(&usage->facts, "migration")->number, ==, 1);
        g_assert_cmpstr(find_fact(&usage->facts, "migration-metadata")->text, ==, "GPU-model-metadata");
        g_assert_cmpstr(find_fact(&usage->facts, "protocol-max")->text, ==, "12.1");
        g_assert_cmpuint(find_fact(&usage->facts, "multi-vgpu")->number, ==, 0);
        g_assert_cmpuint(find_fact(&usage->facts, "virtual-functions")->number, ==, 16);
        g_assert_cmpint(facts_find(&usage->facts, "mixed-size") != NULL, ==, f.m->major >= 550);
        g_assert_cmpint(facts_find(&usage->facts, "capability-warm-update") != NULL, ==, f.m->major >= 550);

        /* No mdev: vendor-specific VFIO. */
        memset(f.gpu->guests[0].mdev, 0, 16);
        g_assert_cmpint(bench_job(f.b, &(Job){ .kind = JOB_USAGE }), ==, 0);
        g_assert_cmpstr(usage->vgpus[0].uuid, ==, "");
        f.gpu->n_guests = 0;
        end(&f);
}

static MigrationVerdict judge(const Facts *here, const Facts *there) {
        MigrationReasons *reasons = g_new(MigrationReasons, 1);
        MigrationVerdict verdict;

        g_assert_cmpint(migration_judge(here, there, &verdict, reasons, NULL), ==, 0);
        g_assert_cmpuint(reasons->n, >, 0);
        for (size_t i = 0; i < reasons->n; i++)
                g_test_message("%s: %s", migration_verdict_to_string(verdict), reasons->items[i]);
        g_free(reasons);
        return verdict;
}

/* What two such hosts make of each other: what the driver says decides, and without it nobody knows. */
static void test_migration(gconstpointer version) {
        Fixture f = begin(version);
        Gpu gpu = { .driver = "nvidia", .backend = "nvidia", .identity = { .pci = true, .vendor = 0x10de } };
        Type type = { .gpu = &gpu };
        Facts here = {}, there = {}, mute = {};

        sync_types(&f);
        type.report = *bench_find_type(f.b, NVIDIA_TYPE_2);
        g_assert_cmpint(migration_describe(&type, NULL, &mute), ==, 0);
        g_assert_cmpint(bench_job(f.b, &(Job){ .kind = JOB_USAGE }), ==, 0);
        g_assert_cmpint(migration_describe(&type, &f.b->result.usage, &here), ==, 0);
        g_assert_cmpint(migration_describe(&type, &f.b->result.usage, &there), ==, 0);
        g_assert_cmpuint(find_fact(&here, "bar1")->number, ==, 256 << 20);
        g_assert_null(facts_find(&here, "layout"));

        g_assert_cmpint(judge(&here, &there), ==, MIGRATION_COMPATIBLE);
        g_assert_cmpint(judge(&here, &mute), ==, MIGRATION_UNKNOWN);
        g_assert_cmpint(judge(&mute, &mute), ==, MIGRATION_UNKNOWN);

        /* Here it speaks 7.1 to 12.1. */
        g_assert_cmpint(facts_add_text(&there, "protocol-min", "12.1"), ==, 0);
        g_assert_cmpint(facts_add_text(&there, "protocol-max", "14.0"), ==, 0);
        g_assert_cmpint(judge(&here, &there), ==, MIGRATION_COMPATIBLE);
        g_assert_cmpint(facts_add_text(&there, "protocol-min", "12.2"), ==, 0);
        g_assert_cmpint(judge(&here, &there), ==, MIGRATION_INCOMPATIBLE);
        g_assert_cmpint(judge(&there, &here), ==, MIGRATION_INCOMPATIBLE);
        g_assert_cmpint(facts_add_text(&there, "protocol-min", "12.1 or so"), ==, 0);
        g_assert_cmpint(judge(&here, &there), ==, MIGRATION_UNKNOWN);
        g_assert_cmpint(facts_add_text(&there, "protocol-min", "7.1"), ==, 0);

        g_assert_cmpint(facts_add_text(&there, "migration-metadata", "GPU-another"), ==, 0);
        g_assert_cmpint(judge(&here, &there), ==, MIGRATION_INCOMPATIBLE);
        facts_done(&here);
        facts_done(&there);
        facts_done(&mute);
        end(&f);
}

/* Of a type, what is left for it now as well. */
static void test_details(gconstpointer version) {
        Fixture f = begin(version);
        const TypeDetails *d;

        sync_types(&f);
        d = &bench_find_type(f.b, NVIDIA_TYPE_2)->details;
        g_assert_cmpuint(d->reserved, ==, GIB);
        g_assert_cmpuint(d->bar1, ==, 256 << 20);
        g_assert_cmpuint(d->host_reserved, ==, 256 << 20);
        g_assert_cmpint(d->creatable, ==, TRISTATE_YES);
        g_assert_cmpint(d->ecc, ==, TRISTATE_NO);
        g_assert_cmpuint(d->placements, ==, f.m->major >= 550 ? 2 : UNKNOWN_U32);
        end(&f);
}

/* Who uses a vGPU, by what /proc says, and what the driver adds of him. */
static void test_users(void) {
        Fixture f = begin("580.142");
        const JobResult *result = &f.b->result;
        char path[64];
        int group, fd;

        sync_types(&f);
        g_assert_cmpint(bench_create(f.b, VENDOR_TYPE, UUID_1), ==, 0);
        group = result->vgpu.iommu_group;
        start_guest(&f, false);
        f.gpu->guests[0].pid = (uint32_t)getpid();
        (void)snprintf(path, sizeof(path), "vfio/%i", group);
        fd = openat(f.b->machine->sim.host.dev_fd, path, O_RDWR | O_CLOEXEC);
        g_assert_cmpint(fd, >=, 0);

        g_assert_cmpint(bench_job(f.b, &(Job){ .kind = JOB_USERS, .uuid = UUID_1, .iommu_group = group }), ==, 0);
        g_assert_cmpuint(result->n_users, ==, 1);
        g_assert_true(result->users[0].told);
        g_assert_cmpuint(result->usage.n_vgpus, ==, 1);
        g_assert_cmpstr(find_fact(&result->usage.vgpus[0].facts, "vm")->text, ==, "web1");

        f.gpu->guests[0].pid = 1;
        g_assert_cmpint(bench_job(f.b, &(Job){ .kind = JOB_USERS, .uuid = UUID_1, .iommu_group = group }), ==, 0);
        g_assert_false(result->users[0].told);

        /* A driver that does not answer takes nothing away. */
        f.m->die_after = 1;
        g_assert_cmpint(bench_job(f.b, &(Job){ .kind = JOB_USERS, .uuid = UUID_1, .iommu_group = group }), ==, 0);
        g_assert_cmpuint(result->n_users, ==, 1);
        g_assert_cmpuint(result->usage.n_vgpus, ==, 0);
        f.m->die_after = 0;
        f.gpu->n_guests = 0;
        fd_close(fd);
        end(&f);
}

static void test_no_usage(void) {
        Fixture f = begin("580.142");

        f.m->is_host = false;
        g_assert_cmpint(bench_job(f.b, &(Job){ .kind = JOB_USAGE }), ==, -ERROR_NOT_SUPPORTED);
        g_assert_nonnull(strstr(f.b->result.error.message, "vGPU host"));
        f.m->is_host = true;
        for (unsigned n = 1; n < 60; n++) {
                f.m->n_ioctls = 0;
                f.m->die_after = n;
                (void)bench_job(f.b, &(Job){ .kind = JOB_USAGE });
                if (f.m->n_ioctls > n + 1) /* the last one only frees */
                        g_assert_cmpint(f.b->result.error.code, <, 0);
                g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);
        }
        f.m->die_after = 0;
        g_assert_cmpuint(f.m->n_set_info + f.m->n_updates + f.m->n_set_pgpu + f.m->n_set_mixed, ==, 0);
        end(&f);
}

static GMutex lock;
static GCond released;
static bool hangs, is_hung;

/* The driver does not return from one call until it is let go. */
static void hang(NvidiaModel *m, uint32_t command, uint8_t *parameters, size_t size) {
        if (command != 0xa0810101)
                return;

        g_mutex_lock(&lock);
        is_hung = true;
        g_cond_broadcast(&released);
        while (hangs)
                g_cond_wait(&released, &lock);
        g_mutex_unlock(&lock);
}

static gpointer sync_in_thread(gpointer data) {
        sync_types(data);
        return NULL;
}

/* Whoever waits in the driver waits for as long as that takes, and then goes on where he was: nothing is sent twice. */
static void test_hang(void) {
        Fixture f = begin("580.142");
        GThread *thread;

        f.m->hook = hang;
        hangs = true;
        thread = g_thread_new("worker", sync_in_thread, &f);
        g_mutex_lock(&lock);
        while (!is_hung)
                g_cond_wait(&released, &lock);
        g_mutex_unlock(&lock);
        g_usleep(20000);
        g_assert_cmpuint(f.m->n_set_info, ==, 1);

        g_mutex_lock(&lock);
        hangs = false;
        g_cond_broadcast(&released);
        g_mutex_unlock(&lock);
        (void)g_thread_join(thread);
        g_assert_cmpuint(f.m->n_set_info, ==, 2);
        g_assert_cmpint(bench_find_type(f.b, NVIDIA_TYPE_1)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpint(bench_find_type(f.b, NVIDIA_TYPE_2)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpuint(f.gpu->state, ==, 2);
        end(&f);
}

/* A program of this machine, for once: that it ends is heard, and that it runs is not. */
static void test_real_program(void) {
        char *const command[] = { (char *)"/usr/bin/sleep", (char *)"0.2", NULL }, *const environment[] = { NULL };
        struct pollfd p = { .events = POLLIN };
        Host host;
        pid_t pid;

        g_assert_cmpint(host_open(&host), ==, 0);
        g_assert_cmpint(host.ops->watch_program(&host, "no-such-program"), ==, -ENOENT);
        p.fd = host.ops->watch_program(&host, "sleep");
        g_assert_cmpint(p.fd, >=, 0);
        g_assert_cmpint(posix_spawn(&pid, command[0], NULL, NULL, command, environment), ==, 0);
        g_assert_cmpint(poll(&p, 1, 50), ==, 0);
        g_assert_cmpint(poll(&p, 1, 10000), ==, 1);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        fd_close(p.fd);
        host_close(&host);
}

int main(int argc, char **argv) {
        static const char *const versions[] = {
                "525.60.11", "535.183.01", "550.163.01", "565.77",    "570.211.01",
                "575.64.05", "580.82.09",  "580.142",    "595.45.04",
        };
        static const struct {
                const char *name;
                GTestDataFunc test;
        } each[] = {
                { "guests", test_guests },
                { "usage", test_usage },
                { "details", test_details },
                { "migration", test_migration },
        };

        g_test_init(&argc, &argv, NULL);

        for (size_t i = 0; i < ELEMENTSOF(versions); i++)
                for (size_t k = 0; k < ELEMENTSOF(each); k++) {
                        g_autofree char *name = g_strdup_printf("/nvidia-events/%s/%s", versions[i], each[k].name);

                        g_test_add_data_func(name, versions[i], each[k].test);
                }
        g_test_add_func("/nvidia-events/vgpud", test_vgpud);
        g_test_add_func("/nvidia-events/spins", test_spins);
        g_test_add_func("/nvidia-events/deaf", test_deaf);
        g_test_add_func("/nvidia-events/users", test_users);
        g_test_add_func("/nvidia-events/no-usage", test_no_usage);
        g_test_add_func("/nvidia-events/hang", test_hang);
        g_test_add_func("/nvidia-events/real-program", test_real_program);

        return g_test_run();
}
