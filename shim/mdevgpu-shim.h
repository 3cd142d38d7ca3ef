/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The control channel of a kernel-side vGPU shim: one character device,
 * /dev/mdevgpu/gpuN, for each GPU that a vendor module registers.
 *
 * Rules that every call keeps, now and as it grows:
 *
 *  - The argument is a pointer to a structure that begins with its own size.
 *    A structure only ever grows at its end. A caller newer than the kernel
 *    succeeds if what the kernel does not know is zero, else it gets E2BIG. A
 *    kernel newer than its caller takes what is missing as zero. A size below
 *    the first version's is EINVAL, one above 4096 E2BIG. The same holds for
 *    the records of an array, whose size is its stride, a multiple of 8.
 *  - No structure has holes and all members are naturally aligned, so that the
 *    layout is the same for 32 and 64 bit callers. Pointers travel as u64.
 *  - Unknown flags and non-zero reserved members are EINVAL. Everything that
 *    the kernel gives back is written whole: no byte of kernel memory leaks.
 *  - A string is printable ASCII, NUL-terminated, padded with NULs.
 *  - Memory is in bytes.
 *  - Once the vendor module has gone, every call is ENODEV and poll() says
 *    POLLHUP; read() gives what was queued, and then ENODEV. The node's next
 *    incarnation has another instance id.
 *
 * docs/shim-abi.md explains each call.
 */
#ifndef _MDEVGPU_SHIM_H
#define _MDEVGPU_SHIM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MDEVGPU_ABI_VERSION     1

/* Not taken in Documentation/userspace-api/ioctl/ioctl-number.rst (Linux 6.12) */
#define MDEVGPU_IOCTL_MAGIC     0xD7

#define MDEVGPU_NAME_SIZE       64
#define MDEVGPU_CLASS_SIZE      32
#define MDEVGPU_PREFIX_SIZE     32
#define MDEVGPU_VERSION_SIZE    32
#define MDEVGPU_INSTANCE_SIZE   16
#define MDEVGPU_EVENT_TEXT_SIZE 56

/*
 * struct mdevgpu_type - what one kind of vGPU is
 * @id: 1 or more, unique in the set; its sysfs folder is "<type_prefix>-<id>"
 * @max_instances: how many the GPU may hold if it holds nothing else, 1 or more
 * @name: what people call it, not empty, not necessarily unique
 * @type_class: the vendor's word for its use, as "Compute"; may be empty
 * @framebuffer: what the guest gets, a multiple of 1 MiB, not 0
 * @framebuffer_reserved: what each instance costs the GPU beyond that
 * @mappable_video: how much of it the host may map
 * @bar1_size: the memory aperture, a power of two of at least 4096; 0: the
 *             driver's choice
 * @vdev_id: device << 16 | subsystem device that the guest sees; 0: the GPU's
 * @pdev_id: device id of the GPU that the type was made for; 0: any
 * @heads: displays; 0: none
 * @max_width: of each display, in pixels
 * @max_height: of each display, in pixels
 * @frame_limit: frames per second, held to if MDEVGPU_TYPE_FRAME_LIMITER
 * @encoder_percent: share of the encoder, 0 to 100
 * @flags: MDEVGPU_TYPE_*
 * @verdict: out: MDEVGPU_VERDICT_*, by SET_TYPES
 * @verdict_field: out: offset in this structure of the member that the verdict
 *                 is about; 0 with a verdict about the type as a whole
 * @live: out: vGPUs of this type that exist, by GET_TYPES
 * @available: out: how many more could be made now, by GET_TYPES; a hint
 *
 * Members marked "out" are ignored on the way in, so that what GET_TYPES gave
 * can be handed back to SET_TYPES.
 */
struct mdevgpu_type {
	__u32 id;
	__u32 max_instances;
	char name[MDEVGPU_NAME_SIZE];
	char type_class[MDEVGPU_CLASS_SIZE];
	__aligned_u64 framebuffer;
	__aligned_u64 framebuffer_reserved;
	__aligned_u64 mappable_video;
	__aligned_u64 bar1_size;
	__aligned_u64 vdev_id;
	__aligned_u64 pdev_id;
	__u32 heads;
	__u32 max_width;
	__u32 max_height;
	__u32 frame_limit;
	__u32 encoder_percent;
	__u32 flags;
	__u32 verdict;
	__u32 verdict_field;
	__u32 live;
	__u32 available;
};

#define MDEVGPU_TYPE_SIZE_VER0          192

