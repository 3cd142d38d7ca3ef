/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Migration: whether a vGPU's state can go from one host to another, as far as the two can tell without moving it. Each
 * describes a type as facts (GetMigrationInfo() on the bus documents them); two of these are compared.
 *
 * Nobody guesses: what the driver gives no means to tell is unknown, however alike the hosts look.
 */

#include "core/backend.h"
#include "core/observer.h"

/* Of the facts; a higher one is not understood. */
#define MIGRATION_FORMAT 1U

#define MIGRATION_REASONS_MAX 32U

typedef enum MigrationVerdict {
        MIGRATION_COMPATIBLE, /* the vendor has an oracle, and it says yes */
        MIGRATION_INCOMPATIBLE,
        MIGRATION_UNKNOWN,
        MIGRATION_VERDICT_MAX,
        MIGRATION_VERDICT_INVALID = -EINVAL,
} MigrationVerdict;

typedef struct MigrationReasons {
        char items[MIGRATION_REASONS_MAX][REASON_SIZE * 3];
        size_t n;
} MigrationReasons;

const char *migration_verdict_to_string(MigrationVerdict v);

/* Adds what is known of vGPUs of this type; usage: what the driver says of the GPU, or NULL. -ENOMEM. */
int migration_describe(const Type *type, const UsageReport *usage, Facts *facts);

/*
 * The verdict on moving a vGPU from there to here, or back, and why. What the other host says is hostile. -EINVAL: that is
 * no answer of GetMigrationInfo(); *error says what is missing.
 */
int migration_judge(const Facts *here, const Facts *there, MigrationVerdict *ret_verdict, MigrationReasons *ret_reasons,
                    Error *error);

/* Adds what concerns migration of what a driver has said of its GPU. -ENOMEM. */
int migration_take_told(const Facts *told, Facts *facts);

/* What a worker adds to that, of who has a vGPU and of what it answers when it is opened. */
#define MIGRATION_QEMU "qemu-version"
#define MIGRATION_STOP_COPY "stop-copy"
#define MIGRATION_P2P "p2p"
#define MIGRATION_PRE_COPY "pre-copy"
#define MIGRATION_DIRTY_TRACKING "dirty-tracking"
#define MIGRATION_DATA_SIZE "data-size"
#define MIGRATION_DEVICE_STATE "device-state"

/*
 * Whether the vGPU could be migrated now: "yes", "no" or "unknown", and why. facts: of JOB_MIGRATION, with what it has been
 * asked if probed; told: what the driver says of its machine, or NULL.
 */
const char *migration_judge_vgpu(const VGpu *vgpu, const JobResult *result, bool probed, MigrationReasons *ret_reasons);
