/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The shim's type sets while vGPUs exist: what they share, what can change under them and what cannot. Wants the name of a
 * node that nobody uses; leaves it with an empty set.
 */

#include <pthread.h>
#include <time.h>

#include "shim-test.h"

static bool live_can_come;

static void test_capacity(int owner) {
        struct mdevgpu_type types[] = { type_make(1, 8, 20000 * MIB), type_make(2, 8, 10000 * MIB) };
        struct mdevgpu_set_types set;
        struct mdevgpu_identify id;
        struct mdevgpu_get_types get;
        struct mdevgpu_type back[2];

        check_errno(0, shim_set(owner, types, 2, 0, &set), "two types that share the framebuffer");
        check(type_attribute(1, "available_instances", "2") && type_attribute(2, "available_instances", "4"),
              "what is available is what fits");
        check_errno(0, vgpu_create(1, UUID(1)), "a vGPU");
        check(type_attribute(1, "available_instances", "1") && type_attribute(2, "available_instances", "2"),
              "takes instances away from its sibling");
        shim_get(owner, back, 2, &get);
        shim_identify(owner, &id);
        check(back[0].live == 1 && back[0].available == 1 && back[1].live == 0 && back[1].available == 2 &&
                      id.n_live == 1,
              "GET_TYPES and IDENTIFY count it");
        check_errno(0, vgpu_create(2, UUID(2)), "a vGPU of the sibling");
        check_errno(0, vgpu_create(2, UUID(3)), "another");
        check_errno(ENOSPC, vgpu_create(2, UUID(4)), "one more than the framebuffer holds");
        check_errno(ENOSPC, vgpu_create(1, UUID(4)), "of either type");
        check_errno(0, shim_set(owner, types, 2, 0, &set), "the same set while vGPUs exist");
        check(set.n_live == 3, "and how many do");
        vgpu_remove(UUID(3));
}

/* Two vGPUs, one of each type, are there throughout. */
static void test_edit(int owner) {
        struct mdevgpu_type types[] = { type_make(1, 8, 20000 * MIB), type_make(2, 8, 10000 * MIB) };
        struct mdevgpu_vgpu vgpus[4] = {};
        struct mdevgpu_get_usage usage;
        struct mdevgpu_set_types set;
        uint64_t generation;

        shim_set(owner, types, 2, 0, &set);
        generation = set.generation;
        types[1].framebuffer = 2000 * MIB;
        types[1].max_instances = 3;
        memset(types[1].name, 0, sizeof(types[1].name));
        memcpy(types[1].name, "Edited", strlen("Edited"));
        check_errno(0, shim_set(owner, types, 2, MDEVGPU_SET_DRY_RUN, &set), "a changed type, dry run");
        check(set.generation == generation && type_attribute(2, "name", "Test type/2"), "has changed nothing");
        check_errno(0, shim_set(owner, types, 2, 0, &set), "a changed type while vGPUs exist");
        check(set.generation == generation + 1 && types[1].verdict == MDEVGPU_VERDICT_OK, "is in force");
        check(type_attribute(2, "name", "Edited") &&
                      type_attribute(2, "description",
                                     "num_heads=4, frl_config=120, framebuffer=2000M, "
                                     "max_resolution=1920x1080, max_instance=3") &&
                      type_attribute(2, "available_instances", "2"),
              "in sysfs as well");
        check_errno(0, shim_usage(owner, vgpus, 4, &usage), "GET_USAGE");
        check(usage.n_vgpus == 2 && usage.framebuffer_used == (20000 + 10000 + 2 * 64) * MIB,
              "the vGPUs take what they took");
        check(!(vgpus[0].flags & MDEVGPU_VGPU_EDITED) && (vgpus[1].flags & MDEVGPU_VGPU_EDITED),
              "and the one of the changed type is marked");
        types[1].max_instances = 1;
        check_errno(0, shim_set(owner, types, 2, 0, &set), "no more instances than there are");
        check(type_attribute(2, "available_instances", "0"), "leaves none");
        check_errno(ENOSPC, vgpu_create(2, UUID(4)), "another of it");
}

