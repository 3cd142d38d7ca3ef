// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Intel's xe shows of its virtual functions from kernel 6.19 on, by
 * Documentation/ABI/testing/sysfs-driver-intel-xe-sriov: sriov_admin/vfN/profile
 * for each function that the card can have. The functions stay without a driver,
 * for whoever hands them over.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "vf-gpu.h"

struct vf_xe_function {
	struct kobject kobj;
	unsigned int exec_quantum_ms;
	unsigned int preempt_timeout_us;
	unsigned int sched_priority;
};

struct vf_xe_card {
	struct kobject *admin;
	unsigned int n;
	struct vf_xe_function *functions[];
};

struct vf_xe_attribute {
	struct kobj_attribute attr;
	size_t offset;
	unsigned int max;
};

static const char *const vf_xe_priorities[] = { "low", "normal", "high" };

static unsigned int *vf_xe_field(struct kobject *kobj,
				 struct kobj_attribute *attr)
{
	struct vf_xe_attribute *a = container_of(attr, struct vf_xe_attribute, attr);

	return (void *)container_of(kobj, struct vf_xe_function, kobj) + a->offset;
}

static ssize_t number_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%u\n", *vf_xe_field(kobj, attr));
}

static ssize_t number_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	struct vf_xe_attribute *a = container_of(attr, struct vf_xe_attribute, attr);
	unsigned int value;
	int r;

	r = kstrtouint(buf, 0, &value);
	if (r || value > a->max)
		return r ? r : -EINVAL;

	*vf_xe_field(kobj, attr) = value;
	return count;
}

static ssize_t sched_priority_show(struct kobject *kobj,
				   struct kobj_attribute *attr, char *buf)
{
	unsigned int now = *vf_xe_field(kobj, attr), i;
	int n = 0;

	for (i = 0; i < ARRAY_SIZE(vf_xe_priorities); i++)
		n += sysfs_emit_at(buf, n, i == now ? "%s[%s]" : "%s%s",
				   i ? " " : "", vf_xe_priorities[i]);
	return n + sysfs_emit_at(buf, n, "\n");
}

static ssize_t sched_priority_store(struct kobject *kobj,
				    struct kobj_attribute *attr,
				    const char *buf, size_t count)
{
	int r;

	r = sysfs_match_string(vf_xe_priorities, buf);
	if (r < 0)
		return r;

	*vf_xe_field(kobj, attr) = r;
	return count;
}

#define VF_XE_ATTRIBUTE(_name, _show, _store, _max)			\
	static struct vf_xe_attribute vf_xe_##_name = {			\
		.attr = __ATTR(_name, 0644, _show, _store),		\
		.offset = offsetof(struct vf_xe_function, _name),	\
		.max = _max,						\
	}

VF_XE_ATTRIBUTE(exec_quantum_ms, number_show, number_store, 100000);
VF_XE_ATTRIBUTE(preempt_timeout_us, number_show, number_store, 100000000);
VF_XE_ATTRIBUTE(sched_priority, sched_priority_show, sched_priority_store, 0);

static struct attribute *vf_xe_attrs[] = {
	&vf_xe_exec_quantum_ms.attr.attr,
	&vf_xe_preempt_timeout_us.attr.attr,
	&vf_xe_sched_priority.attr.attr,
	NULL
};

static const struct attribute_group vf_xe_group = {
	.name = "profile",
	.attrs = vf_xe_attrs,
};

static const struct attribute_group *vf_xe_groups[] = { &vf_xe_group, NULL };

static void vf_xe_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct vf_xe_function, kobj));
}

static const struct kobj_type vf_xe_ktype = {
	.release = vf_xe_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = vf_xe_groups,
};

static void vf_xe_free(struct vf_xe_card *card)
{
	unsigned int i;

	for (i = 0; i < card->n; i++)
		kobject_put(&card->functions[i]->kobj);
	kobject_put(card->admin);
	kfree(card);
}

static int vf_xe_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	unsigned int n = pci_sriov_get_totalvfs(pdev);
	struct vf_xe_function *function;
	struct vf_xe_card *card;
	int r;

	if (pdev->is_virtfn)
		return -ENODEV;

	card = kzalloc(struct_size(card, functions, n), GFP_KERNEL);
	if (!card)
		return -ENOMEM;
	card->admin = kobject_create_and_add("sriov_admin", &pdev->dev.kobj);
	r = card->admin ? 0 : -ENOMEM;

	while (!r && card->n < n) {
		function = kzalloc(sizeof(*function), GFP_KERNEL);
		if (!function) {
			r = -ENOMEM;
			break;
		}
		card->functions[card->n++] = function;
		r = kobject_init_and_add(&function->kobj, &vf_xe_ktype,
					 card->admin, "vf%u", card->n);
	}
	if (r) {
		vf_xe_free(card);
		return r;
	}

	pci_set_drvdata(pdev, card);
	return 0;
}

static void vf_xe_remove(struct pci_dev *pdev)
{
	pci_disable_sriov(pdev);
	vf_xe_free(pci_get_drvdata(pdev));
}

struct pci_driver vf_xe_driver = {
	.name = "xe",
	.id_table = vf_gpu_ids,
	.probe = vf_xe_probe,
	.remove = vf_xe_remove,
	.sriov_configure = pci_sriov_configure_simple,
};
