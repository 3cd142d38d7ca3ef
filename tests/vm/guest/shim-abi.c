/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The shim's control channel against the real modules: each rule of shim/mdevgpu-shim.h, broken once. Wants the name of
 * a GPU's node that nobody uses; ends by unloading the vendor module under its open files.
 */

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "shim-test.h"

#define NOBODY 65534

static const char *node;                /* "gpu0" */
static char node_path[64];              /* "/dev/mdevgpu/gpu0" */
static char *gpu_path;                  /* of the PCI device in sysfs */

static int node_open(int flags) {
        return open(node_path, flags | O_CLOEXEC);
}

static void test_node(void) {
        char path[256];
        struct stat st;

        check(stat(node_path, &st) == 0 && S_ISCHR(st.st_mode) && (st.st_mode & 07777) == 0600 && st.st_uid == 0,
              "%s is a character device that root alone may open", node_path);
        snprintf(path, sizeof(path), "%s/mdevgpu/%s/dev", gpu_path, node);
        check(access(path, F_OK) == 0, "the GPU's folder in sysfs leads to it: mdevgpu/%s", node);
        snprintf(path, sizeof(path), "%s/mdev_supported_types", gpu_path);
        check(access(path, F_OK) < 0, "a GPU without types is no mdev parent");
}

static void test_identify(int fd) {
        struct mdevgpu_identify id;
        char zero[MDEVGPU_INSTANCE_SIZE] = {};

        check_errno(0, shim_identify(fd, &id), "IDENTIFY");
        check(id.abi_version == MDEVGPU_ABI_VERSION && id.type_size == sizeof(struct mdevgpu_type) &&
              id.size == sizeof(id) && id.reserved == 0, "version and sizes");
        check((id.capabilities & (MDEVGPU_CAP_SET_TYPES | MDEVGPU_CAP_TAKEOVER | MDEVGPU_CAP_CAPACITY)) ==
              (MDEVGPU_CAP_SET_TYPES | MDEVGPU_CAP_TAKEOVER | MDEVGPU_CAP_CAPACITY), "capabilities");
        check(memcmp(id.instance_id, zero, sizeof(zero)) != 0, "an instance id");
        check(id.generation == 1 && id.n_types == 0 && id.n_live == 0 && id.max_types >= 64, "an empty set of types");
        check(id.framebuffer_total == 40960 * MIB, "the framebuffer in bytes");
        check(strcmp(id.type_prefix, "mdevgpu_ref") == 0 && strcmp(id.driver, "mdevgpu_ref") == 0 &&
              id.driver_version[0] && id.vendor[0] && id.model[0], "strings");
}

/* A structure of a newer or older caller, at the very end of what is mapped */
static int identify_sized(int fd, uint32_t size, size_t room, int last_byte) {
        size_t page = sysconf(_SC_PAGESIZE), mapped = 3 * page;
        char *p, *args;
        int r, error;

        p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                abort();
        mprotect(p + 2 * page, page, PROT_NONE);
        args = p + 2 * page - room;
        memcpy(args, &size, sizeof(size));
        if (last_byte)
                args[room - 1] = last_byte;
        r = ioctl(fd, MDEVGPU_IDENTIFY, args);
        error = errno;
        munmap(p, mapped);
        errno = error;
        return r;
}

static void test_sizes(int fd) {
        const uint32_t known = sizeof(struct mdevgpu_identify);

        check_errno(0, identify_sized(fd, known, known, 0), "a structure at the end of a mapping");
        check_errno(EINVAL, identify_sized(fd, 0, known, 0), "size 0");
        check_errno(EINVAL, identify_sized(fd, MDEVGPU_IDENTIFY_SIZE_VER0 - 8, known, 0), "size below the first version's");
        check_errno(0, identify_sized(fd, known + 64, known + 64, 0), "a newer caller's tail of zeros");
        check_errno(E2BIG, identify_sized(fd, known + 64, known + 64, 1), "a newer caller's tail with something in it");
        check_errno(E2BIG, identify_sized(fd, 4104, 4104, 0), "size above 4096");
        check_errno(E2BIG, identify_sized(fd, UINT32_MAX, known, 0), "size 4294967295");
        check_errno(EFAULT, identify_sized(fd, known, 8, 0), "a structure that ends in no memory");
        check_errno(EFAULT, ioctl(fd, MDEVGPU_IDENTIFY, NULL), "no structure");
        check_errno(ENOTTY, ioctl(fd, _IO(MDEVGPU_IOCTL_MAGIC, 0x7f), NULL), "an unknown call");
}

