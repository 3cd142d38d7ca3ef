/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Shim usage: what a driver of the open shim says of its vGPUs: who has them open, and what they take of the GPU.
 */

#include "backend/shim-types.h"
#include "util/text.h"

static int read_rows(const Host *host, int fd, struct mdevgpu_get_usage *args, struct mdevgpu_vgpu **ret_rows,
                     Error *error) {
        _cleanup_(freep) struct mdevgpu_vgpu *rows = NULL;
        int r;

        rows = calloc(REPORT_VGPUS_MAX, sizeof(struct mdevgpu_vgpu));
        if (!rows)
                return error_set_errno(error, -ENOMEM, "the driver's vGPUs cannot be read");

        *args = (struct mdevgpu_get_usage){
                .size = sizeof(*args),
                .vgpu_size = sizeof(struct mdevgpu_vgpu),
                .vgpus = (uintptr_t)rows,
                .n_vgpus = REPORT_VGPUS_MAX,
        };
        r = host->ops->ioctl(host, fd, MDEVGPU_GET_USAGE, args);
        if (r < 0)
                return error_set(error, r == -EOPNOTSUPP ? -ERROR_NOT_SUPPORTED : r,
                                 "the driver does not say who uses its vGPUs: %s", strerrordesc_np(-r));
        if (args->n_vgpus > REPORT_VGPUS_MAX)
                return error_set(error, -ERROR_DRIVER_REJECTED, "the driver's list of vGPUs makes no sense");

        *ret_rows = TAKE(rows);
        return 0;
}

static VGpuReport *find_vgpu(GpuReport *report, const uint8_t *uuid) {
        char text[UUID_STRING_SIZE];

        (void)text_format_uuid(uuid, text);
        for (size_t i = 0; i < report->n_vgpus; i++)
                if (streq(report->vgpus[i].uuid, text))
                        return &report->vgpus[i];

        return NULL;
}

int shim_read_use(const Host *host, int fd, GpuReport *report, Error *error) {
        _cleanup_(freep) struct mdevgpu_vgpu *rows = NULL;
        struct mdevgpu_get_usage args;
        int r;

        r = read_rows(host, fd, &args, &rows, error);
        if (r < 0)
                return r;

        report->framebuffer_used = args.framebuffer_used;
        for (uint32_t i = 0; i < args.n_vgpus; i++) {
                VGpuReport *vgpu = find_vgpu(report, rows[i].uuid);

                if (vgpu)
                        vgpu->use = rows[i].flags & MDEVGPU_VGPU_OPEN ? VGPU_USE_YES : VGPU_USE_NO;
        }

        return 0;
}

static int add_row(const struct mdevgpu_vgpu *row, const ShimTypes *types, UsageReport *report) {
        VGpuUsage *vgpu = usage_report_add_vgpu(report);
        int r;

        if (!vgpu)
                return -ENOMEM;

        (void)text_format_uuid(row->uuid, vgpu->uuid);
        (void)snprintf(vgpu->type_id, sizeof(vgpu->type_id), "%s-%u", types->identity.type_prefix, row->type_id);
        vgpu->pid = row->opener <= INT32_MAX ? (int32_t)row->opener : 0;
        r = facts_add_bool(&vgpu->facts, "open", (row->flags & MDEVGPU_VGPU_OPEN) != 0);
        if (r >= 0)
                r = facts_add_u64(&vgpu->facts, "framebuffer", row->framebuffer);
        if (r >= 0)
                r = facts_add_u64(&vgpu->facts, "framebuffer-used", row->framebuffer_backed);
        if (r >= 0)
                r = facts_add_u64(&vgpu->facts, "busy", row->busy);
        if (r >= 0)
                r = facts_add_u32(&vgpu->facts, "share", row->share);
        return r;
}

/* The word by which two hosts are compared; nothing is said where the kernel or the driver knows none. */
static int add_state_format(const ShimTypes *types, Facts *facts) {
        int r;

        if (types->identity.state_format[0] == '\0')
                return 0;

        r = facts_add_bool(facts, "migration", true);
        return r < 0 ? r : facts_add_text(facts, "migration-metadata", types->identity.state_format);
}

int shim_read_usage(const Host *host, int fd, UsageReport *report, Error *error) {
        _cleanup_(freep) struct mdevgpu_vgpu *rows = NULL;
        struct mdevgpu_get_usage args;
        ShimTypes types = {};
        int r;

        r = shim_types_identify(&types, host, fd);
        if (r < 0)
                return error_set(error, r, "the driver does not say what it is: %s", strerrordesc_np(-r));

        r = read_rows(host, fd, &args, &rows, error);
        for (uint32_t i = 0; r >= 0 && i < args.n_vgpus; i++)
                r = add_row(&rows[i], &types, report);
        if (r >= 0)
                r = add_state_format(&types, &report->facts);
        if (r < 0)
                return error_set_errno(error, r, "what the GPU uses cannot be told");

        report->framebuffer_total = args.framebuffer_total;
        report->framebuffer_used = args.framebuffer_used;
        return 0;
}
