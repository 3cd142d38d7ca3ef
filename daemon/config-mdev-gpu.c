/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The schema of Mdev-GPU's file, as a dialect: what people wrote for mdev-cli means the same here. Its keys and defaults
 * are those of its documentation and its source (the commit of 2022-08-25, its last), read and not copied.
 *
 * Where it differs on purpose: a filter is compared with what the card really is. Mdev-GPU took every card's function
 * for 0 and its subsystem's vendor for NVIDIA, so that no filter ever met a board partner's card.
 */

#include <inttypes.h>

#include "config.h"
#include "config-type.h"

/* Entries and filters that are compared with each other; nobody has as many GPUs in a host. */
#define ENTRIES_MAX 64U
#define FILTERS_MAX 256U

#define VENDOR_NVIDIA 0x10deU

/* What a filter may ask for. */
typedef enum FilterKey {
        FILTER_DOMAIN,
        FILTER_BUS,
        FILTER_SLOT,
        FILTER_FUNCTION,
        FILTER_VENDOR,
        FILTER_DEVICE,
        FILTER_SUBVENDOR,
        FILTER_SUBDEVICE,
        FILTER_IDENTIFIER,
        FILTER_KEY_MAX,
} FilterKey;

typedef struct FilterValue {
        bool given;
        uint32_t value;
} FilterValue;

typedef struct Filter {
        FilterValue values[FILTER_KEY_MAX];
        size_t entry; /* whose it is */
} Filter;

typedef struct Entry {
        ConfigMark mark;
        Profile *profile; /* borrowed from the set, once it is there */
} Entry;

typedef struct Draft {
        ProfileSet *set;
        const char *file;
        Profile *profile; /* of the entry that is being read */
        Entry entries[ENTRIES_MAX];
        size_t n_entries;
        Filter filters[FILTERS_MAX];
        size_t n_filters;
} Draft;

static int read_filter_value(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        FilterValue *value = config_field_target(field, target);
        uint64_t number = 0;
        int r;

        r = config_expect_number(reader, field, item, &number);
        if (r <= 0)
                return r;

        *value = (FilterValue){ .given = true, .value = (uint32_t)number };
        return 0;
}

#define FILTER(key) offsetof(Filter, values[key])

static const ConfigField filter_fields[] = {
        { "domain", read_filter_value, FILTER(FILTER_DOMAIN), .max = UINT32_MAX },
        { "bus", read_filter_value, FILTER(FILTER_BUS), .max = 0xff },
        { "slot", read_filter_value, FILTER(FILTER_SLOT), .max = 0x1f },
        { "function", read_filter_value, FILTER(FILTER_FUNCTION), .max = 7 },
        { "vendorId", read_filter_value, FILTER(FILTER_VENDOR), .max = UINT16_MAX },
        { "deviceId", read_filter_value, FILTER(FILTER_DEVICE), .max = UINT16_MAX },
        { "subvendorId", read_filter_value, FILTER(FILTER_SUBVENDOR), .max = UINT16_MAX },
        { "subdeviceId", read_filter_value, FILTER(FILTER_SUBDEVICE), .max = UINT16_MAX },
        { "identifier", read_filter_value, FILTER(FILTER_IDENTIFIER), .max = UINT32_MAX },
        {},
};

/* false if it is set to another value already. */
static bool filter_set(Filter *filter, FilterKey key, uint32_t value) {
        FilterValue *v = &filter->values[key];

        if (v->given)
                return v->value == value;

        *v = (FilterValue){ .given = true, .value = value };
        return true;
}

/*
 * The resource manager's id of a GPU is its place: domain, bus and slot, 16, 8 and 8 bits (observed in NVIDIA's open
 * kernel modules, 515 to 595). Whoever names a device or a subsystem without its vendor means NVIDIA's, as Mdev-GPU saw
 * no others.
 */
static bool filter_resolve(Filter *filter) {
        const FilterValue *v = filter->values;

        if (v[FILTER_IDENTIFIER].given) {
                uint32_t id = v[FILTER_IDENTIFIER].value;

                if (!filter_set(filter, FILTER_DOMAIN, id >> 16) || !filter_set(filter, FILTER_BUS, id >> 8 & 0xff) ||
                    !filter_set(filter, FILTER_SLOT, id & 0xff))
                        return false;
        }
        if ((v[FILTER_DEVICE].given || v[FILTER_SUBVENDOR].given || v[FILTER_SUBDEVICE].given) &&
            !v[FILTER_VENDOR].given)
                (void)filter_set(filter, FILTER_VENDOR, VENDOR_NVIDIA);

        return true;
}

