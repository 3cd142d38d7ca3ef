/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What every backend has in common, held against every backend: a backend without a row in the table here is a failure.
 * Then what only some do: registering types, and virtual functions that are parents.
 */

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "backend/backends.h"
#include "core/scan.h"
#include "machine.h"
#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"
#include "worker/protocol.h"

typedef struct Row {
        const char *backend;
        const char *gpu, *other; /* two cards of the kind */
        SimGpuKind kind;
        uint64_t capacity;
        const char *type, *sibling; /* one instance of the sibling takes the place of two of the type */
        uint32_t instances; /* of the type, on an empty card */
} Row;

static const Row rows[] = {
        { "shim", GPU_A, GPU_B, SIM_GPU_SHIM, 8 * GIB, TYPE_1, TYPE_2, 4 },
        { "mdev", "mtty", "mtty2", SIM_GPU_MTTY, 4, "mtty-1", "mtty-2", 4 },
};

static const TypeSpec specs[] = {
        { .id = 1,
          .name = "Small",
          .class = "Compute",
          .max_instances = 9,
          .framebuffer = 2 * GIB,
          .max_width = 1,
          .max_height = 1,
          .frame_limit = 1 },
        { .id = 2,
          .name = "Large",
          .max_instances = 9,
          .framebuffer = 3 * GIB,
          .reserved = GIB,
          .max_width = 1,
          .max_height = 1,
          .frame_limit = 1 },
};

typedef struct Bench {
        Machine *machine;
        const Row *row;
        BackendContext worker;
        JobResult result; /* of the last job */
} Bench;

/* Does a job, and sends what came of it over the wire and back: whatever a driver says, it must pass. */
static int run(Bench *b, const Job *job) {
        WireWriter w = {};
        JobResult result;

        job_result_init(&result);
        runner_run(&b->worker, job, &result);
        protocol_put_result(&w, 0, job->kind, &result);
        g_assert_cmpint(w.error, ==, 0);
        job_result_done(&result);
        job_result_done(&b->result);
        g_assert_cmpint(protocol_get_result(w.data + PROTOCOL_HEADER_SIZE, w.size - PROTOCOL_HEADER_SIZE, job->kind,
                                            &b->result),
                        ==, 0);
        wire_writer_done(&w);

        g_assert_cmpint(b->result.error.code == 0, ==, b->result.error.message[0] == '\0');
        return b->result.error.code;
}

static int run_sync(Bench *b, const TypeSpec *types, size_t n_types, bool may_register) {
        return run(b, &(Job){ .kind = JOB_SYNC, .types = types, .n_types = n_types, .may_register = may_register });
}

static int run_create(Bench *b, const char *type_id, const char *uuid) {
        return run(b, &(Job){ .kind = JOB_CREATE, .type_id = type_id, .uuid = uuid });
}

/* As the supervisor does: by a worker of its own. */
static int run_remove(Bench *b, const char *uuid) {
        BackendContext worker = b->worker;
        int r;

        runner_init(&b->worker, worker.host, worker.gpu);
        r = run(b, &(Job){ .kind = JOB_REMOVE, .uuid = uuid });
        runner_done(&b->worker);
        b->worker = worker;
        return r;
}

static Bench *bench_new(const Row *row) {
        Bench *b = g_new0(Bench, 1);

        b->machine = machine_new();
        b->row = row;
        job_result_init(&b->result);
        g_assert_cmpint(sim_host_plug(&b->machine->sim, row->gpu, row->kind, row->capacity), ==, 0);
        runner_init(&b->worker, &b->machine->sim.host, row->gpu);
        g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), true), ==, 0);
        return b;
}

static void bench_free(Bench *b) {
        job_result_done(&b->result);
        runner_done(&b->worker);
        machine_free(b->machine);
        g_free(b);
}

static const TypeReport *find_type(const Bench *b, const char *id) {
        for (size_t i = 0; i < b->result.report.n_types; i++)
                if (streq(b->result.report.types[i].id, id))
                        return &b->result.report.types[i];

        g_error("no type %s", id);
}

static uint32_t find_count(const Bench *b, const char *id) {
        for (size_t i = 0; i < b->result.n_counts; i++)
                if (streq(b->result.counts[i].id, id))
                        return b->result.counts[i].available;

        g_error("no count of type %s", id);
}

