/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A vGPU of the reference module that is moved: what arrives is what was there, also what was written while it was being
 * sent; a bad image leaves nothing half done; and a user who dies leaves nothing behind. Wants the name of a node that
 * nobody uses; leaves it with an empty set.
 */

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "shim-migration.h"

#define SIZE (16 * MIB)
#define PAGE 4096ULL
#define N_PAGES (SIZE / PAGE)
#define REG_SCRATCH 0x18
#define SOURCE UUID(1)
#define TARGET UUID(2)
#define KEEPER UUID(3)
#define TYPE_PLAIN 1
#define TYPE_KEEPS 2
#define TYPE_OTHER 3
#define KEEP_STATE (1U << 3)

/* Of the image, as docs/shim-abi.md has it */
#define HEADER_SIZE 48
#define RECORD_SIZE 16
#define DEVICE_SIZE 336
#define END_SIZE (RECORD_SIZE + 8)

static bool can_precopy;

static uint8_t *map(const struct vgpu *v) {
        uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, v->device, bar1.offset);

        if (p == MAP_FAILED)
                check(false, "BAR1 is mapped: %s", strerror(errno));
        return p;
}

static uint64_t random_next(uint64_t *seed) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        return *seed ^= *seed << 17;
}

static void fill_some(uint8_t *p, uint64_t seed) {
        for (unsigned i = 0; i < 200; i++) {
                uint64_t r = random_next(&seed);

                memset(p + (r >> 8) % (SIZE - 64), (int)(r & 0xff), 64);
        }
}

static void test_features(const struct vgpu *v) {
        uint64_t size = 0, more = 0, data = 0;
        uint8_t *p = map(v);

        check_errno(0,
                    feature(v->device, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | FEATURE_MIGRATION, NULL),
                    "it says that it can be migrated");
        check_errno(ENOTTY, feature(v->device, VFIO_DEVICE_FEATURE_GET | FEATURE_DMA_LOGGING_START, &data),
                    "it does not log what it writes to its guest's memory");
        if (can_precopy) {
                check_errno(0, feature(v->device, VFIO_DEVICE_FEATURE_GET | FEATURE_DATA_SIZE, &size), "DATA_SIZE");
                p[5 * PAGE] = p[9 * PAGE] = 1;
                feature(v->device, VFIO_DEVICE_FEATURE_GET | FEATURE_DATA_SIZE, &more);
                check(more == size + 2 * (RECORD_SIZE + PAGE), "two pages more: %llu and %llu bytes",
                      (unsigned long long)size, (unsigned long long)more);
        }
        munmap(p, SIZE);
        ioctl(v->device, VFIO_DEVICE_RESET);
}

/* Written by every means there is, saved, removed, and made anew elsewhere. */
static void test_move(struct vgpu *a) {
        struct image image;
        uint8_t *p = map(a), *copy = malloc(SIZE);
        struct vgpu b;

        fill_some(p, 4711);
        region_write(a, &bar1, 7 * PAGE - 3, 0x1122334455667788, 8);
        region_write(a, &bar0, REG_PATTERN, 0xa5a5a5a5, 4);
        engine_start(a, COMMAND_FILL, 0, 100 * PAGE, 3 * PAGE);
        engine_wait(a);
        region_write(a, &bar0, REG_SCRATCH, 0x5eed5eed, 4);
        region_write(a, &config, 0x10, 0xfe000000, 4);
        check_errno(0, image_save(&image, a->device, 65536), "a state is saved");
        memcpy(copy, p, SIZE);
        munmap(p, SIZE);
        check(image.n < SIZE / 2, "what was never written is not in it: %zu bytes", image.n);
        vgpu_close(a);
        check_errno(0, vgpu_remove(SOURCE), "its vGPU is removed");

        vgpu_create(TYPE_PLAIN, TARGET);
        if (!check(vgpu_open(TARGET, &b) == 0, "another one is made"))
                return;
        p = map(&b);
        check(p[5] == 0 && region_read(&b, &bar0, REG_SCRATCH, 4) == 0, "which is new");
        p[12 * PAGE] = 77;
        check_errno(0, image_load(image.bytes, image.n, b.device, 1000, RUNNING), "it takes the state over");
        check(memcmp(p, copy, SIZE) == 0, "all of the framebuffer, mapped before as well");
        check(region_read(&b, &bar0, REG_SCRATCH, 4) == 0x5eed5eed &&
                      region_read(&b, &bar0, REG_PATTERN, 4) == 0xa5a5a5a5 &&
                      region_read(&b, &bar0, REG_DONE, 4) == 3 * PAGE &&
                      region_read(&b, &config, 0x10, 4) == 0xfe000000,
              "registers and configuration space");
        munmap(p, SIZE);
        vgpu_close(&b);
        vgpu_remove(TARGET);
        image_free(&image);
        free(copy);
        vgpu_create(TYPE_PLAIN, SOURCE);
        vgpu_create(TYPE_PLAIN, TARGET);
        check_errno(0, vgpu_open(SOURCE, a), "and the first one again");
}

