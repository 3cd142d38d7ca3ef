/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>

#include "backend/nvidia-info.h"

#define MIB (UINT64_C(1) << 20)

/* The aperture of a type that states none: what the Mdev-GPU project gave all of its types. The driver has no default. */
#define DEFAULT_BAR1_MIB 256U

static uint64_t vdev_id(const TypeSpec *spec, const NvidiaCard *card) {
        return spec->vdev_id != 0 ? spec->vdev_id : (uint64_t)card->device << 16 | card->subsystem_device;
}

static uint64_t pdev_id(const TypeSpec *spec, const NvidiaCard *card) {
        return spec->pdev_id != 0 ? spec->pdev_id : card->device;
}

static uint64_t bar1_mib(const TypeSpec *spec) {
        return spec->bar1 != 0 ? spec->bar1 / MIB : DEFAULT_BAR1_MIB;
}

/* Width times height, as far as 32 bits go: what no driver's own types come near. */
static uint64_t max_pixels(const TypeSpec *spec) {
        return MIN((uint64_t)spec->max_width * spec->max_height, UINT32_MAX);
}

static bool refuse(char *reason, const char *format, ...) _printf_(2, 3);

static bool refuse(char *reason, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(reason, REASON_SIZE, format, ap);
        va_end(ap);
        return false;
}

/* What the driver would take and make nonsense of. A number of instances of 0 it divides by (observed in 580). */
static bool check(const NvidiaDialect *d, const TypeSpec *spec, char *reason) {
        uint64_t each, limit;

        if (strlen(spec->name) >= d->places[NVIDIA_AT_INFO_NAME].size)
                return refuse(reason, "its name is longer than the %u bytes that this driver holds",
                              d->places[NVIDIA_AT_INFO_NAME].size - 1U);
        if (spec->id == 0 || spec->max_instances == 0 || spec->framebuffer == 0)
                return refuse(reason, "its id, max-instances and framebuffer must not be 0");
        if (spec->bar1 % MIB != 0)
                return refuse(reason, "bar1 is not a number of MiB, in which the driver counts it");

        if (spec->keep_state)
                return refuse(reason, "keep-state is nothing that this driver does");

        limit = INT64_MAX;
        if (__builtin_add_overflow(spec->framebuffer, spec->reserved, &each) || each > limit)
                return refuse(reason, "framebuffer and reserved together are too large");

        return true;
}