static void test_table(void) {
        for (const Backend *const *backend = backends; *backend; backend++) {
                bool found = false;

                for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                        found = found || streq(rows[i].backend, (*backend)->name);
                if (!found)
                        g_error("backend %s is not tested", (*backend)->name);
        }
}

static void test_read(gconstpointer row) {
        Bench *b = bench_new(row);
        const GpuReport *report = &b->result.report;

        g_assert_cmpint(report->state, ==, GPU_READY);
        g_assert_cmpstr(report->backend, ==, b->row->backend);
        g_assert_cmpuint(report->n_types, ==, 2);
        g_assert_cmpuint(report->n_vgpus, ==, 0);
        g_assert_cmpstr(report->types[0].id, ==, b->row->type);
        g_assert_cmpstr(report->types[1].id, ==, b->row->sibling);
        for (size_t i = 0; i < 2; i++) {
                g_assert_cmpstr(report->types[i].name, !=, "");
                g_assert_cmpstr(report->types[i].device_api, ==, "vfio-pci");
                g_assert_cmpint(report->types[i].registration, ==, REGISTRATION_REGISTERED);
        }
        g_assert_cmpuint(report->types[0].available, ==, b->row->instances);
        g_assert_cmpuint(report->types[1].available, ==, b->row->instances / 2);
        g_assert_cmpuint(report->types[0].vendor_id, ==, 1);
        bench_free(b);
}

static void test_create_and_remove(gconstpointer row) {
        Bench *b = bench_new(row);
        const VGpuReport *v;

        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, 0);
        v = &b->result.vgpu;
        g_assert_cmpstr(v->uuid, ==, UUID_1);
        g_assert_cmpstr(v->type_id, ==, b->row->type);
        g_assert_cmpstr(v->parent, ==, b->row->gpu);
        g_assert_cmpstr(v->sysfs_path, ==, "/sys/bus/mdev/devices/" UUID_1);
        g_assert_cmpint(v->iommu_group, ==, 0);
        g_assert_true(machine_has_mdev(b->machine, UUID_1));
        g_assert_cmpuint(find_count(b, b->row->type), ==, b->row->instances - 1);
        g_assert_cmpuint(find_count(b, b->row->sibling), ==, b->row->instances / 2 - 1);

        g_assert_cmpint(run_create(b, b->row->sibling, UUID_2), ==, 0);
        g_assert_cmpint(b->result.vgpu.iommu_group, ==, 1);
        g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), true), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 2);
        g_assert_cmpuint(find_type(b, b->row->type)->available, ==, b->row->instances - 3);

        g_assert_cmpint(run_remove(b, UUID_1), ==, 0);
        g_assert_false(machine_has_mdev(b->machine, UUID_1));
        g_assert_cmpuint(find_count(b, b->row->type), ==, b->row->instances - 2);
        g_assert_cmpint(run_remove(b, UUID_2), ==, 0);
        g_assert_cmpuint(find_count(b, b->row->type), ==, b->row->instances);
        bench_free(b);
}

static void test_exhausted(gconstpointer row) {
        Bench *b = bench_new(row);

        for (unsigned i = 0; i < b->row->instances; i++) {
                g_autofree char *uuid = g_strdup_printf("%08x-2fa1-4d2e-883f-0016d3cca427", i);

                g_assert_cmpint(run_create(b, b->row->type, uuid), ==, 0);
        }
        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, -ERROR_NO_INSTANCES);
        g_assert_nonnull(strstr(b->result.error.message, b->row->gpu));
        g_assert_cmpint(run_create(b, b->row->sibling, UUID_1), ==, -ERROR_NO_INSTANCES);
        g_assert_cmpint(run_remove(b, "00000000-2fa1-4d2e-883f-0016d3cca427"), ==, 0);
        g_assert_cmpint(run_create(b, b->row->sibling, UUID_1), ==, -ERROR_NO_INSTANCES);
        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, 0);
        bench_free(b);
}

static void test_not_there(gconstpointer row) {
        Bench *b = bench_new(row);

        g_assert_cmpint(run_create(b, "none-1", UUID_1), ==, -ERROR_NO_SUCH_TYPE);
        g_assert_cmpint(run_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, 0);
        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, -ERROR_ALREADY_EXISTS);
        g_assert_cmpint(run_remove(b, UUID_1), ==, 0);
        g_assert_cmpint(run_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        bench_free(b);
}

