/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vGPU's state as a stream: a header, then records, each with a head of its
 * own. Pages of the framebuffer in any order and as often as they come, the
 * last one counts; those that do not come are zero. Then the registers, once,
 * and the end with a checksum of all before it. Little-endian, without holes.
 *
 * docs/shim-abi.md says the same for whoever reads it elsewhere.
 */
#ifndef _MDEVGPU_REF_IMAGE_H
#define _MDEVGPU_REF_IMAGE_H

#include <linux/sizes.h>
#include <linux/types.h>

#define REF_IMAGE_MAGIC		0x544154535550474dULL	/* "MGPUSTAT" */
#define REF_IMAGE_VERSION	1
#define REF_IMAGE_FORMAT	"MGPUSTAT-1"	/* magic and version, for IDENTIFY */
#define REF_IMAGE_PAGE		SZ_4K

/* What the vGPU has to be that takes it over */
struct ref_image_header {
	__le64 magic;
	__le32 version;
	__le32 size;		/* of this structure */
	__le64 framebuffer;	/* bytes, as BAR1's window moves over them */
	__le64 bar1_size;
	__le32 type_id;
	__le32 heads;
	__le32 flags;		/* that the guest sees */
	__le32 reserved;	/* 0 */
};

enum {
	REF_RECORD_PAGE		= 1,	/* @at: offset in the framebuffer */
	REF_RECORD_DEVICE	= 2,	/* struct ref_image_device, @at 0 */
	REF_RECORD_END		= 3,	/* __le64 checksum, @at 0; nothing follows */
};

struct ref_image_record {
	__le32 type;
	__le32 length;		/* of what follows */
	__le64 at;
};

struct ref_image_device {
	__le32 scratch;
	__le32 irq_count;
	__le64 window;		/* bytes */
	__le64 dma;		/* registers of the copy engine */
	__le64 offset;
	__le32 length;
	__le32 pattern;
	__le64 job_dma;		/* the command that is on, or was last */
	__le64 job_offset;
	__le32 job_length;
	__le32 job_pattern;
	__le32 job_command;
	__le32 job_status;
	__le32 job_done;
	__le32 reserved;	/* 0 */
	u8 config[256];
};

/* FNV-1a: against accidents; against malice every member is looked at. */
#define REF_CHECKSUM_INIT	0xcbf29ce484222325ULL

u64 ref_image_checksum(u64 sum, const void *data, size_t n);

#endif
