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

static int load_profile(const ConfigFile *file, ProfileSet *set, ConfigReport *report, size_t *ret_size) {
        _cleanup_(profile_freep) Profile *profile = NULL;
        _cleanup_(freep) char *text = NULL;
        int r;

        r = config_file_read(file, report, &text, ret_size);
        if (r <= 0)
                return r;

        r = config_parse_profile(file->path, text, *ret_size, &profile, report);
        if (r == -EBADMSG)
                return 0; /* reported; what other files have to say is wanted too */
        if (r < 0 || !profile)
                return r;

        r = profile_set_add(set, profile);
        if (r < 0)
                return r;

        profile = NULL;
        return 0;
}

int config_load(const char *root, ProfileSet **ret_set, ConfigReport *report) {
        size_t n_errors = report->n_errors, total = 0;
        _cleanup_(config_dirs_done) ConfigDirs dirs = {};
        _cleanup_(profile_set_freep) ProfileSet *set = NULL;
        int r;

        set = profile_set_new();
        if (!set)
                return -ENOMEM;

        r = config_dirs_open(&dirs, root, "types.d", report);
        if (r < 0)
                return r;

        for (size_t i = 0; i < dirs.n_files; i++) {
                size_t size = 0;

                r = load_profile(&dirs.files[i], set, report, &size);
                if (r < 0)
                        return r;

                total += size;
                r = check_budget(&dirs.files[i], total, report->n_errors - n_errors, report);
                if (r < 0)
                        return r;
        }

        if (report->n_errors > n_errors)
                return -EBADMSG;

        *ret_set = TAKE(set);
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
