/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/placement.h"
#include "util/string-table.h"

/* Far over what a card takes; bounds the counting. */
#define ROOM_MAX 4096U

/* Ways to try before it is given up: some milliseconds. */
#define TRIES_MAX 200000U

static const char *const placement_order_table[PLACEMENT_ORDER_MAX] = {
        [PLACEMENT_BREADTH_FIRST] = "breadth-first",
        [PLACEMENT_DEPTH_FIRST] = "depth-first",
};

DEFINE_STRING_TABLE(placement_order, PlacementOrder)

/* As it will be. */
static uint32_t count(const PlacementType *type) {
        return type->used - type->leaving + type->reserved;
}

static bool size_is_known(const PlacementType *type) {
        return type->framebuffer != UNKNOWN_U64 && type->framebuffer > 0;
}

static uint32_t count_leaving(const PlacementGpu *gpu) {
        uint32_t n = 0;

        for (size_t i = 0; i < gpu->n_types; i++)
                n += gpu->types[i].leaving;

        return n;
}

/* Its number, and not its size, may be what limits it. */
static bool is_capped(const PlacementType *type) {
        return type->max != UNKNOWN_U32 && type->used + type->available >= type->max;
}

/* The most that can be free now: of a type of which n are available there is no room for n + 1. */
static uint64_t free_bytes(const PlacementGpu *gpu) {
        uint64_t bytes = UNKNOWN_U64, used = 0;

        for (size_t i = 0; i < gpu->n_types; i++) {
                const PlacementType *type = &gpu->types[i];
                uint64_t bound;

                if (!size_is_known(type))
                        continue;
                used += type->used * type->framebuffer;
                bound = ((uint64_t)type->available + 1) * type->framebuffer - 1;
                if (type->available > 0 && !is_capped(type))
                        bytes = MIN(bytes, bound);
        }

        if (gpu->framebuffer != UNKNOWN_U64)
                bytes = MIN(bytes, gpu->framebuffer > used ? gpu->framebuffer - used : 0);
        return bytes;
}

/* By sizes, where those of all that come and go are known. */
static bool bytes_fit(const PlacementGpu *gpu, size_t added) {
        uint64_t bytes = free_bytes(gpu), needed = 0, freed = 0;

        if (bytes == UNKNOWN_U64)
                return true;

        for (size_t i = 0; i < gpu->n_types; i++) {
                const PlacementType *type = &gpu->types[i];
                uint32_t n = type->reserved + (i == added ? 1 : 0);

                if ((n > 0 || type->leaving > 0) && !size_is_known(type))
                        return true;
                needed += n * type->framebuffer;
                freed += type->leaving * type->framebuffer;
        }

        return needed <= bytes + freed;
}

/* By shares: where n are available, and size is what limits it, one takes more than one part in n + 1 of what is free. */
static bool shares_fit(const PlacementGpu *gpu, size_t added) {
        double sum = 0;

        for (size_t i = 0; i < gpu->n_types; i++) {
                const PlacementType *type = &gpu->types[i];

                if (!is_capped(type))
                        sum += (type->reserved + (i == added ? 1 : 0)) / ((double)type->available + 1);
        }

        return sum < 1 - 1e-9;
}

static bool others_are_there(const PlacementGpu *gpu, size_t type) {
        for (size_t i = 0; i < gpu->n_types; i++)
                if (i != type && count(&gpu->types[i]) > 0)
                        return true;

        return false;
}

static bool others_are_reserved(const PlacementGpu *gpu, size_t type) {
        for (size_t i = 0; i < gpu->n_types; i++)
                if (i != type && gpu->types[i].reserved > 0)
                        return true;

        return false;
}

bool placement_has_room(const PlacementGpu *gpu, size_t type) {
        const PlacementType *t = &gpu->types[type];
        bool leaving = count_leaving(gpu) > 0;

        if (gpu->problem)
                return false;
        if (t->max != UNKNOWN_U32 && count(t) >= t->max)
                return false;
        if (!gpu->mixed && others_are_there(gpu, type))
                return false;
        if (!leaving && t->reserved >= t->available)
                return false;
        if (!leaving && !others_are_reserved(gpu, type)) /* just what the driver counted */
                return true;

        return bytes_fit(gpu, type) && (leaving || shares_fit(gpu, type));
}

uint32_t placement_room(const PlacementGpu *gpu, size_t type) {
        PlacementType *t = &gpu->types[type];
        uint32_t reserved = t->reserved, n = 0;

        for (; n < ROOM_MAX && placement_has_room(gpu, type); n++)
                t->reserved++;

        t->reserved = reserved;
        return n;
}

/* What a GPU that has room is judged by. */
typedef struct Merits {
        bool breaks; /* it holds vGPUs, none of them of this type */
        bool far; /* from the preferred node */
        uint32_t room;
        uint32_t n_vgpus;
} Merits;

static Merits judge(const PlacementGpu *gpu, size_t type, int numa_node) {
        Merits merits = {
                .far = numa_node >= 0 && gpu->numa_node != numa_node,
                .room = placement_room(gpu, type),
        };

        for (size_t i = 0; i < gpu->n_types; i++)
                merits.n_vgpus += count(&gpu->types[i]);
        merits.breaks = merits.n_vgpus > 0 && count(&gpu->types[type]) == 0;
        return merits;
}

