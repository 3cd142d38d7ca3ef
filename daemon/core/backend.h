/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backend: how one kind of vendor driver is spoken to. It runs in a worker process only, one job at a time, and may
 * block: nothing of it is ever called in the daemon's own process.
 *
 * The values that go in and come out (TypeSpec, TypeReport, VGpuReport, GpuReport) are plain: they cross the wire.
 */

#include "core/attributes.h"
#include "core/facts.h"
#include "core/host-facts.h"
#include "core/platform.h"
#include "core/profile.h"
#include "core/saved-state.h"
#include "core/settings.h"
#include "util/error.h"

#define UUID_STRING_SIZE 37U
#define REASON_SIZE 256U
#define TYPE_ID_SIZE 128U
#define DESCRIPTION_SIZE 512U
#define UNKNOWN_U32 UINT32_MAX
#define UNKNOWN_U64 UINT64_MAX

/* Types that are no driver's: the whole card, or one of its virtual functions as it is, handed to vfio-pci. */
#define TYPE_ID_WHOLE "vfio-pci"
#define TYPE_ID_VF "vfio-pci-vf"

/* Bounds of one report, far over what any known host has, so that a lying worker is refused. */
#define REPORT_TYPES_MAX 1024U
#define REPORT_VGPUS_MAX 4096U
#define REPORT_USERS_MAX 64U

typedef enum GpuState {
        GPU_PROBING, /* its worker has not reported yet */
        GPU_READY, /* vGPUs can be made, if a type has instances left */
        GPU_NO_DRIVER, /* no driver is bound */
        GPU_UNSUPPORTED, /* its driver has no interface for vGPUs that we know */
        GPU_BUSY, /* its worker is stuck in the kernel; the reason names the process */
        GPU_FAILED, /* its worker could not read it; the reason says why */
        GPU_HOST_READY, /* its driver is a vGPU host, but there is nothing yet that a vGPU can be made of */
        GPU_NOT_VGPU_HOST, /* its driver could register types, but is none that runs vGPUs */
        GPU_LAYOUT_UNKNOWN, /* its driver is not known to lay its structs out as we do: it is never written to */
        GPU_DEGRADED, /* as GPU_READY, but the driver did not bring a change of its types to an end */
        GPU_STATE_MAX,
        GPU_STATE_INVALID = -EINVAL,
} GpuState;

typedef enum TypeSource {
        TYPE_SOURCE_DRIVER, /* the driver brought it */
        TYPE_SOURCE_PROFILE, /* types.d asks for it */
        TYPE_SOURCE_MAX,
        TYPE_SOURCE_INVALID = -EINVAL,
} TypeSource;

typedef enum Registration {
        REGISTRATION_REGISTERED, /* read back from the driver, as stated */
        REGISTRATION_DIFFERS, /* the driver holds it, otherwise than stated */
        REGISTRATION_REFUSED,
        REGISTRATION_PENDING, /* would disturb living vGPUs; done when the last one goes */
        REGISTRATION_RETIRED, /* the driver holds it, nobody states it any more */
        REGISTRATION_MAX,
        REGISTRATION_INVALID = -EINVAL,
} Registration;

typedef enum VGpuKind {
        VGPU_MDEV,
        VGPU_VF,
        VGPU_WHOLE,
        VGPU_KIND_MAX,
        VGPU_KIND_INVALID = -EINVAL,
} VGpuKind;

/* What few drivers tell of a type. */
typedef struct TypeDetails {
        uint64_t reserved; /* bytes beside the framebuffer of each instance, for its driver */
        uint64_t mappable_video; /* bytes */
        uint64_t bar1; /* bytes */
        uint64_t host_reserved; /* bytes of the card that the host keeps while there are instances of it */
        uint32_t encoder; /* percent of the card's */
        uint32_t gpu_instance; /* size of the part of a partitioned card (MIG) that each takes; 0: it takes none */
        uint32_t placements; /* places that are left for it, where the card knows places */
        Tristate ecc, multi_vgpu, limiter;
        Tristate creatable; /* the driver would take one more now */
        Tristate keeps_state; /* a vGPU is at its next opening what it was when it was closed */
} TypeDetails;

