/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/nvidia-query.h"
#include "util/text.h"

bool nvidia_types_hold(const NvidiaTypeList *list, uint32_t id) {
        for (size_t i = 0; i < list->n; i++)
                if (list->ids[i] == id)
                        return true;

        return false;
}

int nvidia_query_types(NvidiaRm *rm, NvidiaControl control, NvidiaTypeList *ret_list) {
        const NvidiaDialect *d = rm->dialect;
        uint8_t parameters[1024] = {};
        NvidiaTypeList list = {};
        uint64_t n;
        int r;

        assert(d->controls[control].size <= sizeof(parameters));
        if (d->places[NVIDIA_AT_TYPES_INSTANCE].there)
                (void)nvidia_put(d, parameters, 0, NVIDIA_AT_TYPES_INSTANCE, NVIDIA_ANY_INSTANCE);

        r = nvidia_rm_control(rm, control, parameters);
        if (r != 0)
                return r;

        list.state = (uint32_t)nvidia_get(d, parameters, 0, NVIDIA_AT_TYPES_STATE);
        n = nvidia_get(d, parameters, 0, NVIDIA_AT_TYPES_COUNT);
        if (n > d->types_max || list.state > NVIDIA_CONFIG_READY)
                return -EBADMSG;

        list.n_held = n;
        for (size_t i = 0; i < n; i++) {
                uint32_t id = nvidia_u32(parameters + d->places[NVIDIA_AT_TYPES_IDS].offset + i * 4);

                if (id == 0)
                        return -EBADMSG;
                if (!nvidia_types_hold(&list, id))
                        list.ids[list.n++] = id;
        }

        *ret_list = list;
        return 0;
}

static uint32_t get_u32(const NvidiaDialect *d, const uint8_t *parameters, NvidiaAt at) {
        return (uint32_t)nvidia_get(d, parameters, d->set_info_at, at);
}

static uint64_t get_u64(const NvidiaDialect *d, const uint8_t *parameters, NvidiaAt at) {
        return nvidia_get(d, parameters, d->set_info_at, at);
}

int nvidia_query_type(NvidiaRm *rm, uint32_t id, NvidiaType *ret_type) {
        _cleanup_(freep) uint8_t *parameters = NULL;
        const NvidiaDialect *d = rm->dialect;
        NvidiaType type = {};
        int r;

        parameters = calloc(1, NVIDIA_PARAMETERS_MAX);
        if (!parameters)
                return -ENOMEM;

        nvidia_set_u32(parameters, id);
        r = nvidia_rm_control(rm, NVIDIA_CONTROL_TYPE_INFO, parameters);
        if (r != 0)
                return r;

        type.id = get_u32(d, parameters, NVIDIA_AT_INFO_TYPE);
        if (type.id != id)
                return -EBADMSG;

        nvidia_get_text(d, parameters, d->set_info_at, NVIDIA_AT_INFO_NAME, type.name, sizeof(type.name));
        nvidia_get_text(d, parameters, d->set_info_at, NVIDIA_AT_INFO_CLASS, type.class, sizeof(type.class));
        type.max_instances = get_u32(d, parameters, NVIDIA_AT_INFO_MAX_INSTANCES);
        type.heads = get_u32(d, parameters, NVIDIA_AT_INFO_HEADS);
        type.max_width = get_u32(d, parameters, NVIDIA_AT_INFO_MAX_WIDTH);
        type.max_height = get_u32(d, parameters, NVIDIA_AT_INFO_MAX_HEIGHT);
        type.frame_limit = get_u32(d, parameters, NVIDIA_AT_INFO_FRAME_LIMIT);
        type.limiter = get_u32(d, parameters, NVIDIA_AT_INFO_LIMITER) != 0;
        type.ecc = get_u32(d, parameters, NVIDIA_AT_INFO_ECC) != 0;
        type.multi_vgpu = get_u32(d, parameters, NVIDIA_AT_INFO_MULTI_VGPU) != 0;
        type.instance_size = get_u32(d, parameters, NVIDIA_AT_INFO_INSTANCE_SIZE);
        type.vdev_id = get_u64(d, parameters, NVIDIA_AT_INFO_VDEV_ID);
        type.pdev_id = get_u64(d, parameters, NVIDIA_AT_INFO_PDEV_ID);
        type.framebuffer = get_u64(d, parameters, NVIDIA_AT_INFO_FRAMEBUFFER);
        type.reserved = get_u64(d, parameters, NVIDIA_AT_INFO_RESERVED);
        type.mappable_video = get_u64(d, parameters, NVIDIA_AT_INFO_MAPPABLE_VIDEO);
        type.bar1 = get_u64(d, parameters, NVIDIA_AT_INFO_BAR1);
        type.encoder = get_u32(d, parameters, NVIDIA_AT_INFO_ENCODER);
        type.host_reserved = UNKNOWN_U64;
        type.placements = UNKNOWN_U32;

        *ret_type = type;
        return 0;
}