/* Whether there could be a GPU that meets both. */
static bool filters_meet(const Filter *a, const Filter *b) {
        for (size_t i = 0; i < FILTER_KEY_MAX; i++)
                if (a->values[i].given && b->values[i].given && a->values[i].value != b->values[i].value)
                        return false;

        return true;
}

/* The place as a pattern for the name in sysfs, which for a PCI function says all four in hexadecimal digits. */
static int filter_to_address(const Filter *filter, char **ret) {
        const FilterValue *v = filter->values;
        char domain[9] = "*", bus[3] = "??", slot[3] = "??", function[2] = "?";

        if (!v[FILTER_DOMAIN].given && !v[FILTER_BUS].given && !v[FILTER_SLOT].given && !v[FILTER_FUNCTION].given)
                return (*ret = strdup("*")) ? 0 : -ENOMEM;

        if (v[FILTER_DOMAIN].given)
                (void)snprintf(domain, sizeof(domain), "%04" PRIx32, v[FILTER_DOMAIN].value);
        if (v[FILTER_BUS].given)
                (void)snprintf(bus, sizeof(bus), "%02x", v[FILTER_BUS].value & 0xffU);
        if (v[FILTER_SLOT].given)
                (void)snprintf(slot, sizeof(slot), "%02x", v[FILTER_SLOT].value & 0xffU);
        if (v[FILTER_FUNCTION].given)
                (void)snprintf(function, sizeof(function), "%x", v[FILTER_FUNCTION].value & 7U);

        if (asprintf(ret, "%s:%s:%s.%s", domain, bus, slot, function) >= 0)
                return 0;

        *ret = NULL;
        return -ENOMEM;
}

static int filter_to_match(const Filter *filter, ProfileMatch *match) {
        const FilterValue *v = filter->values;

        free(match->address);
        if (filter_to_address(filter, &match->address) < 0)
                return -ENOMEM;

        if (v[FILTER_VENDOR].given) {
                match->any_vendor = false;
                match->vendor = (uint16_t)v[FILTER_VENDOR].value;
        }
        if (v[FILTER_DEVICE].given) {
                match->devices = malloc(sizeof(uint16_t));
                if (!match->devices)
                        return -ENOMEM;
                match->devices[match->n_devices++] = (uint16_t)v[FILTER_DEVICE].value;
        }
        if (v[FILTER_SUBVENDOR].given || v[FILTER_SUBDEVICE].given) {
                match->subsystems = malloc(sizeof(SubsystemMatch));
                if (!match->subsystems)
                        return -ENOMEM;
                match->subsystems[match->n_subsystems++] = (SubsystemMatch){
                        .value = v[FILTER_SUBVENDOR].value << 16 | v[FILTER_SUBDEVICE].value,
                        .mask = (v[FILTER_SUBVENDOR].given ? 0xffff0000U : 0U) |
                                (v[FILTER_SUBDEVICE].given ? 0x0000ffffU : 0U),
                };
        }

        return 0;
}

static int read_filter(ConfigReader *reader, const ConfigItem *item, Draft *draft) {
        Filter filter = { .entry = draft->n_entries - 1 };
        size_t n_errors = config_reader_n_errors(reader);
        ProfileMatch *match;
        int r;

        r = config_read_fields(reader, "filter", filter_fields, item, &filter);
        if (r < 0)
                return r;

        if (draft->n_filters >= FILTERS_MAX) {
                r = config_error(reader, item->mark,
                                 "more than %u filters; the rest of the file has not been looked at", FILTERS_MAX);
                return r < 0 ? r : -EBADMSG;
        }
        if (config_reader_n_errors(reader) == n_errors && !filter_resolve(&filter))
                return config_error(reader, item->mark,
                                    "filter: its identifier is of another place than its domain, bus and slot say");

        draft->filters[draft->n_filters++] = filter;
        match = profile_add_match(draft->profile);
        return match ? filter_to_match(&filter, match) : -ENOMEM;
}

static int read_filters(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ConfigItem element;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                r = read_filter(reader, &element, target);
                if (r < 0)
                        return r;
        }
}

