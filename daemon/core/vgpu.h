/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VGpu: one virtual GPU: a mediated device today, a virtual function or a whole card as well, and nothing outside a
 * backend asks which.
 *
 * It is there for one or both of two reasons: its device exists (it is present), or it is defined (it has files). It is
 * built invisible and linked (published) when one of them is seen; the manager owns it. What it is shown as follows from
 * what is known of it whenever nothing works on it: see vgpu_rest().
 */

#include <systemd/sd-event.h>

#include "core/backend.h"
#include "core/observer.h"
#include "core/record.h"
#include "util/list.h"
#include "util/map.h"

typedef enum VGpuState {
        VGPU_DEFINED, /* its device does not exist */
        VGPU_CREATING, /* its create is on the way; invisible unless it is defined */
        VGPU_ACTIVE,
        VGPU_REMOVING, /* by us, or by somebody else and held; its UUID is taken */
        VGPU_FAILED, /* defined, and cannot be made: last_error says why */
        VGPU_INCOMING, /* as active, and made for a migration that has not come: see incoming.h */
        VGPU_SAVING, /* as active, and its state is being copied: see state-transfer.h */
        VGPU_RESTORING, /* the same into it */
        VGPU_STATE_MAX,
        VGPU_STATE_INVALID = -EINVAL,
} VGpuState;

/* What keeps everybody else from opening a vGPU, as it is open for us. */
typedef enum VGpuClaim {
        VGPU_CLAIM_NONE,
        VGPU_CLAIM_PROBE, /* a worker of ours opens it to ask what it can do */
        VGPU_CLAIM_SAVE, /* one copies its state */
        VGPU_CLAIM_RESTORE, /* the same into it */
        VGPU_CLAIM_MAX,
        VGPU_CLAIM_INVALID = -EINVAL,
} VGpuClaim;

typedef struct Manager Manager;
typedef struct Operation Operation;
typedef struct DefinitionFile DefinitionFile;

struct VGpu {
        /* What lists show comes first and close together: with thousands of vGPUs it is memory that takes the time. */
        List link; /* in manager->all_vgpus, from vgpu_new() on */
        Gpu *gpu; /* NULL: its definition's parent is not there */
        VGpuState state;
        VGpuKind kind;
        bool linked; /* visible */
        bool managed; /* what is there is ours */
        bool persistent; /* defined; as told to the observer */
        bool autostart;
        char uuid[UUID_STRING_SIZE];
        char type_id[TYPE_ID_SIZE];
        char label[LABEL_SIZE];
        char last_error[REASON_SIZE * 2];
        char parent[SYSFS_NAME_SIZE];

        Manager *manager;
        List gpu_link; /* in gpu->vgpus, while there is a GPU */
        MapNode node; /* in manager->vgpus, keyed by uuid, from vgpu_new() on: the UUID is taken */
        bool seen; /* in the report that is being applied */
        bool present; /* its device exists */
        bool lingers; /* somebody else removes it, and it is held: present, though no longer listed */
        char sysfs_path[512];
        int32_t iommu_group; /* -1: none */
        VGpuUse use;
        bool unfinished; /* its start was cut off, and is being brought to its end: present, though not active yet */
        bool doubtful; /* its create ended with its worker: the next reading tells whether it exists */
        bool made; /* the device was made by us: our record says so */
        bool owned; /* the definition was made by us: its note says so */
        bool noted; /* there is a note of it, or that cannot be told */
        bool elsewhere; /* another GPU has reported it since */
        bool overlooked; /* its device came or went while its definition was being written: to be read again */
        List files; /* DefinitionFile.link */
        const DefinitionFile *file; /* the one that counts, or NULL */
        char *next_type_id; /* what the definition of an active one states, where that is another; or NULL */
        Owner owner;
        Operation *operation; /* that works on it, or NULL */

        /* Starting by itself: see autostart.h. */
        uint64_t registration; /* of its parent, when its device was last seen; 0: not known */
        bool judged; /* what the record says of it has been read */
        bool stopped; /* by a person */
        bool waits; /* for its type to come anew */
        unsigned n_starts; /* tries in a row that failed */
        uint64_t tried; /* the registration of its parent at the last of them */
        sd_event_source *start_timer;

