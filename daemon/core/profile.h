/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Profile: what one file of types.d says: which GPUs it speaks of and which vGPU types these shall offer.
 *
 * A ProfileSet is immutable: a reload builds a new one, checks it whole and swaps it. It owns its profiles; these own
 * their types. A TypeSpec is a plain value: it crosses the wire to a worker as it is.
 */

#include "util/cleanup.h"

/* Bytes with the terminating NUL. The open shim's ABI and NVIDIA's driver 580 and later hold 64, NVIDIA's drivers up to
 * 575 hold 32 (observed in NVIDIA's open kernel modules); a backend whose driver holds less refuses the type. */
#define TYPE_NAME_SIZE 64U
#define TYPE_CLASS_SIZE 32U

/* What NVIDIA's drivers take with a type besides its values (observed in the headers of 525 to 595): text with its NUL, and
 * bytes, here as hexadecimal digits with a NUL. */
#define NVIDIA_LICENSE_SIZE 128U
#define NVIDIA_SIGNATURE_SIZE 128U
#define NVIDIA_SIGNATURE_TEXT_SIZE (2 * NVIDIA_SIGNATURE_SIZE + 1)

/* More types than any known driver takes for one GPU (128, NVIDIA 580 and later), so that a mistake is refused early. */
#define PROFILE_TYPES_MAX 256U

/* A sysfs name with its NUL: NAME_MAX + 1. */
#define SYSFS_NAME_SIZE 256U

/* Which PCI function it is; all zero and pci false for a parent on no PCI bus. */
typedef struct GpuIdentity {
        char address[SYSFS_NAME_SIZE]; /* sysfs name: 0000:41:00.0, or mtty */
        bool pci;
        uint16_t vendor;
        uint16_t device;
        uint16_t subsystem_vendor;
        uint16_t subsystem_device;
        uint32_t class; /* 24 bits: class, subclass, programming interface */
} GpuIdentity;

/* What Intel's xe calls sched_priority (kernel 6.19). */
typedef enum XePriority {
        XE_PRIORITY_UNSTATED, /* as the driver has it */
        XE_PRIORITY_LOW,
        XE_PRIORITY_NORMAL,
        XE_PRIORITY_HIGH,
        XE_PRIORITY_MAX,
        XE_PRIORITY_INVALID = -EINVAL,
} XePriority;

#define XE_UNSTATED UINT32_MAX

const char *xe_priority_to_string(XePriority p); /* "low" …; "" for the first */

typedef enum Tristate {
        TRISTATE_UNKNOWN,
        TRISTATE_NO,
        TRISTATE_YES,
        TRISTATE_MAX,
        TRISTATE_INVALID = -EINVAL,
} Tristate;

static inline Tristate tristate(bool v) {
        return v ? TRISTATE_YES : TRISTATE_NO;
}

/* One vGPU type as a profile states it. Sizes are in bytes. */
typedef struct TypeSpec {
        uint32_t id; /* 1 and up: the N of sysfs' <driver>-N */
        char name[TYPE_NAME_SIZE];
        char class[TYPE_CLASS_SIZE];
        uint32_t max_instances; /* 1 and up */
        uint64_t framebuffer;
        uint64_t reserved; /* framebuffer that each instance takes besides, for the hypervisor */
        uint64_t mappable_video;
        uint64_t bar1; /* 0: the driver's default */
        uint64_t vdev_id; /* device << 16 | subsystem device that the guest sees; 0: the card's own */
        uint64_t pdev_id; /* device of the card; 0: the card's own */
        uint32_t encoder_percent; /* 0..100 */
        uint32_t heads;
        uint32_t max_width; /* pixels */
        uint32_t max_height; /* pixels */
        uint32_t frame_limit; /* frames per second */
        bool limiter; /* the frame limit is enforced */
        bool ecc;
        bool multi_vgpu;
        bool keep_state; /* a vGPU is at its next opening what it was when it was closed */
        bool strict; /* of its profile: refused if the card cannot hold max_instances of it together */
        bool pending_manual; /* of its profile: once it has to wait, registered only when somebody asks for it */
        Tristate mixed_size; /* of its profile: the card takes vGPUs of several sizes; unknown: left as it is */
        char nvidia_license[NVIDIA_LICENSE_SIZE]; /* empty: none */
        char nvidia_signature[NVIDIA_SIGNATURE_TEXT_SIZE]; /* empty: none; else all of its digits */
        bool nvidia_newer; /* registered with drivers, too, that are newer than any whose layout is known to be theirs */
        uint32_t xe_quantum_ms; /* Intel xe: how long it runs at a time; XE_UNSTATED: as the driver has it */
        uint32_t xe_timeout_us; /* and how long it may take to leave then; the same */
        XePriority xe_priority;
        bool nvidia_legacy; /* of the host's settings: a driver of branch 510 is spoken to as the Mdev-GPU project does */
        uint32_t line; /* where the profile states it, for messages */
} TypeSpec;

