/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vgpuConfig.xml of NVIDIA's vGPU manager: its types, and which card may have how many of which. What the elements mean
 * is observed (535), not documented by the vendor: sizes are in bytes, but bar1Length, which is in MiB.
 */

#include <inttypes.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include "config-type.h"
#include "import/import.h"
#include "util/text.h"

#define TYPES_MAX 4096U
#define VENDOR_NVIDIA 0x10deU

typedef struct Draft {
        Import *import;
        TypeSpec *types;
        size_t n_types;
} Draft;

static int report(Draft *draft, const xmlNode *node, ProblemSeverity severity, const char *format, ...) _printf_(4, 5);

static int report(Draft *draft, const xmlNode *node, ProblemSeverity severity, const char *format, ...) {
        _cleanup_(freep) char *message = NULL;
        long line = node ? xmlGetLineNo(node) : 0;
        va_list ap;
        int r;

        va_start(ap, format);
        r = text_formatv(&message, format, ap);
        va_end(ap);
        if (r < 0)
                return r;

        text_sanitize(message);
        if (draft->import->report->n_problems >= CONFIG_ERRORS_MAX)
                return severity == PROBLEM_ERROR ? -EBADMSG : 0;
        return config_report_add(draft->import->report, draft->import->file, line > 0 ? (uint32_t)line : 0,
                                 line > 0 ? 1 : 0, severity, "%s", message);
}

static bool is_element(const xmlNode *node, const char *name) {
        return node->type == XML_ELEMENT_NODE && streq((const char *)node->name, name);
}

static const xmlNode *find_child(const xmlNode *node, const char *name) {
        for (const xmlNode *child = node->children; child; child = child->next)
                if (is_element(child, name))
                        return child;

        return NULL;
}

/* Decimal or hexadecimal, with blanks around it. */
static int parse_number(const char *text, uint64_t max, uint64_t *ret) {
        char digits[32];
        size_t n;

        text += strspn(text, " \t\r\n");
        n = strcspn(text, " \t\r\n");
        if (n == 0 || n >= sizeof(digits) || text[n + strspn(text + n, " \t\r\n")] != '\0')
                return -EINVAL;

        memcpy(digits, text, n);
        digits[n] = '\0';
        if (config_number_parse(digits, ret) < 0 || *ret > max)
                return -EINVAL;
        return 0;
}

/* -ENOENT: there is no such attribute; -EINVAL, reported: what it says is no such number. */
static int read_attribute(Draft *draft, const xmlNode *node, const char *name, uint64_t max, uint64_t *ret) {
        xmlChar *text = xmlGetProp(node, (const xmlChar *)name);
        int r;

        if (!text)
                return -ENOENT;

        r = parse_number((const char *)text, max, ret);
        xmlFree(text);
        if (r >= 0)
                return 0;

        r = report(draft, node, PROBLEM_ERROR, "%s: is not a number up to %" PRIu64, name, max);
        return r < 0 ? r : -EINVAL;
}

static int read_child(Draft *draft, const xmlNode *node, const char *name, uint64_t max, uint64_t *ret) {
        const xmlNode *child = find_child(node, name);
        xmlChar *text;
        int r;

        if (!child)
                return 0;
        text = xmlNodeGetContent(child);
        if (!text)
                return -ENOMEM;

        r = parse_number((const char *)text, max, ret);
        xmlFree(text);
        return r >= 0 ? 0 : report(draft, child, PROBLEM_ERROR, "%s: is not a number up to %" PRIu64, name, max);
}

static int read_text_attribute(Draft *draft, const xmlNode *node, const char *name, char *buffer, size_t size) {
        xmlChar *text = xmlGetProp(node, (const xmlChar *)name);
        bool fits = text && text[0] && strlen((const char *)text) < size && text_is_printable((const char *)text);

        if (fits)
                strcpy(buffer, (const char *)text);
        xmlFree(text);
        return fits ? 0
                    : report(draft, node, PROBLEM_ERROR, "%s: is not a printable text of at most %zu bytes", name,
                             size - 1);
}

