/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Definition files: whatever others do below /etc/mdevctl.d, heard of by inotify; what cannot be used is said of that
 * device and harms no other.
 */

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "life.h"
#include "util/file.h"

/* What is wrong with definitions, one line each. */
static char *report(Machine *m) {
        ConfigReport report = {};
        GString *text = g_string_new(NULL);

        g_assert_cmpint(definition_files_report(m->manager->mdev_definitions, &report), ==, 0);
        for (size_t i = 0; i < report.n_problems; i++)
                g_string_append_printf(text, "%s %s: %s\n",
                                       report.problems[i].severity == PROBLEM_ERROR ? "error" : "warning",
                                       report.problems[i].file, report.problems[i].message);
        config_report_done(&report);
        return g_string_free(text, FALSE);
}

static void assert_report(Machine *m, const char *expected) {
        g_autofree char *text = report(m);

        g_assert_cmpstr(text, ==, expected);
}

/* One definition cannot be used; that of UUID_2 is as it was. */
static void assert_broken(Machine *m, const char *part) {
        g_autofree char *text = report(m);

        machine_turn(m);
        life_assert_state(m, UUID_1, VGPU_FAILED, part);
        g_assert_true(life_find(m, UUID_1)->persistent);
        g_assert_false(life_find(m, UUID_1)->autostart);
        g_assert_cmpuint(definition_files_count_broken(m->manager->mdev_definitions), ==, 1);
        g_clear_pointer(&text, g_free);
        text = report(m);
        g_assert_true(g_str_has_prefix(text, "error /etc/mdevctl.d/" GPU_A "/" UUID_1 ": "));
        g_assert_nonnull(strstr(text, part));
        life_assert_state(m, UUID_2, VGPU_DEFINED, NULL);
}

static void assert_good(Machine *m, const char *uuid, const char *gpu, const char *type) {
        VGpu *vgpu;

        machine_turn(m);
        life_assert_state(m, uuid, VGPU_DEFINED, NULL);
        vgpu = life_find(m, uuid);
        g_assert_cmpstr(vgpu->type_id, ==, type);
        g_assert_cmpstr(vgpu->parent, ==, gpu);
        g_assert_true(vgpu->gpu == manager_find_gpu(m->manager, gpu));
}

static void assert_none(Machine *m, const char *uuid) {
        machine_turn(m);
        g_assert_null(manager_find_vgpu(m->manager, uuid));
        g_assert_null(MAP_FIND(&m->manager->vgpus, uuid, VGpu, node));
}

static Machine *with_other(void) {
        Machine *m = machine_with_gpus();

        life_write(m, GPU_A, UUID_2, MANUAL_1);
        machine_turn(m);
        machine_clear_log(m);
        return m;
}

/* As mdevctl does it: into the file that is there. */
static void test_written(void) {
        Machine *m = machine_with_gpus();
        g_autofree char *path = life_path(m, GPU_A, UUID_1);
        _cleanup_(fd_closep) int fd = -EBADF;

        life_write(m, GPU_A, UUID_1, MANUAL_1);
        machine_turn(m);
        machine_expect_log(m, "+vgpu 1111 " TYPE_1 " defined\n");
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        g_assert_false(life_find(m, UUID_1)->managed);

        life_write(m, GPU_A, UUID_1, "{\"mdev_type\":\"" TYPE_2 "\",\"start\":\"auto\"}");
        machine_turn(m);
        machine_expect_log(m, "vgpu 1111 persistent=1 autostart=1\nvgpu 1111 type=" TYPE_2 "\n");

        /* While it is being written it is what it was. */
        fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        g_assert_cmpint(file_write_all(fd, "{\"mdev", 6), ==, 0);
        machine_turn(m);
        machine_expect_log(m, "");
        fd = fd_close(fd);
        machine_turn(m);
        life_assert_state(m, UUID_1, VGPU_FAILED, "not complete");
        machine_clear_log(m);

        life_delete(m, GPU_A, UUID_1);
        machine_turn(m);
        machine_expect_log(m, "problems\n-vgpu 1111\n");
        assert_none(m, UUID_1);
        machine_free(m);
}