/* A number of MiB, as the documentation says of lengths and the source does of BAR1. */
static int read_mebibytes(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t number = 0;
        int r;

        r = config_expect_number(reader, field, item, &number);
        if (r <= 0)
                return r;

        *(uint64_t *)config_field_target(field, target) = number * MIB;
        return 0;
}

static int read_map_video_size(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TypeDraft *draft = target;

        draft->mappable_mark = item->mark;
        return read_mebibytes(reader, field, item, target);
}

static int read_bar1_length(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t *size = config_field_target(field, target);
        int r;

        r = read_mebibytes(reader, field, item, target);
        if (r < 0)
                return r;

        if ((*size & (*size - 1)) != 0)
                return config_value_error(reader, field->name, item,
                                          "is not a power of two, as the size of a PCI region has to be");

        return 0;
}

static int read_device_ids(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t number = 0;
        int r;

        r = config_expect_number(reader, field, item, &number);
        if (r <= 0)
                return r;

        *(uint64_t *)config_field_target(field, target) = number;
        return 0;
}

/* A number, of which all but 0 mean yes. */
static int read_limiter(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        uint64_t number = 0;
        int r;

        r = config_expect_number(reader, field, item, &number);
        if (r <= 0)
                return r;

        *(bool *)config_field_target(field, target) = number != 0;
        return 0;
}

static const ConfigField display_fields[] = {
        { "numHeads", config_read_u32, TYPE_DRAFT(heads), .min = 0, .max = HEADS_MAX },
        { "maxResX", config_read_u32, TYPE_DRAFT(max_width), .min = 1, .max = PIXELS_MAX },
        { "maxResY", config_read_u32, TYPE_DRAFT(max_height), .min = 1, .max = PIXELS_MAX },
        { "frlConfig", config_read_u32, TYPE_DRAFT(frame_limit), .min = 1, .max = FRAMES_MAX },
        { "frlEnable", read_limiter, TYPE_DRAFT(limiter), .max = UINT32_MAX },
        {},
};

static const ConfigField mdev_fields[] = {
        { "num", config_read_type_id, TYPE_DRAFT(id), .min = 1, .max = UINT32_MAX, .required = true },
        { "name", config_read_type_name, TYPE_DRAFT(name), .max = TYPE_NAME_SIZE },
        { "gpuClass", config_read_text, TYPE_DRAFT(class), .max = TYPE_CLASS_SIZE },
        { "maxInstances", config_read_u32, TYPE_DRAFT(max_instances), .min = 1, .max = INSTANCES_MAX,
          .required = true },
        { "vDevId", read_device_ids, TYPE_DRAFT(vdev_id), .min = 0x10000, .max = UINT32_MAX },
        { "pDevId", read_device_ids, TYPE_DRAFT(pdev_id), .min = 1, .max = UINT32_MAX },
        { "fbLen", read_mebibytes, TYPE_DRAFT(framebuffer), .min = 1, .max = MEMORY_MAX / MIB, .required = true },
        { "fbRes", read_mebibytes, TYPE_DRAFT(reserved), .min = 0, .max = MEMORY_MAX / MIB, .required = true },
        { "mapVideoSize", read_map_video_size, TYPE_DRAFT(mappable_video), .min = 0, .max = MEMORY_MAX / MIB },
        { "bar1Len", read_bar1_length, TYPE_DRAFT(bar1), .min = 1, .max = MEMORY_MAX / MIB },
        { "encCap", config_read_u32, TYPE_DRAFT(encoder_percent), .min = 0, .max = 100 },
        { "ecc", config_read_flag, TYPE_DRAFT(ecc) },
        { "multiMdev", config_read_flag, TYPE_DRAFT(multi_vgpu) },
        { "virtDisplay", config_read_mapping, .fields = display_fields },
        {},
};

static_assert(ELEMENTSOF(mdev_fields) <= CONFIG_FIELDS_MAX, "mdev_fields outgrew what is kept of a mapping");

static const TypeSchema mdev_schema = {
        .fields = mdev_fields,
        .defaults = {
                .name = "Arc GPU",
                .class = "Compute",
                .mappable_video = 24 * MIB,
                .bar1 = 0x100 * MIB,
                .encoder_percent = 100,
                .heads = 1,
                .max_width = 1024,
                .max_height = 1024,
                .frame_limit = 120,
        },
        .id = "num",
        .name = "name",
        .mappable = "mapVideoSize",
};

