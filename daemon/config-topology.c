/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The schema of topologies.d: what a file there may say, within which bounds, and what holds where it says nothing. The
 * page mdevgpud-topologies.d(5) states the same for people.
 */

#include <inttypes.h>
#include <limits.h>

#include "config.h"
#include "config-field.h"
#include "config-match.h"
#include "config-value.h"
#include "util/text.h"

#define TOPOLOGY_VERSION 1U
#define EXCLUDED_MAX 256U

/* What is being read, with the places that checks of more than one value speak of. */
typedef struct VGpuDraft {
        TopologyVGpu vgpu;
        ConfigMark count_mark;
        ConfigMark uuid_mark;
} VGpuDraft;

typedef struct EntryDraft {
        TopologyEntry *entry;
        const Topology *topology;
        bool mixed_size;
        ConfigMark mixed_mark; /* of its value; no line: not given */
} EntryDraft;

static int stop(ConfigReader *reader, ConfigMark mark, const char *what, unsigned max) {
        int r;

        r = config_error(reader, mark, "more than %u %s; the rest of the file has not been looked at", max, what);
        return r < 0 ? r : -EBADMSG;
}

static int read_count(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        VGpuDraft *draft = target;

        draft->count_mark = item->mark;
        return config_read_u32(reader, field, item, target);
}

static int read_uuid(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        VGpuDraft *draft = target;
        int r;

        draft->uuid_mark = item->mark;
        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        if (text_parse_uuid(item->text, draft->vgpu.uuid) < 0)
                return config_value_error(reader, field->name, item,
                                          "is not a UUID such as 00000000-0000-0000-0000-000000000000");

        return 0;
}

/* A person's own word may be in any script. */
static int read_label(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        VGpuDraft *draft = target;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        if (!text_is_printable(item->text) || strlen(item->text) >= sizeof(draft->vgpu.label))
                return config_value_error(reader, field->name, item, "is not one line of text of at most %zu bytes",
                                          sizeof(draft->vgpu.label) - 1);

        (void)text_copy(draft->vgpu.label, sizeof(draft->vgpu.label), item->text);
        return 0;
}

#define VGPU(member) offsetof(VGpuDraft, vgpu.member)

static const ConfigField vgpu_fields[] = {
        { "type", config_read_text, VGPU(type), .max = TYPE_ID_SIZE, .required = true },
        { "count", read_count, VGPU(count), .min = 1, .max = TOPOLOGY_VGPUS_MAX },
        { "per-gpu", config_read_flag, VGPU(per_gpu) },
        { "uuid", read_uuid },
        { "label", read_label },
        { "autostart", config_read_flag, VGPU(autostart) },
        {},
};

/* Where a UUID stands already in the topology that is being read; 0: nowhere. */
static uint32_t find_uuid(const EntryDraft *draft, const char *uuid) {
        for (size_t i = 0; i < draft->topology->n_entries; i++)
                for (size_t j = 0; j < draft->topology->entries[i].n_vgpus; j++)
                        if (streq(draft->topology->entries[i].vgpus[j].uuid, uuid))
                                return draft->topology->entries[i].vgpus[j].line;

        return 0;
}

static int read_vgpu(ConfigReader *reader, const ConfigItem *item, EntryDraft *entry) {
        VGpuDraft draft = { .vgpu = { .count = 1, .line = item->mark.line } };
        uint32_t line = 0;
        int r;

        r = config_read_fields(reader, "vgpu", vgpu_fields, item, &draft);
        if (r < 0)
                return r;

        if (draft.vgpu.uuid[0] != '\0') {
                line = find_uuid(entry, draft.vgpu.uuid);
                if (draft.vgpu.per_gpu)
                        r = config_error(reader, draft.uuid_mark, "uuid: cannot be that of one vGPU on each GPU");
                else if (draft.vgpu.count > 1)
                        r = config_error(reader, draft.count_mark, "count: %" PRIu32 " vGPUs cannot have one UUID",
                                         draft.vgpu.count);
        }
        if (r >= 0 && line > 0)
                r = config_error(reader, draft.uuid_mark, "uuid: is that of the vGPU in line %" PRIu32 " already",
                                 line);
        if (r < 0)
                return r;

        if (topology_count_vgpus(entry->topology) + draft.vgpu.count > TOPOLOGY_VGPUS_MAX)
                return stop(reader, item->mark, "vGPUs", TOPOLOGY_VGPUS_MAX);
        return topology_entry_add_vgpu(entry->entry, &draft.vgpu);
}

static int read_vgpus(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ConfigItem element;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                r = read_vgpu(reader, &element, target);
                if (r < 0)
                        return r;
        }
}

static int read_match(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        EntryDraft *draft = target;

        return config_read_match(reader, field->name, item, &draft->entry->match);
}

