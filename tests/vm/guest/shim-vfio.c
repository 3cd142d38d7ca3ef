/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A vGPU of the shim as VFIO's user sees it: configuration space, registers, memory, interrupts, and what a hostile user
 * would try. Wants the name of a node that nobody uses.
 */

#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "shim-vfio.h"

#define VGPU UUID(9)
#define FRAMEBUFFER (512 * MIB)
#define APERTURE (256 * MIB)

static void test_info(const struct vgpu *v) {
        struct vfio_device_info info = { .argsz = sizeof(info) };
        struct vfio_region_info region = { .argsz = sizeof(region) };
        unsigned n_others = 0;

        check_errno(0, ioctl(v->device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO");
        check(info.flags == (VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET) &&
                      info.num_regions == VFIO_PCI_NUM_REGIONS && info.num_irqs == VFIO_PCI_NUM_IRQS,
              "a PCI device that can be reset");
        for (region.index = 0; region.index < VFIO_PCI_NUM_REGIONS; region.index++) {
                if (ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, &region) < 0)
                        check_errno(0, -1, "GET_REGION_INFO");
                if (region.size)
                        n_others++;
        }
        check(config.size == 256 && bar0.size == 4096 && bar1.size == APERTURE && n_others == 3, "its regions");
        check((bar1.flags & VFIO_REGION_INFO_FLAG_MMAP) && !(bar0.flags & VFIO_REGION_INFO_FLAG_MMAP),
              "memory can be mapped, registers cannot");
        check_errno(EINVAL, ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, &region), "a region too many");
        region.index = UINT32_MAX;
        check_errno(EINVAL, ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, &region), "region 4294967295");
        region.argsz = 8;
        check_errno(EINVAL, ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, &region), "too small a structure");
        check_errno(ENOTTY, ioctl(v->device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &region), "an unknown call");
}

static void test_config(const struct vgpu *v) {
        check(region_read(v, &config, PCI_VENDOR_ID, 4) == 0x20b06d67, "vendor of the GPU, device of the type");
        check(region_read(v, &config, PCI_SUBSYSTEM_VENDOR_ID, 4) == 0x14716d67, "the same of its subsystem");
        check(region_read(v, &config, PCI_CLASS_DEVICE, 2) == 0x0300, "with heads, a VGA controller");
        region_write(v, &config, PCI_BASE_ADDRESS_0, UINT32_MAX, 4);
        region_write(v, &config, PCI_BASE_ADDRESS_1, UINT32_MAX, 4);
        region_write(v, &config, PCI_BASE_ADDRESS_2, UINT32_MAX, 4);
        region_write(v, &config, PCI_BASE_ADDRESS_3, UINT32_MAX, 4);
        check(region_read(v, &config, PCI_BASE_ADDRESS_0, 4) == 0xfffff000, "BAR0 sizes to 4 KiB");
        check(region_read(v, &config, PCI_BASE_ADDRESS_1, 8) == (~(APERTURE - 1) | 0xc),
              "BAR1 sizes to 256 MiB, 64 bit");
        check(region_read(v, &config, PCI_BASE_ADDRESS_3, 4) == 0, "there is no BAR3");
        region_write(v, &config, PCI_VENDOR_ID, 0x10de, 2);
        check(region_read(v, &config, PCI_VENDOR_ID, 2) == 0x6d67, "ids cannot be written");
}

static void test_registers(const struct vgpu *v) {
        check(region_read(v, &bar0, 0x00, 4) == 0x5550474d && region_read(v, &bar0, 0x04, 4) == 2, "magic and version");
        check(region_read(v, &bar0, 0x08, 4) == 9, "the type's id");
        check(region_read(v, &bar0, 0x0c, 4) == FRAMEBUFFER / MIB, "its framebuffer in MiB");
        check(region_read(v, &bar0, 0x10, 4) == 4, "its heads");
        region_write(v, &bar0, 0x18, 0xdeadbeef, 4);
        check(region_read(v, &bar0, 0x18, 4) == 0xdeadbeef, "the scratch register");
        region_write(v, &bar0, 0x18, 0, 1);
        check(region_read(v, &bar0, 0x18, 4) == 0xdeadbeef, "a single byte is dropped");
        check(region_read(v, &bar0, 0x1a, 1) == 0xad, "and can be read");
        region_write(v, &bar0, 0x00, 0, 4);
        check(region_read(v, &bar0, 0x00, 4) == 0x5550474d, "the magic cannot be written");
        check(region_read(v, &bar0, 0x00, 8) == 0x25550474d, "two registers at once");
        check(region_read(v, &bar0, 0xffc, 4) == 0, "the end of the page");
}