static void test_owner(int reader) {
        struct mdevgpu_set_types set;
        struct mdevgpu_identify id;
        uint64_t epoch;
        int owner, copy;

        shim_identify(reader, &id);
        epoch = id.epoch;
        check(!(id.flags & MDEVGPU_IDENTIFY_OWNED), "nobody owns the GPU at first");
        check_errno(EBADF, shim_set(reader, NULL, 0, 0, &set), "SET_TYPES by a reader");

        owner = node_open(O_RDWR);
        check(owner >= 0, "the first open for writing");
        check_errno(EBUSY, node_open(O_RDWR), "a second open for writing");
        check_errno(EBUSY, node_open(O_WRONLY), "a second open for writing only");
        shim_identify(reader, &id);
        check(id.epoch == epoch + 1 && (id.flags & MDEVGPU_IDENTIFY_OWNED) && !(id.flags & MDEVGPU_IDENTIFY_OWNER),
              "a reader sees that there is an owner, and a new epoch");
        shim_identify(owner, &id);
        check(id.flags & MDEVGPU_IDENTIFY_OWNER, "the owner sees that it is");
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "SET_TYPES by the owner");
        check(set.generation == 1, "the empty set again: no new generation");

        copy = dup(owner);
        close(owner);
        check_errno(EBUSY, node_open(O_RDWR), "ownership stays as long as one descriptor does");
        close(copy);
        owner = node_open(O_RDWR);
        check(owner >= 0, "and ends with the last");
        close(owner);
}

static int takeover(int fd, uint64_t epoch, uint64_t *ret) {
        struct mdevgpu_takeover args = { .size = sizeof(args), .epoch = epoch };
        int r;

        r = ioctl(fd, MDEVGPU_TAKEOVER, &args);
        *ret = args.epoch;
        return r;
}

static void test_takeover(int reader) {
        struct mdevgpu_takeover bad = { .size = sizeof(bad), .flags = 1 };
        struct mdevgpu_set_types set;
        struct mdevgpu_identify id;
        uint64_t epoch, now;
        int owner;

        owner = node_open(O_RDWR);
        shim_identify(owner, &id);
        epoch = id.epoch;
        check_errno(EINVAL, ioctl(reader, MDEVGPU_TAKEOVER, &bad), "TAKEOVER with an unknown flag");
        check_errno(EAGAIN, takeover(reader, epoch + 1, &now), "TAKEOVER of another epoch");
        check(now == epoch, "which tells the current one");
        check_errno(0, takeover(reader, epoch, &now), "TAKEOVER by a reader");
        check(now == epoch + 1, "begins an epoch");
        check_errno(0, takeover(reader, 0, &now), "TAKEOVER by the owner");
        check(now == epoch + 1, "begins none");
        check_errno(ESTALE, shim_set(owner, NULL, 0, 0, &set), "SET_TYPES by the previous owner");
        check_errno(0, shim_set(reader, NULL, 0, 0, &set), "SET_TYPES by the new one");
        check_errno(0, shim_identify(owner, &id), "the previous owner may still read");
        check_errno(EBUSY, node_open(O_RDWR), "open for writing while a reader owns the GPU");
        check_errno(0, takeover(owner, 0, &now), "TAKEOVER back");
        check_errno(ESTALE, shim_set(reader, NULL, 0, 0, &set), "SET_TYPES by whom that took it from");
        close(owner);
        shim_identify(reader, &id);
        check(!(id.flags & MDEVGPU_IDENTIFY_OWNED), "close gives the ownership back, not to the reader before");
}

/* In a child, so that the privilege can be given up */
static void as_child(void (*test)(int reader, int owner), int reader, int owner) {
        unsigned counts[2] = {};
        int fds[2], status;
        pid_t pid;

        if (pipe(fds) < 0)
                abort();
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                n_passed = n_failed = 0;
                test(reader, owner);
                counts[0] = n_passed;
                counts[1] = n_failed;
                _exit(write(fds[1], counts, sizeof(counts)) == sizeof(counts) ? 0 : 1);
        }
        close(fds[1]);
        if (read(fds[0], counts, sizeof(counts)) != sizeof(counts) || waitpid(pid, &status, 0) < 0)
                check(false, "the child ends as it should");
        close(fds[0]);
        n_passed += counts[0];
        n_failed += counts[1];
}

