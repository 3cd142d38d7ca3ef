/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Types on a card of NVIDIA's: what is registered, what is said of it, and what is never done to the driver.
 */

#include "bench.h"
#include "sim/sim-internal.h"

#define TYPE_3 "nvidia-3"
#define VENDOR_TYPE "nvidia-100"

typedef struct Fixture {
        Bench *b;
        NvidiaModel *m;
        ModelGpu *gpu;
        TypeSpec specs[3];
        bool vf_lives; /* one of the card's functions is a vGPU */
} Fixture;

static Fixture begin(const char *version) {
        Fixture f = { .b = bench_new_nvidia(version), .specs = { bench_specs[0], bench_specs[1], bench_specs[0] } };

        f.m = f.b->nvidia;
        f.gpu = &f.m->gpus[0];
        f.specs[2].id = 3;
        (void)g_strlcpy(f.specs[2].name, "Third", sizeof(f.specs[2].name));
        return f;
}

/* What must hold at the end of each: no node is left open, nothing was discarded, a ready set never went back to "in
 * progress". */
static void end(Fixture *f) {
        runner_done(&f->b->worker);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);
        g_assert_cmpuint(f->m->n_objects, ==, 0);
        g_assert_cmpuint(f->m->n_discards, ==, 0);
        g_assert_cmpuint(f->gpu->lowest, !=, 1);
        bench_free(f->b);
}

/* The nodes are open afterwards only if a vGPU lives: then a worker listens to its card. */
static void sync_types(Fixture *f, size_t n) {
        bool lives = f->gpu->n_guests > 0 || f->vf_lives;

        g_assert_cmpint(bench_sync(f->b, f->specs, n, true), ==, 0);
        lives = lives || f->b->result.report.n_vgpus > 0;
        if (!lives)
                g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);
}

static void assert_row(const Fixture *f, const char *id, Registration registration, const char *part) {
        const TypeReport *row = bench_find_type(f->b, id);

        if (row->registration != registration || (part && !strstr(row->reason, part)))
                g_error("%s: %i '%s', not %i '%s'", id, row->registration, row->reason, registration, strempty(part));
        if (!part)
                g_assert_cmpstr(row->reason, ==, "");
}

static void test_register(gconstpointer version) {
        Fixture f = begin(version);
        ModelWords words;

        nvidia_model_run_vgpud(f.m, f.gpu);
        sync_types(&f, 2);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_READY);
        g_assert_cmpstr(f.b->result.report.backend, ==, "nvidia");
        g_assert_cmpstr(f.b->result.report.driver_version, ==, version);
        g_assert_cmpstr(f.b->result.report.model, ==, "NVIDIA Model GPU");
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        assert_row(&f, VENDOR_TYPE, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpint(bench_find_type(f.b, NVIDIA_TYPE_2)->source, ==, TYPE_SOURCE_PROFILE);
        g_assert_cmpint(bench_find_type(f.b, VENDOR_TYPE)->source, ==, TYPE_SOURCE_DRIVER);
        g_assert_cmpstr(bench_find_type(f.b, VENDOR_TYPE)->name, ==, "Vendor type 100");
        g_assert_cmpuint(f.gpu->state, ==, 2);
        g_assert_cmpuint(f.gpu->lowest, ==, 2);
        g_assert_cmpuint(f.m->n_updates, ==, 1);
        nvidia_model_describe(f.m, nvidia_model_find(f.m, 2), &words);
        g_assert_cmpstr(words.name, ==, "Large");
        g_assert_cmpuint(words.framebuffer, ==, 3 * GIB);
        g_assert_cmpuint(words.reserved, ==, GIB);

        /* What is so already is not written again, by another worker neither. */
        sync_types(&f, 2);
        runner_done(&f.b->worker);
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpuint(f.m->n_set_info, ==, 2);
        g_assert_cmpuint(f.m->n_updates, ==, 1);
        g_assert_cmpint(bench_create(f.b, NVIDIA_TYPE_1, UUID_1), ==, 0);
        end(&f);
}