static bool memory_is(const struct vgpu *v, uint64_t at, uint8_t value, uint64_t n) {
        uint8_t *p = map(v);
        bool same = true;

        for (uint64_t i = 0; i < n; i++)
                same = same && p[at + i] == value;
        munmap(p, SIZE);
        return same;
}

/* A command that is on stands still with its vGPU, and is brought to its end where that goes on. */
static void test_command(const struct vgpu *a, const struct vgpu *b) {
        struct image image = {};
        uint32_t done, later;
        int fd;

        region_write(a, &bar0, REG_PATTERN, 0x3c3c3c3c, 4);
        check_errno(0, state_go(a->device, RUNNING_P2P), "to RUNNING_P2P");
        engine_start(a, COMMAND_FILL, 0, 0, SIZE);
        usleep(50000);
        check(region_read(a, &bar0, REG_STATUS, 4) == STATUS_BUSY && region_read(a, &bar0, REG_DONE, 4) == 0,
              "a command waits there");
        check_errno(0, state_go(a->device, RUNNING), "to RUNNING");
        for (done = 0; done == 0;)
                done = region_read(a, &bar0, REG_DONE, 4);
        check_errno(0, state_go(a->device, STOP), "to STOP");
        done = region_read(a, &bar0, REG_DONE, 4);
        usleep(50000);
        later = region_read(a, &bar0, REG_DONE, 4);
        check(done == later && done < SIZE && region_read(a, &bar0, REG_STATUS, 4) == STATUS_BUSY,
              "it stands still after %u bytes", done);
        region_write(a, &bar0, REG_SCRATCH, 1, 4);
        check(region_read(a, &bar0, REG_SCRATCH, 4) == 0, "and so do registers");
        if (state_set(a->device, STOP_COPY, &fd) == 0) {
                check_errno(0, image_read(&image, fd, 12345), "its state");
                close(fd);
        }
        check_errno(0, image_load(image.bytes, image.n, b->device, 4096, RUNNING), "elsewhere");
        check(engine_wait(b) == STATUS_DONE && memory_is(b, 0, 0x3c, SIZE), "it goes on to its end");
        check_errno(0, state_go(a->device, RUNNING), "and here");
        check(engine_wait(a) == STATUS_DONE && memory_is(a, 0, 0x3c, SIZE), "as well");
        image_free(&image);
        ioctl(a->device, VFIO_DEVICE_RESET);
        ioctl(b->device, VFIO_DEVICE_RESET);
}

static bool same_memory(const struct vgpu *a, const struct vgpu *b) {
        uint8_t *p = map(a), *q = map(b);
        uint64_t n_other = 0, first = 0;

        for (uint64_t i = 0; i < N_PAGES; i++)
                if (memcmp(p + i * PAGE, q + i * PAGE, PAGE) != 0 && n_other++ == 0)
                        first = i;
        if (n_other > 0)
                printf("          %llu pages differ, the first one is %llu\n", (unsigned long long)n_other,
                       (unsigned long long)first);
        munmap(p, SIZE);
        munmap(q, SIZE);
        return n_other == 0;
}

