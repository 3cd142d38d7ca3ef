/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The schema of types.d: what a profile may say, within which bounds, and what holds where it says nothing. The page
 * mdevgpud-types.d(5) states the same for people.
 */

#include <inttypes.h>

#include "config.h"
#include "config-match.h"
#include "config-type.h"

#define PROFILE_VERSION 1U
#define MATCHES_MAX 256U

typedef struct ProfileDraft {
        Profile *profile;
        bool has_match;
} ProfileDraft;

static int read_framebuffer(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t *size = config_field_target(field, target);
        int r;

        r = config_read_size(reader, field, item, target);
        if (r < 0)
                return r;

        if (*size % MIB != 0)
                return config_value_error(reader, field->name, item, "is not a multiple of 1MiB");

        return 0;
}

static int read_mappable(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TypeDraft *draft = target;

        draft->mappable_mark = item->mark;
        return config_read_size(reader, field, item, target);
}

static int read_bar1(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t *size = config_field_target(field, target);
        int r;

        r = config_read_size(reader, field, item, target);
        if (r < 0)
                return r;

        if ((*size & (*size - 1)) != 0)
                return config_value_error(reader, field->name, item,
                                          "is not a power of two, as the size of a PCI region has to be");

        return 0;
}

static int resolution_parse(const char *text, uint32_t *ret_width, uint32_t *ret_height) {
        uint32_t values[2];
        char part[8];

        for (size_t i = 0; i < 2; i++) {
                size_t n = strspn(text, "0123456789");
                uint64_t value;

                if (n >= sizeof(part) || text[n] != (i == 0 ? 'x' : '\0'))
                        return -EINVAL;

                memcpy(part, text, n);
                part[n] = '\0';
                if (config_number_parse(part, &value) < 0 || value < 1 || value > PIXELS_MAX)
                        return -EINVAL;

                values[i] = (uint32_t)value;
                text += n + 1;
        }

        *ret_width = values[0];
        *ret_height = values[1];
        return 0;
}

static int read_resolution(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TypeDraft *draft = target;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        r = resolution_parse(item->text, &draft->spec.max_width, &draft->spec.max_height);
        if (r < 0)
                return config_value_error(reader, field->name, item,
                                          "is not a width and height such as 1920x1080, at most %ux%u", PIXELS_MAX,
                                          PIXELS_MAX);

        return 0;
}

/* NVIDIA's files have it as hexadecimal digits, too. */
static int read_signature(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        if (strlen(item->text) != field->max - 1 || item->text[strspn(item->text, "0123456789abcdefABCDEF")] != '\0')
                return config_error(reader, item->mark, "%s: is not %" PRIu64 " hexadecimal digits", field->name,
                                    field->max - 1);

        memcpy(config_field_target(field, target), item->text, field->max);
        return 0;
}

static const ConfigField displays_fields[] = {
        { "heads", config_read_u32, TYPE_DRAFT(heads), .min = 0, .max = HEADS_MAX },
        { "max", read_resolution },
        { "frame-limit", config_read_u32, TYPE_DRAFT(frame_limit), .min = 1, .max = FRAMES_MAX },
        { "limiter", config_read_flag, TYPE_DRAFT(limiter) },
        {},
};

static const ConfigField nvidia_fields[] = {
        { "license", config_read_text, TYPE_DRAFT(nvidia_license), .max = NVIDIA_LICENSE_SIZE },
        { "signature", read_signature, TYPE_DRAFT(nvidia_signature), .max = NVIDIA_SIGNATURE_TEXT_SIZE },
        { "newer-drivers", config_read_flag, TYPE_DRAFT(nvidia_newer) },
        {},
};

static int read_xe_priority(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TypeDraft *draft = target;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        for (XePriority p = XE_PRIORITY_LOW; p < XE_PRIORITY_MAX; p++)
                if (streq(item->text, xe_priority_to_string(p))) {
                        draft->spec.xe_priority = p;
                        return 0;
                }

        return config_value_error(reader, field->name, item, "is not low, normal or high");
}

/* As wide as the driver's own (kernel 6.19, drivers/gpu/drm/xe: u32). */
static const ConfigField xe_fields[] = {
        { "exec-quantum-ms", config_read_u32, TYPE_DRAFT(xe_quantum_ms), .min = 0, .max = XE_UNSTATED - 1 },
        { "preempt-timeout-us", config_read_u32, TYPE_DRAFT(xe_timeout_us), .min = 0, .max = XE_UNSTATED - 1 },
        { "priority", read_xe_priority },
        {},
};

static const ConfigField type_fields[] = {
        { "id", config_read_type_id, TYPE_DRAFT(id), .min = 1, .max = UINT32_MAX, .required = true },
        { "name", config_read_type_name, TYPE_DRAFT(name), .max = TYPE_NAME_SIZE, .required = true },
        { "class", config_read_text, TYPE_DRAFT(class), .max = TYPE_CLASS_SIZE },
        { "max-instances", config_read_u32, TYPE_DRAFT(max_instances), .min = 1, .max = INSTANCES_MAX,
          .required = true },
        { "framebuffer", read_framebuffer, TYPE_DRAFT(framebuffer), .min = MIB, .max = MEMORY_MAX, .required = true },
        { "reserved", config_read_size, TYPE_DRAFT(reserved), .min = 0, .max = MEMORY_MAX },
        { "mappable-video", read_mappable, TYPE_DRAFT(mappable_video), .min = 0, .max = MEMORY_MAX },
        { "bar1", read_bar1, TYPE_DRAFT(bar1), .min = 4 * KIB, .max = MEMORY_MAX },
        { "ecc", config_read_flag, TYPE_DRAFT(ecc) },
        { "encoder", config_read_percent, TYPE_DRAFT(encoder_percent), .min = 0, .max = 100 },
        /* A device, which is never 0, above a subsystem device. */
        { "vdev-id", config_read_id64, TYPE_DRAFT(vdev_id), .min = 0x10000, .max = UINT32_MAX },
        { "pdev-id", config_read_id64, TYPE_DRAFT(pdev_id), .min = 1, .max = UINT32_MAX },
        { "multi-vgpu", config_read_flag, TYPE_DRAFT(multi_vgpu) },
        { "keep-state", config_read_flag, TYPE_DRAFT(keep_state) },
        { "displays", config_read_mapping, .fields = displays_fields },
        { "nvidia", config_read_mapping, .fields = nvidia_fields },
        { "xe", config_read_mapping, .fields = xe_fields },
        {},
};