static void changes_refused(int reader, int owner, const char *who) {
        struct mdevgpu_set_types set;
        struct mdevgpu_identify id;
        uint64_t epoch;
        char name[128];

        snprintf(name, sizeof(name), "%s with the owner's descriptor: SET_TYPES", who);
        check_errno(EPERM, shim_set(owner, NULL, 0, 0, &set), name);
        snprintf(name, sizeof(name), "%s: DRY_RUN", who);
        check_errno(EPERM, shim_set(owner, NULL, 0, MDEVGPU_SET_DRY_RUN, &set), name);
        snprintf(name, sizeof(name), "%s: TAKEOVER", who);
        check_errno(EPERM, takeover(reader, 0, &epoch), name);
        snprintf(name, sizeof(name), "%s: IDENTIFY", who);
        check_errno(0, shim_identify(reader, &id), name);
}

static void test_nobody(int reader, int owner) {
        if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
                abort();
        changes_refused(reader, owner, "nobody");
        check_errno(EACCES, node_open(O_RDONLY), "nobody opens the node");
}

static void test_nobody_let_in(int reader, int owner) {
        int fd;

        (void) reader, (void) owner;
        chmod(node_path, 0666);
        if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
                abort();
        fd = node_open(O_RDONLY);
        check(fd >= 0, "nobody opens a node of mode 0666 for reading");
        check_errno(EPERM, node_open(O_RDWR), "nobody opens a node of mode 0666 for writing");
}

static void test_user_namespace(int reader, int owner) {
        if (unshare(CLONE_NEWUSER) < 0) {
                check(false, "a user namespace: %s", strerror(errno));
                return;
        }
        changes_refused(reader, owner, "root of a user namespace");
}

static void test_privilege(int reader) {
        int owner = node_open(O_RDWR);

        as_child(test_nobody, reader, owner);
        as_child(test_user_namespace, reader, owner);
        close(owner);
        as_child(test_nobody_let_in, -1, -1);
        chmod(node_path, 0600);
}

struct verdict_case {
        const char *name;
        uint32_t verdict;
        size_t field;
        void (*spoil)(struct mdevgpu_type *t);
};

static void spoil_id(struct mdevgpu_type *t) { t->id = 0; }
static void spoil_duplicate(struct mdevgpu_type *t) { t->id = 1; }
static void spoil_no_name(struct mdevgpu_type *t) { memset(t->name, 0, sizeof(t->name)); }
static void spoil_long_name(struct mdevgpu_type *t) { memset(t->name, 'x', sizeof(t->name)); }
static void spoil_name(struct mdevgpu_type *t) { t->name[2] = '\n'; }
static void spoil_name_utf8(struct mdevgpu_type *t) { strcpy(t->name, "Größe"); }
static void spoil_name_tail(struct mdevgpu_type *t) { t->name[sizeof(t->name) - 1] = 'x'; }
static void spoil_class(struct mdevgpu_type *t) { t->type_class[0] = '\033'; }
static void spoil_max(struct mdevgpu_type *t) { t->max_instances = 0; }
static void spoil_framebuffer(struct mdevgpu_type *t) { t->framebuffer = 0; }
static void spoil_framebuffer_odd(struct mdevgpu_type *t) { t->framebuffer += 4096; }
static void spoil_mappable(struct mdevgpu_type *t) { t->mappable_video = t->framebuffer + 1; }
static void spoil_bar1(struct mdevgpu_type *t) { t->bar1_size = 3 * MIB; }
static void spoil_bar1_small(struct mdevgpu_type *t) { t->bar1_size = 2048; }
static void spoil_vdev(struct mdevgpu_type *t) { t->vdev_id = 1ULL << 32; }
static void spoil_encoder(struct mdevgpu_type *t) { t->encoder_percent = 101; }
static void spoil_flags(struct mdevgpu_type *t) { t->flags = 1U << 31; }
static void spoil_large(struct mdevgpu_type *t) { t->framebuffer = 40961 * MIB; }
static void spoil_huge(struct mdevgpu_type *t) { t->framebuffer = ~0ULL << 20; t->framebuffer_reserved = 1 << 20; }
static void spoil_reserved(struct mdevgpu_type *t) { t->framebuffer_reserved = UINT64_MAX; }
static void spoil_bar1_large(struct mdevgpu_type *t) { t->bar1_size = 1ULL << 63; }