        /* Migration: see incoming.h and start-hold.h. */
        uint64_t lease; /* when it goes if nobody has it open; CLOCK_BOOTTIME, microseconds; 0: it waits for nothing */
        sd_event_source *lease_timer;
        bool unsettled; /* its state was being saved, and its device could not be put back: its record says so */
        bool half; /* a state was to be restored into it, and is not whole: it goes with its lease, whoever has it open */
        VGpuClaim claim;
        pid_t claim_pid; /* the worker that is stuck with it, or 0 */
        sd_event_source *start_hold; /* a virtual machine is being started with it: ends that by itself; or NULL */
};

const char *vgpu_state_to_string(VGpuState s);
const char *vgpu_kind_to_string(VGpuKind k);
const char *vgpu_use_to_string(VGpuUse u);

/* Takes the UUID; -EEXIST if it is taken. */
int vgpu_new(Manager *manager, const char *uuid, VGpu **ret_vgpu);
VGpu *vgpu_free(VGpu *vgpu);
DEFINE_CLEANUP(VGpu *, vgpu_free)

void vgpu_link(VGpu *vgpu); /* tells the observer */
void vgpu_unlink(VGpu *vgpu); /* tells the observer; harmless if it is not linked */

/* Puts it on a GPU, or on none. */
void vgpu_set_gpu(VGpu *vgpu, Gpu *gpu);

/* Its device exists: takes over what was read, and tells the observer what changed if the vGPU is linked. */
void vgpu_update(VGpu *vgpu, const VGpuReport *report);
void vgpu_set_state(VGpu *vgpu, VGpuState state, const char *last_error);
void vgpu_set_made(VGpu *vgpu, bool made);
void vgpu_set_use(VGpu *vgpu, VGpuUse use);
/* What is active keeps its label when its definition goes: from then on it is in its record. */
void vgpu_keep_label(const VGpu *vgpu);
void vgpu_set_label(VGpu *vgpu, const char *label);

void vgpu_set_owner(VGpu *vgpu, const Owner *owner);

/* What of a migration concerns it: "none", "incoming", "starting", "probing", "saving", "restoring"; and that this may be
 * another. */
const char *vgpu_get_migration_state(const VGpu *vgpu);
void vgpu_migration_changed(VGpu *vgpu);
void vgpu_set_claim(VGpu *vgpu, VGpuClaim claim);

/* The type object that it is an instance of, or would be; NULL if its GPU shows no such type (any more). */
Type *vgpu_get_type(const VGpu *vgpu);

/* Its device is an instance of its definition, and that is ours. */
bool vgpu_is_as_defined(const VGpu *vgpu);

/* A record of its device as it is. */
Record vgpu_get_record(const VGpu *vgpu, RecordPhase phase);
void vgpu_write_record(const VGpu *vgpu, RecordPhase phase);
/* The same of whatever is there, as its state is copied, or is not any more. */
void vgpu_write_transfer_record(const VGpu *vgpu);

/* Whether the bus of such devices lists it, whatever its GPU's worker found. */
bool vgpu_is_listed(const VGpu *vgpu);

/* Whether its device still holds its UUID although it is not listed any more: its removal waits for who holds it. */
bool vgpu_lingers(const VGpu *vgpu);
bool vgpu_uuid_lingers(const Host *host, const char *uuid, int32_t iommu_group);

typedef enum VGpuEnd {
        VGPU_END_DESTROYED, /* because somebody asked us */
        VGPU_END_VANISHED, /* somebody else removed it, or its parent went */
        VGPU_END_UNDONE, /* we took it back */
        VGPU_END_GPU_LEFT,
} VGpuEnd;

/* Its device exists no more. The vGPU may be gone afterwards; so with the next two. */
void vgpu_device_gone(VGpu *vgpu, VGpuEnd end);

/* Its definition's files are others than before. */
void vgpu_files_changed(VGpu *vgpu);

/*
 * Nothing works on it any more: shows it as what it is, publishes it if it has become something, or frees it if it is
 * nothing. last_error stands for as long as nothing else is to be said. False: it was freed.
 */
bool vgpu_rest(VGpu *vgpu, const char *last_error);