static void test_retire(int owner) {
        struct mdevgpu_type types[] = { type_make(1, 8, 20000 * MIB), type_make(2, 8, 10000 * MIB) };
        struct mdevgpu_type back[2] = {};
        struct mdevgpu_set_types set;
        struct mdevgpu_get_types get;
        struct mdevgpu_identify id;

        shim_set(owner, types, 2, 0, &set);
        check_errno(0, shim_set(owner, types, 1, 0, &set), "a type less while vGPUs exist");
        shim_identify(owner, &id);
        check(id.n_types == 1 && id.n_retired == 1 && id.n_live == 2, "it is no part of the set any more");
        check(type_exists(2) && type_attribute(2, "available_instances", "0"), "and still in sysfs, with none available");
        check_errno(ENOSPC, vgpu_create(2, UUID(4)), "create");
        check(shim_get(owner, back, 2, &get) == 0 && get.n_types == 1 && back[0].id == 1, "GET_TYPES has the set");
        check(shim_get_retired(owner, back, 2, &get) == 0 && get.n_types == 1 && back[0].id == 2 && back[0].live == 1 &&
                      back[0].available == 0,
              "and tells of the retired one when asked");
        check_errno(0, shim_set(owner, types, 2, 0, &set), "it comes back");
        check(type_attribute(2, "available_instances", "1"), "as it was");
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "no types at all");
        shim_identify(owner, &id);
        check(id.n_types == 0 && id.n_retired == 2, "both are retired");
        shim_set(owner, types, 2, 0, &set);
}

static void test_new(int owner) {
        struct mdevgpu_type types[] = { type_make(1, 8, 20000 * MIB), type_make(2, 8, 10000 * MIB),
                                        type_make(3, 8, 1000 * MIB) };
        struct mdevgpu_set_types set;

        types[0].max_width++;
        if (live_can_come) {
                check_errno(0, shim_set(owner, types, 3, 0, &set), "a new type while vGPUs exist");
                check(type_exists(3) && type_attribute(3, "available_instances", "8"), "is there");
                check(access("/sys/bus/mdev/devices/" UUID(1), F_OK) == 0, "and so are they");
                check_errno(0, vgpu_create(3, UUID(4)), "a vGPU of it");
                check_errno(0, vgpu_remove(UUID(4)), "which goes again");
                return;
        }
        check_errno(EBUSY, shim_set(owner, types, 3, 0, &set), "a new type while vGPUs exist");
        check(types[0].verdict == MDEVGPU_VERDICT_OK && types[1].verdict == MDEVGPU_VERDICT_OK &&
                      types[2].verdict == MDEVGPU_VERDICT_LIVE && set.n_live == 2,
              "verdict LIVE for that one alone");
        check_errno(EBUSY, shim_set(owner, types, 3, MDEVGPU_SET_DRY_RUN, &set), "a dry run says so, too");
        check(type_exists(2) && !type_exists(3), "nothing has changed");
        types[2].id = 0;
        check_errno(EINVAL, shim_set(owner, types, 3, 0, &set), "a bad type is told of first");
}

/* The last vGPU goes, and what waited for that can be done. */
static void test_after(int owner) {
        struct mdevgpu_type types[] = { type_make(1, 8, 20000 * MIB), type_make(3, 8, 1000 * MIB) };
        struct mdevgpu_set_types set;
        struct mdevgpu_identify id;
        uint64_t generation;

        shim_set(owner, types, 1, 0, &set);
        generation = set.generation;
        check_errno(0, vgpu_remove(UUID(1)), "remove");
        vgpu_remove(UUID(2));
        check(type_attribute(1, "available_instances", "2") && type_exists(2), "gives the framebuffer back");
        check_errno(0, shim_set(owner, types, 1, 0, &set), "the same set again");
        shim_identify(owner, &id);
        check(set.generation == generation + 1 && id.n_retired == 0 && !type_exists(2), "lets the retired ones go");
        check_errno(0, shim_set(owner, types, 2, 0, &set), "a new type can come");
        check(type_exists(3), "and is there");
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "all can go");
        check(!type_exists(1), "and are gone");
}

