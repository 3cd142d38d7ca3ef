/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA layout: how the parameters of the resource manager's controls are laid out, which changes with the driver. The
 * tables are made of nvidia-layouts.txt, which says of what drivers each number is known.
 *
 * A dialect holds all of it for the drivers from one version on until the next dialect begins.
 */

#include "util/cleanup.h"

/* Members of parameters, named after the lines of nvidia-layouts.txt. info: counted from where the type's description
 * begins, set_info_at in SET_INFO and in GET_VGPU_TYPE_INFO alike. guest: counted from a record's beginning. */
typedef enum NvidiaAt {
        NVIDIA_AT_INFO_TYPE,
        NVIDIA_AT_INFO_NAME,
        NVIDIA_AT_INFO_CLASS,
        NVIDIA_AT_INFO_SIGNATURE,
        NVIDIA_AT_INFO_LICENSE,
        NVIDIA_AT_INFO_MAX_INSTANCES,
        NVIDIA_AT_INFO_HEADS,
        NVIDIA_AT_INFO_MAX_WIDTH,
        NVIDIA_AT_INFO_MAX_HEIGHT,
        NVIDIA_AT_INFO_MAX_PIXELS,
        NVIDIA_AT_INFO_FRAME_LIMIT,
        NVIDIA_AT_INFO_CUDA,
        NVIDIA_AT_INFO_ECC,
        NVIDIA_AT_INFO_INSTANCE_SIZE,
        NVIDIA_AT_INFO_MULTI_VGPU,
        NVIDIA_AT_INFO_VDEV_ID,
        NVIDIA_AT_INFO_PDEV_ID,
        NVIDIA_AT_INFO_PROFILE_SIZE,
        NVIDIA_AT_INFO_FRAMEBUFFER,
        NVIDIA_AT_INFO_RESERVED,
        NVIDIA_AT_INFO_MAPPABLE_VIDEO,
        NVIDIA_AT_INFO_ENCODER,
        NVIDIA_AT_INFO_BAR1, /* MiB */
        NVIDIA_AT_INFO_LIMITER,
        NVIDIA_AT_SET_INFO_DISCARD,
        NVIDIA_AT_SET_INFO_STATE,
        NVIDIA_AT_TYPES_INSTANCE,
        NVIDIA_AT_TYPES_STATE,
        NVIDIA_AT_TYPES_COUNT,
        NVIDIA_AT_TYPES_IDS,
        NVIDIA_AT_MIXED_SIZE_ENABLED,
        NVIDIA_AT_MIXED_SIZE_INSTANCE,
        NVIDIA_AT_PLACEMENTS_INSTANCE,
        NVIDIA_AT_PLACEMENTS_TYPE,
        NVIDIA_AT_PLACEMENTS_SIZE,
        NVIDIA_AT_PLACEMENTS_COUNT,
        NVIDIA_AT_PLACEMENTS_IDS,
        NVIDIA_AT_GUESTS_COUNT,
        NVIDIA_AT_GUESTS_FIRST,
        NVIDIA_AT_GUEST_PID,
        NVIDIA_AT_GUEST_ID_TYPE,
        NVIDIA_AT_GUEST_PROHIBITED,
        NVIDIA_AT_GUEST_FRAME_LIMIT,
        NVIDIA_AT_GUEST_LICENSED,
        NVIDIA_AT_GUEST_LICENSE_STATE,
        NVIDIA_AT_GUEST_VM_ID,
        NVIDIA_AT_GUEST_DRIVER,
        NVIDIA_AT_GUEST_VM_NAME,
        NVIDIA_AT_GUEST_TYPE,
        NVIDIA_AT_GUEST_PCI,
        NVIDIA_AT_GUEST_VGPU,
        NVIDIA_AT_GUEST_MDEV,
        NVIDIA_AT_GUEST_ENCODER,
        NVIDIA_AT_GUEST_FRAMEBUFFER,
        NVIDIA_AT_GUEST_LOADED,
        NVIDIA_AT_MAX,
} NvidiaAt;