/* What is another card's is left alone. */
static void test_of_another(gconstpointer row) {
        Bench *b = bench_new(row), other = { .machine = b->machine, .row = row };

        job_result_init(&other.result);
        g_assert_cmpint(sim_host_plug(&b->machine->sim, b->row->other, b->row->kind, b->row->capacity), ==, 0);
        runner_init(&other.worker, &b->machine->sim.host, b->row->other);
        g_assert_cmpint(run_sync(&other, specs, ELEMENTSOF(specs), true), ==, 0);
        g_assert_cmpint(run_create(&other, b->row->type, UUID_1), ==, 0);

        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, -ERROR_ALREADY_EXISTS);
        g_assert_cmpint(run_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        g_assert_true(machine_has_mdev(b->machine, UUID_1));
        g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), true), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);

        job_result_done(&other.result);
        runner_done(&other.worker);
        bench_free(b);
}

/* A process that holds a vGPU open, as a virtual machine does. */
static pid_t hold(Machine *m, const char *node) {
        int ready[2];
        char byte;
        pid_t pid;

        g_assert_cmpint(pipe(ready), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
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

static void test_in_use(gconstpointer row) {
        Bench *b = bench_new(row);
        g_autofree char *number = NULL;
        pid_t pid;

        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, 0);
        g_assert_cmpint(run_create(b, b->row->type, UUID_2), ==, 0);
        pid = hold(b->machine, "vfio/0");
        number = g_strdup_printf("%i", (int)pid);

        g_assert_cmpint(run_remove(b, UUID_1), ==, -ERROR_IN_USE);
        g_assert_nonnull(strstr(b->result.error.message, number));
        g_assert_cmpuint(b->result.n_users, ==, 1);
        g_assert_cmpint(b->result.users[0].pid, ==, pid);
        g_assert_cmpuint(b->result.users[0].uid, ==, getuid());
        g_assert_cmpstr(b->result.users[0].comm, ==, "test-backends");
        g_assert_true(machine_has_mdev(b->machine, UUID_1));
        g_assert_cmpint(run_remove(b, UUID_2), ==, 0);

        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        g_assert_cmpint(run_remove(b, UUID_1), ==, 0);
        bench_free(b);
}

static void test_leaves(gconstpointer row) {
        Bench *b = bench_new(row);

        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, 0);
        g_assert_cmpint(sim_host_unplug(&b->machine->sim, b->row->gpu), ==, 0);
        g_assert_cmpint(run_create(b, b->row->type, UUID_2), ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(run_remove(b, UUID_1), ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), true), ==, 0);
        g_assert_cmpint(b->result.report.state, ==, GPU_NO_DRIVER);
        g_assert_cmpuint(b->result.report.n_types, ==, 0);

        /* It comes again, as another incarnation: the same worker serves it. */
        g_assert_cmpint(sim_host_plug(&b->machine->sim, b->row->gpu, b->row->kind, b->row->capacity), ==, 0);
        g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 2);
        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, 0);
        bench_free(b);
}

static void put_attribute(Bench *b, const char *name, const char *text, gssize size) {
        g_autofree char *path = g_strdup_printf("%s/sys/class/mdev_bus/%s/mdev_supported_types/%s/%s", b->machine->root,
                                                b->row->gpu, b->row->type, name);

        g_assert_true(g_file_set_contents(path, text, size, NULL));
}

static void test_hostile_text(gconstpointer row) {
        static const struct {
                const char *text;
                gssize size;
        } texts[] = {
                { "\xff\xfe\xfd\n", -1 }, { "\x1b[2J\x07\n", -1 }, { "a\0b\n", 4 },  { "", 0 },
                { "\xef\xbf\xbf", -1 },   { "\n\n\n", -1 },        { "%s%n%s", -1 },
        };
        Bench *b = bench_new(row);
        g_autofree char *large = g_strnfill(65536, 'x');
        static const char *const attributes[] = { "name", "description", "device_api", "available_instances" };

        for (size_t i = 0; i < ELEMENTSOF(attributes); i++) {
                for (size_t k = 0; k < ELEMENTSOF(texts); k++) {
                        put_attribute(b, attributes[i], texts[k].text, texts[k].size);
                        g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), false), ==, 0);
                        g_assert_cmpuint(b->result.report.n_types, ==, 2);
                }
                put_attribute(b, attributes[i], large, -1);
                g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), false), ==, 0);
        }
        g_assert_cmpstr(find_type(b, b->row->type)->device_api, ==, "");

        put_attribute(b, "device_api", "vfio-\x01pci\n", -1);
        g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), false), ==, 0);
        g_assert_cmpstr(find_type(b, b->row->type)->device_api, ==, "vfio-?pci");
        bench_free(b);
}

