// SPDX-License-Identifier: GPL-2.0-only
/*
 * What NVIDIA's vGPU host driver shows where it has no mdev (vGPU 17 and later):
 * virtual functions that stay with it, are VFIO devices by its own doing, and
 * become vGPUs when a type is written to them. As documented and reported of
 * 580: it refuses a write to sriov_numvfs; a list shrinks as its siblings take
 * what is left; a function that has a type takes no other; one that is open
 * keeps its type.
 *
 * There is one card.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/vfio_pci_core.h>

#include "vf-gpu.h"

#define VF_NVIDIA_UNITS	4

static const struct {
	unsigned int id;
	unsigned int units;
	const char *name;
} vf_nvidia_types[] = {
	{ 1145, 1, "NVIDIA RIG-1Q" },
	{ 1146, 2, "NVIDIA RIG-2Q" },
	{ 1147, 4, "NVIDIA RIG-4Q" },
};

struct vf_nvidia {
	struct vfio_pci_core_device core;
	unsigned int type;		/* index + 1; 0: none */
	bool open;
	char params[128];
};

static DEFINE_MUTEX(vf_nvidia_lock);	/* of all that is not the core's */
static unsigned int vf_nvidia_left = VF_NVIDIA_UNITS;

static struct vf_nvidia *vf_nvidia_of(struct device *dev)
{
	return container_of(dev_get_drvdata(dev), struct vf_nvidia, core);
}

static ssize_t creatable_vgpu_types_show(struct device *dev,
					 struct device_attribute *attr,
					 char *buf)
{
	struct vf_nvidia *vf = vf_nvidia_of(dev);
	unsigned int i;
	int n;

	n = sysfs_emit(buf, "ID    : vGPU Name\n");
	mutex_lock(&vf_nvidia_lock);
	for (i = 0; i < ARRAY_SIZE(vf_nvidia_types) && !vf->type; i++)
		if (vf_nvidia_types[i].units <= vf_nvidia_left)
			n += sysfs_emit_at(buf, n, "%-6u: %s\n",
					   vf_nvidia_types[i].id,
					   vf_nvidia_types[i].name);
	mutex_unlock(&vf_nvidia_lock);
	return n;
}
static DEVICE_ATTR_RO(creatable_vgpu_types);

static ssize_t current_vgpu_type_show(struct device *dev,
				      struct device_attribute *attr, char *buf)
{
	struct vf_nvidia *vf = vf_nvidia_of(dev);

	return sysfs_emit(buf, "%u\n",
			  vf->type ? vf_nvidia_types[vf->type - 1].id : 0);
}

static int vf_nvidia_set(struct vf_nvidia *vf, unsigned int id)
{
	unsigned int i;

	if (!id) {
		if (vf->open)
			return -EBUSY;
		if (vf->type)
			vf_nvidia_left += vf_nvidia_types[vf->type - 1].units;
		vf->type = 0;
		vf->params[0] = '\0';
		return 0;
	}

	if (vf->type)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(vf_nvidia_types); i++) {
		if (vf_nvidia_types[i].id != id ||
		    vf_nvidia_types[i].units > vf_nvidia_left)
			continue;
		vf_nvidia_left -= vf_nvidia_types[i].units;
		vf->type = i + 1;
		return 0;
	}
	return -EINVAL;
}

static ssize_t current_vgpu_type_store(struct device *dev,
				       struct device_attribute *attr,
				       const char *buf, size_t count)
{
	unsigned int id;
	int r;

	r = kstrtouint(buf, 10, &id);
	if (r)
		return r;

	mutex_lock(&vf_nvidia_lock);
	r = vf_nvidia_set(vf_nvidia_of(dev), id);
	mutex_unlock(&vf_nvidia_lock);
	return r ? r : count;
}
static DEVICE_ATTR_RW(current_vgpu_type);

static ssize_t vgpu_params_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", vf_nvidia_of(dev)->params);
}