static int read_license(Draft *draft, const xmlNode *node, TypeSpec *spec) {
        const xmlNode *child = find_child(node, "license");
        xmlChar *text;
        bool fits;

        if (!child)
                return 0;
        text = xmlNodeGetContent(child);
        fits = text && strlen((const char *)text) < sizeof(spec->nvidia_license) &&
               text_is_printable((const char *)text);
        if (fits)
                strcpy(spec->nvidia_license, (const char *)text);
        xmlFree(text);
        return fits ? 0
                    : report(draft, child, PROBLEM_ERROR, "license: is not a printable text of at most %zu bytes",
                             sizeof(spec->nvidia_license) - 1);
}

/* Which device the guest sees. */
static int read_virtual_device(Draft *draft, const xmlNode *node, TypeSpec *spec) {
        const xmlNode *id = find_child(node, "devId");
        uint64_t device = 0, subsystem = 0;
        int r;

        if (!id)
                return 0;
        r = read_attribute(draft, id, "deviceId", UINT16_MAX, &device);
        if (r >= 0 || r == -ENOENT)
                r = read_attribute(draft, id, "subsystemId", UINT16_MAX, &subsystem);
        spec->vdev_id = device << 16 | subsystem;
        return r == -ENOMEM ? r : 0;
}

static int read_display(Draft *draft, const xmlNode *node, TypeSpec *spec) {
        const xmlNode *display = find_child(node, "display");
        uint64_t width = 0, height = 0;
        int r;

        if (!display)
                return 0;
        r = read_attribute(draft, display, "width", PIXELS_MAX, &width);
        if (r >= 0)
                r = read_attribute(draft, display, "height", PIXELS_MAX, &height);
        if (r < 0)
                return r == -ENOMEM ? r : 0;

        spec->max_width = (uint32_t)width;
        spec->max_height = (uint32_t)height;
        return 0;
}

static int read_sizes(Draft *draft, const xmlNode *node, TypeSpec *spec) {
        uint64_t bar1 = 0;
        int r;

        r = read_child(draft, node, "framebuffer", MEMORY_MAX, &spec->framebuffer);
        if (r >= 0)
                r = read_child(draft, node, "fbReservation", MEMORY_MAX, &spec->reserved);
        if (r >= 0)
                r = read_child(draft, node, "mappableVideoSize", MEMORY_MAX, &spec->mappable_video);
        if (r >= 0)
                r = read_child(draft, node, "bar1Length", MEMORY_MAX / MIB, &bar1);
        spec->bar1 = bar1 * MIB;
        return r;
}

static int read_numbers(Draft *draft, const xmlNode *node, TypeSpec *spec) {
        uint64_t encoder = 100, heads = 1, limit = 60, limiter = 1, ecc = 0, multi = 0;
        int r;

        r = read_child(draft, node, "encoderCapacity", 100, &encoder);
        if (r >= 0)
                r = read_child(draft, node, "numHeads", HEADS_MAX, &heads);
        if (r >= 0)
                r = read_child(draft, node, "frlConfig", FRAMES_MAX, &limit);
        if (r >= 0)
                r = read_child(draft, node, "frl_enable", 1, &limiter);
        if (r >= 0)
                r = read_child(draft, node, "eccSupported", 1, &ecc);
        if (r >= 0)
                r = read_child(draft, node, "multiVgpuSupported", 1, &multi);

        spec->encoder_percent = (uint32_t)encoder;
        spec->heads = (uint32_t)heads;
        spec->frame_limit = (uint32_t)limit;
        spec->limiter = limiter != 0 && limit > 0;
        spec->ecc = ecc != 0;
        spec->multi_vgpu = multi != 0;
        return r;
}

