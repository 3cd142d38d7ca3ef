/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/nvidia-legacy.h"
#include "util/text.h"

void nvidia_legacy_done(NvidiaLegacy *l) {
        free(l->outcomes);
        l->outcomes = NULL;
        l->n_outcomes = 0;
}

static bool was_sent(const NvidiaLegacy *l, uint32_t id) {
        for (size_t i = 0; i < l->n_sent; i++)
                if (l->sent[i] == id)
                        return true;

        return false;
}

static void decide(NvidiaOutcome *o, Registration registration, const char *reason) {
        o->registration = registration;
        (void)text_copy(o->reason, sizeof(o->reason), reason);
}

/* 1: the driver says that it took it. */
static int send_one(NvidiaLegacy *l, NvidiaRm *rm, const NvidiaCard *card, NvidiaOutcome *o, uint8_t *parameters) {
        char sentence[NVIDIA_STATUS_SIZE];
        int r;

        memset(parameters, 0, NVIDIA_PARAMETERS_MAX);
        if (!nvidia_info_encode(rm->dialect, &o->spec, card, NVIDIA_CONFIG_READY, parameters, o->reason)) {
                o->registration = REGISTRATION_REFUSED;
                return 0;
        }

        if (l->n_sent < PROFILE_TYPES_MAX)
                l->sent[l->n_sent++] = o->spec.id;
        r = nvidia_rm_control(rm, NVIDIA_CONTROL_SET_INFO, parameters);
        if (r < 0)
                return r;
        if (r == 0) {
                decide(o, REGISTRATION_REFUSED,
                       "the driver said that it took it, but the kernel offers no such type; to have it tried again, "
                       "reload the driver and restart mdevgpud");
                return 1;
        }

        nvidia_rm_describe(r, sentence);
        o->registration = REGISTRATION_REFUSED;
        (void)snprintf(o->reason, sizeof(o->reason), "the driver refused it: %s", sentence);
        return 0;
}

static int send_missing(NvidiaLegacy *l, NvidiaRm *rm, const NvidiaCard *card, NvidiaUse use, const GpuReport *report) {
        _cleanup_(freep) uint8_t *parameters = calloc(1, NVIDIA_PARAMETERS_MAX);
        bool taken = false;
        int r = 0;

        if (!parameters)
                return -ENOMEM;

        rm->may_write = true;
        for (size_t i = 0; r >= 0 && i < l->n_outcomes; i++) {
                NvidiaOutcome *o = &l->outcomes[i];

                if (nvidia_rows_find(report, o->spec.id) || o->registration != REGISTRATION_PENDING)
                        continue;
                if (use.in_use) {
                        decide(o, REGISTRATION_PENDING, "types are registered only while the GPU has no vGPU");
                        continue;
                }
                r = send_one(l, rm, card, o, parameters);
                taken = taken || r > 0;
        }
        if (r >= 0 && taken)
                r = nvidia_rm_control(rm, NVIDIA_CONTROL_UPDATE_PGPU, NULL);
        rm->may_write = false;
        return MIN(r, 0);
}

int nvidia_legacy_register(NvidiaLegacy *l, NvidiaRm *rm, const NvidiaCard *card, const TypeSpec *wanted,
                           size_t n_wanted, NvidiaUse use, const GpuReport *report, Error *error) {
        _cleanup_(freep) NvidiaOutcome *before = TAKE(l->outcomes);
        size_t n_before = l->n_outcomes;
        char sentence[NVIDIA_STATUS_SIZE];
        int r;

        n_wanted = MIN(n_wanted, PROFILE_TYPES_MAX);
        l->n_outcomes = 0;
        l->outcomes = calloc(MAX(n_wanted, 1U), sizeof(NvidiaOutcome));
        if (!l->outcomes)
                return error_set_errno(error, -ENOMEM, "the types cannot be registered");

        for (size_t i = 0; i < n_wanted; i++) {
                NvidiaOutcome *o = &l->outcomes[l->n_outcomes++];

                o->spec = wanted[i];
                decide(o, REGISTRATION_PENDING, "not yet registered");
                for (size_t k = 0; k < n_before && was_sent(l, o->spec.id); k++)
                        if (before[k].spec.id == o->spec.id)
                                decide(o, before[k].registration, before[k].reason);
        }

        r = send_missing(l, rm, card, use, report);
        if (r >= 0)
                return 0;

        nvidia_rm_describe(r, sentence);
        return error_set(error, r, "the control channel was lost: %s", sentence);
}

/* The kernel shows it: of what it is like its name alone can be compared. */
static void judge_shown(const TypeSpec *spec, TypeReport *row) {
        row->source = TYPE_SOURCE_PROFILE;
        if (streq(row->name, spec->name)) {
                nvidia_rows_fill(spec, row);
                return;
        }

        row->registration = REGISTRATION_DIFFERS;
        (void)text_copy(row->reason, sizeof(row->reason),
                        "the driver holds another type under this id: it keeps what it was told first until it is "
                        "loaded anew");
}

int nvidia_legacy_report(const NvidiaLegacy *l, const TypeSpec *wanted, size_t n_wanted, GpuReport *report,
                         Error *error) {
        for (size_t i = 0; i < n_wanted; i++) {
                TypeReport *row = nvidia_rows_find(report, wanted[i].id);

                if (row) {
                        judge_shown(&wanted[i], row);
                        continue;
                }

                row = gpu_report_add_type(report);
                if (!row)
                        return error_set_errno(error, -ENOMEM, "the types cannot be reported");
                (void)snprintf(row->id, sizeof(row->id), "nvidia-%u", wanted[i].id);
                (void)text_copy(row->device_api, sizeof(row->device_api), "vfio-pci");
                nvidia_rows_fill(&wanted[i], row);
                row->available = 0;
                row->source = TYPE_SOURCE_PROFILE;
                row->registration = REGISTRATION_PENDING;
                (void)text_copy(row->reason, sizeof(row->reason), "not yet registered");
                for (size_t k = 0; k < l->n_outcomes; k++)
                        if (l->outcomes[k].spec.id == wanted[i].id) {
                                row->registration = l->outcomes[k].registration;
                                (void)text_copy(row->reason, sizeof(row->reason), l->outcomes[k].reason);
                                report->pending_types =
                                        report->pending_types || row->registration == REGISTRATION_PENDING;
                        }
        }

        return 0;
}