#define MDEVGPU_TYPE_ECC                (1U << 0)
#define MDEVGPU_TYPE_MULTI_VGPU         (1U << 1)
#define MDEVGPU_TYPE_FRAME_LIMITER      (1U << 2)
#define MDEVGPU_TYPE_KEEP_STATE         (1U << 3)       /* a vGPU keeps its state when it is closed; MDEVGPU_CAP_KEEP_STATE */

/* struct mdevgpu_type.verdict; a caller must expect values that it does not know */
enum {
	MDEVGPU_VERDICT_NONE            = 0,    /* the call failed before types were judged */
	MDEVGPU_VERDICT_OK              = 1,
	MDEVGPU_VERDICT_BAD_ID          = 2,    /* 0 */
	MDEVGPU_VERDICT_DUPLICATE_ID    = 3,    /* a type before it in the array has it */
	MDEVGPU_VERDICT_BAD_NAME        = 4,    /* name or class empty, unterminated, not printable */
	MDEVGPU_VERDICT_BAD_FIELD       = 5,    /* out of the range that this header allows */
	MDEVGPU_VERDICT_TOO_LARGE       = 6,    /* one instance does not fit the GPU */
	MDEVGPU_VERDICT_NOT_SUPPORTED   = 7,    /* the vendor's driver cannot do it on this GPU */
	MDEVGPU_VERDICT_LIVE            = 8,    /* cannot be had while vGPUs exist */
};

/*
 * struct mdevgpu_identify - MDEVGPU_IDENTIFY: what is at the other end
 * @size: of this structure
 * @abi_version: MDEVGPU_ABI_VERSION of the kernel; bumped only if all the above
 *               could not be kept
 * @capabilities: MDEVGPU_CAP_*
 * @instance_id: random, drawn each time that the GPU is registered
 * @generation: of the type set, 1 when the GPU is registered (the empty set),
 *              one more with each set that takes effect
 * @epoch: how often the GPU has got an owner since it was registered
 * @framebuffer_total: of the GPU
 * @max_types: the most types that a set may have
 * @n_types: in the current set
 * @n_live: vGPUs that exist
 * @type_size: sizeof(struct mdevgpu_type) in the kernel
 * @flags: MDEVGPU_IDENTIFY_*
 * @n_retired: types that are no part of the set any more and still in sysfs,
 *             where none is available of them
 * @type_prefix: what a type's sysfs folder begins with
 * @driver: the vendor's module
 * @driver_version: of it
 * @vendor: the GPU's, for people
 * @model: the GPU's, for people
 * @state_format: what a vGPU's state is, as VFIO migration streams it, in a word
 *                of the vendor's; empty if vGPUs are not migrated, or from a
 *                kernel whose structure ends before it. vGPUs of types alike
 *                take each other's state on GPUs of one vendor ID and driver
 *                for which this is the same.
 *
 * For every opener. All but @size is ignored on the way in.
 */
struct mdevgpu_identify {
	__u32 size;
	__u32 abi_version;
	__aligned_u64 capabilities;
	__u8 instance_id[MDEVGPU_INSTANCE_SIZE];
	__aligned_u64 generation;
	__aligned_u64 epoch;
	__aligned_u64 framebuffer_total;
	__u32 max_types;
	__u32 n_types;
	__u32 n_live;
	__u32 type_size;
	__u32 flags;
	__u32 n_retired;
	char type_prefix[MDEVGPU_PREFIX_SIZE];
	char driver[MDEVGPU_PREFIX_SIZE];
	char driver_version[MDEVGPU_VERSION_SIZE];
	char vendor[MDEVGPU_NAME_SIZE];
	char model[MDEVGPU_NAME_SIZE];
	char state_format[MDEVGPU_NAME_SIZE];
};

#define MDEVGPU_IDENTIFY_SIZE_VER0      304
#define MDEVGPU_IDENTIFY_SIZE_VER1      368     /* @state_format */

