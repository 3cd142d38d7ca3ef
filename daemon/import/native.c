/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "config-value.h"
#include "import/import.h"

/* What a profile may say is printable ASCII; in double quotes YAML takes all of it but these two as it stands. */
static void print_quoted(FILE *stream, const char *text) {
        (void)fputc('"', stream);
        for (; *text; text++) {
                if (*text == '"' || *text == '\\')
                        (void)fputc('\\', stream);
                (void)fputc(*text, stream);
        }
        (void)fputc('"', stream);
}

static void print_size(FILE *stream, const char *key, uint64_t size) {
        if (size > 0)
                (void)fprintf(stream, ", %s: %s", key, config_size_format(size).text);
}

static void print_devices(FILE *stream, const ProfileMatch *match) {
        if (match->n_devices == 0)
                return;

        (void)fprintf(stream, ", device: [");
        for (size_t i = 0; i < match->n_devices; i++)
                (void)fprintf(stream, "%s0x%04x", i > 0 ? ", " : "", match->devices[i]);
        (void)fprintf(stream, "]");
}

static void print_subsystem(FILE *stream, const SubsystemMatch *match) {
        if (match->mask >> 16 != 0)
                (void)fprintf(stream, "%04" PRIx32 ":", match->value >> 16);
        else
                (void)fprintf(stream, "*:");
        if ((match->mask & UINT16_MAX) != 0)
                (void)fprintf(stream, "%04" PRIx32, match->value & UINT16_MAX);
        else
                (void)fprintf(stream, "*");
}

static void print_match(FILE *stream, const ProfileMatch *match) {
        if (match->any_vendor)
                (void)fprintf(stream, "{vendor: any");
        else
                (void)fprintf(stream, "{vendor: 0x%04x", match->vendor);
        print_devices(stream, match);

        for (size_t i = 0; i < match->n_subsystems; i++) {
                (void)fprintf(stream, "%s\"", i > 0 ? ", " : ", subsystem: [");
                print_subsystem(stream, &match->subsystems[i]);
                (void)fprintf(stream, "\"%s", i + 1 == match->n_subsystems ? "]" : "");
        }
        if (!streq(match->address, "*")) {
                (void)fprintf(stream, ", address: ");
                print_quoted(stream, match->address);
        }
        (void)fprintf(stream, "}");
}

static void print_nvidia(FILE *stream, const char *margin, const TypeSpec *type) {
        if (!type->nvidia_license[0] && !type->nvidia_signature[0])
                return;

        (void)fprintf(stream, ",\n%s   nvidia: {", margin);
        if (type->nvidia_license[0]) {
                (void)fprintf(stream, "license: ");
                print_quoted(stream, type->nvidia_license);
        }
        if (type->nvidia_signature[0])
                (void)fprintf(stream, "%ssignature: \"%s\"", type->nvidia_license[0] ? ", " : "",
                              type->nvidia_signature);
        (void)fprintf(stream, "}");
}

static void print_displays(FILE *stream, const TypeSpec *type) {
        (void)fprintf(stream, "displays: {heads: %" PRIu32, type->heads);
        if (type->max_width > 0 && type->max_height > 0)
                (void)fprintf(stream, ", max: %" PRIu32 "x%" PRIu32, type->max_width, type->max_height);
        if (type->frame_limit > 0)
                (void)fprintf(stream, ", frame-limit: %" PRIu32, type->frame_limit);
        (void)fprintf(stream, ", limiter: %s}", type->limiter ? "on" : "off");
}

static void print_type(FILE *stream, const TypeSpec *type) {
        bool whole = type->max_instances > 0 && type->framebuffer > 0;
        const char *margin = whole ? "  " : "# ";

        (void)fprintf(stream, "%s- {id: %" PRIu32 ", name: ", margin, type->id);
        print_quoted(stream, type->name);
        (void)fprintf(stream, ", class: ");
        print_quoted(stream, type->class);
        if (type->max_instances > 0)
                (void)fprintf(stream, ", max-instances: %" PRIu32, type->max_instances);
        else
                (void)fprintf(stream, ", max-instances: ?");
        if (type->framebuffer == 0)
                (void)fprintf(stream, ", framebuffer: ?");

        (void)fprintf(stream, ",\n%s   ecc: %s", margin, type->ecc ? "true" : "false");
        print_size(stream, "framebuffer", type->framebuffer);
        print_size(stream, "reserved", type->reserved);
        print_size(stream, "mappable-video", type->mappable_video);
        print_size(stream, "bar1", type->bar1);
        (void)fprintf(stream, ",\n%s   encoder: %" PRIu32 "%%, multi-vgpu: %s", margin, type->encoder_percent,
                      type->multi_vgpu ? "true" : "false");
        if (type->vdev_id != 0)
                (void)fprintf(stream, ", vdev-id: 0x%08" PRIx64, type->vdev_id);
        if (type->pdev_id != 0)
                (void)fprintf(stream, ", pdev-id: 0x%04" PRIx64, type->pdev_id);

        (void)fprintf(stream, ",\n%s   ", margin);
        print_displays(stream, type);
        print_nvidia(stream, margin, type);
        (void)fprintf(stream, "}\n");
}

void native_print_profile(FILE *stream, const Profile *profile) {
        bool list = profile->n_matches > 1;

        (void)fprintf(stream, "version: 1\nmatch:%s", list ? "\n" : " ");
        for (size_t i = 0; i < profile->n_matches; i++) {
                (void)fprintf(stream, "%s", list ? "  - " : "");
                print_match(stream, &profile->matches[i]);
                (void)fprintf(stream, "\n");
        }

        (void)fprintf(stream, "types:\n");
        for (size_t i = 0; i < profile->n_types; i++)
                print_type(stream, &profile->types[i]);
}

static void print_vgpu(FILE *stream, const TopologyVGpu *vgpu) {
        (void)fprintf(stream, "        - {type: ");
        print_quoted(stream, vgpu->type);
        (void)fprintf(stream, ", count: %" PRIu32 "%s}\n", vgpu->count, vgpu->per_gpu ? ", per-gpu: true" : "");
}

static void print_topology(FILE *stream, const Topology *topology) {
        (void)fprintf(stream, "  ");
        print_quoted(stream, topology->name);
        (void)fprintf(stream, ":\n");

        for (size_t i = 0; i < topology->n_entries; i++) {
                const TopologyEntry *entry = &topology->entries[i];

                (void)fprintf(stream, "    - match: ");
                print_match(stream, &entry->match);
                (void)fprintf(stream, "\n      vgpus:%s\n", entry->n_vgpus == 0 ? " []" : "");
                for (size_t j = 0; j < entry->n_vgpus; j++)
                        print_vgpu(stream, &entry->vgpus[j]);
        }
}

void native_print_topologies(FILE *stream, const TopologySet *set) {
        (void)fprintf(stream, "version: 1\ntopologies:\n");
        for (size_t i = 0; i < set->n_topologies; i++)
                print_topology(stream, set->topologies[i]);
        if (set->default_name[0]) {
                (void)fprintf(stream, "default: ");
                print_quoted(stream, set->default_name);
                (void)fprintf(stream, "\n");
        }
}
