/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <unistd.h>

#include "core/record.h"
#include "util/file.h"
#include "util/text.h"

#define RECORD_SIZE (SYSFS_NAME_SIZE + TYPE_ID_SIZE + 32U)

static void record_format(char buffer[static RECORD_SIZE], const char *gpu, const char *type_id) {
        (void)snprintf(buffer, RECORD_SIZE, "gpu=%s\ntype=%s\n", gpu, type_id);
}

int record_write(int state_fd, const char *uuid, const char *gpu, const char *type_id) {
        char contents[RECORD_SIZE];

        if (state_fd < 0)
                return 0;

        record_format(contents, gpu, type_id);
        return file_replace(state_fd, uuid, contents);
}

void record_remove(int state_fd, const char *uuid) {
        if (state_fd >= 0)
                (void)unlinkat(state_fd, uuid, 0);
}

bool record_matches(int state_fd, const char *uuid, const char *gpu, const char *type_id) {
        char expected[RECORD_SIZE], contents[RECORD_SIZE + 1];

        if (state_fd < 0 || attribute_read(state_fd, uuid, contents, sizeof(contents)) < 0)
                return false;

        record_format(expected, gpu, type_id);
        expected[strlen(expected) - 1] = '\0'; /* as attribute_read() leaves it */
        return streq(contents, expected);
}

void record_prune(int state_fd, bool (*keep)(const char *uuid, void *userdata), void *userdata) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (state_fd < 0 || directory_list(state_fd, ".", &dir) < 0)
                return;

        while ((entry = directory_next(dir))) {
                char uuid[UUID_STRING_SIZE];

                if (text_parse_uuid(entry->d_name, uuid) < 0 || !keep(uuid, userdata))
                        (void)unlinkat(state_fd, entry->d_name, 0);
        }
}
