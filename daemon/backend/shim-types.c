/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/shim-types.h"
#include "util/text.h"

void shim_types_done(ShimTypes *t) {
        free(t->current);
        free(t->accepted);
        free(t->judged);
        *t = (ShimTypes){};
}

/* A string of the driver: terminated, printable, or replaced by nothing. */
static void check_string(char *s, size_t size) {
        if (!memchr(s, '\0', size) || !text_is_printable(s))
                s[0] = '\0';
}

int shim_types_identify(ShimTypes *t, const Host *host, int fd) {
        struct mdevgpu_identify identity = { .size = sizeof(identity) };
        int r;

        r = host->ops->ioctl(host, fd, MDEVGPU_IDENTIFY, &identity);
        if (r < 0)
                return r;
        if (identity.abi_version != MDEVGPU_ABI_VERSION)
                return -EPROTO;

        check_string(identity.type_prefix, sizeof(identity.type_prefix));
        check_string(identity.driver, sizeof(identity.driver));
        check_string(identity.driver_version, sizeof(identity.driver_version));
        check_string(identity.vendor, sizeof(identity.vendor));
        check_string(identity.model, sizeof(identity.model));
        if (!text_is_name(identity.type_prefix))
                return -EPROTO;

        t->identity = identity;
        return 0;
}

static int check_types(struct mdevgpu_type *types, size_t n) {
        for (size_t i = 0; i < n; i++) {
                check_string(types[i].name, sizeof(types[i].name));
                check_string(types[i].type_class, sizeof(types[i].type_class));
                if (types[i].id == 0)
                        return -EPROTO;
        }

        return 0;
}

int shim_types_read(ShimTypes *t, const Host *host, int fd, Error *error) {
        _cleanup_(freep) struct mdevgpu_type *types = NULL;
        struct mdevgpu_get_types args = {
                .size = sizeof(args),
                .type_size = sizeof(struct mdevgpu_type),
                .n_types = REPORT_TYPES_MAX,
        };
        int r;

        types = calloc(REPORT_TYPES_MAX, sizeof(struct mdevgpu_type));
        if (!types)
                return error_set_errno(error, -ENOMEM, "the driver's types cannot be read");

        args.types = (uintptr_t)types;
        r = host->ops->ioctl(host, fd, MDEVGPU_GET_TYPES, &args);
        if (r < 0)
                return error_set_errno(error, r, "the driver's types cannot be read");
        if (args.n_types > REPORT_TYPES_MAX || check_types(types, args.n_types) < 0)
                return error_set(error, -ERROR_DRIVER_REJECTED, "the driver's list of types makes no sense");

        free(t->current);
        t->current = TAKE(types);
        t->n_current = args.n_types;
        t->generation = args.generation;
        return 0;
}

static void spec_to_type(const TypeSpec *spec, struct mdevgpu_type *type) {
        *type = (struct mdevgpu_type){
                .id = spec->id,
                .max_instances = spec->max_instances,
                .framebuffer = spec->framebuffer,
                .framebuffer_reserved = spec->reserved,
                .mappable_video = spec->mappable_video,
                .bar1_size = spec->bar1,
                .vdev_id = spec->vdev_id,
                .pdev_id = spec->pdev_id,
                .heads = spec->heads,
                .max_width = spec->max_width,
                .max_height = spec->max_height,
                .frame_limit = spec->frame_limit,
                .encoder_percent = spec->encoder_percent,
                .flags = (spec->ecc ? MDEVGPU_TYPE_ECC : 0) | (spec->multi_vgpu ? MDEVGPU_TYPE_MULTI_VGPU : 0) |
                         (spec->limiter ? MDEVGPU_TYPE_FRAME_LIMITER : 0),
        };
        (void)text_copy(type->name, sizeof(type->name), spec->name);
        (void)text_copy(type->type_class, sizeof(type->type_class), spec->class);
}

