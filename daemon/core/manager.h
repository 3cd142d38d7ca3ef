/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Manager: the root of the model. Owns GPUs and operations, the profiles in force and the records of what we made.
 */

#include <systemd/sd-event.h>

#include "core/backend.h"
#include "core/definition-files.h"
#include "core/observer.h"
#include "core/operation.h"
#include "core/placement.h"
#include "core/profile.h"
#include "core/settings.h"
#include "core/statistics.h"
#include "core/topology.h"
#include "core/uevent.h"
#include "util/list.h"
#include "util/map.h"

typedef struct Manager Manager;
typedef struct TopologyApply TopologyApply;
typedef struct TopologyAuto TopologyAuto;

/* Fills the vendor's and the device's name for a PCI GPU from a hardware database; leaves empty what it does not know. */
typedef void (*NameLookup)(const GpuIdentity *identity, char *vendor, size_t vendor_size, char *device,
                           size_t device_size, void *userdata);

struct Manager {
        sd_event *event;
        Platform *platform;
        const Host *host; /* for reading what the kernel's cores provide, never what a vendor driver implements */
        int state_fd; /* records of what we made: what must survive a restart and not a reboot */
        Observer observer;
        NameLookup name_lookup;
        void *name_lookup_userdata;
        ProfileSet *profiles; /* NULL as long as none was good */
        TopologySet *topologies; /* the same */
        Settings *settings; /* the same */
        const RuleSet *rules; /* of the settings in force, or NULL */
        PlacementRules placement; /* of the topologies in force, whose the patterns are */
        List gpus; /* Gpu.link, in the order of their appearance */
        Map gpus_by_address;
        Map vgpus; /* VGpu.node, by UUID; visible or not */
        List all_vgpus; /* VGpu.link, the same */
        DefinitionFiles *mdev_definitions; /* mdevctl's folder */
        DefinitionFiles *own_definitions; /* of what is no mdev */
        bool started; /* what is defined was read for the first time */
        unsigned n_autostarts; /* starts that nobody asked for and that have not ended */
        List forgotten; /* notes that are to go: see notes.h */
        List operations;
        List idle_waits; /* IdleWait.link */
        char scanned_parent[SYSFS_NAME_SIZE]; /* while a report is applied: whose registration is known; else empty */
        uint64_t scanned_registration;
        List migration_queries; /* MigrationQuery.link, of those that probe */
        List migration_looks; /* of migration-look.c */
        List state_transfers; /* StateTransfer.link */
        uint32_t last_transfer;
        List states_work; /* jobs of states-query.c */
        List start_holds; /* StartHold.link: that wait for one of these to end */
        List tasks; /* Task.link */
        uint32_t last_task;
        TopologyApply *topology_apply; /* the one that runs, or NULL */
        TopologyAuto *topology_auto; /* NULL as long as nothing is applied by itself */
        char active_topology[TOPOLOGY_NAME_SIZE]; /* that was applied last; empty: none */
        List vfs_changes; /* VfsChange.link */
        Statistics statistics;
};

typedef struct ManagerParameters {
        sd_event *event;
        Platform *platform;
        const Host *host;
        int state_fd; /* the caller's; -EBADF: nothing is recorded, and everything found counts as somebody else's */
        Observer observer;
        NameLookup name_lookup; /* may be NULL */
        void *name_lookup_userdata;
} ManagerParameters;

int manager_new(const ManagerParameters *parameters, Manager **ret_manager);
Manager *manager_free(Manager *manager);
DEFINE_CLEANUP(Manager *, manager_free)

/* Takes the set over; every GPU is matched and registered anew. */
void manager_set_profiles(Manager *manager, ProfileSet *set);

/* Takes them over; they count for what comes from now on. What there is stays, however much rules allow. */
void manager_set_settings(Manager *manager, Settings *settings);

/* Takes the set over; nothing is applied. */
void manager_set_topologies(Manager *manager, TopologySet *set);

/* The one idempotent way in for all that is heard of devices. */
void manager_handle_uevent(Manager *manager, const Uevent *uevent);

