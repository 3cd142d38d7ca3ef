/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The schema of types.d: what a profile may say, within which bounds, and what holds where it says nothing. The page
 * mdevgpud-types.d(5) states the same for people.
 */

#include <inttypes.h>

#include "config.h"
#include "config-field.h"
#include "config-match.h"
#include "config-value.h"

#define PROFILE_VERSION 1U

/* No product of instances and sizes overflows 64 bits, so that nobody behind this point has to check: 2^16 instances of
 * framebuffer and what is reserved, 2^46 bytes each. */
#define INSTANCES_MAX 65535U
#define MEMORY_MAX (64 * TIB)

#define PIXELS_MAX 32768U
#define HEADS_MAX 16U
#define FRAMES_MAX 1000U

/* NVIDIA's drivers up to 575 hold 32 bytes with the NUL (observed in NVIDIA's open kernel modules). */
#define OLD_NAME_SIZE 32U

/* What holds where a type says nothing. The other defaults are zero: no, none, or the driver's or the card's own. */
static const TypeSpec type_defaults = {
        .class = "Compute",
        .encoder_percent = 100,
        .heads = 1,
        .max_width = 1920,
        .max_height = 1080,
        .frame_limit = 60,
        .limiter = true,
        .xe_quantum_ms = XE_UNSTATED,
        .xe_timeout_us = XE_UNSTATED,
};

/* What is being read, with the places that checks of more than one value speak of. */
typedef struct TypeDraft {
        TypeSpec spec;
        ConfigMark id_mark;
        ConfigMark name_mark;
        ConfigMark mappable_mark;
} TypeDraft;

typedef struct ProfileDraft {
        Profile *profile;
        bool has_match;
} ProfileDraft;

static int read_type_id(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TypeDraft *draft = target;

        draft->id_mark = item->mark;
        return config_read_u32(reader, field, item, target);
}

static int read_type_name(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TypeDraft *draft = target;
        size_t n;
        int r;

        draft->name_mark = item->mark;
        r = config_read_text(reader, field, item, target);
        if (r < 0)
                return r;

        n = strlen(draft->spec.name);
        if (n < OLD_NAME_SIZE)
                return 0;

        return config_warning(reader, item->mark, "%s: is %zu bytes long; NVIDIA's drivers up to 575 hold only %u",
                              field->name, n, OLD_NAME_SIZE - 1);
}

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

#define SPEC(member) offsetof(TypeDraft, spec.member)

static const ConfigField displays_fields[] = {
        { "heads", config_read_u32, SPEC(heads), .min = 0, .max = HEADS_MAX },
        { "max", read_resolution },
        { "frame-limit", config_read_u32, SPEC(frame_limit), .min = 1, .max = FRAMES_MAX },
        { "limiter", config_read_flag, SPEC(limiter) },
        {},
};

static const ConfigField nvidia_fields[] = {
        { "license", config_read_text, SPEC(nvidia_license), .max = NVIDIA_LICENSE_SIZE },
        { "signature", read_signature, SPEC(nvidia_signature), .max = NVIDIA_SIGNATURE_TEXT_SIZE },
        { "newer-drivers", config_read_flag, SPEC(nvidia_newer) },
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
        { "exec-quantum-ms", config_read_u32, SPEC(xe_quantum_ms), .min = 0, .max = XE_UNSTATED - 1 },
        { "preempt-timeout-us", config_read_u32, SPEC(xe_timeout_us), .min = 0, .max = XE_UNSTATED - 1 },
        { "priority", read_xe_priority },
        {},
};

