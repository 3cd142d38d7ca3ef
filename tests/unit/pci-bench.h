/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PCI bench: a bench whose vGPUs are PCI devices: whole cards, and virtual functions; and what else can be done to these.
 */

#include "bench.h"
#include "sim/sim-internal.h"
#include "util/file.h"

#define AUDIO_A "0000:41:00.1"
#define VF_A(n) "0000:41:01." #n

/* Backends whose vGPUs are virtual functions. */
typedef struct VfRow {
        Row row;
        const char *n_vfs; /* that are enabled */
        const char *type;
        uint32_t instances;
        const char *attribute, *good, *bad; /* of a vGPU; NULL: it has none */
        const char *attribute_path; /* below the PCI devices, of the second function */
        bool fixed; /* the functions are there, and nobody changes their number */
        const char *free_driver; /* that a function without a vGPU has */
} VfRow;

#define VF_N_ROWS 4U

extern const VfRow vf_rows[VF_N_ROWS];
#define SRIOV_ROW (&vf_rows[0])
#define NVIDIA_ROW (&vf_rows[1])
#define XE_ROW (&vf_rows[2])
#define GIM_ROW (&vf_rows[3])

/* The driver that a device has; empty: none. To be freed. */
char *pci_bench_driver(Bench *b, const char *address);

#define assert_driver(b, address, driver)                                                                              \
        do {                                                                                                           \
                g_autofree char *driver_ = pci_bench_driver(b, address);                                               \
                g_assert_cmpstr(driver_, ==, driver);                                                                  \
        } while (0)

/* Somebody writes to an attribute below /sys. */
int pci_bench_store(Bench *b, const char *path, const char *text);
/* An attribute of a PCI device says something else from now on. */
void pci_bench_put(Bench *b, const char *path, const char *text);
char *pci_bench_get(Bench *b, const char *path);
int pci_bench_sync(Bench *b);

int pci_bench_enable_vfs(Bench *b, uint32_t n);
/* By somebody else, whatever is on them. */
int pci_bench_set_vfs(Bench *b, const char *n);

/* With as many functions as the row says, enabled and read. */
Bench *vf_bench_new(const VfRow *row);
int vf_bench_create_on(Bench *b, const VfRow *row, const char *parent, const char *uuid);