/* Made at once, or not yet whole when it is first heard of. */
static void test_appeared(void) {
        Machine *m = machine_with_gpus();
        g_autofree char *elsewhere = g_strdup_printf("%s/made", m->root);
        g_autofree char *first = life_path(m, GPU_A, UUID_1), *second = life_path(m, GPU_A, UUID_2);
        g_autofree char *folder = life_path(m, GPU_A, NULL);
        _cleanup_(fd_closep) int fd = -EBADF;

        g_assert_true(g_file_set_contents(elsewhere, MANUAL_1, -1, NULL));
        g_assert_cmpint(chmod(elsewhere, 0644), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
        machine_turn(m);

        g_assert_cmpint(link(elsewhere, first), ==, 0);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        g_assert_cmpint(rename(elsewhere, second), ==, 0);
        assert_good(m, UUID_2, GPU_A, TYPE_1);
        g_assert_cmpint(rename(second, elsewhere), ==, 0);
        assert_none(m, UUID_2);
        machine_clear_log(m);

        fd = open(second, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        machine_turn(m);
        machine_expect_log(m, "");
        fd = fd_close(fd);
        machine_turn(m);
        life_assert_state(m, UUID_2, VGPU_FAILED, "empty");

        /* Names that mdevctl would pass over as well. */
        life_write(m, GPU_A, "11111111-2FA1-4D2E-883F-0016D3CCA428", MANUAL_1);
        life_write(m, GPU_A, "." UUID_3, MANUAL_1);
        life_write(m, GPU_A, UUID_3 "~", MANUAL_1);
        life_write(m, "scripts.d", UUID_3, MANUAL_1);
        life_write(m, ".hidden", UUID_3, MANUAL_1);
        machine_turn(m);
        g_assert_cmpuint(m->manager->vgpus.n, ==, 2);
        machine_free(m);
}

/* Whatever it is, it is not opened unless it is a file, and not taken unless it is a definition. */
static void test_broken(void) {
        Machine *m = with_other();
        g_autofree char *path = life_path(m, GPU_A, UUID_1), *pipe = g_strdup_printf("%s/pipe", m->root);
        g_autofree char *large = g_strnfill(2 * DEFINITION_TEXT_MAX, ' ');

        life_write(m, GPU_A, UUID_1, "");
        assert_broken(m, "empty");
        life_write(m, GPU_A, UUID_1,
                   "\x7f"
                   "ELF");
        assert_broken(m, "no JSON");
        life_write(m, GPU_A, UUID_1, large);
        assert_broken(m, "larger");
        life_write(m, GPU_A, UUID_1, AUTO_1);
        g_assert_cmpint(chmod(path, 0666), ==, 0);
        life_write(m, GPU_A, UUID_1, AUTO_1);
        assert_broken(m, "everybody");
        life_delete(m, GPU_A, UUID_1);

        g_assert_cmpint(mkfifo(path, 0644), ==, 0);
        assert_broken(m, "no regular file");
        life_delete(m, GPU_A, UUID_1);
        g_assert_cmpint(mkfifo(pipe, 0644), ==, 0);
        g_assert_cmpint(symlink(pipe, path), ==, 0);
        assert_broken(m, "no regular file");
        life_delete(m, GPU_A, UUID_1);
        g_assert_cmpint(mknod(path, S_IFCHR | 0644, makedev(1, 5)), ==, 0); /* zeros without end */
        assert_broken(m, "no regular file");
        life_delete(m, GPU_A, UUID_1);
        g_assert_cmpint(mkdir(path, 0755), ==, 0);
        assert_broken(m, "no regular file");
        g_assert_cmpint(rmdir(path), ==, 0);
        g_assert_cmpint(symlink(UUID_1, path), ==, 0);
        assert_broken(m, "Too many levels of symbolic links");
        life_delete(m, GPU_A, UUID_1);
        assert_none(m, UUID_1);

        /* One that leads nowhere is none, one that leads to a definition is one. */
        g_assert_cmpint(symlink("nowhere", path), ==, 0);
        assert_none(m, UUID_1);
        life_delete(m, GPU_A, UUID_1);
        g_assert_cmpint(symlink(UUID_2, path), ==, 0);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        g_assert_cmpuint(definition_files_count_broken(m->manager->mdev_definitions), ==, 0);
        machine_free(m);
}

/* It is good again: everything is as if nothing had been. */
static void test_heals(void) {
        Machine *m = with_other();
        VGpu *vgpu = life_have_defined(m, GPU_A, UUID_1, false);
        const StartRequest start = { .uuid = UUID_1 };
        const bool yes = true;
        const ModifyRequest modify = { .uuid = UUID_1, .autostart = &yes };
        Error error = ERROR_NULL;

        life_write(m, GPU_A, UUID_1, "{");
        assert_broken(m, "not complete");
        g_assert_true(vgpu->managed);
        g_assert_cmpint(manager_check_start(m->manager, &start, &error), ==, -ERROR_CONFIG_INVALID);
        g_assert_nonnull(strstr(error.message, "not complete"));
        g_assert_cmpint(manager_check_modify(m->manager, &modify, &error), ==, -ERROR_CONFIG_INVALID);

        life_write(m, GPU_A, UUID_1, MANUAL_1);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        assert_report(m, "");
        g_assert_true(vgpu->managed);
        g_assert_cmpint(manager_check_start(m->manager, &start, &error), ==, 0);

        /* And a broken one can be got rid of. */
        life_write(m, GPU_A, UUID_1, "{");
        assert_broken(m, "not complete");
        (void)life_undefine(m, UUID_1, &(Answer){});
        machine_settle(m);
        assert_none(m, UUID_1);
        assert_report(m, "");
        machine_free(m);
}

/* One that is active stays so, whatever becomes of its definition. */
static void test_active(void) {
        Machine *m = with_other();
        VGpu *vgpu = life_have_started(m, GPU_A, UUID_1, true);

        life_write(m, GPU_A, UUID_1, "{");
        machine_settle(m);
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_true(vgpu->persistent && !vgpu->autostart && vgpu->managed);
        assert_report(m, "error /etc/mdevctl.d/" GPU_A "/" UUID_1 ": it is not complete JSON\n");

        life_delete(m, GPU_A, UUID_1);
        machine_settle(m);
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_true(!vgpu->persistent && vgpu->managed);
        g_assert_true(machine_has_mdev(m, UUID_1));
        life_stop(m, UUID_1);
        assert_none(m, UUID_1);
        machine_free(m);
}

static void remove_tree(const char *path) {
        const char *argv[] = { "rm", "-rf", "--", path, NULL };

        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

/* A parent's folder goes, comes back as another one, is moved away and back. */
static void test_folder(void) {
        Machine *m = with_other();
        g_autofree char *folder = life_path(m, GPU_B, NULL), *away = g_strdup_printf("%s/away", m->root);

        life_write(m, GPU_B, UUID_1, MANUAL_1);
        assert_good(m, UUID_1, GPU_B, TYPE_1);
        remove_tree(folder);
        assert_none(m, UUID_1);
        for (unsigned i = 0; i < 3; i++) {
                life_write(m, GPU_B, UUID_1, MANUAL_1);
                assert_good(m, UUID_1, GPU_B, TYPE_1);
                remove_tree(folder);
                /* Within one turn of the loop. */
                life_write(m, GPU_B, UUID_1, "{\"mdev_type\":\"" TYPE_2 "\",\"start\":\"manual\"}");
                assert_good(m, UUID_1, GPU_B, TYPE_2);
        }
        life_write(m, GPU_B, UUID_1, MANUAL_1);
        assert_good(m, UUID_1, GPU_B, TYPE_1);

        g_assert_cmpint(rename(folder, away), ==, 0);
        assert_none(m, UUID_1);
        g_assert_cmpint(rename(away, folder), ==, 0);
        assert_good(m, UUID_1, GPU_B, TYPE_1);
        assert_good(m, UUID_2, GPU_A, TYPE_1);

        /* Something else in its place. */
        remove_tree(folder);
        g_assert_true(g_file_set_contents(folder, MANUAL_1, -1, NULL));
        assert_none(m, UUID_1);
        remove_tree(folder);
        g_assert_cmpint(symlink(GPU_A, folder), ==, 0);
        machine_turn(m);
        assert_good(m, UUID_2, GPU_A, TYPE_1);
        machine_free(m);
}

/* All of it goes and comes back, several times, at once or not. */
static void test_base(void) {
        Machine *m = with_other();
        g_autofree char *base = g_strdup_printf("%s/etc/mdevctl.d", m->root);
        g_autofree char *away = g_strdup_printf("%s/away", m->root);

        for (unsigned i = 0; i < 3; i++) {
                assert_good(m, UUID_2, GPU_A, TYPE_1);
                remove_tree(base);
                if (i > 0)
                        assert_none(m, UUID_2);
                life_write(m, GPU_B, UUID_1, MANUAL_1);
                assert_good(m, UUID_1, GPU_B, TYPE_1);
                assert_none(m, UUID_2);
                life_write(m, GPU_A, UUID_2, MANUAL_1);
        }

        assert_good(m, UUID_2, GPU_A, TYPE_1);
        g_assert_cmpint(rename(base, away), ==, 0);
        machine_turn(m);
        assert_none(m, UUID_1);
        assert_none(m, UUID_2);
        remove_tree(base);
        g_assert_cmpint(rename(away, base), ==, 0);
        assert_good(m, UUID_1, GPU_B, TYPE_1);
        assert_good(m, UUID_2, GPU_A, TYPE_1);
        machine_free(m);
}

/* Nothing of it can be read: that is no reason to forget what is known. */
static void test_no_descriptors(void) {
        Machine *m = with_other();
        struct rlimit before, none;
        VGpu *vgpu;
        g_autofree char *note = NULL;

        (void)life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .label = "web1" },
                          &(Answer){});
        machine_settle(m);
        vgpu = life_find(m, UUID_1);
        g_assert_cmpstr(vgpu->label, ==, "web1");

        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
        none = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
        g_assert_cmpint(definition_files_read_all(m->manager->mdev_definitions), ==, -EMFILE);
        (void)definition_files_read(m->manager->mdev_definitions, GPU_A, UUID_1);
        vgpu_files_changed(vgpu);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);

        g_assert_true(vgpu->persistent && vgpu->managed);
        g_assert_cmpstr(vgpu->label, ==, "web1");
        note = life_read_note(m, UUID_1);
        g_assert_cmpstr(note, ==, "managed=1\nlabel=web1\n");
        assert_good(m, UUID_2, GPU_A, TYPE_1);

        (void)definition_files_read(m->manager->mdev_definitions, GPU_A, UUID_1);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        machine_free(m);
}