/* The first registration of all; and what nobody wants any more. */
static void test_first(void) {
        Fixture f = begin("580.142");

        f.m->die_after = 0;
        sync_types(&f, 3);
        g_assert_cmpuint(f.gpu->state, ==, 2);
        g_assert_cmpuint(f.gpu->n_list, ==, 3);
        g_assert_cmpuint(f.b->result.report.n_types, ==, 3);

        sync_types(&f, 2);
        assert_row(&f, TYPE_3, REGISTRATION_RETIRED, "loaded anew");
        end(&f);
}

/* Nothing is registered where it must not be. */
static void test_not_allowed(void) {
        Fixture f = begin("580.142");

        g_assert_cmpint(bench_sync(f.b, f.specs, 2, false), ==, 0);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_PENDING, "not yet");
        sync_types(&f, 0);
        g_assert_cmpuint(f.b->result.report.n_types, ==, 0);
        g_assert_cmpuint(f.m->n_set_info + f.m->n_updates + f.m->n_set_pgpu, ==, 0);
        end(&f);
}

/* NVIDIA's daemon discards what there is when it is run again. */
static void test_vgpud_again(void) {
        Fixture f = begin("580.142");

        sync_types(&f, 2);
        nvidia_model_run_vgpud(f.m, f.gpu);
        g_assert_false(nvidia_model_lists(f.gpu, 1));
        g_assert_cmpint(bench_sync(f.b, f.specs, 2, false), ==, 0);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_PENDING, "not yet");
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        g_assert_true(nvidia_model_lists(f.gpu, 1) && nvidia_model_lists(f.gpu, 100));

        /* Behind our back, in the midst of it. */
        f.m->vgpud_after = f.m->n_set_info + 1;
        sync_types(&f, 3);
        sync_types(&f, 3);
        for (uint32_t id = 1; id <= 3; id++)
                g_assert_true(nvidia_model_lists(f.gpu, id));
        g_assert_cmpuint(f.gpu->state, ==, 2);
        end(&f);
}

/* One that the driver refuses keeps no other away, and the set is ready again afterwards. */
static void test_refused(gconstpointer version) {
        Fixture f = begin(version);
        unsigned n;

        nvidia_model_run_vgpud(f.m, f.gpu);
        f.m->refuse_id = 2;
        sync_types(&f, 3);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REFUSED, "PRIV_SEC_VIOLATION (0x6b)");
        assert_row(&f, TYPE_3, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpuint(f.gpu->state, ==, 2);
        g_assert_cmpstr(f.b->result.report.reason, ==, "");

        /* It is not asked for the same again and again … */
        n = f.m->n_set_info;
        sync_types(&f, 3);
        sync_types(&f, 3);
        g_assert_cmpuint(f.m->n_set_info, ==, n);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REFUSED, "0x6b");

        /* … but for something else, and when it was loaded anew. */
        f.specs[1].heads = 2;
        sync_types(&f, 3);
        g_assert_cmpuint(f.m->n_set_info, >, n);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REFUSED, "0x6b");
        g_assert_cmpuint(f.gpu->state, ==, 2);
        nvidia_model_reload(f.m);
        f.m->refuse_id = 0;
        sync_types(&f, 3);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        end(&f);
}

/* The last one is refused, or the only one: some other brings the set into its final state again. */
static void test_restored(void) {
        Fixture f = begin("570.211.01");

        f.m->refuse_id = 2;
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpuint(f.gpu->state, ==, 2);

        f.m->refuse_id = 3;
        sync_types(&f, 3);
        assert_row(&f, TYPE_3, REGISTRATION_REFUSED, "0x6b");
        g_assert_cmpuint(f.gpu->state, ==, 2);
        g_assert_cmpstr(f.b->result.report.reason, ==, "");
        end(&f);
}

