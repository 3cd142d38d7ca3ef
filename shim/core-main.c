// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mdevgpu class: a node for each GPU that a vendor module registers, and
 * who owns it.
 *
 * A node outlives its vendor: open files pin this module and the device's
 * memory, never the vendor's. mdevgpu_unregister() takes the vendor's calls
 * away under the lock that every call holds; what is open then is dead.
 */
#include <linux/idr.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "core.h"
#include "kernel-compat.h"

#define MDEVGPU_MAX_GPUS	256

static dev_t mdevgpu_devt;
static DEFINE_IDA(mdevgpu_ida);

/* Takes the GPU's lock, unless its vendor has gone. */
int mdevgpu_lock_live(struct mdevgpu_device *gpu)
{
	int r;

	r = mutex_lock_killable(&gpu->lock);
	if (r)
		return r;

	if (!gpu->ops) {
		mutex_unlock(&gpu->lock);
		return -ENODEV;
	}

	return 0;
}

static int mdevgpu_own(struct mdevgpu_device *gpu, struct mdevgpu_file *f)
{
	int r;

	r = mdevgpu_lock_live(gpu);
	if (r)
		return r;

	if (gpu->owner) {
		r = -EBUSY;
	} else {
		gpu->owner = f;
		gpu->epoch++;
		f->was_owner = true;
	}

	mutex_unlock(&gpu->lock);
	return r;
}

static struct mdevgpu_file *mdevgpu_file_new(struct mdevgpu_device *gpu)
{
	struct mdevgpu_file *f;

	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return NULL;

	INIT_LIST_HEAD(&f->subscriber);
	mutex_init(&f->read_lock);
	get_device(&gpu->dev);
	f->gpu = gpu;
	return f;
}

static void mdevgpu_file_free(struct mdevgpu_file *f)
{
	struct mdevgpu_device *gpu = f->gpu;

	mdevgpu_unsubscribe(f);
	mutex_destroy(&f->read_lock);
	kfree(f);
	put_device(&gpu->dev);
}

static int mdevgpu_open(struct inode *inode, struct file *file)
{
	struct mdevgpu_device *gpu =
		container_of(inode->i_cdev, struct mdevgpu_device, cdev);
	struct mdevgpu_file *f;
	int r;

	if (!READ_ONCE(gpu->ops))
		return -ENODEV;

	if ((file->f_mode & FMODE_WRITE) && !capable(CAP_SYS_ADMIN))
		return -EPERM;

	f = mdevgpu_file_new(gpu);
	if (!f)
		return -ENOMEM;

	if (file->f_mode & FMODE_WRITE) {
		r = mdevgpu_own(gpu, f);
		if (r) {
			mdevgpu_file_free(f);
			return r;
		}
	}

	file->private_data = f;
	return nonseekable_open(inode, file);
}

static int mdevgpu_release(struct inode *inode, struct file *file)
{
	struct mdevgpu_file *f = file->private_data;
	struct mdevgpu_device *gpu = f->gpu;

	mutex_lock(&gpu->lock);
	if (gpu->owner == f)
		gpu->owner = NULL;
	mutex_unlock(&gpu->lock);

	mdevgpu_file_free(f);
	return 0;
}

