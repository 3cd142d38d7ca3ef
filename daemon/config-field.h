/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config field: one key of a mapping, what its value may be and where it goes. A mapping's fields are a table, ended by
 * one without a name; reading the mapping by its table finds unknown, repeated and missing keys.
 *
 * The functions that return int give 0, or a negative errno upon which reading the file must end (see config-yaml.h). A
 * value that is wrong is reported, leaves the target as it was, and reading goes on: so that people see all of it.
 */

#include "config-yaml.h"

#define CONFIG_FIELDS_MAX 32U

typedef struct ConfigField ConfigField;

struct ConfigField {
        const char *name;
        int (*read)(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);
        size_t offset; /* in the target, of what the value is kept in */
        uint64_t min; /* of a number or size */
        uint64_t max; /* the same; of a text the size of its array */
        bool required;
        const ConfigField *fields; /* of a mapping, which shares its parent's target */
};

static inline void *config_field_target(const ConfigField *field, void *target) {
        return (char *)target + field->offset;
}

/* Reads a mapping; another kind of item is reported, name being what it is called. */
int config_read_fields(ConfigReader *reader, const char *name, const ConfigField *fields, const ConfigItem *item,
                       void *target);

/* Reports a scalar: `name: 'what stands there' is not …`, format being what is behind the value. */
int config_value_error(ConfigReader *reader, const char *name, const ConfigItem *item, const char *format, ...)
        _printf_(4, 5);

/*
 * The following give 1 if the item is as it has to be, 0 if it is not: then it has been reported and skipped.
 */
int config_expect(ConfigReader *reader, const char *name, const ConfigItem *item, ConfigItemKind kind);
int config_expect_number(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, uint64_t *ret);

/* A PCI id: hexadecimal, and it has to say so, as lspci prints 2080 for what is 0x2080. */
int config_expect_id(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, uint64_t *ret);

/* Readers for ConfigField.read, named by what the target holds. */
int config_read_mapping(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);
int config_read_u32(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);
int config_read_id64(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);
int config_read_size(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);
int config_read_percent(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);
int config_read_flag(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);
int config_read_text(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);

/* The version of the format, of which field->max is known. Nothing that follows another one can be judged. */
int config_read_version(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target);
