/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The shim's type sets against the real modules: what a type may be, and what a set in force looks like in sysfs. Wants
 * the name of a node that nobody uses; leaves it with an empty set.
 */

#include "shim-test.h"

/* A value for one member of a type, and what becomes of it */
struct verdict_case {
        const char *name;
        uint32_t verdict;
        size_t field, size;
        uint64_t number;
        const char *text; /* instead of the number */
        size_t length;
};

#define MEMBER(m) offsetof(struct mdevgpu_type, m), sizeof(((struct mdevgpu_type *)0)->m)
#define NUMBER(n, v, m, value)                                                                                         \
        { n, MDEVGPU_VERDICT_##v, MEMBER(m), .number = (value) }
#define TEXT(n, m, value)                                                                                              \
        { n, MDEVGPU_VERDICT_BAD_NAME, MEMBER(m), .text = (value), .length = sizeof(value) - 1 }

#define TEXT_16 "0123456789abcdef"

static const struct verdict_case verdict_cases[] = {
        NUMBER("id 0", BAD_ID, id, 0),
        NUMBER("an id twice", DUPLICATE_ID, id, 1),
        TEXT("no name", name, ""),
        TEXT("an endless name", name, TEXT_16 TEXT_16 TEXT_16 TEXT_16),
        TEXT("a newline in the name", name, "a\nb"),
        TEXT("UTF-8 in the name", name, "Größe"),
        TEXT("something behind the name", name, "Name\0x"),
        TEXT("an escape in the class", type_class, "\033[2J"),
        NUMBER("no instances", BAD_FIELD, max_instances, 0),
        NUMBER("no framebuffer", BAD_FIELD, framebuffer, 0),
        NUMBER("a framebuffer not in MiB", BAD_FIELD, framebuffer, 1024 * MIB + 4096),
        NUMBER("more mappable than there is", BAD_FIELD, mappable_video, 1024 * MIB + 1),
        NUMBER("BAR1 no power of two", BAD_FIELD, bar1_size, 3 * MIB),
        NUMBER("BAR1 below a page", BAD_FIELD, bar1_size, 2048),
        NUMBER("vdev id beyond 32 bits", BAD_FIELD, vdev_id, 1ULL << 32),
        NUMBER("pdev id beyond 32 bits", BAD_FIELD, pdev_id, 1ULL << 32),
        NUMBER("encoder above 100 %", BAD_FIELD, encoder_percent, 101),
        NUMBER("an unknown flag", BAD_FIELD, flags, 1U << 31),
        NUMBER("larger than the GPU", TOO_LARGE, framebuffer, 40961 * MIB),
        NUMBER("a framebuffer near 2^64", TOO_LARGE, framebuffer, ~0ULL << 20),
        NUMBER("larger with what is reserved", TOO_LARGE, framebuffer_reserved, 39 * 1024 * MIB + 1),
        NUMBER("a reserve of 2^64 - 1", TOO_LARGE, framebuffer_reserved, UINT64_MAX),
        NUMBER("BAR1 beyond the framebuffer", TOO_LARGE, bar1_size, 1ULL << 63),
};

static void test_verdicts(int owner) {
        struct mdevgpu_set_types set;

        for (size_t i = 0; i < sizeof(verdict_cases) / sizeof(verdict_cases[0]); i++) {
                const struct verdict_case *c = &verdict_cases[i];
                struct mdevgpu_type types[] = { type_make(1, 2, 1024 * MIB), type_make(2, 2, 1024 * MIB) };
                char *member = (char *)&types[1] + c->field;
                int r;

                memset(member, 0, c->size);
                /* Little-endian: a number's first bytes are what a shorter member holds. */
                memcpy(member, c->text ? c->text : (const char *)&c->number, c->text ? c->length : c->size);
                r = shim_set(owner, types, 2, 0, &set);
                check(r < 0 && errno == EINVAL && types[0].verdict == MDEVGPU_VERDICT_OK &&
                              types[1].verdict == c->verdict && types[1].verdict_field == c->field &&
                              set.generation == 1,
                      "%s: EINVAL, verdict %u about offset %zu (got %u, %u)", c->name, c->verdict, c->field,
                      types[1].verdict, types[1].verdict_field);
        }
}

static void test_set_arguments(int owner) {
        struct {
                struct mdevgpu_type type;
                uint64_t newer;
        } wide = { type_make(1, 2, 1024 * MIB), 0 };
        struct mdevgpu_type *many = calloc(257, sizeof(*many)), one = wide.type;
        struct mdevgpu_set_types set = { .size = sizeof(set),
                                         .type_size = sizeof(one),
                                         .types = (uintptr_t)&one,
                                         .n_types = 1,
                                         .flags = MDEVGPU_SET_DRY_RUN };
        struct mdevgpu_set_types bad;

        check_errno(E2BIG, shim_set(owner, many, 257, 0, &bad), "257 types");
        free(many);

#define WITH(member, value) (bad = set, bad.member = (value), ioctl(owner, MDEVGPU_SET_TYPES, &bad))
        check_errno(0, WITH(flags, MDEVGPU_SET_DRY_RUN), "a dry run");
        check_errno(EINVAL, WITH(flags, 0x80), "an unknown flag in the call");
        check_errno(EINVAL, WITH(reserved, 1), "a reserved member");
        check_errno(EINVAL, WITH(type_size, MDEVGPU_TYPE_SIZE_VER0 - 8), "records below the first version's size");
        check_errno(EINVAL, WITH(type_size, sizeof(one) + 1), "records of an odd size");
        check_errno(E2BIG, WITH(type_size, 8192), "records above 4096 bytes");
        check_errno(EINVAL, WITH(types, 0), "types at no address");
        check_errno(EFAULT, WITH(types, 4096), "types at a bad address");
        check_errno(EFAULT, WITH(types, ~0ULL - 63), "types at the end of all addresses");
        check_errno(EFAULT, WITH(n_types, 256), "fewer types in memory than said");
        check_errno(EAGAIN, WITH(expected_generation, 77), "another generation expected");
        check(bad.generation == 1, "which tells the current one");
#undef WITH

        set.types = (uintptr_t)&wide;
        set.type_size = sizeof(wide);
        check_errno(0, ioctl(owner, MDEVGPU_SET_TYPES, &set), "records of a newer caller, zero where unknown");
        wide.newer = 1;
        check_errno(E2BIG, ioctl(owner, MDEVGPU_SET_TYPES, &set), "records of a newer caller, not zero");
}

static void test_set(int owner) {
        struct mdevgpu_type a = type_make(530, 2, 19136 * MIB), b = type_make(4294967295, 4, 8192 * MIB);
        struct mdevgpu_type types[] = { a, b }, swapped[] = { b, a };
        struct mdevgpu_set_types set;

        check_errno(0, shim_set(owner, types, 2, MDEVGPU_SET_DRY_RUN, &set), "two types, dry run");
        check(set.generation == 1 && types[0].verdict == MDEVGPU_VERDICT_OK && !type_exists(530),
              "nothing has changed");
        check_errno(0, shim_set(owner, types, 2, 0, &set), "two types");
        check(set.generation == 2 && types[1].verdict == MDEVGPU_VERDICT_OK, "a new generation");
        check(type_attribute(530, "name", "Test type/530") && type_attribute(530, "device_api", "vfio-pci") &&
                      type_attribute(530, "available_instances", "2"),
              "mdevgpu_ref-530 in sysfs");
        check(type_attribute(530, "description",
                             "num_heads=4, frl_config=120, framebuffer=19136M, "
                             "max_resolution=1920x1080, max_instance=2"),
              "its description");
        check(type_attribute(4294967295, "name", "Test type/4294967295"), "the largest id");
        check_errno(0, shim_set(owner, types, 2, 0, &set), "the same set");
        check(set.generation == 2, "changes nothing");
        check_errno(0, shim_set(owner, swapped, 2, 0, &set), "the same set in another order");
        check(set.generation == 2, "changes nothing");
        a.max_width = 4096;
        snprintf(a.name, sizeof(a.name), "Another name");
        check_errno(0, shim_set(owner, &a, 1, 0, &set), "one type, changed");
        check(type_attribute(530, "name", "Another name"), "has its new name");
        check(set.generation == 3 && type_exists(530) && !type_exists(4294967295), "the other one is gone");
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "no types");
        check(set.generation == 4 && !type_exists(530), "all are gone");
}

