/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdarg.h>

#include "core/gpu.h"
#include "core/migration.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/string-table.h"
#include "util/text.h"

static const char *const migration_verdict_table[MIGRATION_VERDICT_MAX] = {
        [MIGRATION_COMPATIBLE] = "compatible",
        [MIGRATION_INCOMPATIBLE] = "incompatible",
        [MIGRATION_UNKNOWN] = "unknown",
};

DEFINE_STRING_TABLE(migration_verdict, MigrationVerdict)

/* Of what drivers say of their GPUs what concerns it. */
static const char *const migration_told[] = {
        "migration", "migration-streaming", "migration-bandwidth", "migration-metadata", "protocol-min", "protocol-max",
        NULL,
};

/* What makes a type what it is: a vGPU of one whose type differs in any of these is another device for its guest. */
static const struct {
        const char *key, *what;
} type_fields[] = {
        { "type", "type" },
        { "type-name", "name of the type" },
        { "kind", "kind of vGPU" },
        { "device-api", "device API" },
        { "framebuffer", "framebuffer" },
        { "bar1", "BAR1" },
        { "heads", "number of heads" },
        { "max-width", "width" },
        { "max-height", "height" },
        { "frame-limit", "frame limit" },
        { "encoder", "share of the encoder" },
        { "ecc", "ECC" },
        { "multi-vgpu", "several vGPUs in one machine" },
        { "limiter", "frame limiter" },
};

static int add_u32(Facts *facts, const char *key, uint32_t v) {
        return v != UNKNOWN_U32 ? facts_add_u32(facts, key, v) : 0;
}

static int add_u64(Facts *facts, const char *key, uint64_t v) {
        return v != UNKNOWN_U64 ? facts_add_u64(facts, key, v) : 0;
}

static int add_tristate(Facts *facts, const char *key, Tristate v) {
        return v != TRISTATE_UNKNOWN ? facts_add_bool(facts, key, v == TRISTATE_YES) : 0;
}

static int describe_gpu(const Gpu *gpu, Facts *facts) {
        const GpuIdentity *identity = &gpu->identity;
        int r;

        r = facts_add_u32(facts, "format", MIGRATION_FORMAT);
        if (r >= 0)
                r = facts_add_text(facts, "gpu", identity->address);
        if (r >= 0)
                r = facts_add_text(facts, "backend", gpu->backend);
        if (r >= 0)
                r = facts_add_text(facts, "driver", gpu->driver);
        if (r >= 0)
                r = facts_add_text(facts, "driver-version", gpu->driver_version);
        if (r < 0 || !identity->pci)
                return r;

        r = facts_add_u32(facts, "vendor-id", identity->vendor);
        if (r >= 0)
                r = facts_add_u32(facts, "device-id", identity->device);
        if (r >= 0)
                r = facts_add_u32(facts, "subsystem-vendor-id", identity->subsystem_vendor);
        if (r >= 0)
                r = facts_add_u32(facts, "subsystem-device-id", identity->subsystem_device);
        return r;
}

static int describe_limits(const TypeReport *type, Facts *facts) {
        int r;

        r = add_u64(facts, "framebuffer", type->framebuffer);
        if (r >= 0)
                r = add_u64(facts, "bar1", type->details.bar1);
        if (r >= 0)
                r = add_u32(facts, "heads", type->heads);
        if (r >= 0)
                r = add_u32(facts, "max-width", type->max_width);
        if (r >= 0)
                r = add_u32(facts, "max-height", type->max_height);
        if (r >= 0)
                r = add_u32(facts, "frame-limit", type->frame_limit);
        if (r >= 0)
                r = add_u32(facts, "encoder", type->details.encoder);
        if (r >= 0)
                r = add_tristate(facts, "ecc", type->details.ecc);
        if (r >= 0)
                r = add_tristate(facts, "multi-vgpu", type->details.multi_vgpu);
        if (r >= 0)
                r = add_tristate(facts, "limiter", type->details.limiter);
        return r;
}