#define FIELD(member) offsetof(struct mdevgpu_type, member)

static const struct verdict_case verdict_cases[] = {
        { "id 0",                       MDEVGPU_VERDICT_BAD_ID,       FIELD(id),              spoil_id },
        { "an id twice",                MDEVGPU_VERDICT_DUPLICATE_ID, FIELD(id),              spoil_duplicate },
        { "no name",                    MDEVGPU_VERDICT_BAD_NAME,     FIELD(name),            spoil_no_name },
        { "an endless name",            MDEVGPU_VERDICT_BAD_NAME,     FIELD(name),            spoil_long_name },
        { "a newline in the name",      MDEVGPU_VERDICT_BAD_NAME,     FIELD(name),            spoil_name },
        { "UTF-8 in the name",          MDEVGPU_VERDICT_BAD_NAME,     FIELD(name),            spoil_name_utf8 },
        { "something behind the name",  MDEVGPU_VERDICT_BAD_NAME,     FIELD(name),            spoil_name_tail },
        { "an escape in the class",     MDEVGPU_VERDICT_BAD_NAME,     FIELD(type_class),      spoil_class },
        { "no instances",               MDEVGPU_VERDICT_BAD_FIELD,    FIELD(max_instances),   spoil_max },
        { "no framebuffer",             MDEVGPU_VERDICT_BAD_FIELD,    FIELD(framebuffer),     spoil_framebuffer },
        { "framebuffer not in MiB",     MDEVGPU_VERDICT_BAD_FIELD,    FIELD(framebuffer),     spoil_framebuffer_odd },
        { "more mappable than there is", MDEVGPU_VERDICT_BAD_FIELD,   FIELD(mappable_video),  spoil_mappable },
        { "BAR1 no power of two",       MDEVGPU_VERDICT_BAD_FIELD,    FIELD(bar1_size),       spoil_bar1 },
        { "BAR1 below a page",          MDEVGPU_VERDICT_BAD_FIELD,    FIELD(bar1_size),       spoil_bar1_small },
        { "vdev id beyond 32 bits",     MDEVGPU_VERDICT_BAD_FIELD,    FIELD(vdev_id),         spoil_vdev },
        { "encoder above 100 %",        MDEVGPU_VERDICT_BAD_FIELD,    FIELD(encoder_percent), spoil_encoder },
        { "an unknown flag",            MDEVGPU_VERDICT_BAD_FIELD,    FIELD(flags),           spoil_flags },
        { "larger than the GPU",        MDEVGPU_VERDICT_TOO_LARGE,    FIELD(framebuffer),     spoil_large },
        { "framebuffer near 2^64",      MDEVGPU_VERDICT_TOO_LARGE,    FIELD(framebuffer),     spoil_huge },
        { "reserve of 2^64 - 1",        MDEVGPU_VERDICT_TOO_LARGE,    FIELD(framebuffer_reserved), spoil_reserved },
        { "BAR1 beyond the framebuffer", MDEVGPU_VERDICT_TOO_LARGE,   FIELD(bar1_size),       spoil_bar1_large },
};

static void test_verdicts(int owner) {
        struct mdevgpu_set_types set;

        for (size_t i = 0; i < sizeof(verdict_cases) / sizeof(verdict_cases[0]); i++) {
                const struct verdict_case *c = &verdict_cases[i];
                struct mdevgpu_type types[] = { type_make(1, 2, 1024 * MIB), type_make(2, 2, 1024 * MIB) };
                int r;

                c->spoil(&types[1]);
                r = shim_set(owner, types, 2, 0, &set);
                check(r < 0 && errno == EINVAL && types[0].verdict == MDEVGPU_VERDICT_OK &&
                      types[1].verdict == c->verdict && types[1].verdict_field == c->field && set.generation == 1,
                      "%s: EINVAL, verdict %u about offset %zu (got %u, %u)", c->name, c->verdict, c->field,
                      types[1].verdict, types[1].verdict_field);
        }
}

