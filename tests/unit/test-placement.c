/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Placement: against every possible way, on thousands of small machines that chance makes; and a creation for which no
 * GPU is named, over the simulated host.
 *
 * A card of these machines has a capacity, types with sizes, and vGPUs. What fits is counted here from that alone, in
 * the way that drivers count, and never as placement.c reckons.
 */

#include "core/placement.h"
#include "machine.h"

#define N_CASES 20000
#define GPUS_MAX 4U
#define TYPES_MAX 3U
#define ITEMS_MAX 6U

typedef struct Card {
        uint64_t capacity;
        bool mixed;
        unsigned n_types;
        uint64_t size[TYPES_MAX];
        unsigned max[TYPES_MAX];
        unsigned used[TYPES_MAX]; /* and stays */
        unsigned leaving[TYPES_MAX];
        unsigned added[TYPES_MAX];
} Card;

typedef struct World {
        Card cards[GPUS_MAX];
        PlacementGpu gpus[GPUS_MAX];
        PlacementType types[GPUS_MAX][TYPES_MAX];
        unsigned n;
        unsigned n_items;
        int kinds[ITEMS_MAX][GPUS_MAX]; /* of alike items one is used */
        PlacementItem items[ITEMS_MAX];
} World;

static const char *const ids[TYPES_MAX] = { "a-1", "a-2", "a-3" };
static const char *const addresses[GPUS_MAX] = { "gpu0", "gpu1", "gpu2", "gpu3" };

static unsigned chance(unsigned n) {
        return (unsigned)g_test_rand_int_range(0, (gint32)n);
}

/* With what leaves still there, or not. */
static bool card_is_valid(const Card *card, bool before) {
        uint64_t sum = 0;
        unsigned n_kinds = 0;

        for (unsigned t = 0; t < card->n_types; t++) {
                unsigned n = card->used[t] + card->added[t] + (before ? card->leaving[t] : 0);

                sum += n * card->size[t];
                n_kinds += n > 0;
                if (n > card->max[t])
                        return false;
        }

        return sum <= card->capacity && (card->mixed || n_kinds <= 1);
}

static bool card_takes(Card *card, unsigned type, bool before) {
        bool valid;

        card->added[type]++;
        valid = card_is_valid(card, before);
        card->added[type]--;
        return valid;
}

/* How many more, as a driver would say. */
static unsigned card_available(Card *card, unsigned type) {
        unsigned n = 0;

        while (card_takes(card, type, true)) {
                card->added[type]++;
                n++;
        }
        card->added[type] -= n;
        return n;
}

static void make_card(World *w, unsigned i, bool leaving) {
        Card *card = &w->cards[i];

        *card = (Card){ .capacity = 4 + chance(9), .mixed = chance(2) == 0, .n_types = 1 + chance(TYPES_MAX) };
        for (unsigned t = 0; t < card->n_types; t++) {
                card->size[t] = 1 + chance(4);
                card->max[t] = 1 + chance(6);
        }
        for (unsigned k = chance(5); k > 0; k--) {
                unsigned t = chance(card->n_types);

                if (card_takes(card, t, true))
                        *(leaving && chance(3) == 0 ? &card->leaving[t] : &card->used[t]) += 1;
        }

        w->gpus[i] = (PlacementGpu){
                .address = addresses[i],
                .numa_node = (int)chance(3) - 1,
                .framebuffer = card->capacity,
                .mixed = card->mixed,
                .types = w->types[i],
                .n_types = card->n_types,
        };
        for (unsigned t = 0; t < card->n_types; t++)
                w->types[i][t] = (PlacementType){
                        .id = ids[t],
                        .framebuffer = card->size[t],
                        .max = card->max[t],
                        .available = card_available(card, t),
                        .used = card->used[t] + card->leaving[t],
                        .leaving = card->leaving[t],
                };
}

static void make_world(World *w, bool leaving) {
        *w = (World){ .n = 1 + chance(GPUS_MAX), .n_items = 1 + chance(ITEMS_MAX) };
        for (unsigned i = 0; i < w->n; i++)
                make_card(w, i, leaving);

        for (unsigned k = 0; k < w->n_items; k++) {
                unsigned t = chance(TYPES_MAX);

                for (unsigned i = 0; i < w->n; i++)
                        w->kinds[k][i] = t < w->cards[i].n_types && chance(8) > 0 ? (int)t : -1;
                w->items[k] = (PlacementItem){ .types = w->kinds[k], .numa_node = (int)chance(3) - 1 };
                if (k > 0 && chance(2) == 0)
                        w->items[k] = w->items[k - 1];
        }
}

