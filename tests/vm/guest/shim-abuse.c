/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Everything about the shim at once, at random: GPUs are plugged, unplugged, bound and unbound while types are set, vGPUs
 * made, opened, mapped and removed, and while what is not meant for the control channel is sent there. Nothing is expected
 * but that it ends and that the kernel does not complain. With a third argument, a file, the vendor module is unloaded and
 * loaded as well.
 *
 *     shim-abuse SECONDS SEED [MODULE]
 */

#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "shim-test.h"

#define GPUS 2
#define VGPUS 6

static const char *module_path;
static bool stop;
static unsigned long n_done[8];

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
        usleep(random_below(r, 100000));
}

static void do_module(Random *r) {
        int fd;

        usleep(random_below(r, 2000000));
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
                types[i] = type_make(1 + i, 1 + random_below(r, 4), (1 + random_below(r, 30)) * 1024 * MIB);
                types[i].bar1_size = random_below(r, 2) ? 0 : 16 * MIB;
        }
}

static void do_set(Random *r) {
        struct mdevgpu_takeover take = { .size = sizeof(take) };
        struct mdevgpu_set_types set;
        struct mdevgpu_type types[8];
        int fd = node_any(r, random_below(r, 3) ? O_RDWR : O_RDONLY);

        if (fd < 0)
                return;
        if (random_below(r, 2))
                ioctl(fd, MDEVGPU_TAKEOVER, &take);
        for (uint32_t i = random_below(r, 6); i > 0; i--) {
                types_random(r, types);
                shim_set(fd, types, random_below(r, 9), random_below(r, 4) == 0, &set);
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
                ioctl(p.fd, _IO(MDEVGPU_IOCTL_MAGIC, random_below(r, 5)), args);
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
        if (random_below(r, 2)) {
                snprintf(path, sizeof(path),
                         "/sys/bus/pci/devices/1000:00:%02x.0/mdev_supported_types/mdevgpu_ref-%u/create",
                         random_below(r, GPUS), 1 + random_below(r, 8));
                file_write(path, uuid);
        } else
                vgpu_remove(uuid);
        pthread_mutex_unlock(&locks[vgpu]);
}

static void device_noise(Random *r, int device) {
        char bytes[256];

        for (uint32_t i = random_below(r, 200); i > 0 && !stopped(); i--) {
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
        char uuid[37], link[128], target[256], path[64];
        int container, group, device;
        ssize_t n;

        uuid_make(random_below(r, VGPUS), uuid);
        snprintf(link, sizeof(link), "/sys/bus/mdev/devices/%s/iommu_group", uuid);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0)
                return;
        target[n] = '\0';
        snprintf(path, sizeof(path), "/dev/vfio/%.40s", strrchr(target, '/') + 1);
        container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
        group = open(path, O_RDWR | O_CLOEXEC);
        ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
        ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
        device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, uuid);
        if (device >= 0) {
                device_noise(r, device);
                n_done[7]++;
        }
        close(device);
        close(group);
        close(container);
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
        { .function = do_plug },   { .function = do_set },  { .function = do_noise }, { .function = do_create },
        { .function = do_create }, { .function = do_open }, { .function = do_read },  { .function = do_module },
};

static void *abuse_thread(void *p) {
        Abuse *abuse = p;

        while (!stopped()) {
                abuse->function(&abuse->random);
                if (abuse - abuses < 7)
                        n_done[abuse - abuses]++;
        }
        return NULL;
}

int main(int argc, char *argv[]) {
        size_t n_abuses = sizeof(abuses) / sizeof(abuses[0]);

        if (argc < 3) {
                fprintf(stderr, "Usage: shim-abuse SECONDS SEED [MODULE]\n");
                return 2;
        }
        module_path = argv[3];
        for (size_t i = 0; i < n_abuses; i++) {
                abuses[i].random.state = strtoull(argv[2], NULL, 0) * 1000 + i;
                if (pthread_create(&abuses[i].thread, NULL, abuse_thread, &abuses[i]) != 0)
                        abort();
        }
        sleep(strtoul(argv[1], NULL, 0));
        __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
        for (size_t i = 0; i < n_abuses; i++)
                pthread_join(abuses[i].thread, NULL);

        check(n_done[7] > 0, "plug %lu, set %lu, noise %lu, create and remove %lu + %lu, open %lu of %lu, read %lu",
              n_done[0], n_done[1], n_done[2], n_done[3], n_done[4], n_done[7], n_done[5], n_done[6]);
        return tests_finish();
}