static void test_get(int owner, int reader) {
        struct mdevgpu_type types[] = { type_make(1, 2, 1024 * MIB), type_make(2, 3, 2048 * MIB) };
        struct {
                struct mdevgpu_type type;
                uint64_t newer;
        } wide[2];
        struct mdevgpu_type back[4];
        struct mdevgpu_set_types set;
        struct mdevgpu_get_types get;

        shim_set(owner, types, 2, 0, &set);
        check_errno(ENOSPC, shim_get(reader, NULL, 0, &get), "GET_TYPES with room for none");
        check(get.n_types == 2 && get.generation == set.generation, "tells how many there are");
        memset(back, 0xff, sizeof(back));
        check_errno(ENOSPC, shim_get(reader, back, 1, &get), "GET_TYPES with room for one");
        check(back[0].id == UINT32_MAX, "writes none");
        check_errno(0, shim_get(reader, back, 4, &get), "GET_TYPES by a reader");
        check(get.n_types == 2 && memcmp(types, back, offsetof(struct mdevgpu_type, verdict)) == 0 &&
                      back[1].live == 0 && back[1].available == 3 && back[2].id == UINT32_MAX,
              "gives what was set");
        check_errno(0, shim_set(owner, back, 2, 0, &set), "SET_TYPES of what GET_TYPES gave");
        check(set.generation == get.generation, "changes nothing");

        memset(wide, 0xff, sizeof(wide));
        get = (struct mdevgpu_get_types){
                .size = sizeof(get), .type_size = sizeof(wide[0]), .types = (uintptr_t)wide, .n_types = 2
        };
        check_errno(0, ioctl(reader, MDEVGPU_GET_TYPES, &get), "GET_TYPES by a newer caller");
        check(wide[1].type.id == 2 && wide[0].newer == 0 && wide[1].newer == 0, "is zero where unknown");
        get.types = 4096;
        check_errno(EFAULT, ioctl(reader, MDEVGPU_GET_TYPES, &get), "GET_TYPES to a bad address");
        get.flags = 2;
        check_errno(EINVAL, ioctl(reader, MDEVGPU_GET_TYPES, &get), "GET_TYPES with an unknown flag");
        shim_set(owner, NULL, 0, 0, &set);
}

int main(int argc, char *argv[]) {
        struct mdevgpu_identify id;
        char path[64];
        int reader, owner;

        reader = node_find(argc, argv, path, sizeof(path));
        owner = open(path, O_RDWR | O_CLOEXEC);
        if (!check(owner >= 0 && shim_identify(owner, &id) == 0 && id.generation == 1, "a GPU that never had types"))
                return tests_finish();

        test_verdicts(owner);
        test_set_arguments(owner);
        test_set(owner);
        test_get(owner, reader);
        return tests_finish();
}