static int describe_type(const TypeReport *type, Facts *facts) {
        int r;

        r = facts_add_text(facts, "type", type->id);
        if (r >= 0)
                r = facts_add_text(facts, "registration", registration_to_string(type->registration));
        if (r >= 0)
                r = facts_add_text(facts, "type-name", type->name);
        if (r >= 0)
                r = facts_add_text(facts, "kind", vgpu_kind_to_string(type->kind));
        if (r >= 0)
                r = facts_add_text(facts, "device-api", type->device_api);
        return r < 0 ? r : describe_limits(type, facts);
}

int migration_take_told(const Facts *told, Facts *facts) {
        int r = 0;

        for (const char *const *key = migration_told; *key && r >= 0; key++) {
                const Fact *fact = facts_find(told, *key);

                r = fact ? facts_add(facts, fact->key, fact->kind, fact->number, fact->text) : 0;
        }

        return r;
}

/* Handed to vfio-pci: that driver itself has no migration (drivers/vfio/pci/vfio_pci.c sets no migration operations). */
static bool is_passed_through(const TypeReport *type) {
        return streq(type->id, TYPE_ID_WHOLE) || streq(type->id, TYPE_ID_VF);
}

int migration_describe(const Type *type, const UsageReport *usage, Facts *facts) {
        int r;

        r = describe_gpu(type->gpu, facts);
        if (r >= 0)
                r = describe_type(&type->report, facts);
        if (r >= 0 && is_passed_through(&type->report))
                return facts_add_bool(facts, "migration", false);

        return r < 0 || !usage ? r : migration_take_told(&usage->facts, facts);
}

typedef struct Judgement {
        const Facts *here, *there;
        bool refused; /* something says no */
        bool doubted; /* something cannot be told */
        MigrationReasons *reasons;
} Judgement;

static void say(Judgement *j, const char *format, ...) _printf_(2, 3);

static void say(Judgement *j, const char *format, ...) {
        va_list ap;

        if (j->reasons->n >= MIGRATION_REASONS_MAX)
                return;

        va_start(ap, format);
        (void)vsnprintf(j->reasons->items[j->reasons->n], sizeof(j->reasons->items[0]), format, ap);
        va_end(ap);
        text_sanitize(j->reasons->items[j->reasons->n++]);
}

static const Fact *find(const Facts *facts, const char *key, FactKind kind) {
        const Fact *fact = facts_find(facts, key);
        bool number = kind == FACT_U32 || kind == FACT_U64;

        return fact && (fact->kind == kind || (number && (fact->kind == FACT_U32 || fact->kind == FACT_U64))) ? fact
                                                                                                              : NULL;
}

static const char *show(const Fact *fact, char buffer[static FACT_TEXT_SIZE]) {
        if (fact->kind == FACT_TEXT)
                (void)snprintf(buffer, FACT_TEXT_SIZE, "'%.120s'", fact->text);
        else if (fact->kind == FACT_BOOL)
                (void)snprintf(buffer, FACT_TEXT_SIZE, "%s", fact->number ? "yes" : "no");
        else
                (void)snprintf(buffer, FACT_TEXT_SIZE, "%" PRIu64, fact->number);
        return buffer;
}

static bool is_equal(const Fact *a, const Fact *b) {
        return a->kind == FACT_TEXT ? streq(a->text, b->text) : a->number == b->number;
}

/* What only one of the two tells keeps nobody from saying no, and from saying yes. */
static void compare(Judgement *j, bool *flag, const char *key, const char *what) {
        const Fact *here = facts_find(j->here, key), *there = facts_find(j->there, key);
        char a[FACT_TEXT_SIZE], b[FACT_TEXT_SIZE];

        if (here && there)
                there = find(j->there, key, here->kind);
        if (!here && !there)
                return;
        if (!here || !there) {
                j->doubted = true;
                say(j, "%s: only the host %s tells it", what, here ? "here" : "there");
                return;
        }
        if (is_equal(here, there))
                return;

        *flag = true;
        say(j, "%s: %s here, %s there", what, show(here, a), show(there, b));
}