/* What was stated, compared with what is held: the output members of the record mean nothing here. */
static bool type_is(const struct mdevgpu_type *held, const TypeSpec *spec) {
        struct mdevgpu_type want;

        spec_to_type(spec, &want);
        return held->id == want.id && held->max_instances == want.max_instances && streq(held->name, want.name) &&
               streq(held->type_class, want.type_class) && held->framebuffer == want.framebuffer &&
               held->framebuffer_reserved == want.framebuffer_reserved &&
               held->mappable_video == want.mappable_video && held->bar1_size == want.bar1_size &&
               held->vdev_id == want.vdev_id && held->pdev_id == want.pdev_id && held->heads == want.heads &&
               held->max_width == want.max_width && held->max_height == want.max_height &&
               held->frame_limit == want.frame_limit && held->encoder_percent == want.encoder_percent &&
               held->flags == want.flags;
}

static const struct mdevgpu_type *find_type(const struct mdevgpu_type *types, size_t n, uint32_t id) {
        for (size_t i = 0; i < n; i++)
                if (types[i].id == id)
                        return &types[i];

        return NULL;
}

static bool set_is(const ShimTypes *t, const TypeSpec *wanted, size_t n_wanted) {
        if (t->n_current != n_wanted)
                return false;

        for (size_t i = 0; i < n_wanted; i++) {
                const struct mdevgpu_type *held = find_type(t->current, t->n_current, wanted[i].id);

                if (!held || !type_is(held, &wanted[i]))
                        return false;
        }

        return true;
}

/* What a refusal of the whole set means; per type the verdicts say it. */
static void keep_refusal(ShimTypes *t, int code, size_t n_wanted) {
        t->waiting = code == -EBUSY;
        switch (-code) {
        case EBUSY:
                (void)error_set(&t->refusal, -ERROR_BUSY,
                                "the driver changes its set of types only while no vGPU exists; done when the last one goes");
                break;
        case EINVAL:
                (void)error_set(&t->refusal, -ERROR_DRIVER_REJECTED,
                                "not registered because the driver refused another type of the set");
                break;
        case E2BIG:
                (void)error_set(&t->refusal, -ERROR_DRIVER_REJECTED, "the driver holds %u types at most, not %zu",
                                t->identity.max_types, n_wanted);
                break;
        case EPERM:
                (void)error_set(&t->refusal, -ERROR_DRIVER_REJECTED, "the driver wants CAP_SYS_ADMIN for it");
                break;
        default:
                (void)error_set(&t->refusal, -ERROR_DRIVER_REJECTED, "the driver refused the set of types: %s (%s)",
                                strerrordesc_np(-code) ?: "unknown error", strerrorname_np(-code) ?: "?");
                break;
        }
}

static struct mdevgpu_type *specs_to_types(const TypeSpec *wanted, size_t n_wanted) {
        struct mdevgpu_type *types;

        types = calloc(MAX(n_wanted, 1U), sizeof(struct mdevgpu_type));
        for (size_t i = 0; types && i < n_wanted; i++)
                spec_to_type(&wanted[i], &types[i]);

        return types;
}

/*
 * True if the driver has taken just this set and changed nothing since. Where it keeps something otherwise than it was
 * sent, sending it again would not help, and each time it announces a change, which makes us read again.
 */
static bool was_accepted(const ShimTypes *t, const TypeSpec *wanted, size_t n_wanted) {
        struct mdevgpu_type type;

        if (!t->accepted || t->n_accepted != n_wanted || t->accepted_generation != t->generation)
                return false;

        for (size_t i = 0; i < n_wanted; i++) {
                spec_to_type(&wanted[i], &type);
                if (memcmp(&type, &t->accepted[i], sizeof(type)) != 0)
                        return false;
        }

        return true;
}

static void keep_accepted(ShimTypes *t, const TypeSpec *wanted, size_t n_wanted, uint64_t generation) {
        free(t->accepted);
        t->accepted = specs_to_types(wanted, n_wanted);
        t->n_accepted = n_wanted;
        t->accepted_generation = generation;
}

