// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copy engine: moves bytes between a vGPU's framebuffer and its guest's
 * memory, or fills the framebuffer, while the guest goes on.
 *
 * All vGPUs of a GPU share it. Each command is cut into slices, and a vGPU may
 * not be further than a slice ahead of another that has a command, in work
 * divided by share. One whose memory does not come (a guest's pages can be on
 * anything that a host maps) is not waited for: each command has a worker of its
 * own, so that nobody but its own vGPU is stuck with it.
 */
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "ref-vgpu.h"

#define REF_SLICE_PAGES		64
#define REF_SLICE_VTIME		((u64)REF_SLICE_PAGES * MDEVGPU_SHARE_MAX)
#define REF_STUCK		(HZ / 4)

static struct workqueue_struct *ref_engine_queue;

int ref_engine_init(void)
{
	ref_engine_queue = alloc_workqueue(REF_NAME, WQ_UNBOUND, 0);
	return ref_engine_queue ? 0 : -ENOMEM;
}

void ref_engine_exit(void)
{
	destroy_workqueue(ref_engine_queue);
}

static struct ref_gpu *ref_job_gpu(struct ref_job *job)
{
	return container_of(job, struct ref_vgpu, job)->type->set->gpu;
}

/* It was told to stop, or to pause. */
static bool ref_job_must_end(const struct ref_job *job)
{
	return READ_ONCE(job->stop) || READ_ONCE(job->held);
}

/* 1: a slice begins; 0: somebody else's turn; -ECANCELED */
static int ref_job_try_begin(struct ref_job *job)
{
	struct ref_gpu *gpu = ref_job_gpu(job);
	struct ref_job *other;
	int r = 1;

	spin_lock(&gpu->lock);
	if (ref_job_must_end(job))
		r = -ECANCELED;
	list_for_each_entry(other, &gpu->jobs, entry)
		if (r > 0 && other != job &&
		    other->vtime + REF_SLICE_VTIME < job->vtime &&
		    time_before(jiffies, other->begun + REF_STUCK))
			r = 0;
	if (r > 0)
		job->begun = jiffies;
	spin_unlock(&gpu->lock);

	return r;
}

/* Waits until it may work; false if it shall not any more. */
static bool ref_job_begin_slice(struct ref_job *job)
{
	struct ref_gpu *gpu = ref_job_gpu(job);
	int r = 0;

	/* Time makes somebody else stuck, which wakes nobody. */
	while (!r)
		wait_event_timeout(gpu->turn, (r = ref_job_try_begin(job)),
				   REF_STUCK);

	return r > 0;
}

static void ref_job_end_slice(struct ref_job *job, u64 pages, u64 busy)
{
	struct ref_vgpu *vgpu = container_of(job, struct ref_vgpu, job);
	struct ref_gpu *gpu = ref_job_gpu(job);

	spin_lock(&gpu->lock);
	job->vtime += div_u64(pages * MDEVGPU_SHARE_MAX * MDEVGPU_SHARE_DEFAULT,
			      vgpu->share);
	vgpu->busy += busy;
	spin_unlock(&gpu->lock);
	wake_up_all(&gpu->turn);
}

static void ref_fill(void *to, u32 pattern, size_t n)
{
	u8 *bytes = to;
	size_t i;

	for (i = 0; i < n; i++)
		bytes[i] = pattern >> (i % sizeof(pattern) * BITS_PER_BYTE);
}

/* Up to the end of a page of the framebuffer; how many bytes, or an errno */
static ssize_t ref_job_step(struct ref_job *job, u64 done)
{
	struct ref_vgpu *vgpu = container_of(job, struct ref_vgpu, job);
	u64 at = job->offset + done;
	size_t offset = offset_in_page(at);
	size_t n = min_t(u64, job->length - done, PAGE_SIZE - offset);
	struct page *page;
	void *p;
	int r = 0;

	page = ref_memory_get_page(vgpu, at);
	if (IS_ERR(page))
		return PTR_ERR(page);

	p = kmap_local_page(page);
	if (job->command == REF_COMMAND_FILL)
		ref_fill(p + offset, job->pattern, n);
	else
		r = vfio_dma_rw(&vgpu->vdev, job->dma + done, p + offset, n,
				job->command == REF_COMMAND_WRITE);
	kunmap_local(p);
	if (job->command != REF_COMMAND_WRITE) {
		set_page_dirty_lock(page);
		ref_dirty_mark(vgpu, at);
	}
	put_page(page);

	return r < 0 ? r : n;
}

static int ref_job_slice(struct ref_job *job, u64 *done)
{
	u64 start = ktime_get_ns(), pages = 0;
	ssize_t n = 0;

	while (*done < job->length && pages < REF_SLICE_PAGES &&
	       !ref_job_must_end(job)) {
		n = ref_job_step(job, *done);
		if (n < 0)
			break;
		*done += n;
		pages++;
		cond_resched();
	}

	ref_job_end_slice(job, pages, ktime_get_ns() - start);
	return n < 0 ? n : 0;
}

static void ref_job_enter(struct ref_job *job)
{
	struct ref_gpu *gpu = ref_job_gpu(job);
	struct ref_job *other;

	/* Whoever comes has no credit for the time before. */
	spin_lock(&gpu->lock);
	list_for_each_entry(other, &gpu->jobs, entry)
		job->vtime = max(job->vtime, other->vtime);
	job->begun = jiffies;
	list_add_tail(&job->entry, &gpu->jobs);
	spin_unlock(&gpu->lock);
}

static void ref_job_leave(struct ref_job *job)
{
	struct ref_gpu *gpu = ref_job_gpu(job);

	spin_lock(&gpu->lock);
	list_del(&job->entry);
	if (list_empty(&gpu->jobs))
		job->vtime = 0;
	spin_unlock(&gpu->lock);
	wake_up_all(&gpu->turn);
}

