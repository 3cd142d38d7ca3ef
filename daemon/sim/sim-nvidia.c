/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * NVIDIA's resource manager on the simulated machine, as far as mixed sizes go: driver 580.95.05, as NVIDIA's open kernel
 * modules have it (nv-ioctl.h, nvos.h, ctrl0000gpu.h, ctrl0080gpu.h, ctrla081.h). Types are not registered by it: the model
 * in tests/unit does that.
 */

#include <stdio.h>

#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

#define VERSION "580.95.05"
#define ROOT_HANDLE 0xc1d00001U
#define CARDS_MAX 32U

enum {
        OK = 0,
        INVALID_ARGUMENT = 0x1f,
        INVALID_STATE = 0x40,
        NOT_SUPPORTED = 0x56,
};

static uint32_t get(const uint8_t *p) {
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return v;
}

static void set(uint8_t *p, uint32_t v) {
        memcpy(p, &v, sizeof(v));
}

static uint8_t *pointer(const uint8_t *p) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return (uint8_t *)(uintptr_t)v;
}

/* Each is known by its bus: two are never on one here. */
static size_t list_cards(const SimHost *sim, SimGpu ret_cards[static CARDS_MAX]) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        size_t n = 0;

        if (directory_list(sim->root_fd, "kernel/gpus", &dir) < 0)
                return 0;
        while (n < CARDS_MAX && (entry = directory_next(dir)))
                n += sim_gpu_load(sim, entry->d_name, &ret_cards[n]) >= 0 && ret_cards[n].kind == SIM_GPU_NVIDIA_VFIO;
        return n;
}

static uint32_t bus_of(const SimGpu *gpu) {
        return (uint32_t)strtoul(gpu->address + 5, NULL, 16);
}

static void alloc(uint8_t *args) {
        uint32_t parent = get(args + 4), class = get(args + 12), handle = ROOT_HANDLE;

        if (class == 0x80)
                handle = 0xd0000000U | get(pointer(args + 16));
        else if (class == 0x2080 || class == 0xa081)
                handle = class << 16 | (parent & 0xffff);
        set(args + 8, handle);
        set(args + 28, OK);
}

static uint32_t set_mixed(const SimHost *sim, const SimGpu *gpu, uint8_t on) {
        if (sim_nvidia_is_divided(sim, gpu))
                return INVALID_STATE;

        return sim_mkdir(sim, "kernel/mixed") < 0 ||
                               sim_write(sim, on ? "1\n" : "0\n", 0600, "kernel/mixed/%s", gpu->address) < 0
                       ? INVALID_STATE
                       : OK;
}

static uint8_t read_mixed(const SimHost *sim, const SimGpu *gpu) {
        char path[128];
        uint64_t v = 0;

        (void)snprintf(path, sizeof(path), "kernel/mixed/%s", gpu->address);
        (void)attribute_read_number(sim->root_fd, path, 1, &v);
        return (uint8_t)v;
}

static uint32_t control(const SimHost *sim, const uint8_t *args) {
        uint32_t object = get(args + 4), command = get(args + 8), size = get(args + 24);
        SimGpu cards[CARDS_MAX], *card = NULL;
        size_t n = list_cards(sim, cards);
        uint8_t *p = pointer(args + 16);

        for (size_t i = 0; i < n; i++)
                if (bus_of(&cards[i]) == (object & 0xffff))
                        card = &cards[i];
        if (command == 0x214 && size == 384) {
                memset(p, 0xff, size);
                for (size_t i = 0; i < n; i++)
                        set(p + i * 4, bus_of(&cards[i]) << 8);
                return OK;
        }
        if (command == 0x21b && size == 12) {
                set(p + 4, 0);
                set(p + 8, get(p) >> 8);
                return OK;
        }
        if (command == 0x205 && size == 32) {
                set(p + 8, get(p) >> 8);
                return OK;
        }
        if (size != 8 || !card)
                return command >> 16 == 0 ? INVALID_ARGUMENT : NOT_SUPPORTED;
        if (command == 0x800297)
                return set_mixed(sim, card, p[0]);
        if (command == 0x800298)
                p[0] = read_mixed(sim, card);
        else if (command == 0xa081011f)
                set(p + 4, get(p) == 6);
        else
                return NOT_SUPPORTED;
        return OK;
}

static void tell_cards(const SimHost *sim, uint8_t *args) {
        SimGpu cards[CARDS_MAX];
        size_t n = list_cards(sim, cards);

        memset(args, 0, CARDS_MAX * 72);
        for (size_t i = 0; i < n; i++) {
                args[i * 72] = 1;
                args[i * 72 + 8] = (uint8_t)bus_of(&cards[i]);
                set(args + i * 72 + 56, bus_of(&cards[i]));
        }
}

int sim_nvidia_ioctl(const SimHost *sim, unsigned long request, void *argument) {
        _cleanup_(fd_closep) int lock = sim_lock(sim);
        uint8_t *args = argument;

        if (lock < 0)
                return lock;

        switch (request) {
        case 0xc04846d2: /* version */
                set(args + 4, 1);
                (void)snprintf((char *)args + 8, 64, VERSION);
                return 0;
        case 0xc90046c8: /* cards */
                tell_cards(sim, args);
                return 0;
        case 0xc020462b:
                alloc(args);
                return 0;
        case 0xc0104629: /* free */
                set(args + 12, OK);
                return 0;
        case 0xc020462a:
                set(args + 28, control(sim, args));
                return 0;
        default:
                return -EINVAL;
        }
}

int sim_nvidia_plug(const SimHost *sim, const SimGpu *gpu) {
        int r;

        r = sim_write(sim, "", 0600, "dev/nvidiactl");
        return r < 0 ? r : sim_write(sim, "", 0600, "dev/nvidia%u", bus_of(gpu));
}

void sim_nvidia_forget(const SimHost *sim, const SimGpu *gpu) {
        sim_remove_tree(sim, "kernel/mixed/%s", gpu->address);
}