static void test_restored_by_vendor_type(void) {
        Fixture f = begin("570.211.01");

        nvidia_model_run_vgpud(f.m, f.gpu);
        f.m->refuse_id = 1;
        sync_types(&f, 1);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REFUSED, "0x6b");
        g_assert_cmpuint(f.gpu->state, ==, 2);
        g_assert_cmpstr(f.b->result.report.reason, ==, "");
        end(&f);
}

static void test_degraded(void) {
        Fixture f = begin("570.211.01");

        nvidia_model_run_vgpud(f.m, f.gpu);
        f.m->refuse_all = true;
        sync_types(&f, 1);
        g_assert_cmpuint(f.gpu->state, ==, 0);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_DEGRADED);
        g_assert_nonnull(strstr(f.b->result.report.reason, "reload the driver"));

        /* Another worker sees it, too, though it knows of no refusal. */
        runner_done(&f.b->worker);
        g_assert_cmpint(bench_sync(f.b, f.specs, 1, false), ==, 0);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_DEGRADED);

        f.m->refuse_all = false;
        f.m->update_status = 0x40;
        f.specs[0].heads = 1;
        sync_types(&f, 1);
        g_assert_cmpuint(f.gpu->state, ==, 2);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_DEGRADED);
        g_assert_nonnull(strstr(f.b->result.report.reason, "INVALID_STATE"));

        /* It is put right by itself as soon as it can be. */
        f.m->update_status = 0;
        f.specs[0].heads = 3;
        nvidia_model_reload(f.m);
        sync_types(&f, 1);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_READY);
        g_assert_cmpstr(f.b->result.report.reason, ==, "");
        end(&f);
}

/* The driver keeps what it was told first. */
static void test_differs(void) {
        Fixture f = begin("580.142");

        sync_types(&f, 2);
        f.specs[1].framebuffer = 2 * GIB;
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_DIFFERS, "framebuffer");
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpuint(bench_find_type(f.b, NVIDIA_TYPE_2)->framebuffer, ==, 3 * GIB);
        g_assert_cmpuint(f.m->n_set_info, ==, 2);

        nvidia_model_reload(f.m);
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpuint(bench_find_type(f.b, NVIDIA_TYPE_2)->framebuffer, ==, 2 * GIB);

        /* An id that is one of NVIDIA's own types. */
        nvidia_model_run_vgpud(f.m, f.gpu);
        f.specs[2].id = 100;
        sync_types(&f, 3);
        assert_row(&f, VENDOR_TYPE, REGISTRATION_DIFFERS, "another id");
        end(&f);
}

/* While a vGPU lives nothing is written, whoever knows of it. */
static void test_pending(void) {
        Fixture f = begin("580.142");
        unsigned n;

        sync_types(&f, 2);
        n = f.m->n_set_info;
        g_assert_cmpint(bench_create(f.b, NVIDIA_TYPE_1, UUID_1), ==, 0);
        sync_types(&f, 3);
        assert_row(&f, TYPE_3, REGISTRATION_PENDING, "no vGPU");
        g_assert_true(f.b->result.report.pending_types);
        sync_types(&f, 2);
        g_assert_false(f.b->result.report.pending_types);
        g_assert_cmpint(bench_remove(f.b, UUID_1), ==, 0);

        f.gpu->guests[0] = (ModelGuest){ .type = 1, .pid = 7 };
        f.gpu->n_guests = 1;
        sync_types(&f, 3);
        assert_row(&f, TYPE_3, REGISTRATION_PENDING, "no vGPU");
        f.gpu->n_guests = 0;

        g_assert_cmpint(sim_mkdir(&f.b->machine->sim, "sys/vf/nvidia"), ==, 0);
        g_assert_cmpint(sim_write(&f.b->machine->sim, "1\n", 0644, "sys/vf/nvidia/current_vgpu_type"), ==, 0);
        g_assert_cmpint(sim_symlink(&f.b->machine->sim, "sys/vf", "sys/devices/pci0000:00/" GPU_A "/virtfn0"), ==, 0);
        f.vf_lives = true;
        sync_types(&f, 3);
        assert_row(&f, TYPE_3, REGISTRATION_PENDING, "no vGPU");
        g_assert_cmpuint(f.m->n_set_info, ==, n);
        g_assert_cmpuint(f.m->n_updates, ==, 1);

        g_assert_cmpint(sim_write(&f.b->machine->sim, "0\n", 0644, "sys/vf/nvidia/current_vgpu_type"), ==, 0);
        f.vf_lives = false;
        sync_types(&f, 3);
        assert_row(&f, TYPE_3, REGISTRATION_REGISTERED, NULL);
        g_assert_false(f.b->result.report.pending_types);
        end(&f);
}

