/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The schema of mdevgpud.yaml: what the file may say of the host. The page mdevgpud.yaml(5) states the same for people.
 */

#include "config.h"
#include "config-field.h"
#include "config-match.h"
#include "config-rules.h"
#include "util/text.h"

#define SETTINGS_VERSION 1U

/* PCI Express allows as many (PCI Express Base Specification, NumVFs has 16 bits). */
#define VFS_MAX UINT16_MAX

/* More than the disk that they are on. */
#define SAVED_STATES_MAX_SIZE (UINT64_C(1) << 60)

static int read_match(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        SriovRule *rule = target;

        return config_read_match(reader, field->name, item, &rule->match);
}

static int read_vfs(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        SriovRule *rule = target;
        uint64_t n;
        int r;

        if (item->kind == CONFIG_ITEM_SCALAR && streq(item->text, "all")) {
                rule->n_vfs = SETTINGS_ALL_VFS;
                return 0;
        }

        r = config_expect_number(reader, field, item, &n);
        if (r > 0)
                rule->n_vfs = (uint32_t)n;
        return MIN(r, 0);
}

static int read_attribute(ConfigReader *reader, const ConfigItem *key, Attributes *attributes) {
        Error error = ERROR_NULL;
        ConfigItem value;
        char name[64];
        ConfigMark mark = key->mark;
        int r;

        /* The reader keeps one text at a time. */
        if (key->kind != CONFIG_ITEM_SCALAR || !text_copy(name, sizeof(name), key->text)) {
                r = config_error(reader, mark, "attrs: the name of an attribute must be a single word");
                return r < 0 ? r : -EBADMSG;
        }
        r = config_reader_next(reader, &value);
        if (r >= 0)
                r = config_expect(reader, name, &value, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        r = attributes_add(attributes, name, value.text, &error);
        return r == -EINVAL || r == -E2BIG ? config_error(reader, mark, "attrs: %s", error.message) : r;
}

static int read_attributes(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        SriovRule *rule = target;
        ConfigItem key;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_MAPPING);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &key);
                if (r < 0 || key.kind == CONFIG_ITEM_END)
                        return r;

                r = read_attribute(reader, &key, &rule->attributes);
                if (r < 0)
                        return r;
        }
}

static const ConfigField rule_fields[] = {
        { "match", read_match, .required = true },
        { "vfs", read_vfs, .max = VFS_MAX, .required = true },
        { "attrs", read_attributes },
        {},
};

static int read_rule(ConfigReader *reader, const ConfigItem *item, Settings *settings) {
        SriovRule *rule;
        int r;

        r = settings_add_sriov(settings, &rule);
        if (r == -E2BIG) {
                r = config_error(reader, item->mark,
                                 "more than %u entries; the rest of the file has not been looked at",
                                 SETTINGS_RULES_MAX);
                return r < 0 ? r : -EBADMSG;
        }

        return r < 0 ? r : config_read_fields(reader, "entry", rule_fields, item, rule);
}

static int read_sriov(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ConfigItem element;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                r = read_rule(reader, &element, target);
                if (r < 0)
                        return r;
        }
}

/* It is run as root. */
static int read_program(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        Settings *settings = target;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        if (item->text[0] != '/' || !text_is_printable(item->text) ||
            !text_copy(settings->sriov_manage, sizeof(settings->sriov_manage), item->text))
                return config_value_error(reader, field->name, item, "is not the path of a program, from / on");
        return 0;
}

static int read_layout(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        Settings *settings = target;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        settings->nvidia_legacy = streq(item->text, "mdev-gpu-510");
        if (!settings->nvidia_legacy && !streq(item->text, "known"))
                return config_value_error(reader, field->name, item, "is not known or mdev-gpu-510");
        return 0;
}

static const ConfigField nvidia_fields[] = {
        { "sriov-manage", read_program },
        { "newer-drivers", config_read_flag, offsetof(Settings, nvidia_newer) },
        { "layout", read_layout },
        {},
};

static int read_limits(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        Settings *settings = target;

        return config_read_limits(reader, field, item, settings->rules, strempty(settings->root));
}

static int read_policy(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        Settings *settings = target;

        return config_read_policy(reader, field, item, settings->rules, strempty(settings->root));
}

static const ConfigField file_fields[] = {
        { "version", config_read_version, .max = SETTINGS_VERSION, .required = true },
        { "sriov", read_sriov },
        { "nvidia", config_read_mapping, .fields = nvidia_fields },
        { "limits", read_limits },
        { "policy", read_policy },
        { "saved-states-max", config_read_size, offsetof(Settings, saved_states_max), .max = SAVED_STATES_MAX_SIZE },
        {},
};

static int read_file(ConfigReader *reader, Settings *settings) {
        ConfigItem item;
        int r;

        r = config_reader_next(reader, &item);
        if (r < 0 || item.kind == CONFIG_ITEM_NONE)
                return r;

        r = config_read_fields(reader, "file", file_fields, &item, settings);
        return r < 0 ? r : config_reader_finish(reader);
}

int config_parse_settings(const char *file, const char *text, size_t size, Settings *settings, ConfigReport *report) {
        size_t n_problems = report->n_problems, n_errors = report->n_errors;
        _cleanup_(config_reader_freep) ConfigReader *reader = NULL;
        int r;

        rule_set_free(settings->rules);
        settings->rules = rule_set_new(file);
        if (!settings->rules)
                return -ENOMEM;

        r = config_reader_new(file, text, size, report, &reader);
        if (r >= 0)
                r = read_file(reader, settings);

        config_report_sort(report, n_problems);
        if (r < 0)
                return r;
        return report->n_errors > n_errors ? -EBADMSG : 0;
}
