/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the shim tells of by itself: events, with their order, their loss and their end; and who uses the GPU. Wants the
 * name of a node that nobody uses; ends by unplugging and plugging its GPU.
 */

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "shim-vfio.h"

#define VGPU UUID(1)
#define ALL (MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_ERROR + 1) - 1)

static char node_path[64];

static int subscribe(int fd, uint64_t mask, uint64_t high, uint64_t low, struct mdevgpu_subscribe *ret) {
        *ret = (struct mdevgpu_subscribe){
                .size = sizeof(*ret),
                .event_size = sizeof(struct mdevgpu_event),
                .mask = mask,
                .framebuffer_high = high,
                .framebuffer_low = low,
        };
        return ioctl(fd, MDEVGPU_SUBSCRIBE, ret);
}

static int reader_open(uint64_t mask, uint64_t high, uint64_t low) {
        struct mdevgpu_subscribe args;
        int fd = open(node_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        if (fd < 0 || subscribe(fd, mask, high, low, &args) < 0)
                check(false, "a subscription: %s", strerror(errno));
        return fd;
}

/* The next event; type UINT32_MAX if there is none */
static struct mdevgpu_event event_next(int fd) {
        struct mdevgpu_event event = { .type = UINT32_MAX };

        if (read(fd, &event, sizeof(event)) != sizeof(event))
                event.type = UINT32_MAX;
        return event;
}

static bool event_about(const struct mdevgpu_event *event, uint32_t type, const char *uuid) {
        char text[37];
        const uint8_t *u = event->uuid;

        snprintf(text, sizeof(text), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
                 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
        return event->type == type && strcmp(text, uuid) == 0;
}

static void test_subscribe(int fd) {
        struct mdevgpu_subscribe args = { .size = sizeof(args), .event_size = MDEVGPU_EVENT_SIZE_VER0, .mask = ALL,
                                          .framebuffer_high = 2, .framebuffer_low = 1 };
        struct mdevgpu_subscribe bad;
        char bytes[256];

        check_errno(EPERM, read(fd, bytes, sizeof(bytes)), "read without a subscription");
#define WITH(member, value) (bad = args, bad.member = (value), ioctl(fd, MDEVGPU_SUBSCRIBE, &bad))
        check_errno(EINVAL, WITH(mask, 1ULL << 63), "an event that nobody knows");
        check_errno(EINVAL, WITH(flags, 1), "an unknown flag");
        check_errno(EINVAL, WITH(event_size, MDEVGPU_EVENT_SIZE_VER0 - 8), "records below the first version's size");
        check_errno(EINVAL, WITH(event_size, MDEVGPU_EVENT_SIZE_VER0 + 1), "records of an odd size");
        check_errno(E2BIG, WITH(event_size, 8192), "records above 4096 bytes");
        check_errno(EINVAL, WITH(framebuffer_low, 2), "thresholds without a gap");
        check_errno(0, ioctl(fd, MDEVGPU_SUBSCRIBE, &args), "SUBSCRIBE");
        check(args.capacity >= 16, "which tells how much the queue holds");
        check_errno(EINVAL, read(fd, bytes, sizeof(struct mdevgpu_event) - 1), "read into less than a record");
        check_errno(0, WITH(mask, 0), "SUBSCRIBE to nothing");
#undef WITH
}

static void test_types(int owner) {
        struct mdevgpu_type type = type_make(1, 8, 1024 * MIB);
        int reader = reader_open(MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_TYPES), 0, 0);
        struct { struct mdevgpu_event event; uint64_t newer; } wide[2];
        struct mdevgpu_event first, second;
        struct mdevgpu_subscribe args;
        struct mdevgpu_set_types set;
        struct pollfd p = { .fd = reader, .events = POLLIN };

        check_errno(EAGAIN, read(reader, &first, sizeof(first)), "nothing has happened");
        check(poll(&p, 1, 0) == 0, "and poll knows");
        shim_set(owner, &type, 1, 0, &set);
        check(poll(&p, 1, 0) == 1 && p.revents == POLLIN, "a set in force wakes a reader");
        first = event_next(reader);
        check(first.type == MDEVGPU_EVENT_TYPES && first.generation == set.generation && first.sequence > 0 &&
                      first.time > 0,
              "who reads its generation");
        shim_set(owner, &type, 1, 0, &set);
        check(event_next(reader).type == UINT32_MAX, "the same set again is no event");
        type.heads++;
        shim_set(owner, &type, 1, 0, &set);
        second = event_next(reader);
        check(second.sequence == first.sequence + 1 && second.generation == first.generation + 1 &&
                      second.time >= first.time,
              "a change in place is the next one");

        memset(wide, 0xff, sizeof(wide));
        subscribe(reader, ALL & ~MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_FRAMEBUFFER), 0, 0, &args);
        args.event_size = sizeof(wide[0]);
        check_errno(0, ioctl(reader, MDEVGPU_SUBSCRIBE, &args), "SUBSCRIBE by a newer caller");
        type.heads--;
        shim_set(owner, &type, 1, 0, &set);
        check(read(reader, wide, sizeof(wide)) == sizeof(wide[0]) && wide[0].newer == 0 &&
                      wide[0].event.type == MDEVGPU_EVENT_TYPES && wide[1].newer != 0,
              "is given its own records, zero where unknown");
        type.heads++;
        shim_set(owner, &type, 1, 0, &set);
        check_errno(EFAULT, read(reader, (void *)4096, 4096), "read into no memory");
        close(reader);
}

