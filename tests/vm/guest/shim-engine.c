/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The copy engine of the shim's vGPUs: what it moves, what it refuses, how two share it, and that its memory is charged to
 * who uses it. Wants the name of a node that nobody uses; leaves it with an empty set.
 */

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "shim-vfio.h"

#define IOVA 0x20000000ULL
#define SIZE (2 * MIB)

static void test_copy(const struct vgpu *v) {
        uint8_t *p = dma_map(v, IOVA, SIZE), sum = 0;

        if (!check(p, "memory that the device may reach"))
                return;
        for (size_t i = 0; i < SIZE; i++)
                p[i] = i * 13 + i / 4096;
        engine_start(v, COMMAND_READ, IOVA + 5, 200 * MIB + 3, SIZE - 100);
        check(engine_wait(v) == STATUS_DONE && region_read(v, &bar0, REG_DONE, 4) == SIZE - 100,
              "a copy from there into the framebuffer, neither end on a page");
        region_write(v, &bar0, REG_WINDOW, 200 * MIB / 4096, 4);
        check((uint8_t)region_read(v, &bar1, 3, 1) == p[5] &&
                      (uint8_t)region_read(v, &bar1, SIZE - 100 + 2, 1) == p[SIZE - 96] &&
                      region_read(v, &bar1, 0, 2) == 0 && region_read(v, &bar1, SIZE - 100 + 3, 1) == 0,
              "has moved just these bytes");
        memset(p, 0, SIZE);
        engine_start(v, COMMAND_WRITE, IOVA, 200 * MIB + 3, SIZE - 100);
        check(engine_wait(v) == STATUS_DONE, "a copy back");
        for (size_t i = 0; i < SIZE - 100; i++)
                sum |= p[i] ^ (uint8_t)((i + 5) * 13 + (i + 5) / 4096);
        check(sum == 0 && p[SIZE - 100] == 0, "has brought them all");
        engine_start(v, COMMAND_FILL, 0, 200 * MIB, 8191);
        check(engine_wait(v) == STATUS_DONE, "a fill");
        region_write(v, &bar0, REG_PATTERN, 0x04030201, 4);
        region_write(v, &bar0, REG_COMMAND, COMMAND_FILL, 4);
        engine_wait(v);
        check(region_read(v, &bar1, 0, 8) == 0x0403020104030201 &&
                      (uint8_t)region_read(v, &bar1, 8191, 1) == (uint8_t)((8191 - 3 + 5) * 13 + (8191 - 3 + 5) / 4096),
              "with the pattern, up to its end");
        munmap(p, SIZE);
}

static void test_refused(const struct vgpu *v) {
        engine_start(v, 77, IOVA, 0, 4096);
        check(engine_wait(v) == STATUS_INVALID, "an unknown command");
        engine_start(v, COMMAND_FILL, 0, 512 * MIB - 4096, 4097);
        check(engine_wait(v) == STATUS_INVALID, "beyond the framebuffer");
        engine_start(v, COMMAND_FILL, 0, UINT64_MAX - 4095, 4096);
        check(engine_wait(v) == STATUS_INVALID, "around the end of all offsets");
        engine_start(v, COMMAND_FILL, 0, 0, 0);
        check(engine_wait(v) == STATUS_DONE, "nothing at all");
        engine_start(v, COMMAND_READ, IOVA + SIZE - 4096, 0, 8192);
        check(engine_wait(v) == STATUS_FAULT && region_read(v, &bar0, REG_DONE, 4) <= 4096,
              "out of what is mapped, into what is not");
        engine_start(v, COMMAND_WRITE, UINT64_MAX - 100, 0, 4096);
        check(engine_wait(v) == STATUS_FAULT, "around the end of all addresses");
}

static void test_irq(const struct vgpu *v) {
        struct {
                struct vfio_irq_set head;
                int32_t fd;
        } set = { .head = { .argsz = sizeof(set),
                            .index = VFIO_PCI_MSI_IRQ_INDEX,
                            .count = 1,
                            .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER },
                  .fd = eventfd(0, EFD_CLOEXEC) };
        struct pollfd p = { .fd = set.fd, .events = POLLIN };

        ioctl(v->device, VFIO_DEVICE_SET_IRQS, &set);
        region_write(v, &config, 0x52, 1, 2);
        engine_start(v, COMMAND_FILL, 0, 0, 4096);
        check(poll(&p, 1, 15000) == 1, "its end raises the interrupt");
        close(set.fd);
}

static void test_stop(const struct vgpu *v) {
        uint32_t done;

        engine_start(v, COMMAND_FILL, 0, 0, 512 * MIB - 4096);
        check(region_read(v, &bar0, REG_STATUS, 4) == STATUS_BUSY, "a long fill is on");
        region_write(v, &bar0, REG_LENGTH, 1, 4);
        region_write(v, &bar0, REG_COMMAND, COMMAND_FILL, 4);
        region_write(v, &bar0, REG_COMMAND, COMMAND_STOP, 4);
        check(engine_wait(v) == STATUS_IDLE, "and stops when told to");
        done = region_read(v, &bar0, REG_DONE, 4);
        check(done < 512 * MIB - 4096, "somewhere");
        engine_start(v, COMMAND_FILL, 0, 0, 512 * MIB - 4096);
        check_errno(0, ioctl(v->device, VFIO_DEVICE_RESET), "reset stops another");
        check(region_read(v, &bar0, REG_STATUS, 4) == STATUS_IDLE && region_read(v, &bar1, 0, 4) == 0,
              "and nothing is left of it");
}