/* After the type, and before a virtual machine starts */
static ssize_t vgpu_params_store(struct device *dev,
				 struct device_attribute *attr,
				 const char *buf, size_t count)
{
	struct vf_nvidia *vf = vf_nvidia_of(dev);
	int r = 0;

	mutex_lock(&vf_nvidia_lock);
	if (!vf->type || count >= sizeof(vf->params))
		r = -EINVAL;
	else if (vf->open)
		r = -EBUSY;
	else
		strscpy(vf->params, buf, sizeof(vf->params));
	mutex_unlock(&vf_nvidia_lock);
	return r ? r : count;
}
static DEVICE_ATTR_RW(vgpu_params);

static struct attribute *vf_nvidia_attrs[] = {
	&dev_attr_creatable_vgpu_types.attr,
	&dev_attr_current_vgpu_type.attr,
	&dev_attr_vgpu_params.attr,
	NULL
};

static const struct attribute_group vf_nvidia_group = {
	.name = "nvidia",
	.attrs = vf_nvidia_attrs,
};

/* A function without a type is nothing that a virtual machine could have. */
static int vf_nvidia_open(struct vfio_device *device)
{
	struct vf_nvidia *vf = container_of(device, struct vf_nvidia, core.vdev);
	int r;

	mutex_lock(&vf_nvidia_lock);
	r = vf->type ? 0 : -ENODEV;
	if (!r)
		r = vfio_pci_core_enable(&vf->core);
	if (!r)
		vf->open = true;
	mutex_unlock(&vf_nvidia_lock);
	if (r)
		return r;

	vfio_pci_core_finish_enable(&vf->core);
	return 0;
}

static void vf_nvidia_close(struct vfio_device *device)
{
	struct vf_nvidia *vf = container_of(device, struct vf_nvidia, core.vdev);

	vfio_pci_core_close_device(device);
	mutex_lock(&vf_nvidia_lock);
	vf->open = false;
	mutex_unlock(&vf_nvidia_lock);
}

static const struct vfio_device_ops vf_nvidia_ops = {
	.name = "vf-nvidia",
	.init = vfio_pci_core_init_dev,
	.release = vfio_pci_core_release_dev,
	.open_device = vf_nvidia_open,
	.close_device = vf_nvidia_close,
	.ioctl = vfio_pci_core_ioctl,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = vfio_pci_core_read,
	.write = vfio_pci_core_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
};

static int vf_nvidia_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vf_nvidia *vf;
	int r;

	if (!pdev->is_virtfn)
		return 0;

	vf = vfio_alloc_device(vf_nvidia, core.vdev, &pdev->dev, &vf_nvidia_ops);
	if (IS_ERR(vf))
		return PTR_ERR(vf);

	dev_set_drvdata(&pdev->dev, &vf->core);
	r = vfio_pci_core_register_device(&vf->core);
	if (r)
		goto put;
	r = device_add_group(&pdev->dev, &vf_nvidia_group);
	if (r)
		goto unregister;
	return 0;

unregister:
	vfio_pci_core_unregister_device(&vf->core);
put:
	vfio_put_device(&vf->core.vdev);
	return r;
}

static void vf_nvidia_remove(struct pci_dev *pdev)
{
	struct vf_nvidia *vf;

	if (!pdev->is_virtfn)
		return;

	vf = vf_nvidia_of(&pdev->dev);
	device_remove_group(&pdev->dev, &vf_nvidia_group);
	vfio_pci_core_unregister_device(&vf->core);
	mutex_lock(&vf_nvidia_lock);
	vf_nvidia_set(vf, 0);
	mutex_unlock(&vf_nvidia_lock);
	vfio_put_device(&vf->core.vdev);
}

struct pci_driver vf_nvidia_driver = {
	.name = "nvidia",
	.id_table = vf_gpu_ids,
	.probe = vf_nvidia_probe,
	.remove = vf_nvidia_remove,
	.driver_managed_dma = true,
};
