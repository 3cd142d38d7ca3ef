// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens on a GPU, told to the files that asked for it. Each has a queue
 * of its own that holds so many records and no more: a reader that sleeps, or
 * a guest that makes noise, costs the kernel no memory and another reader
 * nothing. What did not fit is counted, and told as one LOST record in its
 * place.
 *
 * The vendor may tell of events from anywhere, with interrupts off as well.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "core.h"

#define MDEVGPU_EVENTS_KNOWN	(MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_ERROR + 1) - 1)

static void mdevgpu_queue_push(struct mdevgpu_file *f,
			       const struct mdevgpu_event *event)
{
	f->queue[(f->first + f->n_events) % MDEVGPU_MAX_EVENTS] = *event;
	f->n_events++;
}

/* What stands for those that did not fit, as of when it is queued */
static void mdevgpu_queue_push_lost(struct mdevgpu_file *f)
{
	const struct mdevgpu_event lost = {
		.type = MDEVGPU_EVENT_LOST,
		.time = ktime_get_boottime_ns(),
		.generation = f->gpu->generation,
		.value = f->n_lost,
	};

	mdevgpu_queue_push(f, &lost);
	f->n_lost = 0;
}

/* A gap needs room for its LOST record and for what comes behind it. */
static void mdevgpu_queue_add(struct mdevgpu_file *f,
			      const struct mdevgpu_event *event)
{
	u32 needed = f->n_lost ? 2 : 1;

	if (f->n_events + needed > MDEVGPU_MAX_EVENTS) {
		f->n_lost++;
		return;
	}

	if (f->n_lost)
		mdevgpu_queue_push_lost(f);
	mdevgpu_queue_push(f, event);
}

/* False if there is none */
static bool mdevgpu_queue_take(struct mdevgpu_file *f,
			       struct mdevgpu_event *ret)
{
	if (!f->n_events && f->n_lost)
		mdevgpu_queue_push_lost(f);
	if (!f->n_events)
		return false;

	*ret = f->queue[f->first];
	f->first = (f->first + 1) % MDEVGPU_MAX_EVENTS;
	f->n_events--;
	return true;
}

static void mdevgpu_event_fill(struct mdevgpu_device *gpu,
			       struct mdevgpu_event *event)
{
	event->sequence = ++gpu->sequence;
	event->time = ktime_get_boottime_ns();
	event->generation = gpu->generation;
}

/* To all that want it */
static void mdevgpu_event_tell_locked(struct mdevgpu_device *gpu,
				      struct mdevgpu_event *event)
{
	struct mdevgpu_file *f;

	lockdep_assert_held(&gpu->event_lock);

	mdevgpu_event_fill(gpu, event);
	list_for_each_entry(f, &gpu->subscribers, subscriber)
		if (f->mask & MDEVGPU_EVENT_MASK(event->type))
			mdevgpu_queue_add(f, event);
}

static void mdevgpu_event_tell(struct mdevgpu_device *gpu,
			       struct mdevgpu_event *event)
{
	unsigned long flags;

	spin_lock_irqsave(&gpu->event_lock, flags);
	if (!gpu->gone)
		mdevgpu_event_tell_locked(gpu, event);
	spin_unlock_irqrestore(&gpu->event_lock, flags);

	wake_up_interruptible(&gpu->wait);
}

void mdevgpu_event_types(struct mdevgpu_device *gpu)
{
	struct mdevgpu_event event = { .type = MDEVGPU_EVENT_TYPES };

	mdevgpu_event_tell(gpu, &event);
}

/* Nothing is told after this. */
void mdevgpu_event_going(struct mdevgpu_device *gpu)
{
	struct mdevgpu_event event = { .type = MDEVGPU_EVENT_GOING };
	unsigned long flags;

	spin_lock_irqsave(&gpu->event_lock, flags);
	if (!gpu->gone)
		mdevgpu_event_tell_locked(gpu, &event);
	gpu->gone = true;
	spin_unlock_irqrestore(&gpu->event_lock, flags);

	wake_up_interruptible(&gpu->wait);
}

/**
 * mdevgpu_tell_open - a vGPU was opened or closed
 * @gpu: may be unregistered already, then nothing happens
 * @open: it was opened
 * @uuid: of the vGPU
 * @type_id: of its type
 * @pid: who has or had it open, in the initial pid namespace
 */
