/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "config.h"
#include "config-dirs.h"

static int check_budget(const ConfigFile *file, size_t total, size_t n_errors, ConfigReport *report) {
        int r;

        if (total > CONFIG_TOTAL_SIZE_MAX)
                r = config_report_add(report, file->path, 0, 0, PROBLEM_ERROR,
                                      "all files up to this one are larger than %u KiB; those after it have not been "
                                      "looked at",
                                      CONFIG_TOTAL_SIZE_MAX / 1024U);
        else if (n_errors > CONFIG_ERRORS_MAX)
                r = config_report_add(report, file->path, 0, 0, PROBLEM_ERROR,
                                      "too many errors; the files after this one have not been looked at");
        else
                return 0;

        return r < 0 ? r : -EBADMSG;
}

/* Takes the text of one file. -EBADMSG: what is wrong with it has been reported. */
typedef int (*ParseFile)(const char *path, const char *text, size_t size, void *userdata, ConfigReport *report);

static int load_file(const ConfigFile *file, ParseFile parse, void *userdata, ConfigReport *report, size_t *ret_size) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = config_file_read(file, report, &text, ret_size);
        if (r <= 0)
                return r;

        r = parse(file->path, text, *ret_size, userdata, report);
        return r == -EBADMSG ? 0 : r; /* reported; what other files have to say is wanted too */
}

static int load_files(const ConfigDirs *dirs, ParseFile parse, void *userdata, ConfigReport *report) {
        size_t n_errors = report->n_errors, total = 0;
        int r;

        for (size_t i = 0; i < dirs->n_files; i++) {
                size_t size = 0;

                r = load_file(&dirs->files[i], parse, userdata, report, &size);
                if (r < 0)
                        return r;

                total += size;
                r = check_budget(&dirs->files[i], total, report->n_errors - n_errors, report);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int parse_profile(const char *path, const char *text, size_t size, void *userdata, ConfigReport *report) {
        _cleanup_(profile_freep) Profile *profile = NULL;
        int r;

        r = config_parse_profile(path, text, size, &profile, report);
        if (r < 0 || !profile)
                return r;

        r = profile_set_add(userdata, profile);
        if (r < 0)
                return r;

        profile = NULL;
        return 0;
}

static int parse_mdev_gpu(const char *path, const char *text, size_t size, void *userdata, ConfigReport *report) {
        return config_parse_mdev_gpu(path, text, size, userdata, report);
}

/* mdev-cli read the one file that it was told, which its unit did as the first of these. */
static int load_mdev_gpu(const char *root, ProfileSet *set, ConfigReport *report) {
        static const char *const paths[] = { CONFIG_MDEV_GPU_YAML, CONFIG_MDEV_GPU_JSON };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                size_t n_errors = report->n_errors, size;
                ConfigFile file = {};
                int r;

                r = config_file_find(root, paths[i], report, &file);
                if (r < 0 || report->n_errors > n_errors)
                        return MIN(r, 0);
                if (r == 0)
                        continue;

                r = load_file(&file, parse_mdev_gpu, set, report, &size);
                free(file.path);
                return r;
        }

        return 0;
}

int config_load(const char *root, ProfileSet **ret_set, ConfigReport *report) {
        size_t n_errors = report->n_errors;
        _cleanup_(config_dirs_done) ConfigDirs dirs = {};
        _cleanup_(profile_set_freep) ProfileSet *set = NULL;
        int r;

        set = profile_set_new();
        if (!set)
                return -ENOMEM;

        r = config_dirs_open(&dirs, root, "types.d", report);
        if (r >= 0)
                r = load_files(&dirs, parse_profile, set, report);
        if (r >= 0)
                r = load_mdev_gpu(root, set, report);
        if (r < 0)
                return r;
        if (report->n_errors > n_errors)
                return -EBADMSG;

        *ret_set = TAKE(set);
        return 0;
}

static int parse_topologies(const char *path, const char *text, size_t size, void *userdata, ConfigReport *report) {
        return config_parse_topologies(path, text, size, userdata, report);
}

int config_load_topologies(const char *root, TopologySet **ret_set, ConfigReport *report) {
        size_t n_errors = report->n_errors;
        _cleanup_(config_dirs_done) ConfigDirs dirs = {};
        _cleanup_(topology_set_freep) TopologySet *set = NULL;
        TopologyDraft draft;
        int r;

        set = topology_set_new();
        if (!set)
                return -ENOMEM;

        draft = (TopologyDraft){ .set = set };
        r = config_dirs_open(&dirs, root, "topologies.d", report);
        if (r >= 0)
                r = load_files(&dirs, parse_topologies, &draft, report);
        if (r >= 0 && report->n_errors == n_errors) /* else what is not there may be in what could not be read */
                r = config_check_topologies(&draft, report);
        if (r < 0)
                return r;
        if (report->n_errors > n_errors)
                return -EBADMSG;

        *ret_set = TAKE(set);
        return 0;
}

static int parse_settings(const char *path, const char *text, size_t size, void *userdata, ConfigReport *report) {
        return config_parse_settings(path, text, size, userdata, report);
}

int config_load_settings(const char *root, Settings **ret_settings, ConfigReport *report) {
        size_t n_errors = report->n_errors;
        _cleanup_(config_dirs_done) ConfigDirs dirs = {};
        _cleanup_(settings_freep) Settings *settings = NULL;
        int r;

        settings = settings_new();
        if (!settings)
                return -ENOMEM;

        settings->root = root;
        r = config_dirs_open_file(&dirs, root, "mdevgpud.yaml", report);
        if (r >= 0)
                r = load_files(&dirs, parse_settings, settings, report);
        if (r < 0)
                return r;
        if (report->n_errors > n_errors)
                return -EBADMSG;

        settings->root = NULL;
        *ret_settings = TAKE(settings);
        return 0;
}

static bool root_was_refused(const char *root, const ConfigReport *report) {
        return root[0] != '\0' && report->n_problems > 0 && streq(report->problems[0].file, root);
}

int config_load_all(const char *root, ProfileSet **ret_profiles, TopologySet **ret_topologies, Settings **ret_settings,
                    ConfigReport *report) {
        _cleanup_(settings_freep) Settings *settings = NULL;
        _cleanup_(topology_set_freep) TopologySet *topologies = NULL;
        _cleanup_(profile_set_freep) ProfileSet *profiles = NULL;
        int r, k, l;

        *ret_settings = NULL;
        r = config_load(root, &profiles, report);
        if (r < 0 && (r != -EBADMSG || root_was_refused(root, report)))
                return r;

        k = config_load_topologies(root, &topologies, report);
        l = config_load_settings(root, &settings, report);
        if (r == -ENOMEM || k == -ENOMEM || l == -ENOMEM)
                return -ENOMEM;
        if (r < 0 || k < 0 || l < 0) {
                *ret_settings = TAKE(settings);
                return -EBADMSG;
        }

        *ret_profiles = TAKE(profiles);
        *ret_topologies = TAKE(topologies);
        *ret_settings = TAKE(settings);
        return 0;
}

void config_report_print(const ConfigReport *report, FILE *stream) {
        for (size_t i = 0; i < report->n_problems; i++) {
                const ConfigProblem *p = &report->problems[i];

                if (p->line > 0)
                        (void)fprintf(stream, "%s:%" PRIu32 ":%" PRIu32 ": %s: %s\n", p->file, p->line, p->column,
                                      problem_severity_to_string(p->severity), p->message);
                else
                        (void)fprintf(stream, "%s: %s: %s\n", p->file, problem_severity_to_string(p->severity),
                                      p->message);
        }
}