static_assert(ELEMENTSOF(type_fields) <= CONFIG_FIELDS_MAX, "type_fields outgrew what is kept of a mapping");

static const TypeSchema type_schema = {
        .fields = type_fields,
        .defaults = {
                /* The others are zero: no, none, or the driver's or the card's own. */
                .class = "Compute",
                .encoder_percent = 100,
                .heads = 1,
                .max_width = 1920,
                .max_height = 1080,
                .frame_limit = 60,
                .limiter = true,
                .xe_quantum_ms = XE_UNSTATED,
                .xe_timeout_us = XE_UNSTATED,
        },
        .id = "id",
        .name = "name",
        .mappable = "mappable-video",
};

static int read_types(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ProfileDraft *draft = target;

        return config_read_types(reader, field, item, &type_schema, draft->profile);
}

static int read_one_match(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, Profile *profile) {
        ProfileMatch *match;
        int r;

        if (profile->n_matches >= MATCHES_MAX) {
                r = config_error(reader, item->mark, "%s: more than %u; the rest of the file has not been looked at",
                                 field->name, MATCHES_MAX);
                return r < 0 ? r : -EBADMSG;
        }

        match = profile_add_match(profile);
        return match ? config_read_match(reader, field->name, item, match) : -ENOMEM;
}

/* One, or a list of which any is enough. */
static int read_match(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ProfileDraft *draft = target;
        ConfigMark begin = item->mark;
        ConfigItem element;
        int r;

        draft->has_match = true;
        if (item->kind != CONFIG_ITEM_LIST)
                return read_one_match(reader, field, item, draft->profile);

        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0)
                        return r;
                if (element.kind == CONFIG_ITEM_END)
                        break;

                r = read_one_match(reader, field, &element, draft->profile);
                if (r < 0)
                        return r;
        }

        return draft->profile->n_matches > 0
                       ? 0
                       : config_error(reader, begin, "%s: is an empty list; leave it out", field->name);
}

static int read_strict(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ProfileDraft *draft = target;

        return config_read_flag(reader, field, item, draft->profile);
}

static int read_pending_apply(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ProfileDraft *draft = target;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        draft->profile->pending_manual = streq(item->text, "manual");
        if (!draft->profile->pending_manual && !streq(item->text, "auto"))
                return config_value_error(reader, field->name, item, "is not auto or manual");
        return 0;
}

static int read_mixed_size(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ProfileDraft *draft = target;
        bool enabled = false;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;
        if (config_flag_parse(item->text, &enabled) < 0)
                return config_value_error(reader, field->name, item,
                                          "is not a boolean (true, yes, on, false, no, off)");

        draft->profile->mixed_size = tristate(enabled);
        return 0;
}

static const ConfigField profile_fields[] = {
        { "version", config_read_version, .max = PROFILE_VERSION, .required = true },
        { "match", read_match },
        { "strict", read_strict, offsetof(Profile, strict) },
        { "pending-apply", read_pending_apply },
        { "mixed-size", read_mixed_size },
        { "types", read_types, .required = true },
        {},
};

static int read_profile(ConfigReader *reader, Profile *profile, bool *ret_empty) {
        ProfileDraft draft = { .profile = profile };
        ConfigItem item;
        int r;

        r = config_reader_next(reader, &item);
        if (r < 0)
                return r;

        *ret_empty = item.kind == CONFIG_ITEM_NONE;
        if (*ret_empty)
                return 0;

        r = config_read_fields(reader, "profile", profile_fields, &item, &draft);
        if (r < 0)
                return r;

        if (!draft.has_match && !profile_add_match(profile))
                return -ENOMEM;
        if (!draft.has_match && config_reader_n_errors(reader) == 0) {
                r = config_warning(reader, item.mark, "profile: without 'match' it applies to every GPU");
                if (r < 0)
                        return r;
        }

        return config_reader_finish(reader);
}

int config_parse_profile(const char *file, const char *text, size_t size, Profile **ret_profile, ConfigReport *report) {
        size_t n_problems = report->n_problems, n_errors = report->n_errors;
        _cleanup_(config_reader_freep) ConfigReader *reader = NULL;
        _cleanup_(profile_freep) Profile *profile = NULL;
        bool empty;
        int r;

        profile = profile_new(file);
        if (!profile)
                return -ENOMEM;

        r = config_reader_new(file, text, size, report, &reader);
        if (r >= 0)
                r = read_profile(reader, profile, &empty);

        config_report_sort(report, n_problems);
        if (r < 0)
                return r;
        if (report->n_errors > n_errors)
                return -EBADMSG;

        *ret_profile = empty ? NULL : TAKE(profile);
        return 0;
}