/* Whether there is any way at all. */
static bool search(World *w, unsigned k) {
        if (k == w->n_items)
                return true;

        for (unsigned i = 0; i < w->n; i++) {
                int t = w->items[k].types[i];
                bool found;

                if (t < 0 || !card_takes(&w->cards[i], (unsigned)t, false))
                        continue;
                w->cards[i].added[t]++;
                found = search(w, k + 1);
                w->cards[i].added[t]--;
                if (found)
                        return true;
        }

        return false;
}

/* A number for each card, the smaller the better: -1: the vGPU does not fit there. */
static int64_t price(World *w, unsigned i, const PlacementItem *item, PlacementOrder order) {
        Card *card = &w->cards[i];
        int64_t room = 0, n = 0, breaks;
        int t = item->types[i];

        if (t < 0 || !card_takes(card, (unsigned)t, false))
                return -1;
        while (card_takes(card, (unsigned)t, false)) {
                card->added[t]++;
                room++;
        }
        card->added[t] -= (unsigned)room;
        for (unsigned k = 0; k < card->n_types; k++)
                n += card->used[k] + card->added[k];
        breaks = n > 0 && card->used[t] + card->added[t] == 0;
        if (order == PLACEMENT_BREADTH_FIRST)
                room = 99 - room;
        else
                n = 99 - n;
        return ((breaks * 2 + (item->numa_node >= 0 && w->gpus[i].numa_node != item->numa_node)) * 100 + room) * 100 +
               n;
}

/* The first of the best in ret, -1 if there is none. */
static int find_cheapest(World *w, const PlacementItem *item, PlacementOrder order) {
        int64_t least = INT64_MAX;
        int best = -1;

        for (unsigned i = 0; i < w->n; i++) {
                int64_t p = price(w, i, item, order);

                if (p >= 0 && p < least) {
                        least = p;
                        best = (int)i;
                }
        }

        return best;
}

/* One after the other, each where it is best: true if all found a place. */
static bool place_one_by_one(World *w, PlacementOrder order, size_t ret[static ITEMS_MAX]) {
        unsigned k;

        for (k = 0; k < w->n_items; k++) {
                int i = find_cheapest(w, &w->items[k], order);

                if (i < 0)
                        break;
                ret[k] = (size_t)i;
                w->cards[i].added[w->items[k].types[i]]++;
        }
        for (unsigned j = 0; j < k; j++)
                w->cards[ret[j]].added[w->items[j].types[ret[j]]]--;

        return k == w->n_items;
}

static void check_world(World *w, PlacementOrder order) {
        size_t got[ITEMS_MAX], best[ITEMS_MAX];
        bool possible = search(w, 0), in_order = place_one_by_one(w, order, best);
        int first = find_cheapest(w, &w->items[0], order), r;

        r = placement_choose(w->gpus, w->n, &w->items[0], order);
        g_assert_cmpint(r, ==, first < 0 ? -ENOSPC : first);

        r = placement_assign(w->gpus, w->n, w->items, w->n_items, order, got);
        g_assert_cmpint(r, ==, possible ? 0 : -ENOSPC);
        for (unsigned i = 0; i < w->n; i++)
                for (unsigned t = 0; t < w->cards[i].n_types; t++)
                        w->cards[i].added[t] = w->types[i][t].reserved;
        for (unsigned i = 0; i < w->n; i++)
                g_assert_true(card_is_valid(&w->cards[i], false) || r < 0);
        if (r < 0) /* and everything as it was */
                for (unsigned i = 0; i < w->n; i++)
                        for (unsigned t = 0; t < w->cards[i].n_types; t++)
                                g_assert_cmpuint(w->types[i][t].reserved, ==, 0);
        if (in_order)
                g_assert_cmpint(memcmp(got, best, w->n_items * sizeof(size_t)), ==, 0);
}

static void test_every_way(void) {
        World w;

        for (unsigned i = 0; i < N_CASES; i++) {
                make_world(&w, /* leaving= */ i % 3 == 0);
                check_world(&w, i % 2 == 0 ? PLACEMENT_BREADTH_FIRST : PLACEMENT_DEPTH_FIRST);
        }
}

/* Where sizes are not known the driver has the last word: nothing that could fit is refused. */
static void test_unknown_sizes(void) {
        World w;

        for (unsigned i = 0; i < N_CASES; i++) {
                size_t got[ITEMS_MAX];

                make_world(&w, /* leaving= */ i % 3 == 0);
                for (unsigned k = 0; k < w.n; k++) {
                        w.gpus[k].framebuffer = UNKNOWN_U64;
                        for (unsigned t = 0; i % 2 == 0 && t < w.cards[k].n_types; t++)
                                w.types[k][t].framebuffer = UNKNOWN_U64;
                }
                if (search(&w, 0))
                        g_assert_cmpint(placement_assign(w.gpus, w.n, w.items, w.n_items, PLACEMENT_BREADTH_FIRST, got),
                                        ==, 0);
        }
}

