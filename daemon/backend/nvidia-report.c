/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "backend/nvidia-probe.h"
#include "backend/nvidia-report.h"
#include "util/file.h"
#include "util/text.h"

#define NVIDIA_VENDOR 0x10deU
#define CLASS_DISPLAY 0x03U
#define CARDS_MAX 64U
#define CAPABILITIES 12U

typedef void (*ShowFunction)(const uint8_t *p, FILE *out);

static void show_u32(const uint8_t *p, FILE *out) {
        fprintf(out, "%u", nvidia_u32(p));
}

static void show_bool(const uint8_t *p, FILE *out) {
        fputs(p[0] != 0 ? "yes" : "no", out);
}

static void show_mode(const uint8_t *p, FILE *out) {
        static const char *const modes[] = { "none", "passed through to this machine", "vGPU of this machine",
                                             "vGPU host", "vSGA host" };
        uint32_t mode = nvidia_u32(p);

        fprintf(out, "%u (%s)", mode, mode < ELEMENTSOF(modes) ? modes[mode] : "not known");
}

/* Major and minor of the versions of the protocol between host and guest. */
static void show_protocol(const uint8_t *p, FILE *out) {
        uint32_t min = nvidia_u32(p), max = nvidia_u32(p + 4);

        fprintf(out, "%x.%x to %x.%x", min >> 16, min & 0xffff, max >> 16, max & 0xffff);
}

static void show_sriov(const uint8_t *p, FILE *out) {
        fprintf(out, "%u virtual functions, %s", nvidia_u32(p), p[67] != 0 ? "enabled" : "not enabled");
}

static void show_pci(const uint8_t *p, FILE *out) {
        fprintf(out, "device 0x%08x, subsystem 0x%08x", nvidia_u32(p), nvidia_u32(p + 4));
}

static void show_string(const uint8_t *p, size_t size, FILE *out) {
        char text[257];

        assert(size < sizeof(text));
        memcpy(text, p, size);
        text[size] = '\0';
        text_sanitize(text);
        fprintf(out, "\"%s\"", text);
}

static void show_name(const uint8_t *p, FILE *out) {
        show_string(p + 4, 64, out);
}

static void show_metadata(const uint8_t *p, FILE *out) {
        show_string(p, 256, out);
}

static void show_multi(const uint8_t *p, FILE *out) {
        fprintf(out, "several vGPUs in a VM %u, mixed profiles %u, mixed sizes %u", nvidia_u32(p), nvidia_u32(p + 4),
                nvidia_u32(p + 8));
}

static const struct {
        NvidiaControl control;
        ShowFunction show;
} plain[] = {
        { NVIDIA_CONTROL_NAME_STRING, show_name },         { NVIDIA_CONTROL_BUS_PCI_INFO, show_pci },
        { NVIDIA_CONTROL_VIRTUALIZATION_MODE, show_mode }, { NVIDIA_CONTROL_SRIOV_CAPS, show_sriov },
        { NVIDIA_CONTROL_VGPU_VERSION, show_protocol },    { NVIDIA_CONTROL_MULTI_VGPU, show_multi },
        { NVIDIA_CONTROL_DRIVER_CAPS, show_u32 },          { NVIDIA_CONTROL_MIGRATION_CAP, show_bool },
        { NVIDIA_CONTROL_PGPU_METADATA, show_metadata },   { NVIDIA_CONTROL_STREAMING, show_bool },
        { NVIDIA_CONTROL_MIGRATION_BANDWIDTH, show_u32 },  { NVIDIA_CONTROL_FB_USAGE, show_u32 },
        { NVIDIA_CONTROL_MIXED_SIZE, show_bool },
};

static void begin_line(const NvidiaRm *rm, NvidiaControl control, FILE *out) {
        fprintf(out, "  %-20s 0x%08x %5u bytes  ", nvidia_controls[control].name, nvidia_controls[control].command,
                rm->dialect->controls[control].size);
}