typedef enum NvidiaControl {
        NVIDIA_CONTROL_PROBED_IDS,
        NVIDIA_CONTROL_PCI_INFO,
        NVIDIA_CONTROL_ID_INFO,
        NVIDIA_CONTROL_VGPU_VERSION,
        NVIDIA_CONTROL_VIRTUALIZATION_MODE,
        NVIDIA_CONTROL_MIXED_SIZE,
        NVIDIA_CONTROL_SET_MIXED_SIZE,
        NVIDIA_CONTROL_SRIOV_CAPS,
        NVIDIA_CONTROL_BUS_PCI_INFO,
        NVIDIA_CONTROL_NAME_STRING,
        NVIDIA_CONTROL_SET_INFO,
        NVIDIA_CONTROL_GUESTS,
        NVIDIA_CONTROL_TYPE_INFO,
        NVIDIA_CONTROL_SUPPORTED_TYPES,
        NVIDIA_CONTROL_CREATABLE_TYPES,
        NVIDIA_CONTROL_NOTIFY,
        NVIDIA_CONTROL_UPDATE_PGPU,
        NVIDIA_CONTROL_SET_ENCODER,
        NVIDIA_CONTROL_FB_USAGE,
        NVIDIA_CONTROL_MIGRATION_CAP,
        NVIDIA_CONTROL_HOST_RESERVATION,
        NVIDIA_CONTROL_PGPU_METADATA,
        NVIDIA_CONTROL_MULTI_VGPU,
        NVIDIA_CONTROL_DRIVER_CAPS,
        NVIDIA_CONTROL_SET_PGPU_INFO,
        NVIDIA_CONTROL_PLACEMENTS,
        NVIDIA_CONTROL_STREAMING,
        NVIDIA_CONTROL_CAPABILITY,
        NVIDIA_CONTROL_MIGRATION_BANDWIDTH,
        NVIDIA_CONTROL_MAX,
} NvidiaControl;

/* The largest parameters that any dialect has (guests, driver 580 and later). */
#define NVIDIA_PARAMETERS_MAX 19592U

/* More than any dialect's types_max and guests_max. */
#define NVIDIA_TYPES_MAX 128U
#define NVIDIA_GUESTS_MAX 48U

typedef struct NvidiaControlInfo {
        const char *name;
        uint32_t command; /* the object's class in its upper half */
        bool writes;
} NvidiaControlInfo;

typedef struct NvidiaPlace {
        uint16_t offset;
        uint16_t size;
        bool there;
} NvidiaPlace;

typedef struct NvidiaSize {
        uint16_t size; /* of the parameters, may be 0 */
        bool there;
} NvidiaSize;

typedef struct NvidiaDialect {
        const char *layout; /* L1 … */
        uint32_t first; /* driver version */
        bool expert; /* no public header states it */
        uint16_t alloc_size_at, alloc_status_at; /* in NVOS21; size at 0: it has none */
        uint16_t types_max;
        uint16_t guests_max, guest_size;
        uint16_t set_info_at;
        NvidiaPlace places[NVIDIA_AT_MAX];
        NvidiaSize controls[NVIDIA_CONTROL_MAX];
} NvidiaDialect;

/* Drivers of one branch that have one layout, as far as there are public headers of them. */
typedef struct NvidiaRange {
        const char *layout;
        uint32_t first, last;
        bool expert;
} NvidiaRange;

extern const NvidiaControlInfo nvidia_controls[NVIDIA_CONTROL_MAX];
extern const NvidiaRange nvidia_ranges[];
extern const size_t nvidia_n_ranges;
extern const NvidiaDialect nvidia_dialects[]; /* ascending */
extern const size_t nvidia_n_dialects;

/* "580.95.05" as a number that compares as drivers do; 0 if it is none. */
uint32_t nvidia_version_parse(const char *text);

/*
 * The dialects that a driver of this version may speak: *ret_known says that it lies within a range of which headers are
 * known. A version between two ranges of one branch may speak either's, a later one of a known branch what its last known
 * driver does. How many there are, at most two; 0: the branch is not known.
 */
size_t nvidia_dialects_find(uint32_t version, const NvidiaDialect *ret_dialects[static 2], bool *ret_known);

/* A member's value, as a number of 1, 2, 4 or 8 bytes; 0 where the dialect has none. base: where its struct begins. */
uint64_t nvidia_get(const NvidiaDialect *dialect, const uint8_t *parameters, size_t base, NvidiaAt at);
/* False if the value does not fit the member; where the dialect has none, only 0 does. */
bool nvidia_put(const NvidiaDialect *dialect, uint8_t *parameters, size_t base, NvidiaAt at, uint64_t value);
/* Text, ended by a NUL in any case and printable, whatever the driver wrote. */
void nvidia_get_text(const NvidiaDialect *dialect, const uint8_t *parameters, size_t base, NvidiaAt at, char *buffer,
                     size_t size);
/* False if it does not fit together with its NUL. */
bool nvidia_put_text(const NvidiaDialect *dialect, uint8_t *parameters, size_t base, NvidiaAt at, const char *text);

/* So many bytes as the member has, at most size; how many. */
size_t nvidia_get_bytes(const NvidiaDialect *dialect, const uint8_t *parameters, size_t base, NvidiaAt at,
                        uint8_t *buffer, size_t size);

/* Plain little-endian numbers, where a control has only one layout. */
uint32_t nvidia_u32(const uint8_t *p);
uint64_t nvidia_u64(const uint8_t *p);
void nvidia_set_u32(uint8_t *p, uint32_t v);
void nvidia_set_u64(uint8_t *p, uint64_t v);