#define MDEVGPU_CAP_SET_TYPES           (1ULL << 0)     /* the set can be replaced */
#define MDEVGPU_CAP_TAKEOVER            (1ULL << 1)     /* MDEVGPU_TAKEOVER works */
#define MDEVGPU_CAP_CAPACITY            (1ULL << 2)     /* the driver holds all types together to the framebuffer */
#define MDEVGPU_CAP_EDIT_LIVE           (1ULL << 3)     /* types can change and retire while vGPUs exist */
#define MDEVGPU_CAP_ADD_LIVE            (1ULL << 4)     /* types can come while vGPUs exist */
#define MDEVGPU_CAP_USAGE               (1ULL << 5)     /* MDEVGPU_GET_USAGE works */
#define MDEVGPU_CAP_SHARE               (1ULL << 6)     /* MDEVGPU_SET_SHARE works */
#define MDEVGPU_CAP_EVENTS              (1ULL << 7)     /* MDEVGPU_SUBSCRIBE and read() work */
#define MDEVGPU_CAP_KEEP_STATE          (1ULL << 8)     /* types may have MDEVGPU_TYPE_KEEP_STATE */

#define MDEVGPU_IDENTIFY_OWNED          (1U << 0)       /* some open file owns the GPU */
#define MDEVGPU_IDENTIFY_OWNER          (1U << 1)       /* this one does */

/*
 * struct mdevgpu_get_types - MDEVGPU_GET_TYPES: the current set
 * @size: of this structure
 * @type_size: the caller's sizeof(struct mdevgpu_type), the array's stride
 * @types: pointer to the array; may be 0 with @n_types 0
 * @n_types: in: the array's capacity; out: how many the set has
 * @flags: MDEVGPU_GET_*
 * @generation: out: of the set
 *
 * For every opener. If the set is larger than the capacity nothing is written
 * to the array, @n_types and @generation are, and the call is ENOSPC.
 */
struct mdevgpu_get_types {
	__u32 size;
	__u32 type_size;
	__aligned_u64 types;
	__u32 n_types;
	__u32 flags;
	__aligned_u64 generation;
};

#define MDEVGPU_GET_TYPES_SIZE_VER0     32

#define MDEVGPU_GET_RETIRED             (1U << 0)       /* instead of the set, the types that are retired */

/*
 * struct mdevgpu_set_types - MDEVGPU_SET_TYPES: replace the set
 * @size: of this structure
 * @type_size: the caller's sizeof(struct mdevgpu_type), the array's stride
 * @types: pointer to the array, read, and its verdicts written; may be 0 with
 *         @n_types 0, which removes all types
 * @n_types: in the array
 * @flags: MDEVGPU_SET_*
 * @expected_generation: of the set that is to be replaced; 0: whichever
 * @generation: out: of the set now in force
 * @n_live: out: vGPUs that exist
 * @reserved: 0
 *
 * For the owner, with CAP_SYS_ADMIN in the initial user namespace. All or
 * nothing; a set equal to the current one (in any order) changes nothing and
 * succeeds, but for types that are retired: they go if they can. A vGPU that
 * exists stays what it was made as. @generation, @n_live and the verdicts are also written if the call
 * fails with EINVAL on account of a verdict, EBUSY or EAGAIN.
 *
 * EPERM: not privileged. EBADF: the file does not own the GPU. ESTALE: it did,
 * until another took over. E2BIG: more types than max_types. EAGAIN: the set is
 * not of @expected_generation. EINVAL: a type's verdict is neither OK nor LIVE
 * (or flags, sizes: then no verdict is written). EBUSY: vGPUs exist, and the
 * types with the verdict LIVE cannot be had under them: new ones, unless
 * MDEVGPU_CAP_ADD_LIVE; changed ones, too, unless MDEVGPU_CAP_EDIT_LIVE, and
 * without that no type can be left out either, about which no verdict tells.
 * Anything else is the vendor driver's, and the previous set stays in force
 * unless IDENTIFY says otherwise.
 */
struct mdevgpu_set_types {
	__u32 size;
	__u32 type_size;
	__aligned_u64 types;
	__u32 n_types;
	__u32 flags;
	__aligned_u64 expected_generation;
	__aligned_u64 generation;
	__u32 n_live;
	__u32 reserved;
};

#define MDEVGPU_SET_TYPES_SIZE_VER0     48

#define MDEVGPU_SET_DRY_RUN             (1U << 0)       /* judge, change nothing */

/*
 * struct mdevgpu_takeover - MDEVGPU_TAKEOVER: become the owner
 * @size: of this structure
 * @flags: 0
 * @epoch: in: the epoch that the caller knows, 0: whichever; out: the new one
 *
 * For every opener with CAP_SYS_ADMIN in the initial user namespace. The
 * previous owner's changing calls are ESTALE from then on. If the caller owns
 * the GPU already nothing happens. EPERM: not privileged. EAGAIN: another
 * epoch began in between; the current one is written to @epoch. EOPNOTSUPP: no
 * MDEVGPU_CAP_TAKEOVER.
 */
