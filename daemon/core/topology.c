/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/topology.h"
#include "util/string-table.h"
#include "util/text.h"

static const char *const topology_prune_table[TOPOLOGY_PRUNE_MAX] = {
        [TOPOLOGY_PRUNE_MANAGED] = "managed",
        [TOPOLOGY_PRUNE_NONE] = "none",
};

DEFINE_STRING_TABLE(topology_prune, TopologyPrune)

static const char *const topology_unmanaged_table[TOPOLOGY_UNMANAGED_MAX] = {
        [TOPOLOGY_UNMANAGED_IGNORE] = "ignore",
        [TOPOLOGY_UNMANAGED_TAKE] = "take",
};

DEFINE_STRING_TABLE(topology_unmanaged, TopologyUnmanaged)

static const char *const topology_interrupted_table[TOPOLOGY_INTERRUPTED_MAX] = {
        [TOPOLOGY_INTERRUPTED_ROLL_BACK] = "roll-back",
        [TOPOLOGY_INTERRUPTED_GO_ON] = "go-on",
};

DEFINE_STRING_TABLE(topology_interrupted, TopologyInterrupted)

Topology *topology_new(const char *name, const char *file) {
        Topology *topology;

        topology = calloc(1, sizeof(Topology));
        if (!topology)
                return NULL;

        (void)text_copy(topology->name, sizeof(topology->name), name);
        topology->file = strdup(file);
        return topology->file ? topology : topology_free(topology);
}

Topology *topology_free(Topology *topology) {
        if (!topology)
                return NULL;

        for (size_t i = 0; i < topology->n_entries; i++) {
                profile_match_done(&topology->entries[i].match);
                free(topology->entries[i].vgpus);
        }
        free(topology->entries);
        free(topology->file);
        free(topology);
        return NULL;
}

TopologyEntry *topology_add_entry(Topology *topology) {
        TopologyEntry *entries, *entry;

        if (topology->n_entries >= TOPOLOGY_ENTRIES_MAX)
                return NULL;

        entries = reallocarray(topology->entries, topology->n_entries + 1, sizeof(TopologyEntry));
        if (!entries)
                return NULL;
        topology->entries = entries;

        entry = &entries[topology->n_entries];
        *entry = (TopologyEntry){};
        if (profile_match_init(&entry->match) < 0)
                return NULL;

        topology->n_entries++;
        return entry;
}

int topology_entry_add_vgpu(TopologyEntry *entry, const TopologyVGpu *vgpu) {
        TopologyVGpu *vgpus;

        if (entry->n_vgpus >= TOPOLOGY_VGPUS_MAX)
                return -E2BIG;

        vgpus = reallocarray(entry->vgpus, entry->n_vgpus + 1, sizeof(TopologyVGpu));
        if (!vgpus)
                return -ENOMEM;

        entry->vgpus = vgpus;
        entry->vgpus[entry->n_vgpus++] = *vgpu;
        return 0;
}

size_t topology_count_vgpus(const Topology *topology) {
        size_t n = 0;

        for (size_t i = 0; i < topology->n_entries; i++)
                for (size_t j = 0; j < topology->entries[i].n_vgpus; j++)
                        n += topology->entries[i].vgpus[j].count;

        return n;
}

TopologySet *topology_set_new(void) {
        return calloc(1, sizeof(TopologySet));
}

void placement_rules_done(PlacementRules *rules) {
        for (size_t i = 0; i < rules->n_excluded; i++)
                free(rules->excluded[i]);
        free(rules->excluded);
        *rules = (PlacementRules){};
}

TopologySet *topology_set_free(TopologySet *set) {
        if (!set)
                return NULL;

        for (size_t i = 0; i < set->n_topologies; i++)
                topology_free(set->topologies[i]);
        free(set->topologies);
        placement_rules_done(&set->policy.placement);
        free(set);
        return NULL;
}

int topology_set_add(TopologySet *set, Topology *topology) {
        Topology **topologies;
        size_t i = 0;

        while (i < set->n_topologies && strcmp(set->topologies[i]->name, topology->name) < 0)
                i++;
        if (i < set->n_topologies && streq(set->topologies[i]->name, topology->name)) {
                topology_free(set->topologies[i]);
                set->topologies[i] = topology;
                return 0;
        }

        if (set->n_topologies >= TOPOLOGIES_MAX)
                return -E2BIG;
        topologies = reallocarray(set->topologies, set->n_topologies + 1, sizeof(Topology *));
        if (!topologies)
                return -ENOMEM;

        set->topologies = topologies;
        memmove(&topologies[i + 1], &topologies[i], (set->n_topologies - i) * sizeof(Topology *));
        topologies[i] = topology;
        set->n_topologies++;
        return 0;
}

const Topology *topology_set_find(const TopologySet *set, const char *name) {
        for (size_t i = 0; set && i < set->n_topologies; i++)
                if (streq(set->topologies[i]->name, name))
                        return set->topologies[i];

        return NULL;
}