/* A vGPU type as found. An unknown number is the maximum of its type. */
typedef struct TypeReport {
        char id[TYPE_ID_SIZE]; /* the sysfs folder's name, as nvidia-530 */
        char name[TYPE_ID_SIZE];
        char description[DESCRIPTION_SIZE];
        char device_api[32];
        char class[TYPE_CLASS_SIZE];
        uint32_t vendor_id; /* the driver's number for it */
        uint32_t max_instances;
        uint32_t available;
        VGpuKind kind; /* what its instances are */
        uint64_t framebuffer; /* bytes */
        uint32_t heads;
        uint32_t max_width;
        uint32_t max_height;
        uint32_t frame_limit;
        TypeDetails details;
        TypeSource source;
        Registration registration;
        char reason[REASON_SIZE];
} TypeReport;

typedef struct TypeCount {
        char id[TYPE_ID_SIZE];
        uint32_t available;
} TypeCount;

/* Whether somebody holds a vGPU open, as its driver tells; where it does not, nobody knows before looking. */
typedef enum VGpuUse {
        VGPU_USE_UNKNOWN,
        VGPU_USE_NO,
        VGPU_USE_YES,
        VGPU_USE_MAX,
        VGPU_USE_INVALID = -EINVAL,
} VGpuUse;

/* A vGPU that exists, as found. */
typedef struct VGpuReport {
        char uuid[UUID_STRING_SIZE]; /* lower case */
        char type_id[TYPE_ID_SIZE];
        char parent[SYSFS_NAME_SIZE]; /* the GPU, or one of its virtual functions */
        char sysfs_path[512]; /* /sys/bus/mdev/devices/UUID, /sys/bus/pci/devices/ADDRESS */
        int32_t iommu_group; /* -1: none or unknown */
        VGpuKind kind;
        VGpuUse use;
} VGpuReport;

/* Who holds a vGPU open, as far as /proc tells. */
typedef struct User {
        int32_t pid;
        uint32_t uid;
        char comm[20];
        char unit[128]; /* systemd unit or scope of its control group, or empty */
        char vm[128]; /* name of the virtual machine that it runs, or empty */
        bool told; /* the driver speaks of this process: what it says is in the result's usage */
} User;

/* What a driver says that one vGPU uses. */
typedef struct VGpuUsage {
        char uuid[UUID_STRING_SIZE]; /* empty: the driver does not say which it is */
        char type_id[TYPE_ID_SIZE]; /* empty: not known */
        int32_t pid; /* of who runs it; 0: nobody, or not known */
        Facts facts;
} VGpuUsage;

/* What a driver says of its GPU at this moment. An unknown number is the maximum of its type. */
typedef struct UsageReport {
        uint64_t framebuffer_total; /* bytes */
        uint64_t framebuffer_used;
        Facts facts;
        VGpuUsage *vgpus;
        size_t n_vgpus;
} UsageReport;

void usage_report_init(UsageReport *report);
void usage_report_done(UsageReport *report);
VGpuUsage *usage_report_add_vgpu(UsageReport *report); /* NULL: out of memory or over the bound */

/* Whether vGPUs of different sizes may be on a card at one time, where that is a setting of its driver. */
typedef enum MixedSize {
        MIXED_SIZE_NONE, /* it is none */
        MIXED_SIZE_OFF,
        MIXED_SIZE_ON,
        MIXED_SIZE_MAX,
        MIXED_SIZE_INVALID = -EINVAL,
} MixedSize;