static void test_lie(void) {
        Fixture f = begin("580.142");

        f.m->lie_id = 2;
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REFUSED, "does not hold it");
        end(&f);
}

/* It does something else than it was told. */
static void spoil(NvidiaModel *m, uint32_t command, uint8_t *parameters, size_t size) {
        if (command == 0xa0810103)
                parameters[8 + 388] += 1; /* max-instances */
}

static void test_spoiled(void) {
        Fixture f = begin("580.142");

        f.m->hook = spoil;
        sync_types(&f, 1);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_DIFFERS, "max-instances");
        end(&f);
}

/* A change that timed out was done all the same: it is neither lost nor done twice. */
static void test_timeout(void) {
        Fixture f = begin("580.142");

        f.m->n_timeout = 1;
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpuint(f.m->n_set_info, ==, 2);
        end(&f);
}

/* NVIDIA's daemon ends its work when it was looked at for the third time. */
static void finish_later(NvidiaModel *m, uint32_t command, uint8_t *parameters, size_t size) {
        static unsigned n;

        if (command == 0xa0810104 && ++n == 4)
                nvidia_model_run_vgpud(m, &m->gpus[0]);
}

static void test_in_progress(void) {
        Fixture f = begin("580.142");

        f.gpu->state = 1;
        sync_types(&f, 1);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_PENDING, "nvidia-vgpud");
        g_assert_true(f.b->result.report.pending_types);
        g_assert_cmpuint(f.m->n_set_info, ==, 0);

        f.m->hook = finish_later;
        sync_types(&f, 1);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        g_assert_false(f.b->result.report.pending_types);
        end(&f);
}

static void test_newer(void) {
        Fixture f = begin("580.159.03");

        sync_types(&f, 1);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_HOST_READY);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REFUSED, "newer");
        g_assert_cmpuint(f.m->n_set_info + f.m->n_updates + f.m->n_set_pgpu, ==, 0);

        /* Who asks for it gets it, and for that type only. */
        f.specs[1].nvidia_newer = true;
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REFUSED, "newer");
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpuint(f.m->n_set_info, ==, 1);
        end(&f);
}

/* What this driver has no word for is refused, and not left out. */
static void test_keep_state(void) {
        Fixture f = begin("570.211.01");

        f.specs[1].keep_state = true;
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REFUSED, "keep-state");
        end(&f);
}

static void test_privileges(void) {
        Fixture f = begin("570.211.01");

        nvidia_model_run_vgpud(f.m, f.gpu);
        f.m->admin = false;
        sync_types(&f, 1);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REFUSED, "CAP_SYS_ADMIN");
        g_assert_cmpuint(f.gpu->state, ==, 2);
        end(&f);
}

static void test_no_host(void) {
        Fixture f = begin("580.142");

        f.m->is_host = false;
        sync_types(&f, 1);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_NOT_VGPU_HOST);
        g_assert_nonnull(strstr(f.b->result.report.reason, "vGPU host"));
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REFUSED, "vGPU host");
        g_assert_cmpuint(f.m->n_set_info + f.m->n_updates + f.m->n_set_pgpu, ==, 0);

        /* A channel that is lost takes nothing away that works without it. */
        f.m->is_host = true;
        sync_types(&f, 1);
        f.m->is_host = false;
        sync_types(&f, 2);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_NOT_VGPU_HOST);
        g_assert_nonnull(strstr(f.b->result.report.reason, "no types can be registered"));
        g_assert_cmpint(bench_create(f.b, NVIDIA_TYPE_1, UUID_1), ==, 0);
        end(&f);
}