static int read_vfs(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        EntryDraft *draft = target;
        uint64_t n = SETTINGS_ALL_VFS;
        int r = 1;

        if (item->kind != CONFIG_ITEM_SCALAR || !streq(item->text, "all"))
                r = config_expect_number(reader, field, item, &n);
        if (r <= 0)
                return r;

        draft->entry->has_vfs = true;
        draft->entry->n_vfs = (uint32_t)n;
        draft->entry->vfs_line = item->mark.line;
        return 0;
}

static int read_mixed(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        EntryDraft *draft = target;

        draft->mixed_mark = item->mark;
        return config_read_flag(reader, field, item, target);
}

static const ConfigField entry_fields[] = {
        { "match", read_match, .required = true },
        { "mixed-size", read_mixed, offsetof(EntryDraft, mixed_size) },
        { "virtual-functions", read_vfs, .max = UINT16_MAX },
        { "vgpus", read_vgpus, .required = true },
        {},
};

static int read_entry(ConfigReader *reader, const ConfigItem *item, Topology *topology) {
        EntryDraft draft = { .topology = topology, .mixed_size = true };
        int r;

        if (topology->n_entries >= TOPOLOGY_ENTRIES_MAX)
                return stop(reader, item->mark, "entries", TOPOLOGY_ENTRIES_MAX);
        draft.entry = topology_add_entry(topology);
        if (!draft.entry)
                return -ENOMEM;

        r = config_read_fields(reader, "entry", entry_fields, item, &draft);
        draft.entry->one_size = !draft.mixed_size;
        if (draft.mixed_mark.line > 0)
                draft.entry->mixed_size = draft.mixed_size ? TRISTATE_YES : TRISTATE_NO;
        return r;
}

static int read_entries(ConfigReader *reader, const ConfigItem *item, Topology *topology) {
        ConfigItem element;
        int r;

        r = config_expect(reader, topology->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                r = read_entry(reader, &element, topology);
                if (r < 0)
                        return r;
        }
}

/* 1: it will do as a topology's name. */
static int check_name(ConfigReader *reader, const TopologyDraft *draft, const ConfigItem *key) {
        const Topology *known;
        int r;

        if (key->kind == CONFIG_ITEM_REFUSED)
                return 0;
        if (key->kind != CONFIG_ITEM_SCALAR) {
                r = config_error(reader, key->mark, "the name of a topology must be a single word");
                return r < 0 ? r : config_reader_skip(reader, key);
        }
        if (key->text[0] == '\0' || strlen(key->text) >= TOPOLOGY_NAME_SIZE || !text_is_printable(key->text))
                return config_error(reader, key->mark,
                                    "'%s' is not the name of a topology: one line of at most %u bytes",
                                    config_quote(key->text).text, TOPOLOGY_NAME_SIZE - 1);

        known = topology_set_find(draft->set, key->text);
        if (known && streq(known->file, draft->file))
                return config_error(reader, key->mark, "topology '%s' is given in line %" PRIu32 " already",
                                    known->name, known->line);
        return 1;
}

static int read_topology(ConfigReader *reader, TopologyDraft *draft, const ConfigItem *key) {
        _cleanup_(topology_freep) Topology *topology = NULL;
        ConfigItem value;
        int r, named;

        named = check_name(reader, draft, key);
        if (named < 0)
                return named;
        if (named > 0) {
                topology = topology_new(key->text, draft->file);
                if (!topology)
                        return -ENOMEM;
                topology->line = key->mark.line;
        }

        r = config_reader_next(reader, &value);
        if (r < 0)
                return r;
        if (!topology)
                return config_reader_skip(reader, &value);

        r = read_entries(reader, &value, topology);
        if (r < 0)
                return r;
        r = topology_set_add(draft->set, topology);
        if (r == -E2BIG)
                return stop(reader, value.mark, "topologies", TOPOLOGIES_MAX);
        if (r >= 0)
                topology = NULL;
        return r;
}

static int read_topologies(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        ConfigItem key;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_MAPPING);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &key);
                if (r < 0 || key.kind == CONFIG_ITEM_END)
                        return r;

                r = read_topology(reader, target, &key);
                if (r < 0)
                        return r;
        }
}

/* A file of a later name has the last word; whether there is such a topology is known when all have been read. */
static int read_default(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TopologyDraft *draft = target;
        int r;

        r = config_read_text(reader, field, item, draft->set);
        if (r >= 0) {
                draft->default_mark = item->mark;
                draft->default_file = draft->file;
        }
        return r;
}

/* One word of a few; `words` are its values, from 0. */
static int read_word(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, const char *(*word)(int),
                     int *ret) {
        char list[128] = "";
        const char *nearest = NULL;
        size_t n = 0;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;

        for (int i = 0; word(i); i++) {
                if (streq(item->text, word(i))) {
                        *ret = i;
                        return 0;
                }
                if (config_word_distance(item->text, word(i)) >= 0)
                        nearest = word(i);
                n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i > 0 ? ", " : "", word(i));
        }

        if (nearest)
                return config_value_error(reader, field->name, item, "is not known; did you mean '%s'?", nearest);
        return config_value_error(reader, field->name, item, "is not known; known are %s", list);
}

