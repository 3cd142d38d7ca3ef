/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <json-c/json.h>
#include <sys/stat.h>

#include "core/topology-journal.h"
#include "util/file.h"
#include "util/text.h"

#define FOLDER "topology"
#define JOURNAL FOLDER "/journal"
#define PROGRESS FOLDER "/progress"
#define MEMORY FOLDER "/memory"

/* Far over what TOPOLOGY_VGPUS_MAX steps come to, attributes included. */
#define SIZE_MAX_BYTES (64 * 1024 * 1024)
#define STEPS_MAX (4U * TOPOLOGY_VGPUS_MAX + REPORT_VGPUS_MAX)

static inline void json_putp(json_object **object) {
        json_object_put(*object);
}

static int open_folder(int state_fd) {
        if (state_fd < 0)
                return -ENOENT;
        if (mkdirat(state_fd, FOLDER, 0700) < 0 && errno != EEXIST)
                return negative_errno();

        return directory_open(state_fd, FOLDER);
}

static int write_json(int state_fd, const char *name, json_object *object) {
        _cleanup_(fd_closep) int fd = open_folder(state_fd);
        const char *text;

        if (fd < 0)
                return fd;

        text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
        return text ? file_replace(fd, strrchr(name, '/') + 1, text) : -ENOMEM;
}

static int read_json(int state_fd, const char *path, json_object **ret) {
        _cleanup_(fd_closep) int fd = -EBADF;
        struct stat st;
        json_object *object;

        if (state_fd < 0)
                return -ENOENT;
        fd = openat(state_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return negative_errno();
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > SIZE_MAX_BYTES)
                return -EBADMSG;

        object = json_object_from_fd(fd);
        if (!object || !json_object_is_type(object, json_type_object)) {
                json_object_put(object);
                return -EBADMSG;
        }

        *ret = object;
        return 0;
}

/* Takes value over, which may be NULL when memory ran out. */
static int add(json_object *object, const char *key, json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_object_add(object, key, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }

        return 0;
}

static int add_text(json_object *object, const char *key, const char *text) {
        return add(object, key, json_object_new_string(text));
}

static int add_flag(json_object *object, const char *key, bool flag) {
        return add(object, key, json_object_new_boolean(flag));
}

static bool get_text(json_object *object, const char *key, char *buffer, size_t size) {
        json_object *value;
        const char *text;

        if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_string))
                return false;

        text = json_object_get_string(value);
        return strlen(text) == (size_t)json_object_get_string_len(value) && text_is_printable(text) &&
               text_copy(buffer, size, text);
}

static bool get_flag(json_object *object, const char *key) {
        json_object *value;

        return json_object_object_get_ex(object, key, &value) && json_object_get_boolean(value);
}

static uint32_t get_number(json_object *object, const char *key) {
        json_object *value;
        int64_t number;

        number = json_object_object_get_ex(object, key, &value) ? json_object_get_int64(value) : 0;
        return number > 0 && number < UINT32_MAX ? (uint32_t)number : 0;
}

static int add_attributes(json_object *object, const Attributes *attributes) {
        json_object *list = json_object_new_array();
        int r = add(object, "attributes", list);

        for (size_t i = 0; i < attributes->n && r >= 0; i++)
                for (size_t k = 0; k < 2 && r >= 0; k++) {
                        const Attribute *a = &attributes->items[i];
                        json_object *text = json_object_new_string(k == 0 ? a->name : a->value);

                        r = text && json_object_array_add(list, text) >= 0 ? 0 : -ENOMEM;
                }

        return r;
}

static int get_attributes(json_object *object, Attributes *attributes) {
        json_object *list;
        int r = 0;

        if (!json_object_object_get_ex(object, "attributes", &list) || !json_object_is_type(list, json_type_array))
                return 0;

        for (size_t i = 0; i + 1 < json_object_array_length(list) && r >= 0; i += 2) {
                const char *name = json_object_get_string(json_object_array_get_idx(list, i));
                const char *value = json_object_get_string(json_object_array_get_idx(list, i + 1));

                r = attributes_add(attributes, strempty(name), strempty(value), NULL);
        }

        return r;
}

