/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nvidia-model.h"

enum {
        OK = 0x00,
        BUSY_RETRY = 0x03,
        IN_USE = 0x17,
        NO_PERMISSION = 0x1b,
        INVALID_ARGUMENT = 0x1f,
        INVALID_CLASS = 0x22,
        INVALID_CLIENT = 0x23,
        INVALID_COMMAND = 0x24,
        INVALID_OBJECT = 0x33,
        INVALID_PARENT = 0x36,
        WRONG_SIZE_BEFORE_550 = 0x3a,
        INVALID_STATE = 0x40,
        NOT_SUPPORTED = 0x56,
        NOT_FOUND = 0x57,
        TIMEOUT_RETRY = 0x66,
        GENERIC = 0xffff,
};

/* How SET_INFO and its kin look: everything about a type but its ends lies at one of two sets of places. */
struct ModelLayout {
        const char *name;
        unsigned major, minor; /* first driver */
        size_t info; /* bytes of a type's description */
        size_t text; /* of its name, and of its class */
        size_t max_instance_at, multi_at, limiter_at;
        bool list_has_instance; /* lists begin with a GPU instance */
        unsigned max_types, max_guests;
        size_t guest, guest_device_at;
};

static const ModelLayout layouts[] = {
        { "510", 510, 0, 4536, 32, 328, 364, 424, false, 64, 0, 0, 0 }, /* what the Mdev-GPU project wrote down of it */
        { "L1", 525, 0, 4952, 32, 324, 360, 440, false, 64, 32, 336, 256 },
        { "L2", 550, 0, 5088, 32, 324, 360, 440, false, 64, 32, 336, 256 },
        { "L3", 570, 0, 5224, 32, 324, 360, 440, false, 64, 32, 336, 256 },
        { "L4", 575, 0, 5224, 32, 324, 360, 440, true, 100, 32, 336, 256 },
        { "L5", 580, 0, 5416, 64, 388, 424, 504, true, 128, 48, 408, 320 },
        { "L6", 580, 94, 5424, 64, 388, 424, 504, true, 128, 48, 408, 320 },
        { "L7", 595, 0, 5424, 64, 388, 428, 504, true, 128, 48, 408, 320 },
};