static bool is_better(const Merits *a, const Merits *b, PlacementOrder order) {
        bool depth = order == PLACEMENT_DEPTH_FIRST;

        if (a->breaks != b->breaks)
                return b->breaks;
        if (a->far != b->far)
                return b->far;
        if (a->room != b->room)
                return depth ? a->room < b->room : a->room > b->room;

        return depth ? a->n_vgpus > b->n_vgpus : a->n_vgpus < b->n_vgpus;
}

int placement_choose(const PlacementGpu *gpus, size_t n_gpus, const PlacementItem *item, PlacementOrder order) {
        Merits best = {};
        int chosen = -ENOSPC;

        for (size_t i = 0; i < n_gpus; i++) {
                Merits merits;

                if (item->types[i] < 0 || !placement_has_room(&gpus[i], (size_t)item->types[i]))
                        continue;

                merits = judge(&gpus[i], (size_t)item->types[i], item->numa_node);
                if (chosen < 0 || is_better(&merits, &best, order)) {
                        best = merits;
                        chosen = (int)i;
                }
        }

        return chosen;
}

typedef struct Search {
        PlacementGpu *gpus;
        size_t n_gpus;
        const PlacementItem *items;
        size_t n_items;
        size_t *chosen;
        unsigned n_tries;
} Search;

static void reserve(Search *search, size_t i, size_t gpu) {
        search->gpus[gpu].types[search->items[i].types[gpu]].reserved++;
        search->chosen[i] = gpu;
}

static void release(Search *search, size_t i) {
        size_t gpu = search->chosen[i];

        search->gpus[gpu].types[search->items[i].types[gpu]].reserved--;
}

static int assign_in_order(Search *search, PlacementOrder order) {
        for (size_t i = 0; i < search->n_items; i++) {
                int gpu = placement_choose(search->gpus, search->n_gpus, &search->items[i], order);

                if (gpu < 0) {
                        while (i > 0)
                                release(search, --i);
                        return gpu;
                }
                reserve(search, i, (size_t)gpu);
        }

        return 0;
}

static bool fits_on(const Search *search, size_t i, size_t gpu) {
        int type = search->items[i].types[gpu];

        return type >= 0 && placement_has_room(&search->gpus[gpu], (size_t)type);
}

/* Every way, depth first. Of items that are alike a later one goes on no earlier GPU: that would be the same way again. */
static int assign_somehow(Search *search) {
        size_t i = 0, gpu = 0;

        while (i < search->n_items) {
                while (gpu < search->n_gpus && !fits_on(search, i, gpu))
                        gpu++;
                if (++search->n_tries > TRIES_MAX || (gpu == search->n_gpus && i == 0)) {
                        while (i > 0)
                                release(search, --i);
                        return search->n_tries > TRIES_MAX ? -E2BIG : -ENOSPC;
                }

                if (gpu == search->n_gpus) {
                        release(search, --i);
                        gpu = search->chosen[i] + 1;
                        continue;
                }

                reserve(search, i++, gpu);
                if (i < search->n_items && search->items[i].types != search->items[i - 1].types)
                        gpu = 0;
        }

        return 0;
}

int placement_assign(PlacementGpu *gpus, size_t n_gpus, const PlacementItem *items, size_t n_items,
                     PlacementOrder order, size_t *ret_gpus) {
        Search search = { .gpus = gpus, .n_gpus = n_gpus, .items = items, .n_items = n_items, .chosen = ret_gpus };
        int r;

        r = assign_in_order(&search, order);
        return r < 0 ? assign_somehow(&search) : 0;
}

/* The fewest of one other type whose removal makes room; 0: no one type does. */
static uint32_t count_to_go(const PlacementGpu *gpu, size_t type, const PlacementType **ret_other) {
        uint32_t least = 0;

        for (size_t i = 0; i < gpu->n_types; i++) {
                PlacementType *other = &gpu->types[i];
                uint32_t leaving = other->leaving;

                for (other->leaving++; other->leaving <= other->used; other->leaving++)
                        if (placement_has_room(gpu, type)) {
                                if (least == 0 || other->leaving - leaving < least) {
                                        least = other->leaving - leaving;
                                        *ret_other = other;
                                }
                                break;
                        }
                other->leaving = leaving;
        }

        return least;
}

static void explain_gpu(const PlacementGpu *gpu, int type, FILE *f) {
        const PlacementType *other = NULL;
        uint32_t n;

        if (gpu->problem)
                (void)fprintf(f, "%s %s", gpu->address, gpu->problem);
        else {
                n = count_to_go(gpu, (size_t)type, &other);
                (void)fprintf(f, "%s has %u left", gpu->address, placement_room(gpu, (size_t)type));
                if (n > 0)
                        (void)fprintf(f, ", %u of %s would have to go", n, other->id);
        }
}

int placement_explain(const PlacementGpu *gpus, size_t n_gpus, const PlacementItem *item, const char *type,
                      Error *error) {
        char text[400] = "no GPU that may be taken has that type";
        const char *separator = "";
        FILE *f;

        f = fmemopen(text, sizeof(text), "w");
        if (!f)
                return error_set(error, -ERROR_NO_INSTANCES, "No GPU has room for a vGPU of type '%.64s'", type);

        for (size_t i = 0; i < n_gpus; i++) {
                if (item->types[i] < 0)
                        continue;
                (void)fputs(separator, f);
                explain_gpu(&gpus[i], item->types[i], f);
                separator = "; ";
        }
        (void)fclose(f);
        text[sizeof(text) - 1] = '\0';

        return error_set(error, -ERROR_NO_INSTANCES, "No GPU has room for a vGPU of type '%.64s': %s", type,
                         text[0] != '\0' ? text : "no GPU that may be taken has that type");
}
