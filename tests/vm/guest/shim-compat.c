/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The shim's control channel for a 32-bit program: the same structures, the same answers. Without a C library, which
 * Debian's amd64 has none of for it; compiled with -m32 -nostdlib. Wants /dev/mdevgpu/gpu0 and that nobody uses it; leaves
 * it with an empty set.
 */

#include "mdevgpu-shim.h"

_Static_assert(sizeof(void *) == 4, "this is for 32 bits");

#define O_RDWR 2
#define NUMBER_EXIT 1
#define NUMBER_READ 3
#define NUMBER_WRITE 4
#define NUMBER_OPEN 5
#define NUMBER_IOCTL 54

#define MIB (1024ULL * 1024)
#define ADDRESS(p) ((__u64)(unsigned long)(p))

static unsigned n_passed, n_failed;

static long call(long number, long a, const void *b, const void *c) {
        long r;

        __asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
        return r;
}

/* What the compiler calls of itself */
void *memset(void *p, int c, unsigned long n) {
        for (char *to = p; n > 0; n--)
                *to++ = (char)c;
        return p;
}

void *memcpy(void *p, const void *q, unsigned long n) {
        const char *from = q;

        for (char *to = p; n > 0; n--)
                *to++ = *from++;
        return p;
}

static void print(const char *text) {
        unsigned long n = 0;

        while (text[n])
                n++;
        call(NUMBER_WRITE, 1, text, (void *)n);
}

static void print_number(unsigned n) {
        char text[11], *p = text + sizeof(text) - 1;

        *p = '\0';
        do {
                *--p = (char)('0' + n % 10);
                n /= 10;
        } while (n > 0);
        print(p);
}

static void check(int good, const char *name) {
        if (good)
                n_passed++;
        else
                n_failed++;
        print(good ? "  ok      " : "  FAILED  ");
        print(name);
        print("\n");
}

static void test(long fd) {
        struct mdevgpu_identify id = { .size = sizeof(id) };
        struct mdevgpu_type type = { .id = 77, .max_instances = 3, .name = "From 32 bits", .framebuffer = 512 * MIB };
        struct mdevgpu_type back = {};
        struct mdevgpu_set_types set = { .size = sizeof(set), .type_size = sizeof(type), .types = ADDRESS(&type), .n_types = 1 };
        struct mdevgpu_get_types get = { .size = sizeof(get), .type_size = sizeof(back), .types = ADDRESS(&back), .n_types = 1 };
        struct mdevgpu_subscribe subscribe = { .size = sizeof(subscribe),
                                               .event_size = sizeof(struct mdevgpu_event),
                                               .mask = MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_TYPES) };
        struct mdevgpu_event event = {};

        check(call(NUMBER_IOCTL, fd, (void *)MDEVGPU_IDENTIFY, &id) == 0, "IDENTIFY");
        check(id.abi_version == MDEVGPU_ABI_VERSION && id.framebuffer_total == 40960 * MIB && id.type_size == sizeof(type),
              "says what it does to 64 bits");
        check(call(NUMBER_IOCTL, fd, (void *)MDEVGPU_SUBSCRIBE, &subscribe) == 0, "SUBSCRIBE");
        check(call(NUMBER_IOCTL, fd, (void *)MDEVGPU_SET_TYPES, &set) == 0 && type.verdict == MDEVGPU_VERDICT_OK, "SET_TYPES");
        check(call(NUMBER_IOCTL, fd, (void *)MDEVGPU_GET_TYPES, &get) == 0 && get.generation == set.generation, "GET_TYPES");
        check(back.id == 77 && back.framebuffer == 512 * MIB && back.available == 3 && back.name[0] == 'F',
              "gives what was set");
        check(call(NUMBER_READ, fd, &event, (void *)sizeof(event)) == sizeof(event) &&
                      event.type == MDEVGPU_EVENT_TYPES && event.generation == set.generation,
              "an event");
        set.types = 0x100000000ULL + ADDRESS(&type);
        check(call(NUMBER_IOCTL, fd, (void *)MDEVGPU_SET_TYPES, &set) == -14, "an address beyond 32 bits: Bad address");
        set.n_types = 0;
        set.types = 0;
        check(call(NUMBER_IOCTL, fd, (void *)MDEVGPU_SET_TYPES, &set) == 0, "no types");
}

void _start(void) {
        long fd = call(NUMBER_OPEN, (long)"/dev/mdevgpu/gpu0", (void *)O_RDWR, (void *)0);

        check(fd >= 0, "/dev/mdevgpu/gpu0 opens for writing");
        if (fd >= 0)
                test(fd);
        print("\n");
        print_number(n_passed);
        print(" passed, ");
        print_number(n_failed);
        print(" failed, 0 skipped\n");
        call(NUMBER_EXIT, n_failed > 0, (void *)0, (void *)0);
}