/* One file cannot be read when it is changed, and nothing tells that there are descriptors again: it is looked at anew. */
static void test_descriptors_again(void) {
        Machine *m = with_other();
        struct rlimit before, none;
        VGpu *vgpu;
        int fd;

        life_write(m, GPU_A, UUID_1, MANUAL_1);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        vgpu = life_find(m, UUID_1);

        fd = openat(m->sim.host.etc_fd, "mdevctl.d/" GPU_A "/" UUID_1, O_WRONLY | O_CLOEXEC);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, MANUAL_1, strlen(MANUAL_1)), >, 0);
        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
        none = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
        g_assert_cmpint(close(fd), ==, 0);
        machine_turn(m);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
        g_assert_cmpstr(vgpu->file->problem, !=, "");

        for (gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
             vgpu->file->problem[0] != '\0' && g_get_monotonic_time() < end;)
                g_assert_cmpint(sd_event_run(m->event, 100000), >=, 0);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        machine_free(m);
}

/* One UUID, two parents: the active one's, then a good one, then the first by name; the other is said to be too many. */
static void test_twice(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};

        life_write(m, GPU_B, UUID_1, "{\"mdev_type\":\"" TYPE_2 "\",\"start\":\"manual\"}");
        assert_good(m, UUID_1, GPU_B, TYPE_2);
        machine_clear_log(m);
        life_write(m, GPU_A, UUID_1, MANUAL_1);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        g_assert_nonnull(strstr(m->log->str, "problems\n"));
        assert_report(m, "warning /etc/mdevctl.d/" GPU_B "/" UUID_1 ": the same UUID is defined for " GPU_A
                         " as well, and that is what counts\n");

        machine_clear_log(m);
        life_write(m, GPU_A, UUID_1, "{");
        assert_good(m, UUID_1, GPU_B, TYPE_2);
        g_assert_nonnull(strstr(m->log->str, "problems\n"));
        assert_report(m, "error /etc/mdevctl.d/" GPU_A "/" UUID_1 ": it is not complete JSON\n");
        life_write(m, GPU_A, UUID_1, MANUAL_1);
        assert_good(m, UUID_1, GPU_A, TYPE_1);

        /* Somebody starts the other one. */
        g_assert_cmpint(machine_make_mdev(m, GPU_B, TYPE_2, UUID_1), ==, 0);
        machine_clear_log(m);
        life_tell(m, GPU_B);
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_cmpstr(life_find(m, UUID_1)->parent, ==, GPU_B);
        g_assert_cmpstr(life_find(m, UUID_1)->file->definition.parent, ==, GPU_B);
        g_assert_nonnull(strstr(m->log->str, "problems\n"));
        assert_report(m, "warning /etc/mdevctl.d/" GPU_A "/" UUID_1 ": the same UUID is defined for " GPU_B
                         " as well, and that is what counts\n");

        g_assert_cmpint(manager_destroy_vgpu(m->manager, &(DestroyRequest){ .uuid = UUID_1, .unmanaged = true },
                                             machine_on_answer, &answer, NULL, &answer.error),
                        ==, 0);
        machine_settle(m);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        machine_clear_log(m);
        life_delete(m, GPU_A, UUID_1);
        assert_good(m, UUID_1, GPU_B, TYPE_2);
        g_assert_nonnull(strstr(m->log->str, "problems\n"));
        assert_report(m, "");
        life_delete(m, GPU_B, UUID_1);
        assert_none(m, UUID_1);
        machine_free(m);
}