static const struct file_operations mdevgpu_fops = {
	.owner = THIS_MODULE,
	.open = mdevgpu_open,
	.release = mdevgpu_release,
	.read = mdevgpu_read,
	.poll = mdevgpu_poll,
	.unlocked_ioctl = mdevgpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static char *mdevgpu_devnode(MDEVGPU_DEVNODE_CONST struct device *dev,
			     umode_t *mode)
{
	if (mode)
		*mode = 0600;
	return kasprintf(GFP_KERNEL, "mdevgpu/%s", dev_name(dev));
}

static void mdevgpu_dev_release(struct device *dev)
{
	struct mdevgpu_device *gpu =
		container_of(dev, struct mdevgpu_device, dev);

	ida_free(&mdevgpu_ida, MINOR(dev->devt));
	mutex_destroy(&gpu->lock);
	kvfree(gpu->types);
	kfree(gpu);
}

static struct class mdevgpu_class = {
	.name = "mdevgpu",
	.devnode = mdevgpu_devnode,
	.dev_release = mdevgpu_dev_release,
};

static void mdevgpu_set_identity(struct mdevgpu_identify *id,
				 const struct mdevgpu_info *info,
				 const struct mdevgpu_ops *ops)
{
	id->abi_version = MDEVGPU_ABI_VERSION;
	id->capabilities = info->capabilities | MDEVGPU_CAP_SET_TYPES |
			   MDEVGPU_CAP_TAKEOVER | MDEVGPU_CAP_EVENTS;
	if (ops->get_usage)
		id->capabilities |= MDEVGPU_CAP_USAGE;
	if (ops->set_share)
		id->capabilities |= MDEVGPU_CAP_SHARE;
	get_random_bytes(id->instance_id, sizeof(id->instance_id));
	id->framebuffer_total = info->framebuffer_total;
	id->max_types = MDEVGPU_MAX_TYPES;
	id->type_size = sizeof(struct mdevgpu_type);
	strscpy(id->type_prefix, info->type_prefix, sizeof(id->type_prefix));
	strscpy(id->driver, info->driver, sizeof(id->driver));
	strscpy(id->driver_version, info->driver_version,
		sizeof(id->driver_version));
	strscpy(id->vendor, info->vendor, sizeof(id->vendor));
	strscpy(id->model, info->model, sizeof(id->model));
	strscpy(id->state_format, info->state_format ?: "",
		sizeof(id->state_format));
}

static struct mdevgpu_device *mdevgpu_alloc(struct device *parent)
{
	struct mdevgpu_device *gpu;
	int minor;

	gpu = kzalloc(sizeof(*gpu), GFP_KERNEL);
	if (!gpu)
		return ERR_PTR(-ENOMEM);

	minor = ida_alloc_max(&mdevgpu_ida, MDEVGPU_MAX_GPUS - 1, GFP_KERNEL);
	if (minor < 0) {
		kfree(gpu);
		return ERR_PTR(minor);
	}

	mutex_init(&gpu->lock);
	spin_lock_init(&gpu->event_lock);
	INIT_LIST_HEAD(&gpu->subscribers);
	init_waitqueue_head(&gpu->wait);
	device_initialize(&gpu->dev);
	gpu->dev.class = &mdevgpu_class;
	gpu->dev.parent = parent;
	gpu->dev.devt = MKDEV(MAJOR(mdevgpu_devt), minor);
	cdev_init(&gpu->cdev, &mdevgpu_fops);
	gpu->cdev.owner = THIS_MODULE;
	gpu->generation = 1;
	return gpu;
}

/**
 * mdevgpu_register - give a GPU its node
 * @parent: the GPU
 * @info: what it is
 * @ops: the vendor's calls; may come before this returns
 * @priv: for mdevgpu_priv()
 *
 * Return: what mdevgpu_unregister() takes, and mdevgpu_put() after that; or an
 * ERR_PTR().
 */
struct mdevgpu_device *mdevgpu_register(struct device *parent,
					const struct mdevgpu_info *info,
					const struct mdevgpu_ops *ops,
					void *priv)
{
	struct mdevgpu_device *gpu;
	int r;

	gpu = mdevgpu_alloc(parent);
	if (IS_ERR(gpu))
		return gpu;

	mdevgpu_set_identity(&gpu->identity, info, ops);
	gpu->ops = ops;
	gpu->priv = priv;

	r = dev_set_name(&gpu->dev, "gpu%d", MINOR(gpu->dev.devt));
	if (r)
		goto fail;

	r = cdev_device_add(&gpu->cdev, &gpu->dev);
	if (r)
		goto fail;

	return gpu;

fail:
	put_device(&gpu->dev);
	return ERR_PTR(r);
}
EXPORT_SYMBOL_GPL(mdevgpu_register);

/**
 * mdevgpu_unregister - take the node and the vendor's calls away
 * @gpu: stays in memory until mdevgpu_put()
 *
 * Waits for a call in progress. Files still open answer ENODEV and POLLHUP.
 */
void mdevgpu_unregister(struct mdevgpu_device *gpu)
{
	mdevgpu_event_going(gpu);
	cdev_device_del(&gpu->cdev, &gpu->dev);

	mutex_lock(&gpu->lock);
	WRITE_ONCE(gpu->ops, NULL);
	gpu->priv = NULL;
	mutex_unlock(&gpu->lock);

	wake_up_all(&gpu->wait);
}
EXPORT_SYMBOL_GPL(mdevgpu_unregister);

/**
 * mdevgpu_put - give back what mdevgpu_register() returned
 * @gpu: unregistered, and nothing more to be told of it; may be freed
 *
 * A vGPU may be closed long after its GPU has gone; who would tell of that
 * keeps @gpu until then.
 */
void mdevgpu_put(struct mdevgpu_device *gpu)
{
	put_device(&gpu->dev);
}
EXPORT_SYMBOL_GPL(mdevgpu_put);

void *mdevgpu_priv(struct mdevgpu_device *gpu)
{
	return gpu->priv;
}
EXPORT_SYMBOL_GPL(mdevgpu_priv);

static int __init mdevgpu_init(void)
{
	int r;

	r = alloc_chrdev_region(&mdevgpu_devt, 0, MDEVGPU_MAX_GPUS, "mdevgpu");
	if (r)
		return r;

	r = class_register(&mdevgpu_class);
	if (r)
		unregister_chrdev_region(mdevgpu_devt, MDEVGPU_MAX_GPUS);
	return r;
}

static void __exit mdevgpu_exit(void)
{
	class_unregister(&mdevgpu_class);
	unregister_chrdev_region(mdevgpu_devt, MDEVGPU_MAX_GPUS);
}

module_init(mdevgpu_init);
module_exit(mdevgpu_exit);

MODULE_DESCRIPTION("Control nodes of GPUs whose vGPU types come from user space");
MODULE_LICENSE("GPL");
