// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of a vGPU travels besides its framebuffer, into an image and out of it.
 * An image is whatever a hostile user says.
 */
#include <linux/string.h>

#include "ref-image.h"
#include "ref-vgpu.h"

u64 ref_image_checksum(u64 sum, const void *data, size_t n)
{
	const u8 *p = data;

	while (n--)
		sum = (sum ^ *p++) * 0x100000001b3ULL;

	return sum;
}

void ref_image_fill_header(const struct ref_vgpu *vgpu,
			   struct ref_image_header *header)
{
	const struct mdevgpu_type *t = &vgpu->definition;

	BUILD_BUG_ON(sizeof(*header) != 48);

	*header = (struct ref_image_header){
		.magic = cpu_to_le64(REF_IMAGE_MAGIC),
		.version = cpu_to_le32(REF_IMAGE_VERSION),
		.size = cpu_to_le32(sizeof(*header)),
		.framebuffer = cpu_to_le64(ref_memory_size(vgpu)),
		.bar1_size = cpu_to_le64(vgpu->bar1_size),
		.type_id = cpu_to_le32(t->id),
		.heads = cpu_to_le32(t->heads),
		.flags = cpu_to_le32(t->flags & ~MDEVGPU_TYPE_KEEP_STATE),
	};
}

static void ref_image_fill_job(const struct ref_job *job,
			       struct ref_image_device *image)
{
	image->job_dma = cpu_to_le64(job->dma);
	image->job_offset = cpu_to_le64(job->offset);
	image->job_length = cpu_to_le32(job->length);
	image->job_pattern = cpu_to_le32(job->pattern);
	image->job_command = cpu_to_le32(job->command);
	image->job_status = cpu_to_le32(job->status);
	image->job_done = cpu_to_le32(job->done);
}

/* The copy engine holds still. */
void ref_image_fill_device(struct ref_vgpu *vgpu,
			   struct ref_image_device *image)
{
	BUILD_BUG_ON(sizeof(*image) != 336);
	BUILD_BUG_ON(sizeof(image->config) != sizeof(vgpu->config));

	memset(image, 0, sizeof(*image));
	mutex_lock(&vgpu->lock);
	image->scratch = cpu_to_le32(vgpu->scratch);
	image->irq_count = cpu_to_le32(vgpu->irq_count);
	image->window = cpu_to_le64(vgpu->window);
	image->dma = cpu_to_le64(vgpu->dma);
	image->offset = cpu_to_le64(vgpu->offset);
	image->length = cpu_to_le32(vgpu->length);
	image->pattern = cpu_to_le32(vgpu->pattern);
	ref_image_fill_job(&vgpu->job, image);
	memcpy(image->config, vgpu->config, sizeof(image->config));
	mutex_unlock(&vgpu->lock);
}

/* Only such commands are ever taken on. */
static bool ref_image_job_valid(const struct ref_vgpu *vgpu,
				const struct ref_image_device *image)
{
	u64 size = ref_memory_size(vgpu);
	u64 offset = le64_to_cpu(image->job_offset);
	u32 length = le32_to_cpu(image->job_length);
	u32 command = le32_to_cpu(image->job_command);
	u32 status = le32_to_cpu(image->job_status);

	if (command > REF_COMMAND_FILL || status > REF_STATUS_INVALID)
		return false;
	if (status == REF_STATUS_BUSY && command == REF_COMMAND_STOP)
		return false;
	return offset <= size && length <= size - offset &&
	       le32_to_cpu(image->job_done) <= length;
}

/* What the guest cannot write is the same in both. */
static bool ref_image_config_valid(const struct ref_vgpu *vgpu,
				   const struct ref_image_device *image)
{
	size_t i;

	for (i = 0; i < sizeof(image->config); i++)
		if ((image->config[i] ^ vgpu->config[i]) & ~vgpu->writable[i])
			return false;

	return true;
}

bool ref_image_device_valid(struct ref_vgpu *vgpu,
			    const struct ref_image_device *image)
{
	u64 window = le64_to_cpu(image->window);
	bool valid;

	mutex_lock(&vgpu->lock);
	valid = IS_ALIGNED(window, SZ_4K) &&
		window <= ref_memory_size(vgpu) - vgpu->bar1_size &&
		!image->reserved && ref_image_job_valid(vgpu, image) &&
		ref_image_config_valid(vgpu, image);
	mutex_unlock(&vgpu->lock);

	return valid;
}

/* It is valid, and the copy engine holds still. */
void ref_image_apply_device(struct ref_vgpu *vgpu,
			    const struct ref_image_device *image)
{
	struct ref_job *job = &vgpu->job;

	mutex_lock(&vgpu->lock);
	vgpu->scratch = le32_to_cpu(image->scratch);
	vgpu->irq_count = le32_to_cpu(image->irq_count);
	vgpu->dma = le64_to_cpu(image->dma);
	vgpu->offset = le64_to_cpu(image->offset);
	vgpu->length = le32_to_cpu(image->length);
	vgpu->pattern = le32_to_cpu(image->pattern);
	job->dma = le64_to_cpu(image->job_dma);
	job->offset = le64_to_cpu(image->job_offset);
	job->length = le32_to_cpu(image->job_length);
	job->pattern = le32_to_cpu(image->job_pattern);
	job->command = le32_to_cpu(image->job_command);
	job->status = le32_to_cpu(image->job_status);
	job->done = le32_to_cpu(image->job_done);
	WRITE_ONCE(job->stop, false);
	memcpy(vgpu->config, image->config, sizeof(vgpu->config));
	ref_memory_set_window(vgpu, le64_to_cpu(image->window) / SZ_4K);
	mutex_unlock(&vgpu->lock);
}