/* What is remembered of a definition goes with it, whoever deletes that, and does not come back with another. */
static void test_note(void) {
        Machine *m = machine_with_gpus();
        VGpu *vgpu;

        (void)life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .label = "web1" },
                          &(Answer){});
        machine_settle(m);
        g_assert_true(life_find(m, UUID_1)->managed);

        /* Changed by others it is the same one. */
        life_write(m, GPU_A, UUID_1, AUTO_1);
        machine_turn(m);
        vgpu = life_find(m, UUID_1);
        g_assert_true(vgpu->managed && vgpu->autostart);
        g_assert_cmpstr(vgpu->label, ==, "web1");

        life_delete(m, GPU_A, UUID_1);
        assert_none(m, UUID_1);
        machine_settle(m);
        g_assert_null(life_read_note(m, UUID_1));
        life_write(m, GPU_A, UUID_1, MANUAL_1);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        g_assert_false(life_find(m, UUID_1)->managed);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "");

        /* What was deleted while no daemon ran. */
        life_write_note(m, UUID_3, "managed=1\nlabel=old\n");
        life_write_note(m, UUID_1, "managed=1\nlabel=web2\n");
        life_restart(m);
        g_assert_null(life_read_note(m, UUID_3));
        g_assert_true(life_find(m, UUID_1)->managed);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web2");
        machine_free(m);
}

