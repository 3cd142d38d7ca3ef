/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <sys/stat.h>

#include "backend/nvidia-list.h"
#include "util/file.h"
#include "util/text.h"

#define FOLDER "types"
#define LIST_SIZE 16384U

NvidiaListed *nvidia_list_find(NvidiaList *types, uint32_t id) {
        for (size_t i = 0; i < types->n; i++)
                if (types->items[i].id == id)
                        return &types->items[i];

        return NULL;
}

NvidiaListed *nvidia_list_add(NvidiaList *types, uint32_t id) {
        NvidiaListed *type = nvidia_list_find(types, id);

        if (type)
                return type;
        if (types->n >= NVIDIA_LIST_MAX)
                return NULL;

        type = &types->items[types->n++];
        *type = (NvidiaListed){ .id = id };
        return type;
}

/* "1145  : NVIDIA L40S-1B" (580, reported): id, colon, name. Anything else, as the head of the table, is passed over. */
static bool parse_line(char *line, uint32_t *ret_id, const char **ret_name) {
        unsigned long id;
        char *end, *name;

        line += strspn(line, " \t");
        if (*line < '0' || *line > '9')
                return false;
        errno = 0;
        id = strtoul(line, &end, 10);
        end += strspn(end, " \t");
        if (errno != 0 || id == 0 || id >= UNKNOWN_U32 || *end != ':')
                return false;

        name = end + 1 + strspn(end + 1, " \t");
        end = name + strlen(name);
        while (end > name && strchr(" \t\r", end[-1]))
                *--end = '\0';
        text_sanitize(name);
        *ret_id = (uint32_t)id;
        *ret_name = name;
        return true;
}

static void take_list(char *text, bool listed, NvidiaList *types) {
        const char *name;
        char *line;
        uint32_t id;

        while ((line = strsep(&text, "\n"))) {
                NvidiaListed *type = parse_line(line, &id, &name) ? nvidia_list_add(types, id) : NULL;

                if (!type)
                        continue;
                (void)text_copy(type->name, sizeof(type->name), name);
                type->n_functions += listed;
        }
}

static bool read_list(const Host *host, const char *vf, char text[static LIST_SIZE]) {
        char path[PCI_ADDRESS_SIZE + 64];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/nvidia/creatable_vgpu_types", vf);
        return attribute_read(host->sys_fd, path, text, LIST_SIZE) > 0;
}

bool nvidia_list_has(const Host *host, const char *vf, uint32_t id) {
        NvidiaList types = {};
        char text[LIST_SIZE];

        if (read_list(host, vf, text))
                take_list(text, /* listed= */ true, &types);
        return nvidia_list_find(&types, id);
}

static int compare(const void *a, const void *b) {
        const NvidiaListed *x = a, *y = b;

        return x->id < y->id ? -1 : x->id > y->id;
}

static size_t read_kept(const Host *host, const char *gpu, NvidiaList *types) {
        char path[PCI_ADDRESS_SIZE + sizeof(FOLDER)], text[LIST_SIZE];

        (void)snprintf(path, sizeof(path), FOLDER "/%.63s", gpu);
        if (host->run_fd >= 0 && attribute_read(host->run_fd, path, text, sizeof(text)) > 0)
                take_list(text, /* listed= */ false, types);
        return types->n;
}

static void keep(const Host *host, const char *gpu, const NvidiaList *types) {
        _cleanup_(fd_closep) int folder_fd = -EBADF;
        char text[LIST_SIZE];
        size_t n = 0;

        if (host->run_fd < 0 || (mkdirat(host->run_fd, FOLDER, 0700) < 0 && errno != EEXIST))
                return;
        folder_fd = directory_open(host->run_fd, FOLDER);
        for (size_t i = 0; i < types->n && n < sizeof(text); i++)
                if (types->items[i].name[0] != '\0')
                        n += (size_t)snprintf(text + n, sizeof(text) - n, "%" PRIu32 " : %s\n", types->items[i].id,
                                              types->items[i].name);
        if (folder_fd >= 0 && n < sizeof(text))
                (void)file_replace(folder_fd, gpu, text);
}

void nvidia_list_read(const Host *host, const char *gpu, const PciAddress *vfs, size_t n_vfs, NvidiaList *ret_types) {
        char text[LIST_SIZE];
        size_t n_kept;

        *ret_types = (NvidiaList){};
        n_kept = read_kept(host, gpu, ret_types);
        for (size_t i = 0; i < n_vfs; i++)
                if (read_list(host, vfs[i].name, text))
                        take_list(text, /* listed= */ true, ret_types);
        if (ret_types->n > n_kept)
                keep(host, gpu, ret_types);
        if (ret_types->n > 1)
                qsort(ret_types->items, ret_types->n, sizeof(NvidiaListed), compare);
}

uint64_t nvidia_name_parse_framebuffer(const char *name) {
        const char *dash = strrchr(name, '-');
        unsigned long gib;
        char *end;

        if (!dash || dash[1] < '0' || dash[1] > '9')
                return UNKNOWN_U64;

        gib = strtoul(dash + 1, &end, 10);
        return gib > 0 && gib <= 4096 && *end != '\0' && strchr("ABCQ", *end) ? (uint64_t)gib << 30 : UNKNOWN_U64;
}