/* One that no vGPU can be made of. */
static void judge_registration(Judgement *j, const Facts *facts, const char *where) {
        const Fact *registration = find(facts, "registration", FACT_TEXT);

        if (!registration || streq(registration->text, registration_to_string(REGISTRATION_REGISTERED)) ||
            streq(registration->text, registration_to_string(REGISTRATION_DIFFERS)))
                return;

        j->refused = true;
        say(j, "the type is %.32s %s: no vGPU of it can be made", registration->text, where);
}

/* The driver's own word on whether vGPUs can be migrated at all. */
static void judge_capability(Judgement *j, const Facts *facts, const char *where) {
        const Fact *migration = find(facts, "migration", FACT_BOOL);

        if (!migration) {
                j->doubted = true;
                say(j, "the driver %s does not say whether its vGPUs can be migrated", where);
        } else if (!migration->number) {
                j->refused = true;
                say(j, "the driver %s says that vGPUs of this type cannot be migrated", where);
        }
}

/* The vendor's oracle: texts that are equal on hosts whose cards take each other's vGPUs. */
static void judge_metadata(Judgement *j) {
        const Fact *here = find(j->here, "migration-metadata", FACT_TEXT),
                   *there = find(j->there, "migration-metadata", FACT_TEXT);

        if (!here || !there) {
                j->doubted = true;
                say(j, "the driver%s by which the two could be compared: only a trial tells",
                    here    ? " there says nothing"
                    : there ? " here says nothing"
                            : "s say nothing");
        } else if (!streq(here->text, there->text)) {
                j->refused = true;
                say(j, "the drivers' migration metadata differ: cards, or their settings, that do not take each "
                       "other's vGPUs");
        }
}

/* Major and minor, of which each host speaks all from its first to its last; false: that is none. */
static bool read_version(const Facts *facts, const char *key, uint64_t *ret) {
        const Fact *fact = find(facts, key, FACT_TEXT);
        unsigned major, minor;
        int n = 0;

        if (!fact || sscanf(fact->text, "%8x.%4x%n", &major, &minor, &n) != 2 || fact->text[n] != '\0')
                return false;

        *ret = (uint64_t)major << 32 | minor;
        return true;
}

/* Drivers whose guests have a driver of the same vendor speak one with it; of NVIDIA's that is known. */
static bool has_protocol(const Facts *facts) {
        const Fact *driver = find(facts, "driver", FACT_TEXT);

        return facts_find(facts, "protocol-min") || facts_find(facts, "protocol-max") ||
               (driver && streq(driver->text, "nvidia"));
}

static void judge_protocol(Judgement *j) {
        uint64_t here_min, here_max, there_min, there_max;

        if (!has_protocol(j->here) && !has_protocol(j->there))
                return;
        if (!read_version(j->here, "protocol-min", &here_min) || !read_version(j->here, "protocol-max", &here_max) ||
            !read_version(j->there, "protocol-min", &there_min) ||
            !read_version(j->there, "protocol-max", &there_max)) {
                j->doubted = true;
                say(j, "not both hosts tell which versions of the protocol between host and guest they speak");
        } else if (here_min > there_max || there_min > here_max) {
                j->refused = true;
                say(j, "the hosts speak no common version of the protocol between host and guest");
        }
}

