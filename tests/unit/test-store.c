/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Store: what is on the disk after a definition was written, changed or removed; and that nothing of it is there when it
 * could not be: somebody else's file that came or went meanwhile, a full disk, one that is read-only.
 *
 * As root: the disks are mounts in a namespace of the test's own.
 */

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "life.h"
#include "util/file.h"
#include "util/text.h"
#include "worker/store.h"

#define TEXT_1 "{\n  \"mdev_type\": \"" TYPE_1 "\",\n  \"start\": \"manual\",\n  \"attrs\": []\n}"
#define TEXT_2 "{\n  \"mdev_type\": \"" TYPE_2 "\",\n  \"start\": \"auto\",\n  \"attrs\": []\n}"
#define NOTE_1 "managed=1\nlabel=web1\n"
#define NOTE_2 "managed=1\nlabel=web2\n"

static const Attributes none = {};

static Job job_of(StoreAction action) {
        return (Job){
                .kind = JOB_STORE,
                .action = action,
                .uuid = UUID_1,
                .parent = GPU_A,
                .type_id = action == STORE_UPDATE ? TYPE_2 : TYPE_1,
                .autostart = action == STORE_UPDATE,
                .attributes = &none,
                .managed = true,
                .label = action == STORE_DEFINE ? "web1" : "web2",
        };
}

static void store(Machine *m, StoreAction action) {
        const Job job = job_of(action);
        Error error = ERROR_NULL;

        if (store_run(&m->sim.host, &job, &error) < 0)
                g_error("not stored: %s", error.message);
}

static void store_refused(Machine *m, StoreAction action, int code, const char *part) {
        const Job job = job_of(action);
        Error error = ERROR_NULL;

        g_assert_cmpint(store_run(&m->sim.host, &job, &error), ==, code);
        g_assert_cmpint(error.code, ==, code);
        if (!strstr(error.message, part))
                g_error("'%s' says nothing of '%s'", error.message, part);
        g_assert_true(text_is_printable(error.message));
}

static void assert_definition(Machine *m, const char *expected) {
        g_autofree char *text = life_read(m, GPU_A, UUID_1);

        g_assert_cmpstr(text, ==, expected);
        life_assert_clean(m);
}

static void assert_note(Machine *m, const char *expected) {
        g_autofree char *text = life_read_note(m, UUID_1);

        g_assert_cmpstr(text, ==, expected);
}

static unsigned mode_of(Machine *m, const char *path) {
        struct stat st;

        g_assert_cmpint(fstatat(m->sim.root_fd, path, &st, AT_SYMLINK_NOFOLLOW), ==, 0);
        return st.st_mode & 07777;
}