/* All that is known of a GPU, read at one time. */
typedef struct GpuReport {
        GpuState state;
        char reason[REASON_SIZE];
        char backend[32]; /* empty if no backend knows it */
        char driver[64];
        char driver_version[64];
        char model[128]; /* the driver's name for the card; empty if it has none */
        uint64_t framebuffer_total;
        uint64_t framebuffer_used; /* by its vGPUs; bytes */
        bool pending_types;
        uint32_t num_vfs; /* virtual functions that are enabled */
        uint32_t max_vfs; /* 0: it can have none */
        MixedSize mixed_size;
        TypeReport *types;
        size_t n_types;
        VGpuReport *vgpus;
        size_t n_vgpus;
} GpuReport;

void gpu_report_init(GpuReport *report);
void gpu_report_done(GpuReport *report);
/* Nothing is known. */
void type_report_init(TypeReport *type);
TypeReport *gpu_report_add_type(GpuReport *report); /* NULL: out of memory or over the bound */
VGpuReport *gpu_report_add_vgpu(GpuReport *report);

typedef enum JobKind {
        JOB_SYNC, /* find the backend; register what is wanted, if allowed; report everything */
        JOB_CREATE, /* make one vGPU, prove that it is there, write its attributes */
        JOB_CONFIGURE, /* write attributes of one that exists */
        JOB_REMOVE, /* look for users, remove one vGPU and prove that it is gone; in a worker of its own */
        JOB_USERS, /* look for users; in a worker of its own */
        JOB_STORE, /* write or remove a definition, durably; in the worker for files */
        JOB_EXAMINE, /* look at the machine around the GPUs; in a worker of its own, and about no vGPU */
        JOB_ENABLE_VFS, /* another number of virtual functions; refused with vGPUs present */
        JOB_SET_MIXED, /* whether sizes may be mixed; refused with vGPUs present */
        JOB_USAGE, /* what the driver says that the GPU and its vGPUs use */
        JOB_MIGRATION, /* who has a vGPU and what there is to say of moving it; in a worker of its own */
        JOB_SAVE_STATE, /* a vGPU's state, out; in a transfer's worker, as the next three */
        JOB_OPEN_STATE, /* reads the header of a state that is to be restored next, by the same worker */
        JOB_RESTORE_STATE, /* the rest of it, into a vGPU that is there now */
        JOB_SETTLE_STATE, /* puts a vGPU back whose transfer ended with its worker */
        JOB_LIST_STATES, /* reads what is saved; in a worker of its own, and about no vGPU */
        JOB_DELETE_STATE, /* one that is saved; in the worker for files */
        JOB_KIND_MAX,
        JOB_KIND_INVALID = -EINVAL,
} JobKind;

/* What a worker hears of its driver between two jobs. */
typedef enum WorkerEventKind {
        WORKER_EVENT_CHANGED, /* the GPU has to be read again */
        WORKER_EVENT_USE, /* a vGPU was opened or closed */
        WORKER_EVENT_ERROR, /* the device reports an error, as NVIDIA's Xid are */
        WORKER_EVENT_PROGRESS, /* of a transfer, in the middle of its job */
        WORKER_EVENT_KIND_MAX,
        WORKER_EVENT_KIND_INVALID = -EINVAL,
} WorkerEventKind;

struct WorkerEvent {
        WorkerEventKind kind;
        char uuid[UUID_STRING_SIZE]; /* use; error, if it concerns one vGPU, else empty */
        VGpuUse use;
        int32_t pid; /* use: who opened or closed it; 0: not known */
        uint32_t code; /* error: the vendor's number */
        char text[REASON_SIZE]; /* error: the vendor's words */
        TransferProgress progress; /* progress */
};

typedef enum StoreAction {
        STORE_DEFINE, /* a definition that must not be there yet, and its note */
        STORE_UPDATE, /* one that must be there */
        STORE_NOTE, /* the note alone */
        STORE_UNDEFINE, /* the definition, and its note after it */
        STORE_UNDEFINE_ONE, /* one definition of several: the note is that of the others, too */
        STORE_FORGET, /* remove the note alone, whose definition somebody else has removed */
        STORE_CLEAN, /* remove what was left by one that was killed while he wrote; of no vGPU */
        STORE_ACTION_MAX,
        STORE_ACTION_INVALID = -EINVAL,
} StoreAction;