/* The status, where it is not OK. */
static bool show_result(int r, FILE *out) {
        char sentence[NVIDIA_STATUS_SIZE];

        if (r == 0)
                return true;

        nvidia_rm_describe(r, sentence);
        fprintf(out, "%s\n", sentence);
        return false;
}

static void report_plain(NvidiaRm *rm, uint8_t *parameters, FILE *out) {
        for (size_t i = 0; i < ELEMENTSOF(plain); i++) {
                if (!rm->dialect->controls[plain[i].control].there)
                        continue;

                begin_line(rm, plain[i].control, out);
                memset(parameters, 0, NVIDIA_PARAMETERS_MAX);
                if (show_result(nvidia_rm_control(rm, plain[i].control, parameters), out)) {
                        plain[i].show(parameters, out);
                        fputc('\n', out);
                }
        }
}

/* What each number is is in ctrla081.h. */
static void report_capabilities(NvidiaRm *rm, uint8_t *parameters, FILE *out) {
        if (!rm->dialect->controls[NVIDIA_CONTROL_CAPABILITY].there)
                return;

        begin_line(rm, NVIDIA_CONTROL_CAPABILITY, out);
        for (uint32_t i = 0; i < CAPABILITIES; i++) {
                int r;

                nvidia_set_u32(parameters, i);
                nvidia_set_u32(parameters + 4, 0);
                r = nvidia_rm_control(rm, NVIDIA_CONTROL_CAPABILITY, parameters);
                if (r == 0)
                        fprintf(out, "%u: %u  ", i, nvidia_u32(parameters + 4));
                else
                        fprintf(out, "%u: status 0x%x  ", i, r > 0 ? (unsigned)r : 0);
        }
        fputc('\n', out);
}

static void report_type(NvidiaRm *rm, uint32_t id, FILE *out) {
        uint64_t reserved;
        uint32_t places;
        NvidiaType type;
        int r;

        fprintf(out, "    %-6u ", id);
        r = nvidia_query_type(rm, id, &type);
        if (!show_result(r, out))
                return;

        fprintf(out, "\"%s\" (%s), %u instances, framebuffer %" PRIu64 " MiB + %" PRIu64 " MiB", type.name, type.class,
                type.max_instances, type.framebuffer >> 20, type.reserved >> 20);
        if (nvidia_query_host_reservation(rm, id, &reserved) == 0)
                fprintf(out, ", the host keeps %" PRIu64 " MiB", reserved >> 20);
        if (nvidia_query_placements(rm, id, &places) == 0)
                fprintf(out, ", %u places left", places);
        fputc('\n', out);
}

static void report_types(NvidiaRm *rm, NvidiaControl control, FILE *out) {
        static const char *const states[] = { "not initialized", "in progress", "ready" };
        NvidiaTypeList list;
        int r;

        begin_line(rm, control, out);
        r = nvidia_query_types(rm, control, &list);
        if (!show_result(r, out))
                return;

        fprintf(out, "%zu types, the set is %s\n", list.n, states[list.state]);
        for (size_t i = 0; i < list.n; i++)
                report_type(rm, list.ids[i], out);
}

static void report_guests(NvidiaRm *rm, FILE *out) {
        NvidiaGuest *guests;
        size_t n;
        int r;

        guests = calloc(NVIDIA_GUESTS_MAX, sizeof(NvidiaGuest));
        if (!guests)
                return;

        begin_line(rm, NVIDIA_CONTROL_GUESTS, out);
        r = nvidia_query_guests(rm, guests, &n);
        if (show_result(r, out)) {
                fprintf(out, "%zu vGPUs run\n", n);
                for (size_t i = 0; i < n; i++)
                        fprintf(out,
                                "    type %u, process %u, VM \"%s\", guest driver \"%s\", %s, framebuffer used %" PRIu64
                                " MiB, encoder %u%%%s\n",
                                guests[i].type, guests[i].pid, guests[i].vm_name, guests[i].driver,
                                guests[i].licensed ? "licensed" : "not licensed", guests[i].framebuffer_used >> 20,
                                guests[i].encoder, guests[i].migration_prohibited ? ", migration prohibited" : "");
        }
        free(guests);
}

