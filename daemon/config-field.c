/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <strings.h>

#include "config-field.h"
#include "config-value.h"
#include "util/text.h"

static bool item_is_null(const ConfigItem *item) {
        static const char *const words[] = { "", "~", "null", "Null", "NULL" };

        for (size_t i = 0; item->plain && i < ELEMENTSOF(words); i++)
                if (streq(item->text, words[i]))
                        return true;

        return false;
}

int config_expect(ConfigReader *reader, const char *name, const ConfigItem *item, ConfigItemKind kind) {
        static const char *const names[] = {
                [CONFIG_ITEM_SCALAR] = "a single value",
                [CONFIG_ITEM_LIST] = "a list",
                [CONFIG_ITEM_MAPPING] = "a mapping of keys to values",
        };
        bool null = item->kind == CONFIG_ITEM_SCALAR && item_is_null(item);
        int r;

        assert((size_t)kind < ELEMENTSOF(names));

        if (item->kind == kind && !null)
                return 1;
        if (item->kind == CONFIG_ITEM_REFUSED)
                return 0;

        if (null)
                r = config_error(reader, item->mark, "%s: has no value", name);
        else
                r = config_error(reader, item->mark, "%s: must be %s, not %s", name, names[kind], names[item->kind]);
        if (r < 0)
                return r;

        return config_reader_skip(reader, item);
}

/* What became of a field while its mapping is read. */
typedef struct FieldState {
        ConfigMark mark; /* of its key */
        bool misspelt; /* a key that is reported as unknown was meant for it, most likely */
} FieldState;

static int report_unknown(ConfigReader *reader, const ConfigField *fields, const ConfigItem *key, FieldState *states) {
        const ConfigField *nearest = NULL;
        int least = INT_MAX;

        for (const ConfigField *f = fields; f->name; f++) {
                int d = config_word_distance(key->text, f->name);

                if (d >= 0 && d < least) {
                        nearest = f;
                        least = d;
                }
        }

        if (!nearest)
                return config_reader_problem(reader, key->mark, config_reader_unknown(reader), "unknown key '%s'",
                                             config_quote(key->text).text);

        states[nearest - fields].misspelt = config_reader_unknown(reader) == PROBLEM_ERROR;
        return config_reader_problem(reader, key->mark, config_reader_unknown(reader),
                                     "unknown key '%s'; did you mean '%s'?", config_quote(key->text).text,
                                     nearest->name);
}

/* *ret_field is NULL if the key was reported. */
static int find_field(ConfigReader *reader, const ConfigField *fields, const ConfigItem *key, FieldState *states,
                      const ConfigField **ret_field) {
        ConfigMark *mark;
        int r;

        *ret_field = NULL;
        if (key->kind == CONFIG_ITEM_REFUSED)
                return 0;
        if (key->kind != CONFIG_ITEM_SCALAR) {
                r = config_error(reader, key->mark, "a key must be a single word");
                return r < 0 ? r : config_reader_skip(reader, key);
        }

        for (const ConfigField *f = fields; f->name; f++) {
                if (!streq(key->text, f->name))
                        continue;

                mark = &states[f - fields].mark;
                if (mark->line > 0)
                        return config_error(reader, key->mark, "key '%s' is given in line %" PRIu32 " already", f->name,
                                            mark->line);

                *mark = key->mark;
                *ret_field = f;
                return 0;
        }

        return report_unknown(reader, fields, key, states);
}

static int check_required(ConfigReader *reader, const char *name, const ConfigField *fields, ConfigMark mark,
                          const FieldState *states) {
        int r;

        for (const ConfigField *f = fields; f->name; f++) {
                const FieldState *state = &states[f - fields];

                if (!f->required || state->mark.line > 0 || state->misspelt)
                        continue;

                r = config_error(reader, mark, "%s: the required key '%s' is missing", name, f->name);
                if (r < 0)
                        return r;
        }

        return 0;
}

int config_read_fields(ConfigReader *reader, const char *name, const ConfigField *fields, const ConfigItem *item,
                       void *target) {
        FieldState states[CONFIG_FIELDS_MAX] = {};
        ConfigMark begin = item->mark;
        const ConfigField *field;
        ConfigItem key, value;
        int r;

        r = config_expect(reader, name, item, CONFIG_ITEM_MAPPING);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &key);
                if (r < 0)
                        return r;
                if (key.kind == CONFIG_ITEM_END)
                        return check_required(reader, name, fields, begin, states);

                r = find_field(reader, fields, &key, states, &field);
                if (r < 0)
                        return r;

                r = config_reader_next(reader, &value);
                if (r < 0)
                        return r;

                r = field ? field->read(reader, field, &value, target) : config_reader_skip(reader, &value);
                if (r < 0)
                        return r;
        }
}

int config_value_error(ConfigReader *reader, const char *name, const ConfigItem *item, const char *format, ...) {
        _cleanup_(freep) char *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = text_formatv(&message, format, ap);
        va_end(ap);
        if (r < 0)
                return r;

        return config_error(reader, item->mark, "%s: '%s' %s", name, config_quote(item->text).text, message);
}

