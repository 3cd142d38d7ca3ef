/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/shim-types.h"
#include "util/text.h"

void shim_types_done(ShimTypes *t) {
        free(t->current);
        free(t->sent);
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
        check_string(identity.state_format, sizeof(identity.state_format));
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

void shim_type_from_spec(const TypeSpec *spec, struct mdevgpu_type *type) {
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
                         (spec->limiter ? MDEVGPU_TYPE_FRAME_LIMITER : 0) |
                         (spec->keep_state ? MDEVGPU_TYPE_KEEP_STATE : 0),
        };
        (void)text_copy(type->name, sizeof(type->name), spec->name);
        (void)text_copy(type->type_class, sizeof(type->type_class), spec->class);
}

bool shim_type_is(const struct mdevgpu_type *held, const TypeSpec *spec) {
        struct mdevgpu_type want;

        shim_type_from_spec(spec, &want);
        return held->id == want.id && held->max_instances == want.max_instances && streq(held->name, want.name) &&
               streq(held->type_class, want.type_class) && held->framebuffer == want.framebuffer &&
               held->framebuffer_reserved == want.framebuffer_reserved && held->mappable_video == want.mappable_video &&
               held->bar1_size == want.bar1_size && held->vdev_id == want.vdev_id && held->pdev_id == want.pdev_id &&
               held->heads == want.heads && held->max_width == want.max_width && held->max_height == want.max_height &&
               held->frame_limit == want.frame_limit && held->encoder_percent == want.encoder_percent &&
               held->flags == want.flags;
}

const struct mdevgpu_type *shim_type_find(const struct mdevgpu_type *types, size_t n, uint32_t id) {
        for (size_t i = 0; i < n; i++)
                if (types[i].id == id)
                        return &types[i];

        return NULL;
}

static bool set_is(const ShimTypes *t, const TypeSpec *wanted, size_t n_wanted) {
        if (t->n_current != n_wanted)
                return false;

        for (size_t i = 0; i < n_wanted; i++) {
                const struct mdevgpu_type *held = shim_type_find(t->current, t->n_current, wanted[i].id);

                if (!held || !shim_type_is(held, &wanted[i]))
                        return false;
        }

        return true;
}

