/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config: what the files of the vendor, the run time and the administrator say, read and checked whole.
 *
 * It is all or nothing: either every file is right and there is a new ProfileSet or TopologySet, or there is none and the
 * report holds every error of every file. Whoever calls keeps the set that is in force until then.
 */

#include "config-text.h"
#include "core/profile.h"
#include "core/settings.h"
#include "core/topology.h"

/* Far above what people write and generate, far below what would make the daemon slow or large. A file of 256 types
 * with comments has about 150 kB. */
#define CONFIG_FILE_SIZE_MAX (1024U * 1024U)
#define CONFIG_TOTAL_SIZE_MAX (4U * 1024U * 1024U)
#define CONFIG_FILES_MAX 256U

/* Where reading stops: nobody reads further, and a report that grows without bound is a way to exhaust memory. Warnings
 * never stop it, as they are no reason to refuse a file; those beyond are not told. */
#define CONFIG_FILE_ERRORS_MAX 50U
#define CONFIG_FILE_WARNINGS_MAX 20U
#define CONFIG_ERRORS_MAX 500U

/* Mdev-GPU's own file, below root; where there is none of the first name, the second is looked for. */
#define CONFIG_MDEV_GPU_YAML "/etc/gvm/mdev-gpu/generate-vgpu-types.yaml"
#define CONFIG_MDEV_GPU_JSON "/etc/gvm/mdev-gpu/generate-vgpu-types.json"

/*
 * Reads types.d below root ("" for the system's own) in /etc, /run and /usr/lib, and Mdev-GPU's file, whose profiles say
 * nothing about a GPU that types.d speaks of. Missing folders are fine.
 *
 * 0 and a set (perhaps an empty one) if there were no errors, though perhaps warnings; -EBADMSG and no set if there
 * were; -ENOMEM, with a report that may be incomplete.
 */
int config_load(const char *root, ProfileSet **ret_set, ConfigReport *report);

/*
 * One profile out of memory; file is what messages call it. The same results, of this file alone; 0 and NULL for a text
 * that holds nothing, or nothing but comments.
 */
int config_parse_profile(const char *file, const char *text, size_t size, Profile **ret_profile, ConfigReport *report);

/*
 * The same for a file of Mdev-GPU (Arc-Compute's mdev-cli, whose last version is of August 2022), YAML or JSON, of which
 * each entry of 'gpus' is a profile; these are appended to set. Its keys, defaults and units are those of its documentation
 * and, where that is silent, of its source.
 */
int config_parse_mdev_gpu(const char *file, const char *text, size_t size, ProfileSet *set, ConfigReport *report);

/* The same for topologies.d. */
int config_load_topologies(const char *root, TopologySet **ret_set, ConfigReport *report);

/* The same for mdevgpud.yaml, of which one file is in force; without one all is as by default. */
int config_load_settings(const char *root, Settings **ret_settings, ConfigReport *report);
/* Out of memory; what is filled in if there are errors is good for nothing. */
int config_parse_settings(const char *file, const char *text, size_t size, Settings *settings, ConfigReport *report);

/*
 * All of it, or nothing but the settings: with -EBADMSG *ret_settings are those of mdevgpud.yaml if that one is right, or
 * NULL. On other errors, and where the root is none, there are none.
 */
int config_load_all(const char *root, ProfileSet **ret_profiles, TopologySet **ret_topologies, Settings **ret_settings,
                    ConfigReport *report);

/* What has been read of topologies.d so far: what one file says may be completed by others. */
typedef struct TopologyDraft {
        TopologySet *set;
        const char *file; /* that is being read */
        const char *default_file; /* that says which is the default, and where */
        ConfigMark default_mark;
} TopologyDraft;

/* Adds one file out of memory. -EBADMSG if it has errors: then the set is good for nothing but being completed. */
int config_parse_topologies(const char *file, const char *text, size_t size, TopologyDraft *draft,
                            ConfigReport *report);

/* When all files are there: that what they say of each other holds. */
int config_check_topologies(const TopologyDraft *draft, ConfigReport *report);

/* A line for each problem: `file:line:column: error: message`. */
void config_report_print(const ConfigReport *report, FILE *stream);
