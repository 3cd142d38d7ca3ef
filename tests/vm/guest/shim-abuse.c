/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Everything about the shim at once, at random: GPUs are plugged, unplugged, bound and unbound while types are set, vGPUs
 * made, opened, mapped and removed, and while what is not meant for the control channel is sent there. Nothing is expected
 * but that it ends and that the kernel does not complain. With a third argument, a file, the vendor module is unloaded and
 * loaded as well. On a kernel with fault injection every now and then one of a call's allocations fails.
 *
 *     shim-abuse SECONDS SEED [MODULE]
 */

#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "shim-vfio.h"

#define GPUS 2
#define VGPUS 6

static const char *module_path;
static bool stop;
static unsigned long n_done[10], n_opened, n_faults;

typedef struct Random {
        uint64_t state;
} Random;

static uint32_t random_next(Random *r) {
        r->state = r->state * 6364136223846793005ULL + 1442695040888963407ULL;
        return r->state >> 33;
}

static uint32_t random_below(Random *r, uint32_t n) {
        return random_next(r) % n;
}

static bool stopped(void) {
        return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/*
 * From here on the Nth allocation of this thread in the kernel fails, where the kernel can do that; 0: none. Left on for a
 * whole action: once it has failed nothing else does.
 */
static void fail_nth(uint32_t n) {
        static _Thread_local int fd = -2;
        char text[16];

        if (fd == -2)
                fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return;
        if (n == 0) {
                memset(text, 0, sizeof(text));
                /* What is left of the number: 0 if it has come to that. */
                if (pread(fd, text, sizeof(text) - 1, 0) > 0 && text[0] == '0')
                        __atomic_add_fetch(&n_faults, 1, __ATOMIC_RELAXED);
        }
        snprintf(text, sizeof(text), "%u", n);
        if (pwrite(fd, text, strlen(text), 0) < 0)
                return;
}

static void uuid_make(uint32_t vgpu, char uuid[static 37]) {
        snprintf(uuid, 37, "ab5e0000-0000-4000-8000-00000000000%u", vgpu % 10);
}

/* The hardware's side */
static void do_plug(Random *r) {
        static const char *const what[] = { "plug", "unplug", "bind", "unbind", "plug", "bind" };
        const char *attribute = what[random_below(r, 6)];
        uint32_t slot = random_below(r, GPUS);
        char path[96], value[32];

        snprintf(path, sizeof(path), DRIVER "/%s", attribute);
        if (strstr(attribute, "bind"))
                snprintf(value, sizeof(value), "1000:00:%02x.0", slot);
        else
                snprintf(value, sizeof(value), "%u", slot);
        file_write(path, value);
        usleep(random_below(r, 400000));
}

static void do_module(Random *r) {
        int fd;

        usleep(random_below(r, 4000000));
        if (!module_path)
                return;
        module_delete("mdevgpu_ref");
        fd = open(module_path, O_RDONLY | O_CLOEXEC);
        syscall(SYS_finit_module, fd, "ngpu=2", 0);
        close(fd);
}

/* The control channel's */
static int node_any(Random *r, int flags) {
        char path[64];

        snprintf(path, sizeof(path), "/dev/mdevgpu/gpu%u", random_below(r, GPUS + 2));
        return open(path, flags | O_CLOEXEC);
}

static void types_random(Random *r, struct mdevgpu_type types[static 8]) {
        for (uint32_t i = 0; i < 8; i++) {
                types[i] = type_make(1 + i, 1 + random_below(r, 4), (1 + random_below(r, 12)) * 1024 * MIB);
                types[i].bar1_size = random_below(r, 2) ? 0 : 16 * MIB;
        }
}

static void do_share(Random *r, int fd) {
        struct mdevgpu_set_share share = { .size = sizeof(share), .share = 1 + random_below(r, 1000) };
        struct mdevgpu_get_usage usage;
        struct mdevgpu_vgpu rows[VGPUS];

        if (shim_usage(fd, rows, random_below(r, VGPUS + 1), &usage) < 0 || usage.n_vgpus == 0)
                return;
        memcpy(share.uuid, rows[random_below(r, usage.n_vgpus)].uuid, sizeof(share.uuid));
        ioctl(fd, MDEVGPU_SET_SHARE, &share);
}

static void do_set(Random *r) {
        struct mdevgpu_takeover take = { .size = sizeof(take) };
        struct mdevgpu_set_types set;
        struct mdevgpu_type types[8];
        uint32_t n;
        int fd = node_any(r, random_below(r, 3) ? O_RDWR : O_RDONLY);

        if (fd < 0)
                return;
        if (random_below(r, 2))
                ioctl(fd, MDEVGPU_TAKEOVER, &take);
        for (uint32_t i = random_below(r, 6); i > 0; i--) {
                types_random(r, types);
                if (random_below(r, 3) == 0)
                        do_share(r, fd);
                n = random_below(r, 6) ? 4 + random_below(r, 5) : random_below(r, 4);
                shim_set(fd, types, n, random_below(r, 4) == 0, &set);
                usleep(random_below(r, 30000));
        }
        close(fd);
}

static void do_noise(Random *r) {
        static char *pages;
        struct pollfd p = { .events = POLLIN };
        uint32_t words[96];
        void *args = words;

        if (!pages)
                pages = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        p.fd = node_any(r, O_RDONLY);
        if (p.fd < 0)
                return;
        for (uint32_t i = random_below(r, 40); i > 0; i--) {
                for (size_t j = 0; j < 96; j++)
                        words[j] = random_below(r, 3) ? 0 : random_next(r);
                if (random_below(r, 4))
                        words[0] = random_below(r, 5) * 16 + (random_below(r, 2) ? 256 : 0);
                words[1] = random_below(r, 2) ? sizeof(struct mdevgpu_type) : words[1];
                if (random_below(r, 2)) {
                        uint64_t address = (uintptr_t)pages + random_below(r, 1 << 16);

                        memcpy(&words[2], &address, sizeof(address));
                        words[4] = random_below(r, 300);
                        words[5] = random_below(r, 2);
                }
                args = random_below(r, 8) ? words : (void *)(uintptr_t)random_next(r);
                ioctl(p.fd, _IO(MDEVGPU_IOCTL_MAGIC, random_below(r, 8)), args);
        }
        poll(&p, 1, random_below(r, 30));
        close(p.fd);
}

/*
 * The vGPUs'. One at a time for each: the kernel's mdev core looks at freed memory if a vGPU is removed in the moment that
 * its making fails, whichever driver it is of.
 */
static void do_create(Random *r) {
        static pthread_mutex_t locks[VGPUS] = {
                PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
        };
        uint32_t vgpu = random_below(r, VGPUS);
        char uuid[37], path[128];

        uuid_make(vgpu, uuid);
        pthread_mutex_lock(&locks[vgpu]);
        if (random_below(r, 4)) {
                snprintf(path, sizeof(path),
                         "/sys/bus/pci/devices/1000:00:%02x.0/mdev_supported_types/mdevgpu_ref-%u/create",
                         random_below(r, GPUS), 1 + random_below(r, 5));
                file_write(path, uuid);
        } else
                vgpu_remove(uuid);
        pthread_mutex_unlock(&locks[vgpu]);
}

/* The copy engine, at addresses that are mapped, or were, or never will be */
static void engine_noise(Random *r, const struct vgpu *v, uint64_t iova) {
        uint64_t registers[] = { random_below(r, 3) ? iova + random_below(r, 1 << 20) : random_next(r),
                                 random_below(r, 4) ? random_below(r, 64 << 20) : random_next(r),
                                 random_below(r, 4) ? random_below(r, 4 << 20) : random_next(r) };

        if (pwrite(v->device, registers, sizeof(registers), bar0.offset + REG_DMA) < 0 ||
            pwrite(v->device, &(uint32_t){ random_below(r, 5) }, 4, bar0.offset + REG_COMMAND) < 0 ||
            pwrite(v->device, &(uint32_t){ random_next(r) >> random_below(r, 32) }, 4, bar0.offset + REG_WINDOW) < 0)
                return;
}

static void device_noise(Random *r, int device) {
        char bytes[256];

        for (uint32_t i = random_below(r, 100); i > 0 && !stopped(); i--) {
                uint64_t region = random_below(r, 10), at = random_below(r, 4) ? random_below(r, 8192) : random_next(r);
                uint64_t offset = (region << 40) + at;
                struct vfio_irq_set set = { .argsz = sizeof(set),
                                            .flags = random_below(r, 64),
                                            .index = random_below(r, 7),
                                            .start = random_below(r, 2),
                                            .count = random_below(r, 3) };
                char *p;

                switch (random_below(r, 6)) {
                case 0:
                        if (pread(device, bytes, random_below(r, 256), offset) < 0)
                                break;
                        break;
                case 1:
                        if (pwrite(device, bytes, random_below(r, 256), offset) < 0)
                                break;
                        break;
                case 2:
                        p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, device, offset & ~4095ULL);
                        if (p == MAP_FAILED)
                                break;
                        p[random_below(r, 65536)]++;
                        if (random_below(r, 2))
                                ioctl(device, VFIO_DEVICE_RESET);
                        p[random_below(r, 65536)]++;
                        munmap(p, 65536);
                        break;
                case 3:
                        ioctl(device, VFIO_DEVICE_SET_IRQS, &set);
                        break;
                case 4:
                        ioctl(device, VFIO_DEVICE_GET_INFO + random_below(r, 12), bytes);
                        break;
                default:
                        ioctl(device, VFIO_DEVICE_RESET);
                }
        }
}