static int format_step(const TopologyStep *step, json_object *list) {
        json_object *object = json_object_new_object();
        char owner[OWNER_TEXT_SIZE];
        int r;

        if (!object || json_object_array_add(list, object) < 0) {
                json_object_put(object);
                return -ENOMEM;
        }

        r = add_text(object, "action", strempty(topology_action_to_string(step->action)));
        if (r >= 0)
                r = add_text(object, "uuid", step->uuid);
        if (r >= 0)
                r = add_text(object, "gpu", step->gpu);
        if (r >= 0)
                r = add_text(object, "type", step->type_id);
        if (r >= 0)
                r = add_text(object, "label", step->label);
        if (r >= 0)
                r = add_text(object, "old-label", step->old_label);
        owner_format(&step->old_owner, owner);
        if (r >= 0)
                r = add_text(object, "old-owner", owner);
        if (r >= 0)
                r = add_flag(object, "autostart", step->autostart);
        if (r >= 0)
                r = add_flag(object, "old-autostart", step->old_autostart);
        if (r >= 0)
                r = add_flag(object, "unmanaged", step->unmanaged);
        if (r >= 0)
                r = add(object, "vfs", json_object_new_int64(step->n_vfs));
        if (r >= 0)
                r = add(object, "old-vfs", json_object_new_int64(step->old_vfs));
        return r < 0 ? r : add_attributes(object, &step->attributes);
}

static int parse_step(json_object *object, TopologyStep *step) {
        char action[16], uuid[UUID_STRING_SIZE], owner[OWNER_TEXT_SIZE];

        if (!json_object_is_type(object, json_type_object) || !get_text(object, "action", action, sizeof(action)) ||
            !get_text(object, "uuid", uuid, sizeof(uuid)) || !get_text(object, "gpu", step->gpu, sizeof(step->gpu)) ||
            !get_text(object, "type", step->type_id, sizeof(step->type_id)) ||
            !get_text(object, "label", step->label, sizeof(step->label)) ||
            !get_text(object, "old-label", step->old_label, sizeof(step->old_label)) ||
            !get_text(object, "old-owner", owner, sizeof(owner)) || owner_parse(owner, &step->old_owner) < 0)
                return -EBADMSG;

        step->action = topology_action_from_string(action);
        if (step->action < 0 || !text_is_name(step->gpu) ||
            (text_parse_uuid(uuid, step->uuid) < 0 && step->action != TOPOLOGY_ENABLE_VFS &&
             step->action != TOPOLOGY_SET_MIXED))
                return -EBADMSG;

        step->autostart = get_flag(object, "autostart");
        step->old_autostart = get_flag(object, "old-autostart");
        step->unmanaged = get_flag(object, "unmanaged");
        step->n_vfs = get_number(object, "vfs");
        step->old_vfs = get_number(object, "old-vfs");
        return get_attributes(object, &step->attributes) < 0 ? -EBADMSG : 0;
}

int topology_journal_write(int state_fd, const TopologyPlan *plan, bool anew) {
        _cleanup_(json_putp) json_object *object = json_object_new_object();
        json_object *list = json_object_new_array();
        char owner[OWNER_TEXT_SIZE];
        int r;

        if (!object) {
                json_object_put(list);
                return -ENOMEM;
        }

        r = add(object, "steps", list);
        if (r >= 0)
                r = add_text(object, "topology", plan->topology);
        owner_format(&plan->owner, owner);
        if (r >= 0)
                r = add_text(object, "owner", owner);
        if (r >= 0)
                r = add_flag(object, "automatic", plan->automatic);
        for (size_t i = 0; i < plan->n_steps && r >= 0; i++)
                r = format_step(&plan->steps[i], list);
        if (r < 0)
                return r;

        if (anew)
                (void)unlinkat(state_fd, PROGRESS, 0); /* of the last one */
        return write_json(state_fd, JOURNAL, object);
}

int topology_journal_note(int state_fd, const TopologyProgress *progress) {
        _cleanup_(fd_closep) int fd = open_folder(state_fd);
        char text[64];

        if (fd < 0)
                return fd;

        (void)snprintf(text, sizeof(text), "%s %zu\n", progress->undoing ? "undo" : "do", progress->n_begun);
        return file_replace(fd, "progress", text);
}

void topology_journal_remove(int state_fd) {
        if (state_fd < 0)
                return;

        (void)unlinkat(state_fd, JOURNAL, 0);
        (void)unlinkat(state_fd, PROGRESS, 0);
}