static void report_controls(NvidiaRm *rm, FILE *out) {
        _cleanup_(freep) uint8_t *parameters = NULL;

        parameters = calloc(1, NVIDIA_PARAMETERS_MAX);
        if (!parameters)
                return;

        report_plain(rm, parameters, out);
        report_capabilities(rm, parameters, out);
        report_types(rm, NVIDIA_CONTROL_SUPPORTED_TYPES, out);
        report_types(rm, NVIDIA_CONTROL_CREATABLE_TYPES, out);
        report_guests(rm, out);
}

static void report_channel(const Host *host, const char *gpu, FILE *out) {
        NvidiaRm rm = NVIDIA_RM_NULL;
        Error error = ERROR_NULL;
        NvidiaVerdict verdict;
        int r;

        r = nvidia_probe(&rm, host, gpu, &verdict, &error);
        if (rm.version_text[0] != '\0')
                fprintf(out, "  driver version: %s\n", rm.version_text);
        if (r < 0)
                fprintf(out, "  state: cannot be found out: %s\n", error.message);
        else
                fprintf(out, "  state: %s%s%s\n", nvidia_state_to_string(verdict.state),
                        verdict.reason[0] != '\0' ? ": " : "", verdict.reason);

        if (r >= 0 && rm.dialect && verdict.state != NVIDIA_LAYOUT_UNKNOWN) {
                fprintf(out, "  layout: %s%s\n  node: /dev/nvidia%u\n", rm.dialect->layout,
                        verdict.known ? ""
                                      : " (the driver is newer than any known one of its branch: it is not written to)",
                        rm.minor);
                if (rm.subdevice != 0)
                        report_controls(&rm, out);
        }
        nvidia_rm_close(&rm);
}

static int read_number(const Host *host, const char *gpu, const char *name, uint64_t *ret) {
        char path[SYSFS_NAME_SIZE + 64];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.255s/%s", gpu, name);
        return attribute_read_number(host->sys_fd, path, UINT32_MAX, ret);
}

static bool is_card(const Host *host, const char *name) {
        char path[SYSFS_NAME_SIZE + 64];
        uint64_t vendor, class;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.255s/physfn", name);
        return read_number(host, name, "vendor", &vendor) >= 0 && vendor == NVIDIA_VENDOR &&
               read_number(host, name, "class", &class) >= 0 && class >> 16 == CLASS_DISPLAY &&
               !path_exists(host->sys_fd, path);
}

static void report_card(const Host *host, const char *gpu, FILE *out) {
        char path[SYSFS_NAME_SIZE + 64], driver[SYSFS_NAME_SIZE];
        uint64_t device = 0;

        (void)read_number(host, gpu, "device", &device);
        fprintf(out, "GPU %s\n  device: 0x%04x\n", gpu, (unsigned)device);

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.255s/driver", gpu);
        if (link_read_basename(host->sys_fd, path, driver, sizeof(driver)) < 0)
                fputs("  state: no-driver: no driver is bound to it\n", out);
        else if (!streq(driver, "nvidia"))
                fprintf(out, "  state: no-driver: its driver is %s\n", driver);
        else
                report_channel(host, gpu, out);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(a, b);
}

int nvidia_report(const Host *host, FILE *out) {
        char names[CARDS_MAX][SYSFS_NAME_SIZE];
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        size_t n = 0;
        int r;

        r = directory_list(host->sys_fd, "bus/pci/devices", &dir);
        if (r < 0 && r != -ENOENT)
                return r;

        while (dir && n < CARDS_MAX && (entry = directory_next(dir)))
                if (text_is_name(entry->d_name) && is_card(host, entry->d_name))
                        (void)text_copy(names[n++], SYSFS_NAME_SIZE, entry->d_name);
        if (n == 0) {
                fputs("There is no GPU of NVIDIA's in this machine.\n", out);
                return 0;
        }

        qsort(names, n, SYSFS_NAME_SIZE, compare_names);
        for (size_t i = 0; i < n; i++)
                report_card(host, names[i], out);
        return 0;
}