static uint8_t digit(char c) {
        return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* Empty, or all of its digits: nothing else passes the profile's reader, but this came over a wire. */
static bool put_signature(const NvidiaDialect *d, const TypeSpec *spec, uint8_t *parameters) {
        const NvidiaPlace *place = &d->places[NVIDIA_AT_INFO_SIGNATURE];
        const char *text = spec->nvidia_signature;
        size_t n = strlen(text);

        if (n == 0)
                return true;
        if (n != 2 * (size_t)place->size || strspn(text, "0123456789abcdefABCDEF") != n)
                return false;

        for (size_t i = 0; i < place->size; i++)
                parameters[d->set_info_at + place->offset + i] =
                        (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
        return true;
}

bool nvidia_info_encode(const NvidiaDialect *d, const TypeSpec *spec, const NvidiaCard *card, uint32_t state,
                        uint8_t *parameters, char ret_reason[static REASON_SIZE]) {
        const struct {
                NvidiaAt at;
                uint64_t value;
        } numbers[] = {
                { NVIDIA_AT_INFO_TYPE, spec->id },
                { NVIDIA_AT_INFO_MAX_INSTANCES, spec->max_instances },
                { NVIDIA_AT_INFO_HEADS, spec->heads },
                { NVIDIA_AT_INFO_MAX_WIDTH, spec->max_width },
                { NVIDIA_AT_INFO_MAX_HEIGHT, spec->max_height },
                { NVIDIA_AT_INFO_MAX_PIXELS, max_pixels(spec) },
                { NVIDIA_AT_INFO_FRAME_LIMIT, spec->frame_limit },
                { NVIDIA_AT_INFO_CUDA, 1 },
                { NVIDIA_AT_INFO_ECC, spec->ecc },
                { NVIDIA_AT_INFO_MULTI_VGPU, spec->multi_vgpu },
                { NVIDIA_AT_INFO_VDEV_ID, vdev_id(spec, card) },
                { NVIDIA_AT_INFO_PDEV_ID, pdev_id(spec, card) },
                { NVIDIA_AT_INFO_FRAMEBUFFER, spec->framebuffer },
                { NVIDIA_AT_INFO_RESERVED, spec->reserved },
                { NVIDIA_AT_INFO_MAPPABLE_VIDEO, spec->mappable_video },
                { NVIDIA_AT_INFO_ENCODER, spec->encoder_percent },
                { NVIDIA_AT_INFO_BAR1, bar1_mib(spec) },
                { NVIDIA_AT_INFO_LIMITER, spec->limiter },
        };
        bool fits = true;

        if (!check(d, spec, ret_reason))
                return false;

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                fits = nvidia_put(d, parameters, d->set_info_at, numbers[i].at, numbers[i].value) && fits;

        /* Placement goes by it (550 and later); before 525 there is none. */
        if (d->places[NVIDIA_AT_INFO_PROFILE_SIZE].there)
                fits = nvidia_put(d, parameters, d->set_info_at, NVIDIA_AT_INFO_PROFILE_SIZE,
                                  spec->framebuffer + spec->reserved) &&
                       fits;
        if (d->places[NVIDIA_AT_SET_INFO_STATE].there)
                fits = nvidia_put(d, parameters, 0, NVIDIA_AT_SET_INFO_STATE, state) && fits;

        fits = nvidia_put_text(d, parameters, d->set_info_at, NVIDIA_AT_INFO_NAME, spec->name) && fits;
        fits = nvidia_put_text(d, parameters, d->set_info_at, NVIDIA_AT_INFO_CLASS, spec->class) && fits;
        fits = nvidia_put_text(d, parameters, d->set_info_at, NVIDIA_AT_INFO_LICENSE, spec->nvidia_license) && fits;

        fits = put_signature(d, spec, parameters) && fits;

        return fits || refuse(ret_reason, "one of its values is larger than the driver can hold");
}

bool nvidia_info_matches(const NvidiaType *type, const TypeSpec *spec, const NvidiaCard *card,
                         char ret_reason[static REASON_SIZE]) {
        const struct {
                const char *key;
                bool same;
        } values[] = {
                { "name", streq(type->name, spec->name) },
                { "class", streq(type->class, spec->class) },
                { "max-instances", type->max_instances == spec->max_instances },
                { "framebuffer", type->framebuffer == spec->framebuffer },
                { "reserved", type->reserved == spec->reserved },
                { "mappable-video", type->mappable_video == spec->mappable_video },
                { "bar1", type->bar1 == bar1_mib(spec) },
                { "vdev-id", type->vdev_id == vdev_id(spec, card) },
                { "pdev-id", type->pdev_id == pdev_id(spec, card) },
                { "encoder", type->encoder == spec->encoder_percent },
                { "ecc", type->ecc == spec->ecc },
                { "multi-vgpu", type->multi_vgpu == spec->multi_vgpu },
                { "displays: heads", type->heads == spec->heads },
                { "displays: max", type->max_width == spec->max_width && type->max_height == spec->max_height },
                { "displays: frame-limit", type->frame_limit == spec->frame_limit },
                /* The driver may have the limiter off for all types: then it says so of each. */
                { "displays: limiter", type->limiter == spec->limiter || !type->limiter },
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                if (!values[i].same)
                        return refuse(
                                ret_reason,
                                "the driver holds another type under this id (%s differs): it keeps what it was told "
                                "first until it is loaded anew; give the profile's type another id, or reload the "
                                "driver",
                                values[i].key);

        return true;
}
