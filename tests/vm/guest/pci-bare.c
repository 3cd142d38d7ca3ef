/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A whole guest of a few kilobytes, for where a Linux would take a minute to come up: what the firmware has put on its PCI
 * bus, and what the command line asks for, said as pci-probe.c says it. Then it stands still, and holds its devices, until
 * its machine is ended. Booted by the Multiboot Specification, version 0.6.96: 32 bits, no paging, no interrupts.
 */

#include <stdint.h>

#define MULTIBOOT_MAGIC 0x1badb002U
#define MULTIBOOT_CMDLINE 4 /* index of the field in what is handed over; flag 1 << 2 says that it is there */

#define SERIAL 0x3f8
#define SERIAL_STATUS (SERIAL + 5)
#define SERIAL_EMPTY 0x20

/* PCI Local Bus Specification 3.0, configuration mechanism #1 and the header of type 0 */
#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define COMMAND 0x04
#define COMMAND_DECODE 0x3U
#define CLASS 0x08
#define HEADER 0x0c
#define HEADER_MULTI 0x800000U
#define BAR0 0x10
#define SUBSYSTEM 0x2c
#define BARS 6

__attribute__((section(".text.multiboot"), used)) static const uint32_t multiboot[] = { MULTIBOOT_MAGIC, 0,
                                                                                        -MULTIBOOT_MAGIC };

__asm__(".section .text.start, \"ax\"\n"
        ".global _start\n"
        "_start:\n"
        "        mov $stack + 16384, %esp\n"
        "        push %ebx\n"
        "        call run\n"
        "1:      cli\n"
        "        hlt\n"
        "        jmp 1b\n"
        ".text\n");

__attribute__((used)) static uint8_t stack[16384];

static void out8(uint16_t port, uint8_t v) {
        __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t in8(uint16_t port) {
        uint8_t v;

        __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
        return v;
}

static void out32(uint16_t port, uint32_t v) {
        __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static uint32_t in32(uint16_t port) {
        uint32_t v;

        __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
        return v;
}

static void say_char(char c) {
        while (!(in8(SERIAL_STATUS) & SERIAL_EMPTY))
                ;
        out8(SERIAL, (uint8_t)c);
}

static void say(const char *s) {
        for (; *s; s++)
                say_char(*s);
}

/* At least so many digits */
static void say_hex(uint32_t v, int digits) {
        int n = 8;

        while (n > digits && v >> (4 * (n - 1)) == 0)
                n--;
        while (n-- > 0)
                say_char("0123456789abcdef"[v >> (4 * n) & 0xf]);
}

static uint32_t config_read(uint32_t function, uint32_t where) {
        out32(CONFIG_ADDRESS, 0x80000000U | function << 8 | where);
        return in32(CONFIG_DATA);
}

static void config_write(uint32_t function, uint32_t where, uint32_t v) {
        out32(CONFIG_ADDRESS, 0x80000000U | function << 8 | where);
        out32(CONFIG_DATA, v);
}

/* 0: there is none. *ret_next is the one after it: of 64 bits it takes two. */
static uint32_t bar_size(uint32_t function, int bar, int *ret_next) {
        uint32_t where = BAR0 + 4U * (uint32_t)bar, before = config_read(function, where), size;

        *ret_next = bar + ((before & 7) == 4 ? 2 : 1);
        config_write(function, where, UINT32_MAX);
        size = config_read(function, where);
        config_write(function, where, before);
        size &= before & 1 ? ~0x3U : ~0xfU;
        if (before & 1)
                size |= 0xffff0000U * (size != 0);
        return size == 0 ? 0 : ~size + 1;
}

static void say_bars(uint32_t function) {
        uint32_t command = config_read(function, COMMAND);
        const char *comma = "";

        config_write(function, COMMAND, command & ~COMMAND_DECODE & 0xffff);
        for (int bar = 0, next; bar < BARS; bar = next) {
                uint32_t size = bar_size(function, bar, &next);

                if (size == 0)
                        continue;
                say(comma);
                say_hex((uint32_t)bar, 1);
                say(config_read(function, BAR0 + 4U * (uint32_t)bar) & 1 ? ":io:0x" : ":mem:0x");
                say_hex(size, 1);
                comma = ",";
        }
        config_write(function, COMMAND, command & 0xffff);
}

static void say_pair(uint32_t v) {
        say_hex(v & 0xffff, 4);
        say(":");
        say_hex(v >> 16, 4);
}

static void say_function(uint32_t function) {
        say("pci 0000:00:");
        say_hex(function >> 3, 2);
        say(".");
        say_hex(function & 7, 1);
        say(" id=");
        say_pair(config_read(function, 0));
        say(" subsystem=");
        say_pair(config_read(function, SUBSYSTEM));
        say(" class=");
        say_hex(config_read(function, CLASS) >> 8, 6);
        say(" bars=");
        say_bars(function);
        say("\n");
}

static int is_there(uint32_t function) {
        if ((function & 7) != 0 && !(config_read(function & ~7U, HEADER) & HEADER_MULTI))
                return 0;
        return (config_read(function, 0) & 0xffff) != 0xffff;
}

/* Reads a number in hexadecimal, and the colon after it. */
static uint32_t take_hex(const char **s) {
        uint32_t v = 0;

        for (;; (*s)++) {
                char c = **s;

                if (c >= '0' && c <= '9')
                        v = v << 4 | (uint32_t)(c - '0');
                else if (c >= 'a' && c <= 'f')
                        v = v << 4 | (uint32_t)(c - 'a' + 10);
                else if (c != 'x')
                        break;
        }
        if (**s == ':')
                (*s)++;
        return v;
}

/* peek=VENDOR:DEVICE:BAR:OFFSET, or poke with :VALUE; s is behind the sign */
static void access_memory(const char *verb, int write, const char *s) {
        uint32_t vendor = take_hex(&s), device = take_hex(&s), bar = take_hex(&s), offset = take_hex(&s);
        uint32_t value = write ? take_hex(&s) : 0, found = 0;

        for (uint32_t function = 0; function < 256; function++) {
                volatile uint32_t *word;

                if (!is_there(function) || config_read(function, 0) != (device << 16 | vendor))
                        continue;
                config_write(function, COMMAND, (config_read(function, COMMAND) & 0xffff) | COMMAND_DECODE);
                word = (volatile uint32_t *)((config_read(function, BAR0 + 4 * bar) & ~0xfU) + offset);
                if (write)
                        *word = value;
                say(verb);
                say_pair(device << 16 | vendor);
                say(" bar");
                say_hex(bar, 1);
                say("+0x");
                say_hex(offset, 1);
                say(" 0x");
                say_hex(*word, 8);
                say("\n");
                found++;
        }
        if (found > 0)
                return;
        say(verb);
        say_pair(device << 16 | vendor);
        say(" no such device\n");
}

static int starts(const char *s, const char *with) {
        while (*with)
                if (*s++ != *with++)
                        return 0;
        return 1;
}

__attribute__((used)) static void run(const uint32_t *information) {
        const char *s = information[0] & 1U << 2 ? (const char *)information[MULTIBOOT_CMDLINE] : "";

        for (uint32_t function = 0; function < 256; function++)
                if (is_there(function))
                        say_function(function);
        for (; *s; s++)
                if (starts(s, "peek="))
                        access_memory("peek ", 0, s + 5);
                else if (starts(s, "poke="))
                        access_memory("poke ", 1, s + 5);
        say("pci-probe done\n");
}
