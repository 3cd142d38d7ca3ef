/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The channel to NVIDIA's resource manager, against a model of it in each layout.
 */

#include "backend/nvidia-probe.h"
#include "backend/nvidia-report.h"
#include "nvidia-stand.h"
#include "util/file.h"

#include <glib.h>

/* One driver at least of each layout, and of each place where something changes within one. */
static const char *const versions[] = {
        "525.60.11",  "530.41.03", "535.183.01", "545.29.06", "550.40.07",  "550.54.14",
        "550.163.01", "555.58.02", "560.35.03",  "565.77",    "570.211.01", "575.64.05",
        "580.65.06",  "580.82.09", "580.95.05",  "580.142",   "590.48.01",  "595.45.04",
};

static NvidiaState examine(NvidiaStand *stand, NvidiaRm *rm, NvidiaVerdict *verdict) {
        Error error = ERROR_NULL;
        int r;

        r = nvidia_probe(rm, &stand->host, STAND_GPU, verdict, &error);
        if (r < 0)
                g_error("%s: %s", stand->model.version, error.message);
        g_assert_cmpint(verdict->state == NVIDIA_HOST_READY, ==, verdict->reason[0] == '\0');
        return verdict->state;
}

/* Every control of every layout: a wrong size anywhere is an error of the model's. */
static void test_controls(gconstpointer version) {
        NvidiaStand *stand = nvidia_stand_new(version);
        uint8_t *parameters = g_malloc(NVIDIA_PARAMETERS_MAX);
        NvidiaVerdict verdict;
        int fd = -EBADF;
        NvidiaRm rm;

        nvidia_model_run_vgpud(&stand->model, stand->gpu);
        stand->gpu->guests[0] = (ModelGuest){ .type = 100, .vgpu = { 7 } };
        stand->gpu->n_guests = 1;
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_HOST_READY);
        g_assert_true(verdict.known);
        g_assert_cmpstr(rm.version_text, ==, version);
        g_assert_cmpuint(rm.minor, ==, STAND_MINOR);

        rm.may_write = true;
        for (NvidiaControl c = 0; c < NVIDIA_CONTROL_MAX; c++) {
                int r;

                memset(parameters, 0, NVIDIA_PARAMETERS_MAX);
                if (c == NVIDIA_CONTROL_TYPE_INFO)
                        nvidia_set_u32(parameters, 101);
                else if (c == NVIDIA_CONTROL_HOST_RESERVATION)
                        nvidia_set_u32(parameters + 24, 101);
                else if (c == NVIDIA_CONTROL_PCI_INFO || c == NVIDIA_CONTROL_ID_INFO)
                        nvidia_set_u32(parameters, stand->gpu->id);
                else if (c == NVIDIA_CONTROL_SET_INFO)
                        nvidia_set_u32(parameters + 8, 7);
                else if (c == NVIDIA_CONTROL_PLACEMENTS)
                        (void)nvidia_put(rm.dialect, parameters, 0, NVIDIA_AT_PLACEMENTS_TYPE, 101);

                else if (c == NVIDIA_CONTROL_SET_ENCODER)
                        parameters[0] = stand->gpu->guests[0].vgpu[0];
                else if (c == NVIDIA_CONTROL_NOTIFY)
                        g_assert_cmpint(nvidia_rm_open_events(&rm, &fd), ==, 0);
                else if (c == NVIDIA_CONTROL_SET_MIXED_SIZE)
                        stand->gpu->n_guests = 0;

                if (c == NVIDIA_CONTROL_NOTIFY)
                        r = nvidia_rm_listen(&rm, fd, 0);
                else
                        r = nvidia_rm_control(&rm, c, rm.dialect->controls[c].size > 0 ? parameters : NULL);
                g_assert_cmpint(r, ==, rm.dialect->controls[c].there ? 0 : -EOPNOTSUPP);
                stand->gpu->n_guests = 1;
        }
        fd_close(fd);
        g_assert_cmpuint(stand->model.n_set_info, ==, 1);
        g_assert_cmpuint(stand->model.n_updates, ==, 1);
        g_assert_cmpuint(stand->model.n_set_pgpu, ==, 1);

        nvidia_rm_close(&rm);
        g_assert_cmpuint(stand->model.n_objects, ==, 0);
        g_free(parameters);
        nvidia_stand_free(stand);
}