static int read_type(Draft *draft, const xmlNode *node) {
        TypeSpec *types, spec = { .line = (uint32_t)MAX(xmlGetLineNo(node), 0L) };
        uint64_t id = 0;
        int r;

        r = read_attribute(draft, node, "id", UINT32_MAX, &id);
        if (r < 0)
                return r == -ENOENT ? report(draft, node, PROBLEM_ERROR, "a vgpuType without id")
                                    : (r == -EINVAL ? 0 : r);
        if (draft->n_types >= TYPES_MAX) {
                r = report(draft, node, PROBLEM_ERROR, "more than %u types", TYPES_MAX);
                return r < 0 ? r : -EBADMSG;
        }

        spec.id = (uint32_t)id;
        r = read_text_attribute(draft, node, "name", spec.name, sizeof(spec.name));
        if (r >= 0)
                r = read_text_attribute(draft, node, "class", spec.class, sizeof(spec.class));
        if (r >= 0)
                r = read_virtual_device(draft, node, &spec);
        if (r >= 0)
                r = read_display(draft, node, &spec);
        if (r >= 0)
                r = read_sizes(draft, node, &spec);
        if (r >= 0)
                r = read_numbers(draft, node, &spec);
        if (r >= 0)
                r = read_license(draft, node, &spec);
        if (r < 0)
                return r;

        types = reallocarray(draft->types, draft->n_types + 1, sizeof(TypeSpec));
        if (!types)
                return -ENOMEM;
        draft->types = types;
        draft->types[draft->n_types++] = spec;
        return 0;
}

/* The signature of a type is for one card alone, so that it stands there. */
static void read_signature(const xmlNode *node, TypeSpec *spec) {
        const xmlNode *digest = find_child(node, "digest");
        xmlChar *text = digest ? xmlNodeGetContent(digest) : NULL;
        size_t n = 0;

        for (const xmlChar *s = text; s && *s && n + 1 < sizeof(spec->nvidia_signature); s++)
                if (strchr("0123456789abcdefABCDEF", *s))
                        spec->nvidia_signature[n++] = (char)*s;
        if (n + 1 != sizeof(spec->nvidia_signature))
                n = 0;
        spec->nvidia_signature[n] = '\0';
        xmlFree(text);
}

static int add_supported(Draft *draft, const xmlNode *node, Profile *profile) {
        uint64_t id = 0, instances = 0;
        TypeSpec spec;
        int r;

        r = read_attribute(draft, node, "vgpuId", UINT32_MAX, &id);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        r = read_child(draft, node, "maxVgpus", INSTANCES_MAX, &instances);
        if (r < 0)
                return r;

        for (size_t i = 0; i < draft->n_types; i++) {
                if (draft->types[i].id != id)
                        continue;

                spec = draft->types[i];
                spec.max_instances = (uint32_t)instances;
                read_signature(node, &spec);
                if (spec.framebuffer % MIB != 0)
                        return report(draft, node, PROBLEM_WARNING,
                                      "type %" PRIu64 " is left out: its framebuffer is not a multiple of 1MiB", id);

                r = profile_add_type(profile, &spec);
                return r == -EEXIST || r == -E2BIG ? report(draft, node, PROBLEM_WARNING,
                                                            "type %" PRIu64 " is left out: it is there "
                                                            "already, or one too many",
                                                            id)
                                                   : r;
        }

        return report(draft, node, PROBLEM_WARNING, "vgpuId: there is no type %" PRIu64, id);
}

/* Whether the person asked for this card: DEVICE, or DEVICE:SUBSYSTEM, in hexadecimal digits. */
static bool is_wanted(const Import *import, uint64_t device, uint64_t subsystem) {
        char name[16], whole[16];

        if (import->n_names == 0)
                return true;

        (void)snprintf(name, sizeof(name), "%04" PRIx64, device & UINT16_MAX);
        (void)snprintf(whole, sizeof(whole), "%04" PRIx64 ":%04" PRIx64, device & UINT16_MAX, subsystem & UINT16_MAX);
        for (size_t i = 0; i < import->n_names; i++)
                if (strcasecmp(import->names[i], name) == 0 || strcasecmp(import->names[i], whole) == 0)
                        return true;

        return false;
}

