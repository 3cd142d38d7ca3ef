/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "util/map.h"

#define BUCKETS_MIN 16U

/* FNV-1a: the keys are sysfs names and UUIDs that only root can choose, so that no keyed hash is needed. */
static uint64_t hash_string(const char *s) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (; *s; s++)
                hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3);

        return hash;
}

static int map_grow(Map *map) {
        size_t n_buckets = map->n_buckets > 0 ? map->n_buckets * 2 : BUCKETS_MIN;
        MapNode **buckets;

        buckets = calloc(n_buckets, sizeof(MapNode *));
        if (!buckets)
                return -ENOMEM;

        for (size_t i = 0; i < map->n_buckets; i++)
                for (MapNode *node = map->buckets[i], *next; node; node = next) {
                        MapNode **bucket = &buckets[node->hash & (n_buckets - 1)];

                        next = node->next;
                        node->next = *bucket;
                        *bucket = node;
                }

        free(map->buckets);
        map->buckets = buckets;
        map->n_buckets = n_buckets;
        return 0;
}

int map_add(Map *map, MapNode *node, const char *key) {
        MapNode **bucket;
        int r;

        if (map_find(map, key))
                return -EEXIST;

        if (map->n >= map->n_buckets) {
                r = map_grow(map);
                if (r < 0)
                        return r;
        }

        *node = (MapNode){ .key = key, .hash = hash_string(key) };
        bucket = &map->buckets[node->hash & (map->n_buckets - 1)];
        node->next = *bucket;
        *bucket = node;
        map->n++;
        return 0;
}

void map_remove(Map *map, MapNode *node) {
        MapNode **p;

        assert(map->n > 0);

        for (p = &map->buckets[node->hash & (map->n_buckets - 1)]; *p != node; p = &(*p)->next)
                assert(*p);

        *p = node->next;
        *node = (MapNode){};
        map->n--;
}

MapNode *map_find(const Map *map, const char *key) {
        uint64_t hash;

        if (map->n == 0)
                return NULL;

        hash = hash_string(key);
        for (MapNode *node = map->buckets[hash & (map->n_buckets - 1)]; node; node = node->next)
                if (node->hash == hash && streq(node->key, key))
                        return node;

        return NULL;
}

void map_done(Map *map) {
        assert(map->n == 0);

        free(map->buckets);
        *map = (Map){};
}