static void test_queries(gconstpointer version) {
        NvidiaStand *stand = nvidia_stand_new(version);
        NvidiaGuest guests[NVIDIA_GUESTS_MAX];
        NvidiaTypeList list;
        NvidiaVerdict verdict;
        NvidiaType type;
        NvidiaRm rm;
        char name[128];
        uint32_t mode;
        size_t n;

        nvidia_model_run_vgpud(&stand->model, stand->gpu);
        stand->gpu->guests[0] = (ModelGuest){ .pid = 77, .type = 100, .vm = "first" };
        stand->gpu->guests[1] = (ModelGuest){ .pid = 78,
                                              .type = 101,
                                              .encoder = 40,
                                              .framebuffer = UINT64_C(5) << 30,
                                              .licensed = true,
                                              .prohibited = true,
                                              .loaded = true,
                                              .frame_limit = 60,
                                              .license_state = 5,
                                              .vgpu = { 1, 2 },
                                              .mdev = { 3, 4 },
                                              .vm_id = { 5, 6 },
                                              .vm_id_is_uuid = true,
                                              .driver = "535.104.05",
                                              .vm = "second" };
        stand->gpu->n_guests = 2;
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_HOST_READY);

        g_assert_cmpint(nvidia_query_types(&rm, NVIDIA_CONTROL_CREATABLE_TYPES, &list), ==, 0);
        g_assert_cmpuint(list.n, ==, 2);
        g_assert_cmpuint(list.ids[1], ==, 101);
        g_assert_cmpuint(list.state, ==, NVIDIA_CONFIG_READY);
        g_assert_cmpint(nvidia_query_type(&rm, 101, &type), ==, 0);
        g_assert_cmpstr(type.name, ==, "Vendor type 101");
        g_assert_cmpstr(type.class, ==, "Quadro");
        g_assert_cmpuint(type.max_instances, ==, 4);
        g_assert_cmpint(nvidia_query_type(&rm, 102, &type), ==, NVIDIA_OBJECT_NOT_FOUND);

        g_assert_cmpint(nvidia_query_guests(&rm, guests, &n), ==, 0);
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpuint(guests[0].pid, ==, 77);
        g_assert_false(guests[0].licensed);
        g_assert_cmpuint(guests[1].type, ==, 101);
        g_assert_cmpuint(guests[1].encoder, ==, 40);
        g_assert_cmpuint(guests[1].framebuffer_used, ==, UINT64_C(5) << 30);
        g_assert_true(guests[1].licensed && guests[1].migration_prohibited);
        g_assert_true(guests[1].loaded && guests[1].vm_id_type == 1 && !guests[0].loaded);
        g_assert_cmpuint(guests[1].frame_limit, ==, 60);
        g_assert_cmpuint(guests[1].license_state, ==, 5);
        g_assert_true(guests[1].vgpu[1] == 2 && guests[1].mdev[1] == 4 && guests[1].vm_id[1] == 6);
        g_assert_cmpstr(guests[1].driver, ==, "535.104.05");
        g_assert_cmpstr(guests[1].vm_name, ==, "second");

        g_assert_cmpint(nvidia_query_mode(&rm, &mode), ==, 0);
        g_assert_cmpuint(mode, ==, NVIDIA_MODE_HOST_VGPU);
        g_assert_cmpint(nvidia_query_name(&rm, name, sizeof(name)), ==, 0);
        g_assert_cmpstr(name, ==, "NVIDIA Model GPU");

        nvidia_rm_close(&rm);
        nvidia_stand_free(stand);
}

