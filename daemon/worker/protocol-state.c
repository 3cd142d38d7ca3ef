/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Transfers' part of the protocol. An image's header travels as the text that stands in the image. */

#include "state/image.h"
#include "util/text.h"
#include "worker/protocol-frame.h"

static void put_header(WireWriter *w, const ImageHeader *header) {
        _cleanup_(freep) char *text = NULL;
        size_t size;
        int r;

        wire_put_u8(w, header != NULL);
        if (!header)
                return;

        r = image_header_format(header, &text, &size);
        if (r < 0 && w->error >= 0)
                w->error = r;
        wire_put_string(w, strempty(text));
}

static int get_header(WireReader *r, ImageHeader **ret_header) {
        _cleanup_(freep) char *text = NULL;
        ImageHeader *header;
        int k;

        *ret_header = NULL;
        if (!wire_get_bool(r))
                return 0;

        text = calloc(1, IMAGE_HEADER_MAX + 1);
        header = calloc(1, sizeof(ImageHeader));
        if (!text || !header) {
                free(header);
                return -ENOMEM;
        }

        wire_get_string(r, text, IMAGE_HEADER_MAX + 1);
        image_header_init(header);
        k = image_header_parse(text, strlen(text), header, NULL);
        *ret_header = header;
        return k == -EILSEQ ? -EBADMSG : k;
}

void protocol_put_state_job(WireWriter *w, const Job *job) {
        wire_put_string(w, strempty(job->uuid));
        wire_put_u32(w, (uint32_t)job->vgpu_kind);
        wire_put_string(w, strempty(job->parent));
        wire_put_u32(w, (uint32_t)job->iommu_group);
        wire_put_string(w, strempty(job->state_name));
        wire_put_u32(w, (uint32_t)job->n_fds);
        wire_put_u8(w, job->precopy);
        wire_put_u8(w, job->stay_stopped);
        wire_put_u8(w, job->replace);
        wire_put_u64(w, job->quota);
        put_header(w, job->header);
}

/* What each kind cannot do without; and names become parts of paths. */
static bool state_job_is_whole(const DecodedJob *d) {
        bool has_vgpu = d->uuid[0] != '\0', has_name = d->state_name[0] != '\0';
        size_t n_streams = has_name ? 1 : 2;

        if (has_name && !saved_state_name_is_good(d->state_name))
                return false;
        if (d->job.vgpu_kind != VGPU_MDEV && has_vgpu && !text_is_name(d->parent))
                return false;

        switch (d->job.kind) {
        case JOB_SAVE_STATE:
                return has_vgpu && d->header && d->job.n_fds == n_streams;
        case JOB_OPEN_STATE:
                return d->job.n_fds == n_streams;
        case JOB_RESTORE_STATE:
        case JOB_SETTLE_STATE:
                return has_vgpu && d->job.n_fds == 0;
        case JOB_DELETE_STATE:
                return has_name && d->job.n_fds == 0;
        default:
                return d->job.n_fds == 0;
        }
}

int protocol_get_state_job(WireReader *r, DecodedJob *d) {
        char uuid[UUID_STRING_SIZE];
        int k;

        wire_get_string(r, uuid, sizeof(uuid));
        d->job.vgpu_kind = (VGpuKind)wire_get_enum(r, VGPU_KIND_MAX);
        wire_get_string(r, d->parent, sizeof(d->parent));
        d->job.iommu_group = (int32_t)wire_get_u32(r);
        wire_get_string(r, d->state_name, sizeof(d->state_name));
        d->job.n_fds = wire_get_enum(r, JOB_FDS_MAX + 1);
        d->job.precopy = wire_get_bool(r);
        d->job.stay_stopped = wire_get_bool(r);
        d->job.replace = wire_get_bool(r);
        d->job.quota = wire_get_u64(r);
        k = get_header(r, &d->header);
        if (k < 0)
                return k;
        if ((uuid[0] != '\0' && text_parse_uuid(uuid, d->uuid) < 0) || !state_job_is_whole(d))
                r->bad = true;

        d->job.uuid = d->uuid;
        d->job.parent = d->parent;
        d->job.state_name = d->state_name;
        d->job.header = d->header;
        return 0;
}

void protocol_put_progress(WireWriter *w, const TransferProgress *p) {
        wire_put_u32(w, (uint32_t)p->phase);
        wire_put_u64(w, p->n_bytes);
        wire_put_u64(w, p->total);
        wire_put_u64(w, p->dirty);
        wire_put_u64(w, p->downtime_usec);
        wire_put_u8(w, p->was_reset);
}

void protocol_get_progress(WireReader *r, TransferProgress *p) {
        p->phase = (TransferPhase)wire_get_enum(r, TRANSFER_PHASE_MAX);
        p->n_bytes = wire_get_u64(r);
        p->total = wire_get_u64(r);
        p->dirty = wire_get_u64(r);
        p->downtime_usec = wire_get_u64(r);
        p->was_reset = wire_get_bool(r);
}

static void put_saved(WireWriter *w, const SavedState *s) {
        wire_put_string(w, s->name);
        wire_put_u64(w, s->size);
        wire_put_u64(w, s->created_usec);
        wire_put_string(w, s->uuid);
        wire_put_string(w, s->type_id);
        wire_put_string(w, s->label);
        wire_put_string(w, s->host);
        wire_put_string(w, s->gpu);
        wire_put_string(w, s->driver);
        wire_put_string(w, s->driver_version);
        wire_put_string(w, s->error);
}

static void get_saved(WireReader *r, SavedState *s) {
        wire_get_string(r, s->name, sizeof(s->name));
        s->size = wire_get_u64(r);
        s->created_usec = wire_get_u64(r);
        wire_get_string(r, s->uuid, sizeof(s->uuid));
        wire_get_string(r, s->type_id, sizeof(s->type_id));
        wire_get_string(r, s->label, sizeof(s->label));
        wire_get_string(r, s->host, sizeof(s->host));
        wire_get_string(r, s->gpu, sizeof(s->gpu));
        wire_get_string(r, s->driver, sizeof(s->driver));
        wire_get_string(r, s->driver_version, sizeof(s->driver_version));
        wire_get_string(r, s->error, sizeof(s->error));
        if (!saved_state_name_is_good(s->name))
                r->bad = true;
}

void protocol_put_state_result(WireWriter *w, JobKind kind, const JobResult *result) {
        protocol_put_progress(w, &result->progress);
        if (kind == JOB_OPEN_STATE)
                put_header(w, result->error.code == 0 ? result->header : NULL);
        if (kind != JOB_LIST_STATES)
                return;

        wire_put_u32(w, (uint32_t)result->n_saved);
        for (size_t i = 0; i < result->n_saved; i++)
                put_saved(w, &result->saved[i]);
}

int protocol_get_state_result(WireReader *r, JobKind kind, JobResult *result) {
        size_t n;
        int k;

        protocol_get_progress(r, &result->progress);
        if (kind == JOB_OPEN_STATE) {
                k = get_header(r, &result->header);
                /* One that was opened has told what it is. */
                if (k >= 0 && (result->error.code == 0) != (result->header != NULL))
                        r->bad = true;
                return k;
        }
        if (kind != JOB_LIST_STATES)
                return 0;

        n = wire_get_count(r, SAVED_STATES_MAX);
        for (size_t i = 0; i < n && !r->bad; i++) {
                SavedState *saved = job_result_add_saved(result);

                if (!saved)
                        return -ENOMEM;
                get_saved(r, saved);
        }
        return 0;
}
