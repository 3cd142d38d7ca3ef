/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Verbs: what the command does. Each gets its own arguments (ended by NULL, their number checked by the caller).
 */

#include <getopt.h>

#include "print.h"

Status verb_list(Ctl *ctl, char **arguments);
Status verb_gpus(Ctl *ctl, char **arguments);
Status verb_types(Ctl *ctl, char **arguments);
Status verb_status(Ctl *ctl, char **arguments);
Status verb_users(Ctl *ctl, char **arguments);
Status verb_usage(Ctl *ctl, char **arguments);
Status verb_attachment(Ctl *ctl, char **arguments);
Status verb_create(Ctl *ctl, char **arguments);
Status verb_destroy(Ctl *ctl, char **arguments);
Status verb_define(Ctl *ctl, char **arguments);
Status verb_undefine(Ctl *ctl, char **arguments);
Status verb_start(Ctl *ctl, char **arguments);
Status verb_modify(Ctl *ctl, char **arguments);
Status verb_autostart(Ctl *ctl, char **arguments);
Status verb_topology(Ctl *ctl, char **arguments);
Status verb_vfs(Ctl *ctl, char **arguments);
Status verb_mixed_size(Ctl *ctl, char **arguments);
Status verb_migration(Ctl *ctl, char **arguments);
Status verb_compat(Ctl *ctl, char **arguments);
Status verb_prepare_incoming(Ctl *ctl, char **arguments);
Status verb_release_incoming(Ctl *ctl, char **arguments);
Status verb_save(Ctl *ctl, char **arguments);
Status verb_restore(Ctl *ctl, char **arguments);
Status verb_export_state(Ctl *ctl, char **arguments);
Status verb_import_state(Ctl *ctl, char **arguments);
Status verb_states(Ctl *ctl, char **arguments);
Status verb_delete_state(Ctl *ctl, char **arguments);
Status verb_jobs(Ctl *ctl, char **arguments);
Status verb_cancel(Ctl *ctl, char **arguments);
Status verb_check(Ctl *ctl, char **arguments);
Status verb_reload(Ctl *ctl, char **arguments);
Status verb_probe(Ctl *ctl, char **arguments);
Status verb_import(Ctl *ctl, char **arguments);
Status verb_doctor(Ctl *ctl, char **arguments);
Status verb_monitor(Ctl *ctl, char **arguments);
Status verb_metrics(Ctl *ctl, char **arguments);
Status verb_dump(Ctl *ctl, char **arguments);
Status verb_completion(Ctl *ctl, char **arguments);
Status verb_version(Ctl *ctl, char **arguments);

/* main.c: the verbs that help lists; the options that a verb takes, with those that all take. */
void verbs_each(void (*each)(const char *name, const char *summary, void *userdata), void *userdata);
void options_each(const char *verb, void (*each)(const struct option *option, void *userdata), void *userdata);

/* How many configurations or cards of a file of many can be named. */
#define IMPORT_NAMES_MAX 64

/*
 * The rows of the lists as tables. Types and vGPUs begin with the GPU, and users with the vGPU, which goes where it is
 * clear.
 */
extern const Column columns_gpus[], columns_types[], columns_vgpus[], columns_users[];

/* The rows as a table, or as JSON; `none` is said to a person where there are none. */
Status rows_print(const Ctl *ctl, json_object *rows, const Column *columns, const char *none);

/* The rows of ListVGpus with the name of each one's type; with gpu not NULL only those of this GPU. */
Status vgpus_list(Ctl *ctl, const char *gpu, json_object **ret);

/* verb-list.c: rows of ListGpus() that have this key: of all GPUs, or of one; to be released with json_object_put(). */
Status gpus_list_with(Ctl *ctl, const char *gpu, const char *key, json_object **ret);

/* The row of ListVGpus for one vGPU; NULL if it has none. */
Status vgpu_find(Ctl *ctl, const char *uuid, json_object **ret);

/*
 * Whether a row of ListVGpus says that everything which the options ask for is so. What a row does not tell, as a type
 * that is to come, counts as different.
 */
bool vgpu_is_as_wanted(const Ctl *ctl, json_object *vgpu);

/* Waits until the job has ended that the answer names, and tells whether it has changed anything; Ctrl-C cancels it. */
Status job_wait(Ctl *ctl, sd_bus_message *reply);

/* What came of a vGPU's state, as it is told: "Saved vGPU UUID as NAME: …". */
typedef struct StateWords {
        const char *done, *to; /* "Saved", "as" */
        const char *name; /* NULL: it has none */
        const char *file; /* for --json; NULL: it is in none that has a name */
        bool is_restored; /* its UUID is printed on stdout, as create does */
} StateWords;

/* verb-state.c: `job` has the properties of the job that `reply` names. */
Status state_tell(const Ctl *ctl, sd_bus_message *reply, json_object *job, const StateWords *words);

/* Adds a row for each process that uses the vGPU. */
Status users_add(Ctl *ctl, const char *uuid, json_object *users);

/* Why types are not as a profile states them, a line each below their table. */
Status types_print_reasons(const Ctl *ctl, json_object *types, bool with_gpu);

/*
 * What the daemon calls the GPU that the user calls name: a PCI address may come without its domain if it is 0000. If
 * there is no GPU of either name, that is what was typed, of which the daemon's error shall speak; with `absent`, where
 * the GPU need not be there, it is the address in full. NULL for NULL.
 */
Status gpu_resolve(Ctl *ctl, const char *name, bool absent, char **ret);

/*
 * The UUID of the vGPU that the user calls name: a UUID, or the label of just one vGPU. What is neither is returned as it
 * was typed, for the daemon's error to speak of. With ret_error a label that several have is left there instead of being
 * said.
 */
Status vgpu_resolve(Ctl *ctl, const char *name, sd_bus_error *ret_error, char **ret);

/* What the daemon finds wrong or, if there is none, why that is; and that for a person. */
Status findings_get(Ctl *ctl, json_object **ret);
Status findings_print(const Ctl *ctl, json_object *findings);

/* Configuration problems, a line each as compilers print them; and how many of one severity there are. */
Status problems_print(const Ctl *ctl, json_object *problems);
size_t problems_count(json_object *problems, const char *severity);