/* A driver that is not what it says: nothing is written, and what the kernel offers by itself can be had all the same. */
static void test_layout_unknown(void) {
        Fixture f = begin("580.142");

        nvidia_model_run_vgpud(f.m, f.gpu);
        sync_types(&f, 1);
        f.m->lenient = true;
        f.specs[1].max_instances = 5;
        sync_types(&f, 2);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_LAYOUT_UNKNOWN);
        assert_row(&f, VENDOR_TYPE, REGISTRATION_REGISTERED, NULL);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REFUSED, "no types can be registered");
        g_assert_cmpuint(f.m->n_set_info, ==, 1);
        g_assert_cmpint(bench_create(f.b, VENDOR_TYPE, UUID_1), ==, 0);
        end(&f);
}

static void test_full(void) {
        Fixture f = begin("570.211.01");

        nvidia_model_run_vgpud(f.m, f.gpu);
        while (f.gpu->n_list < 62)
                f.gpu->list[f.gpu->n_list++] = 100;
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REFUSED, "as many types");
        g_assert_cmpuint(f.m->n_set_info, ==, 0);
        sync_types(&f, 1);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        end(&f);
}

static void test_multi_vgpu(void) {
        Fixture f = begin("580.142");

        sync_types(&f, 1);
        g_assert_cmpuint(f.m->n_set_pgpu, ==, 0);
        f.specs[1].multi_vgpu = true;
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpuint(f.m->n_set_pgpu, ==, 1);
        f.specs[2].multi_vgpu = true;
        sync_types(&f, 3);
        g_assert_cmpuint(f.m->n_set_pgpu, ==, 1);
        end(&f);
}

/* vGPUs of several sizes on one card, as a profile has it. */
static void test_mixed_size(gconstpointer version) {
        Fixture f = begin(version);
        bool has = f.m->major >= 550;

        f.specs[1].mixed_size = TRISTATE_YES;
        sync_types(&f, 2);
        g_assert_cmpint(f.gpu->mixed_size, ==, has);
        g_assert_cmpuint(f.m->n_set_mixed, ==, has);
        if (!has)
                g_assert_nonnull(strstr(f.b->result.report.reason, "has no such call"));
        else
                g_assert_cmpstr(f.b->result.report.reason, ==, "");
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        sync_types(&f, 2);
        g_assert_cmpuint(f.m->n_set_mixed, ==, has);

        /* Nothing is said of it any more: it stays. Switched off: but not while there is a vGPU. */
        f.specs[1].mixed_size = TRISTATE_UNKNOWN;
        sync_types(&f, 2);
        g_assert_cmpint(f.gpu->mixed_size, ==, has);
        f.specs[1].mixed_size = TRISTATE_NO;
        f.gpu->n_guests = 1;
        sync_types(&f, 2);
        g_assert_cmpint(f.gpu->mixed_size, ==, has);
        if (has)
                g_assert_nonnull(strstr(f.b->result.report.reason, "when the GPU has no vGPU"));
        f.gpu->n_guests = 0;
        sync_types(&f, 2);
        g_assert_false(f.gpu->mixed_size);

        f.gpu->can_mix = false;
        f.specs[1].mixed_size = TRISTATE_YES;
        sync_types(&f, 2);
        if (has)
                g_assert_nonnull(strstr(f.b->result.report.reason, "NOT_SUPPORTED"));
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        end(&f);
}