/* What a refusal of the whole set means; per type the verdicts say it. */
static void keep_refusal(ShimTypes *t, int code) {
        t->waiting = t->waiting_whole = code == -EBUSY;
        switch (-code) {
        case EBUSY:
                (void)error_set(
                        &t->refusal, -ERROR_BUSY,
                        "the driver changes its set of types only while no vGPU exists; done when the last one goes");
                break;
        case E2BIG:
                (void)error_set(&t->refusal, -ERROR_DRIVER_REJECTED, "the driver holds %u types at most",
                                t->identity.max_types);
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

bool shim_type_exceeds(const ShimTypes *t, const TypeSpec *spec) {
        uint64_t each, all;

        return __builtin_add_overflow(spec->framebuffer, spec->reserved, &each) ||
               __builtin_mul_overflow(each, spec->max_instances, &all) || all > t->identity.framebuffer_total;
}

/*
 * True if just this was sent, what came of it is known, and the driver changed nothing since. Where it keeps something
 * otherwise than it was sent, or refused a part, sending it again would not help, and each time it announces a change,
 * which makes us read again.
 */
static bool was_sent(const ShimTypes *t, const TypeSpec *wanted, size_t n_wanted) {
        struct mdevgpu_type type;

        if (!t->sent || t->n_sent != n_wanted || t->sent_generation != t->generation)
                return false;

        for (size_t i = 0; i < n_wanted; i++) {
                shim_type_from_spec(&wanted[i], &type);
                if (memcmp(&type, &t->sent[i], offsetof(struct mdevgpu_type, verdict)) != 0)
                        return false;
        }

        return true;
}

/*
 * A copy of the types that have this verdict, without it, and of what the driver holds in place of those that wait: to leave
 * them out would retire them.
 */
static struct mdevgpu_type *copy_judged(const ShimTypes *t, uint32_t verdict, size_t *ret_n) {
        struct mdevgpu_type *types;
        size_t n = 0;

        types = calloc(MAX(t->n_sent, 1U), sizeof(struct mdevgpu_type));
        if (!types)
                return NULL;

        for (size_t i = 0; i < t->n_sent; i++) {
                const struct mdevgpu_type *type = &t->sent[i];

                if (type->verdict == MDEVGPU_VERDICT_LIVE)
                        type = shim_type_find(t->current, t->n_current, type->id);
                else if (type->verdict != verdict)
                        type = NULL;
                if (type) {
                        types[n] = *type;
                        types[n++].verdict = 0;
                }
        }

        *ret_n = n;
        return types;
}

static void take_verdicts(ShimTypes *t, uint32_t verdict, const struct mdevgpu_type *types, size_t n_types) {
        for (size_t i = 0; i < t->n_sent; i++) {
                const struct mdevgpu_type *judged;

                if (t->sent[i].verdict != verdict)
                        continue;
                judged = shim_type_find(types, n_types, t->sent[i].id);
                if (judged) {
                        t->sent[i].verdict = judged->verdict;
                        t->sent[i].verdict_field = judged->verdict_field;
                }
        }
}

/* Sends those of t->sent that have this verdict, and takes over what the driver says of each. */
static int send_judged(ShimTypes *t, const Host *host, int fd, uint32_t verdict) {
        _cleanup_(freep) struct mdevgpu_type *types = NULL;
        struct mdevgpu_set_types args = { .size = sizeof(args), .type_size = sizeof(struct mdevgpu_type) };
        size_t n = 0;
        int r;

        types = copy_judged(t, verdict, &n);
        if (!types)
                return -ENOMEM;

        args.n_types = (uint32_t)n;
        args.types = n > 0 ? (uintptr_t)types : 0;
        r = host->ops->ioctl(host, fd, MDEVGPU_SET_TYPES, &args);
        take_verdicts(t, verdict, types, n);
        t->sent_generation = args.generation;
        return r;
}

static bool some_are(const ShimTypes *t, uint32_t verdict) {
        for (size_t i = 0; i < t->n_sent; i++)
                if (t->sent[i].verdict == verdict)
                        return true;

        return false;
}

/* It had to wait when it was sent last, and its profile wants that somebody asks for it. */
static bool is_withheld(const ShimTypes *t, const TypeSpec *spec, bool apply_pending) {
        const struct mdevgpu_type *before = shim_type_find(t->sent, t->n_sent, spec->id);

        return spec->pending_manual && !apply_pending && before && before->verdict == MDEVGPU_VERDICT_LIVE;
}

static int prepare(ShimTypes *t, const TypeSpec *wanted, size_t n_wanted, bool apply_pending) {
        struct mdevgpu_type *types;

        types = calloc(MAX(n_wanted, 1U), sizeof(struct mdevgpu_type));
        if (!types)
                return -ENOMEM;

        for (size_t i = 0; i < n_wanted; i++) {
                shim_type_from_spec(&wanted[i], &types[i]);
                if (wanted[i].strict && shim_type_exceeds(t, &wanted[i]))
                        types[i].verdict = SHIM_VERDICT_STRICT;
                else if (is_withheld(t, &wanted[i], apply_pending))
                        types[i].verdict = MDEVGPU_VERDICT_LIVE;
        }

        free(t->sent);
        t->sent = types;
        t->n_sent = n_wanted;
        t->sent_generation = 0;
        t->refusal = ERROR_NULL;
        t->waiting = t->waiting_whole = false;
        return 0;
}

/* Types that were retired under vGPUs go when the set is sent again after the last one. */
static bool can_tidy(const ShimTypes *t) {
        return t->identity.n_retired > 0 && t->identity.n_live == 0;
}

static bool some_wait_to_be_told(const TypeSpec *wanted, size_t n_wanted) {
        for (size_t i = 0; i < n_wanted; i++)
                if (wanted[i].pending_manual)
                        return true;

        return false;
}

/* Something waits, and its time may have come. */
static bool can_go_on(const ShimTypes *t, const TypeSpec *wanted, size_t n_wanted, bool apply_pending) {
        if (!t->waiting || apply_pending)
                return t->waiting;
        if (t->identity.n_live > 0)
                return false;

        for (size_t i = 0; i < n_wanted; i++)
                if (t->sent[i].verdict == MDEVGPU_VERDICT_LIVE && !wanted[i].pending_manual)
                        return true;

        return false;
}

/*
 * The call is all or nothing. One type that the driver refuses must not keep the others away, nor one that has to wait what
 * can be done under vGPUs.
 */
static int send_all(ShimTypes *t, const Host *host, int fd) {
        int r;

        r = send_judged(t, host, fd, MDEVGPU_VERDICT_NONE);
        if (r == -EINVAL && some_are(t, MDEVGPU_VERDICT_OK))
                r = send_judged(t, host, fd, MDEVGPU_VERDICT_OK);
        if (r == -EBUSY && t->identity.capabilities & MDEVGPU_CAP_EDIT_LIVE && some_are(t, MDEVGPU_VERDICT_LIVE))
                r = send_judged(t, host, fd, MDEVGPU_VERDICT_OK);
        if (r >= 0)
                t->waiting = some_are(t, MDEVGPU_VERDICT_LIVE);

        return r;
}

int shim_types_set(ShimTypes *t, const Host *host, int fd, const TypeSpec *wanted, size_t n_wanted, bool apply_pending,
                   Error *error) {
        int r;

        r = shim_types_read(t, host, fd, error);
        if (r < 0)
                return r;
        if (was_sent(t, wanted, n_wanted) && !can_tidy(t) && !can_go_on(t, wanted, n_wanted, apply_pending))
                return 0;
        if (t->waiting_whole && !apply_pending && some_wait_to_be_told(wanted, n_wanted))
                return 0;

        r = prepare(t, wanted, n_wanted, apply_pending);
        if (r < 0)
                return error_set_errno(error, r, "the types cannot be registered");
        if (!some_are(t, SHIM_VERDICT_STRICT) && set_is(t, wanted, n_wanted) && !can_tidy(t))
                return 0;

        r = send_all(t, host, fd);
        if (r == -ENODEV || r == -ESTALE || r == -EBADF)
                return error_set(error, r, "the control channel was lost: %s",
                                 r == -ESTALE ? "another process took the GPU over" : "the driver has gone");
        if (r < 0) {
                t->sent_generation = 0;
                keep_refusal(t, r);
        }

        return 0;
}
