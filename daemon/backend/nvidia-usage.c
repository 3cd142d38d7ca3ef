/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/nvidia-usage.h"
#include "util/file.h"
#include "util/text.h"

#define VM_ID_IS_UUID 1U

/* NVA081_CTRL_VGPU_CAPABILITY_* of ctrla081.h; what stands for none has another place here. */
static const char *const capabilities[] = {
        "mini-quarter",   "compute-media-engine",  "warm-update",     "device-streaming",
        "read-bandwidth", "write-bandwidth",       "mixed-sizes",     "mixed-profiles",
        "multi-vgpu",     "homogeneous-placement", "mig-timeslicing", "mig-timeslicing-enabled",
};

static bool is_zero(const uint8_t bytes[static NVIDIA_UUID_SIZE]) {
        static const uint8_t zero[NVIDIA_UUID_SIZE];

        return memcmp(bytes, zero, sizeof(zero)) == 0;
}

/* The order in which a GUID lies in memory on a little-endian machine. */
static void swap(const uint8_t bytes[static NVIDIA_UUID_SIZE], uint8_t ret[static NVIDIA_UUID_SIZE]) {
        static const uint8_t order[NVIDIA_UUID_SIZE] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

        for (size_t i = 0; i < NVIDIA_UUID_SIZE; i++)
                ret[i] = bytes[order[i]];
}

static bool mdev_exists(const Host *host, const char *uuid) {
        char path[64];

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%.36s", uuid);
        return path_exists(host->sys_fd, path);
}

void nvidia_guest_find_mdev(const Host *host, const NvidiaGuest *guest, char ret_uuid[static UUID_STRING_SIZE]) {
        uint8_t swapped[NVIDIA_UUID_SIZE];

        ret_uuid[0] = '\0';
        if (is_zero(guest->mdev)) /* as with vendor-specific VFIO */
                return;

        /* The driver turns the bytes round on their way (observed in the source of 550 to 595); which way they came there a
         * closed part decides. One of the two is there. */
        (void)text_format_uuid(guest->mdev, ret_uuid);
        if (mdev_exists(host, ret_uuid))
                return;
        swap(guest->mdev, swapped);
        (void)text_format_uuid(swapped, ret_uuid);
        if (!mdev_exists(host, ret_uuid))
                (void)text_format_uuid(guest->mdev, ret_uuid);
}

static int add_guest_facts(const NvidiaGuest *guest, Facts *facts) {
        char vm_id[UUID_STRING_SIZE] = "";
        int r;

        if (guest->vm_id_type == VM_ID_IS_UUID && !is_zero(guest->vm_id))
                (void)text_format_uuid(guest->vm_id, vm_id);

        r = facts_add_text(facts, "vm", guest->vm_name);
        if (r >= 0)
                r = facts_add_text(facts, "vm-uuid", vm_id);
        if (r >= 0)
                r = facts_add_text(facts, "guest-driver", guest->driver);
        if (r >= 0)
                r = facts_add_bool(facts, "guest-driver-loaded", guest->loaded);
        if (r >= 0)
                r = facts_add_bool(facts, "licensed", guest->licensed);
        if (r >= 0)
                r = facts_add_u32(facts, "license-state", guest->license_state);
        if (r >= 0)
                r = facts_add_u64(facts, "framebuffer-used", guest->framebuffer_used);
        if (r >= 0)
                r = facts_add_u32(facts, "encoder", guest->encoder);
        if (r >= 0)
                r = facts_add_u32(facts, "frame-limit", guest->frame_limit);
        if (r >= 0)
                r = facts_add_bool(facts, "migration-prohibited", guest->migration_prohibited);
        return r;
}

static int read_guests(NvidiaRm *rm, UsageReport *report) {
        _cleanup_(freep) NvidiaGuest *guests = NULL;
        uint64_t used = 0;
        size_t n;
        int r;

        guests = calloc(NVIDIA_GUESTS_MAX, sizeof(NvidiaGuest));
        if (!guests)
                return -ENOMEM;

        r = nvidia_query_guests(rm, guests, &n);
        if (r != 0)
                return r;

        for (size_t i = 0; i < n; i++) {
                VGpuUsage *vgpu = usage_report_add_vgpu(report);

                if (!vgpu)
                        return -ENOMEM;
                nvidia_guest_find_mdev(rm->host, &guests[i], vgpu->uuid);
                (void)snprintf(vgpu->type_id, sizeof(vgpu->type_id), "nvidia-%u", guests[i].type);
                vgpu->pid = guests[i].pid <= INT32_MAX ? (int32_t)guests[i].pid : 0;
                r = add_guest_facts(&guests[i], &vgpu->facts);
                if (r < 0)
                        return r;
                if (__builtin_add_overflow(used, guests[i].framebuffer_used, &used))
                        return -EBADMSG;
        }

        report->framebuffer_used = used;
        return 0;
}

static int add_u32(Facts *facts, const char *key, const uint8_t *p) {
        return facts_add_u32(facts, key, nvidia_u32(p));
}

static int add_flag(Facts *facts, const char *key, const uint8_t *p) {
        return facts_add_bool(facts, key, p[0] != 0);
}