#define DEFINE_WORD_READER(name, type, member)                                                                         \
        static const char *name##_word(int i) {                                                                        \
                return name##_to_string((type)i);                                                                      \
        }                                                                                                              \
        static int read_##name(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) { \
                TopologyDraft *draft = target;                                                                         \
                int value = (int)draft->set->policy.member, r;                                                         \
                r = read_word(reader, field, item, name##_word, &value);                                               \
                draft->set->policy.member = (type)value;                                                               \
                return r;                                                                                              \
        }

DEFINE_WORD_READER(topology_prune, TopologyPrune, prune)
DEFINE_WORD_READER(topology_unmanaged, TopologyUnmanaged, unmanaged)
DEFINE_WORD_READER(topology_interrupted, TopologyInterrupted, interrupted)
DEFINE_WORD_READER(placement_order, PlacementOrder, placement.order)

/* There is but one answer; who wants another shall be told, and not be left in the belief that he has it. */
static const char *in_use_word(int i) {
        return i == 0 ? "refuse" : NULL;
}

static int read_in_use(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        int value;

        return read_word(reader, field, item, in_use_word, &value);
}

static int add_excluded(PlacementRules *rules, const char *pattern) {
        char **excluded;

        excluded = reallocarray(rules->excluded, rules->n_excluded + 1, sizeof(char *));
        if (!excluded)
                return -ENOMEM;
        rules->excluded = excluded;
        excluded[rules->n_excluded] = strdup(pattern);
        if (!excluded[rules->n_excluded])
                return -ENOMEM;

        rules->n_excluded++;
        return 0;
}

static int read_exclude(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TopologyDraft *draft = target;
        PlacementRules *rules = &draft->set->policy.placement;
        const PlacementOrder order = rules->order;
        ConfigItem element;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        placement_rules_done(rules); /* what an earlier file said */
        rules->order = order;
        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                r = config_expect(reader, field->name, &element, CONFIG_ITEM_SCALAR);
                if (r > 0 && !text_is_name(element.text))
                        r = config_value_error(reader, field->name, &element,
                                               "is not a pattern for a device's name in sysfs");
                else if (r > 0 && rules->n_excluded >= EXCLUDED_MAX)
                        r = stop(reader, element.mark, "patterns", EXCLUDED_MAX);
                else if (r > 0)
                        r = add_excluded(rules, element.text);
                if (r < 0)
                        return r;
        }
}

static const ConfigField policy_fields[] = {
        { "prune", read_topology_prune },
        { "in-use", read_in_use },
        { "unmanaged", read_topology_unmanaged },
        { "interrupted", read_topology_interrupted },
        { "placement", read_placement_order },
        { "exclude", read_exclude },
        {},
};

static const ConfigField file_fields[] = {
        { "version", config_read_version, .max = TOPOLOGY_VERSION, .required = true },
        { "topologies", read_topologies },
        { "default", read_default, offsetof(TopologySet, default_name), .max = TOPOLOGY_NAME_SIZE },
        { "policy", config_read_mapping, .fields = policy_fields },
        {},
};

static int read_file(ConfigReader *reader, TopologyDraft *draft) {
        ConfigItem item;
        int r;

        r = config_reader_next(reader, &item);
        if (r < 0 || item.kind == CONFIG_ITEM_NONE)
                return r;

        r = config_read_fields(reader, "file", file_fields, &item, draft);
        return r < 0 ? r : config_reader_finish(reader);
}

int config_parse_topologies(const char *file, const char *text, size_t size, TopologyDraft *draft,
                            ConfigReport *report) {
        size_t n_problems = report->n_problems, n_errors = report->n_errors;
        _cleanup_(config_reader_freep) ConfigReader *reader = NULL;
        int r;

        draft->file = file;
        r = config_reader_new(file, text, size, report, &reader);
        if (r >= 0)
                r = read_file(reader, draft);

        config_report_sort(report, n_problems);
        if (r < 0)
                return r;
        return report->n_errors > n_errors ? -EBADMSG : 0;
}

int config_check_topologies(const TopologyDraft *draft, ConfigReport *report) {
        const TopologySet *set = draft->set;
        const char *nearest = NULL;
        int least = INT_MAX;

        if (set->default_name[0] == '\0' || topology_set_find(set, set->default_name))
                return 0;

        for (size_t i = 0; i < set->n_topologies; i++) {
                int d = config_word_distance(set->default_name, set->topologies[i]->name);

                if (d >= 0 && d < least) {
                        nearest = set->topologies[i]->name;
                        least = d;
                }
        }

        return config_report_add(report, draft->default_file, draft->default_mark.line, draft->default_mark.column,
                                 PROBLEM_ERROR, "default: there is no topology '%s'%s%s%s", set->default_name,
                                 nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}
