/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Topology: a named state that GPUs and vGPUs shall be in, as topologies.d says it.
 *
 * A TopologySet is immutable, as a ProfileSet is: a reload builds a new one, checks it whole and swaps it. It owns its
 * topologies.
 */

#include "core/backend.h"
#include "core/placement.h"
#include "core/record.h"
#include "core/settings.h"

/* More than any host has. */
#define TOPOLOGY_NAME_SIZE 64U
#define TOPOLOGIES_MAX 256U
#define TOPOLOGY_ENTRIES_MAX 256U
#define TOPOLOGY_VGPUS_MAX 1024U /* of a whole topology, counts added up */

/* vGPUs of a type that there shall be. */
typedef struct TopologyVGpu {
        char type[TYPE_ID_SIZE]; /* id or name */
        uint32_t count; /* 1 and up, on all GPUs that match together … */
        bool per_gpu; /* … or on each of them that has the type */
        char uuid[UUID_STRING_SIZE]; /* empty: it does not matter; else count is 1 */
        char label[LABEL_SIZE]; /* empty: it does not matter */
        bool autostart; /* defined as well, and started by itself */
        uint32_t line; /* where it is stated, for messages */
} TopologyVGpu;

/* What there shall be on the GPUs that match. */
typedef struct TopologyEntry {
        ProfileMatch match;
        bool one_size; /* each of them has vGPUs of one type alone */
        Tristate mixed_size; /* whether its driver lets sizes be mixed, where it has such a setting; unknown: as it is */
        bool has_vfs; /* each of them has so many virtual functions */
        uint32_t n_vfs; /* SETTINGS_ALL_VFS: as many as it can have */
        uint32_t vfs_line;
        TopologyVGpu *vgpus;
        size_t n_vgpus;
} TopologyEntry;

typedef struct Topology {
        char name[TOPOLOGY_NAME_SIZE];
        char *file;
        uint32_t line;
        TopologyEntry *entries;
        size_t n_entries;
} Topology;

/* What is to become of vGPUs that are there and that the topology does not ask for, on the GPUs that it speaks of. */
typedef enum TopologyPrune {
        TOPOLOGY_PRUNE_MANAGED, /* those that we made go */
        TOPOLOGY_PRUNE_NONE,
        TOPOLOGY_PRUNE_MAX,
        TOPOLOGY_PRUNE_INVALID = -EINVAL,
} TopologyPrune;

/* Of vGPUs that we did not make. */
typedef enum TopologyUnmanaged {
        TOPOLOGY_UNMANAGED_IGNORE, /* they are neither counted nor touched */
        TOPOLOGY_UNMANAGED_TAKE, /* as those that we made */
        TOPOLOGY_UNMANAGED_MAX,
        TOPOLOGY_UNMANAGED_INVALID = -EINVAL,
} TopologyUnmanaged;

/* What the next start does about an application that the daemon died in. */
typedef enum TopologyInterrupted {
        TOPOLOGY_INTERRUPTED_ROLL_BACK,
        TOPOLOGY_INTERRUPTED_GO_ON,
        TOPOLOGY_INTERRUPTED_MAX,
        TOPOLOGY_INTERRUPTED_INVALID = -EINVAL,
} TopologyInterrupted;

const char *topology_prune_to_string(TopologyPrune p);
const char *topology_unmanaged_to_string(TopologyUnmanaged u);
const char *topology_interrupted_to_string(TopologyInterrupted i);

typedef struct TopologyPolicy {
        TopologyPrune prune;
        TopologyUnmanaged unmanaged;
        TopologyInterrupted interrupted;
        PlacementRules placement;
} TopologyPolicy;

typedef struct TopologySet {
        Topology **topologies; /* in the order of their names */
        size_t n_topologies;
        char default_name[TOPOLOGY_NAME_SIZE]; /* empty: none */
        TopologyPolicy policy;
} TopologySet;

Topology *topology_new(const char *name, const char *file);
Topology *topology_free(Topology *topology);
DEFINE_CLEANUP(Topology *, topology_free)

/* Appends one that matches everything and asks for nothing; NULL: out of memory or over the bound. */
TopologyEntry *topology_add_entry(Topology *topology);
/* -E2BIG past the bound, -ENOMEM. */
int topology_entry_add_vgpu(TopologyEntry *entry, const TopologyVGpu *vgpu);
size_t topology_count_vgpus(const Topology *topology);

TopologySet *topology_set_new(void);
TopologySet *topology_set_free(TopologySet *set);
DEFINE_CLEANUP(TopologySet *, topology_set_free)

/* Takes ownership on success only; one of the same name is replaced. -E2BIG, -ENOMEM. */
int topology_set_add(TopologySet *set, Topology *topology);
/* NULL: no such. */
const Topology *topology_set_find(const TopologySet *set, const char *name);

void placement_rules_done(PlacementRules *rules);