struct mdevgpu_takeover {
	__u32 size;
	__u32 flags;
	__aligned_u64 epoch;
};

#define MDEVGPU_TAKEOVER_SIZE_VER0      16

/*
 * struct mdevgpu_vgpu - what a vGPU uses
 * @uuid: of the mdev, in the order of its text form
 * @type_id: of the type that it was made of
 * @flags: MDEVGPU_VGPU_*
 * @opener: process that has it open, as the initial pid namespace knows it; 0:
 *          none
 * @share: MDEVGPU_SHARE_*, its weight when the GPU is wanted by several
 * @framebuffer: bytes of the GPU's that it takes, with what is reserved
 * @framebuffer_backed: bytes of host memory behind them now
 * @busy: nanoseconds that the GPU has worked for it since it was opened
 */
struct mdevgpu_vgpu {
	__u8 uuid[16];
	__u32 type_id;
	__u32 flags;
	__u32 opener;
	__u32 share;
	__aligned_u64 framebuffer;
	__aligned_u64 framebuffer_backed;
	__aligned_u64 busy;
};

#define MDEVGPU_VGPU_SIZE_VER0          56

#define MDEVGPU_VGPU_OPEN               (1U << 0)
#define MDEVGPU_VGPU_EDITED             (1U << 1)       /* its type has been changed or retired since it was made */

/*
 * struct mdevgpu_get_usage - MDEVGPU_GET_USAGE: who uses the GPU
 * @size: of this structure
 * @vgpu_size: the caller's sizeof(struct mdevgpu_vgpu), the array's stride
 * @vgpus: pointer to the array; may be 0 with @n_vgpus 0
 * @n_vgpus: in: the array's capacity; out: how many exist
 * @flags: 0
 * @framebuffer_total: out: of the GPU
 * @framebuffer_used: out: taken by all vGPUs together
 *
 * For every opener. If more vGPUs exist than the capacity nothing is written to
 * the array, the other members are, and the call is ENOSPC. EOPNOTSUPP: no
 * MDEVGPU_CAP_USAGE.
 */
struct mdevgpu_get_usage {
	__u32 size;
	__u32 vgpu_size;
	__aligned_u64 vgpus;
	__u32 n_vgpus;
	__u32 flags;
	__aligned_u64 framebuffer_total;
	__aligned_u64 framebuffer_used;
};

#define MDEVGPU_GET_USAGE_SIZE_VER0     40

/*
 * struct mdevgpu_set_share - MDEVGPU_SET_SHARE: the weight of a vGPU
 * @size: of this structure
 * @flags: 0
 * @uuid: which
 * @share: MDEVGPU_SHARE_MIN to MDEVGPU_SHARE_MAX
 * @previous: out: what it was
 *
 * For the owner, with CAP_SYS_ADMIN in the initial user namespace. What two
 * vGPUs get of a GPU that both want is as their shares; a vGPU begins with
 * MDEVGPU_SHARE_DEFAULT. EPERM, EBADF, ESTALE: as SET_TYPES. EINVAL: out of
 * range. ENOENT: the GPU has no such vGPU. EOPNOTSUPP: no MDEVGPU_CAP_SHARE.
 */
struct mdevgpu_set_share {
	__u32 size;
	__u32 flags;
	__u8 uuid[16];
	__u32 share;
	__u32 previous;
};

#define MDEVGPU_SET_SHARE_SIZE_VER0     32

#define MDEVGPU_SHARE_MIN               1
#define MDEVGPU_SHARE_DEFAULT           100
#define MDEVGPU_SHARE_MAX               1000

/*
 * struct mdevgpu_event - what read() gives, one or more of them
 * @type: MDEVGPU_EVENT_*; a caller must expect values that it does not know
 * @code: ERROR: the vendor's number; FRAMEBUFFER: 1 above, 0 below again
 * @sequence: of the GPU's events, whoever is told of them; 0 in a LOST record
 * @time: CLOCK_BOOTTIME, nanoseconds
 * @generation: of the type set at that time
 * @uuid: the vGPU that it is about; zeros: the GPU
 * @type_id: of that vGPU's type, or 0
 * @pid: VGPU_OPENED, VGPU_CLOSED: who has or had it open, as the initial pid
 *       namespace knows it
 * @value: FRAMEBUFFER: bytes used; LOST: how many events this reader has lost
 * @limit: FRAMEBUFFER: the threshold that was crossed
 * @text: ERROR: the vendor's words; may be empty
 */