void mdevgpu_tell_open(struct mdevgpu_device *gpu, bool open, const u8 *uuid,
		       u32 type_id, u32 pid)
{
	struct mdevgpu_event event = {
		.type = open ? MDEVGPU_EVENT_VGPU_OPENED :
			       MDEVGPU_EVENT_VGPU_CLOSED,
		.type_id = type_id,
		.pid = pid,
	};

	memcpy(event.uuid, uuid, sizeof(event.uuid));
	mdevgpu_event_tell(gpu, &event);
}
EXPORT_SYMBOL_GPL(mdevgpu_tell_open);

/**
 * mdevgpu_tell_error - the device has failed at something
 * @gpu: may be unregistered already, then nothing happens
 * @uuid: of the vGPU that it concerns, or NULL
 * @type_id: of its type, or 0
 * @code: as the vendor numbers its errors
 * @text: for people; what is not printable ASCII is replaced
 */
void mdevgpu_tell_error(struct mdevgpu_device *gpu, const u8 *uuid, u32 type_id,
			u32 code, const char *text)
{
	struct mdevgpu_event event = {
		.type = MDEVGPU_EVENT_ERROR,
		.type_id = type_id,
		.code = code,
	};
	char *p;

	if (uuid)
		memcpy(event.uuid, uuid, sizeof(event.uuid));
	strscpy(event.text, text, sizeof(event.text));
	for (p = event.text; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	mdevgpu_event_tell(gpu, &event);
}
EXPORT_SYMBOL_GPL(mdevgpu_tell_error);

/*
 * Tells one file, if the use has crossed its threshold: up at the high one,
 * down not before the low one, so that a use that trembles at either makes no
 * noise.
 */
static void mdevgpu_event_framebuffer(struct mdevgpu_file *f)
{
	u64 used = f->gpu->framebuffer_used;
	struct mdevgpu_event event = {
		.type = MDEVGPU_EVENT_FRAMEBUFFER,
		.code = !f->above,
		.value = used,
		.limit = f->above ? f->framebuffer_low : f->framebuffer_high,
	};

	if (!(f->mask & MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_FRAMEBUFFER)))
		return;
	if (f->above ? used > f->framebuffer_low : used < f->framebuffer_high)
		return;

	f->above = !f->above;
	mdevgpu_event_fill(f->gpu, &event);
	mdevgpu_queue_add(f, &event);
}

/**
 * mdevgpu_tell_framebuffer - how much of the framebuffer is taken now
 * @gpu: may be unregistered already, then nothing happens
 * @used: bytes, of all vGPUs together
 */
void mdevgpu_tell_framebuffer(struct mdevgpu_device *gpu, u64 used)
{
	struct mdevgpu_file *f;
	unsigned long flags;

	spin_lock_irqsave(&gpu->event_lock, flags);
	gpu->framebuffer_used = used;
	if (!gpu->gone)
		list_for_each_entry(f, &gpu->subscribers, subscriber)
			mdevgpu_event_framebuffer(f);
	spin_unlock_irqrestore(&gpu->event_lock, flags);

	wake_up_interruptible(&gpu->wait);
}
EXPORT_SYMBOL_GPL(mdevgpu_tell_framebuffer);

static int mdevgpu_check_subscribe(const struct mdevgpu_subscribe *args)
{
	if (args->flags || args->mask & ~MDEVGPU_EVENTS_KNOWN)
		return -EINVAL;
	if (args->event_size < MDEVGPU_EVENT_SIZE_VER0 ||
	    args->event_size % sizeof(u64))
		return -EINVAL;
	if (args->event_size > PAGE_SIZE)
		return -E2BIG;
	if (args->mask & MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_FRAMEBUFFER) &&
	    args->framebuffer_low >= args->framebuffer_high)
		return -EINVAL;
	return 0;
}

static void mdevgpu_subscribe(struct mdevgpu_file *f,
			      struct mdevgpu_event **queue,
			      struct mdevgpu_subscribe *args)
{
	struct mdevgpu_device *gpu = f->gpu;
	unsigned long flags;

	spin_lock_irqsave(&gpu->event_lock, flags);
	if (!f->queue) {
		swap(f->queue, *queue);
		list_add_tail(&f->subscriber, &gpu->subscribers);
	}
	if (!args->mask)
		f->first = f->n_events = f->n_lost = 0;
	f->mask = args->mask;
	f->event_size = args->event_size;
	f->framebuffer_high = args->framebuffer_high;
	f->framebuffer_low = args->framebuffer_low;
	f->above = false;
	args->sequence = gpu->sequence;
	args->capacity = MDEVGPU_MAX_EVENTS;
	if (!gpu->gone)
		mdevgpu_event_framebuffer(f);
	spin_unlock_irqrestore(&gpu->event_lock, flags);