static int set_attribute(Fixture *f, const char *name, const char *value) {
        Attributes attributes = {};
        int r;

        g_assert_cmpint(attributes_add(&attributes, name, value, NULL), ==, 0);
        r = bench_job(f->b, &(Job){ .kind = JOB_CONFIGURE, .uuid = UUID_1, .attributes = &attributes });
        attributes_done(&attributes);
        return r;
}

/* A running machine's share of the encoder can be set; what else one may wish is refused in words. */
static void test_attributes(gconstpointer version) {
        static const uint8_t mdev[16] = { 0x11, 0x11, 0x11, 0x11, 0x2f, 0xa1, 0x4d, 0x2e,
                                          0x88, 0x3f, 0x00, 0x16, 0xd3, 0xcc, 0xa4, 0x27 };
        static const char *const bad[] = { "0", "101", "-1", "x", "5 ", "1.5" };
        Fixture f = begin(version);

        nvidia_model_run_vgpud(f.m, f.gpu);
        sync_types(&f, 0);
        g_assert_cmpint(bench_create(f.b, VENDOR_TYPE, UUID_1), ==, 0);
        g_assert_cmpint(set_attribute(&f, "encoder-capacity", "40"), ==, -ERROR_NOT_SUPPORTED);
        g_assert_nonnull(strstr(f.b->result.error.message, "runs with the vGPU"));

        f.gpu->guests[0] = (ModelGuest){ .type = 100, .encoder = 100, .vgpu = { 7 } };
        memcpy(f.gpu->guests[0].mdev, mdev, 16);
        f.gpu->n_guests = 1;
        g_assert_cmpint(set_attribute(&f, "encoder-capacity", "40"), ==, 0);
        g_assert_cmpuint(f.gpu->guests[0].encoder, ==, 40);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                g_assert_cmpint(set_attribute(&f, "encoder-capacity", bad[i]), ==, -ERROR_INVALID_ARGUMENT);
        g_assert_cmpuint(f.m->n_set_encoder, ==, 1);
        f.m->deaf_encoder = true;
        g_assert_cmpint(set_attribute(&f, "encoder-capacity", "50"), ==, -ERROR_DRIVER_REJECTED);
        g_assert_nonnull(strstr(f.b->result.error.message, "has it at 40"));

        g_assert_cmpint(set_attribute(&f, "frame-limit", "60"), ==, -ERROR_NOT_SUPPORTED);
        g_assert_nonnull(strstr(f.b->result.error.message, "vgpu_params"));
        g_assert_cmpint(set_attribute(&f, "mixed-size", "1"), ==, -ERROR_NOT_SUPPORTED);
        g_assert_cmpint(set_attribute(&f, "multi-vgpu", "1"), ==, -ERROR_NOT_SUPPORTED);
        g_assert_cmpint(set_attribute(&f, "scheduler", "1"), ==, -ERROR_NOT_SUPPORTED);
        f.gpu->n_guests = 0;
        end(&f);
}

/* A newer driver is written to for who asks, in this as well. */
static void test_attributes_newer(void) {
        Fixture f = begin("580.159.03");

        g_assert_cmpint(set_attribute(&f, "encoder-capacity", "40"), ==, -ERROR_NOT_SUPPORTED);
        g_assert_nonnull(strstr(f.b->result.error.message, "not written to"));
        f.specs[0].mixed_size = TRISTATE_YES;
        sync_types(&f, 1);
        g_assert_cmpuint(f.m->n_set_mixed, ==, 0);
        f.specs[0].nvidia_newer = true;
        sync_types(&f, 1);
        g_assert_cmpuint(f.m->n_set_mixed, ==, 1);
        g_assert_cmpint(set_attribute(&f, "encoder-capacity", "40"), ==, -ERROR_NOT_SUPPORTED);
        g_assert_nonnull(strstr(f.b->result.error.message, "runs with the vGPU"));
        end(&f);
}