/* Pages that have been sent are written to in each of the ways, and come again. */
static void test_late(const struct vgpu *a, const struct vgpu *b) {
        struct precopy_info info = { .argsz = sizeof(info) };
        struct image image = {};
        uint8_t *p = map(a);
        struct pollfd poller = { .events = POLLIN };
        size_t before;

        memset(p, 1, 64 * PAGE);
        check_errno(0, state_set(a->device, PRE_COPY, &poller.fd), "to PRE_COPY");
        check_errno(ENOMSG, image_read(&image, poller.fd, 3000), "all of it is sent");
        check(poll(&poller, 1, 0) == 0, "nothing more is there");
        before = image.n;
        p[3 * PAGE] = 2;
        check(poll(&poller, 1, 5000) == 1, "a write through the mapping, and there is");
        check(ioctl(poller.fd, GET_PRECOPY_INFO, &info) == 0 && info.initial_bytes == 0 &&
                      info.dirty_bytes == RECORD_SIZE + PAGE,
              "one page");
        check_errno(ENOMSG, image_read(&image, poller.fd, 3000), "it is sent");
        check(image.n == before + RECORD_SIZE + PAGE, "and no other");
        p[3 * PAGE] = 3;
        region_write(a, &bar1, 5 * PAGE, 0x55, 1);
        engine_start(a, COMMAND_FILL, 0, 8 * PAGE, 2 * PAGE);
        engine_wait(a);
        region_write(a, &bar0, REG_WINDOW, 1, 4);
        p[9 * PAGE] = 9;
        ioctl(poller.fd, GET_PRECOPY_INFO, &info);
        check(info.dirty_bytes == 4 * (RECORD_SIZE + PAGE),
              "the same page, one by write(), two by the copy engine: %llu bytes",
              (unsigned long long)info.dirty_bytes);
        check_errno(0, state_go(a->device, STOP_COPY), "to STOP_COPY");
        check_errno(0, image_read(&image, poller.fd, 3000), "the rest");
        close(poller.fd);
        check_errno(0, image_load(image.bytes, image.n, b->device, image.n, RUNNING), "the other one takes it");
        check(same_memory(a, b), "and is as the first");
        munmap(p, SIZE);
        image_free(&image);
        ioctl(a->device, VFIO_DEVICE_RESET);
        ioctl(b->device, VFIO_DEVICE_RESET);
}

/* The mapping shows another part of the framebuffer, and what is written there is that part's. */
static void test_window(void) {
        struct precopy_info info = { .argsz = sizeof(info) };
        struct image image = {};
        struct vgpu v;
        uint8_t *p;
        int fd = -1;

        vgpu_create(TYPE_OTHER, UUID(4));
        if (!check_errno(0, vgpu_open(UUID(4), &v), "a vGPU with a small window"))
                return;
        p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, v.device, bar1.offset);
        region_write(&v, &bar0, REG_WINDOW, 512, 4);
        p[PAGE] = 1;
        state_set(v.device, PRE_COPY, &fd);
        check_errno(ENOMSG, image_read(&image, fd, 4096), "all of it is sent");
        region_write(&v, &bar0, REG_WINDOW, 256, 4);
        p[0] = 2;
        region_write(&v, &bar0, REG_WINDOW, 512, 4);
        p[PAGE] = 3;
        check(ioctl(fd, GET_PRECOPY_INFO, &info) == 0 && info.dirty_bytes == 2 * (RECORD_SIZE + PAGE),
              "two pages more");
        state_go(v.device, STOP_COPY);
        check_errno(0, image_read(&image, fd, 4096), "the rest");
        close(fd);
        check_errno(0, image_load(image.bytes, image.n, v.device, 4096, RUNNING), "taken over");
        check(p[PAGE] == 3 && region_read(&v, &bar0, REG_WINDOW, 4) == 512, "the window is where it was");
        region_write(&v, &bar0, REG_WINDOW, 256, 4);
        check(p[0] == 2, "and so is what it showed before");
        munmap(p, MIB);
        image_free(&image);
        vgpu_close(&v);
        vgpu_remove(UUID(4));
}

