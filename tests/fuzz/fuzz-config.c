/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any bytes as a profile, as topologies and as settings: they are refused with a report, or the model may rely on every value.
 */

#include "config.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* abort() and not assert(): a build without assertions would fuzz nothing. */
static void require(bool condition) {
        if (!condition)
                abort();
}

static void check_type(const TypeSpec *t, uint32_t n_lines) {
        require(t->id >= 1);
        require(memchr(t->name, '\0', sizeof(t->name)) && t->name[0] && text_is_printable(t->name));
        require(memchr(t->class, '\0', sizeof(t->class)) && t->class[0] && text_is_printable(t->class));
        require(t->max_instances >= 1 && t->max_instances <= 65535);
        require(t->framebuffer >= 1 && t->framebuffer <= UINT64_C(1) << 46 && t->framebuffer % 1048576 == 0);
        require(t->reserved <= UINT64_C(1) << 46);
        require(t->mappable_video <= t->framebuffer);
        require((t->bar1 & (t->bar1 - 1)) == 0 || t->bar1 == 0);
        require(t->vdev_id <= UINT32_MAX && t->pdev_id <= UINT32_MAX);
        require(t->encoder_percent <= 100);
        require(t->max_width >= 1 && t->max_height >= 1 && t->frame_limit >= 1);
        require(t->line >= 1 && t->line <= n_lines);
}

static void check_profile(const Profile *profile, uint32_t n_lines) {
        require(profile->n_types <= PROFILE_TYPES_MAX);
        require(profile->n_matches > 0);
        for (size_t i = 0; i < profile->n_matches; i++) {
                require(!profile->matches[i].any_vendor || profile->matches[i].n_devices == 0);
                require(text_is_name(profile->matches[i].address));
        }

        for (size_t i = 0; i < profile->n_types; i++) {
                check_type(&profile->types[i], n_lines);
                for (size_t j = 0; j < i; j++)
                        require(profile->types[i].id != profile->types[j].id);
        }
}

static void check_report(const ConfigReport *report, uint32_t n_lines) {
        const ConfigProblem *before = NULL;

        require(report->n_problems <= CONFIG_FILE_ERRORS_MAX + CONFIG_FILE_WARNINGS_MAX + 3);

        for (size_t i = 0; i < report->n_problems; i++) {
                const ConfigProblem *p = &report->problems[i];

                require(text_is_printable(p->message) && strlen(p->message) < 512);
                require(p->line >= 1 && p->line <= n_lines && p->column >= 1);
                require(!before || before->line < p->line || (before->line == p->line && before->column <= p->column));
                before = p;
        }
}

static void check_topology(const Topology *topology, uint32_t n_lines) {
        require(topology_count_vgpus(topology) <= TOPOLOGY_VGPUS_MAX);
        require(topology->line >= 1 && topology->line <= n_lines);
        require(topology->name[0] && text_is_printable(topology->name));

        for (size_t i = 0; i < topology->n_entries; i++) {
                require(text_is_name(topology->entries[i].match.address));
                for (size_t j = 0; j < topology->entries[i].n_vgpus; j++) {
                        const TopologyVGpu *vgpu = &topology->entries[i].vgpus[j];
                        char uuid[37];

                        require(vgpu->type[0] && text_is_printable(vgpu->type) && text_is_printable(vgpu->label));
                        require(vgpu->count >= 1 && (vgpu->count == 1 || vgpu->uuid[0] == '\0'));
                        require(vgpu->uuid[0] == '\0' || text_parse_uuid(vgpu->uuid, uuid) >= 0);
                }
        }
}

/* The same bytes as the other kinds of file. */
static void parse_mdev_gpu(const uint8_t *data, size_t size, uint32_t n_lines) {
        ProfileSet *set = profile_set_new();
        ConfigReport report = {};
        int r;

        require(set);
        r = config_parse_mdev_gpu("fuzz", (const char *)data, size, set, &report);
        require(r == (report.n_errors > 0 ? -EBADMSG : 0));
        check_report(&report, n_lines);
        for (size_t i = 0; r >= 0 && i < set->n_profiles; i++)
                check_profile(set->profiles[i], n_lines);
        profile_set_free(set);
        config_report_done(&report);
}

static void parse_topologies(const uint8_t *data, size_t size, uint32_t n_lines) {
        TopologyDraft draft = { .set = topology_set_new() };
        ConfigReport report = {};
        int r;

        require(draft.set);
        r = config_parse_topologies("fuzz", (const char *)data, size, &draft, &report);
        require(r == (report.n_errors > 0 ? -EBADMSG : 0));
        check_report(&report, n_lines);
        for (size_t i = 0; r >= 0 && i < draft.set->n_topologies; i++)
                check_topology(draft.set->topologies[i], n_lines);
        config_report_done(&report);

        require(config_check_topologies(&draft, &report) >= 0);
        topology_set_free(draft.set);
        config_report_done(&report);
}

static void check_patterns(const RulePatterns *patterns) {
        require(patterns->n <= RULE_PATTERNS_MAX && (!patterns->any || patterns->n == 0));
        for (size_t i = 0; i < patterns->n; i++)
                require(patterns->items[i][0] && text_is_printable(patterns->items[i]));
}

static void parse_settings(const uint8_t *data, size_t size, uint32_t n_lines) {
        Settings *settings = settings_new();
        ConfigReport report = {};
        int r;

        require(settings);
        settings->root = "/nonexistent"; /* names are in nobody's file */
        r = config_parse_settings("fuzz", (const char *)data, size, settings, &report);
        require(r == (report.n_errors > 0 ? -EBADMSG : 0));
        check_report(&report, n_lines);
        require(settings->rules->n_limits + settings->rules->n_uses <= RULES_MAX);
        for (size_t i = 0; i < settings->rules->n_limits; i++)
                require(settings->rules->limits[i].line >= 1 && settings->rules->limits[i].line <= n_lines);
        for (size_t i = 0; i < settings->rules->n_uses; i++) {
                check_patterns(&settings->rules->uses[i].types);
                check_patterns(&settings->rules->uses[i].gpus);
        }
        settings_free(settings);
        config_report_done(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        ConfigReport report = {};
        Profile *profile = NULL;
        uint32_t n_lines = 1;
        int r;

        for (size_t i = 0; i < size; i++)
                n_lines += data[i] == '\n';

        r = config_parse_profile("fuzz", (const char *)data, size, &profile, &report);
        require(r == (report.n_errors > 0 ? -EBADMSG : 0));
        require(r >= 0 || !profile);

        check_report(&report, n_lines);
        if (profile)
                check_profile(profile, n_lines);

        profile_free(profile);
        config_report_done(&report);
        parse_topologies(data, size, n_lines);
        parse_mdev_gpu(data, size, n_lines);
        parse_settings(data, size, n_lines);
        return 0;
}