static void test_done(void) {
        Machine *m = machine_new();
        g_autofree char *folder = life_path(m, "", NULL), *before = life_path(m, GPU_A, UUID_1);
        g_autofree char *link = g_strdup_printf("%s/before", m->root), *text = NULL;

        /* Whoever reads it may: mdevctl and libvirt do not always run as root. */
        g_assert_cmpint(rmdir(folder), ==, 0);
        store(m, STORE_DEFINE);
        assert_definition(m, TEXT_1);
        assert_note(m, NOTE_1);
        g_assert_cmpuint(mode_of(m, "etc/mdevctl.d"), ==, 0755);
        g_assert_cmpuint(mode_of(m, "etc/mdevctl.d/" GPU_A), ==, 0755);
        g_assert_cmpuint(mode_of(m, "etc/mdevctl.d/" GPU_A "/" UUID_1), ==, 0644);
        g_assert_cmpuint(mode_of(m, "var/vgpus"), ==, 0700);
        g_assert_cmpuint(mode_of(m, "var/vgpus/" UUID_1), ==, 0600);

        /* Another file takes its place: who reads the old one reads the whole of it. */
        g_assert_cmpint(linkat(AT_FDCWD, before, AT_FDCWD, link, 0), ==, 0);
        store(m, STORE_UPDATE);
        assert_definition(m, TEXT_2);
        assert_note(m, NOTE_2);
        g_assert_true(g_file_get_contents(link, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, TEXT_1);

        /* Of several the note stays. */
        store(m, STORE_UNDEFINE_ONE);
        assert_definition(m, NULL);
        assert_note(m, NOTE_2);
        store(m, STORE_DEFINE);
        store(m, STORE_UNDEFINE);
        assert_definition(m, NULL);
        assert_note(m, NULL);
        /* It is as it should be already. */
        store(m, STORE_UNDEFINE);
        machine_free(m);
}

static void test_note_alone(void) {
        Machine *m = machine_new();

        life_write(m, GPU_A, UUID_1, "whatever");
        store(m, STORE_NOTE);
        assert_definition(m, "whatever");
        assert_note(m, NOTE_2);
        machine_free(m);
}

/* Somebody else's file that has come stays as it is, and is not said to be ours. */
static void test_came(gconstpointer noted) {
        Machine *m = machine_new();

        life_write(m, GPU_A, UUID_1, "theirs");
        if (noted)
                life_write_note(m, UUID_1, noted);
        store_refused(m, STORE_DEFINE, -ERROR_ALREADY_EXISTS, "/etc/mdevctl.d/" GPU_A "/" UUID_1);
        assert_definition(m, "theirs");
        assert_note(m, noted);
        machine_free(m);
}

/* One that has gone does not come back, and nothing is remembered of it. */
static void test_went(void) {
        Machine *m = machine_new();

        store(m, STORE_DEFINE);
        life_delete(m, GPU_A, UUID_1);
        store_refused(m, STORE_UPDATE, -ERROR_NO_SUCH_VGPU, "Somebody else");
        assert_definition(m, NULL);
        assert_note(m, NULL);
        machine_free(m);
}

/* What stands where it should go, whatever it is, is not written through. */
static void test_in_the_way(void) {
        Machine *m = machine_new();
        g_autofree char *folder = life_path(m, GPU_A, NULL), *path = life_path(m, GPU_A, UUID_1);
        g_autofree char *victim = g_strdup_printf("%s/victim", m->root), *text = NULL;

        g_assert_true(g_file_set_contents(victim, "victim", -1, NULL));
        g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);

        g_assert_cmpint(symlink(victim, path), ==, 0);
        store_refused(m, STORE_DEFINE, -ERROR_ALREADY_EXISTS, UUID_1);
        assert_note(m, NULL);
        store(m, STORE_UPDATE);
        assert_definition(m, TEXT_2);
        g_assert_true(g_file_get_contents(victim, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "victim");
        store(m, STORE_UNDEFINE);

        g_assert_cmpint(mkdir(path, 0755), ==, 0);
        store_refused(m, STORE_DEFINE, -ERROR_ALREADY_EXISTS, UUID_1);
        store_refused(m, STORE_UNDEFINE, -EIO, "directory");
        g_assert_cmpint(rmdir(path), ==, 0);

        /* A file where the parent's folder should be. */
        g_assert_cmpint(rmdir(folder), ==, 0);
        g_assert_true(g_file_set_contents(folder, "", -1, NULL));
        store_refused(m, STORE_DEFINE, -EIO, "directory");
        assert_note(m, NULL);
        g_assert_cmpint(unlink(folder), ==, 0);
        machine_free(m);
}

/* What one that was killed has left is gone with the next that is written, whichever that is. */
static void test_left_behind(void) {
        Machine *m = machine_new();
        g_autofree char *notes = g_strdup_printf("%s/var/vgpus", m->root);
        g_autofree char *note = g_strdup_printf("%s/.%s", notes, UUID_1);

        life_write(m, ".mdevgpud", UUID_1, "half");
        life_write(m, ".mdevgpud", UUID_2, "half");
        g_assert_cmpint(g_mkdir_with_parents(notes, 0700), ==, 0);
        g_assert_true(g_file_set_contents(note, "half", -1, NULL));
        store(m, STORE_DEFINE);
        assert_definition(m, TEXT_1);
        assert_note(m, NOTE_1);
        machine_free(m);
}

/* And without anything being written. */
static void test_clean(void) {
        Machine *m = machine_new();
        g_autofree char *note = g_strdup_printf("%s/var/vgpus/.%s", m->root, UUID_2);

        store(m, STORE_DEFINE);
        life_write(m, ".mdevgpud", UUID_1, "half");
        g_assert_true(g_file_set_contents(note, "half", -1, NULL));
        store(m, STORE_CLEAN);
        assert_definition(m, TEXT_1);
        assert_note(m, NOTE_1);
        store(m, STORE_FORGET);
        assert_definition(m, TEXT_1);
        assert_note(m, NULL);
        store(m, STORE_FORGET);
        machine_free(m);
}

/* Mounts that nobody else sees, and that go with the process. */
static void isolate(void) {
        if (unshare(CLONE_NEWNS) < 0)
                g_error("no namespace of mounts: %s; the tests run as root", g_strerror(errno));
        g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
}

/* The machine's folder on a disk of its own. */
static char *mount_disk(Machine *m, const char *name, const char *options) {
        char *path = g_build_filename(m->root, name, NULL);
        int *fd = streq(name, "etc") ? &m->sim.host.etc_fd : &m->sim.host.var_fd;

        g_assert_cmpint(mount("tmpfs", path, "tmpfs", 0, options), ==, 0);
        fd_close(*fd);
        *fd = directory_open(AT_FDCWD, path);
        g_assert_cmpint(*fd, >=, 0);
        return path;
}

static void unmount_disk(Machine *m, char *path) {
        g_assert_cmpint(umount2(path, MNT_DETACH), ==, 0);
        g_free(path);
}

/* Nothing but what is needed to fill it. */
static void fill_disk(const char *path) {
        g_autofree char *file = g_build_filename(path, "filler", NULL);
        _cleanup_(fd_closep) int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        char block[512] = {};

        g_assert_cmpint(fd, >=, 0);
        while (write(fd, block, sizeof(block)) > 0)
                ;
        g_assert_cmpint(errno, ==, ENOSPC);
}

static void remount(const char *path, bool read_only) {
        g_assert_cmpint(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | (read_only ? MS_RDONLY : 0), NULL), ==, 0);
}