int migration_judge(const Facts *here, const Facts *there, MigrationVerdict *ret_verdict, MigrationReasons *ret_reasons,
                    Error *error) {
        Judgement j = { .here = here, .there = there, .reasons = ret_reasons };
        const Fact *format = find(there, "format", FACT_U32);

        *ret_reasons = (MigrationReasons){};
        if (!format || !find(there, "backend", FACT_TEXT) || !find(there, "type", FACT_TEXT))
                return error_set(error, -ERROR_INVALID_ARGUMENT,
                                 "What the other host is said to have answered to GetMigrationInfo() lacks 'format', "
                                 "'backend' or 'type'");
        if (format->number > MIGRATION_FORMAT) {
                say(&j, "the other host's mdevgpud is newer: its answer has format %" PRIu64 ", and %u is known here",
                    format->number, MIGRATION_FORMAT);
                *ret_verdict = MIGRATION_UNKNOWN;
                return 0;
        }

        compare(&j, &j.refused, "driver", "driver");
        compare(&j, &j.doubted, "backend", "way in which the driver makes vGPUs");
        compare(&j, &j.refused, "vendor-id", "vendor of the card");
        for (size_t i = 0; i < ELEMENTSOF(type_fields); i++)
                compare(&j, &j.refused, type_fields[i].key, type_fields[i].what);
        judge_registration(&j, here, "here");
        judge_registration(&j, there, "there");
        judge_capability(&j, here, "here");
        judge_capability(&j, there, "there");
        judge_metadata(&j);
        judge_protocol(&j);

        if (!j.refused && !j.doubted)
                say(&j, "type, driver and the drivers' migration metadata are the same");
        *ret_verdict = j.refused ? MIGRATION_INCOMPATIBLE : j.doubted ? MIGRATION_UNKNOWN : MIGRATION_COMPATIBLE;
        return 0;
}

/*
 * QEMU migrates a VFIO device by version 2 of VFIO's protocol, the only one that kernels have from 5.18 on, since 8.0, and
 * unless it is told otherwise since 8.1 (hw/vfio/pci.c: enable-migration in place of x-enable-migration).
 */
#define QEMU_MAJOR 8U
#define QEMU_MINOR 1U

static void judge_qemu(Judgement *j, const Facts *facts) {
        const Fact *version = find(facts, MIGRATION_QEMU, FACT_TEXT);
        unsigned major, minor;

        if (!version || sscanf(version->text, "%4u.%4u", &major, &minor) != 2) {
                j->doubted = true;
                say(j, "it is not known which version of QEMU, if any, runs with it");
        } else if (major < QEMU_MAJOR || (major == QEMU_MAJOR && minor < QEMU_MINOR)) {
                j->refused = true;
                say(j, "QEMU %s runs with it, which does not migrate such a device: from %u.%u on it does",
                    version->text, QEMU_MAJOR, QEMU_MINOR);
        }
}

static void judge_probe(Judgement *j, const Facts *facts, bool probed) {
        const Fact *stop_copy = find(facts, MIGRATION_STOP_COPY, FACT_BOOL),
                   *migration = find(facts, "migration", FACT_BOOL);

        if (probed && (!stop_copy || !stop_copy->number)) {
                j->refused = true;
                say(j, "it was asked, and has no migration: its driver offers no such feature of VFIO");
        } else if (!probed && migration && !migration->number) {
                j->refused = true;
                say(j, "its driver says that its vGPUs cannot be migrated");
        } else if (!probed && !migration) {
                j->doubted = true;
                say(j, "its driver does not say whether its vGPUs can be migrated, and it was not asked itself");
        }
}

const char *migration_judge_vgpu(const VGpu *vgpu, const JobResult *result, bool probed,
                                 MigrationReasons *ret_reasons) {
        const VGpuUsage *told = result->usage.n_vgpus > 0 ? &result->usage.vgpus[0] : NULL;
        const Fact *prohibited = told ? find(&told->facts, "migration-prohibited", FACT_BOOL) : NULL;
        Judgement j = { .reasons = ret_reasons };

        *ret_reasons = (MigrationReasons){};
        if (!vgpu->present) {
                j.doubted = true;
                say(&j, "it is not active: there is nothing to be migrated");
        } else if (vgpu->kind == VGPU_WHOLE || streq(vgpu->type_id, TYPE_ID_VF)) {
                j.refused = true;
                say(&j, "it is handed to vfio-pci, and that driver has no migration");
        } else
                judge_probe(&j, &result->usage.facts, probed);
        if (prohibited && prohibited->number) {
                j.refused = true;
                say(&j, "its guest does something that its driver does not migrate");
        }
        if (result->n_users > 0)
                judge_qemu(&j, &result->usage.facts);

        return j.refused ? "no" : j.doubted ? "unknown" : "yes";
}
