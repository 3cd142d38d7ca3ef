/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "backend/xe-profile.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"

#define PATH_SIZE 256U

/* Memory first: it is what may be refused. */
static const char *const attributes[] = { "vram_quota", "exec_quantum_ms", "preempt_timeout_us", "sched_priority" };

static void format_path(char path[static PATH_SIZE], const char *gpu, unsigned number, const char *attribute) {
        (void)snprintf(path, PATH_SIZE, "bus/pci/devices/%.63s/sriov_admin/vf%u/profile/%.63s", gpu, number, attribute);
}

bool xe_profile_present(const Host *host, const char *gpu) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/sriov_admin", gpu);
        return path_exists(host->sys_fd, path);
}

bool xe_profile_has_vram(const Host *host, const char *gpu) {
        char path[PATH_SIZE];

        format_path(path, gpu, 1, "vram_quota");
        return path_exists(host->sys_fd, path);
}

bool xe_profile_knows(const char *attribute) {
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++)
                if (streq(attributes[i], attribute))
                        return true;

        return false;
}

/* "[low] normal high": the one in brackets is in force. False: it cannot be told. */
static bool read_value(const Host *host, const char *gpu, unsigned number, const char *attribute, char *buffer,
                       size_t size) {
        char path[PATH_SIZE], text[64], *begin, *end;

        format_path(path, gpu, number, attribute);
        attribute_read_text(host->sys_fd, path, text, sizeof(text));
        begin = strchr(text, '[');
        end = begin ? strchr(begin, ']') : NULL;
        if (end)
                *end = '\0';
        return text[0] != '\0' && text_copy(buffer, size, end ? begin + 1 : text);
}

void xe_profile_save(const Host *host, const char *gpu, unsigned number, Claim *claim) {
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++) {
                ClaimSetting *s = &claim->settings[claim->n_settings];

                if (!read_value(host, gpu, number, attributes[i], s->value, sizeof(s->value)))
                        continue;
                (void)text_copy(s->name, sizeof(s->name), attributes[i]);
                claim->n_settings++;
        }
}

static int store(const Host *host, const char *gpu, unsigned number, const char *attribute, const char *value) {
        char path[PATH_SIZE];

        format_path(path, gpu, number, attribute);
        return host->ops->store(host, host->sys_fd, path, value);
}

void xe_profile_restore(const Host *host, const char *gpu, unsigned number, const Claim *claim) {
        for (size_t i = 0; i < claim->n_settings; i++) {
                const ClaimSetting *s = &claim->settings[i];
                char now[sizeof(s->value)];
                int r;

                /* Its file is not only ours to write. */
                if (!xe_profile_knows(s->name) ||
                    (read_value(host, gpu, number, s->name, now, sizeof(now)) && streq(now, s->value)))
                        continue;
                r = store(host, gpu, number, s->name, s->value);
                if (r < 0)
                        log_debug("GPU %s: %s of function %u keeps its value: %s", gpu, s->name, number, strerror(-r));
        }
}

static int explain(int code, const Attribute *a, const char *what, Error *error) {
        if (code == -ENOENT)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "%s has no attribute '%s'; xe knows exec_quantum_ms, preempt_timeout_us, "
                                 "sched_priority and, since kernel 7.0, vram_quota",
                                 what, a->name);

        return error_set(error, -ERROR_DRIVER_REJECTED, "The driver refused '%.128s' for attribute '%s' of %s: %s (%s)",
                         a->value, a->name, what, strerrordesc_np(-code) ?: "unknown error",
                         strerrorname_np(-code) ?: "?");
}

int xe_profile_write(const Host *host, const char *gpu, unsigned number, const Attribute *attribute, const char *what,
                     Error *error) {
        int r = -ENOENT;

        if (xe_profile_knows(attribute->name))
                r = store(host, gpu, number, attribute->name, attribute->value);
        return r < 0 ? explain(r, attribute, what, error) : 0;
}

/* A quota is rounded up to what the hardware can divide. */
static bool is_written(const char *name, const char *wanted, const char *now) {
        uint64_t a, b;

        if (!streq(name, "vram_quota"))
                return streq(wanted, now);

        a = strtoull(wanted, NULL, 10);
        b = strtoull(now, NULL, 10);
        return b >= a;
}

static int apply_one(const Host *host, const char *gpu, unsigned number, const char *name, const char *value,
                     const char *what, Error *error) {
        const Attribute attribute = { (char *)name, (char *)value };
        char now[64];
        int r;

        r = xe_profile_write(host, gpu, number, &attribute, what, error);
        if (r < 0)
                return r;
        if (!read_value(host, gpu, number, name, now, sizeof(now)) || !is_written(name, value, now))
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver accepted '%s' for attribute '%s' of %s, but it says '%s'", value, name,
                                 what, now);
        return 0;
}

int xe_profile_apply(const Host *host, const char *gpu, unsigned number, const TypeSpec *spec, const char *what,
                     Error *error) {
        char quota[32], quantum[16], timeout[16];
        const struct {
                const char *name, *value;
                bool stated;
        } wanted[] = {
                { "vram_quota", quota, spec->framebuffer > 0 && xe_profile_has_vram(host, gpu) },
                { "exec_quantum_ms", quantum, spec->xe_quantum_ms != XE_UNSTATED },
                { "preempt_timeout_us", timeout, spec->xe_timeout_us != XE_UNSTATED },
                { "sched_priority", xe_priority_to_string(spec->xe_priority),
                  spec->xe_priority != XE_PRIORITY_UNSTATED },
        };
        int r = 0;

        (void)snprintf(quota, sizeof(quota), "%" PRIu64, spec->framebuffer);
        (void)snprintf(quantum, sizeof(quantum), "%" PRIu32, spec->xe_quantum_ms);
        (void)snprintf(timeout, sizeof(timeout), "%" PRIu32, spec->xe_timeout_us);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(wanted); i++)
                if (wanted[i].stated)
                        r = apply_one(host, gpu, number, wanted[i].name, wanted[i].value, what, error);
        return r;
}

int xe_profile_write_all(const Host *host, const char *gpu, const Attribute *attribute, Error *error) {
        char path[PATH_SIZE], what[SYSFS_NAME_SIZE + 64];
        int r = -ENOENT;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/sriov_admin/.bulk_profile/%.63s", gpu,
                       attribute->name);
        (void)snprintf(what, sizeof(what), "the virtual functions of GPU %.63s", gpu);
        if (xe_profile_knows(attribute->name))
                r = host->ops->store(host, host->sys_fd, path, attribute->value);
        return r < 0 ? explain(r, attribute, what, error) : 0;
}