/* Instances by number, not by memory */
static void test_max_instances(int owner) {
        struct mdevgpu_type type = type_make(7, 1, 16 * MIB);
        struct mdevgpu_set_types set;

        type.bar1_size = 0;
        type.mappable_video = 0;
        check_errno(0, shim_set(owner, &type, 1, 0, &set), "a small type for one instance");
        check_errno(0, vgpu_create(7, UUID(5)), "the one");
        check(type_attribute(7, "available_instances", "0"), "leaves none");
        check_errno(ENOSPC, vgpu_create(7, UUID(6)), "a second");
        vgpu_remove(UUID(5));
        shim_set(owner, NULL, 0, 0, &set);
}

struct churn {
        bool stop;
        unsigned n_created;
};

static void *churn_thread(void *p) {
        struct churn *churn = p;

        while (!__atomic_load_n(&churn->stop, __ATOMIC_RELAXED)) {
                if (vgpu_create(1, UUID(8)) < 0)
                        continue;
                __atomic_add_fetch(&churn->n_created, 1, __ATOMIC_RELAXED);
                vgpu_remove(UUID(8));
        }
        return NULL;
}

/* vGPUs are made and removed while other types come and go: each refuses the other or succeeds, and nothing hangs. */
static void test_race(int owner) {
        unsigned n_set = 0, n_busy = 0, n_other = 0;
        struct mdevgpu_set_types set;
        struct churn churn = {};
        pthread_t thread;
        time_t end;

        if (pthread_create(&thread, NULL, churn_thread, &churn) != 0)
                abort();
        end = time(NULL) + 10;
        for (unsigned i = 0; time(NULL) < end; i++) {
                struct mdevgpu_type types[] = { type_make(1, 1 + i % 7, 1024 * MIB), type_make(2 + i, 1, 1024 * MIB) };

                if (shim_set(owner, types, 1 + (i % 3 > 0), 0, &set) == 0)
                        n_set++;
                else if (errno == EBUSY)
                        n_busy++;
                else
                        n_other++;
                if (n_set >= 200 && (n_busy >= 200 || live_can_come) &&
                    __atomic_load_n(&churn.n_created, __ATOMIC_RELAXED) >= 50)
                        break;
                usleep(i * 7919 % 4000);
        }
        __atomic_store_n(&churn.stop, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        check(n_set >= 3 && (n_busy >= 3 || live_can_come) && n_other == 0 && churn.n_created >= 3,
              "sets against vGPUs: %u sets, %u refused, %u otherwise, %u vGPUs", n_set, n_busy, n_other,
              churn.n_created);
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "no vGPU is left over");
}

int main(int argc, char *argv[]) {
        struct mdevgpu_identify id;
        char path[64];
        int owner;

        close(node_find(argc, argv, path, sizeof(path)));
        owner = open(path, O_RDWR | O_CLOEXEC);
        if (!check(owner >= 0 && shim_identify(owner, &id) == 0 && id.n_types == 0, "a GPU without types"))
                return tests_finish();
        check(id.capabilities & MDEVGPU_CAP_EDIT_LIVE, "types can change under vGPUs");
        live_can_come = id.capabilities & MDEVGPU_CAP_ADD_LIVE;

        test_capacity(owner);
        test_edit(owner);
        test_retire(owner);
        test_new(owner);
        test_after(owner);
        test_max_instances(owner);
        test_race(owner);
        return tests_finish();
}