/* What differs from what the version says is not spoken to. */
static void test_layout_disagrees(gconstpointer version) {
        NvidiaStand *stand = nvidia_stand_new(version);

        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                NvidiaStand *other;
                NvidiaVerdict verdict;
                NvidiaRm rm;
                Error error = ERROR_NULL;
                int r;

                /* A driver that says it is the one and is the other. */
                other = nvidia_stand_new(versions[i]);
                nvidia_stand_write(other, "sys/module/nvidia/version", version);
                (void)snprintf(other->model.version, sizeof(other->model.version), "%s", (const char *)version);
                r = nvidia_probe(&rm, &other->host, STAND_GPU, &verdict, &error);
                if (other->model.layout == stand->model.layout)
                        ; /* nothing that a type is told by differs: it is the same */
                else if (r >= 0)
                        g_assert_cmpint(verdict.state, ==, NVIDIA_LAYOUT_UNKNOWN);
                g_assert_cmpuint(other->model.n_set_info, ==, 0);
                nvidia_rm_close(&rm);
                nvidia_stand_free(other);
        }

        nvidia_stand_use(&stand->model);
        nvidia_stand_free(stand);
}

static void test_states(void) {
        NvidiaStand *stand = nvidia_stand_new("580.142");
        NvidiaVerdict verdict;
        NvidiaRm rm;

        stand->model.is_host = false;
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_NOT_VGPU_HOST);
        g_assert_nonnull(strstr(verdict.reason, "580.142"));
        nvidia_rm_close(&rm);

        stand->model.is_host = true;
        stand->model.is_stub = true;
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_NOT_VGPU_HOST);
        nvidia_rm_close(&rm);

        /* It takes anything: its sizes say nothing. */
        stand->model.is_stub = false;
        stand->model.lenient = true;
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_LAYOUT_UNKNOWN);
        nvidia_rm_close(&rm);

        stand->model.lenient = false;
        nvidia_stand_write(stand, "sys/module/nvidia/version", "575.64.05\n");
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_LAYOUT_UNKNOWN);
        g_assert_nonnull(strstr(verdict.reason, "575.64.05"));
        nvidia_rm_close(&rm);
        nvidia_stand_use(NULL);
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_NO_DRIVER);
        g_assert_cmpuint(stand->model.n_set_info + stand->model.n_updates + stand->model.n_set_pgpu, ==, 0);
        nvidia_stand_free(stand);
}

/* Versions of which there are no headers. */
static void test_unknown_versions(void) {
        static const struct {
                const char *says, *is; /* is: what it behaves like */
                NvidiaState state;
                const char *layout;
        } rows[] = {
                { "580.159.03", "580.142", NVIDIA_HOST_READY, "L6" },
                { "580.90.01", "580.82.09", NVIDIA_HOST_READY, "L5" },
                { "580.90.01", "580.95.05", NVIDIA_HOST_READY, "L6" },
                { "580.90.01", "575.64.05", NVIDIA_LAYOUT_UNKNOWN, NULL },
                { "580.159.03", "595.45.04", NVIDIA_LAYOUT_UNKNOWN, NULL },
                { "570.250.01", "575.64.05", NVIDIA_LAYOUT_UNKNOWN, NULL },
                { "600.10.01", "595.45.04", NVIDIA_LAYOUT_UNKNOWN, NULL },
                { "510.47.03", "525.60.11", NVIDIA_LAYOUT_UNKNOWN, NULL },
                { "515.65.01", "525.60.11", NVIDIA_LAYOUT_UNKNOWN, NULL },
                { "garbage", "580.142", NVIDIA_LAYOUT_UNKNOWN, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                NvidiaStand *stand = nvidia_stand_new(rows[i].is);
                NvidiaVerdict verdict;
                NvidiaRm rm;

                nvidia_stand_write(stand, "sys/module/nvidia/version", rows[i].says);
                (void)snprintf(stand->model.version, sizeof(stand->model.version), "%s", rows[i].says);
                g_assert_cmpint(examine(stand, &rm, &verdict), ==, rows[i].state);
                g_assert_false(verdict.known && rows[i].state == NVIDIA_HOST_READY);
                if (rows[i].layout)
                        g_assert_cmpstr(rm.dialect->layout, ==, rows[i].layout);
                nvidia_rm_close(&rm);
                nvidia_stand_free(stand);
        }
}

static void test_busy(void) {
        NvidiaStand *stand = nvidia_stand_new("580.142");
        NvidiaVerdict verdict;
        NvidiaTypeList list;
        uint32_t mode;
        NvidiaRm rm;

        stand->model.n_busy = 10;
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_HOST_READY);
        g_assert_cmpuint(rm.n_retries, ==, 10);

        /* It does not wait for ever, neither in one call nor in many. */
        stand->model.n_busy = 1000;
        g_assert_cmpint(nvidia_query_mode(&rm, &mode), ==, NVIDIA_BUSY_RETRY);
        g_assert_cmpuint(stand->model.n_busy, >, 900);
        g_assert_cmpint(nvidia_query_types(&rm, NVIDIA_CONTROL_SUPPORTED_TYPES, &list), ==, NVIDIA_BUSY_RETRY);
        g_assert_cmpuint(rm.n_retries, <=, 60);
        nvidia_rm_close(&rm);
        nvidia_stand_free(stand);
}

