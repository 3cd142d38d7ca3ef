// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI domain that exists only here: one root bus whose slots hold synthetic
 * GPUs, plugged and unplugged at will. Everything above it (sysfs, udev, lspci,
 * libvirt) takes them for real.
 *
 * The GPUs are bare functions without BARs and interrupts: nothing but this
 * module's own driver has a use for them. With virtual functions they have a
 * capability that the PCI core enables them by, and the functions behind theirs
 * answer for as long as it says so.
 */
#include <linux/bitops.h>
#include <linux/list.h>
#include <linux/numa.h>
#include <linux/pci.h>
#include <linux/resource_ext.h>

#include "kernel-compat.h"
#include "ref.h"

#ifndef CONFIG_X86_64
#error "How a PCI domain is made differs by architecture; this is x86-64's way."
#endif

#define REF_PCI_SLOTS		32
#define REF_PCI_FUNCTIONS	8
#define REF_PCI_CONFIG_SIZE	PCI_CFG_SPACE_EXP_SIZE

/* Where the capabilities are, for GPUs that have them */
#define REF_PCI_EXPRESS		0x40
#define REF_PCI_SRIOV		PCI_CFG_SPACE_SIZE

static struct pci_sysdata ref_pci_sysdata;
static struct pci_host_bridge *ref_pci_bridge;

static DECLARE_BITMAP(ref_pci_present, REF_PCI_SLOTS);
static u8 ref_pci_config[REF_PCI_SLOTS][REF_PCI_CONFIG_SIZE];
static u16 ref_pci_vendor_id;
static u16 ref_pci_device_id;
static u16 ref_pci_vfs;			/* that a GPU may have; 0: no capability */
static u8 ref_pci_vf_config[REF_PCI_CONFIG_SIZE];	/* of each of them */

static struct resource ref_pci_bus_numbers = {
	.name = REF_NAME,
	.start = 0,
	.end = 0,
	.flags = IORESOURCE_BUS,
};

/* How many virtual functions a GPU has at the moment */
static unsigned int ref_pci_n_vfs(unsigned int slot)
{
	const u8 *sriov = ref_pci_config[slot] + REF_PCI_SRIOV;

	if (!ref_pci_vfs || !(sriov[PCI_SRIOV_CTRL] & PCI_SRIOV_CTRL_VFE))
		return 0;
	return min(get_unaligned_le16(sriov + PCI_SRIOV_NUM_VF), ref_pci_vfs);
}

/* The configuration space of a function that is there, else NULL */
static u8 *ref_pci_space(struct pci_bus *bus, unsigned int devfn)
{
	unsigned int slot = PCI_SLOT(devfn);

	if (bus->number != 0 || !test_bit(slot, ref_pci_present))
		return NULL;
	if (PCI_FUNC(devfn) == 0)
		return ref_pci_config[slot];
	return PCI_FUNC(devfn) <= ref_pci_n_vfs(slot) ? ref_pci_vf_config : NULL;
}

static int ref_pci_read(struct pci_bus *bus, unsigned int devfn, int where,
			int size, u32 *value)
{
	const u8 *space = ref_pci_space(bus, devfn);
	u8 bytes[sizeof(u32)] = {};

	PCI_SET_ERROR_RESPONSE(value);
	if (!space)
		return PCIBIOS_DEVICE_NOT_FOUND;

	/* Without capabilities there is no extended configuration space. */
	if (where < 0 || size > sizeof(bytes) ||
	    where + size > (ref_pci_vfs ? REF_PCI_CONFIG_SIZE :
					  PCI_CFG_SPACE_SIZE))
		return PCIBIOS_BAD_REGISTER_NUMBER;

	memcpy(bytes, space + where, size);
	*value = get_unaligned_le32(bytes);
	return PCIBIOS_SUCCESSFUL;
}

