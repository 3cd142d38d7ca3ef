/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/description.h"

/* A decimal number at *p, below UINT32_MAX, which means unknown. */
static bool take_number(const char **p, uint32_t *ret) {
        unsigned long long v;
        char *end;

        if (**p < '0' || **p > '9')
                return false;

        errno = 0;
        v = strtoull(*p, &end, 10);
        if (errno != 0 || v >= UNKNOWN_U32)
                return false;

        *p = end;
        *ret = (uint32_t)v;
        return true;
}

static bool at_end(const char *p) {
        return *p == '\0' || *p == ',' || *p == ' ';
}

static void parse_framebuffer(const char *p, TypeReport *type) {
        uint32_t mib;

        if (take_number(&p, &mib) && *p == 'M' && at_end(p + 1))
                type->framebuffer = (uint64_t)mib << 20;
}

/* i915 GVT-g's two parts of a vGPU's graphics memory, that which is mapped for the host and that which is not. */
static void add_graphics_memory(const char *p, TypeReport *type) {
        uint32_t mib;

        if (!take_number(&p, &mib) || strncmp(p, "MB", 2) != 0 || !at_end(p + 2))
                return;

        type->framebuffer = (type->framebuffer == UNKNOWN_U64 ? 0 : type->framebuffer) + ((uint64_t)mib << 20);
}

static void parse_resolution(const char *p, TypeReport *type) {
        uint32_t width, height;

        if (take_number(&p, &width) && *p++ == 'x' && take_number(&p, &height) && at_end(p)) {
                type->max_width = width;
                type->max_height = height;
        }
}

static void parse_plain(const char *p, uint32_t *ret) {
        uint32_t v;

        if (take_number(&p, &v) && at_end(p))
                *ret = v;
}

static const char *skip_key(const char *p, const char *key) {
        size_t n = strlen(key);

        return strncmp(p, key, n) == 0 && p[n] == '=' ? p + n + 1 : NULL;
}

/* As GVT-g writes it, a line each: "low_gm_size: 128MB" (kernel 6.1, drivers/gpu/drm/i915/gvt/kvmgt.c). */
static const char *skip_colon(const char *p, const char *key) {
        size_t n = strlen(key);

        return strncmp(p, key, n) == 0 && strncmp(p + n, ": ", 2) == 0 ? p + n + 2 : NULL;
}

void description_parse(const char *text, TypeReport *type) {
        for (const char *p = text, *value; p; p = strchr(p, ',')) {
                p += strspn(p, ", ");

                if ((value = skip_key(p, "num_heads")))
                        parse_plain(value, &type->heads);
                else if ((value = skip_key(p, "frl_config")))
                        parse_plain(value, &type->frame_limit);
                else if ((value = skip_key(p, "framebuffer")))
                        parse_framebuffer(value, type);
                else if ((value = skip_key(p, "max_resolution")) || (value = skip_colon(p, "resolution")))
                        parse_resolution(value, type);
                else if ((value = skip_colon(p, "low_gm_size")) || (value = skip_colon(p, "high_gm_size")))
                        add_graphics_memory(value, type);
                else if ((value = skip_key(p, "max_instance")))
                        parse_plain(value, &type->max_instances);
        }
}
