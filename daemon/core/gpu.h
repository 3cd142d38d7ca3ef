/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Gpu: one physical card (or mdev parent on no PCI bus), with the types it offers and the vGPUs that exist on it.
 * A virtual function is never a Gpu but part of one.
 *
 * What is known of it comes from its worker's reports. A hint marks it dirty; one sync runs at a time, however many
 * hints there are.
 */

#include <systemd/sd-event.h>

#include "core/backend.h"
#include "core/observer.h"
#include "util/list.h"
#include "util/map.h"

typedef struct Manager Manager;

struct Gpu {
        Manager *manager;
        List link; /* in manager->gpus */
        MapNode node; /* in manager->gpus_by_address */
        bool linked;
        bool applying; /* what its report says of vGPUs */
        bool seen; /* in the scan that is running */
        bool leaving; /* nothing may be put on it any more */
        GpuIdentity identity;
        char vendor_name[128]; /* of udev's hardware database; empty if it has none */
        char device_name[128];
        GpuState state;
        char reason[REASON_SIZE * 2]; /* a whole Error.message */
        char driver[64];
        char driver_version[64];
        char backend[32];
        char model[128];
        uint64_t framebuffer_total; /* bytes */
        uint64_t framebuffer_used; /* the same, as it was read last */
        bool pending_types;
        uint32_t num_vfs; /* virtual functions that are enabled */
        uint32_t max_vfs; /* 0: it can have none */
        MixedSize mixed_size;
        List types; /* Type.link */
        List vgpus; /* VGpu.gpu_link, visible or not: on it, or defined for it */
        PlatformJob *sync;
        bool dirty; /* read again when the running sync ends */
        bool dirty_register; /* and then register types */
        bool apply_pending; /* and those that wait, too: somebody asked for it */
        bool stale; /* a removal ended while the running sync read: its report may show what is gone */
        bool sync_stuck; /* the running sync is what stuck_pid is stuck in, no operation */
        pid_t stuck_pid;
        struct UsageReading *usage; /* of usage-query.c: the one that is under way, or NULL */
        uint64_t usage_time; /* when the last one ended; CLOCK_MONOTONIC, microseconds */
        uint64_t looks_paid; /* until when the looks of migration-look.c count; the same clock */
        sd_event_source *look_timer; /* while some of them wait for their turn */
        sd_event_source *retry; /* after a sync that failed */
        sd_event_source *refresh; /* after one that was asked for */
        bool refresh_owed; /* another was asked for since */
        sd_event_source *expecting; /* while there is something in expected */
        List expected; /* devices announced before they were complete */
        unsigned n_expected;
        unsigned n_failures; /* syncs that failed in a row */
        uint64_t binding; /* of its driver, as it was no later than what is known of it was read (see scan_binding()) */
        uint64_t sync_binding; /* the same, when what is being read was asked for */
        uint64_t vfs_binding; /* of the driver for which the setting of virtual functions was looked at; 0: not known */
        uint64_t vfs_ours; /* that a change of their number left, as NVIDIA's program has the driver bound anew */
        bool vfs_changed; /* somebody had their number changed since it was read */
        uint64_t vfs_tried; /* the binding that n_vfs_tries is about */
        unsigned n_vfs_tries; /* that failed in a row */
        sd_event_source *vfs_retry;
        char vfs_reason[REASON_SIZE * 2]; /* why there are not as many as a setting says; or empty */
};

const char *gpu_state_to_string(GpuState s);

int gpu_new(Manager *manager, const GpuIdentity *identity, Gpu **ret_gpu);
Gpu *gpu_free(Gpu *gpu);
DEFINE_CLEANUP(Gpu *, gpu_free)

void gpu_link(Gpu *gpu);
void gpu_unlink(Gpu *gpu); /* its vGPUs have left it */

/* True if vGPUs can be made on it, as far as its state goes; perhaps it has no type. */
bool gpu_makes_vgpus(const Gpu *gpu);
/* It has a type of which vGPUs can be made, or could if it had room. */
bool gpu_offers_type(const Gpu *gpu);

/* The name a person knows it by: the hardware database's, the driver's, else the sysfs name. */
const char *gpu_get_name(const Gpu *gpu);

/* By id (exact), else by name if just one type has it, else by the driver's number; else ERROR_NO_SUCH_TYPE, listing the
 * candidates. */
int gpu_find_type(Gpu *gpu, const char *word, Type **ret_type, Error *error);
Type *gpu_find_type_by_id(const Gpu *gpu, const char *id);

/* Reads it again, soon. With may_register, registers what profiles want, too. */
void gpu_mark_dirty(Gpu *gpu, bool may_register);

/* Somebody asks for it: read again at once, or, if that was asked for just now, a moment later. */
void gpu_refresh(Gpu *gpu);

/* An mdev was announced that may not be complete yet: read again when it is, or give up after two seconds. */
void gpu_expect(Gpu *gpu, const char *uuid);

void gpu_apply_counts(Gpu *gpu, const TypeCount *counts, size_t n_counts);
void gpu_set_stuck(Gpu *gpu, pid_t pid);