static void test_vgpu(int owner) {
        int reader = reader_open(ALL & ~MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_FRAMEBUFFER), 0, 0);
        struct mdevgpu_set_share share = { .size = sizeof(share), .share = 300 };
        struct mdevgpu_get_usage usage;
        struct mdevgpu_vgpu row[2] = {};
        struct mdevgpu_event event;
        struct vgpu v = { -1, -1, -1 };

        check_errno(0, vgpu_create(1, VGPU), "a vGPU");
        check(event_next(reader).type == UINT32_MAX, "which is udev's to tell");
        check_errno(0, vgpu_open(VGPU, &v), "is opened");
        event = event_next(reader);
        check(event_about(&event, MDEVGPU_EVENT_VGPU_OPENED, VGPU) && event.pid == (uint32_t)getpid() &&
                      event.type_id == 1,
              "an event says by whom");
        regions_find(&v);
        region_write(&v, &bar1, 8 * MIB, 1, 4);
        region_write(&v, &bar1, 16 * MIB, 1, 4);
        check_errno(ENOSPC, shim_usage(reader, NULL, 0, &usage), "GET_USAGE without room");
        check(usage.n_vgpus == 1, "tells how much is needed");
        check_errno(0, shim_usage(reader, row, 2, &usage), "GET_USAGE by a reader");
        check(usage.framebuffer_total == 40960 * MIB && usage.framebuffer_used == 1088 * MIB &&
                      row[0].framebuffer == 1088 * MIB && row[0].framebuffer_backed == 2 * 4096ULL &&
                      row[0].opener == (uint32_t)getpid() && row[0].flags == MDEVGPU_VGPU_OPEN &&
                      row[0].share == MDEVGPU_SHARE_DEFAULT && row[0].type_id == 1,
              "what it takes, what is behind it, who has it open");
        usage = (struct mdevgpu_get_usage){ .size = sizeof(usage), .vgpu_size = sizeof(row[0]), .flags = 1 };
        check_errno(EINVAL, ioctl(reader, MDEVGPU_GET_USAGE, &usage), "an unknown flag");

        memcpy(share.uuid, row[0].uuid, sizeof(share.uuid));
        check_errno(EBADF, ioctl(reader, MDEVGPU_SET_SHARE, &share), "SET_SHARE by a reader");
        check_errno(0, ioctl(owner, MDEVGPU_SET_SHARE, &share), "SET_SHARE by the owner");
        check(share.previous == MDEVGPU_SHARE_DEFAULT && shim_usage(reader, row, 2, &usage) == 0 && row[0].share == 300,
              "it has changed");
        share.share = 0;
        check_errno(EINVAL, ioctl(owner, MDEVGPU_SET_SHARE, &share), "no share");
        share.share = MDEVGPU_SHARE_MAX + 1;
        check_errno(EINVAL, ioctl(owner, MDEVGPU_SET_SHARE, &share), "more than all");
        share.share = 1;
        share.uuid[0]++;
        check_errno(ENOENT, ioctl(owner, MDEVGPU_SET_SHARE, &share), "of a vGPU that is not there");

        engine_start(&v, COMMAND_READ, 0x10000000, 0, 4096);
        check(engine_wait(&v) == STATUS_FAULT, "the copy engine at an address that is not mapped");
        event = event_next(reader);
        check(event_about(&event, MDEVGPU_EVENT_ERROR, VGPU) && event.code == 31 && event.text[0], "a device error");
        vgpu_close(&v);
        event = event_next(reader);
        check(event_about(&event, MDEVGPU_EVENT_VGPU_CLOSED, VGPU) && event.pid == (uint32_t)getpid(), "is closed");
        shim_usage(reader, row, 2, &usage);
        check(row[0].opener == 0 && row[0].flags == 0 && row[0].framebuffer_backed == 0, "and nothing is behind it");
        close(reader);
}

/* The use goes up and down around both thresholds. */
static void test_threshold(void) {
        int reader = reader_open(MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_FRAMEBUFFER), 3000 * MIB, 1500 * MIB), late;
        struct mdevgpu_event event;

        vgpu_create(1, UUID(2));
        check(event_next(reader).type == UINT32_MAX, "below the threshold nothing is told");
        vgpu_create(1, UUID(3));
        event = event_next(reader);
        check(event.type == MDEVGPU_EVENT_FRAMEBUFFER && event.code == 1 && event.value == 3264 * MIB &&
                      event.limit == 3000 * MIB,
              "it is crossed upwards");
        vgpu_remove(UUID(3));
        vgpu_create(1, UUID(3));
        check(event_next(reader).type == UINT32_MAX, "between the two nothing is told");
        late = reader_open(MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_FRAMEBUFFER), 3000 * MIB, 1500 * MIB);
        check(event_next(late).code == 1, "who comes later is told how it is");
        close(late);
        vgpu_remove(UUID(3));
        vgpu_remove(UUID(2));
        event = event_next(reader);
        check(event.type == MDEVGPU_EVENT_FRAMEBUFFER && event.code == 0 && event.value == 1088 * MIB &&
                      event.limit == 1500 * MIB,
              "it is crossed downwards");
        check(event_next(reader).type == UINT32_MAX, "once");
        close(reader);
}

