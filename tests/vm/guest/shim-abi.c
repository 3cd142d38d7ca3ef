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
#include <sys/wait.h>
#include <time.h>

#include "shim-test.h"

#define NOBODY 65534

static const char *node; /* "gpu0" */
static char node_path[64]; /* "/dev/mdevgpu/gpu0" */

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
                      id.size == sizeof(id) && id.n_retired == 0,
              "version and sizes");
        check((id.capabilities & (MDEVGPU_CAP_SET_TYPES | MDEVGPU_CAP_TAKEOVER | MDEVGPU_CAP_CAPACITY)) ==
                      (MDEVGPU_CAP_SET_TYPES | MDEVGPU_CAP_TAKEOVER | MDEVGPU_CAP_CAPACITY),
              "capabilities");
        check(memcmp(id.instance_id, zero, sizeof(zero)) != 0, "an instance id");
        check(id.generation == 1 && id.n_types == 0 && id.n_live == 0 && id.max_types >= 64, "an empty set of types");
        check(id.framebuffer_total == 40960 * MIB, "the framebuffer in bytes");
        check(strcmp(id.type_prefix, "mdevgpu_ref") == 0 && strcmp(id.driver, "mdevgpu_ref") == 0 &&
                      id.driver_version[0] && id.vendor[0] && id.model[0] &&
                      strcmp(id.state_format, "MGPUSTAT-1") == 0,
              "strings");
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
        check_errno(0, identify_sized(fd, MDEVGPU_IDENTIFY_SIZE_VER0, MDEVGPU_IDENTIFY_SIZE_VER0, 0),
                    "the first version's structure at the end of a mapping");
        check_errno(EINVAL, identify_sized(fd, 0, known, 0), "size 0");
        check_errno(EINVAL, identify_sized(fd, MDEVGPU_IDENTIFY_SIZE_VER0 - 8, known, 0),
                    "size below the first version's");
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

        (void)reader, (void)owner;
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
        check(fd >= 0 && shim_identify(fd, &id) == 0 &&
                      memcmp(id.instance_id, before.instance_id, sizeof(id.instance_id)) != 0,
              "the GPU that is plugged in is another instance");
        close(fd);
}

#define POLL_SECONDS 30

struct poller {
        struct pollfd pollfd;
        time_t seconds;
};

/* A waiter that nobody wakes finds POLLHUP, too, when its time is up. */
static void *poll_thread(void *p) {
        struct poller *poller = p;
        time_t start = time(NULL);

        poll(&poller->pollfd, 1, POLL_SECONDS * 1000);
        poller->seconds = time(NULL) - start;
        return NULL;
}

static void test_unload(void) {
        int owner = node_open(O_RDWR), reader = node_open(O_RDONLY);
        struct mdevgpu_type type = type_make(1, 8, 1024 * MIB), back;
        struct poller poller = { .pollfd.fd = reader };
        struct mdevgpu_set_types set;
        struct mdevgpu_get_types get;
        struct mdevgpu_identify id;
        pthread_t thread;
        uint64_t epoch;

        check_errno(0, shim_set(owner, &type, 1, 0, &set), "a type");
        check_errno(0, vgpu_create(1, UUID(7)), "and an idle vGPU");
        if (pthread_create(&thread, NULL, poll_thread, &poller) != 0)
                abort();
        sleep(1);
        check_errno(0, module_delete("mdevgpu_ref"), "the vendor module unloads under open files and an idle vGPU");
        pthread_join(thread, NULL);
        check((poller.pollfd.revents & POLLHUP) && poller.seconds < POLL_SECONDS / 2,
              "who waits in poll is woken by POLLHUP");
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
        int reader;

        reader = node_find(argc, argv, node_path, sizeof(node_path));
        node = argv[1];

        test_node();
        test_identify(reader);
        test_sizes(reader);
        test_owner(reader);
        test_takeover(reader);
        test_privilege(reader);
        test_unplug(reader);
        test_unload();
        return tests_finish();
}
