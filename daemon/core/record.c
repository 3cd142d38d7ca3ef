/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <unistd.h>

#include "core/record.h"
#include "util/file.h"
#include "util/string-table.h"
#include "util/text.h"

#define RECORD_SIZE (SYSFS_NAME_SIZE + TYPE_ID_SIZE + LABEL_SIZE + OWNER_TEXT_SIZE + 192U)

static const char *const record_phase_table[RECORD_PHASE_MAX] = {
        [RECORD_CREATING] = "creating", [RECORD_BUILDING] = "building", [RECORD_DEFINING] = "defining",
        [RECORD_STARTING] = "starting", [RECORD_MADE] = "made",         [RECORD_SEEN] = "seen",
        [RECORD_STOPPED] = "stopped",   [RECORD_WAITING] = "waiting",
};

DEFINE_STRING_TABLE(record_phase, RecordPhase)

static RecordPhase record_phase_from_string(const char *s) {
        for (RecordPhase p = 0; p < RECORD_PHASE_MAX; p++)
                if (streq(s, record_phase_table[p]))
                        return p;

        return RECORD_PHASE_INVALID;
}

int record_write(int state_fd, const char *uuid, const Record *record) {
        char contents[RECORD_SIZE], owner[OWNER_TEXT_SIZE];

        if (state_fd < 0)
                return 0;

        owner_format(&record->owner, owner);
        (void)snprintf(contents, sizeof(contents),
                       "phase=%s\ngpu=%s\ntype=%s\nlabel=%s\ngroup=%" PRIi32 "\nregistration=%" PRIu64
                       "\nlease=%" PRIu64 "\nsaving=%i\nhalf=%i\nowner=%s\n",
                       record_phase_to_string(record->phase), record->gpu, record->type_id, record->label,
                       record->iommu_group, record->registration, record->lease, record->saving, record->half, owner);
        return file_replace(state_fd, uuid, contents);
}

/* The value of "key=value", or NULL. */
static const char *match_key(const char *line, const char *key) {
        size_t n = strlen(key);

        return strncmp(line, key, n) == 0 && line[n] == '=' ? line + n + 1 : NULL;
}

/* Calls back with every line of a small file. */
static int read_lines(int dir_fd, const char *name, void (*take)(const char *line, void *userdata), void *userdata) {
        char contents[RECORD_SIZE], *line, *rest = contents;
        ssize_t n;

        n = attribute_read(dir_fd, name, contents, sizeof(contents));
        if (n < 0)
                return (int)n;
        if (n == 0)
                return -EBADMSG;

        while ((line = strsep(&rest, "\n"))) {
                text_sanitize(line);
                take(line, userdata);
        }

        return 0;
}

static void take_record_line(const char *line, void *userdata) {
        Record *record = userdata;
        const char *v;

        if ((v = match_key(line, "phase")))
                record->phase = record_phase_from_string(v);
        else if ((v = match_key(line, "gpu")))
                (void)text_copy(record->gpu, sizeof(record->gpu), v);
        else if ((v = match_key(line, "type")))
                (void)text_copy(record->type_id, sizeof(record->type_id), v);
        else if ((v = match_key(line, "label")))
                (void)text_copy(record->label, sizeof(record->label), v);
        else if ((v = match_key(line, "group")))
                record->iommu_group = (int32_t)strtol(v, NULL, 10);
        else if ((v = match_key(line, "registration")))
                record->registration = strtoull(v, NULL, 10);
        else if ((v = match_key(line, "lease")))
                record->lease = strtoull(v, NULL, 10);
        else if ((v = match_key(line, "saving")))
                record->saving = streq(v, "1");
        else if ((v = match_key(line, "half")))
                record->half = streq(v, "1");
        else if ((v = match_key(line, "owner")))
                (void)owner_parse(v, &record->owner);
}

int record_read(int state_fd, const char *uuid, Record *ret_record) {
        /* The first version wrote gpu= and type= alone, of what was made. */
        Record record = { .phase = RECORD_MADE, .iommu_group = -1 };
        int r;

        if (state_fd < 0)
                return -ENOENT;

        r = read_lines(state_fd, uuid, take_record_line, &record);
        if (r < 0)
                return r;
        if (record.phase < 0 || record.gpu[0] == '\0')
                return -EBADMSG;

        *ret_record = record;
        return 0;
}

void record_remove(int state_fd, const char *uuid) {
        if (state_fd >= 0)
                (void)unlinkat(state_fd, uuid, 0);
}

void record_prune(int state_fd, bool (*keep)(const char *uuid, void *userdata), void *userdata) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (state_fd < 0 || directory_list(state_fd, ".", &dir) < 0)
                return;

        while ((entry = directory_next(dir))) {
                char uuid[UUID_STRING_SIZE];

                if (text_parse_uuid(entry->d_name, uuid) < 0 || !keep(uuid, userdata))
                        (void)unlinkat(dirfd(dir), entry->d_name, 0);
        }
}

void note_format(const Note *note, char ret_text[static NOTE_TEXT_SIZE]) {
        char owner[OWNER_TEXT_SIZE];

        owner_format(&note->owner, owner);
        (void)snprintf(ret_text, NOTE_TEXT_SIZE, "managed=%i\nlabel=%s\n%s%s%s", note->managed, note->label,
                       note->owner.known ? "owner=" : "", owner, note->owner.known ? "\n" : "");
}

static void take_note_line(const char *line, void *userdata) {
        Note *note = userdata;
        const char *v;

        if ((v = match_key(line, "managed")))
                note->managed = streq(v, "1");
        else if ((v = match_key(line, "label")))
                (void)text_copy(note->label, sizeof(note->label), v);
        else if ((v = match_key(line, "owner")))
                (void)owner_parse(v, &note->owner);
}

int note_read(int var_fd, const char *uuid, Note *ret_note) {
        char path[UUID_STRING_SIZE + sizeof(NOTES_FOLDER)];
        Note note = {};
        int r;

        if (var_fd < 0)
                return -ENOENT;

        (void)snprintf(path, sizeof(path), NOTES_FOLDER "/%s", uuid);
        r = read_lines(var_fd, path, take_note_line, &note);
        if (r == -EBADMSG || r == -E2BIG)
                r = -ENOENT;
        if (r >= 0)
                *ret_note = note;
        return r;
}

int note_remove(int var_fd, const char *uuid) {
        char path[UUID_STRING_SIZE + sizeof(NOTES_FOLDER)];

        if (var_fd < 0)
                return -ENOENT;

        (void)snprintf(path, sizeof(path), NOTES_FOLDER "/%s", uuid);
        return unlinkat(var_fd, path, 0) < 0 ? negative_errno() : 0;
}

static bool is_note(const char *name) {
        char uuid[UUID_STRING_SIZE];

        return text_parse_uuid(name, uuid) >= 0 && streq(name, uuid);
}

void note_clean(int var_fd) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (var_fd < 0 || directory_list(var_fd, NOTES_FOLDER, &dir) < 0)
                return;

        while ((entry = directory_next(dir)))
                if (!is_note(entry->d_name))
                        (void)unlinkat(dirfd(dir), entry->d_name, 0);
}

void note_list(int var_fd, void (*found)(const char *uuid, void *userdata), void *userdata) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (var_fd < 0 || directory_list(var_fd, NOTES_FOLDER, &dir) < 0)
                return;

        while ((entry = directory_next(dir)))
                found(is_note(entry->d_name) ? entry->d_name : NULL, userdata);
}
