/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * NVIDIA's vgpu-device-manager and mig-parted: named configurations of the GPUs of a node. Their formats are those of
 * v0.5.0 and v0.12, as their sources read them.
 */

#include <inttypes.h>
#include <strings.h>

#include "config-field.h"
#include "config-value.h"
#include "import/import.h"

#define DEVICES_MAX 1024U

/* The first version of both, which is all there is. */
static int read_version_1(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        return streq(item->text, "v1") ? 0 : config_value_error(reader, field->name, item, "is not known; v1 is");
}

typedef struct Draft {
        Import *import;
        Topology *topology; /* that is being read */
        TopologyEntry *entry; /* the same */
        bool mig;
} Draft;

static int stop(ConfigReader *reader, ConfigMark mark, const char *what, unsigned max) {
        int r;

        r = config_error(reader, mark, "more than %u %s; the rest of the file has not been looked at", max, what);
        return r < 0 ? r : -EBADMSG;
}

/* 0x<device><vendor>, as NVML has it. */
static int read_one_filter(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, Draft *draft) {
        ProfileMatch *match = &draft->entry->match;
        const char *end = NULL;
        uint64_t value = 0;
        uint16_t *devices;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        if (strncasecmp(item->text, "0x", 2) != 0 || config_hex_parse(item->text, 8, &value, &end) < 0 || *end ||
            value >> 16 == 0 || (value & UINT16_MAX) == 0)
                return config_value_error(reader, field->name, item,
                                          "is not a device and its vendor such as 0x233510DE");
        if (match->n_devices > 0 && match->vendor != (value & UINT16_MAX))
                return config_value_error(reader, field->name, item, "is of another vendor than the one before it");
        if (match->n_devices >= DEVICES_MAX)
                return stop(reader, item->mark, "devices", DEVICES_MAX);

        devices = reallocarray(match->devices, match->n_devices + 1, sizeof(uint16_t));
        if (!devices)
                return -ENOMEM;

        match->devices = devices;
        match->devices[match->n_devices++] = (uint16_t)(value >> 16);
        match->vendor = (uint16_t)(value & UINT16_MAX);
        match->any_vendor = false;
        return 0;
}

typedef int (*ReadElement)(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, Draft *draft);

/* One value, or a list of them. */
static int read_one_or_more(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, ReadElement read,
                            Draft *draft) {
        ConfigItem element;
        int r;

        if (item->kind != CONFIG_ITEM_LIST)
                return read(reader, field, item, draft);

        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                r = read(reader, field, &element, draft);
                if (r < 0)
                        return r;
        }
}

static int read_device_filter(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        return read_one_or_more(reader, field, item, read_one_filter, target);
}

/* What they number is the order in which a library found the GPUs, which no file can know. */
static int read_one_index(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, Draft *draft) {
        uint64_t value;
        int r;

        if (item->kind == CONFIG_ITEM_SCALAR && streq(item->text, "all"))
                return 0;
        r = config_expect_number(reader, field, item, &value);
        if (r <= 0)
                return r;

        return config_warning(reader, item->mark,
                              "%s: GPU %" PRIu64 " is the driver's own number for it; the topology is for all that "
                              "match, until 'address' says which one is meant",
                              field->name, value);
}

static int read_devices(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        return read_one_or_more(reader, field, item, read_one_index, target);
}

static int add_vgpu(ConfigReader *reader, const ConfigItem *key, const char *type, uint64_t count, Draft *draft) {
        TopologyVGpu vgpu = { .count = (uint32_t)count, .per_gpu = true, .line = key->mark.line };
        int r;

        if (strlen(type) >= sizeof(vgpu.type))
                return config_error(reader, key->mark, "'%s' is too long for a type's name", config_quote(type).text);

        strcpy(vgpu.type, type);
        r = topology_entry_add_vgpu(draft->entry, &vgpu);
        return r == -E2BIG ? stop(reader, key->mark, "vGPUs", TOPOLOGY_VGPUS_MAX) : r;
}

/* A mapping of names to counts. */
static int read_counts(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        Draft *draft = target;
        ConfigItem key, value;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_MAPPING);
        if (r <= 0)
                return r;

        for (;;) {
                _cleanup_(freep) char *name = NULL;
                uint64_t count = 0;

                r = config_reader_next(reader, &key);
                if (r < 0 || key.kind == CONFIG_ITEM_END)
                        return r;
                r = config_expect(reader, field->name, &key, CONFIG_ITEM_SCALAR);
                if (r < 0)
                        return r;
                if (r > 0 && !(name = strdup(key.text)))
                        return -ENOMEM;

                r = config_reader_next(reader, &value);
                if (r >= 0)
                        r = config_expect_number(reader, field, &value, &count);
                if (r < 0)
                        return r;
                if (r == 0 || !name)
                        continue;

                if (draft->mig)
                        r = config_warning(reader, key.mark,
                                           "%s: '%s' is a GPU instance, which mdevgpud does not make; let mig-parted "
                                           "or nvidia-smi make %" PRIu64 ", and a topology the vGPUs upon them",
                                           field->name, config_quote(name).text, count);
                else
                        r = add_vgpu(reader, &key, name, count, draft);
                if (r < 0)
                        return r;
        }
}