static int read_at(const struct vgpu *v, uint64_t offset, size_t size) {
        static char sink[65536];

        return pread(v->device, sink, size > sizeof(sink) ? sizeof(sink) : size, offset) < 0 ? -1 : 0;
}

static void test_hostile(const struct vgpu *v) {
        char bytes[64];

        check(pread(v->device, bytes, 64, config.offset + 250) == 6, "a read across the end of a region is cut");
        check(pwrite(v->device, bytes, 64, bar0.offset + 4090) == 6, "a write, too");
        check_errno(EINVAL, read_at(v, config.offset + 256, 1), "a read at the end of the configuration space");
        check_errno(EINVAL, read_at(v, bar0.offset + 4096, 4), "at the end of BAR0");
        check_errno(EINVAL, read_at(v, bar1.offset + APERTURE, 4), "at the end of BAR1");
        check_errno(EINVAL, read_at(v, bar1.offset + (1ULL << 40) - 1, 1), "at the end of BAR1's share of offsets");
        check_errno(EINVAL, read_at(v, (uint64_t)VFIO_PCI_NUM_REGIONS << 40, 1), "in a region too many");
        check_errno(EINVAL, read_at(v, INT64_MAX - 1, 1), "at the end of all offsets");
        check_errno(EINVAL, read_at(v, UINT64_MAX - 7, 8), "at a negative offset");
        check_errno(EFAULT, pread(v->device, (void *)4096, 4, config.offset), "into no memory");
        check_errno(EFAULT, pread(v->device, (void *)4096, 4, bar1.offset), "of BAR1 into no memory");
        check_errno(EFAULT, pwrite(v->device, (void *)4096, 4, bar0.offset), "out of no memory");
        check(pread(v->device, bytes, 0, bar0.offset) == 0, "of nothing");
}

static void *map(const struct vgpu *v, uint64_t offset, size_t size, int flags) {
        return mmap(NULL, size, PROT_READ | PROT_WRITE, flags, v->device, offset);
}

static bool map_refused(const struct vgpu *v, uint64_t offset, size_t size, int flags) {
        void *p = map(v, offset, size, flags);

        if (p == MAP_FAILED)
                return true;
        munmap(p, size);
        return false;
}

static void test_memory(const struct vgpu *v) {
        static char pattern[3 * 4096], back[3 * 4096];
        uint64_t *p;

        for (size_t i = 0; i < sizeof(pattern); i++)
                pattern[i] = i * 31 + 7;
        check(pwrite(v->device, pattern, sizeof(pattern), bar1.offset + 4096 - 13) == sizeof(pattern) &&
                      pread(v->device, back, sizeof(back), bar1.offset + 4096 - 13) == sizeof(back) &&
                      memcmp(pattern, back, sizeof(back)) == 0,
              "BAR1 keeps what is written across pages");
        region_write(v, &bar1, APERTURE - 8, 0x1122334455667788, 8);
        check(region_read(v, &bar1, APERTURE - 8, 8) == 0x1122334455667788, "up to its end");

        p = map(v, bar1.offset, APERTURE, MAP_SHARED);
        if (!check(p != MAP_FAILED, "it can be mapped whole"))
                return;
        check(p[APERTURE / 8 - 1] == 0x1122334455667788 && memcmp((char *)p + 4096 - 13, pattern, sizeof(pattern)) == 0,
              "the mapping shows the same");
        p[1000000] = 42;
        check(region_read(v, &bar1, 8000000, 8) == 42, "and is the same memory");
        check_errno(0, ioctl(v->device, VFIO_DEVICE_RESET), "RESET");
        check(p[1000000] == 0 && p[APERTURE / 8 - 1] == 0 && region_read(v, &bar1, 4096, 8) == 0,
              "scrubs it, mapped or not");
        check(region_read(v, &bar0, 0x18, 4) == 0 && region_read(v, &config, PCI_BASE_ADDRESS_0, 4) == 0,
              "and the registers");
        munmap(p, APERTURE);

        p = map(v, bar1.offset + 8192, 4096, MAP_SHARED);
        if (check(p != MAP_FAILED, "a page of it can be mapped")) {
                p[0] = 43;
                check(region_read(v, &bar1, 8192, 8) == 43, "at its offset");
                munmap(p, 4096);
        }
        check(map_refused(v, bar1.offset + 4096, APERTURE, MAP_SHARED), "a mapping beyond its end is refused");
        check(map_refused(v, bar1.offset + APERTURE, 4096, MAP_SHARED), "one behind its end, too");
        check(map_refused(v, bar1.offset, 4096, MAP_PRIVATE), "a private one");
        check(map_refused(v, bar0.offset, 4096, MAP_SHARED), "one of BAR0");
        check(map_refused(v, config.offset, 4096, MAP_SHARED), "one of the configuration space");
        check(map_refused(v, (1ULL << 62), 4096, MAP_SHARED), "one of nothing");
}

