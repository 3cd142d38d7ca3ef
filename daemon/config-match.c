/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config-field.h"
#include "config-match.h"
#include "config-value.h"
#include "util/text.h"

#define LIST_MAX 256U

/* What is being read, with the place that a check of more than one value speaks of. */
typedef struct MatchDraft {
        ProfileMatch *match;
        ConfigMark devices_mark;
} MatchDraft;

typedef int (*ReadElement)(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, ProfileMatch *match);

/* The word any, a value, or a list of values. */
static int read_any_or_values(ConfigReader *reader, const ConfigField *field, const ConfigItem *item,
                              ReadElement read_element, ProfileMatch *match) {
        ConfigMark begin = item->mark;
        ConfigItem element;
        size_t n = 0;
        int r;

        if (item->kind == CONFIG_ITEM_SCALAR && streq(item->text, "any"))
                return 0;
        if (item->kind != CONFIG_ITEM_LIST)
                return read_element(reader, field, item, match);

        for (;; n++) {
                r = config_reader_next(reader, &element);
                if (r < 0)
                        return r;
                if (element.kind == CONFIG_ITEM_END)
                        break;

                r = read_element(reader, field, &element, match);
                if (r < 0)
                        return r;
        }

        /* To the eye it matches nothing, to the model everything. */
        return n > 0 ? 0 : config_error(reader, begin, "%s: is an empty list; write any, or leave it out", field->name);
}

static int report_too_many(ConfigReader *reader, const ConfigField *field, const ConfigItem *item) {
        int r;

        r = config_error(reader, item->mark, "%s: more than %u; the rest of the file has not been looked at",
                         field->name, LIST_MAX);
        return r < 0 ? r : -EBADMSG;
}

static int read_one_device(ConfigReader *reader, const ConfigField *field, const ConfigItem *item,
                           ProfileMatch *match) {
        uint16_t *devices;
        uint64_t value;
        int r;

        r = config_expect_id(reader, field, item, &value);
        if (r <= 0)
                return r;

        if (match->n_devices >= LIST_MAX)
                return report_too_many(reader, field, item);

        devices = reallocarray(match->devices, match->n_devices + 1, sizeof(uint16_t));
        if (!devices)
                return -ENOMEM;

        match->devices = devices;
        match->devices[match->n_devices++] = (uint16_t)value;
        return 0;
}

/* Four hexadecimal digits at most, or a star for any. */
static int subsystem_half_parse(const char *text, uint32_t *ret_value, uint32_t *ret_mask, const char **ret_end) {
        uint64_t value;

        if (*text == '*') {
                *ret_value = *ret_mask = 0;
                *ret_end = text + 1;
                return 0;
        }
        if (config_hex_parse(text, 4, &value, ret_end) < 0)
                return -EINVAL;

        *ret_value = (uint32_t)value;
        *ret_mask = UINT16_MAX;
        return 0;
}

/* 10de:145e as lspci prints it, with a star for what does not matter, or 0x10de145e as NVIDIA's tables do. */
static int subsystem_parse(const char *text, SubsystemMatch *ret) {
        uint32_t values[2], masks[2];
        const char *end;
        uint64_t number;

        if (subsystem_half_parse(text, &values[0], &masks[0], &end) >= 0 && *end == ':') {
                if (subsystem_half_parse(end + 1, &values[1], &masks[1], &end) < 0 || *end ||
                    (masks[0] == 0 && masks[1] == 0))
                        return -EINVAL;

                *ret = (SubsystemMatch){ values[0] << 16 | values[1], masks[0] << 16 | masks[1] };
                return 0;
        }

        if (strncmp(text, "0x", 2) != 0 || config_hex_parse(text, 8, &number, &end) < 0 || *end || number == 0)
                return -EINVAL;

        *ret = (SubsystemMatch){ (uint32_t)number, UINT32_MAX };
        return 0;
}

static int read_one_subsystem(ConfigReader *reader, const ConfigField *field, const ConfigItem *item,
                              ProfileMatch *match) {
        SubsystemMatch *subsystems, value;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        r = subsystem_parse(item->text, &value);
        if (r < 0)
                return config_value_error(reader, field->name, item,
                                          "is not a vendor and device such as 10de:145e or 0x10de145e");

        if (match->n_subsystems >= LIST_MAX)
                return report_too_many(reader, field, item);

        subsystems = reallocarray(match->subsystems, match->n_subsystems + 1, sizeof(SubsystemMatch));
        if (!subsystems)
                return -ENOMEM;

        match->subsystems = subsystems;
        match->subsystems[match->n_subsystems++] = value;
        return 0;
}

static int read_vendor(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        MatchDraft *draft = target;
        uint64_t value;
        int r;

        if (item->kind == CONFIG_ITEM_SCALAR && streq(item->text, "any"))
                return 0;

        r = config_expect_id(reader, field, item, &value);
        if (r <= 0)
                return r;

        draft->match->vendor = (uint16_t)value;
        draft->match->any_vendor = false;
        return 0;
}

static int read_devices(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        MatchDraft *draft = target;

        draft->devices_mark = item->mark;
        return read_any_or_values(reader, field, item, read_one_device, draft->match);
}

static int read_subsystems(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        MatchDraft *draft = target;

        return read_any_or_values(reader, field, item, read_one_subsystem, draft->match);
}

static int read_address(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        MatchDraft *draft = target;
        char *address;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        if (!text_is_name(item->text))
                return config_value_error(reader, field->name, item, "is not a pattern for a device's name in sysfs");

        address = strdup(item->text);
        if (!address)
                return -ENOMEM;

        free(draft->match->address);
        draft->match->address = address;
        return 0;
}

static const ConfigField match_fields[] = {
        { "vendor", read_vendor, .min = 1, .max = UINT16_MAX },
        { "device", read_devices, .min = 1, .max = UINT16_MAX },
        { "subsystem", read_subsystems },
        { "address", read_address },
        {},
};

int config_read_match(ConfigReader *reader, const char *name, const ConfigItem *item, ProfileMatch *match) {
        MatchDraft draft = { .match = match };
        size_t n_errors = config_reader_n_errors(reader);
        int r;

        r = config_read_fields(reader, name, match_fields, item, &draft);
        if (r < 0)
                return r;

        if (match->any_vendor && match->n_devices > 0 && config_reader_n_errors(reader) == n_errors)
                return config_error(reader, draft.devices_mark,
                                    "device: needs 'vendor' beside it, as each vendor numbers its own");

        return 0;
}