static int share_set(int owner, const char *uuid, uint32_t share) {
        struct mdevgpu_set_share args = { .size = sizeof(args), .share = share };
        struct mdevgpu_get_usage usage;
        struct mdevgpu_vgpu rows[4];

        if (shim_usage(owner, rows, 4, &usage) < 0)
                return -1;
        /* The last digit is where they differ. */
        for (uint32_t i = 0; i < usage.n_vgpus; i++)
                if (rows[i].uuid[15] == (uint8_t)(uuid[35] - '0'))
                        memcpy(args.uuid, rows[i].uuid, sizeof(args.uuid));
        return ioctl(owner, MDEVGPU_SET_SHARE, &args);
}

static uint64_t engine_wait_done(const struct vgpu *v, uint64_t bytes) {
        uint64_t done = 0;

        for (unsigned i = 0; i < 3000 && done < bytes; i++) {
                if (i > 0)
                        usleep(10000);
                done = region_read(v, &bar0, REG_DONE, 4);
        }
        return done;
}

/* Both want it all the time; from when both are at it, what they get is as their shares. */
static void test_share(int owner, const struct vgpu *a, const struct vgpu *b) {
        uint64_t from_a, from_b, done_a, done_b;

        check_errno(0, share_set(owner, UUID(1), 100), "share 100");
        check_errno(0, share_set(owner, UUID(2), 400), "share 400");
        engine_start(a, COMMAND_FILL, 0, 0, 511 * MIB);
        engine_start(b, COMMAND_FILL, 0, 0, 511 * MIB);
        from_b = engine_wait_done(b, 4 * MIB);
        from_a = region_read(a, &bar0, REG_DONE, 4);
        done_b = engine_wait_done(b, from_b + 64 * MIB) - from_b;
        done_a = region_read(a, &bar0, REG_DONE, 4) - from_a;
        check(done_a > 0 && done_b > done_a * 2 && done_b < done_a * 8, "two that fill: %llu MiB and %llu MiB",
              (unsigned long long)(done_a / MIB), (unsigned long long)(done_b / MIB));
        region_write(a, &bar0, REG_COMMAND, COMMAND_STOP, 4);
        region_write(b, &bar0, REG_COMMAND, COMMAND_STOP, 4);
        engine_wait(a);
        engine_wait(b);
}

#define GROUP "/sys/fs/cgroup/shim-engine"

static void charge_child(void) {
        char text[32];
        struct vgpu v = { -1, -1, -1 };

        snprintf(text, sizeof(text), "%d", getpid());
        if (file_write(GROUP "/cgroup.procs", text) < 0 || vgpu_open(UUID(1), &v) < 0 || !regions_find(&v))
                _exit(1);
        engine_start(&v, COMMAND_FILL, 0, 0, 48 * MIB);
        engine_wait(&v);
        region_write(&v, &bar1, 64 * MIB, 1, 4);
        pause();
}

/* Pages that the engine touches belong to the group of who opened the vGPU. */
static void test_charge(void) {
        char text[64] = "";
        unsigned long long used = 0;
        pid_t pid;
        int fd;

        file_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
        if (!check_errno(0, mkdir(GROUP, 0755), "a control group"))
                return;
        pid = fork();
        if (pid == 0)
                charge_child();
        for (unsigned i = 0; i < 1000 && used < 48 * MIB; i++) {
                usleep(10000);
                fd = open(GROUP "/memory.current", O_RDONLY | O_CLOEXEC);
                if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
                        used = strtoull(text, NULL, 10);
                close(fd);
        }
        check(used >= 48 * MIB && used < 96 * MIB, "48 MiB that the engine filled are charged to its group: %llu MiB",
              used / MIB);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        rmdir(GROUP);
}

int main(int argc, char *argv[]) {
        struct mdevgpu_type type = type_make(1, 2, 512 * MIB);
        struct mdevgpu_set_types set;
        struct vgpu a, b;
        char path[64];
        int owner;

        close(node_find(argc, argv, path, sizeof(path)));
        owner = open(path, O_RDWR | O_CLOEXEC);
        shim_set(owner, &type, 1, 0, &set);
        vgpu_create(1, UUID(1));
        vgpu_create(1, UUID(2));
        if (!check(vgpu_open(UUID(1), &a) == 0 && vgpu_open(UUID(2), &b) == 0 && regions_find(&a), "two vGPUs"))
                return tests_finish();
        test_copy(&a);
        test_refused(&a);
        test_irq(&a);
        test_stop(&a);
        test_share(owner, &a, &b);
        vgpu_close(&a);
        vgpu_close(&b);
        test_charge();
        vgpu_remove(UUID(1));
        vgpu_remove(UUID(2));
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "no vGPU is left over");
        return tests_finish();
}