struct mdevgpu_event {
	__u32 type;
	__u32 code;
	__aligned_u64 sequence;
	__aligned_u64 time;
	__aligned_u64 generation;
	__u8 uuid[16];
	__u32 type_id;
	__u32 pid;
	__aligned_u64 value;
	__aligned_u64 limit;
	char text[MDEVGPU_EVENT_TEXT_SIZE];
};

#define MDEVGPU_EVENT_SIZE_VER0         128

enum {
	MDEVGPU_EVENT_LOST              = 0,    /* the queue was full where this stands; always told */
	MDEVGPU_EVENT_TYPES             = 1,    /* another type set is in force */
	MDEVGPU_EVENT_VGPU_OPENED       = 2,
	MDEVGPU_EVENT_VGPU_CLOSED       = 3,
	MDEVGPU_EVENT_GOING             = 4,    /* the GPU or its driver goes; the last one */
	MDEVGPU_EVENT_FRAMEBUFFER       = 5,    /* use has crossed one of the subscriber's thresholds */
	MDEVGPU_EVENT_ERROR             = 6,    /* of the device, as the vendor numbers them */
};

#define MDEVGPU_EVENT_MASK(type)        (1ULL << (type))

/*
 * struct mdevgpu_subscribe - MDEVGPU_SUBSCRIBE: which events this file is told
 * @size: of this structure
 * @event_size: the caller's sizeof(struct mdevgpu_event), the stride of read()
 * @mask: MDEVGPU_EVENT_MASK() of each type wanted; bits that the kernel does
 *        not know are EINVAL; 0: none, and what is queued is dropped
 * @framebuffer_high: FRAMEBUFFER tells when use has come to this many bytes
 * @framebuffer_low: and, after that, when it has come down to this many; less
 *                   than @framebuffer_high
 * @sequence: out: of the last event before those that will be told
 * @capacity: out: how many events the file's queue holds before it loses some
 * @flags: 0
 *
 * For every opener; concerns nothing but this open file, which has a queue of
 * its own. If the use is at @framebuffer_high already, that is told at once.
 *
 * read() then gives whole records: EINVAL if there is no room for one, EAGAIN
 * with O_NONBLOCK if there is none, else it waits; ENODEV after GOING was read
 * or if the GPU has gone. EPERM without a subscription. poll() says POLLIN.
 * EOPNOTSUPP: no MDEVGPU_CAP_EVENTS.
 */
struct mdevgpu_subscribe {
	__u32 size;
	__u32 event_size;
	__aligned_u64 mask;
	__aligned_u64 framebuffer_high;
	__aligned_u64 framebuffer_low;
	__aligned_u64 sequence;
	__u32 capacity;
	__u32 flags;
};

#define MDEVGPU_SUBSCRIBE_SIZE_VER0     48

#define MDEVGPU_IDENTIFY        _IO(MDEVGPU_IOCTL_MAGIC, 0x00)
#define MDEVGPU_GET_TYPES       _IO(MDEVGPU_IOCTL_MAGIC, 0x01)
#define MDEVGPU_SET_TYPES       _IO(MDEVGPU_IOCTL_MAGIC, 0x02)
#define MDEVGPU_TAKEOVER        _IO(MDEVGPU_IOCTL_MAGIC, 0x03)
#define MDEVGPU_GET_USAGE       _IO(MDEVGPU_IOCTL_MAGIC, 0x04)
#define MDEVGPU_SET_SHARE       _IO(MDEVGPU_IOCTL_MAGIC, 0x05)
#define MDEVGPU_SUBSCRIBE       _IO(MDEVGPU_IOCTL_MAGIC, 0x06)

#ifndef __cplusplus
_Static_assert(sizeof(struct mdevgpu_type) == MDEVGPU_TYPE_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_identify) == MDEVGPU_IDENTIFY_SIZE_VER1, "layout");
_Static_assert(sizeof(struct mdevgpu_get_types) == MDEVGPU_GET_TYPES_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_set_types) == MDEVGPU_SET_TYPES_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_takeover) == MDEVGPU_TAKEOVER_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_vgpu) == MDEVGPU_VGPU_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_get_usage) == MDEVGPU_GET_USAGE_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_set_share) == MDEVGPU_SET_SHARE_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_event) == MDEVGPU_EVENT_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_subscribe) == MDEVGPU_SUBSCRIBE_SIZE_VER0, "layout");
#endif

#endif