static void test_hostile_numbers(gconstpointer row) {
        static const struct {
                const char *text;
                uint32_t value;
        } numbers[] = {
                { "0\n", 0 },
                { "4294967294\n", UNKNOWN_U32 - 1 },
                { "4294967295\n", UNKNOWN_U32 },
                { "-1\n", UNKNOWN_U32 },
                { "99999999999999999999999\n", UNKNOWN_U32 },
                { "many\n", UNKNOWN_U32 },
                { "3 \n", UNKNOWN_U32 },
        };
        Bench *b = bench_new(row);

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                put_attribute(b, "available_instances", numbers[i].text, -1);
                g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), false), ==, 0);
                g_assert_cmpuint(find_type(b, b->row->type)->available, ==, numbers[i].value);
        }

        put_attribute(b, "description",
                      "num_heads=99999999999, frl_config=-1, framebuffer=4294967294M, max_resolution=1x, "
                      ",=,max_instance=4294967295,max_instance",
                      -1);
        g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), false), ==, 0);
        bench_free(b);
}

/* Names that a driver, or a broken tree, gives to types and devices. */
static void test_hostile_names(gconstpointer row) {
        Bench *b = bench_new(row);
        g_autofree char *long_name = g_strnfill(200, 'x'), *types = NULL, *path = NULL;
        const char *const bad[] = { "a\nb-1", "\xff-1", "\x1b[2J", long_name, "..." };
        const SimHost *sim = &b->machine->sim;

        types = g_strdup_printf("%s/sys/class/mdev_bus/%s/mdev_supported_types", b->machine->root, b->row->gpu);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_autofree char *folder = g_build_filename(types, bad[i], "devices", NULL);

                g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
        }
        path = g_build_filename(types, b->row->type, "devices", "no-uuid", NULL);
        g_assert_cmpint(symlink("../../../x", path), ==, 0);

        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, 0);
        sim_remove_tree(sim, "sys/bus/mdev/devices/%s/iommu_group", UUID_1);
        g_assert_cmpint(sim_symlink(sim, "x/-7", "sys/bus/mdev/devices/%s/iommu_group", UUID_1), ==, 0);

        g_assert_cmpint(run_sync(b, specs, ELEMENTSOF(specs), false), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 3); /* "..." is a name */
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpint(b->result.report.vgpus[0].iommu_group, ==, -1);
        bench_free(b);
}

/* A driver that says yes and does nothing, or does it when it has said no. */
static int lie(const Host *host, int dir_fd, const char *path, const char *text) {
        return 0;
}

static void test_lies(gconstpointer row) {
        Bench *b = bench_new(row);
        HostOps ops = b->machine->host_ops;

        g_assert_cmpint(run_create(b, b->row->type, UUID_1), ==, 0);
        ops.store = lie;
        b->machine->sim.host.ops = &ops;
        g_assert_cmpint(run_create(b, b->row->type, UUID_2), ==, -ERROR_DRIVER_REJECTED);
        g_assert_nonnull(strstr(b->result.error.message, "not there"));
        g_assert_cmpint(run_remove(b, UUID_1), ==, -ERROR_DRIVER_REJECTED);
        g_assert_nonnull(strstr(b->result.error.message, "still there"));
        b->machine->sim.host.ops = &b->machine->host_ops;
        bench_free(b);
}

/* Types that the driver does not take: said, and nothing else. */
static void test_own_types(void) {
        Bench *b = bench_new(&rows[1]);

        g_assert_cmpint(b->result.report.state, ==, GPU_READY);
        g_assert_cmpstr(b->result.report.reason, !=, "");
        g_assert_cmpint(find_type(b, "mtty-1")->source, ==, TYPE_SOURCE_DRIVER);
        g_assert_cmpint(run_sync(b, NULL, 0, true), ==, 0);
        g_assert_cmpstr(b->result.report.reason, ==, "");
        bench_free(b);
}