static void do_open(Random *r) {
        const uint64_t iova = 0x10000000;
        struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = iova, .size = MIB };
        struct vgpu v = { -1, -1, -1 };
        char uuid[37];
        void *p = NULL;

        uuid_make(random_below(r, VGPUS), uuid);
        if (vgpu_open(uuid, &v) < 0)
                return;
        if (random_below(r, 2))
                p = dma_map(&v, iova, MIB);
        for (uint32_t i = random_below(r, 4); i > 0; i--) {
                engine_noise(r, &v, iova);
                device_noise(r, v.device);
        }
        if (p && random_below(r, 2))
                ioctl(v.container, VFIO_IOMMU_UNMAP_DMA, &unmap);
        if (p)
                munmap(p, MIB);
        vgpu_close(&v);
        __atomic_add_fetch(&n_opened, 1, __ATOMIC_RELAXED);
}

/* Who listens, reads at times, and goes away at others */
static void do_listen(Random *r) {
        struct mdevgpu_subscribe args = { .size = sizeof(args),
                                          .event_size = sizeof(struct mdevgpu_event) + 8 * random_below(r, 3),
                                          .framebuffer_high = (1 + random_below(r, 20)) * 1024 * MIB };
        int fd = node_any(r, O_RDONLY | (random_below(r, 4) ? O_NONBLOCK : 0));
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char records[2048];

        if (fd < 0)
                return;
        for (uint32_t i = random_below(r, 10); i > 0 && !stopped(); i--) {
                args.mask = random_below(r, 128);
                args.framebuffer_low = args.framebuffer_high - 1 - random_below(r, 1024) * MIB;
                ioctl(fd, MDEVGPU_SUBSCRIBE, &args);
                if (poll(&p, 1, random_below(r, 50)) == 1 && read(fd, records, random_below(r, sizeof(records))) < 0)
                        continue;
        }
        close(fd);
}