static int send_types(ShimTypes *t, const Host *host, int fd, const TypeSpec *wanted, size_t n_wanted, Error *error) {
        _cleanup_(freep) struct mdevgpu_type *types = NULL;
        struct mdevgpu_set_types args = {
                .size = sizeof(args),
                .type_size = sizeof(struct mdevgpu_type),
                .n_types = (uint32_t)n_wanted,
        };
        int r;

        types = specs_to_types(wanted, n_wanted);
        if (!types)
                return error_set_errno(error, -ENOMEM, "the types cannot be registered");
        args.types = n_wanted > 0 ? (uintptr_t)types : 0;

        r = host->ops->ioctl(host, fd, MDEVGPU_SET_TYPES, &args);
        if (r == -ENODEV || r == -ESTALE || r == -EBADF)
                return error_set(error, r, "the control channel was lost: %s",
                                 r == -ESTALE ? "another process took the GPU over" : "the driver has gone");
        if (r < 0) {
                keep_refusal(t, r, n_wanted);
                t->judged = TAKE(types);
                t->n_judged = n_wanted;
        } else
                keep_accepted(t, wanted, n_wanted, args.generation);

        return 0;
}

int shim_types_set(ShimTypes *t, const Host *host, int fd, const TypeSpec *wanted, size_t n_wanted, Error *error) {
        int r;

        t->refusal = ERROR_NULL;
        t->waiting = false;
        free(TAKE(t->judged));
        t->n_judged = 0;

        r = shim_types_read(t, host, fd, error);
        if (r < 0)
                return r;
        if (set_is(t, wanted, n_wanted) || was_accepted(t, wanted, n_wanted))
                return 0;

        return send_types(t, host, fd, wanted, n_wanted, error);
}

static const char *verdict_to_sentence(uint32_t verdict) {
        switch (verdict) {
        case MDEVGPU_VERDICT_BAD_ID:
                return "the driver does not take its id";
        case MDEVGPU_VERDICT_DUPLICATE_ID:
                return "its id stands twice in the set";
        case MDEVGPU_VERDICT_BAD_NAME:
                return "the driver does not take its name or class";
        case MDEVGPU_VERDICT_BAD_FIELD:
                return "the driver does not take one of its values";
        case MDEVGPU_VERDICT_TOO_LARGE:
                return "one instance is larger than the GPU's framebuffer";
        case MDEVGPU_VERDICT_NOT_SUPPORTED:
                return "the driver cannot do it on this GPU";
        default:
                return NULL;
        }
}

/* The member of struct mdevgpu_type that a verdict is about, as a profile calls it. */
static const char *field_to_key(uint32_t offset) {
        static const struct {
                size_t offset;
                const char *key;
        } table[] = {
                { offsetof(struct mdevgpu_type, max_instances), "max-instances" },
                { offsetof(struct mdevgpu_type, name), "name" },
                { offsetof(struct mdevgpu_type, type_class), "class" },
                { offsetof(struct mdevgpu_type, framebuffer), "framebuffer" },
                { offsetof(struct mdevgpu_type, framebuffer_reserved), "reserved" },
                { offsetof(struct mdevgpu_type, mappable_video), "mappable-video" },
                { offsetof(struct mdevgpu_type, bar1_size), "bar1" },
                { offsetof(struct mdevgpu_type, vdev_id), "vdev-id" },
                { offsetof(struct mdevgpu_type, pdev_id), "pdev-id" },
                { offsetof(struct mdevgpu_type, heads), "displays: heads" },
                { offsetof(struct mdevgpu_type, max_width), "displays: max" },
                { offsetof(struct mdevgpu_type, max_height), "displays: max" },
                { offsetof(struct mdevgpu_type, frame_limit), "displays: frame-limit" },
                { offsetof(struct mdevgpu_type, encoder_percent), "encoder" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].offset == offset)
                        return table[i].key;

        return NULL;
}

static void explain_missing(const ShimTypes *t, const TypeSpec *spec, TypeReport *row) {
        const struct mdevgpu_type *judged = find_type(t->judged, t->n_judged, spec->id);
        const char *sentence = judged ? verdict_to_sentence(judged->verdict) : NULL;
        const char *key = sentence ? field_to_key(judged->verdict_field) : NULL;

        row->registration = t->waiting ? REGISTRATION_PENDING : REGISTRATION_REFUSED;
        if (sentence)
                (void)snprintf(row->reason, sizeof(row->reason), "%s%s%s", sentence, key ? ": " : "", strempty(key));
        else if (t->refusal.code < 0)
                (void)text_copy(row->reason, sizeof(row->reason), t->refusal.message);
        else {
                row->registration = REGISTRATION_PENDING;
                (void)text_copy(row->reason, sizeof(row->reason), "not yet registered");
        }
}