/* No node is open longer than it must be; nothing is written without leave. */
static void test_discipline(void) {
        NvidiaStand *stand = nvidia_stand_new("580.142");
        uint8_t *parameters = g_malloc0(NVIDIA_PARAMETERS_MAX);
        NvidiaVerdict verdict;
        NvidiaRm rm;

        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_HOST_READY);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 2);
        g_assert_cmpint(nvidia_rm_control(&rm, NVIDIA_CONTROL_SET_INFO, parameters), ==, -EPERM);
        g_assert_cmpint(nvidia_rm_control(&rm, NVIDIA_CONTROL_UPDATE_PGPU, NULL), ==, -EPERM);
        g_assert_cmpint(nvidia_rm_control(&rm, NVIDIA_CONTROL_SET_PGPU_INFO, parameters), ==, -EPERM);
        nvidia_rm_close(&rm);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);

        stand->model.admin = false;
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_HOST_READY);
        rm.may_write = true;
        g_assert_cmpint(nvidia_rm_control(&rm, NVIDIA_CONTROL_SET_INFO, parameters), ==,
                        NVIDIA_INSUFFICIENT_PERMISSIONS);
        nvidia_rm_close(&rm);
        g_free(parameters);
        nvidia_stand_free(stand);
}

/* Which node a card has: its own, by /proc or by the driver's list. */
static void test_minor(void) {
        static const char *const bad[] = {
                "",
                "Device Minor:",
                "Device Minor: \t x\n",
                "Device Minor: -1\n",
                "Device Minor: 255\n",
                "Device Minor: 99999999999999999999\n",
                "Model: 3\n",
        };
        NvidiaStand *stand = nvidia_stand_new("570.211.01");
        const char *path = "proc/driver/nvidia/gpus/" STAND_GPU "/information";
        NvidiaVerdict verdict;
        Error error;
        NvidiaRm rm;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                error = ERROR_NULL;
                nvidia_stand_write(stand, path, bad[i]);
                g_assert_cmpint(nvidia_probe(&rm, &stand->host, STAND_GPU, &verdict, &error), <, 0);
                g_assert_cmpstr(error.message, !=, "");
                nvidia_rm_close(&rm);
        }

        nvidia_stand_write(stand, path, NULL);
        (void)nvidia_model_plug(&stand->model, 0, 0x42, 0, 0);
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_HOST_READY);
        g_assert_cmpuint(rm.minor, ==, STAND_MINOR);
        nvidia_rm_close(&rm);

        error = ERROR_NULL;
        g_assert_cmpint(nvidia_probe(&rm, &stand->host, "0000:43:00.0", &verdict, &error), ==, -ENODEV);
        nvidia_rm_close(&rm);
        nvidia_stand_free(stand);
}