struct irq_set {
        struct vfio_irq_set head;
        int32_t fd;
};

static int irq_eventfd(const struct vgpu *v, uint32_t index, int fd) {
        struct irq_set set = {
                .head = { .argsz = sizeof(set),
                          .index = index,
                          .count = 1,
                          .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER },
                .fd = fd,
        };

        return ioctl(v->device, VFIO_DEVICE_SET_IRQS, &set);
}

static uint64_t eventfd_take(int fd) {
        uint64_t n = 0;

        return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void test_irqs(const struct vgpu *v) {
        struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSI_IRQ_INDEX };
        int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        check_errno(0, ioctl(v->device, VFIO_DEVICE_GET_IRQ_INFO, &info), "GET_IRQ_INFO");
        check(info.count == 1 && (info.flags & VFIO_IRQ_INFO_EVENTFD), "one MSI vector");
        info.index = VFIO_PCI_INTX_IRQ_INDEX;
        check(ioctl(v->device, VFIO_DEVICE_GET_IRQ_INFO, &info) == 0 && info.count == 0, "no INTx");
        check_errno(0, irq_eventfd(v, VFIO_PCI_MSI_IRQ_INDEX, event), "an eventfd for it");
        region_write(v, &bar0, 0x1c, 1, 4);
        check(eventfd_take(event) == 0, "silent as long as MSI is off");
        region_write(v, &config, 0x52, 1, 2);
        region_write(v, &bar0, 0x1c, 1, 4);
        check(eventfd_take(event) == 1 && region_read(v, &bar0, 0x1c, 4) == 2, "a write to the register raises it");
        check_errno(0, irq_eventfd(v, VFIO_PCI_MSI_IRQ_INDEX, -1), "no eventfd for it");
        region_write(v, &bar0, 0x1c, 1, 4);
        check(eventfd_take(event) == 0, "silent again");
        check_errno(EINVAL, irq_eventfd(v, VFIO_PCI_INTX_IRQ_INDEX, event), "an eventfd for INTx");
        check_errno(EINVAL, irq_eventfd(v, VFIO_PCI_NUM_IRQS, event), "for an index too many");
        check_errno(EINVAL, irq_eventfd(v, VFIO_PCI_MSI_IRQ_INDEX, -2), "descriptor -2");
        check_errno(EBADF, irq_eventfd(v, VFIO_PCI_MSI_IRQ_INDEX, 1000), "a descriptor that is not open");
        check_errno(EINVAL, irq_eventfd(v, VFIO_PCI_MSI_IRQ_INDEX, v->device), "a descriptor that is no eventfd");
        close(event);
}

static int memory_get(const struct vgpu *v, uint64_t at) {
        return region_read(v, &bar1, at, 4);
}

/* BAR1 shows one part of the framebuffer or another, mapped or not. */
static void test_window(const struct vgpu *v) {
        const uint32_t half = APERTURE / 4096 / 2;
        uint32_t *p;

        region_write(v, &bar1, 0, 1000, 4);
        p = map(v, bar1.offset, 8192, MAP_SHARED);
        if (!check(p != MAP_FAILED && p[0] == 1000, "a mapping shows the start of the framebuffer"))
                return;
        region_write(v, &bar0, REG_WINDOW, half, 4);
        check(region_read(v, &bar0, REG_WINDOW, 4) == half, "the window moves");
        check(memory_get(v, 0) == 0 && p[0] == 0, "both show another part");
        p[0] = 2000;
        p[1024] = 2001;
        check(memory_get(v, 0) == 2000, "which is the same memory again");
        region_write(v, &bar0, REG_WINDOW, half + 1, 4);
        check(p[0] == 2001 && memory_get(v, 0) == 2001, "a page on");
        region_write(v, &bar0, REG_WINDOW, 0, 4);
        check(p[0] == 1000 && memory_get(v, 0) == 1000, "and back");
        region_write(v, &bar0, REG_WINDOW, UINT32_MAX, 4);
        check(region_read(v, &bar0, REG_WINDOW, 4) == (FRAMEBUFFER - APERTURE) / 4096,
              "it stays within the framebuffer");
        check_errno(0, ioctl(v->device, VFIO_DEVICE_RESET), "RESET");
        check(region_read(v, &bar0, REG_WINDOW, 4) == 0 && p[0] == 0, "moves it back");
        munmap(p, 8192);
}