static const DefineRequest web2 = { .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .label = "web2" };

static void assert_noted(Machine *m, const char *expected) {
        g_autofree char *note = life_read_note(m, UUID_1);

        g_assert_cmpstr(note, ==, expected);
}

/* One with a note, whose definition somebody else has removed: whose note a worker is to remove. */
static PlatformJob *with_forgotten(Machine **ret_m) {
        Machine *m = machine_with_gpus();
        PlatformJob *job;

        (void)life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .label = "web1" },
                          &(Answer){});
        (void)life_have_defined(m, GPU_A, UUID_2, /* autostart= */ false);
        life_delete(m, GPU_A, UUID_1);
        assert_none(m, UUID_1);
        assert_noted(m, "managed=1\nlabel=web1\n");
        job = fake_find_job(&m->fake, JOB_STORE, NULL);
        g_assert_nonnull(job);
        g_assert_cmpint(job->job.action, ==, STORE_FORGET);
        *ret_m = m;
        return job;
}

/* Nothing waits for the disk; whoever defines the UUID meanwhile does not get what was noted of the other, and keeps his. */
static void test_forgotten(void) {
        Answer answer = {};
        PlatformJob *job;
        Machine *m;

        job = with_forgotten(&m);
        life_write(m, GPU_A, UUID_1, MANUAL_1);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        g_assert_false(life_find(m, UUID_1)->managed);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "");
        life_delete(m, GPU_A, UUID_1);
        assert_none(m, UUID_1);

        /* It has begun: there is no other before it has ended. */
        fake_begin(job);
        (void)life_define(m, &web2, &answer);
        fake_finish(&m->fake, job);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        g_assert_cmpint(answer.error.code, ==, 0);
        g_assert_true(life_find(m, UUID_1)->managed);
        assert_noted(m, "managed=1\nlabel=web2\n");
        machine_free(m);
}

