/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The schema of types.d: what a profile may say, within which bounds, and what holds where it says nothing. The page
 * mdevgpud-types.d(5) states the same for people.
 */

#include <inttypes.h>

#include "config.h"
#include "config-field.h"
#include "config-value.h"
#include "util/text.h"

#define PROFILE_VERSION 1U
#define MATCH_LIST_MAX 256U

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
};

/* What is being read, with the places that checks of more than one value speak of. */
typedef struct TypeDraft {
        TypeSpec spec;
        ConfigMark id_mark;
        ConfigMark name_mark;
        ConfigMark mappable_mark;
} TypeDraft;

typedef struct MatchDraft {
        ProfileMatch *match;
        ConfigMark devices_mark;
} MatchDraft;

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

#define SPEC(member) offsetof(TypeDraft, spec.member)

static const ConfigField displays_fields[] = {
        { "heads", config_read_u32, SPEC(heads), .min = 0, .max = HEADS_MAX },
        { "max", read_resolution },
        { "frame-limit", config_read_u32, SPEC(frame_limit), .min = 1, .max = FRAMES_MAX },
        { "limiter", config_read_flag, SPEC(limiter) },
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
                         field->name, MATCH_LIST_MAX);
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

        if (match->n_devices >= MATCH_LIST_MAX)
                return report_too_many(reader, field, item);

        devices = reallocarray(match->devices, match->n_devices + 1, sizeof(uint16_t));
        if (!devices)
                return -ENOMEM;

        match->devices = devices;
        match->devices[match->n_devices++] = (uint16_t)value;
        return 0;
}

/* 10de:145e as lspci prints it, or 0x10de145e as NVIDIA's tables do. */
static int subsystem_parse(const char *text, uint32_t *ret) {
        uint64_t vendor, device;
        const char *end;

        if (config_hex_parse(text, 4, &vendor, &end) < 0 || *end != ':') {
                if (strncmp(text, "0x", 2) != 0 || config_hex_parse(text, 8, &device, &end) < 0 || *end || device == 0)
                        return -EINVAL;

                *ret = (uint32_t)device;
                return 0;
        }

        if (config_hex_parse(end + 1, 4, &device, &end) < 0 || *end)
                return -EINVAL;

        *ret = (uint32_t)(vendor << 16 | device);
        return 0;
}

static int read_one_subsystem(ConfigReader *reader, const ConfigField *field, const ConfigItem *item,
                              ProfileMatch *match) {
        uint32_t *subsystems, value;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        r = subsystem_parse(item->text, &value);
        if (r < 0)
                return config_value_error(reader, field->name, item,
                                          "is not a vendor and device such as 10de:145e or 0x10de145e");

        if (match->n_subsystems >= MATCH_LIST_MAX)
                return report_too_many(reader, field, item);

        subsystems = reallocarray(match->subsystems, match->n_subsystems + 1, sizeof(uint32_t));
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

static int read_match(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ProfileDraft *draft = target;
        MatchDraft match = { .match = &draft->profile->match };
        size_t n_errors = config_reader_n_errors(reader);
        int r;

        draft->has_match = true;
        r = config_read_fields(reader, field->name, match_fields, item, &match);
        if (r < 0)
                return r;

        if (match.match->any_vendor && match.match->n_devices > 0 && config_reader_n_errors(reader) == n_errors)
                return config_error(reader, match.devices_mark,
                                    "device: needs 'vendor' beside it, as each vendor numbers its own");

        return 0;
}

/* Nothing that follows a version that is not known can be judged. */
static int read_version(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t version;
        int r;

        r = config_expect_number(reader, field, item, &version);
        if (r <= 0 || version == PROFILE_VERSION)
                return MIN(r, 0);

        r = config_value_error(reader, field->name, item, "is not known to this mdevgpud, which reads %u",
                               PROFILE_VERSION);
        return r < 0 ? r : -EBADMSG;
}

static int read_strict(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ProfileDraft *draft = target;

        return config_read_flag(reader, field, item, draft->profile);
}

static const ConfigField profile_fields[] = {
        { "version", read_version, .max = UINT64_MAX, .required = true },
        { "match", read_match },
        { "strict", read_strict, offsetof(Profile, strict) },
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

/* By place, as people read; a missing key is found at the end of its mapping and reported at its beginning. */
static void sort_problems(ConfigProblem *problems, size_t n) {
        for (size_t i = 1; i < n; i++) {
                ConfigProblem p = problems[i];
                size_t j = i;

                for (; j > 0; j--) {
                        const ConfigProblem *q = &problems[j - 1];

                        if (q->line < p.line || (q->line == p.line && q->column <= p.column))
                                break;
                        problems[j] = *q;
                }
                problems[j] = p;
        }
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

        if (report->n_problems > n_problems)
                sort_problems(report->problems + n_problems, report->n_problems - n_problems);
        if (r < 0)
                return r;
        if (report->n_errors > n_errors)
                return -EBADMSG;

        *ret_profile = empty ? NULL : TAKE(profile);
        return 0;
}