static int parse_plan(json_object *object, TopologyPlan *plan) {
        char owner[OWNER_TEXT_SIZE];
        json_object *list;
        size_t n;
        int r = 0;

        if (!get_text(object, "topology", plan->topology, sizeof(plan->topology)) ||
            !get_text(object, "owner", owner, sizeof(owner)) || owner_parse(owner, &plan->owner) < 0 ||
            !json_object_object_get_ex(object, "steps", &list) || !json_object_is_type(list, json_type_array))
                return -EBADMSG;

        plan->automatic = get_flag(object, "automatic");
        n = json_object_array_length(list);
        if (n > STEPS_MAX)
                return -EBADMSG;
        plan->steps = calloc(MAX(n, 1U), sizeof(TopologyStep));
        if (!plan->steps)
                return -ENOMEM;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = parse_step(json_object_array_get_idx(list, i), &plan->steps[plan->n_steps++]);
        return r;
}

static void read_progress(int state_fd, size_t n_steps, TopologyProgress *ret) {
        char text[64], *space;

        *ret = (TopologyProgress){};
        if (attribute_read(state_fd, PROGRESS, text, sizeof(text)) < 0)
                return;
        space = strchr(text, ' ');
        if (!space)
                return;

        *space = '\0';
        ret->undoing = streq(text, "undo");
        ret->n_begun = MIN(strtoull(space + 1, NULL, 10), n_steps);
}

int topology_journal_read(int state_fd, TopologyPlan *ret_plan, TopologyProgress *ret_progress) {
        _cleanup_(topology_plan_done) TopologyPlan plan = {};
        _cleanup_(json_putp) json_object *object = NULL;
        int r;

        r = read_json(state_fd, JOURNAL, &object);
        if (r >= 0)
                r = parse_plan(object, &plan);
        if (r < 0)
                return r;

        read_progress(state_fd, plan.n_steps, ret_progress);
        *ret_plan = plan;
        plan = (TopologyPlan){};
        return 0;
}

/* "0000:41:00.0": [registration, binding] */
static int add_seen(json_object *gpus, const TopologySeen *seen) {
        const uint64_t numbers[] = { seen->registration, seen->binding };
        json_object *array = json_object_new_array();

        for (size_t i = 0; array && i < ELEMENTSOF(numbers); i++) {
                json_object *number = json_object_new_int64((int64_t)numbers[i]);

                if (number && json_object_array_add(array, number) >= 0)
                        continue;
                json_object_put(number);
                json_object_put(array);
                array = NULL;
        }

        return add(gpus, seen->gpu, array);
}

static uint64_t get_item(json_object *array, size_t i) {
        return (uint64_t)json_object_get_int64(json_object_array_get_idx(array, i));
}

int topology_memory_write(int state_fd, const TopologyMemory *memory) {
        _cleanup_(json_putp) json_object *object = json_object_new_object();
        json_object *gpus = json_object_new_object();
        int r;

        if (!object) {
                json_object_put(gpus);
                return -ENOMEM;
        }

        r = add(object, "gpus", gpus);
        if (r >= 0)
                r = add_text(object, "active", memory->active);
        for (size_t i = 0; i < memory->n_seen && r >= 0; i++)
                r = add_seen(gpus, &memory->seen[i]);

        return r < 0 ? r : write_json(state_fd, MEMORY, object);
}

void topology_memory_read(int state_fd, TopologyMemory *ret_memory) {
        _cleanup_(json_putp) json_object *object = NULL;
        json_object *gpus;

        *ret_memory = (TopologyMemory){};
        if (read_json(state_fd, MEMORY, &object) < 0)
                return;

        (void)get_text(object, "active", ret_memory->active, sizeof(ret_memory->active));
        if (!json_object_object_get_ex(object, "gpus", &gpus) || !json_object_is_type(gpus, json_type_object))
                return;
        ret_memory->seen = calloc(MAX((size_t)json_object_object_length(gpus), 1U), sizeof(TopologySeen));
        if (!ret_memory->seen)
                return;

        json_object_object_foreach(gpus, name, value) {
                TopologySeen *seen = &ret_memory->seen[ret_memory->n_seen];

                if (!json_object_is_type(value, json_type_array))
                        continue;
                ret_memory->n_seen++;
                (void)text_copy(seen->gpu, sizeof(seen->gpu), name);
                seen->registration = get_item(value, 0);
                seen->binding = get_item(value, 1);
        }
}

void topology_memory_done(TopologyMemory *memory) {
        free(memory->seen);
        *memory = (TopologyMemory){};
}
