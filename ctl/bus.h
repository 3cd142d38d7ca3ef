/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bus: the daemon as this command sees it: calls that answer with JSON values, failures with an exit status.
 */

#include "ctl.h"

#define BUS_NAME "org.mdevgpu1"
#define BUS_GPU "org.mdevgpu1.Gpu"
#define BUS_TYPE "org.mdevgpu1.Type"
#define BUS_VGPU "org.mdevgpu1.VGpu"
#define BUS_SRIOV "org.mdevgpu1.Gpu.Sriov"
#define BUS_MIXED_SIZE "org.mdevgpu1.Gpu.MixedSize"
#define BUS_JOB "org.mdevgpu1.Job"
#define BUS_MANAGER "org.mdevgpu1.Manager"
#define BUS_ROOT "/org/mdevgpu1"
#define BUS_ERROR_PREFIX "org.mdevgpu1.Error."
#define BUS_ERROR_BUSY BUS_ERROR_PREFIX "Busy"
#define BUS_ERROR_ALREADY_EXISTS BUS_ERROR_PREFIX "AlreadyExists"

/*
 * Calls a method of the Manager that reads, connecting first if need be. The reply has exactly the signature `expect`, or
 * the call has failed. `types` and what follows are the arguments as sd_bus_message_append() takes them; types may be
 * NULL.
 */
Status bus_call(Ctl *ctl, const char *member, const char *expect, sd_bus_message **ret_reply, const char *types, ...);

/* The same for a method of another object; the options of the command line follow the arguments. */
Status bus_ask(Ctl *ctl, const char *path, const char *interface, const char *member, const char *expect,
               sd_bus_message **ret_reply, const char *types, ...);

/* The same with arguments that a function appends. */
Status bus_call_with(Ctl *ctl, const char *member, const char *expect, sd_bus_message **ret_reply,
                     int (*append)(sd_bus_message *m, void *userdata), void *userdata);

/*
 * The same for one that changes something: the options of the command line follow the arguments, and polkit may ask who
 * sits at the terminal, whose answer the call waits for. With ret_error an error that the call is answered with is left
 * there instead of being said.
 */
Status bus_change(Ctl *ctl, const char *member, const char *expect, sd_bus_error *ret_error, sd_bus_message **ret_reply,
                  const char *types, ...);

/* The same for a method of another object. */
Status bus_change_at(Ctl *ctl, const char *path, const char *interface, const char *member, const char *expect,
                     sd_bus_message **ret_reply, const char *types, ...);

/* The same for a method of another object, without arguments. */
Status bus_change_object(Ctl *ctl, const char *path, const char *interface, const char *member,
                         sd_bus_error *ret_error);

typedef struct BusMethod {
        const char *destination; /* NULL: the daemon */
        const char *path, *interface, *member;
        bool no_start; /* nobody is started for it: who does not run is not there */
} BusMethod;

/* Any method of anybody; an error is left in *ret_error and not said, that there is no bus included. */
Status bus_try(Ctl *ctl, const BusMethod *method, const char *expect, sd_bus_error *ret_error,
               sd_bus_message **ret_reply, const char *types, ...);

/* Opens ctl->bus if it is not open. Without ret_error the failure is said. */
Status bus_connect(Ctl *ctl, sd_bus_error *ret_error);

/* A method of the Manager that answers with a list of structs. */
typedef struct BusList {
        const char *member;
        bool filtered; /* takes a filter */
        const char *expect; /* the reply's signature */
        const char *const *keys; /* names for the members of the struct, ended by NULL; see rows_name() */
        const char *const *extras; /* keys of what the daemon tells of some rows alone, NULL: of none; null in others */
} BusList;

extern const BusList bus_list_gpus, bus_list_types, bus_list_vgpus, bus_list_problems, bus_list_states;

/*
 * Rows as objects, sorted, except problems, which stand in the order of the files. With gpu not NULL only those of this
 * GPU, and it is an error if there is none.
 */
Status bus_list(Ctl *ctl, const BusList *list, const char *gpu, json_object **ret);

/* All properties of one interface of an object, in the daemon's order. */
Status bus_get_properties(Ctl *ctl, const char *path, const char *interface, json_object **ret);

/* The exit status that an error on the bus means, and saying it on stderr. */
Status bus_error_status(const sd_bus_error *error);
Status bus_error_report(const Ctl *ctl, const sd_bus_error *error);

void bus_close(Ctl *ctl);