static void test_set_arguments(int owner) {
        struct { struct mdevgpu_type type; uint64_t newer; } wide = { type_make(1, 2, 1024 * MIB), 0 };
        struct mdevgpu_type *many = calloc(257, sizeof(*many)), one = wide.type;
        struct mdevgpu_set_types set = { .size = sizeof(set), .type_size = sizeof(one), .types = (uintptr_t) &one,
                                         .n_types = 1, .flags = MDEVGPU_SET_DRY_RUN };
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

        set.types = (uintptr_t) &wide;
        set.type_size = sizeof(wide);
        check_errno(0, ioctl(owner, MDEVGPU_SET_TYPES, &set), "records of a newer caller, zero where unknown");
        wide.newer = 1;
        check_errno(E2BIG, ioctl(owner, MDEVGPU_SET_TYPES, &set), "records of a newer caller, not zero");
}

static bool type_attribute(uint32_t id, const char *name, const char *expected) {
        char path[256];

        snprintf(path, sizeof(path), "%s/mdev_supported_types/mdevgpu_ref-%u/%s", gpu_path, id, name);
        return file_reads(path, expected);
}

static bool type_exists(uint32_t id) {
        char path[256];

        snprintf(path, sizeof(path), "%s/mdev_supported_types/mdevgpu_ref-%u", gpu_path, id);
        return access(path, F_OK) == 0;
}

static void test_set(int owner) {
        struct mdevgpu_type a = type_make(530, 2, 19136 * MIB), b = type_make(4294967295, 4, 8192 * MIB);
        struct mdevgpu_type types[] = { a, b }, swapped[] = { b, a };
        struct mdevgpu_set_types set;

        check_errno(0, shim_set(owner, types, 2, MDEVGPU_SET_DRY_RUN, &set), "two types, dry run");
        check(set.generation == 1 && types[0].verdict == MDEVGPU_VERDICT_OK && !type_exists(530), "nothing has changed");
        check_errno(0, shim_set(owner, types, 2, 0, &set), "two types");
        check(set.generation == 2 && types[1].verdict == MDEVGPU_VERDICT_OK, "a new generation");
        check(type_attribute(530, "name", "Test type/530") && type_attribute(530, "device_api", "vfio-pci") &&
              type_attribute(530, "available_instances", "2"), "mdevgpu_ref-530 in sysfs");
        check(type_attribute(530, "description", "num_heads=4, frl_config=120, framebuffer=19136M, "
                             "max_resolution=1920x1080, max_instance=2"), "its description");
        check(type_attribute(4294967295, "name", "Test type/4294967295"), "the largest id");
        check_errno(0, shim_set(owner, types, 2, 0, &set), "the same set");
        check(set.generation == 2, "changes nothing");
        check_errno(0, shim_set(owner, swapped, 2, 0, &set), "the same set in another order");
        check(set.generation == 2, "changes nothing");
        a.max_width = 4096;
        check_errno(0, shim_set(owner, &a, 1, 0, &set), "one type, changed");
        check(set.generation == 3 && type_exists(530) && !type_exists(4294967295), "the other one is gone");
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "no types");
        check(set.generation == 4 && !type_exists(530), "all are gone");
}

static void test_get(int owner, int reader) {
        struct mdevgpu_type types[] = { type_make(1, 2, 1024 * MIB), type_make(2, 3, 2048 * MIB) };
        struct { struct mdevgpu_type type; uint64_t newer; } wide[2];
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
              back[1].live == 0 && back[1].available == 3 && back[2].id == UINT32_MAX, "gives what was set");
        check_errno(0, shim_set(owner, back, 2, 0, &set), "SET_TYPES of what GET_TYPES gave");
        check(set.generation == get.generation, "changes nothing");

        memset(wide, 0xff, sizeof(wide));
        get = (struct mdevgpu_get_types) { .size = sizeof(get), .type_size = sizeof(wide[0]),
                                           .types = (uintptr_t) wide, .n_types = 2 };
        check_errno(0, ioctl(reader, MDEVGPU_GET_TYPES, &get), "GET_TYPES by a newer caller");
        check(wide[1].type.id == 2 && wide[0].newer == 0 && wide[1].newer == 0, "is zero where unknown");
        get.types = 4096;
        check_errno(EFAULT, ioctl(reader, MDEVGPU_GET_TYPES, &get), "GET_TYPES to a bad address");
        get.flags = 1;
        check_errno(EINVAL, ioctl(reader, MDEVGPU_GET_TYPES, &get), "GET_TYPES with an unknown flag");
        shim_set(owner, NULL, 0, 0, &set);
}

