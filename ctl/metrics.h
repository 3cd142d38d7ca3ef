/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Metrics: samples in the text format of OpenMetrics 1.0, family by family: a family's samples stand together, below the
 * lines that say what it is.
 */

#include "util.h"

typedef struct Family {
        const char *name; /* without the suffixes that its type demands */
        const char *type; /* "gauge", "counter", "info", "stateset", "histogram" */
        const char *unit; /* NULL: none; else the name ends in it */
        const char *help;
} Family;

/* What a family is; its samples follow. */
void metrics_begin(const Family *family);

/*
 * One sample: the family's name with the suffix, the labels, which are names and values in turn, ended by NULL, and the
 * value. A label whose value is NULL is empty.
 */
void metrics_sample(const Family *family, const char *suffix, const char *const *labels, double value);
void metrics_sample_u64(const Family *family, const char *suffix, const char *const *labels, uint64_t value);

#define LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Of a state set: a sample for each of the states, of which one is 1, with the one label besides. */
void metrics_states(const Family *family, const char *label, const char *value, const char *const *states,
                    const char *state);

void metrics_end(void);

/* metrics-families.c: what the bus said, as it was read, printed as the families that there are. */
void metrics_print_daemon(json_object *daemon);
void metrics_print_gpus(json_object *gpus);
void metrics_print_types(json_object *types, json_object *gpus);
void metrics_print_vgpus(json_object *vgpus, json_object *gpus);
void metrics_print_statistics(json_object *statistics);