static int set_card(Draft *draft, const xmlNode *node, Profile *profile, bool *ret_wanted) {
        const xmlNode *id = find_child(node, "devId");
        uint64_t vendor = VENDOR_NVIDIA, device = 0, subvendor = 0, subsystem = 0;
        ProfileMatch *match;
        int r;

        if (!id)
                return report(draft, node, PROBLEM_ERROR, "a pgpu without devId");
        r = read_attribute(draft, id, "vendorId", UINT16_MAX, &vendor);
        if (r >= 0 || r == -ENOENT)
                r = read_attribute(draft, id, "deviceId", UINT16_MAX, &device);
        if (r >= 0)
                r = read_attribute(draft, id, "subsystemVendorId", UINT16_MAX, &subvendor);
        if (r >= 0 || r == -ENOENT)
                r = read_attribute(draft, id, "subsystemId", UINT16_MAX, &subsystem);
        if (r < 0 && r != -ENOENT)
                return r == -EINVAL ? 0 : r;

        *ret_wanted = is_wanted(draft->import, device, subsystem);
        match = profile_add_match(profile);
        if (!match)
                return -ENOMEM;
        match->any_vendor = false;
        match->vendor = (uint16_t)vendor;
        match->devices = malloc(sizeof(uint16_t));
        match->subsystems = subsystem != 0 ? malloc(sizeof(SubsystemMatch)) : NULL;
        if (!match->devices || (subsystem != 0 && !match->subsystems))
                return -ENOMEM;
        match->devices[match->n_devices++] = (uint16_t)device;
        if (subsystem != 0)
                match->subsystems[match->n_subsystems++] =
                        (SubsystemMatch){ .value = (uint32_t)(subvendor << 16 | subsystem),
                                          .mask = subvendor != 0 ? UINT32_MAX : UINT16_MAX };
        return 0;
}

static int read_card(Draft *draft, const xmlNode *node) {
        _cleanup_(profile_freep) Profile *profile = NULL;
        bool wanted = false;
        int r;

        profile = profile_new(draft->import->file);
        if (!profile)
                return -ENOMEM;
        r = set_card(draft, node, profile, &wanted);
        if (r < 0 || !wanted)
                return r;

        for (const xmlNode *child = node->children; child && r >= 0; child = child->next)
                if (is_element(child, "supportedVgpu"))
                        r = add_supported(draft, child, profile);
        if (r < 0 || profile->n_types == 0)
                return r;

        r = profile_set_add(draft->import->profiles, profile);
        if (r >= 0)
                profile = NULL;
        return r;
}

static int read_document(Draft *draft, const xmlNode *root) {
        int r = 0;

        if (!is_element(root, "vgpuconfig")) {
                r = report(draft, root, PROBLEM_ERROR, "the root element is not vgpuconfig");
                return r < 0 ? r : -EBADMSG;
        }

        for (const xmlNode *node = root->children; node && r >= 0; node = node->next)
                if (is_element(node, "vgpuType"))
                        r = read_type(draft, node);
        for (const xmlNode *node = root->children; node && r >= 0; node = node->next)
                if (is_element(node, "pgpu"))
                        r = read_card(draft, node);
        return r;
}

/* Nothing is fetched, no entity replaced; what libxml2 says of a broken file goes where all problems go. */
int import_vgpu_config(Import *import) {
        size_t n_errors = import->report->n_errors;
        Draft draft = { .import = import };
        const xmlError *error;
        xmlDoc *document;
        int r;

        document = xmlReadMemory(import->text, (int)import->size, import->file, NULL,
                                 XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_BIG_LINES);
        if (document && xmlDocGetRootElement(document))
                r = read_document(&draft, xmlDocGetRootElement(document));
        else {
                error = xmlGetLastError();
                r = config_report_add(import->report, import->file,
                                      error && error->line > 0 ? (uint32_t)error->line : 0,
                                      error && error->line > 0 ? 1 : 0, PROBLEM_ERROR, "is no XML that can be read");
        }

        xmlFreeDoc(document);
        xmlCleanupParser();
        free(draft.types);
        if (r < 0)
                return r;
        return import->report->n_errors > n_errors ? -EBADMSG : 0;
}