static int vgpu_create(uint32_t id, const char *uuid) {
        char path[256];

        snprintf(path, sizeof(path), "%s/mdev_supported_types/mdevgpu_ref-%u/create", gpu_path, id);
        return file_write(path, uuid);
}

static int vgpu_remove(const char *uuid) {
        char path[256];

        snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", uuid);
        return file_write(path, "1");
}

#define UUID(n) "5b8c9e12-0000-4000-8000-00000000000" #n

static void test_live(int owner) {
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
        check(back[0].live == 1 && back[0].available == 1 && back[1].live == 0 && back[1].available == 2 && id.n_live == 1,
              "GET_TYPES and IDENTIFY count it");
        check_errno(0, vgpu_create(2, UUID(2)), "a vGPU of the sibling");
        check_errno(0, vgpu_create(2, UUID(3)), "another");
        check_errno(ENOSPC, vgpu_create(2, UUID(4)), "one more than the framebuffer holds");
        check_errno(ENOSPC, vgpu_create(1, UUID(4)), "of either type");

        check_errno(0, shim_set(owner, types, 2, 0, &set), "the same set while vGPUs exist");
        check(set.n_live == 3, "and how many do");
        types[1].max_width++;
        check_errno(EBUSY, shim_set(owner, types, 2, 0, &set), "a changed type while vGPUs exist");
        check(types[0].verdict == MDEVGPU_VERDICT_OK && types[1].verdict == MDEVGPU_VERDICT_LIVE && set.n_live == 3,
              "verdict LIVE for that one");
        check_errno(EBUSY, shim_set(owner, types, 2, MDEVGPU_SET_DRY_RUN, &set), "a dry run says so, too");
        check_errno(EBUSY, shim_set(owner, types, 1, 0, &set), "a type less");
        types[1].id = 0;
        check_errno(EINVAL, shim_set(owner, types, 2, 0, &set), "a bad type is told of first");
        check(type_exists(1) && type_exists(2), "the types stay");

        check_errno(0, vgpu_remove(UUID(1)), "remove");
        vgpu_remove(UUID(2));
        vgpu_remove(UUID(3));
        check(type_attribute(1, "available_instances", "2"), "gives the framebuffer back");
        check_errno(0, shim_set(owner, types, 1, 0, &set), "then the set can change");
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "and go");
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
                churn->n_created++;
                vgpu_remove(UUID(8));
        }
        return NULL;
}

/* vGPUs are made and removed while the set changes: each refuses the other or succeeds, and nothing hangs. */
static void test_race(int owner) {
        struct churn churn = {};
        unsigned n_set = 0, n_busy = 0, n_other = 0;
        struct mdevgpu_set_types set;
        pthread_t thread;

        if (pthread_create(&thread, NULL, churn_thread, &churn) != 0)
                abort();
        for (unsigned i = 0; i < 200; i++) {
                struct mdevgpu_type type = type_make(1, 1 + i % 7, 1024 * MIB);

                if (shim_set(owner, &type, 1, 0, &set) == 0)
                        n_set++;
                else if (errno == EBUSY)
                        n_busy++;
                else
                        n_other++;
        }
        __atomic_store_n(&churn.stop, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        check(n_set > 0 && n_other == 0 && churn.n_created > 0,
              "sets against vGPUs: %u sets, %u refused, %u otherwise, %u vGPUs", n_set, n_busy, n_other, churn.n_created);
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "no vGPU is left over");
}