struct writer {
        const struct vgpu *v;
        uint8_t *p;
        uint64_t seed;
        unsigned n;
        bool stop;
};

static void *writer_thread(void *userdata) {
        struct writer *w = userdata;

        while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
                uint64_t r = random_next(&w->seed), at = (r >> 8) % (SIZE - 8);

                if (w->n % 64 == 0)
                        region_write(w->v, &bar1, at & ~7ULL, r, 8);
                else
                        w->p[at] = (uint8_t)r;
                w->n++;
        }
        return NULL;
}

static void image_append(struct image *image, const uint8_t *bytes, size_t n) {
        if (image->room - image->n < n) {
                image->room = image->room * 2 + n;
                image->bytes = realloc(image->bytes, image->room);
                if (!image->bytes)
                        abort();
        }
        memcpy(image->bytes + image->n, bytes, n);
        image->n += n;
}

/* Has the copy engine write somewhere, if it has nothing to do. */
static unsigned engine_again(const struct vgpu *v, unsigned i) {
        if (region_read(v, &bar0, REG_STATUS, 4) == STATUS_BUSY)
                return 0;
        region_write(v, &bar0, REG_PATTERN, i * 0x9e3779b9, 4);
        engine_start(v, COMMAND_FILL, 0, i * 7919 * 13 % (SIZE / 2), SIZE / 4 + i);
        return 1;
}

/* All of them write at random while the state is being sent; then they stop, and every byte is compared. */
static void test_storm(const struct vgpu *a, const struct vgpu *b) {
        struct writer w[2] = { { .v = a, .p = map(a), .seed = 88172645463325252ULL },
                               { .v = a, .p = map(a), .seed = 362436069362436069ULL } };
        struct image image = {};
        pthread_t threads[2];
        unsigned n_commands = 0;
        int fd = -1;

        for (unsigned i = 0; i < 2; i++)
                if (pthread_create(&threads[i], NULL, writer_thread, &w[i]) != 0)
                        abort();
        check_errno(0, state_set(a->device, PRE_COPY, &fd), "to PRE_COPY under writers");
        for (time_t end = time(NULL) + 5; time(NULL) < end && image.n < 256 * MIB;) {
                uint8_t *room = malloc(MIB);
                ssize_t n = read(fd, room, MIB - 1000);

                if (n > 0)
                        image_append(&image, room, n);
                n_commands += engine_again(a, n_commands);
                free(room);
        }
        for (unsigned i = 0; i < 2; i++) {
                __atomic_store_n(&w[i].stop, true, __ATOMIC_RELAXED);
                pthread_join(threads[i], NULL);
        }
        check_errno(0, state_go(a->device, STOP_COPY), "to STOP_COPY, with a command on");
        check_errno(0, image_read(&image, fd, 65536), "the rest");
        close(fd);
        check_errno(0, image_load(image.bytes, image.n, b->device, 99999, STOP), "the other one takes it");
        check(same_memory(a, b), "%zu MiB after %u writes and %u commands: the two are the same",
              (size_t)(image.n / MIB), w[0].n + w[1].n, n_commands);
        munmap(w[0].p, SIZE);
        munmap(w[1].p, SIZE);
        image_free(&image);
        ioctl(a->device, VFIO_DEVICE_RESET);
        ioctl(b->device, VFIO_DEVICE_RESET);
}

static void put_64(uint8_t *p, uint64_t value) {
        for (unsigned i = 0; i < 8; i++)
                p[i] = (uint8_t)(value >> (i * 8));
}

/* FNV-1a over all but itself: so that a change is looked at, and not just noticed. */
static void put_checksum(uint8_t *bytes, size_t n) {
        uint64_t sum = 0xcbf29ce484222325ULL;

        for (size_t i = 0; i + 8 < n; i++)
                sum = (sum ^ bytes[i]) * 0x100000001b3ULL;
        put_64(bytes + n - 8, sum);
}