	wake_up_interruptible(&gpu->wait);
}

long mdevgpu_ioctl_subscribe(struct mdevgpu_file *f, void __user *uargs)
{
	struct mdevgpu_subscribe args;
	struct mdevgpu_event *queue;
	int known, r;

	known = mdevgpu_get_args(&args, sizeof(args),
				 MDEVGPU_SUBSCRIBE_SIZE_VER0, uargs);
	if (known < 0)
		return known;
	r = mdevgpu_check_subscribe(&args);
	if (r)
		return r;

	queue = kvcalloc(MDEVGPU_MAX_EVENTS, sizeof(*queue),
			 GFP_KERNEL_ACCOUNT);
	if (!queue)
		return -ENOMEM;
	mdevgpu_subscribe(f, &queue, &args);
	kvfree(queue);

	return mdevgpu_put_args(uargs, &args, known);
}

/* The file is about to be freed. */
void mdevgpu_unsubscribe(struct mdevgpu_file *f)
{
	unsigned long flags;

	spin_lock_irqsave(&f->gpu->event_lock, flags);
	if (f->queue)
		list_del(&f->subscriber);
	spin_unlock_irqrestore(&f->gpu->event_lock, flags);

	kvfree(f->queue);
}

/* 1: *ret was taken; 0: there is none; -ENODEV: and there will be none. */
static int mdevgpu_take(struct mdevgpu_file *f, struct mdevgpu_event *ret)
{
	unsigned long flags;
	int r;

	spin_lock_irqsave(&f->gpu->event_lock, flags);
	if (!f->queue)
		r = -EPERM;
	else if (mdevgpu_queue_take(f, ret))
		r = 1;
	else
		r = f->gpu->gone ? -ENODEV : 0;
	spin_unlock_irqrestore(&f->gpu->event_lock, flags);

	return r;
}

/* Is there something that read() would not wait for? */
static bool mdevgpu_ready(struct mdevgpu_file *f)
{
	unsigned long flags;
	bool ready;

	spin_lock_irqsave(&f->gpu->event_lock, flags);
	ready = f->n_events || f->n_lost || f->gpu->gone;
	spin_unlock_irqrestore(&f->gpu->event_lock, flags);

	return ready;
}

static int mdevgpu_put_event(struct mdevgpu_file *f, char __user *to, u32 size,
			     const struct mdevgpu_event *event)
{
	return mdevgpu_put_array((unsigned long)to, size, event, sizeof(*event),
				 1);
}

/* As many whole records as there are and as fit. One lost to EFAULT is lost. */
static ssize_t mdevgpu_read_some(struct mdevgpu_file *f, char __user *buf,
				 size_t count)
{
	u32 size = READ_ONCE(f->event_size);
	struct mdevgpu_event event;
	size_t done = 0;
	int r;

	if (!size)
		return -EPERM;
	if (count < size)
		return -EINVAL;

	while (count - done >= size) {
		r = mdevgpu_take(f, &event);
		if (r <= 0)
			return done ? done : r;
		r = mdevgpu_put_event(f, buf + done, size, &event);
		if (r)
			return done ? done : r;
		done += size;
	}

	return done;
}

ssize_t mdevgpu_read(struct file *file, char __user *buf, size_t count,
		     loff_t *ppos)
{
	struct mdevgpu_file *f = file->private_data;
	ssize_t n;
	int r;

	for (;;) {
		r = mutex_lock_interruptible(&f->read_lock);
		if (r)
			return r;
		n = mdevgpu_read_some(f, buf, count);
		mutex_unlock(&f->read_lock);
		if (n)
			return n;

		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		r = wait_event_interruptible(f->gpu->wait, mdevgpu_ready(f));
		if (r)
			return r;
	}
}

__poll_t mdevgpu_poll(struct file *file, struct poll_table_struct *table)
{
	struct mdevgpu_file *f = file->private_data;
	__poll_t events = 0;
	unsigned long flags;

	poll_wait(file, &f->gpu->wait, table);

	spin_lock_irqsave(&f->gpu->event_lock, flags);
	if (f->n_events || f->n_lost)
		events |= EPOLLIN | EPOLLRDNORM;
	spin_unlock_irqrestore(&f->gpu->event_lock, flags);
	if (!READ_ONCE(f->gpu->ops))
		events |= EPOLLHUP;

	return events;
}