static void test_unplug(int reader) {
        struct pollfd p = { .fd = reader };
        char slot[8], path[128];
        struct mdevgpu_identify before, id;
        int fd;

        shim_identify(reader, &before);
        check(poll(&p, 1, 0) == 0, "poll has nothing to tell of a GPU that is there");
        snprintf(slot, sizeof(slot), "%lu", strtoul(strrchr(gpu_path, ':') + 1, NULL, 16));
        check_errno(0, file_write(DRIVER "/unplug", slot), "unplug the GPU with its node open");
        check(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP), "the open node says POLLHUP");
        check_errno(ENODEV, shim_identify(reader, &id), "and ENODEV");
        check(access(node_path, F_OK) < 0, "its name is gone");
        check_errno(ENODEV, file_write(DRIVER "/unplug", slot), "unplug an empty slot");
        check_errno(0, file_write(DRIVER "/plug", slot), "plug it in again");
        check_errno(EEXIST, file_write(DRIVER "/plug", slot), "plug into a slot that is taken");
        check_errno(EINVAL, file_write(DRIVER "/plug", "32"), "plug into a slot that is not there");

        /* The old number is kept by the open node, so the new one has another. */
        snprintf(path, sizeof(path), "%s/mdevgpu/%s", gpu_path, node);
        check(access(path, F_OK) < 0, "the number is not used again while the node is open");
        close(reader);
        file_write(DRIVER "/unplug", slot);
        file_write(DRIVER "/plug", slot);
        fd = node_open(O_RDONLY);
        check(fd >= 0 && shim_identify(fd, &id) == 0 && memcmp(id.instance_id, before.instance_id, sizeof(id.instance_id)) != 0,
              "the GPU that is plugged in is another instance");
        close(fd);
}

static void *poll_thread(void *p) {
        struct pollfd *pollfd = p;

        poll(pollfd, 1, 20000);
        return NULL;
}

static void test_unload(void) {
        int owner = node_open(O_RDWR), reader = node_open(O_RDONLY);
        struct mdevgpu_type type = type_make(1, 8, 1024 * MIB), back;
        struct pollfd p = { .fd = reader };
        struct mdevgpu_set_types set;
        struct mdevgpu_get_types get;
        struct mdevgpu_identify id;
        pthread_t thread;
        uint64_t epoch;

        check_errno(0, shim_set(owner, &type, 1, 0, &set), "a type");
        check_errno(0, vgpu_create(1, UUID(7)), "and an idle vGPU");
        if (pthread_create(&thread, NULL, poll_thread, &p) != 0)
                abort();
        check_errno(0, module_delete("mdevgpu_ref"), "the vendor module unloads under open files and an idle vGPU");
        pthread_join(thread, NULL);
        check(p.revents & POLLHUP, "who waits in poll is woken by POLLHUP");
        check(access("/sys/bus/mdev/devices/" UUID(7), F_OK) < 0, "the vGPU is gone");
        check_errno(ENODEV, shim_identify(reader, &id), "IDENTIFY");
        check_errno(ENODEV, shim_get(reader, &back, 1, &get), "GET_TYPES");
        check_errno(ENODEV, shim_set(owner, &type, 1, 0, &set), "SET_TYPES");
        check_errno(ENODEV, takeover(reader, 0, &epoch), "TAKEOVER");
        check_errno(EWOULDBLOCK, module_delete("mdevgpu"), "the core stays while a node is open");
        close(owner);
        close(reader);
        check_errno(0, module_delete("mdevgpu"), "and unloads after");
}

int main(int argc, char *argv[]) {
        char link[96];
        int reader, owner;

        if (argc != 2) {
                fprintf(stderr, "Usage: shim-abi NODE (as gpu0)\n");
                return 2;
        }
        node = argv[1];
        snprintf(node_path, sizeof(node_path), "/dev/mdevgpu/%s", node);
        snprintf(link, sizeof(link), "/sys/class/mdevgpu/%s/device", node);
        gpu_path = realpath(link, NULL);
        reader = node_open(O_RDONLY);
        if (!check(reader >= 0 && gpu_path, "%s opens for reading", node_path))
                return tests_finish();

        test_node();
        test_identify(reader);
        test_sizes(reader);
        test_owner(reader);
        test_takeover(reader);
        test_privilege(reader);

        owner = node_open(O_RDWR);
        test_verdicts(owner);
        test_set_arguments(owner);
        test_set(owner);
        test_get(owner, reader);
        test_live(owner);
        test_max_instances(owner);
        test_race(owner);
        close(owner);

        test_unplug(reader);
        test_unload();
        return tests_finish();
}