int config_read_mapping(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        return config_read_fields(reader, field->name, field->fields, item, target);
}

int config_expect_number(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, uint64_t *ret) {
        uint64_t value;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        r = config_number_parse(item->text, &value);
        if (r == -EINVAL)
                return config_value_error(
                        reader, field->name, item,
                        "is not a whole number (decimal without leading zeros, or hexadecimal as in 0x1f)");
        if (r == -ERANGE || value < field->min || value > field->max)
                return config_value_error(reader, field->name, item, "is not between %" PRIu64 " and %" PRIu64,
                                          field->min, field->max);

        *ret = value;
        return 1;
}

int config_expect_id(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, uint64_t *ret) {
        uint64_t value;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        r = strncasecmp(item->text, "0x", 2) == 0 ? config_number_parse(item->text, &value) : -EINVAL;
        if (r == -EINVAL)
                return config_value_error(reader, field->name, item, "is not a hexadecimal number such as 0x10de");
        if (r == -ERANGE || value < field->min || value > field->max)
                return config_value_error(reader, field->name, item, "is not between 0x%" PRIx64 " and 0x%" PRIx64,
                                          field->min, field->max);

        *ret = value;
        return 1;
}

int config_read_u32(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t value = 0;
        int r;

        assert(field->max <= UINT32_MAX);

        r = config_expect_number(reader, field, item, &value);
        if (r <= 0)
                return r;

        *(uint32_t *)config_field_target(field, target) = (uint32_t)value;
        return 0;
}

int config_read_id64(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t value = 0;
        int r;

        r = config_expect_id(reader, field, item, &value);
        if (r <= 0)
                return r;

        *(uint64_t *)config_field_target(field, target) = value;
        return 0;
}

static int report_size(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, int error) {
        switch (error) {
        case -EINVAL:
                return config_value_error(reader, field->name, item,
                                          "is not a whole number with a unit, such as 512MiB");
        case -ENODATA:
                return config_value_error(reader, field->name, item, "has no unit; use KiB, MiB, GiB or TiB");
        case -EDOM:
                return config_value_error(reader, field->name, item, "has an unknown unit; use KiB, MiB, GiB or TiB");
        default:
                return config_value_error(reader, field->name, item, "is not between %s and %s",
                                          config_size_format(field->min).text, config_size_format(field->max).text);
        }
}

int config_read_size(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t size = 0;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        r = config_size_parse(item->text, &size);
        if (r >= 0 && (size < field->min || size > field->max))
                r = -ERANGE;
        if (r < 0)
                return report_size(reader, field, item, r);

        *(uint64_t *)config_field_target(field, target) = size;
        return 0;
}

int config_read_percent(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t value = 0;
        int r;

        assert(field->max <= UINT32_MAX);

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        r = config_percent_parse(item->text, &value);
        if (r == -ENODATA)
                return config_value_error(reader, field->name, item, "lacks the percent sign");
        if (r == -EINVAL)
                return config_value_error(reader, field->name, item, "is not a whole number of percent, such as 50%%");
        if (r == -ERANGE || value < field->min || value > field->max)
                return config_value_error(reader, field->name, item, "is not between %" PRIu64 "%% and %" PRIu64 "%%",
                                          field->min, field->max);

        *(uint32_t *)config_field_target(field, target) = (uint32_t)value;
        return 0;
}

int config_read_flag(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        r = config_flag_parse(item->text, config_field_target(field, target));
        if (r < 0)
                return config_value_error(reader, field->name, item,
                                          "is not a boolean (true, yes, on, false, no, off)");

        return 0;
}

static bool text_is_ascii(const char *s) {
        for (; *s; s++)
                if (*s < 0x20 || *s > 0x7e)
                        return false;

        return true;
}

int config_read_text(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        size_t n;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        n = strlen(item->text);
        if (n == 0)
                return config_error(reader, item->mark, "%s: is empty", field->name);
        if (n >= field->max)
                return config_error(reader, item->mark, "%s: is %zu bytes long, at most %" PRIu64 " fit", field->name,
                                    n, field->max - 1);
        if (!text_is_ascii(item->text))
                return config_value_error(reader, field->name, item, "holds a character that is not printable ASCII");
        if (item->text[0] == ' ' || item->text[n - 1] == ' ')
                return config_value_error(reader, field->name, item, "begins or ends with a blank");

        memcpy(config_field_target(field, target), item->text, n + 1);
        return 0;
}

int config_read_version(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        const ConfigField any = { .name = field->name, .max = UINT64_MAX };
        uint64_t version;
        int r;

        r = config_expect_number(reader, &any, item, &version);
        if (r <= 0 || version == field->max)
                return MIN(r, 0);

        r = config_value_error(reader, field->name, item, "is not known to this mdevgpud, which reads %" PRIu64,
                               field->max);
        return r < 0 ? r : -EBADMSG;
}