static int add_word(Facts *facts, const char *key, const uint8_t *p) {
        return facts_add_bool(facts, key, nvidia_u32(p) != 0);
}

/* Major and minor of a version of the protocol between host and guest. */
static int add_protocol(Facts *facts, const char *key, const uint8_t *p) {
        char text[32];

        (void)snprintf(text, sizeof(text), "%x.%x", nvidia_u32(p) >> 16, nvidia_u32(p) & 0xffff);
        return facts_add_text(facts, key, text);
}

static int add_metadata(Facts *facts, const char *key, const uint8_t *p) {
        char text[257];

        memcpy(text, p, 256);
        text[256] = '\0';
        return facts_add_text(facts, key, text);
}

/* What one control says: where in its answer, and what it is called. */
static const struct {
        NvidiaControl control;
        unsigned at;
        const char *key;
        int (*add)(Facts *facts, const char *key, const uint8_t *p);
} answers[] = {
        { NVIDIA_CONTROL_VGPU_VERSION, 0, "protocol-min", add_protocol },
        { NVIDIA_CONTROL_VGPU_VERSION, 4, "protocol-max", add_protocol },
        { NVIDIA_CONTROL_SRIOV_CAPS, 0, "virtual-functions", add_u32 },
        { NVIDIA_CONTROL_SRIOV_CAPS, 67, "sriov", add_flag },
        { NVIDIA_CONTROL_MIXED_SIZE, 0, "mixed-size", add_flag },
        { NVIDIA_CONTROL_MIGRATION_CAP, 0, "migration", add_flag },
        { NVIDIA_CONTROL_STREAMING, 0, "migration-streaming", add_flag },
        { NVIDIA_CONTROL_MIGRATION_BANDWIDTH, 0, "migration-bandwidth", add_u32 },
        { NVIDIA_CONTROL_PGPU_METADATA, 0, "migration-metadata", add_metadata },
        { NVIDIA_CONTROL_MULTI_VGPU, 0, "multi-vgpu", add_word },
        { NVIDIA_CONTROL_MULTI_VGPU, 4, "mixed-profiles", add_word },
        { NVIDIA_CONTROL_MULTI_VGPU, 8, "mixed-sizes", add_word },
        { NVIDIA_CONTROL_DRIVER_CAPS, 0, "driver-multi-vgpu", add_word },
};

/* 0, a negative errno, or the driver's status, which only says that it does not tell this. */
static int ask(NvidiaRm *rm, NvidiaControl control, uint8_t *parameters) {
        memset(parameters, 0, NVIDIA_PARAMETERS_MAX);
        if (control == NVIDIA_CONTROL_MIXED_SIZE && rm->dialect->places[NVIDIA_AT_MIXED_SIZE_INSTANCE].there)
                (void)nvidia_put(rm->dialect, parameters, 0, NVIDIA_AT_MIXED_SIZE_INSTANCE, NVIDIA_ANY_INSTANCE);
        return nvidia_rm_control(rm, control, parameters);
}

static int read_answers(NvidiaRm *rm, Facts *facts, uint8_t *parameters) {
        int asked = -1, status = 0, r;

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                if (asked != (int)answers[i].control) {
                        status = ask(rm, answers[i].control, parameters);
                        asked = (int)answers[i].control;
                }
                if (status < 0 && status != -EOPNOTSUPP)
                        return status;
                r = status == 0 ? answers[i].add(facts, answers[i].key, parameters + answers[i].at) : 0;
                if (r < 0)
                        return r;
        }

        return 0;
}

static int read_capabilities(NvidiaRm *rm, Facts *facts) {
        for (uint32_t i = 0; i < ELEMENTSOF(capabilities); i++) {
                uint8_t parameters[8] = {};
                char key[FACT_KEY_SIZE];
                int r;

                nvidia_set_u32(parameters, i);
                r = nvidia_rm_control(rm, NVIDIA_CONTROL_CAPABILITY, parameters);
                if (r == -EOPNOTSUPP)
                        return 0;
                if (r < 0)
                        return r;

                (void)snprintf(key, sizeof(key), "capability-%s", capabilities[i]);
                r = r == 0 ? facts_add_u32(facts, key, nvidia_u32(parameters + 4)) : 0;
                if (r < 0)
                        return r;
        }

        return 0;
}

int nvidia_usage_read(NvidiaRm *rm, UsageReport *report, Error *error) {
        _cleanup_(freep) uint8_t *parameters = NULL;
        char sentence[NVIDIA_STATUS_SIZE];
        int r;

        parameters = calloc(1, NVIDIA_PARAMETERS_MAX);
        if (!parameters)
                return error_set_errno(error, -ENOMEM, "it cannot be asked what the GPU uses");

        r = facts_add_text(&report->facts, "layout", rm->dialect->layout);
        if (r >= 0)
                r = read_answers(rm, &report->facts, parameters);
        if (r >= 0)
                r = read_capabilities(rm, &report->facts);
        if (r >= 0)
                r = read_guests(rm, report);
        if (r == 0)
                return 0;

        nvidia_rm_describe(r, sentence);
        return error_set(error, r < 0 ? r : -ERROR_DRIVER_REJECTED, "the driver does not say what the GPU uses: %s",
                         sentence);
}