/* Branch 510, of which only what Mdev-GPU found out is known: for experts, and never by itself. */
static void test_legacy(void) {
        Fixture f = begin("510.47.03");
        ModelWords words;

        sync_types(&f, 2);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_LAYOUT_UNKNOWN);
        g_assert_nonnull(strstr(f.b->result.report.reason, "expert"));
        g_assert_cmpuint(f.m->n_set_info, ==, 0);

        f.specs[0].nvidia_legacy = f.specs[1].nvidia_legacy = f.specs[2].nvidia_legacy = true;
        f.m->refuse_id = 2;
        sync_types(&f, 2);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_READY);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REFUSED, "0x6b");
        nvidia_model_describe(f.m, nvidia_model_find(f.m, 1), &words);
        g_assert_cmpuint(words.framebuffer, ==, 2 * GIB);
        g_assert_cmpstr(words.name, ==, "Small");

        /* What is there, or was refused, is not sent again; by another worker what is there. */
        sync_types(&f, 2);
        g_assert_cmpuint(f.m->n_set_info, ==, 2);
        f.m->refuse_id = 0;
        runner_done(&f.b->worker);
        sync_types(&f, 2);
        g_assert_cmpuint(f.m->n_set_info, ==, 3);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        (void)g_strlcpy(f.specs[1].name, "Other", sizeof(f.specs[1].name));
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_DIFFERS, "loaded anew");

        /* A yes is not believed. */
        f.m->lie_id = 3;
        sync_types(&f, 3);
        assert_row(&f, TYPE_3, REGISTRATION_REFUSED, "said that it took it");
        f.m->lie_id = 0;

        g_assert_cmpint(bench_create(f.b, NVIDIA_TYPE_1, UUID_1), ==, 0);
        f.specs[2].id = 9;
        sync_types(&f, 3);
        assert_row(&f, "nvidia-9", REGISTRATION_PENDING, "no vGPU");
        g_assert_cmpuint(f.m->n_set_info, ==, 4);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);
        g_assert_cmpint(bench_remove(f.b, UUID_1), ==, 0);
        sync_types(&f, 3);
        assert_row(&f, "nvidia-9", REGISTRATION_REGISTERED, NULL);
        g_assert_cmpint(bench_job(f.b, &(Job){ .kind = JOB_USAGE }), ==, -ERROR_NOT_SUPPORTED);
        end(&f);
}

static void test_limiter_off(void) {
        Fixture f = begin("580.142");

        f.m->limiter_off = true;
        f.specs[0].limiter = true;
        sync_types(&f, 1);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REGISTERED, NULL);
        end(&f);
}

/* What cannot be expressed is not sent, the rest is. */
static void test_invalid(void) {
        Fixture f = begin("570.211.01");

        (void)g_strlcpy(f.specs[0].name, "a name that is longer than what this driver holds", TYPE_NAME_SIZE);
        sync_types(&f, 2);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REFUSED, "31 bytes");
        assert_row(&f, NVIDIA_TYPE_2, REGISTRATION_REGISTERED, NULL);
        g_assert_cmpuint(f.m->n_set_info, ==, 1);
        end(&f);
}

/* One card's failure is none of the other's. */
static void test_two_cards(void) {
        Fixture f = begin("580.142");
        Bench other = { .machine = f.b->machine, .row = f.b->row };

        g_assert_cmpint(sim_host_plug(&f.b->machine->sim, GPU_B, SIM_GPU_NVIDIA, 8 * GIB), ==, 0);
        job_result_init(&other.result);
        runner_init(&other.worker, &f.b->machine->sim.host, GPU_B);
        f.m->gpus[0].minor = 9; /* there is no such node */
        f.m->gpus[0].there = false;
        sync_types(&f, 2);
        g_assert_cmpint(f.b->result.report.state, ==, GPU_FAILED);
        assert_row(&f, NVIDIA_TYPE_1, REGISTRATION_REFUSED, "");
        g_assert_cmpint(bench_sync(&other, f.specs, 2, true), ==, 0);
        g_assert_cmpint(other.result.report.state, ==, GPU_READY);
        g_assert_cmpint(bench_find_type(&other, NVIDIA_TYPE_1)->registration, ==, REGISTRATION_REGISTERED);

        job_result_done(&other.result);
        runner_done(&other.worker);
        end(&f);
}