/* What the PCI core writes and reads back; the rest is dropped. */
static int ref_pci_write(struct pci_bus *bus, unsigned int devfn, int where,
			 int size, u32 value)
{
	u8 *space = ref_pci_space(bus, devfn);

	if (!space)
		return PCIBIOS_DEVICE_NOT_FOUND;
	/* What can be written in a virtual function all of them would show. */
	if (space == ref_pci_vf_config || size < sizeof(u16))
		return PCIBIOS_SUCCESSFUL;

	if (where == PCI_COMMAND)
		put_unaligned_le16(value & (PCI_COMMAND_MEMORY |
					    PCI_COMMAND_MASTER),
				   space + where);
	else if (ref_pci_vfs && where == REF_PCI_SRIOV + PCI_SRIOV_CTRL)
		put_unaligned_le16(value & (PCI_SRIOV_CTRL_VFE |
					    PCI_SRIOV_CTRL_MSE),
				   space + where);
	else if (ref_pci_vfs && where == REF_PCI_SRIOV + PCI_SRIOV_NUM_VF)
		put_unaligned_le16(value, space + where);

	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops ref_pci_ops = {
	.read = ref_pci_read,
	.write = ref_pci_write,
};

bool ref_pci_is_ours(const struct pci_dev *pdev)
{
	return pdev->bus->ops == &ref_pci_ops;
}

static void ref_pci_fill_header(u8 *c, u16 device)
{
	memset(c, 0, REF_PCI_CONFIG_SIZE);
	put_unaligned_le16(ref_pci_vendor_id, c + PCI_VENDOR_ID);
	put_unaligned_le16(device, c + PCI_DEVICE_ID);
	c[PCI_REVISION_ID] = 1;
	put_unaligned_le16(PCI_CLASS_DISPLAY_3D, c + PCI_CLASS_DEVICE);
	put_unaligned_le16(ref_pci_vendor_id, c + PCI_SUBSYSTEM_VENDOR_ID);
	put_unaligned_le16(ref_pci_device_id, c + PCI_SUBSYSTEM_ID);
	if (!ref_pci_vfs)
		return;

	/* Version 2 of an endpoint that is integrated in the root complex */
	c[PCI_STATUS] = PCI_STATUS_CAP_LIST;
	c[PCI_CAPABILITY_LIST] = REF_PCI_EXPRESS;
	c[REF_PCI_EXPRESS + PCI_CAP_LIST_ID] = PCI_CAP_ID_EXP;
	c[REF_PCI_EXPRESS + PCI_EXP_FLAGS] = PCI_EXP_TYPE_RC_END << 4 | 2;
}

/* Virtual function N is function N of the slot: they need no bus of their own. */
static void ref_pci_fill_config(u8 *c)
{
	u8 *sriov = c + REF_PCI_SRIOV;

	ref_pci_fill_header(c, ref_pci_device_id);
	if (!ref_pci_vfs)
		return;

	put_unaligned_le32(1 << 16 | PCI_EXT_CAP_ID_SRIOV, sriov);
	put_unaligned_le16(ref_pci_vfs, sriov + PCI_SRIOV_INITIAL_VF);
	put_unaligned_le16(ref_pci_vfs, sriov + PCI_SRIOV_TOTAL_VF);
	put_unaligned_le16(1, sriov + PCI_SRIOV_VF_OFFSET);
	put_unaligned_le16(1, sriov + PCI_SRIOV_VF_STRIDE);
	put_unaligned_le16(ref_pci_device_id + 1, sriov + PCI_SRIOV_VF_DID);
	/* Pages of 4 KiB, and no others */
	put_unaligned_le32(1, sriov + PCI_SRIOV_SUP_PGSIZE);
	put_unaligned_le32(1, sriov + PCI_SRIOV_SYS_PGSIZE);
}

/* Makes the domain, without any GPU. */
int ref_pci_create(u16 domain, u16 vendor, u16 device, u16 vfs)
{
	struct pci_host_bridge *bridge;
	int r;

	if (vfs >= REF_PCI_FUNCTIONS)
		return -EINVAL;
	if (pci_find_bus(domain, 0))
		return -EBUSY;

	bridge = pci_alloc_host_bridge(0);
	if (!bridge)
		return -ENOMEM;

	ref_pci_vendor_id = vendor;
	ref_pci_device_id = device;
	ref_pci_vfs = vfs;
	ref_pci_fill_header(ref_pci_vf_config, device + 1);
	ref_pci_sysdata.domain = domain;
	ref_pci_sysdata.node = NUMA_NO_NODE;
	pci_add_resource(&bridge->windows, &ref_pci_bus_numbers);
	bridge->sysdata = &ref_pci_sysdata;
	bridge->ops = &ref_pci_ops;
	bridge->busnr = 0;

	pci_lock_rescan_remove();
	r = pci_scan_root_bus_bridge(bridge);
	if (!r)
		pci_bus_add_devices(bridge->bus);
	pci_unlock_rescan_remove();
	if (r) {
		pci_free_host_bridge(bridge);
		return r;
	}

	ref_pci_bridge = bridge;
	return 0;
}

void ref_pci_destroy(void)
{
	struct pci_host_bridge *bridge = ref_pci_bridge;

	pci_lock_rescan_remove();
	pci_stop_root_bus(bridge->bus);
	pci_remove_root_bus(bridge->bus);
	pci_unlock_rescan_remove();

	pci_free_host_bridge(bridge);
	ref_pci_bridge = NULL;
	bitmap_zero(ref_pci_present, REF_PCI_SLOTS);
}

/* -EEXIST if the slot is taken */
int ref_pci_plug(unsigned int slot)
{
	struct pci_bus *bus = ref_pci_bridge->bus;
	int r = 0;

	if (slot >= REF_PCI_SLOTS)
		return -EINVAL;

	pci_lock_rescan_remove();
	if (test_bit(slot, ref_pci_present)) {
		r = -EEXIST;
	} else {
		ref_pci_fill_config(ref_pci_config[slot]);
		set_bit(slot, ref_pci_present);
		if (pci_scan_slot(bus, PCI_DEVFN(slot, 0)) > 0) {
			pci_bus_add_devices(bus);
		} else {
			clear_bit(slot, ref_pci_present);
			r = -ENOMEM;
		}
	}
	pci_unlock_rescan_remove();

	return r;
}

/*
 * -ENODEV if the slot is empty, -EBUSY while a vGPU on it is open: removal
 * would wait for its user, with the lock of all PCI held. A user that comes
 * just now is waited for.
 */
int ref_pci_unplug(unsigned int slot)
{
	struct pci_dev *pdev;
	int r = 0;

	if (slot >= REF_PCI_SLOTS)
		return -EINVAL;

	pci_lock_rescan_remove();
	pdev = pci_get_slot(ref_pci_bridge->bus, PCI_DEVFN(slot, 0));
	if (!test_bit(slot, ref_pci_present)) {
		r = -ENODEV;
	} else if (pdev && ref_gpu_pdev_is_open(pdev)) {
		r = -EBUSY;
	} else {
		if (pdev)
			pci_stop_and_remove_bus_device(pdev);
		clear_bit(slot, ref_pci_present);
	}
	pci_dev_put(pdev);
	pci_unlock_rescan_remove();

	return r;
}