/* A subsystem's vendor << 16 | device, and the bits that have to agree. */
typedef struct SubsystemMatch {
        uint32_t value;
        uint32_t mask;
} SubsystemMatch;

typedef struct ProfileMatch {
        bool any_vendor;
        uint16_t vendor;
        uint16_t *devices; /* any device if n_devices is 0 */
        size_t n_devices;
        SubsystemMatch *subsystems; /* any if n_subsystems is 0 */
        size_t n_subsystems;
        char *address; /* a glob(7) pattern over the sysfs name, never NULL */
} ProfileMatch;

typedef struct Profile {
        char *file; /* path, for messages */
        ProfileMatch *matches; /* any one is enough */
        size_t n_matches;
        bool fallback; /* says nothing about a GPU of which another profile speaks */
        bool strict; /* a type that does not fit the card is an error */
        bool pending_manual; /* types that have to wait are registered only when somebody asks for it */
        Tristate mixed_size; /* vGPUs of several sizes on one card; unknown: it says nothing of it */
        TypeSpec *types;
        size_t n_types;
} Profile;

typedef enum ProblemSeverity {
        PROBLEM_ERROR,
        PROBLEM_WARNING,
        PROBLEM_SEVERITY_MAX,
        PROBLEM_SEVERITY_INVALID = -EINVAL,
} ProblemSeverity;

const char *problem_severity_to_string(ProblemSeverity s); /* "error", "warning" */

/* Something wrong in the configuration. line and column count from 1; 0 if it is about the file as a whole. */
typedef struct ConfigProblem {
        char *file;
        uint32_t line;
        uint32_t column;
        ProblemSeverity severity;
        char *message;
} ConfigProblem;

typedef struct ConfigReport {
        ConfigProblem *problems;
        size_t n_problems;
        size_t n_errors;
} ConfigReport;

int config_report_add(ConfigReport *report, const char *file, uint32_t line, uint32_t column, ProblemSeverity severity,
                      const char *format, ...) _printf_(6, 7);
/* Puts the problems from the first on in the order of their places, as people read. */
void config_report_sort(ConfigReport *report, size_t first);
void config_report_done(ConfigReport *report);

typedef struct ProfileSet {
        Profile **profiles; /* lexical order of file names */
        size_t n_profiles;
} ProfileSet;

/* One without a match, which no GPU is. */
Profile *profile_new(const char *file);
Profile *profile_free(Profile *profile);
DEFINE_CLEANUP(Profile *, profile_free)

/* One that matches every GPU. */
int profile_match_init(ProfileMatch *match);
void profile_match_done(ProfileMatch *match);
bool profile_match_gpu(const ProfileMatch *match, const GpuIdentity *gpu);

/* Appends a match for every GPU, for the caller to narrow; NULL: out of memory. */
ProfileMatch *profile_add_match(Profile *profile);

/* Appends a copy of spec; -E2BIG past PROFILE_TYPES_MAX, -EEXIST if the id is there already. */
int profile_add_type(Profile *profile, const TypeSpec *spec);
bool profile_matches(const Profile *profile, const GpuIdentity *gpu);

ProfileSet *profile_set_new(void);
ProfileSet *profile_set_free(ProfileSet *set);
DEFINE_CLEANUP(ProfileSet *, profile_set_free)

/* Takes ownership of profile on success only. */
int profile_set_add(ProfileSet *set, Profile *profile);

/*
 * The types that the set wants on this GPU, of all profiles that match, in order; an id that two profiles state is
 * taken from the later one. *ret_types is freed with free(), and NULL if nothing matches.
 */
int profile_set_select(const ProfileSet *set, const GpuIdentity *gpu, TypeSpec **ret_types, size_t *ret_n_types);