/* What anybody may read meanwhile */
static void do_read(Random *r) {
        static const char *const names[] = { "name", "description", "available_instances", "device_api" };
        char path[128], text[256];
        int fd;

        snprintf(path, sizeof(path), "/sys/bus/pci/devices/1000:00:%02x.0/mdev_supported_types/mdevgpu_ref-%u/%s",
                 random_below(r, GPUS), 1 + random_below(r, 8), names[random_below(r, 4)]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        if (read(fd, text, sizeof(text)) < 0)
                usleep(1);
        close(fd);
}

typedef struct Abuse {
        void (*function)(Random *r);
        pthread_t thread;
        Random random;
} Abuse;

static Abuse abuses[] = {
        { .function = do_plug },   { .function = do_set },  { .function = do_noise },  { .function = do_create },
        { .function = do_create }, { .function = do_open }, { .function = do_listen }, { .function = do_read },
        { .function = do_open },   { .function = do_module },
};

#define ABUSES (sizeof(abuses) / sizeof(abuses[0]))

static void *abuse_thread(void *p) {
        Abuse *abuse = p;

        while (!stopped()) {
                bool faulty = random_below(&abuse->random, 3) == 0;

                if (faulty)
                        fail_nth(1 + random_below(&abuse->random, 60));
                abuse->function(&abuse->random);
                if (faulty)
                        fail_nth(0);
                n_done[abuse - abuses]++;
        }
        return NULL;
}

int main(int argc, char *argv[]) {
        int faults;

        if (argc < 3) {
                fprintf(stderr, "Usage: shim-abuse SECONDS SEED [MODULE]\n");
                return 2;
        }
        module_path = argv[3];
        /* The regions' places are the same for every vGPU; those of a file that is closed will do. */
        bar0.offset = (uint64_t)VFIO_PCI_BAR0_REGION_INDEX << 40;
        for (size_t i = 0; i < ABUSES; i++) {
                abuses[i].random.state = strtoull(argv[2], NULL, 0) * 1000 + i;
                if (pthread_create(&abuses[i].thread, NULL, abuse_thread, &abuses[i]) != 0)
                        abort();
        }
        sleep(strtoul(argv[1], NULL, 0));
        __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
        for (size_t i = 0; i < ABUSES; i++)
                pthread_join(abuses[i].thread, NULL);

        faults = access("/proc/thread-self/fail-nth", F_OK) == 0;
        check(n_opened > 0, "plug %lu, set %lu, noise %lu, create and remove %lu, open %lu of %lu, listen %lu, read %lu",
              n_done[0], n_done[1], n_done[2], n_done[3] + n_done[4], n_opened, n_done[5] + n_done[8], n_done[6],
              n_done[7]);
        if (faults)
                check(n_faults > 0, "%lu allocations failed", n_faults);
        return tests_finish();
}
