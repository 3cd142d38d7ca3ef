/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Interfaces: what the server shows at which objects. The sd-bus table of an interface is the one table of its
 * properties: it feeds Get, GetAll, GetManagedObjects, InterfacesAdded and introspection; beside it stands which of
 * them a change of the model touches.
 */

#include "bus/bus-server.h"

enum {
        MANAGER_CHANGED_CONFIG = 1U << 0,
        MANAGER_CHANGED_DEGRADED = 1U << 1,
        MANAGER_CHANGED_TOPOLOGY = 1U << 2,
};

typedef struct BusMask {
        unsigned mask; /* bits of core/observer.h, any of which touches the property; 0 ends the table */
        const char *property;
} BusMask;

typedef struct BusInterface {
        const char *name;
        const char *prefix;
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find; /* NULL: there is one object, at the prefix */
        const BusMask *masks;
} BusInterface;

extern const BusInterface manager_interface;
extern const BusInterface gpu_interface;
extern const BusInterface sriov_interface; /* at GPUs that can have virtual functions */
extern const BusInterface mixed_interface; /* at GPUs whose driver can mix sizes or not */
extern const BusInterface type_interface;
extern const BusInterface vgpu_interface;
extern const BusInterface job_interface;

/* bus-enumerate.c: the children of a path, or every object below it (sd_bus_node_enumerator_t) */
int bus_enumerate_gpus(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *ret_error);
int bus_enumerate_vgpus(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *ret_error);
int bus_enumerate_jobs(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *ret_error);

/* manager-lists.c */
int manager_method_list_gpus(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_list_types(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_list_vgpus(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* manager-config.c */
int manager_append_problems(sd_bus_message *message, const ConfigReport *config, const ConfigReport *definitions);
int manager_method_check_config(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_reload(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* vgpu-calls.c */
int manager_method_create_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_start_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int vgpu_method_start(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_destroy_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int vgpu_method_destroy(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

int manager_method_prepare_incoming(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_release_incoming(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* definition-calls.c */
int manager_method_define_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_undefine_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_modify_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* topology-calls.c */
int manager_method_list_topologies(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_plan_topology(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_apply_topology(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* job-interface.c */
int manager_method_list_jobs(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
/* What came of it, as properties and signals say it */
int bus_append_task_result(sd_bus_message *message, const Task *task);
const char *bus_task_error(const Task *task);

/* users-call.c */
int manager_method_get_users(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
/* An aa{sv} of them; told: what the driver says of the vGPU, or NULL. */
int bus_append_users(sd_bus_message *reply, const User *users, size_t n_users, const VGpuUsage *told);

/* usage-call.c */
int manager_method_get_usage(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
/* Entries of an a{sv}, but for those with these keys; NULL: all. */
int bus_append_facts(sd_bus_message *message, const Facts *facts, const char *const *except);

/* migration-call.c */
int manager_method_get_migration_info(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_check_compatibility(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* state-calls.c */
int manager_method_save_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_export_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_restore_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_import_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_list_saved_states(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_delete_saved_state(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* migration-query-call.c */
int manager_method_query_migration(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* start-hold-calls.c */
int manager_method_hold_for_start(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
int manager_method_end_hold(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* statistics-call.c */
int manager_method_get_statistics(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* diagnose-call.c */
int manager_method_diagnose(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* attachment-call.c */
int vgpu_method_get_attachment(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* gpu-interface.c: a GPU is to be read again, because a caller asks for it; not too often. */
int bus_refresh_gpu(Gpu *gpu, sd_bus_message *message, sd_bus_error *ret_error);
