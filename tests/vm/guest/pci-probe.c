/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The whole user space of the nested guest: prints every device on its PCI bus, does what the kernel's command line
 * asks after "--", and powers off. One line for each fact, made to be matched:
 *
 *     pci 0000:00:02.0 id=4348:3253 subsystem=4348:3253 class=070002 bars=io:0x8,io:0x8
 *     peek=VENDOR:DEVICE:BAR:OFFSET            -> peek 4348:3253 bar1+0x10 0x0000002a
 *     poke=VENDOR:DEVICE:BAR:OFFSET:VALUE      -> poke 4348:3253 bar1+0x10 0x0000002a (what is read back)
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"
#define BARS 6
#define RESOURCE_IO 0x100UL

static int attribute_open(const char *device, const char *name, int flags) {
        char path[512];

        snprintf(path, sizeof(path), DEVICES "/%s/%s", device, name);
        return open(path, flags | O_CLOEXEC);
}

static unsigned long attribute_hex(const char *device, const char *name) {
        char text[32] = "";
        int fd;

        fd = attribute_open(device, name, O_RDONLY);
        if (fd < 0)
                return 0;
        if (read(fd, text, sizeof(text) - 1) < 0)
                text[0] = '\0';
        close(fd);
        return strtoul(text, NULL, 16);
}

/* "io:0x8,mem:0x1000", and nothing for a BAR that is not there */
static void bars_print(const char *device) {
        unsigned long long start, end, flags;
        char line[128], path[512];
        const char *comma = "";
        FILE *f;

        snprintf(path, sizeof(path), DEVICES "/%s/resource", device);
        f = fopen(path, "re");
        if (!f)
                return;
        for (int bar = 0; bar < BARS && fgets(line, sizeof(line), f); bar++) {
                if (sscanf(line, "%llx %llx %llx", &start, &end, &flags) != 3 || end == 0)
                        continue;
                printf("%s%d:%s:0x%llx", comma, bar, (flags & RESOURCE_IO) ? "io" : "mem", end - start + 1);
                comma = ",";
        }
        fclose(f);
}

static void device_print(const char *device) {
        printf("pci %s id=%04lx:%04lx subsystem=%04lx:%04lx class=%06lx bars=", device,
               attribute_hex(device, "vendor"), attribute_hex(device, "device"),
               attribute_hex(device, "subsystem_vendor"), attribute_hex(device, "subsystem_device"),
               attribute_hex(device, "class"));
        bars_print(device);
        printf("\n");
}

static int device_each(int (*function)(const char *device, void *data), void *data) {
        struct dirent **names = NULL;
        int n, found = 0;

        n = scandir(DEVICES, &names, NULL, alphasort);
        for (int i = 0; i < n; i++) {
                if (names[i]->d_name[0] != '.')
                        found += function(names[i]->d_name, data);
                free(names[i]);
        }
        if (n >= 0)
                free(names);
        return found;
}

static int on_list(const char *device, void *data) {
        (void) data;
        device_print(device);
        return 1;
}

typedef struct Access {
        const char *verb;
        unsigned vendor;
        unsigned device;
        unsigned bar;
        unsigned long offset;
        uint32_t value;
} Access;

/* Nothing drives the device here, so nobody else switches its memory on. */
static int device_enable(const char *device) {
        int fd, r = 0;

        fd = attribute_open(device, "enable", O_WRONLY);
        if (fd < 0 || write(fd, "1", 1) != 1)
                r = -errno;
        if (fd >= 0)
                close(fd);
        return r;
}

static int device_access(const char *device, const Access *a, uint32_t *ret_value) {
        volatile uint32_t *word;
        char name[16];
        long page = sysconf(_SC_PAGESIZE);
        unsigned long base = a->offset & ~((unsigned long) page - 1);
        uint8_t *map;
        int fd, r;

        r = device_enable(device);
        if (r < 0)
                return r;
        snprintf(name, sizeof(name), "resource%u", a->bar);
        fd = attribute_open(device, name, O_RDWR);
        if (fd < 0)
                return -errno;
        map = mmap(NULL, (size_t) page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t) base);
        r = map == MAP_FAILED ? -errno : 0;
        close(fd);
        if (r < 0)
                return r;
        word = (volatile uint32_t *) (void *) (map + (a->offset - base));
        if (strcmp(a->verb, "poke") == 0)
                *word = a->value;
        *ret_value = *word;
        munmap(map, (size_t) page);
        return 0;
}

static int on_access(const char *device, void *data) {
        const Access *a = data;
        uint32_t value = 0;
        int r;

        if (attribute_hex(device, "vendor") != a->vendor || attribute_hex(device, "device") != a->device)
                return 0;
        printf("%s %04x:%04x bar%u+0x%lx ", a->verb, a->vendor, a->device, a->bar, a->offset);
        r = device_access(device, a, &value);
        if (r < 0)
                printf("failed: %s\n", strerror(-r));
        else
                printf("0x%08x\n", value);
        return 1;
}

static void argument_do(const char *argument) {
        Access a = { .verb = "peek" };

        if (sscanf(argument, "peek=%x:%x:%u:%lx", &a.vendor, &a.device, &a.bar, &a.offset) != 4) {
                a.verb = "poke";
                if (sscanf(argument, "poke=%x:%x:%u:%lx:%x", &a.vendor, &a.device, &a.bar, &a.offset, &a.value) != 5) {
                        printf("not understood: %s\n", argument);
                        return;
                }
        }
        if (device_each(on_access, &a) == 0)
                printf("%s %04x:%04x no such device\n", a.verb, a.vendor, a.device);
}

int main(int argc, char *argv[]) {
        if (mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
                printf("cannot mount sysfs: %s\n", strerror(errno));
        device_each(on_list, NULL);
        for (int i = 1; i < argc; i++)
                argument_do(argv[i]);
        printf("pci-probe done\n");
        fflush(stdout);
        reboot(RB_POWER_OFF);
        return 1;
}