static void read_guest(const NvidiaDialect *d, const uint8_t *p, size_t at, NvidiaGuest *guest) {
        *guest = (NvidiaGuest){
                .pid = (uint32_t)nvidia_get(d, p, at, NVIDIA_AT_GUEST_PID),
                .type = (uint32_t)nvidia_get(d, p, at, NVIDIA_AT_GUEST_TYPE),
                .vm_id_type = (uint32_t)nvidia_get(d, p, at, NVIDIA_AT_GUEST_ID_TYPE),
                .frame_limit = (uint32_t)nvidia_get(d, p, at, NVIDIA_AT_GUEST_FRAME_LIMIT),
                .license_state = (uint32_t)nvidia_get(d, p, at, NVIDIA_AT_GUEST_LICENSE_STATE),
                .loaded = nvidia_get(d, p, at, NVIDIA_AT_GUEST_LOADED) != 0,
                .migration_prohibited = nvidia_get(d, p, at, NVIDIA_AT_GUEST_PROHIBITED) != 0,
                .licensed = nvidia_get(d, p, at, NVIDIA_AT_GUEST_LICENSED) != 0,
                .encoder = (uint32_t)nvidia_get(d, p, at, NVIDIA_AT_GUEST_ENCODER),
                .framebuffer_used = nvidia_get(d, p, at, NVIDIA_AT_GUEST_FRAMEBUFFER),
        };
        (void)nvidia_get_bytes(d, p, at, NVIDIA_AT_GUEST_VGPU, guest->vgpu, sizeof(guest->vgpu));
        (void)nvidia_get_bytes(d, p, at, NVIDIA_AT_GUEST_MDEV, guest->mdev, sizeof(guest->mdev));
        (void)nvidia_get_bytes(d, p, at, NVIDIA_AT_GUEST_VM_ID, guest->vm_id, sizeof(guest->vm_id));
        nvidia_get_text(d, p, at, NVIDIA_AT_GUEST_DRIVER, guest->driver, sizeof(guest->driver));
        nvidia_get_text(d, p, at, NVIDIA_AT_GUEST_VM_NAME, guest->vm_name, sizeof(guest->vm_name));
}

int nvidia_query_guests(NvidiaRm *rm, NvidiaGuest ret_guests[static NVIDIA_GUESTS_MAX], size_t *ret_n) {
        _cleanup_(freep) uint8_t *parameters = NULL;
        const NvidiaDialect *d = rm->dialect;
        uint64_t n;
        int r;

        parameters = calloc(1, NVIDIA_PARAMETERS_MAX);
        if (!parameters)
                return -ENOMEM;

        r = nvidia_rm_control(rm, NVIDIA_CONTROL_GUESTS, parameters);
        if (r != 0)
                return r;

        n = nvidia_get(d, parameters, 0, NVIDIA_AT_GUESTS_COUNT);
        if (n > d->guests_max)
                return -EBADMSG;

        for (size_t i = 0; i < n; i++)
                read_guest(d, parameters, d->places[NVIDIA_AT_GUESTS_FIRST].offset + i * d->guest_size, &ret_guests[i]);
        *ret_n = n;
        return 0;
}

int nvidia_query_mode(NvidiaRm *rm, uint32_t *ret_mode) {
        uint8_t parameters[8] = {};
        int r;

        r = nvidia_rm_control(rm, NVIDIA_CONTROL_VIRTUALIZATION_MODE, parameters);
        if (r == 0)
                *ret_mode = nvidia_u32(parameters);
        return r;
}

int nvidia_query_host_reservation(NvidiaRm *rm, uint32_t type, uint64_t *ret_bytes) {
        uint8_t parameters[32] = {};
        int r;

        nvidia_set_u32(parameters + 24, type);
        r = nvidia_rm_control(rm, NVIDIA_CONTROL_HOST_RESERVATION, parameters);
        if (r == 0)
                *ret_bytes = nvidia_u64(parameters + 16);
        return r;
}

int nvidia_query_name(NvidiaRm *rm, char *buffer, size_t size) {
        uint8_t parameters[132] = {};
        char name[65] = {};
        int r;

        /* Flags 0: ASCII, at most 64 bytes. */
        r = nvidia_rm_control(rm, NVIDIA_CONTROL_NAME_STRING, parameters);
        if (r != 0)
                return r;

        memcpy(name, parameters + 4, sizeof(name) - 1);
        text_sanitize(name);
        (void)text_copy(buffer, size, name);
        return 0;
}

int nvidia_query_placements(NvidiaRm *rm, uint32_t type, uint32_t *ret_n) {
        const NvidiaDialect *d = rm->dialect;
        uint8_t parameters[256] = {};
        uint64_t n;
        int r;

        assert(d->controls[NVIDIA_CONTROL_PLACEMENTS].size <= sizeof(parameters));
        if (d->places[NVIDIA_AT_PLACEMENTS_INSTANCE].there)
                (void)nvidia_put(d, parameters, 0, NVIDIA_AT_PLACEMENTS_INSTANCE, NVIDIA_ANY_INSTANCE);
        (void)nvidia_put(d, parameters, 0, NVIDIA_AT_PLACEMENTS_TYPE, type);

        r = nvidia_rm_control(rm, NVIDIA_CONTROL_PLACEMENTS, parameters);
        if (r != 0)
                return r;

        n = nvidia_get(d, parameters, 0, NVIDIA_AT_PLACEMENTS_COUNT);
        if (n > d->guests_max)
                return -EBADMSG;

        *ret_n = (uint32_t)n;
        return 0;
}