/* Reads all definitions, and watches them from then on. Before the first scan: what is there then is due to be started. */
void manager_read_definitions(Manager *manager);

/* Enumerates everything; what is not found any more is dropped. Also after events were lost. */
int manager_scan(Manager *manager);

/* The files among which a definition of this kind is. */
DefinitionFiles *manager_get_definitions(const Manager *manager, VGpuKind kind);

/* True when every GPU that the last scan found has reported, failed or is stuck, and what starts by itself there has. */
bool manager_is_settled(const Manager *manager);

/*
 * Waits until no GPU is being read any more (after a reload: until the types are registered, or known not to be), at
 * most five seconds; then calls back, once, from the loop. The wait is gone then; idle_wait_free() ends it before.
 */
typedef struct IdleWait IdleWait;
typedef struct UsersQuery UsersQuery;
typedef struct Examination Examination;

int manager_wait_idle(Manager *manager, void (*callback)(void *userdata), void *userdata, IdleWait **ret_wait);
IdleWait *idle_wait_free(IdleWait *wait);

/* Puts what is defined for a device that has come on its GPU. */
void manager_place_vgpus(Manager *manager);

/*
 * Shows a vGPU as on its way out whose removal, by a worker of a daemon before us or by somebody else, still waits for
 * who holds it, as its record tells; vgpu is NULL if nothing is known of it yet. False: it is not so.
 */
bool manager_adopt_lingering(Manager *manager, const char *uuid, VGpu *vgpu);

/* Drops records of vGPUs that no longer exist. False: it is not known yet what exists, as not every GPU has been read. */
bool manager_prune_records(Manager *manager);

/* NULL: no such. */
Gpu *manager_find_gpu(const Manager *manager, const char *address);
/* The GPU that a device is or belongs to. */
Gpu *manager_find_gpu_of(const Manager *manager, const char *parent);
VGpu *manager_find_vgpu(const Manager *manager, const char *uuid); /* visible ones only */

/*
 * Begins; the callback follows. A negative code with *error filled: it did not begin and the callback is not called.
 * The manager_check_ functions judge a request as far as it can be judged now, and begin nothing. callback and
 * ret_operation may be NULL. An operation is gone when its callback returns, or is abandoned.
 */
int manager_create_vgpu(Manager *manager, const CreateRequest *request, OperationCallback callback, void *userdata,
                        Operation **ret_operation, Error *error);
int manager_check_create(Manager *manager, const CreateRequest *request, Error *error);
/* Where a vGPU goes for which no GPU is named. */
int manager_choose_gpu(const Manager *manager, const CreateRequest *request, Gpu **ret_gpu, Error *error);
int manager_destroy_vgpu(Manager *manager, const DestroyRequest *request, OperationCallback callback, void *userdata,
                         Operation **ret_operation, Error *error);
int manager_check_destroy(Manager *manager, const DestroyRequest *request, Error *error);
int manager_define_vgpu(Manager *manager, const DefineRequest *request, OperationCallback callback, void *userdata,
                        Operation **ret_operation, Error *error);
int manager_check_define(Manager *manager, const DefineRequest *request, Error *error);
int manager_undefine_vgpu(Manager *manager, const UndefineRequest *request, OperationCallback callback, void *userdata,
                          Operation **ret_operation, Error *error);
int manager_check_undefine(Manager *manager, const UndefineRequest *request, Error *error);
int manager_start_vgpu(Manager *manager, const StartRequest *request, OperationCallback callback, void *userdata,
                       Operation **ret_operation, Error *error);
int manager_check_start(Manager *manager, const StartRequest *request, Error *error);
/* There may be nothing to do: then it calls back as any other. */
int manager_modify_vgpu(Manager *manager, const ModifyRequest *request, OperationCallback callback, void *userdata,
                        Operation **ret_operation, Error *error);
int manager_check_modify(Manager *manager, const ModifyRequest *request, Error *error);

/* Nobody waits for the answer any more: what has not begun is cancelled, what has goes on and stays. */
void operation_abandon(Operation *operation);
