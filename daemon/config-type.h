/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config types: a list of vGPU types, whatever the words are that a format has for them. Each format brings its keys as
 * a table; the bounds and what is checked of more than one value are the same for all.
 */

#include "config-field.h"
#include "config-value.h"

/* No product of instances and sizes overflows 64 bits, so that nobody behind this point has to check: 2^16 instances of
 * framebuffer and what is reserved, 2^46 bytes each. */
#define INSTANCES_MAX 65535U
#define MEMORY_MAX (64 * TIB)

#define PIXELS_MAX 32768U
#define HEADS_MAX 16U
#define FRAMES_MAX 1000U

/* What is being read, with the places that checks of more than one value speak of. */
typedef struct TypeDraft {
        TypeSpec spec;
        ConfigMark id_mark;
        ConfigMark name_mark;
        ConfigMark mappable_mark;
} TypeDraft;

#define TYPE_DRAFT(member) offsetof(TypeDraft, spec.member)

/* How a format states a type. */
typedef struct TypeSchema {
        const ConfigField *fields; /* of a TypeDraft */
        TypeSpec defaults; /* what holds where a type says nothing */
        const char *id; /* the keys that messages speak of besides */
        const char *name;
        const char *mappable;
} TypeSchema;

/* Readers for the fields that remember their places. */
int config_read_type_id(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);
int config_read_type_name(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);

/* Reads the list that item begins and appends its types to profile. */
int config_read_types(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, const TypeSchema *schema,
                      Profile *profile);