static void fill_row(const struct mdevgpu_type *type, TypeReport *row) {
        (void)text_copy(row->name, sizeof(row->name), type->name);
        (void)text_copy(row->class, sizeof(row->class), type->type_class);
        row->vendor_id = type->id;
        row->max_instances = type->max_instances;
        row->framebuffer = type->framebuffer;
        row->heads = type->heads;
        row->max_width = type->max_width;
        row->max_height = type->max_height;
        row->frame_limit = type->frame_limit;
}

static const TypeSpec *find_spec(const TypeSpec *wanted, size_t n_wanted, uint32_t id) {
        for (size_t i = 0; i < n_wanted; i++)
                if (wanted[i].id == id)
                        return &wanted[i];

        return NULL;
}

static TypeReport *find_row(GpuReport *report, const char *id) {
        for (size_t i = 0; i < report->n_types; i++)
                if (streq(report->types[i].id, id))
                        return &report->types[i];

        return NULL;
}

static void type_folder(const ShimTypes *t, uint32_t id, char *buffer, size_t size) {
        (void)snprintf(buffer, size, "%s-%u", t->identity.type_prefix, id);
}

/* A type that the driver holds. Only with its folder in sysfs can vGPUs of it be made. */
static void report_held(const ShimTypes *t, const struct mdevgpu_type *type, const TypeSpec *spec, GpuReport *report) {
        char id[TYPE_ID_SIZE];
        TypeReport *row;

        type_folder(t, type->id, id, sizeof(id));
        row = find_row(report, id);
        if (!row)
                return;

        fill_row(type, row);
        row->source = TYPE_SOURCE_PROFILE;
        if (!spec) {
                row->registration = REGISTRATION_RETIRED;
                (void)text_copy(row->reason, sizeof(row->reason),
                                t->waiting ? t->refusal.message : "no profile states it any more");
        } else if (!type_is(type, spec)) {
                row->registration = REGISTRATION_DIFFERS;
                (void)text_copy(row->reason, sizeof(row->reason),
                                t->refusal.code < 0 ? t->refusal.message
                                                    : "the driver holds it otherwise than the profile states it");
        }
}

static int report_missing(const ShimTypes *t, const TypeSpec *spec, GpuReport *report) {
        struct mdevgpu_type type;
        char id[TYPE_ID_SIZE];
        TypeReport *row;

        type_folder(t, spec->id, id, sizeof(id));
        if (find_row(report, id))
                return 0;

        row = gpu_report_add_type(report);
        if (!row)
                return -ENOMEM;

        (void)text_copy(row->id, sizeof(row->id), id);
        (void)text_copy(row->device_api, sizeof(row->device_api), "vfio-pci");
        spec_to_type(spec, &type);
        fill_row(&type, row);
        row->available = 0;
        row->source = TYPE_SOURCE_PROFILE;
        explain_missing(t, spec, row);
        return 0;
}

int shim_types_report(const ShimTypes *t, const TypeSpec *wanted, size_t n_wanted, GpuReport *report, Error *error) {
        int r;

        report->framebuffer_total = t->identity.framebuffer_total;
        report->pending_types = t->waiting;
        (void)text_copy(report->model, sizeof(report->model), t->identity.model);
        (void)text_copy(report->driver_version, sizeof(report->driver_version), t->identity.driver_version);

        for (size_t i = 0; i < t->n_current; i++)
                report_held(t, &t->current[i], find_spec(wanted, n_wanted, t->current[i].id), report);

        for (size_t i = 0; i < n_wanted; i++) {
                r = report_missing(t, &wanted[i], report);
                if (r < 0)
                        return error_set_errno(error, r, "the types cannot be reported");
        }

        return 0;
}
