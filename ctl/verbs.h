/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Verbs: what the command does. Each gets its own arguments (ended by NULL, their number checked by the caller).
 */

#include "print.h"

Status verb_list(Ctl *ctl, char **arguments);
Status verb_gpus(Ctl *ctl, char **arguments);
Status verb_types(Ctl *ctl, char **arguments);
Status verb_status(Ctl *ctl, char **arguments);
Status verb_create(Ctl *ctl, char **arguments);
Status verb_destroy(Ctl *ctl, char **arguments);
Status verb_check(Ctl *ctl, char **arguments);
Status verb_reload(Ctl *ctl, char **arguments);
Status verb_version(Ctl *ctl, char **arguments);

/* The rows of the lists as tables. Types and vGPUs begin with the GPU, which goes where it is clear. */
extern const Column columns_gpus[], columns_types[], columns_vgpus[];

/* The rows of ListVGpus with the name of each one's type; with gpu not NULL only those of this GPU. */
Status vgpus_list(Ctl *ctl, const char *gpu, json_object **ret);

/* Why types are not as a profile states them, a line each below their table. */
Status types_print_reasons(const Ctl *ctl, json_object *types, bool with_gpu);

/*
 * What the daemon calls the GPU that the user calls name: a PCI address may come without its domain if it is 0000. NULL
 * for NULL.
 */
Status gpu_resolve(Ctl *ctl, const char *name, char **ret);

/* Configuration problems, a line each as compilers print them; and how many of one severity there are. */
Status problems_print(const Ctl *ctl, json_object *problems);
size_t problems_count(json_object *problems, const char *severity);