static void test_register(void) {
        Bench *b = bench_new(&rows[0]);
        TypeSpec changed[2] = { specs[0], specs[1] };
        const TypeReport *type = find_type(b, TYPE_2);

        g_assert_cmpint(type->source, ==, TYPE_SOURCE_PROFILE);
        g_assert_cmpstr(type->name, ==, "Large");
        g_assert_cmpuint(type->framebuffer, ==, 3 * GIB);
        g_assert_cmpuint(type->max_instances, ==, 9);
        g_assert_cmpstr(find_type(b, TYPE_1)->class, ==, "Compute");
        g_assert_cmpstr(b->result.report.model, ==, "Simulated GPU");
        g_assert_cmpuint(b->result.report.framebuffer_total, ==, 8 * GIB);

        /* Nothing is changed where it must not be. */
        changed[1].framebuffer = 7 * GIB;
        g_assert_cmpint(run_sync(b, changed, 2, false), ==, 0);
        g_assert_cmpint(find_type(b, TYPE_2)->registration, ==, REGISTRATION_DIFFERS);
        g_assert_cmpuint(find_type(b, TYPE_2)->framebuffer, ==, 3 * GIB);
        g_assert_cmpint(run_sync(b, changed, 1, false), ==, 0);
        g_assert_cmpint(find_type(b, TYPE_2)->registration, ==, REGISTRATION_RETIRED);

        g_assert_cmpint(run_sync(b, changed, 2, true), ==, 0);
        g_assert_cmpuint(find_type(b, TYPE_2)->framebuffer, ==, 7 * GIB);
        g_assert_cmpint(find_type(b, TYPE_2)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpint(run_sync(b, NULL, 0, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 0);
        g_assert_cmpint(b->result.report.state, ==, GPU_READY);
        bench_free(b);
}

/* One that is refused keeps no other away; where all are, what there was stays. */
static void test_refused(void) {
        Bench *b = bench_new(&rows[0]);
        TypeSpec wanted[3] = { specs[0], specs[1], specs[0] };

        wanted[1].framebuffer = 9 * GIB;
        wanted[2].id = 3;
        g_assert_cmpint(run_sync(b, wanted, 3, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 3);
        g_assert_cmpint(find_type(b, TYPE_1)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpint(find_type(b, TYPE_2)->registration, ==, REGISTRATION_REFUSED);
        g_assert_nonnull(strstr(find_type(b, TYPE_2)->reason, "framebuffer"));
        g_assert_cmpint(find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_REGISTERED);
        g_assert_false(b->result.report.pending_types);
        g_assert_cmpint(run_create(b, TYPE_2, UUID_1), ==, -ERROR_NO_SUCH_TYPE);

        wanted[0].framebuffer = 10 * GIB;
        g_assert_cmpint(run_sync(b, wanted, 1, true), ==, 0);
        g_assert_cmpint(find_type(b, TYPE_1)->registration, ==, REGISTRATION_DIFFERS);
        g_assert_cmpuint(find_type(b, TYPE_1)->framebuffer, ==, 2 * GIB);
        g_assert_cmpint(find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_RETIRED);
        g_assert_cmpint(run_create(b, TYPE_1, UUID_1), ==, 0);
        bench_free(b);
}

static void test_pending(void) {
        Bench *b = bench_new(&rows[0]);
        TypeSpec wanted[3] = { specs[0], specs[1], specs[0] };

        wanted[2].id = 3;
        g_assert_cmpint(run_create(b, TYPE_1, UUID_1), ==, 0);
        g_assert_cmpint(run_sync(b, wanted, 3, true), ==, 0);
        g_assert_true(b->result.report.pending_types);
        g_assert_cmpint(find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_PENDING);
        g_assert_cmpint(find_type(b, TYPE_1)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpint(run_create(b, "mdevgpu_ref-3", UUID_2), ==, -ERROR_NO_SUCH_TYPE);

        g_assert_cmpint(run_remove(b, UUID_1), ==, 0);
        g_assert_cmpint(run_sync(b, wanted, 3, true), ==, 0);
        g_assert_false(b->result.report.pending_types);
        g_assert_cmpint(run_create(b, "mdevgpu_ref-3", UUID_2), ==, 0);
        bench_free(b);
}

/* Somebody else has the control channel: he is named, and nothing is touched. */
static void test_owned(void) {
        Bench *b = bench_new(&rows[0]);
        g_autofree char *number = g_strdup_printf("process %i ", (int)getpid());
        const Host *host = &b->machine->sim.host;
        int fd;

        runner_done(&b->worker);
        fd = host->ops->open_node(host, "mdevgpu/gpu0", O_RDWR);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(run_sync(b, specs, 1, true), ==, -ERROR_BUSY);
        g_assert_nonnull(strstr(b->result.error.message, number));
        fd_close(fd);
        g_assert_cmpint(run_sync(b, specs, 2, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 2);
        bench_free(b);
}

#define PF "0000:43:00.0"
#define VF_TYPE "nvidia-530"

static const char *const vfs[] = { "0000:43:00.4", "0000:43:00.5" };

static const char *vf_path(const char *name) {
        static char path[128];

        (void)snprintf(path, sizeof(path), "devices/pci0000:40/%s", name);
        return path;
}

static void make_pci(const SimHost *sim, const char *name, const char *class) {
        static char target[160];

        g_assert_cmpint(sim_mkdir(sim, "sys/%s", vf_path(name)), ==, 0);
        g_assert_cmpint(sim_write(sim, class, 0444, "sys/%s/class", vf_path(name)), ==, 0);
        g_assert_cmpint(sim_write(sim, "0x10de\n", 0444, "sys/%s/vendor", vf_path(name)), ==, 0);
        g_assert_cmpint(sim_symlink(sim, "sys/bus/pci/drivers/nvidia", "sys/%s/driver", vf_path(name)), ==, 0);
        (void)snprintf(target, sizeof(target), "sys/%s", vf_path(name));
        g_assert_cmpint(sim_symlink(sim, target, "sys/bus/pci/devices/%s", name), ==, 0);
}

/* A card on each of whose two virtual functions one vGPU can be made. */
static void make_card_with_vfs(const SimHost *sim) {
        g_assert_cmpint(sim_mkdir(sim, "sys/class/mdev_bus"), ==, 0);
        make_pci(sim, PF, "0x030200\n");
        for (unsigned i = 0; i < 2; i++) {
                char types[200], target[160];

                make_pci(sim, vfs[i], "0x030200\n");
                (void)snprintf(target, sizeof(target), "sys/%s", vf_path(PF));
                g_assert_cmpint(sim_symlink(sim, target, "sys/%s/physfn", vf_path(vfs[i])), ==, 0);
                (void)snprintf(target, sizeof(target), "sys/%s", vf_path(vfs[i]));
                g_assert_cmpint(sim_symlink(sim, target, "sys/devices/pci0000:40/" PF "/virtfn%u", i), ==, 0);
                g_assert_cmpint(sim_symlink(sim, target, "sys/class/mdev_bus/%s", vfs[i]), ==, 0);

                (void)snprintf(types, sizeof(types), "sys/%s/mdev_supported_types/" VF_TYPE, vf_path(vfs[i]));
                g_assert_cmpint(sim_mkdir(sim, "%s/devices", types), ==, 0);
                g_assert_cmpint(sim_write(sim, "1\n", 0444, "%s/available_instances", types), ==, 0);
                g_assert_cmpint(sim_write(sim, "GRID A100-1\n", 0444, "%s/name", types), ==, 0);
                g_assert_cmpint(sim_write(sim, "vfio-pci\n", 0444, "%s/device_api", types), ==, 0);
                g_assert_cmpint(sim_write(sim, "", 0200, "%s/create", types), ==, 0);
        }
}

/* The driver of that card: EINVAL where nothing is left. */
static int vf_store(const Host *host, int dir_fd, const char *path, const char *text) {
        const SimHost *sim = host->userdata;
        char vf[64], folder[300], target[400];

        if (sscanf(path, "class/mdev_bus/%63[^/]/mdev_supported_types/" VF_TYPE "/create", vf) == 1 &&
            g_str_has_suffix(path, "/create")) {
                (void)snprintf(folder, sizeof(folder), "sys/%s", vf_path(vf));
                if (sim_exists(sim, "%s/used", folder))
                        return -EINVAL;
                (void)snprintf(target, sizeof(target), "%s/%s", folder, text);
                g_assert_cmpint(sim_mkdir(sim, "%s", target), ==, 0);
                g_assert_cmpint(sim_write(sim, text, 0400, "%s/used", folder), ==, 0);
                g_assert_cmpint(sim_symlink(sim, target, "sys/bus/mdev/devices/%s", text), ==, 0);
                g_assert_cmpint(
                        sim_symlink(sim, target, "%s/mdev_supported_types/" VF_TYPE "/devices/%s", folder, text), ==,
                        0);
                (void)snprintf(folder, sizeof(folder), "sys/%s/mdev_supported_types/" VF_TYPE, vf_path(vf));
                g_assert_cmpint(sim_symlink(sim, folder, "%s/mdev_type", target), ==, 0);
                g_assert_cmpint(sim_write(sim, "0\n", 0444, "%s/available_instances", folder), ==, 0);
                return 0;
        }

        if (sscanf(path, "bus/mdev/devices/%63[^/]/remove", vf) == 1) {
                sim_remove_tree(sim, "sys/bus/mdev/devices/%s", vf);
                return 0;
        }

        return -EACCES;
}

static void test_virtual_functions(void) {
        Bench b = { .machine = machine_new() };
        Machine *m = b.machine;
        GpuIdentity identity;
        char name[SYSFS_NAME_SIZE];

        job_result_init(&b.result);
        m->host_ops.store = vf_store;
        make_card_with_vfs(&m->sim);
        runner_init(&b.worker, &m->sim.host, PF);

        /* The function is part of the card, and no GPU. */
        g_assert_cmpint(scan_resolve(&m->sim.host, vfs[1], name), ==, 0);
        g_assert_cmpstr(name, ==, PF);
        g_assert_cmpint(scan_identify(&m->sim.host, vfs[1], &identity), ==, 0);
        g_assert_cmpint(scan_identify(&m->sim.host, PF, &identity), ==, 1);
        g_assert_cmpuint(identity.vendor, ==, 0x10de);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, "/devices/pci0000:40/0000:43:00.5");
        machine_expect_log(m, "+gpu " PF " probing\n");

        g_assert_cmpint(run_sync(&b, NULL, 0, true), ==, 0);
        g_assert_cmpstr(b.result.report.driver, ==, "nvidia");
        g_assert_cmpuint(b.result.report.n_types, ==, 1);
        g_assert_cmpuint(b.result.report.types[0].available, ==, 2);

        g_assert_cmpint(run_create(&b, VF_TYPE, UUID_1), ==, 0);
        g_assert_cmpstr(b.result.vgpu.parent, ==, vfs[0]);
        g_assert_cmpuint(find_count(&b, VF_TYPE), ==, 1);
        g_assert_cmpint(run_create(&b, VF_TYPE, UUID_2), ==, 0);
        g_assert_cmpstr(b.result.vgpu.parent, ==, vfs[1]);
        g_assert_cmpint(run_create(&b, VF_TYPE, UUID_3), ==, -ERROR_NO_INSTANCES);

        g_assert_cmpint(run_sync(&b, NULL, 0, true), ==, 0);
        g_assert_cmpuint(b.result.report.n_vgpus, ==, 2);
        g_assert_cmpint(run_remove(&b, UUID_2), ==, 0);
        g_assert_cmpint(run_remove(&b, UUID_2), ==, -ERROR_NO_SUCH_VGPU);

        /* The event of a vGPU on a function is the card's. */
        machine_settle(m);
        machine_clear_log(m);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, "/devices/pci0000:40/0000:43:00.4/" UUID_1);
        g_assert_nonnull(fake_find_job(&m->fake, JOB_SYNC, PF));

        job_result_done(&b.result);
        runner_done(&b.worker);
        machine_free(m);
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                GTestDataFunc test;
        } common[] = {
                { "read", test_read },
                { "create-and-remove", test_create_and_remove },
                { "exhausted", test_exhausted },
                { "not-there", test_not_there },
                { "of-another", test_of_another },
                { "in-use", test_in_use },
                { "leaves", test_leaves },
                { "lies", test_lies },
                { "hostile-text", test_hostile_text },
                { "hostile-numbers", test_hostile_numbers },
                { "hostile-names", test_hostile_names },
        };

        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/backends/table", test_table);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (size_t k = 0; k < ELEMENTSOF(common); k++) {
                        g_autofree char *name = g_strdup_printf("/backends/%s/%s", rows[i].backend, common[k].name);

                        g_test_add_data_func(name, &rows[i], common[k].test);
                }
        g_test_add_func("/backends/mdev/own-types", test_own_types);
        g_test_add_func("/backends/mdev/virtual-functions", test_virtual_functions);
        g_test_add_func("/backends/shim/register", test_register);
        g_test_add_func("/backends/shim/refused", test_refused);
        g_test_add_func("/backends/shim/pending", test_pending);
        g_test_add_func("/backends/shim/owned", test_owned);

        return g_test_run();
}
