// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configuration space of a vGPU: a type 0 header with a register BAR, a
 * memory BAR and one MSI vector. INTx it has none.
 *
 * A mask says which bits the guest may write. For a BAR those are the address
 * bits above its size, which is all that sizing a BAR asks for.
 */
#include <linux/pci.h>

#include "kernel-compat.h"
#include "ref-vgpu.h"

#define REF_CONFIG_MSI		0x50

static void ref_config_header(struct ref_vgpu *vgpu)
{
	const struct mdevgpu_type *t = &vgpu->definition;
	const struct ref_gpu *gpu = vgpu->type->set->gpu;
	u16 device = t->vdev_id ? t->vdev_id >> 16 : gpu->device_id;
	u16 subsystem = t->vdev_id ? t->vdev_id & 0xffff : gpu->subsystem_id;
	u8 *c = vgpu->config;

	put_unaligned_le16(gpu->vendor_id, c + PCI_VENDOR_ID);
	put_unaligned_le16(device, c + PCI_DEVICE_ID);
	put_unaligned_le16(PCI_STATUS_CAP_LIST, c + PCI_STATUS);
	c[PCI_REVISION_ID] = 1;
	put_unaligned_le16(t->heads ? PCI_CLASS_DISPLAY_VGA :
				      PCI_CLASS_DISPLAY_3D,
			   c + PCI_CLASS_DEVICE);
	put_unaligned_le16(gpu->vendor_id, c + PCI_SUBSYSTEM_VENDOR_ID);
	put_unaligned_le16(subsystem, c + PCI_SUBSYSTEM_ID);
	c[PCI_CAPABILITY_LIST] = REF_CONFIG_MSI;

	put_unaligned_le16(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			   PCI_COMMAND_INTX_DISABLE,
			   vgpu->writable + PCI_COMMAND);
	vgpu->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	vgpu->writable[PCI_LATENCY_TIMER] = 0xff;
	vgpu->writable[PCI_INTERRUPT_LINE] = 0xff;
}

static void ref_config_bars(struct ref_vgpu *vgpu)
{
	u8 *c = vgpu->config, *w = vgpu->writable;

	put_unaligned_le32(PCI_BASE_ADDRESS_MEM_TYPE_32, c + PCI_BASE_ADDRESS_0);
	put_unaligned_le32(~(REF_BAR0_SIZE - 1), w + PCI_BASE_ADDRESS_0);

	put_unaligned_le32(PCI_BASE_ADDRESS_MEM_TYPE_64 |
			   PCI_BASE_ADDRESS_MEM_PREFETCH,
			   c + PCI_BASE_ADDRESS_1);
	put_unaligned_le64(~(vgpu->bar1_size - 1), w + PCI_BASE_ADDRESS_1);
}

static void ref_config_msi(struct ref_vgpu *vgpu)
{
	u8 *c = vgpu->config + REF_CONFIG_MSI;
	u8 *w = vgpu->writable + REF_CONFIG_MSI;

	c[PCI_CAP_LIST_ID] = PCI_CAP_ID_MSI;
	put_unaligned_le16(PCI_MSI_FLAGS_64BIT, c + PCI_MSI_FLAGS);

	put_unaligned_le16(PCI_MSI_FLAGS_ENABLE, w + PCI_MSI_FLAGS);
	put_unaligned_le32(~3U, w + PCI_MSI_ADDRESS_LO);
	put_unaligned_le32(~0U, w + PCI_MSI_ADDRESS_HI);
	put_unaligned_le16(0xffff, w + PCI_MSI_DATA_64);
}

void ref_config_reset(struct ref_vgpu *vgpu)
{
	memset(vgpu->config, 0, sizeof(vgpu->config));
	memset(vgpu->writable, 0, sizeof(vgpu->writable));
	ref_config_header(vgpu);
	ref_config_bars(vgpu);
	ref_config_msi(vgpu);
}

void ref_config_write(struct ref_vgpu *vgpu, unsigned int at, u8 value)
{
	u8 mask = vgpu->writable[at];

	vgpu->config[at] = (vgpu->config[at] & ~mask) | (value & mask);
}

bool ref_config_msi_enabled(struct ref_vgpu *vgpu)
{
	return vgpu->config[REF_CONFIG_MSI + PCI_MSI_FLAGS] &
	       PCI_MSI_FLAGS_ENABLE;
}