/* It stops answering after any number of calls. */
static void test_dies(void) {
        NvidiaStand *stand = nvidia_stand_new("580.142");
        unsigned n;

        for (n = 1;; n++) {
                Error error = ERROR_NULL;
                NvidiaVerdict verdict;
                NvidiaRm rm;
                int r;

                stand->model.n_ioctls = 0;
                stand->model.die_after = n;
                r = nvidia_probe(&rm, &stand->host, STAND_GPU, &verdict, &error);
                nvidia_rm_close(&rm);
                g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);
                g_assert_cmpuint(stand->model.n_objects, ==, 0);
                if (r >= 0)
                        break;
                g_assert_cmpstr(error.message, !=, "");
        }
        g_assert_cmpuint(n, >, 10);
        nvidia_stand_free(stand);
}

static void lie_counts(NvidiaModel *m, uint32_t command, uint8_t *parameters, size_t size) {
        if (command == 0xa0810104 || command == 0xa0810102 || command == 0xa081011c)
                memset(parameters, 0xff, size);
        else if (command == 0xa0810103)
                memset(parameters + 8, 0xff, size - 8);
}

static void test_lies(void) {
        NvidiaStand *stand = nvidia_stand_new("580.142");
        NvidiaGuest guests[NVIDIA_GUESTS_MAX];
        NvidiaTypeList list;
        NvidiaVerdict verdict;
        NvidiaType type;
        NvidiaRm rm;
        uint32_t u;
        size_t n;

        nvidia_model_run_vgpud(&stand->model, stand->gpu);
        g_assert_cmpint(examine(stand, &rm, &verdict), ==, NVIDIA_HOST_READY);
        stand->model.hook = lie_counts;
        g_assert_cmpint(nvidia_query_types(&rm, NVIDIA_CONTROL_SUPPORTED_TYPES, &list), ==, -EBADMSG);
        g_assert_cmpint(nvidia_query_guests(&rm, guests, &n), ==, -EBADMSG);
        g_assert_cmpint(nvidia_query_type(&rm, 100, &type), ==, -EBADMSG);
        g_assert_cmpint(nvidia_query_placements(&rm, 100, &u), ==, -EBADMSG);
        nvidia_rm_close(&rm);
        nvidia_stand_free(stand);
}

static char *report(NvidiaStand *stand) {
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        g_assert_cmpint(nvidia_report(&stand->host, out), ==, 0);
        g_assert_cmpint(fclose(out), ==, 0);
        g_assert_cmpuint(nvidia_stand_count_open(), ==, 0);
        g_assert_cmpuint(stand->model.n_set_info + stand->model.n_updates + stand->model.n_set_pgpu, ==, 0);
        return text;
}

static void assert_reports(NvidiaStand *stand, const char *const *parts) {
        g_autofree char *text = report(stand);

        for (; *parts; parts++)
                if (!strstr(text, *parts))
                        g_error("'%s' is not in:\n%s", *parts, text);
}