/* A reader that does not read loses the youngest, knows how many, and costs another nothing. */
static void test_lost(int owner) {
        int lazy = reader_open(MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_TYPES), 0, 0);
        int other = reader_open(MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_TYPES), 0, 0);
        struct mdevgpu_type type = type_make(1, 8, 1024 * MIB);
        struct mdevgpu_event event, last = {};
        struct mdevgpu_subscribe args;
        struct mdevgpu_set_types set;
        unsigned n = 0, n_other = 0;
        uint64_t total;

        subscribe(lazy, MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_TYPES), 0, 0, &args);
        total = args.capacity + 10;
        for (uint64_t i = 0; i < total; i++) {
                type.frame_limit = i;
                shim_set(owner, &type, 1, 0, &set);
                n_other += event_next(other).type == MDEVGPU_EVENT_TYPES;
        }
        check(n_other == total, "who reads misses nothing");
        while ((event = event_next(lazy)).type == MDEVGPU_EVENT_TYPES) {
                if (n > 0 && event.sequence != last.sequence + 1)
                        check(false, "an event is missing");
                last = event;
                n++;
        }
        check(n == args.capacity && event.type == MDEVGPU_EVENT_LOST && event.value == 10 && event.sequence == 0,
              "who does not reads %u, and then that 10 are lost", args.capacity);
        type.frame_limit = 1000;
        shim_set(owner, &type, 1, 0, &set);
        event = event_next(lazy);
        check(event.type == MDEVGPU_EVENT_TYPES && event.sequence == last.sequence + 11, "and goes on after the gap");

        for (uint64_t i = 0; i < total; i++) {
                type.frame_limit = i;
                shim_set(owner, &type, 1, 0, &set);
        }
        subscribe(lazy, 0, 0, 0, &args);
        check(event_next(lazy).type == UINT32_MAX, "SUBSCRIBE to nothing drops what is queued");
        close(lazy);
        close(other);
}

static void *wait_thread(void *p) {
        int *fd = p;
        struct mdevgpu_event event = event_next(*fd);

        return (void *)(uintptr_t)event.type;
}

static void test_going(void) {
        int waiting = open(node_path, O_RDONLY | O_CLOEXEC);
        int reader = reader_open(ALL & ~MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_FRAMEBUFFER), 0, 0);
        struct pollfd p = { .fd = reader, .events = POLLIN };
        struct mdevgpu_subscribe args;
        struct mdevgpu_event event;
        pthread_t thread;
        char slot[8];
        void *type;

        subscribe(waiting, MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_GOING), 0, 0, &args);
        if (pthread_create(&thread, NULL, wait_thread, &waiting) != 0)
                abort();
        usleep(200000);
        snprintf(slot, sizeof(slot), "%lu", strtoul(strrchr(gpu_path, ':') + 1, NULL, 16));
        check_errno(0, file_write(DRIVER "/unplug", slot), "the GPU is unplugged");
        pthread_join(thread, &type);
        check((uintptr_t)type == MDEVGPU_EVENT_GOING, "who waits in read is told");
        check(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLHUP), "poll says POLLIN and POLLHUP");
        event = event_next(reader);
        check(event.type == MDEVGPU_EVENT_GOING, "what was queued can be read");
        check_errno(ENODEV, read(reader, &event, sizeof(event)), "and nothing more");
        check(poll(&p, 1, 0) == 1 && p.revents == POLLHUP, "poll says POLLHUP alone");
        check_errno(ENODEV, read(waiting, &event, sizeof(event)), "nor by who would wait");
        close(waiting);
        close(reader);
        file_write(DRIVER "/plug", slot);
}

int main(int argc, char *argv[]) {
        struct mdevgpu_set_types set;
        struct mdevgpu_identify id;
        int reader, owner;

        reader = node_find(argc, argv, node_path, sizeof(node_path));
        owner = open(node_path, O_RDWR | O_CLOEXEC);
        shim_identify(owner, &id);
        check((id.capabilities & (MDEVGPU_CAP_USAGE | MDEVGPU_CAP_SHARE | MDEVGPU_CAP_EVENTS)) ==
                      (MDEVGPU_CAP_USAGE | MDEVGPU_CAP_SHARE | MDEVGPU_CAP_EVENTS),
              "capabilities");
        test_subscribe(reader);
        test_types(owner);
        test_vgpu(owner);
        test_threshold();
        vgpu_remove(VGPU);
        test_lost(owner);
        shim_set(owner, NULL, 0, 0, &set);
        close(owner);
        close(reader);
        test_going();
        return tests_finish();
}