static uint32_t get32(const uint8_t *p) {
        return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void set32(uint8_t *p, uint32_t v) {
        for (unsigned i = 0; i < 4; i++)
                p[i] = (uint8_t)(v >> (8 * i));
}

static void set64(uint8_t *p, uint64_t v) {
        set32(p, (uint32_t)v);
        set32(p + 4, (uint32_t)(v >> 32));
}

static uint64_t get64(const uint8_t *p) {
        return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static bool since(const NvidiaModel *m, unsigned major, unsigned minor) {
        return m->major > major || (m->major == major && m->minor >= minor);
}

bool nvidia_model_init(NvidiaModel *m, const char *version) {
        *m = (NvidiaModel){ .is_host = true, .admin = true, .next_handle = 0xcaf00000 };
        (void)snprintf(m->version, sizeof(m->version), "%s", version);
        if (sscanf(version, "%u.%u.%u", &m->major, &m->minor, &m->patch) < 2)
                return false;

        for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
                if (since(m, layouts[i].major, layouts[i].minor))
                        m->layout = &layouts[i];
        return m->layout;
}

ModelGpu *nvidia_model_plug(NvidiaModel *m, unsigned domain, unsigned bus, unsigned slot, unsigned minor) {
        for (unsigned i = 0; i < MODEL_GPUS; i++)
                if (!m->gpus[i].there) {
                        m->gpus[i] = (ModelGpu){
                                .there = true,
                                .domain = domain,
                                .bus = bus,
                                .slot = slot,
                                .minor = minor,
                                .id = bus << 8 | slot,
                                .device = 0x20b0,
                                .subsystem = 0x145f,
                                .can_mix = true,
                                .lowest = 2,
                        };
                        return &m->gpus[i];
                }

        return NULL;
}

void nvidia_model_reload(NvidiaModel *m) {
        m->n_types = 0;
        for (unsigned i = 0; i < MODEL_GPUS; i++) {
                m->gpus[i].state = m->gpus[i].n_list = m->gpus[i].fractional = m->gpus[i].n_guests = 0;
                m->gpus[i].lowest = 2;
                m->gpus[i].mixed_size = false;
        }
}

bool nvidia_model_lists(const ModelGpu *gpu, uint32_t id) {
        for (unsigned i = 0; i < gpu->n_list; i++)
                if (gpu->list[i] == id)
                        return true;

        return false;
}

const ModelType *nvidia_model_find(const NvidiaModel *m, uint32_t id) {
        for (unsigned i = 0; i < m->n_types; i++)
                if (m->types[i].id == id)
                        return &m->types[i];

        return NULL;
}

void nvidia_model_describe(const NvidiaModel *m, const ModelType *type, ModelWords *ret) {
        const uint8_t *p = type->info + m->layout->max_instance_at;

        *ret = (ModelWords){
                .max_instances = get32(p),
                .heads = get32(p + 4),
                .width = get32(p + 8),
                .height = get32(p + 12),
                .frame_limit = get32(p + 20),
                .framebuffer = get64(p + (m->major < 525 ? 64 : 68)),
                .reserved = get64(p + (m->major < 525 ? 80 : 84)),
        };
        memcpy(ret->name, type->info + 4, m->layout->text - 1);
}

static void set_state(ModelGpu *gpu, uint32_t state) {
        if (gpu->state == 2 && state < gpu->lowest)
                gpu->lowest = state;
        gpu->state = state;
}

/* The driver keeps one definition of an id for all GPUs, and a list for each. */
static uint32_t add_type(NvidiaModel *m, ModelGpu *gpu, bool discard, const uint8_t *info) {
        uint32_t id = get32(info);
        ModelType *type;

        if (gpu->n_list == m->layout->max_types && !discard)
                return NOT_SUPPORTED;

        if (!nvidia_model_find(m, id)) {
                if (m->n_types == MODEL_TYPES)
                        return NOT_SUPPORTED;
                type = &m->types[m->n_types++];
                type->id = id;
                memcpy(type->info, info, m->layout->info);
                if (gpu->fractional == 0 && get32(info + m->layout->max_instance_at) != 1)
                        set32(type->info + m->layout->multi_at, 0);
        }

        if (discard)
                gpu->n_list = 0;
        gpu->list[gpu->n_list++] = id;
        return OK;
}

void nvidia_model_run_vgpud(NvidiaModel *m, ModelGpu *gpu) {
        for (uint32_t id = 100; id <= 101; id++) {
                uint8_t info[MODEL_INFO_SIZE] = {};

                set32(info, id);
                (void)snprintf((char *)info + 4, 32, "Vendor type %u", id);
                (void)snprintf((char *)info + 4 + m->layout->text, 32, "Quadro");
                set32(info + m->layout->max_instance_at, 4);
                (void)add_type(m, gpu, id == 100, info);
        }
        gpu->state = 2;
        if (m->updated)
                m->updated(m, gpu);
}

int nvidia_model_open(NvidiaModel *m, const char *node) {
        unsigned gpu = 0;
        bool control = strcmp(node, "nvidiactl") == 0;

        if (!control) {
                unsigned minor;

                if (sscanf(node, "nvidia%u", &minor) != 1)
                        return -ENOENT;
                while (gpu < MODEL_GPUS && !(m->gpus[gpu].there && m->gpus[gpu].minor == minor))
                        gpu++;
                if (gpu == MODEL_GPUS)
                        return -ENOENT;
        }

        for (unsigned i = 0; i < MODEL_FILES; i++)
                if (!m->files[i].used) {
                        m->files[i] = (ModelFile){ .used = true, .control = control, .gpu = gpu };
                        if (!control)
                                m->gpus[gpu].n_open++;
                        return (int)i;
                }

        return -EMFILE;
}

static void drop_objects(NvidiaModel *m, unsigned file, uint32_t client) {
        unsigned n = 0;

        for (unsigned i = 0; i < m->n_objects; i++)
                if (m->objects[i].file != file || (client != 0 && m->objects[i].client != client))
                        m->objects[n++] = m->objects[i];
        m->n_objects = n;
}

void nvidia_model_close(NvidiaModel *m, unsigned file) {
        if (m->files[file].control)
                drop_objects(m, file, 0);
        else
                m->gpus[m->files[file].gpu].n_open--;
        m->files[file].used = false;
}

static const ModelObject *find_object(const NvidiaModel *m, unsigned file, uint32_t client, uint32_t handle) {
        for (unsigned i = 0; i < m->n_objects; i++)
                if (m->objects[i].file == file && m->objects[i].client == client && m->objects[i].handle == handle)
                        return &m->objects[i];

        return NULL;
}

/* Parameters of an object's class; 0: none. */
static size_t alloc_size(uint32_t class) {
        return class == 0x80 ? 56 : class == 0x2080 ? 4 : class == 0x79 ? 24 : 0;
}

/* An event's way to user space: a file that was made known for it before, by a number that both calls name. */
static uint32_t alloc_event(NvidiaModel *m, const ModelObject *parent, const uint8_t *second, ModelObject *object) {
        if (parent->class != 0xa081)
                return INVALID_PARENT;
        if (!second || get32(second) != object->client || get32(second + 4) != parent->handle ||
            get32(second + 8) != 0x79 || get32(second + 12) >= MODEL_EVENTS)
                return INVALID_ARGUMENT;

        object->index = get32(second + 12);
        for (unsigned i = 0; i < MODEL_FILES; i++)
                if (m->files[i].used && m->files[i].has_event && m->files[i].event_client == object->client &&
                    m->files[i].event_fd == get32(second + 16)) {
                        object->event_file = i;
                        return OK;
                }

        return NOT_FOUND;
}

static uint32_t set_notification(NvidiaModel *m, const ModelObject *config, const uint8_t *p) {
        uint32_t event = get32(p), action = get32(p + 4);
        bool listens = false;

        if (event >= MODEL_EVENTS || action > 2)
                return INVALID_ARGUMENT;
        for (unsigned i = 0; i < m->n_objects; i++)
                listens = listens || (m->objects[i].class == 0x79 && m->objects[i].client == config->client &&
                                      m->objects[i].parent == config->handle);
        if (!listens)
                return INVALID_STATE;

        for (unsigned i = 0; i < m->n_objects; i++)
                if (m->objects[i].client == config->client && m->objects[i].handle == config->handle) {
                        if (action != 0 && m->objects[i].notify[event] != 0)
                                return INVALID_STATE;
                        m->objects[i].notify[event] = action;
                }
        return OK;
}

static void post(NvidiaModel *m, const ModelObject *event) {
        ModelFile *file = &m->files[event->event_file];

        if (!file->used || !file->has_event || file->n_pending == MODEL_PENDING)
                return;
        if (!m->mute_events)
                file->pending[file->n_pending++] = event->index;
        if (m->notified)
                m->notified(m, event->event_file);
}

void nvidia_model_notify(NvidiaModel *m, ModelGpu *gpu, uint32_t event) {
        for (unsigned i = 0; i < m->n_objects; i++) {
                ModelObject *config = &m->objects[i];

                if (config->class != 0xa081 || &m->gpus[config->gpu] != gpu || config->notify[event] == 0)
                        continue;
                for (unsigned k = 0; k < m->n_objects; k++)
                        if (m->objects[k].class == 0x79 && m->objects[k].client == config->client &&
                            m->objects[k].parent == config->handle && m->objects[k].index == event)
                                post(m, &m->objects[k]);
                if (config->notify[event] == 1)
                        config->notify[event] = 0;
        }
}

static uint32_t alloc_os_event(NvidiaModel *m, unsigned file, const uint8_t *args) {
        for (unsigned i = 0; i < MODEL_FILES; i++)
                if (m->files[i].used && m->files[i].has_event && m->files[i].event_client == get32(args) &&
                    m->files[i].event_fd == get32(args + 8))
                        return INVALID_ARGUMENT;

        m->files[file].has_event = true;
        m->files[file].event_client = get32(args);
        m->files[file].event_fd = get32(args + 8);
        return OK;
}

static uint32_t fetch_event(ModelFile *file, uint8_t *args, uint8_t *second) {
        if (file->n_pending == 0)
                return GENERIC;

        memset(second, 0, 16);
        set32(second + 4, file->pending[0]);
        memmove(file->pending, file->pending + 1, --file->n_pending * sizeof(file->pending[0]));
        set32(args + 8, file->n_pending > 0);
        return OK;
}

static uint32_t alloc_child(NvidiaModel *m, unsigned file, const uint8_t *args, const uint8_t *second,
                            ModelObject *object) {
        const ModelObject *parent = find_object(m, file, object->client, get32(args + 4));

        if (!find_object(m, file, object->client, object->client))
                return INVALID_CLIENT;
        if (!parent)
                return INVALID_PARENT;

        object->parent = parent->handle;
        object->gpu = parent->gpu;
        switch (object->class) {
        case 0x80:
                if (parent->class != 0x41)
                        return INVALID_PARENT;
                if (!second || get32(second) >= MODEL_GPUS || !m->gpus[get32(second)].there)
                        return INVALID_ARGUMENT;
                object->gpu = get32(second);
                return m->gpus[object->gpu].n_open > 0 ? OK : INVALID_STATE;
        case 0x2080:
                if (parent->class != 0x80)
                        return INVALID_PARENT;
                return second && get32(second) == 0 ? OK : INVALID_ARGUMENT;
        case 0xa081:
                if (parent->class != 0x2080)
                        return INVALID_PARENT;
                return m->is_stub ? NOT_SUPPORTED : OK;
        case 0x79:
                return alloc_event(m, parent, second, object);
        default:
                return INVALID_CLASS;
        }
}

static void alloc(NvidiaModel *m, unsigned file, uint8_t *args, const uint8_t *second) {
        ModelObject object = { .client = get32(args), .class = get32(args + 12), .file = file };
        size_t status_at = since(m, 535, 0) ? 28 : 24;
        uint32_t size = since(m, 535, 0) ? get32(args + 24) : 0, status;

        if (m->n_objects == MODEL_OBJECTS)
                status = NOT_SUPPORTED;
        else if (size != 0 && size != alloc_size(object.class))
                status = INVALID_ARGUMENT;
        else if (object.class == 0x0 || object.class == 0x1 || object.class == 0x41) {
                object.class = 0x41;
                object.client = object.handle = 0xc1d00000 + m->next_handle++ % 0x10000;
                status = OK;
        } else {
                status = alloc_child(m, file, args, second, &object);
                object.handle = m->next_handle++;
        }

        set32(args + status_at, status);
        if (status != OK) {
                m->n_errors++;
                return;
        }
        m->objects[m->n_objects++] = object;
        set32(args + 8, object.handle);
}

static int control_size_since_525(const NvidiaModel *m, const ModelLayout *l, uint32_t command) {
        int info = (int)l->info, types = (l->list_has_instance ? 12 : 8) + 4 * (int)l->max_types;
        int placements = (l->list_has_instance ? 16 : 12) + 4 * (int)l->max_guests;

        switch (command) {
        case 0x205:
                return 32;
        case 0x214:
                return since(m, 580, 0) ? 384 : 256;
        case 0x21b:
                return 12;
        case 0x137:
                return 16;
        case 0x800289:
                return since(m, 555, 0) ? 8 : 4;
        case 0x800291:
                return since(m, 550, 0) ? 80 : 72;
        case 0x800297:
        case 0x800298:
                return since(m, 575, 0) ? 8 : since(m, 550, 0) ? 1 : -1;
        case 0x20801801:
                return 16;
        case 0x20800110:
                return since(m, 595, 0) ? 68 : 132;
        case 0xa0810101:
                return (info + 8 + 4 + 7) / 8 * 8;
        case 0xa0810102:
                return 8 + (int)(l->guest * l->max_guests);
        case 0xa0810103:
                return info + 8;
        case 0xa0810104:
        case 0xa0810105:
                return types;
        case 0xa0810106:
                return 8;
        case 0xa0810109:
                return 0;
        case 0xa0810110:
                return 20;
        case 0xa0810111:
                return 8 + 24 * (int)l->max_guests;
        case 0xa0810112:
                return 1;
        case 0xa0810113:
                return 32;
        case 0xa0810114:
                return 256;
        case 0xa0810117:
                return 12;
        case 0xa0810118:
                return since(m, 560, 0) ? 8 : 4;
        case 0xa0810119:
                return 4;
        case 0xa081011c:
                return since(m, 550, 0) ? placements : -1;
        case 0xa081011d:
                return since(m, 550, 0) ? 1 : -1;
        case 0xa081011f:
                return since(m, 551, 0) || (m->major == 550 && (m->minor > 40 || m->patch >= 53)) ? 8 : -1;
        case 0xa0810122:
                return since(m, 565, 0) || (m->major == 550 && m->minor >= 90) ? 4 : -1;
        default:
                return -1;
        }
}

/* Bytes of a control's parameters; negative: this driver does not have it. */
static int control_size(const NvidiaModel *m, uint32_t command) {
        const ModelLayout *l = m->layout;

        /* No more than that is known of it. */
        if (m->major < 525)
                return command == 0x214        ? 256
                       : command == 0x205      ? 32
                       : command == 0x21b      ? 12
                       : command == 0x20801801 ? 16
                       : command == 0xa0810101 ? 4544
                       : command == 0xa0810109 ? 0
                                               : -1;
        return control_size_since_525(m, l, command);
}

static uint32_t set_info(NvidiaModel *m, ModelGpu *gpu, const uint8_t *p) {
        const uint8_t *info = p + 8;
        uint32_t id = get32(info), status = OK;
        bool late = m->n_timeout > 0;

        if (since(m, 560, 0) && !m->admin)
                return NO_PERMISSION;

        m->n_set_info++;
        m->n_discards += p[0] != 0;
        if (m->vgpud_after > 0 && m->n_set_info == m->vgpud_after)
                nvidia_model_run_vgpud(m, gpu);

        if (m->major >= 525) /* before, there is no such member */
                set_state(gpu, get32(p + 8 + m->layout->info));
        if (m->refuse_all || (m->refuse_id != 0 && id == m->refuse_id))
                status = m->refuse_status != 0 ? m->refuse_status : 0x6b;
        if (status == OK && id != m->lie_id)
                status = add_type(m, gpu, p[0] != 0, info);
        if (status != OK)
                set_state(gpu, 0);

        if (late)
                m->n_timeout--;
        return late ? TIMEOUT_RETRY : status;
}

static uint32_t type_info(const NvidiaModel *m, uint8_t *p) {
        const ModelType *type = nvidia_model_find(m, get32(p));

        if (!type)
                return NOT_FOUND;

        memcpy(p + 8, type->info, m->layout->info);
        memset(p + 8 + 4 + 2 * m->layout->text, 0, 128); /* the signature */
        if (m->limiter_off)
                set32(p + 8 + m->layout->limiter_at, 0);
        return OK;
}

static uint32_t list_types(const NvidiaModel *m, const ModelGpu *gpu, uint8_t *p) {
        if (!m->is_host)
                return NOT_SUPPORTED;

        if (m->layout->list_has_instance)
                p += 4;
        set32(p, gpu->state);
        set32(p + 4, gpu->n_list);
        for (unsigned i = 0; i < gpu->n_list; i++)
                set32(p + 8 + 4 * i, gpu->list[i]);
        return OK;
}

static const uint8_t guid_order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

static uint32_t set_encoder(NvidiaModel *m, ModelGpu *gpu, const uint8_t *p) {
        for (unsigned i = 0; i < gpu->n_guests; i++)
                if (memcmp(gpu->guests[i].vgpu, p, 16) == 0) {
                        m->n_set_encoder++;
                        if (!m->deaf_encoder)
                                gpu->guests[i].encoder = get32(p + 16);
                        return OK;
                }

        return NOT_FOUND;
}

static uint32_t set_mixed_size(NvidiaModel *m, ModelGpu *gpu, const uint8_t *p) {
        if (!gpu->can_mix)
                return NOT_SUPPORTED;
        if (gpu->n_created > 0 || gpu->n_guests > 0)
                return IN_USE;

        m->n_set_mixed++;
        gpu->mixed_size = p[0] != 0;
        return OK;
}

static uint32_t list_guests(const NvidiaModel *m, const ModelGpu *gpu, uint8_t *p) {
        set32(p + 4, gpu->n_guests);
        for (unsigned i = 0; i < gpu->n_guests; i++) {
                uint8_t *vm = p + 8 + i * m->layout->guest, *device = vm + m->layout->guest_device_at;
                const ModelGuest *g = &gpu->guests[i];

                set32(vm, g->pid);
                set32(vm + 4, g->vm_id_is_uuid);
                set32(vm + 12, g->prohibited);
                set32(vm + 20, g->frame_limit);
                vm[24] = g->licensed;
                set32(vm + 28, g->license_state);
                memcpy(vm + 40, g->vm_id, 16);
                memcpy(vm + 56, g->driver, sizeof(g->driver));
                memcpy(vm + 56 + 2 * m->layout->text, g->vm, sizeof(g->vm));
                set32(device, g->type);
                memcpy(device + 16, g->vgpu, 16);
                for (unsigned k = 0; k < 16; k++)
                        device[32 + k] = g->mdev[m->swaps_uuids ? guid_order[k] : k];
                device[68] = g->loaded;
                set32(device + 48, g->encoder);
                set64(device + 56, g->framebuffer);
        }
        return OK;
}

static uint32_t placements(const NvidiaModel *m, const ModelGpu *gpu, uint8_t *p) {
        if (m->layout->list_has_instance)
                p += 4;
        if (!nvidia_model_lists(gpu, get32(p)))
                return NOT_FOUND;
        set32(p + 4, 1);
        set32(p + 8, 2);
        set32(p + 16, 1);
        return OK;
}

static uint32_t update(NvidiaModel *m, ModelGpu *gpu) {
        if (m->update_status != 0)
                return m->update_status;

        m->n_updates++;
        if (m->updated)
                m->updated(m, gpu);
        return OK;
}

static uint32_t a081(NvidiaModel *m, ModelGpu *gpu, uint32_t command, uint8_t *p) {
        switch (command) {
        case 0xa0810101:
                return set_info(m, gpu, p);
        case 0xa0810102:
                return list_guests(m, gpu, p);
        case 0xa0810103:
                return type_info(m, p);
        case 0xa0810104:
        case 0xa0810105:
                return list_types(m, gpu, p);
        case 0xa0810109:
                return update(m, gpu);
        case 0xa0810110:
                return set_encoder(m, gpu, p);
        case 0xa0810111:
                set32(p, gpu->n_guests);
                return OK;
        case 0xa0810112:
                p[0] = 1;
                return OK;
        case 0xa0810113:
                if (get32(p + 24) == 0)
                        return INVALID_ARGUMENT;
                set64(p, UINT64_C(256) << 20);
                set64(p + 16, UINT64_C(256) << 20);
                return OK;
        case 0xa0810114:
                (void)snprintf((char *)p, 256, "GPU-model-metadata");
                return OK;
        case 0xa0810117:
                set32(p, gpu->fractional);
                return OK;
        case 0xa0810118:
                set32(p, 1);
                return OK;
        case 0xa0810119:
                if (!m->admin)
                        return NO_PERMISSION;
                m->n_set_pgpu++;
                gpu->fractional = get32(p);
                return OK;
        case 0xa081011c:
                return placements(m, gpu, p);
        case 0xa081011d:
                p[0] = 0;
                return OK;
        case 0xa081011f:
                if (get32(p) > 11)
                        return INVALID_ARGUMENT;
                set32(p + 4, get32(p) == 2);
                return OK;
        case 0xa0810122:
                set32(p, 1024);
                return OK;
        default:
                return INVALID_COMMAND;
        }
}

static ModelGpu *gpu_by_id(NvidiaModel *m, uint32_t id) {
        for (unsigned i = 0; i < MODEL_GPUS; i++)
                if (m->gpus[i].there && m->gpus[i].id == id)
                        return &m->gpus[i];

        return NULL;
}

static uint32_t root_control(NvidiaModel *m, uint32_t command, uint8_t *p) {
        ModelGpu *gpu = gpu_by_id(m, get32(p));
        unsigned n = 0;

        switch (command) {
        case 0x214:
                memset(p, 0xff, 256);
                for (unsigned i = 0; i < MODEL_GPUS; i++)
                        if (m->gpus[i].there)
                                set32(p + 4 * n++, m->gpus[i].id);
                return OK;
        case 0x21b:
                if (!gpu)
                        return INVALID_ARGUMENT;
                set32(p + 4, gpu->domain);
                set32(p + 8, gpu->bus | gpu->slot << 16);
                return OK;
        case 0x205:
                if (!gpu || gpu->n_open == 0)
                        return INVALID_ARGUMENT;
                set32(p + 8, (uint32_t)(gpu - m->gpus));
                set32(p + 12, 0);
                return OK;
        case 0x137:
                set32(p, 7 << 16 | 1);
                set32(p + 4, 18 << 16 | 1);
                return OK;
        default:
                return INVALID_COMMAND;
        }
}

static uint32_t device_control(NvidiaModel *m, ModelGpu *gpu, uint32_t command, uint8_t *p) {
        switch (command) {
        case 0x800297:
                return set_mixed_size(m, gpu, p);
        case 0x800298:
                p[0] = gpu->mixed_size;
                return OK;
        case 0x800289:
                set32(p, m->is_host ? 3 : 0);
                return OK;
        case 0x800291:
                set32(p, 16);
                p[67] = 0;
                return OK;
        case 0x20801801:
                set32(p, (uint32_t)gpu->device << 16 | 0x10de);
                set32(p + 4, (uint32_t)gpu->subsystem << 16 | 0x10de);
                return OK;
        case 0x20800110:
                (void)snprintf((char *)p + 4, 64, "NVIDIA Model GPU");
                return OK;
        default:
                return INVALID_COMMAND;
        }
}

static uint32_t control(NvidiaModel *m, unsigned file, const uint8_t *args, uint8_t *p) {
        uint32_t command = get32(args + 8), size = get32(args + 24), status;
        const ModelObject *object = find_object(m, file, get32(args), get32(args + 4));
        int wanted = control_size(m, command);
        ModelGpu *gpu;

        if ((size == 0) != (get64(args + 16) == 0))
                return INVALID_ARGUMENT;
        if (m->n_busy > 0) {
                m->n_busy--;
                return BUSY_RETRY;
        }
        if (!object)
                return INVALID_OBJECT;
        if (object->class == 0x41 ? command >> 16 != 0 : command >> 16 != object->class)
                return INVALID_COMMAND;
        if (wanted < 0)
                return NOT_SUPPORTED;
        if ((uint32_t)wanted != size && !m->lenient)
                return since(m, 550, 0) ? INVALID_ARGUMENT : WRONG_SIZE_BEFORE_550;

        gpu = &m->gpus[object->gpu];
        status = command == 0xa0810106     ? set_notification(m, object, p)
                 : object->class == 0x41   ? root_control(m, command, p)
                 : object->class == 0xa081 ? a081(m, gpu, command, p)
                                           : device_control(m, gpu, command, p);
        if (status == OK && m->hook)
                m->hook(m, command, p, size);
        return status;
}

static int check_version(const NvidiaModel *m, uint8_t *args) {
        if (get32(args) != 0x32)
                return -EINVAL;

        /* Before 530 the command means something else: it succeeds, and says nothing. */
        set32(args + 4, 1);
        if (since(m, 530, 0) && !m->mute_version)
                (void)snprintf((char *)args + 8, 64, "%s", m->version);
        return 0;
}

static void list_cards(const NvidiaModel *m, uint8_t *args) {
        for (unsigned i = 0, n = 0; i < MODEL_GPUS; i++) {
                uint8_t *card = args + 72 * n;

                if (!m->gpus[i].there)
                        continue;
                n++;
                card[0] = 1;
                set32(card + 4, m->gpus[i].domain);
                card[8] = (uint8_t)m->gpus[i].bus;
                card[9] = (uint8_t)m->gpus[i].slot;
                set32(card + 12, 0x10deU | (uint32_t)m->gpus[i].device << 16);
                set32(card + 16, m->gpus[i].id);
                set32(card + 56, m->gpus[i].minor);
        }
}

size_t nvidia_model_second(unsigned long request, const uint8_t *args, uint64_t *ret_pointer) {
        *ret_pointer = 0;
        if (request != 0xc020462a && request != 0xc020462b && request != 0xc0104652)
                return 0;

        *ret_pointer = get64(args + (request == 0xc0104652 ? 0 : 16));
        if (*ret_pointer == 0)
                return 0;
        if (request == 0xc0104652)
                return 16;

        return request == 0xc020462a ? get32(args + 24) : alloc_size(get32(args + 12));
}

int nvidia_model_ioctl(NvidiaModel *m, unsigned file, unsigned long request, uint8_t *args, uint8_t *second) {
        uint32_t status;

        m->n_ioctls++;
        if (m->die_after > 0 && m->n_ioctls > m->die_after)
                return -ENODEV;
        if (!m->files[file].used)
                return -EBADF;
        switch (request) { /* what both kinds of nodes take */
        case 0xc01046ce:
                set32(args + 12, alloc_os_event(m, file, args));
                return 0;
        case 0xc0104652:
                set32(args + 12, second ? fetch_event(&m->files[file], args, second) : INVALID_ARGUMENT);
                return 0;
        default:
                break;
        }
        if (!m->files[file].control)
                return -EINVAL;

        switch (request) {
        case 0xc04846d2:
                return check_version(m, args);
        case 0xc90046c8:
                list_cards(m, args);
                return 0;
        case 0xc020462b:
                alloc(m, file, args, second);
                return 0;
        case 0xc020462a:
                status = control(m, file, args, second);
                m->n_errors += status != OK;
                set32(args + 28, status);
                return 0;
        case 0xc0104629:
                drop_objects(m, file, get32(args + 8));
                set32(args + 12, OK);
                return 0;
        default:
                return -EINVAL;
        }
}