static const ConfigField type_fields[] = {
        { "id", read_type_id, SPEC(id), .min = 1, .max = UINT32_MAX, .required = true },
        { "name", read_type_name, SPEC(name), .max = TYPE_NAME_SIZE, .required = true },
        { "class", config_read_text, SPEC(class), .max = TYPE_CLASS_SIZE },
        { "max-instances", config_read_u32, SPEC(max_instances), .min = 1, .max = INSTANCES_MAX, .required = true },
        { "framebuffer", read_framebuffer, SPEC(framebuffer), .min = MIB, .max = MEMORY_MAX, .required = true },
        { "reserved", config_read_size, SPEC(reserved), .min = 0, .max = MEMORY_MAX },
        { "mappable-video", read_mappable, SPEC(mappable_video), .min = 0, .max = MEMORY_MAX },
        { "bar1", read_bar1, SPEC(bar1), .min = 4 * KIB, .max = MEMORY_MAX },
        { "ecc", config_read_flag, SPEC(ecc) },
        { "encoder", config_read_percent, SPEC(encoder_percent), .min = 0, .max = 100 },
        /* A device, which is never 0, above a subsystem device. */
        { "vdev-id", config_read_id64, SPEC(vdev_id), .min = 0x10000, .max = UINT32_MAX },
        { "pdev-id", config_read_id64, SPEC(pdev_id), .min = 1, .max = UINT32_MAX },
        { "multi-vgpu", config_read_flag, SPEC(multi_vgpu) },
        { "displays", config_read_mapping, .fields = displays_fields },
        { "nvidia", config_read_mapping, .fields = nvidia_fields },
        { "xe", config_read_mapping, .fields = xe_fields },
        {},
};

static_assert(ELEMENTSOF(type_fields) <= CONFIG_FIELDS_MAX, "type_fields outgrew what is kept of a mapping");

/* A name that two types have is no error, only a nuisance: the interface asks which of them is meant. */
static int check_names(ConfigReader *reader, const Profile *profile, const TypeDraft *draft) {
        if (!draft->spec.name[0])
                return 0;

        for (size_t i = 0; i < profile->n_types; i++)
                if (streq(profile->types[i].name, draft->spec.name))
                        return config_warning(reader, draft->name_mark,
                                              "name: '%s' is already the name of type %" PRIu32 " in line %" PRIu32
                                              "; both will have to be asked for by id",
                                              draft->spec.name, profile->types[i].id, profile->types[i].line);

        return 0;
}

static int check_sizes(ConfigReader *reader, const TypeDraft *draft) {
        if (draft->spec.framebuffer == 0 || draft->spec.mappable_video <= draft->spec.framebuffer)
                return 0;

        return config_error(reader, draft->mappable_mark, "mappable-video: is more than the framebuffer, %s",
                            config_size_format(draft->spec.framebuffer).text);
}

static int report_duplicate(ConfigReader *reader, const Profile *profile, const TypeDraft *draft) {
        for (size_t i = 0; i < profile->n_types; i++)
                if (profile->types[i].id == draft->spec.id)
                        return config_error(reader, draft->id_mark,
                                            "id: %" PRIu32 " is already the id of the type in line %" PRIu32,
                                            draft->spec.id, profile->types[i].line);

        assert(false);
        return -EINVAL;
}

static int read_type(ConfigReader *reader, const ConfigItem *item, Profile *profile) {
        TypeDraft draft = { .spec = type_defaults };
        int r;

        draft.spec.line = item->mark.line;
        r = config_read_fields(reader, "type", type_fields, item, &draft);
        if (r < 0)
                return r;

        r = check_sizes(reader, &draft);
        if (r < 0)
                return r;

        /* Without an id it is an error already, and nothing that others could be compared with. */
        if (draft.spec.id == 0)
                return 0;

        r = check_names(reader, profile, &draft);
        if (r < 0)
                return r;

        r = profile_add_type(profile, &draft.spec);
        if (r == -EEXIST)
                return report_duplicate(reader, profile, &draft);
        if (r == -E2BIG) {
                r = config_error(reader, item->mark, "more than %u types; the rest of the file has not been looked at",
                                 PROFILE_TYPES_MAX);
                return r < 0 ? r : -EBADMSG;
        }

        return r;
}

static int read_types(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ProfileDraft *draft = target;
        ConfigMark begin = item->mark;
        ConfigItem element;
        size_t n = 0;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        for (;; n++) {
                r = config_reader_next(reader, &element);
                if (r < 0)
                        return r;
                if (element.kind == CONFIG_ITEM_END)
                        break;

                r = read_type(reader, &element, draft->profile);
                if (r < 0)
                        return r;
        }

        return n > 0 ? 0 : config_warning(reader, begin, "%s: is empty, this profile offers nothing", field->name);
}

static int read_match(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ProfileDraft *draft = target;

        draft->has_match = true;
        return config_read_match(reader, field->name, item, &draft->profile->match);
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

static const ConfigField profile_fields[] = {
        { "version", config_read_version, .max = PROFILE_VERSION, .required = true },
        { "match", read_match },
        { "strict", read_strict, offsetof(Profile, strict) },
        { "pending-apply", read_pending_apply },
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