/* The worker that was to remove it has died, or is stuck: what is written after that is not removed by a second try. */
static void test_forgotten_late(gconstpointer refused) {
        Answer answer = {};
        PlatformJob *job;
        Machine *m;

        job = with_forgotten(&m);
        (void)life_define(m, &web2, &answer);
        fake_fail(job, -EPIPE, "the worker ended");
        life_delete(m, GPU_A, UUID_2);
        assert_none(m, UUID_2);
        if (refused)
                life_write(m, GPU_A, UUID_1, MANUAL_1);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        g_assert_cmpint(answer.error.code, ==, refused ? -ERROR_ALREADY_EXISTS : 0);
        g_assert_true(life_find(m, UUID_1)->managed == !refused);
        assert_noted(m, refused ? NULL : "managed=1\nlabel=web2\n");
        machine_free(m);
}

/* No worker takes the job: the next one that something is written by does. */
static void test_forgotten_stuck(void) {
        Machine *m = machine_with_gpus();

        (void)life_define(m, &web2, &(Answer){});
        machine_settle(m);
        m->fake.refuse = -EBUSY;
        life_delete(m, GPU_A, UUID_1);
        assert_none(m, UUID_1);
        m->fake.refuse = 0;
        life_write(m, GPU_A, UUID_1, MANUAL_1);
        assert_good(m, UUID_1, GPU_A, TYPE_1);
        g_assert_false(life_find(m, UUID_1)->managed);

        (void)life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_2 }, &(Answer){});
        machine_settle(m);
        assert_noted(m, NULL);
        g_assert_false(life_find(m, UUID_1)->managed);
        machine_free(m);
}

/* What can make no sense of a note makes none of it: it is then somebody else's definition. */
static void test_hostile_note(void) {
        static const char *const notes[] = { "",          "\n",          "managed=2\n", "managed=1x\n", "Managed=1\n",
                                             "managed\n", "=1\nlabel\n", "\xff\xfe" };
        Machine *m = machine_with_gpus();
        g_autofree char *large = g_strnfill(100000, 'x'), *note = g_strconcat("managed=1\nlabel=", large, NULL);
        VGpu *vgpu;

        life_write(m, GPU_A, UUID_1, MANUAL_1);
        machine_turn(m);
        vgpu = life_find(m, UUID_1);
        for (size_t i = 0; i < G_N_ELEMENTS(notes); i++) {
                life_write_note(m, UUID_1, notes[i]);
                vgpu_files_changed(vgpu);
                g_assert_false(vgpu->managed);
                g_assert_cmpstr(vgpu->label, ==, "");
        }
        life_write_note(m, UUID_1, note);
        vgpu_files_changed(vgpu);
        g_assert_false(vgpu->managed);
        life_write_note(m, UUID_1, "managed=1\nlabel=\x1b[2J\n");
        vgpu_files_changed(vgpu);
        g_assert_cmpstr(vgpu->label, ==, "?[2J");
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        umask(022);

        g_test_add_func("/definition-files/written", test_written);
        g_test_add_func("/definition-files/appeared", test_appeared);
        g_test_add_func("/definition-files/broken", test_broken);
        g_test_add_func("/definition-files/heals", test_heals);
        g_test_add_func("/definition-files/active", test_active);
        g_test_add_func("/definition-files/folder", test_folder);
        g_test_add_func("/definition-files/base", test_base);
        g_test_add_func("/definition-files/no-descriptors", test_no_descriptors);
        g_test_add_func("/definition-files/descriptors-again", test_descriptors_again);
        g_test_add_func("/definition-files/twice", test_twice);
        g_test_add_func("/definition-files/note", test_note);
        g_test_add_func("/definition-files/forgotten", test_forgotten);
        g_test_add_data_func("/definition-files/forgotten-late", NULL, test_forgotten_late);
        g_test_add_data_func("/definition-files/forgotten-late-refused", "refused", test_forgotten_late);
        g_test_add_func("/definition-files/forgotten-stuck", test_forgotten_stuck);
        g_test_add_func("/definition-files/hostile-note", test_hostile_note);

        return g_test_run();
}