/* It stops answering after any number of calls, and comes back. */
static void test_dies(void) {
        Fixture f = begin("580.142");
        unsigned n;

        /* Each place while types are registered, and some while they are read. */
        for (n = 1; n < 400; n += n < 120 ? 1 : 7) {
                nvidia_model_reload(f.m);
                f.m->n_ioctls = 0;
                f.m->die_after = n;
                sync_types(&f, 3);
                if (f.m->n_ioctls <= n)
                        break;
                f.m->die_after = 0;
                sync_types(&f, 3);
                for (uint32_t id = 1; id <= 3; id++)
                        g_assert_true(nvidia_model_lists(f.gpu, id));
                g_assert_cmpuint(f.gpu->state, ==, 2);
        }
        g_assert_cmpuint(n, >, 30);
        f.gpu->lowest = 2;
        end(&f);
}

int main(int argc, char **argv) {
        static const char *const versions[] = {
                "525.60.11", "535.183.01", "550.163.01", "565.77",    "570.211.01",
                "575.64.05", "580.82.09",  "580.142",    "595.45.04",
        };

        g_test_init(&argc, &argv, NULL);

        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                g_autofree char *name = g_strdup_printf("/nvidia-types/%s/register", versions[i]);
                g_autofree char *refused = g_strdup_printf("/nvidia-types/%s/refused", versions[i]);
                g_autofree char *mixed = g_strdup_printf("/nvidia-types/%s/mixed-size", versions[i]);
                g_autofree char *attributes = g_strdup_printf("/nvidia-types/%s/attributes", versions[i]);

                g_test_add_data_func(name, versions[i], test_register);
                g_test_add_data_func(refused, versions[i], test_refused);
                g_test_add_data_func(mixed, versions[i], test_mixed_size);
                g_test_add_data_func(attributes, versions[i], test_attributes);
        }
        g_test_add_func("/nvidia-types/first", test_first);
        g_test_add_func("/nvidia-types/not-allowed", test_not_allowed);
        g_test_add_func("/nvidia-types/vgpud-again", test_vgpud_again);
        g_test_add_func("/nvidia-types/restored", test_restored);
        g_test_add_func("/nvidia-types/restored-by-vendor-type", test_restored_by_vendor_type);
        g_test_add_func("/nvidia-types/degraded", test_degraded);
        g_test_add_func("/nvidia-types/differs", test_differs);
        g_test_add_func("/nvidia-types/pending", test_pending);
        g_test_add_func("/nvidia-types/lie", test_lie);
        g_test_add_func("/nvidia-types/spoiled", test_spoiled);
        g_test_add_func("/nvidia-types/timeout", test_timeout);
        g_test_add_func("/nvidia-types/in-progress", test_in_progress);
        g_test_add_func("/nvidia-types/newer", test_newer);
        g_test_add_func("/nvidia-types/keep-state", test_keep_state);
        g_test_add_func("/nvidia-types/privileges", test_privileges);
        g_test_add_func("/nvidia-types/no-host", test_no_host);
        g_test_add_func("/nvidia-types/layout-unknown", test_layout_unknown);
        g_test_add_func("/nvidia-types/full", test_full);
        g_test_add_func("/nvidia-types/multi-vgpu", test_multi_vgpu);
        g_test_add_func("/nvidia-types/attributes-newer", test_attributes_newer);
        g_test_add_func("/nvidia-types/legacy", test_legacy);
        g_test_add_func("/nvidia-types/limiter-off", test_limiter_off);
        g_test_add_func("/nvidia-types/invalid", test_invalid);
        g_test_add_func("/nvidia-types/two-cards", test_two_cards);
        g_test_add_func("/nvidia-types/dies", test_dies);

        return g_test_run();
}