/* core/image-header.h */
typedef struct ImageHeader ImageHeader;

/* Strings are never NULL in what a worker gets; whoever submits may leave them NULL for the empty string. */
typedef struct Job {
        JobKind kind;
        bool may_register; /* sync */
        bool apply_pending; /* sync: somebody asks for it: types that wait are registered, whatever their profile says */
        const TypeSpec *types; /* sync: what profiles want here; the caller's, copied by whoever keeps it */
        size_t n_types;
        const char *uuid; /* all but sync, and store if it is to clean; lower case */
        const char *type_id; /* create, store */
        const char *parent; /* create: the GPU or virtual function to make it on, "": whichever has room; store */
        bool adopt; /* create: one that is there already, with this parent and type, will do */
        bool take_display; /* create: also what shows the console, or a picture */
        const Attributes *attributes; /* create, configure, store; enable VFs: of all of them; NULL: none */
        bool unless_used; /* configure: refused with ERROR_IN_USE where somebody has the vGPU */
        int32_t iommu_group; /* users, migration: as it was last seen, for a vGPU whose removal has begun; -1: not known */
        bool probe; /* migration: the vGPU is opened to ask its driver, unless somebody has it */
        StoreAction action; /* store */
        bool mixed_size; /* set mixed */
        uint32_t n_vfs; /* enable VFs */
        const char *sriov_manage; /* enable VFs: the path of NVIDIA's program; "": the usual one */
        VGpuKind vgpu_kind; /* store: which says in whose folder and format */
        bool autostart;
        bool managed; /* store: as the note shall say */
        const char *label; /* store */
        const char *owner; /* store: see owner.h */

        /* Transfers; the vGPU's device is told by uuid, vgpu_kind and parent. */
        const char *state_name; /* save, open, delete: a saved one; "": the descriptor */
        const int *fds; /* of the sender's, duplicated: hung up when the transfer is to stop; and where the state goes or comes */
        size_t n_fds; /* 1 and up, at most JOB_FDS_MAX */
        bool precopy; /* save */
        bool stay_stopped; /* save */
        bool replace; /* save: one that has this name */
        uint64_t quota; /* save: bytes of all that is saved; UNKNOWN_U64: no bound */
        const ImageHeader *header; /* save: but for what the device says */
} Job;

#define JOB_FDS_MAX 2U

/* Of those that a transfer's worker does, and of all that are about states. */
bool job_is_transfer(JobKind kind);
bool job_is_about_states(JobKind kind);

/* Of those that are about the GPU, the machine, or the whole store: they carry no UUID. */
bool job_is_about_no_vgpu(JobKind kind);

/* One of those that are saved, as its file's beginning says. */
typedef struct SavedState {
        char name[SAVED_STATE_NAME_SIZE];
        uint64_t size; /* bytes of the file */
        uint64_t created_usec; /* CLOCK_REALTIME */
        char uuid[UUID_STRING_SIZE];
        char type_id[TYPE_ID_SIZE];
        char label[256];
        char host[64];
        char gpu[SYSFS_NAME_SIZE];
        char driver[64];
        char driver_version[64];
        char error[REASON_SIZE]; /* why it cannot be read; then nothing else is told but name and size */
} SavedState;

/* error.code is 0 on success. Only what the kind of job yields is filled. */
typedef struct JobResult {
        Error error;
        GpuReport report; /* sync */
        VGpuReport vgpu; /* create, if exists */
        bool exists; /* create: it is there; with an error: and is not as it should be */
        bool existed; /* create: somebody else had made it */
        TypeCount *counts; /* create, remove: what every type has left now */
        size_t n_counts;
        User *users; /* users; migration; remove, refused with ERROR_IN_USE */
        size_t n_users;
        UsageReport usage; /* usage; users, migration: of that vGPU alone, if the driver says anything */
        HostFacts *facts; /* examine; NULL if it failed */
        ImageHeader *header; /* open state; NULL if it failed */
        TransferProgress progress; /* save, restore, settle state */
        SavedState *saved; /* list states */
        size_t n_saved;
} JobResult;