/* A copy of the image with something wrong; what the change is depends on the number alone. */
static uint8_t *mutate(const struct image *image, unsigned i, size_t *ret_n) {
        uint64_t seed = 0x2545f4914f6cdd1dULL + i * 0x9e3779b97f4a7c15ULL, r = random_next(&seed);
        uint8_t *bytes = malloc(image->n * 2);
        size_t n = image->n, at = random_next(&seed) % n, length = random_next(&seed) % (n - at) + 1;

        /* Most of the image is pages; half of the changes are where it is more sensitive. */
        if (r % 2 == 0)
                at = random_next(&seed) % 2 ? random_next(&seed) % (HEADER_SIZE + RECORD_SIZE)
                                            : n - 1 - random_next(&seed) % (RECORD_SIZE + DEVICE_SIZE + END_SIZE);
        if (length > n - at)
                length = n - at;
        memcpy(bytes, image->bytes, n);
        switch (r / 2 % 6) {
        case 0:
        case 1:
                bytes[at] ^= (uint8_t)(1U << random_next(&seed) % 8);
                break;
        case 2:
                bytes[at] = (uint8_t)random_next(&seed);
                bytes[(at + length) % n] = 0xff;
                break;
        case 3:
                n = at; /* cut off */
                break;
        case 4:
                memmove(bytes + at, image->bytes + at + length, n - at - length); /* a part is missing */
                n -= length;
                break;
        default:
                memcpy(bytes + n, image->bytes + at, length); /* more than there should be */
                n += length;
                break;
        }
        if (r / 12 % 2 == 0 && n >= END_SIZE)
                put_checksum(bytes, n);
        *ret_n = n;
        return bytes;
}

static void test_mutations(const struct vgpu *a, const struct vgpu *b) {
        unsigned n_refused = 0, n_taken = 0, n_half = 0, n_wrong = 0;
        struct image image;
        uint8_t *p = map(a);

        p[2 * PAGE] = p[3 * PAGE] = 0xaa;
        region_write(a, &bar0, REG_SCRATCH, 0xaaaaaaaa, 4);
        engine_start(a, COMMAND_FILL, 0, 2 * PAGE, 100);
        engine_wait(a);
        if (!check_errno(0, image_save(&image, a->device, 4096), "a good image"))
                return;
        munmap(p, SIZE);
        for (unsigned i = 0; i < 1000; i++) {
                size_t n;
                uint8_t *bytes = mutate(&image, i, &n);
                int r;

                ioctl(b->device, VFIO_DEVICE_RESET);
                region_write(b, &bar0, REG_SCRATCH, 0xbbbbbbbb, 4);
                region_write(b, &bar1, PAGE, 0xbb, 1);
                r = image_load(bytes, n, b->device, 1 + i * 37 % 5000, RUNNING);
                if (r < 0 && state_get(b->device) == ERROR) {
                        n_refused++;
                        if (region_read(b, &bar0, REG_SCRATCH, 4) != 0xbbbbbbbb ||
                            region_read(b, &bar1, PAGE, 1) != 0xbb || region_read(b, &bar1, 2 * PAGE, 1) != 0)
                                n_half++;
                } else if (r == 0 && state_get(b->device) == RUNNING) {
                        n_taken++;
                        engine_wait(b);
                        if (region_read(b, &bar0, 0, 4) != 0x5550474d)
                                n_wrong++;
                } else
                        n_wrong++;
                free(bytes);
        }
        check(n_wrong == 0 && n_refused >= 700, "of 1000 bad images %u are refused, %u are as good as any", n_refused,
              n_taken);
        check(n_half == 0, "and of none that is refused anything is taken");
        ioctl(b->device, VFIO_DEVICE_RESET);
        check_errno(0, image_load(image.bytes, image.n, b->device, 4096, RUNNING), "the good one is taken after them");
        check(same_memory(a, b), "whole");
        image_free(&image);
        ioctl(a->device, VFIO_DEVICE_RESET);
        ioctl(b->device, VFIO_DEVICE_RESET);
}