static int read_mdev_configs(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        Draft *draft = target;

        return config_read_types(reader, field, item, &mdev_schema, draft->profile);
}

static const ConfigField entry_fields[] = {
        { "filteredGpus", read_filters },
        { "mdevConfigs", read_mdev_configs, .required = true },
        {},
};

/* An entry without filters is for every GPU; for these comparisons it has one that asks for nothing. */
static int entry_finish(Draft *draft) {
        size_t entry = draft->n_entries - 1;
        int r;

        if (draft->profile->n_matches == 0) {
                if (!profile_add_match(draft->profile))
                        return -ENOMEM;
                if (draft->n_filters < FILTERS_MAX)
                        draft->filters[draft->n_filters++] = (Filter){ .entry = entry };
        }

        r = profile_set_add(draft->set, draft->profile);
        if (r < 0)
                return r;

        draft->entries[entry].profile = TAKE(draft->profile);
        return 0;
}

static int read_entry(ConfigReader *reader, const ConfigItem *item, Draft *draft) {
        int r;

        if (draft->n_entries >= ENTRIES_MAX) {
                r = config_error(reader, item->mark,
                                 "more than %u entries; the rest of the file has not been looked at", ENTRIES_MAX);
                return r < 0 ? r : -EBADMSG;
        }

        draft->profile = profile_new(draft->file);
        if (!draft->profile)
                return -ENOMEM;

        draft->profile->fallback = true;
        draft->entries[draft->n_entries++].mark = item->mark;
        r = config_read_fields(reader, "entry", entry_fields, item, draft);
        return r < 0 ? r : entry_finish(draft);
}

static int read_entries(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ConfigItem element;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                r = read_entry(reader, &element, target);
                if (r < 0)
                        return r;
        }
}

static const ConfigField file_fields[] = {
        { "gpus", read_entries, .required = true },
        {},
};

/* The first earlier entry that may be about a GPU of this one; -1 if there is none. */
static ssize_t find_rival(const Draft *draft, size_t entry) {
        for (size_t i = 0; i < draft->n_filters; i++)
                for (size_t j = 0; j < i && draft->filters[i].entry == entry; j++)
                        if (draft->filters[j].entry != entry && filters_meet(&draft->filters[i], &draft->filters[j]))
                                return (ssize_t)draft->filters[j].entry;

        return -1;
}

/* With Mdev-GPU the later entry discarded the types of the earlier one, and nobody was told. */
static int check_rivals(ConfigReader *reader, const Draft *draft) {
        for (size_t i = 1; i < draft->n_entries; i++) {
                ssize_t rival = find_rival(draft, i);
                int r;

                if (rival < 0)
                        continue;

                r = config_warning(reader, draft->entries[i].mark,
                                   "this entry may be about a GPU of the entry in line %" PRIu32
                                   " too; Mdev-GPU discarded the types of that one by then, here the GPU gets those "
                                   "of both, and this one's where the numbers are the same",
                                   draft->entries[rival].mark.line);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int read_file(ConfigReader *reader, Draft *draft) {
        ConfigItem item;
        int r;

        r = config_reader_next(reader, &item);
        if (r < 0 || item.kind == CONFIG_ITEM_NONE)
                return r;

        config_reader_set_lenient(reader);
        r = config_read_fields(reader, "file", file_fields, &item, draft);
        if (r < 0)
                return r;

        r = check_rivals(reader, draft);
        return r < 0 ? r : config_reader_finish(reader);
}

static Draft *draft_free(Draft *draft) {
        if (!draft)
                return NULL;

        profile_free(draft->profile);
        free(draft);
        return NULL;
}
DEFINE_CLEANUP(Draft *, draft_free)

int config_parse_mdev_gpu(const char *file, const char *text, size_t size, ProfileSet *set, ConfigReport *report) {
        size_t n_problems = report->n_problems, n_errors = report->n_errors;
        _cleanup_(config_reader_freep) ConfigReader *reader = NULL;
        _cleanup_(draft_freep) Draft *draft = NULL;
        int r;

        draft = calloc(1, sizeof(Draft));
        if (!draft)
                return -ENOMEM;

        draft->set = set;
        draft->file = file;
        r = config_reader_new(file, text, size, report, &reader);
        if (r >= 0)
                r = read_file(reader, draft);

        config_report_sort(report, n_problems);
        if (r < 0)
                return r;

        return report->n_errors > n_errors ? -EBADMSG : 0;
}