static void test_report(void) {
        static const char *const host[] = {
                "GPU " STAND_GPU "\n  device: 0x20b0\n",
                "  driver version: 580.142\n  state: host-ready\n  layout: L6\n  node: /dev/nvidia3\n",
                "name-string          0x20800110   132 bytes  \"NVIDIA Model GPU\"\n",
                "  virtualization-mode  0x00800289     8 bytes  3 (vGPU host)\n",
                "2 types, the set is ready\n",
                "    100    \"Vendor type 100\" (Quadro), 4 instances",
                "2 vGPUs run\n",
                "VM \"a?b\", guest driver \"\", not licensed",
                "11: 0",
                NULL,
        };
        static const char *const no_host[] = { "state: driver-not-vgpu-host: ", "0 (none)", "NOT_SUPPORTED (0x56)",
                                               NULL };
        static const char *const unknown[] = { "state: layout-unknown: ", NULL };
        static const char *const other[] = { "GPU " STAND_GPU, "state: no-driver: its driver is nouveau", NULL };
        static const char *const nothing[] = { "There is no GPU of NVIDIA's", NULL };
        NvidiaStand *stand = nvidia_stand_new("580.142");
        g_autofree char *text = NULL, *link = NULL;

        nvidia_model_run_vgpud(&stand->model, stand->gpu);
        stand->gpu->guests[0].vm[0] = 'a';
        stand->gpu->guests[0].vm[1] = '\033';
        stand->gpu->guests[0].vm[2] = 'b';
        stand->gpu->n_guests = 2;
        nvidia_stand_write(stand, "sys/bus/pci/devices/0000:41:00.4/vendor", "0x10de\n");
        nvidia_stand_write(stand, "sys/bus/pci/devices/0000:41:00.4/class", "0x030200\n");
        nvidia_stand_write(stand, "sys/bus/pci/devices/0000:41:00.4/physfn", "");
        nvidia_stand_write(stand, "sys/bus/pci/devices/0000:41:00.1/vendor", "0x10de\n");
        nvidia_stand_write(stand, "sys/bus/pci/devices/0000:41:00.1/class", "0x040300\n");
        assert_reports(stand, host);
        text = report(stand);
        g_assert_null(strstr(text, "41:00.4"));
        g_assert_null(strstr(text, "41:00.1"));
        g_assert_null(strchr(text, '\033'));

        stand->model.is_host = false;
        assert_reports(stand, no_host);
        stand->model.lenient = true;
        assert_reports(stand, unknown);

        link = g_build_filename(stand->root, "sys/bus/pci/devices/" STAND_GPU "/driver", NULL);
        g_assert_cmpint(unlink(link), ==, 0);
        g_assert_cmpint(symlink("../../drivers/nouveau", link), ==, 0);
        assert_reports(stand, other);
        nvidia_stand_write(stand, "sys/bus/pci/devices/" STAND_GPU "/vendor", "0x1002\n");
        assert_reports(stand, nothing);
        nvidia_stand_free(stand);
}

static void test_statuses(void) {
        char text[NVIDIA_STATUS_SIZE];

        nvidia_status_describe(0x56, text);
        g_assert_cmpstr(text, ==, "NOT_SUPPORTED (0x56): the driver or the GPU cannot do it");
        nvidia_status_describe(0xdeadbeef, text);
        g_assert_cmpstr(text, ==, "status 0xdeadbeef");
        for (uint32_t status = 0; status <= 0x10010; status++) {
                nvidia_status_describe(status, text);
                g_assert_cmpstr(text, !=, "");
        }
        nvidia_rm_describe(-EIO, text);
        g_assert_cmpstr(text, ==, "Input/output error");
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                GTestDataFunc test;
        } each[] = {
                { "controls", test_controls },
                { "queries", test_queries },
                { "layout-disagrees", test_layout_disagrees },
        };

        g_test_init(&argc, &argv, NULL);

        for (size_t i = 0; i < ELEMENTSOF(versions); i++)
                for (size_t k = 0; k < ELEMENTSOF(each); k++) {
                        g_autofree char *name = g_strdup_printf("/nvidia-rm/%s/%s", versions[i], each[k].name);

                        g_test_add_data_func(name, versions[i], each[k].test);
                }
        g_test_add_func("/nvidia-rm/states", test_states);
        g_test_add_func("/nvidia-rm/unknown-versions", test_unknown_versions);
        g_test_add_func("/nvidia-rm/busy", test_busy);
        g_test_add_func("/nvidia-rm/discipline", test_discipline);
        g_test_add_func("/nvidia-rm/minor", test_minor);
        g_test_add_func("/nvidia-rm/dies", test_dies);
        g_test_add_func("/nvidia-rm/lies", test_lies);
        g_test_add_func("/nvidia-rm/report", test_report);
        g_test_add_func("/nvidia-rm/statuses", test_statuses);

        return g_test_run();
}