/* The image of a vGPU of another kind is refused, and ERROR is left by a reset alone. */
static void test_error(const struct vgpu *a, const struct vgpu *b) {
        struct image image;
        struct vgpu other;
        int fd;

        region_write(a, &bar0, REG_SCRATCH, 1, 4);
        image_save(&image, a->device, 4096);
        ioctl(a->device, VFIO_DEVICE_RESET);
        vgpu_create(TYPE_OTHER, UUID(4));
        if (check_errno(0, vgpu_open(UUID(4), &other), "a vGPU of another type")) {
                check_errno(EINVAL, image_load(image.bytes, image.n, other.device, 4096, RUNNING),
                            "takes no such image");
                vgpu_close(&other);
        }
        vgpu_remove(UUID(4));
        check_errno(EINVAL, image_load(image.bytes, image.n - 1, b->device, 4096, STOP),
                    "an image without its last byte");
        check(state_get(b->device) == ERROR, "leads to ERROR");
        for (int state = STOP; state < N_STATES; state++)
                if (state_set(b->device, state, &fd) == 0)
                        check(false, "%s leads out of it", state_names[state]);
        region_write(b, &bar0, REG_SCRATCH, 2, 4);
        check(region_read(b, &bar0, REG_SCRATCH, 4) == 0, "where registers stand still");
        check_errno(0, ioctl(b->device, VFIO_DEVICE_RESET), "a reset");
        check(state_get(b->device) == RUNNING, "leads out of it");
        check_errno(0, image_load(image.bytes, image.n, b->device, 1, RUNNING), "an image in single bytes");
        check(region_read(b, &bar0, REG_SCRATCH, 4) == 1, "is the same image");
        image_free(&image);
        ioctl(b->device, VFIO_DEVICE_RESET);
}

/* Goes to a state as its user, in the middle of something, and dies. */
static void die_in(const char *uuid, int state) {
        struct vgpu v;
        char bytes[100];
        uint8_t *p;
        int fd;

        if (vgpu_open(uuid, &v) < 0 || !regions_find(&v))
                _exit(1);
        p = map(&v);
        memset(p, 0x77, 10 * PAGE);
        region_write(&v, &bar0, REG_SCRATCH, 0x77, 4);
        engine_start(&v, COMMAND_FILL, 0, 20 * PAGE, SIZE / 2);
        if (state == ERROR)
                (void)image_load((const uint8_t *)"x", 1, v.device, 1, STOP);
        else if (state_set(v.device, state, &fd) < 0)
                _exit(2);
        if (state_get(v.device) != state)
                _exit(3);
        if (state != ERROR && state != STOP && read(fd, bytes, sizeof(bytes)) < 0 && write(fd, "MGPU", 4) < 0 &&
            state != RUNNING && state != RUNNING_P2P)
                _exit(4);
        kill(getpid(), SIGKILL);
}

static int died_in(const char *uuid, int state) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                die_in(uuid, state);
        waitpid(pid, &status, 0);
        return WIFSIGNALED(status) ? 0 : WEXITSTATUS(status);
}

static void test_killed(void) {
        struct vgpu v;

        for (int state = ERROR; state < N_STATES; state++) {
                int r;

                if (!can_precopy && (state == PRE_COPY || state == PRE_COPY_P2P))
                        continue;
                r = died_in(SOURCE, state);
                if (r != 0 || vgpu_open(SOURCE, &v) < 0) {
                        check(false, "killed in %s: %i, %s", state_names[state], r, strerror(errno));
                        continue;
                }
                check(state_get(v.device) == RUNNING && region_read(&v, &bar0, REG_SCRATCH, 4) == 0 &&
                              region_read(&v, &bar1, PAGE, 4) == 0 &&
                              region_read(&v, &bar0, REG_STATUS, 4) == STATUS_IDLE,
                      "killed in %s: the next one finds it RUNNING, and as new", state_names[state]);
                vgpu_close(&v);
        }
}