static int skip_flag(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        bool flag;

        return config_read_flag(reader, &(ConfigField){ .name = field->name }, item, &flag);
}

static const ConfigField vgpu_entry_fields[] = {
        { "device-filter", read_device_filter },
        { "devices", read_devices, .max = UINT32_MAX, .required = true },
        { "vgpu-devices", read_counts, .min = 1, .max = TOPOLOGY_VGPUS_MAX, .required = true },
        {},
};

static const ConfigField mig_entry_fields[] = {
        { "device-filter", read_device_filter },
        { "devices", read_devices, .max = UINT32_MAX, .required = true },
        { "mig-enabled", skip_flag, .required = true },
        { "mig-devices", read_counts, .min = 1, .max = UINT16_MAX, .required = true },
        {},
};

static int read_entries(ConfigReader *reader, const ConfigItem *item, Draft *draft) {
        ConfigItem element;
        int r;

        r = config_expect(reader, draft->topology->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                if (draft->topology->n_entries >= TOPOLOGY_ENTRIES_MAX)
                        return stop(reader, element.mark, "entries", TOPOLOGY_ENTRIES_MAX);
                draft->entry = topology_add_entry(draft->topology);
                if (!draft->entry)
                        return -ENOMEM;
                /* All that these tools know of. */
                draft->entry->match.any_vendor = false;
                draft->entry->match.vendor = 0x10de;

                r = config_read_fields(reader, "entry", draft->mig ? mig_entry_fields : vgpu_entry_fields, &element,
                                       draft);
                if (r < 0)
                        return r;
        }
}

static bool is_wanted(const Import *import, const char *name) {
        for (size_t i = 0; i < import->n_names; i++)
                if (streq(import->names[i], name))
                        return true;

        return import->n_names == 0;
}

static int read_config(ConfigReader *reader, const ConfigItem *key, Draft *draft) {
        _cleanup_(topology_freep) Topology *topology = NULL;
        bool fits = key->kind == CONFIG_ITEM_SCALAR && key->text[0] && strlen(key->text) < TOPOLOGY_NAME_SIZE;
        ConfigItem value;
        int r;

        topology = topology_new(fits ? key->text : "?", draft->import->file);
        if (!topology)
                return -ENOMEM;

        if (!fits)
                r = config_error(reader, key->mark, "a configuration's name is one word of at most %u bytes",
                                 TOPOLOGY_NAME_SIZE - 1);
        else
                r = topology_set_find(draft->import->topologies, topology->name)
                            ? config_error(reader, key->mark, "configuration '%s' is given already", topology->name)
                            : 0;
        if (r >= 0)
                r = config_reader_next(reader, &value);
        if (r < 0)
                return r;

        if (!is_wanted(draft->import, topology->name))
                return config_reader_skip(reader, &value);

        draft->topology = topology;
        r = read_entries(reader, &value, draft);
        if (r < 0 || draft->mig)
                return r;

        r = topology_set_add(draft->import->topologies, topology);
        if (r == -E2BIG)
                return stop(reader, key->mark, "configurations", TOPOLOGIES_MAX);
        if (r >= 0)
                topology = NULL;
        return r;
}

static int read_configs(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ConfigItem key;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_MAPPING);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &key);
                if (r < 0 || key.kind == CONFIG_ITEM_END)
                        return r;

                r = read_config(reader, &key, target);
                if (r < 0)
                        return r;
        }
}

static const ConfigField vgpu_fields[] = {
        { "version", read_version_1, .required = true },
        { "vgpu-configs", read_configs, .required = true },
        {},
};

static const ConfigField mig_fields[] = {
        { "version", read_version_1, .required = true },
        { "mig-configs", read_configs, .required = true },
        {},
};

static int import_yaml(Import *import, bool mig) {
        size_t n_problems = import->report->n_problems, n_errors = import->report->n_errors;
        _cleanup_(config_reader_freep) ConfigReader *reader = NULL;
        Draft draft = { .import = import, .mig = mig };
        ConfigItem item;
        int r;

        r = config_reader_new(import->file, import->text, import->size, import->report, &reader);
        if (r >= 0)
                r = config_reader_next(reader, &item);
        if (r >= 0 && item.kind != CONFIG_ITEM_NONE) {
                r = config_read_fields(reader, "file", mig ? mig_fields : vgpu_fields, &item, &draft);
                if (r >= 0)
                        r = config_reader_finish(reader);
        }

        config_report_sort(import->report, n_problems);
        if (r < 0)
                return r;
        return import->report->n_errors > n_errors ? -EBADMSG : 0;
}

int import_vgpu_device_manager(Import *import) {
        return import_yaml(import, /* mig= */ false);
}

int import_mig_parted(Import *import) {
        return import_yaml(import, /* mig= */ true);
}

/* The daemon reads it as it stands; here it is printed. */
int import_mdev_gpu(Import *import) {
        return config_parse_mdev_gpu(import->file, import->text, import->size, import->profiles, import->report);
}
