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
 *    POLLHUP. The node's next incarnation has another instance id.
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
	MDEVGPU_VERDICT_LIVE            = 8,    /* new or changed, which live vGPUs forbid */
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
 * @reserved: 0
 * @type_prefix: what a type's sysfs folder begins with
 * @driver: the vendor's module
 * @driver_version: of it
 * @vendor: the GPU's, for people
 * @model: the GPU's, for people
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
	__u32 reserved;
	char type_prefix[MDEVGPU_PREFIX_SIZE];
	char driver[MDEVGPU_PREFIX_SIZE];
	char driver_version[MDEVGPU_VERSION_SIZE];
	char vendor[MDEVGPU_NAME_SIZE];
	char model[MDEVGPU_NAME_SIZE];
};

#define MDEVGPU_IDENTIFY_SIZE_VER0      304

#define MDEVGPU_CAP_SET_TYPES           (1ULL << 0)     /* the set can be replaced */
#define MDEVGPU_CAP_TAKEOVER            (1ULL << 1)     /* MDEVGPU_TAKEOVER works */
#define MDEVGPU_CAP_CAPACITY            (1ULL << 2)     /* the driver holds all types together to the framebuffer */

#define MDEVGPU_IDENTIFY_OWNED          (1U << 0)       /* some open file owns the GPU */
#define MDEVGPU_IDENTIFY_OWNER          (1U << 1)       /* this one does */

/*
 * struct mdevgpu_get_types - MDEVGPU_GET_TYPES: the current set
 * @size: of this structure
 * @type_size: the caller's sizeof(struct mdevgpu_type), the array's stride
 * @types: pointer to the array; may be 0 with @n_types 0
 * @n_types: in: the array's capacity; out: how many the set has
 * @flags: 0
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
 * succeeds. @generation, @n_live and the verdicts are also written if the call
 * fails with EINVAL on account of a verdict, EBUSY or EAGAIN.
 *
 * EPERM: not privileged. EBADF: the file does not own the GPU. ESTALE: it did,
 * until another took over. E2BIG: more types than max_types. EAGAIN: the set is
 * not of @expected_generation. EINVAL: a type's verdict is neither OK nor LIVE
 * (or flags, sizes: then no verdict is written). EBUSY: vGPUs exist and the set
 * cannot change under them; new or changed types have the verdict LIVE (none
 * has if the set only loses types). Anything else is the vendor driver's, and
 * the previous set stays in force unless IDENTIFY says otherwise.
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
 * epoch began in between; the current one is written to @epoch.
 */
struct mdevgpu_takeover {
	__u32 size;
	__u32 flags;
	__aligned_u64 epoch;
};

#define MDEVGPU_TAKEOVER_SIZE_VER0      16

#define MDEVGPU_IDENTIFY        _IO(MDEVGPU_IOCTL_MAGIC, 0x00)
#define MDEVGPU_GET_TYPES       _IO(MDEVGPU_IOCTL_MAGIC, 0x01)
#define MDEVGPU_SET_TYPES       _IO(MDEVGPU_IOCTL_MAGIC, 0x02)
#define MDEVGPU_TAKEOVER        _IO(MDEVGPU_IOCTL_MAGIC, 0x03)

#ifndef __cplusplus
_Static_assert(sizeof(struct mdevgpu_type) == MDEVGPU_TYPE_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_identify) == MDEVGPU_IDENTIFY_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_get_types) == MDEVGPU_GET_TYPES_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_set_types) == MDEVGPU_SET_TYPES_SIZE_VER0, "layout");
_Static_assert(sizeof(struct mdevgpu_takeover) == MDEVGPU_TAKEOVER_SIZE_VER0, "layout");
#endif

#endif
