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

/* The rows of ListGpus and ListVGpus as tables. */
extern const Column columns_gpus[], columns_vgpus[];

/* Configuration problems, a line each as compilers print them; and how many of one severity there are. */
Status problems_print(const Ctl *ctl, json_object *problems);
size_t problems_count(json_object *problems, const char *severity);
