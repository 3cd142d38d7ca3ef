/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/claim.h"
#include "util/file.h"
#include "util/text.h"

#define FOLDER "claims"
#define CLAIM_SIZE 2048U

static const char *match_key(const char *line, const char *key) {
        size_t n = strlen(key);

        return strncmp(line, key, n) == 0 && line[n] == '=' ? line + n + 1 : NULL;
}

/* "function=ADDRESS DRIVER" */
static void take_function(const char *text, Claim *claim) {
        const char *space = strchr(text, ' ');
        ClaimFunction *f;

        if (!space || claim->n_functions >= PCI_FUNCTIONS_MAX || (size_t)(space - text) >= sizeof(f->address))
                return;

        f = &claim->functions[claim->n_functions++];
        (void)snprintf(f->address, sizeof(f->address), "%.*s", (int)(space - text), text);
        (void)text_copy(f->driver, sizeof(f->driver), space + 1);
}

/* "setting=NAME VALUE" */
static void take_setting(const char *text, Claim *claim) {
        const char *space = strchr(text, ' ');
        ClaimSetting *s;

        if (!space || claim->n_settings >= CLAIM_SETTINGS_MAX || (size_t)(space - text) >= sizeof(s->name))
                return;

        s = &claim->settings[claim->n_settings++];
        (void)snprintf(s->name, sizeof(s->name), "%.*s", (int)(space - text), text);
        (void)text_copy(s->value, sizeof(s->value), space + 1);
}

static void take_line(char *line, Claim *claim) {
        const char *v;

        text_sanitize(line);
        if ((v = match_key(line, "uuid")))
                (void)text_parse_uuid(v, claim->uuid);
        else if ((v = match_key(line, "type")))
                (void)text_copy(claim->type_id, sizeof(claim->type_id), v);
        else if ((v = match_key(line, "incarnation")))
                claim->incarnation = strtoull(v, NULL, 10);
        else if ((v = match_key(line, "busy")))
                claim->busy = streq(v, "yes");
        else if ((v = match_key(line, "function")))
                take_function(v, claim);
        else if ((v = match_key(line, "setting")))
                take_setting(v, claim);
}

/* Names become parts of paths. */
static bool is_good(const Claim *claim, const char *address) {
        if (claim->uuid[0] == '\0' || !text_is_name(claim->type_id) || claim->n_functions == 0 ||
            !streq(claim->functions[0].address, address))
                return false;

        for (size_t i = 0; i < claim->n_functions; i++)
                if (!text_is_name(claim->functions[i].address) ||
                    (claim->functions[i].driver[0] != '\0' && !text_is_name(claim->functions[i].driver)))
                        return false;
        for (size_t i = 0; i < claim->n_settings; i++)
                if (!text_is_name(claim->settings[i].name))
                        return false;

        return true;
}

int claim_read(const Host *host, const char *address, Claim *ret_claim) {
        char path[PCI_ADDRESS_SIZE + sizeof(FOLDER)], text[CLAIM_SIZE], *line, *rest = text;
        Claim claim = {};
        ssize_t n;

        if (host->run_fd < 0)
                return -ENOENT;

        (void)snprintf(path, sizeof(path), FOLDER "/%.63s", address);
        n = attribute_read(host->run_fd, path, text, sizeof(text));
        if (n <= 0)
                return -ENOENT;
        while ((line = strsep(&rest, "\n")))
                take_line(line, &claim);
        if (!is_good(&claim, address) || claim.incarnation != pci_read_incarnation(host, address))
                return -ENOENT;

        *ret_claim = claim;
        return 0;
}

int claim_write(const Host *host, const char *address, const Claim *claim) {
        _cleanup_(fd_closep) int folder_fd = -EBADF;
        char text[CLAIM_SIZE];
        size_t n;

        if (host->run_fd < 0)
                return host->run_fd;
        if (mkdirat(host->run_fd, FOLDER, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        folder_fd = directory_open(host->run_fd, FOLDER);
        if (folder_fd < 0)
                return folder_fd;

        n = (size_t)snprintf(text, sizeof(text), "uuid=%s\ntype=%s\nincarnation=%" PRIu64 "\n%s", claim->uuid,
                             claim->type_id, pci_read_incarnation(host, address), claim->busy ? "busy=yes\n" : "");
        for (size_t i = 0; i < claim->n_functions && n < sizeof(text); i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "function=%s %s\n", claim->functions[i].address,
                                      claim->functions[i].driver);
        for (size_t i = 0; i < claim->n_settings && n < sizeof(text); i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "setting=%s %s\n", claim->settings[i].name,
                                      claim->settings[i].value);
        return n >= sizeof(text) ? -E2BIG : file_replace(folder_fd, address, text);
}

void claim_remove(const Host *host, const char *address) {
        char path[PCI_ADDRESS_SIZE + sizeof(FOLDER)];

        (void)snprintf(path, sizeof(path), FOLDER "/%.63s", address);
        if (host->run_fd >= 0)
                (void)unlinkat(host->run_fd, path, 0);
}

void claim_identify(const Host *host, const char *address, const char *type_id,
                    char ret_uuid[static UUID_STRING_SIZE]) {
        char name[PCI_ADDRESS_SIZE + 32];
        Claim claim;

        if (claim_read(host, address, &claim) >= 0 && streq(claim.type_id, type_id)) {
                (void)text_copy(ret_uuid, UUID_STRING_SIZE, claim.uuid);
                return;
        }

        (void)snprintf(name, sizeof(name), "%.63s %" PRIu64, address, pci_read_incarnation(host, address));
        text_derive_uuid(name, ret_uuid);
}