/* The disk of definitions, or that of notes, takes nothing more. */
static void test_full(gconstpointer data) {
        const char *name = data;
        Machine *m = machine_new();
        char *path = mount_disk(m, name, "size=64k,nr_inodes=64");

        fill_disk(path);
        store_refused(m, STORE_DEFINE, -EIO, "No space left on device");
        assert_definition(m, NULL);
        assert_note(m, NULL);
        unmount_disk(m, path);

        path = mount_disk(m, name, "size=64k,nr_inodes=64");
        store(m, STORE_DEFINE);
        fill_disk(path);
        store_refused(m, STORE_UPDATE, -EIO, "No space left on device");
        assert_definition(m, TEXT_1);
        assert_note(m, NOTE_1);
        /* To make room. */
        store(m, STORE_UNDEFINE);
        assert_definition(m, NULL);
        unmount_disk(m, path);
        machine_free(m);
}

/* No file can be made, though there is room. */
static void test_no_inodes(gconstpointer data) {
        const char *name = data;

        for (unsigned n = 1; n <= 4; n++) {
                g_autofree char *options = g_strdup_printf("size=1m,nr_inodes=%u", n);
                Machine *m = machine_new();
                char *path = mount_disk(m, name, options);
                const Job job = job_of(STORE_DEFINE);
                bool done = store_run(&m->sim.host, &job, NULL) >= 0;

                assert_definition(m, done ? TEXT_1 : NULL);
                assert_note(m, done ? NOTE_1 : NULL);
                unmount_disk(m, path);
                machine_free(m);
        }
}

static void test_read_only(gconstpointer data) {
        const char *name = data;
        bool definitions = streq(name, "etc");
        Machine *m = machine_new();
        char *path = mount_disk(m, name, "size=64k");

        remount(path, true);
        store_refused(m, STORE_DEFINE, -EIO, "Read-only file system");
        assert_definition(m, NULL);
        assert_note(m, NULL);

        remount(path, false);
        store(m, STORE_DEFINE);
        remount(path, true);
        store_refused(m, STORE_UPDATE, -EIO, "Read-only file system");
        assert_definition(m, TEXT_1);
        assert_note(m, NOTE_1);
        if (definitions) {
                store_refused(m, STORE_UNDEFINE, -EIO, "Read-only file system");
                assert_definition(m, TEXT_1);
                assert_note(m, NOTE_1);
        }
        unmount_disk(m, path);
        machine_free(m);
}

/* A host that has no such folders. */
static void test_nowhere(void) {
        Machine *m = machine_new();
        int etc_fd = m->sim.host.etc_fd, var_fd = m->sim.host.var_fd;

        m->sim.host.etc_fd = -EBADF;
        store_refused(m, STORE_DEFINE, -EIO, "/etc/mdevctl.d");
        assert_note(m, NULL);
        m->sim.host.etc_fd = etc_fd;
        m->sim.host.var_fd = -EBADF;
        store_refused(m, STORE_DEFINE, -EIO, "/var/lib/mdevgpud");
        assert_definition(m, NULL);
        m->sim.host.var_fd = var_fd;
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        isolate();

        g_test_add_func("/store/done", test_done);
        g_test_add_func("/store/note-alone", test_note_alone);
        g_test_add_data_func("/store/came", NULL, test_came);
        g_test_add_data_func("/store/came-and-noted", NOTE_2, test_came);
        g_test_add_func("/store/went", test_went);
        g_test_add_func("/store/in-the-way", test_in_the_way);
        g_test_add_func("/store/left-behind", test_left_behind);
        g_test_add_func("/store/clean", test_clean);
        g_test_add_data_func("/store/full-etc", "etc", test_full);
        g_test_add_data_func("/store/full-var", "var", test_full);
        g_test_add_data_func("/store/no-inodes-etc", "etc", test_no_inodes);
        g_test_add_data_func("/store/no-inodes-var", "var", test_no_inodes);
        g_test_add_data_func("/store/read-only-etc", "etc", test_read_only);
        g_test_add_data_func("/store/read-only-var", "var", test_read_only);
        g_test_add_func("/store/nowhere", test_nowhere);

        return g_test_run();
}
