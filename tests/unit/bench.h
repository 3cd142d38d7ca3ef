/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bench: one card of a simulated host and the backend that serves it, as in a worker, but in this process.
 */

#include "machine.h"
#include "nvidia-sim.h"

typedef struct Row {
        const char *backend;
        const char *gpu, *other; /* two cards of the kind */
        SimGpuKind kind;
        uint64_t capacity;
        const char *type, *sibling; /* one instance of the sibling takes the place of two of the type */
        uint32_t instances; /* of the type, on an empty card */
} Row;

#define BENCH_N_ROWS 3U
#define BENCH_N_SPECS 2U

extern const Row bench_rows[BENCH_N_ROWS];
extern const TypeSpec bench_specs[BENCH_N_SPECS]; /* what a row's type and sibling are, where types are registered */

typedef struct Bench {
        Machine *machine;
        const Row *row;
        BackendContext worker;
        JobResult result; /* of the last job */
        NvidiaModel *nvidia; /* of a card of NVIDIA's */
} Bench;

/* Plugged in, read, its types registered. */
Bench *bench_new(const Row *row);
/* The same for a card of NVIDIA's with this driver, of which nothing was read yet. */
Bench *bench_new_nvidia(const char *version);
void bench_free(Bench *b);

/* Any job, as it is. */
int bench_job(Bench *b, const Job *job);

/* Each does one job: 0 or the code of its error; the rest is in b->result. */
int bench_sync(Bench *b, const TypeSpec *types, size_t n_types, bool may_register);
int bench_create(Bench *b, const char *type_id, const char *uuid);
int bench_remove(Bench *b, const char *uuid);

/* Of the last result; there must be such a one. */
const TypeReport *bench_find_type(const Bench *b, const char *id);
uint32_t bench_find_count(const Bench *b, const char *id);
