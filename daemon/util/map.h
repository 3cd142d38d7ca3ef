/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Map: intrusive hash table keyed by strings. The nodes are members of what they find, so that only growing allocates;
 * a key belongs to the element and lives as long as it is in the map.
 */

#include "util/cleanup.h"

typedef struct MapNode MapNode;

struct MapNode {
        MapNode *next;
        const char *key;
        uint64_t hash;
};

typedef struct Map {
        MapNode **buckets;
        size_t n_buckets; /* a power of two, or 0 */
        size_t n;
} Map;

/* -EEXIST if the key is there, -ENOMEM. */
int map_add(Map *map, MapNode *node, const char *key);
void map_remove(Map *map, MapNode *node);
MapNode *map_find(const Map *map, const char *key);
/* Frees the table; it must be empty. */
void map_done(Map *map);

#define MAP_FIND(map, key, type, member)                                                                               \
        ({                                                                                                             \
                MapNode *map_node_ = map_find(map, key);                                                               \
                map_node_ ? (type *)(void *)((char *)map_node_ - offsetof(type, member)) : NULL;                       \
        })