void job_result_init(JobResult *result);
void job_result_done(JobResult *result);
SavedState *job_result_add_saved(JobResult *result); /* NULL: out of memory or over the bound */

typedef struct Backend Backend;

/* The worker's view of its one GPU. */
typedef struct BackendContext {
        const Host *host;
        char gpu[SYSFS_NAME_SIZE];
        const Backend *backend; /* that answered the last probe, or NULL; those that stand beside it have no state */
        void *state; /* that backend's own, released by its close() */
        const TypeSpec *wanted; /* sync: the types that profiles want here; lives as long as the job */
        size_t n_wanted;
        bool take_display; /* create: also what shows the console, or a picture */
        bool apply_pending; /* as of the job */
        struct MdevCounts *counts; /* what is kept open of mediated devices' types, or NULL */
        struct StateWork *state_work; /* a transfer that is open between two jobs, or NULL */
        void (*tell)(const WorkerEvent *event, void *userdata); /* in the middle of a job; NULL: nobody listens */
        void *tell_userdata;
} BackendContext;

/*
 * Every callback returns 0 or a negative code and then has filled *error with one sentence for a person. The kernel's
 * errno stops here: the backend reads the state again to explain it, and returns a code of util/error.h.
 */
struct Backend {
        const char *name;

        /* Of those that stand beside the one of the card's driver alone: whether a type, by its id, is theirs. */
        bool (*owns_type)(const char *type_id);

        /* 1: mine, 0: not mine, negative: cannot tell (the GPU is shown as failed). Must not change anything. */
        int (*probe)(BackendContext *c, Error *error);

        /* Adds types, vGPUs and what is known of the card to *report, whose state is GPU_READY already. */
        int (*read)(BackendContext *c, GpuReport *report, Error *error);

        /*
         * Makes the driver's type set what c->wanted says, if it is not so already; a type that is refused or has to
         * wait is no error of the call, its row in read()'s report says so. NULL: this driver's types are its own.
         */
        int (*register_types)(BackendContext *c, Error *error);

        /* parent: the GPU or one of its virtual functions; "": whichever has room. */
        int (*create)(BackendContext *c, const char *parent, const char *type_id, const char *uuid,
                      VGpuReport *ret_vgpu, Error *error);

        /* What is there under this UUID, whoever made it. ERROR_NO_SUCH_VGPU: nothing that is complete. */
        int (*find)(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error);

        /* Writes one attribute of a vGPU. */
        int (*configure)(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error);

        /* Blocks as long as somebody holds the vGPU open (kernel 5.2 and later). */
        int (*remove)(BackendContext *c, const char *uuid, Error *error);

        /* Whether sizes may be mixed, as *report says. NULL: no driver of this kind has such a setting. */
        int (*set_mixed)(BackendContext *c, bool on, Error *error);

        int (*read_counts)(BackendContext *c, TypeCount **ret_counts, size_t *ret_n_counts, Error *error);

        /* Fills *report with what the driver says now. Also without a read() before. NULL: it says nothing. */
        int (*read_usage)(BackendContext *c, UsageReport *report, Error *error);

        /*
         * The descriptor that polls readable when the driver has something to tell, or -1 for now; and what that is: 1, or 0
         * if it is of no concern. Both NULL: this driver tells nothing.
         */
        int (*watch)(BackendContext *c);
        int (*hear)(BackendContext *c, WorkerEvent *ret_event);

        /* Releases c->state; NULL if it has none. */
        void (*close)(BackendContext *c);
};