/* Of a type that says so, what was there when it was closed is there when it is opened. */
static void test_keep(void) {
        struct image image = {};
        struct vgpu v;

        check_errno(0, vgpu_create(TYPE_KEEPS, KEEPER), "a vGPU that keeps its state");
        if (!check(vgpu_open(KEEPER, &v) == 0 && region_read(&v, &bar1, PAGE, 4) == 0, "it is new at first"))
                return;
        region_write(&v, &bar0, REG_SCRATCH, 0x4b, 4);
        region_write(&v, &bar1, PAGE, 0x4b4b4b4b, 4);
        state_go(v.device, STOP);
        vgpu_close(&v);
        check_errno(0, vgpu_open(KEEPER, &v), "opened again");
        check(state_get(v.device) == RUNNING && region_read(&v, &bar0, REG_SCRATCH, 4) == 0x4b &&
                      region_read(&v, &bar1, PAGE, 4) == 0x4b4b4b4b,
              "it is RUNNING, and as it was left");
        check_errno(0, image_save(&image, v.device, 4096), "saved");
        vgpu_close(&v);
        check(died_in(KEEPER, RESUMING) == 0 && vgpu_open(KEEPER, &v) == 0 && state_get(v.device) == RUNNING &&
                      region_read(&v, &bar0, REG_SCRATCH, 4) == 0 && region_read(&v, &bar1, PAGE, 4) == 0,
              "killed while it takes an image, it is as new");
        check_errno(0, image_load(image.bytes, image.n, v.device, 4096, RUNNING), "an image is taken");
        vgpu_close(&v);
        check(vgpu_open(KEEPER, &v) == 0 && region_read(&v, &bar1, PAGE, 4) == 0x4b4b4b4b,
              "and is there for the next one");
        check_errno(0, ioctl(v.device, VFIO_DEVICE_RESET), "a reset");
        vgpu_close(&v);
        check(vgpu_open(KEEPER, &v) == 0 && region_read(&v, &bar1, PAGE, 4) == 0, "scrubs it");
        vgpu_close(&v);
        image_free(&image);
        check_errno(0, vgpu_remove(KEEPER), "removed");
}

int main(int argc, char *argv[]) {
        struct mdevgpu_type types[] = { type_make(TYPE_PLAIN, 4, SIZE), type_make(TYPE_KEEPS, 4, SIZE),
                                        type_make(TYPE_OTHER, 4, SIZE) };
        struct mdevgpu_set_types set;
        struct vgpu a, b;
        char path[64];
        int owner, r;

        close(node_find(argc, argv, path, sizeof(path)));
        owner = open(path, O_RDWR | O_CLOEXEC);
        for (unsigned i = 0; i < 3; i++) {
                types[i].bar1_size = SIZE;
                types[i].mappable_video = 0;
        }
        types[1].flags |= KEEP_STATE;
        types[2].bar1_size = MIB;
        check_errno(0, shim_set(owner, types, 3, 0, &set), "types, one of which keeps state");
        vgpu_create(TYPE_PLAIN, SOURCE);
        if (!check(vgpu_open(SOURCE, &a) == 0 && regions_find(&a), "a vGPU"))
                return tests_finish();
        r = migration_flags(a.device);
        can_precopy = r & HAS_PRE_COPY;
        check(r == (HAS_STOP_COPY | HAS_P2P | HAS_PRE_COPY) || r == (HAS_STOP_COPY | HAS_P2P), "can be migrated: %i",
              r);

        test_features(&a);
        test_move(&a);
        if (check_errno(0, vgpu_open(TARGET, &b), "and another one")) {
                test_command(&a, &b);
                if (can_precopy) {
                        test_late(&a, &b);
                        test_window();
                        test_storm(&a, &b);
                }
                test_mutations(&a, &b);
                test_error(&a, &b);
                vgpu_close(&b);
        }
        vgpu_close(&a);
        test_killed();
        test_keep();
        vgpu_remove(SOURCE);
        vgpu_remove(TARGET);
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "no vGPU is left over");
        return tests_finish();
}