/* Each preference alone, and which goes before which. */
static void test_preferences(void) {
        PlacementType types[3][2] = {
                { { "s", 1, 8, 4, 4, 0, 0 }, { "l", 2, 4, 2, 0, 0, 0 } }, /* small ones are there */
                { { "s", 1, 8, 2, 0, 0, 0 }, { "l", 2, 4, 1, 3, 0, 0 } }, /* large ones */
                { { "s", 1, 8, 8, 0, 0, 0 }, { "l", 2, 4, 4, 0, 0, 0 } }, /* nothing */
        };
        PlacementGpu gpus[3] = {
                { "a", 0, 8, true, NULL, types[0], 2 },
                { "b", 1, 8, true, NULL, types[1], 2 },
                { "c", 1, 8, true, NULL, types[2], 2 },
        };
        PlacementItem item = { .types = (int[]){ 0, 0, 0 }, .numa_node = -1 };
        Error error = ERROR_NULL;

        g_assert_cmpint(placement_choose(gpus, 3, &item, PLACEMENT_BREADTH_FIRST), ==, 2);
        g_assert_cmpint(placement_choose(gpus, 3, &item, PLACEMENT_DEPTH_FIRST), ==, 0);
        /* The card with large ones is fuller still, but is broken open only when all others are full. */
        gpus[2].problem = "is excluded by policy";
        item.numa_node = 1;
        g_assert_cmpint(placement_choose(gpus, 3, &item, PLACEMENT_DEPTH_FIRST), ==, 0);
        types[0][0].available = 0;
        g_assert_cmpint(placement_choose(gpus, 3, &item, PLACEMENT_DEPTH_FIRST), ==, 1);
        /* One that is being made counts. */
        types[1][0].reserved = 2;
        g_assert_cmpint(placement_choose(gpus, 3, &item, PLACEMENT_DEPTH_FIRST), ==, -ENOSPC);
        types[0][1].available = 0;
        g_assert_cmpint(placement_explain(gpus, 3, &item, "s", &error), ==, -ERROR_NO_INSTANCES);
        g_assert_cmpstr(
                error.message, ==,
                "No GPU has room for a vGPU of type 's': a has 0 left, 1 of s would have to go; b has 0 left, 1 "
                "of l would have to go; c is excluded by policy");
}

/* The chosen one is made there, one that is being made counts, and what is said when all are full. */
static void test_create(void) {
        Machine *m = machine_with_gpus();
        const CreateRequest request = { "", TYPE_1, "" };
        char *excluded[] = { (char *)"0000:42:*" };
        Answer answers[8] = {};
        Error error = ERROR_NULL;

        for (unsigned i = 0; i < 8; i++)
                (void)machine_create(m, "", i % 2 == 0 ? TYPE_1 : "Type 1", "", &answers[i]);
        machine_assert_refused(m, &request, -ERROR_NO_INSTANCES, GPU_A " has 0 left; " GPU_B " has 0 left");
        machine_settle(m);
        for (unsigned i = 0; i < 8; i++)
                g_assert_cmpstr(answers[i].error.message, ==, "");
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, 0);
        g_assert_cmpuint(machine_available(m, GPU_B, TYPE_1), ==, 0);
        machine_assert_refused(m, &request, -ERROR_NO_INSTANCES, GPU_A " has 0 left, 1 of " TYPE_1 " would have to go");
        machine_assert_refused(m, &(CreateRequest){ "", "x", "" }, -ERROR_NO_SUCH_TYPE, "'x'");

        (void)machine_destroy(m, LIST_FIRST(&machine_gpu(m, GPU_B)->vgpus, VGpu, gpu_link)->uuid, &answers[0]);
        machine_settle(m);
        g_assert_cmpint(manager_check_create(m->manager, &request, &error), ==, 0);
        m->manager->placement = (PlacementRules){ .excluded = excluded, .n_excluded = 1 };
        machine_assert_refused(m, &request, -ERROR_NO_INSTANCES, GPU_B " is excluded by policy");
        m->manager->placement = (PlacementRules){};
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/placement/every-way", test_every_way);
        g_test_add_func("/placement/unknown-sizes", test_unknown_sizes);
        g_test_add_func("/placement/preferences", test_preferences);
        g_test_add_func("/placement/create", test_create);
        return g_test_run();
}