/* What the next user finds */
static void test_reopen(struct vgpu *v) {
        struct vgpu other;
        uint64_t *p;

        region_write(v, &bar1, 0, 0x5ec4e7, 8);
        region_write(v, &bar0, 0x18, 0x5ec4e7, 4);
        p = map(v, bar1.offset, 4096, MAP_SHARED);
        close(v->device);
        check(p != MAP_FAILED && p[0] == 0x5ec4e7, "a mapping outlives close");
        check(vgpu_open(VGPU, &other) < 0 && errno == EBUSY, "and holds the vGPU open");
        munmap(p, 4096);
        vgpu_close(v);
        if (!check_errno(0, vgpu_open(VGPU, v), "the next user opens it"))
                return;
        check(region_read(v, &bar1, 0, 8) == 0 && region_read(v, &bar0, 0x18, 4) == 0,
              "finds nothing of the one before");
        region_write(v, &bar1, 0, 0xab, 8);
}

static void *remove_thread(void *p) {
        (void)p;
        vgpu_remove(VGPU);
        return NULL;
}

static void test_in_use(struct vgpu *v, int owner) {
        struct mdevgpu_type type = type_make(9, 2, 1024 * MIB);
        int event = eventfd(0, EFD_CLOEXEC);
        struct mdevgpu_set_types set;
        struct pollfd p = { .fd = event, .events = POLLIN };
        pthread_t thread;
        char slot[8];

        type.id = 10;
        check_errno(EBUSY, shim_set(owner, &type, 1, 0, &set), "a new type while the vGPU is open");
        check_errno(EWOULDBLOCK, module_delete("mdevgpu_ref"), "the vendor module stays");
        snprintf(slot, sizeof(slot), "%lu", strtoul(strrchr(gpu_path, ':') + 1, NULL, 16));
        check_errno(EBUSY, file_write(DRIVER "/unplug", slot), "unplug");

        check_errno(0, irq_eventfd(v, VFIO_PCI_REQ_IRQ_INDEX, event), "an eventfd for the request to let go");
        if (pthread_create(&thread, NULL, remove_thread, NULL) != 0)
                abort();
        check(poll(&p, 1, 15000) == 1, "remove asks the user to let go");
        check(region_read(v, &bar0, 0, 4) == 0x5550474d, "the vGPU serves until then");
        check_errno(EBUSY, shim_set(owner, &type, 1, 0, &set), "a new type while it is being removed");
        vgpu_close(v);
        pthread_join(thread, NULL);
        check(access("/sys/bus/mdev/devices/" VGPU, F_OK) < 0, "close lets remove finish");
        check_errno(0, shim_set(owner, &type, 1, 0, &set), "and a new type come");
        shim_set(owner, NULL, 0, 0, &set);
        close(event);
}

int main(int argc, char *argv[]) {
        struct mdevgpu_type type = type_make(9, 2, FRAMEBUFFER);
        struct mdevgpu_set_types set;
        struct vgpu v;
        char path[64];
        int owner;

        close(node_find(argc, argv, path, sizeof(path)));
        owner = open(path, O_RDWR | O_CLOEXEC);
        check_errno(0, shim_set(owner, &type, 1, 0, &set), "a type");
        check_errno(0, vgpu_create(9, VGPU), "a vGPU");
        if (!check_errno(0, vgpu_open(VGPU, &v), "it opens"))
                return tests_finish();
        regions_find(&v);

        test_info(&v);
        test_config(&v);
        test_registers(&v);
        test_hostile(&v);
        test_irqs(&v);
        test_memory(&v);
        test_window(&v);
        test_reopen(&v);
        test_in_use(&v, owner);
        return tests_finish();
}