static void ref_job_finish(struct ref_job *job, u64 done, int error)
{
	struct ref_vgpu *vgpu = container_of(job, struct ref_vgpu, job);

	mutex_lock(&vgpu->lock);
	job->done = done;
	job->active = false;
	/* One that pauses is busy, and goes on from where it is. */
	if (error || done == job->length || READ_ONCE(job->stop) ||
	    !job->held) {
		job->status = error ? REF_STATUS_FAULT :
			      done < job->length ? REF_STATUS_IDLE :
						   REF_STATUS_DONE;
		ref_irq_raise(vgpu);
	}
	mutex_unlock(&vgpu->lock);

	if (error && ref_job_gpu(job)->node)
		mdevgpu_tell_error(ref_job_gpu(job)->node, vgpu->uuid.b,
				   vgpu->definition.id, REF_ERROR_DMA_FAULT,
				   error == -ENOMEM ? "copy engine: no memory" :
				   "copy engine: address is not mapped");
}

static void ref_job_work(struct work_struct *work)
{
	struct ref_job *job = container_of(work, struct ref_job, work);
	struct ref_vgpu *vgpu = container_of(job, struct ref_vgpu, job);
	u64 done;
	int r = 0;

	/* Not from its beginning, if it has paused. */
	mutex_lock(&vgpu->lock);
	done = job->done;
	mutex_unlock(&vgpu->lock);

	ref_job_enter(job);
	while (!r && done < job->length && ref_job_begin_slice(job)) {
		r = ref_job_slice(job, &done);
		mutex_lock(&vgpu->lock);
		job->done = done;
		mutex_unlock(&vgpu->lock);
	}
	ref_job_leave(job);

	ref_job_finish(job, done, r);
}

void ref_engine_prepare(struct ref_vgpu *vgpu)
{
	INIT_WORK(&vgpu->job.work, ref_job_work);
	INIT_LIST_HEAD(&vgpu->job.entry);
}

/* The worker has it now, unless nothing shall move. */
static void ref_engine_go_on(struct ref_job *job)
{
	if (job->held)
		return;
	job->active = true;
	queue_work(ref_engine_queue, &job->work);
}

/* Takes over the registers as they are; a command that is on is not disturbed. */
void ref_engine_start(struct ref_vgpu *vgpu, u32 command)
{
	struct ref_job *job = &vgpu->job;
	u64 size = ref_memory_size(vgpu);

	lockdep_assert_held(&vgpu->lock);

	if (job->status == REF_STATUS_BUSY)
		return;

	job->done = 0;
	if (command < REF_COMMAND_READ || command > REF_COMMAND_FILL ||
	    vgpu->offset > size || vgpu->length > size - vgpu->offset) {
		job->status = REF_STATUS_INVALID;
		return;
	}

	job->command = command;
	job->dma = vgpu->dma;
	job->offset = vgpu->offset;
	job->length = vgpu->length;
	job->pattern = vgpu->pattern;
	job->status = REF_STATUS_BUSY;
	WRITE_ONCE(job->stop, false);
	ref_engine_go_on(job);
}

static void ref_engine_wake(struct ref_vgpu *vgpu)
{
	wake_up_all(&vgpu->type->set->gpu->turn);
}

/* It stops soon, with STATUS idle. */
void ref_engine_ask_stop(struct ref_vgpu *vgpu)
{
	struct ref_job *job = &vgpu->job;

	lockdep_assert_held(&vgpu->lock);

	WRITE_ONCE(job->stop, true);
	/* One that pauses has no worker to see it. */
	if (!job->active && job->status == REF_STATUS_BUSY)
		job->status = REF_STATUS_IDLE;
	ref_engine_wake(vgpu);
}

/* Nothing is on when this returns, unless the guest starts it again. */
void ref_engine_stop(struct ref_vgpu *vgpu)
{
	mutex_lock(&vgpu->lock);
	ref_engine_ask_stop(vgpu);
	mutex_unlock(&vgpu->lock);
	cancel_work_sync(&vgpu->job.work);

	/* It may have been cancelled before it began. */
	mutex_lock(&vgpu->lock);
	vgpu->job.status = REF_STATUS_IDLE;
	vgpu->job.done = 0;
	vgpu->job.held = vgpu->job.active = false;
	mutex_unlock(&vgpu->lock);
}

/* As if there had never been a command */
void ref_engine_forget(struct ref_vgpu *vgpu)
{
	struct ref_job *job = &vgpu->job;

	lockdep_assert_held(&vgpu->lock);

	job->command = REF_COMMAND_STOP;
	job->dma = 0;
	job->offset = 0;
	job->length = 0;
	job->pattern = 0;
}

/* Nothing moves when this returns; a command that is on, or comes, is busy. */
void ref_engine_hold(struct ref_vgpu *vgpu)
{
	mutex_lock(&vgpu->lock);
	WRITE_ONCE(vgpu->job.held, true);
	mutex_unlock(&vgpu->lock);
	ref_engine_wake(vgpu);
	cancel_work_sync(&vgpu->job.work);

	/* As above */
	mutex_lock(&vgpu->lock);
	vgpu->job.active = false;
	mutex_unlock(&vgpu->lock);
}

void ref_engine_release(struct ref_vgpu *vgpu)
{
	mutex_lock(&vgpu->lock);
	WRITE_ONCE(vgpu->job.held, false);
	if (vgpu->job.status == REF_STATUS_BUSY)
		ref_engine_go_on(&vgpu->job);
	mutex_unlock(&vgpu->lock);
}
