/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <limits.h>

#include "callouts.h"
#include "host.h"
#include "script.h"
#include "writer.h"

/* Those of packages, and those of the administrator. */
static const char *const FOLDERS[] = { "/usr/lib/mdevctl/scripts.d", "/etc/mdevctl.d/scripts.d" };

#define CAPABILITIES                                                                                                   \
        "{\"provides\":{\"version\":2,\"actions\":[\"start\",\"stop\",\"define\",\"undefine\",\"modify\","             \
        "\"attributes\",\"capabilities\"],\"events\":[\"pre\",\"post\",\"notify\",\"get\",\"live\"]}}"

void callouts_done(Callouts *c) {
        free(c->config);
        c->config = NULL;
        free(c->script.path);
        json_object_put(c->script.supports);
        c->script = (Script){};
}

static int run(const Callouts *c, const char *path, const char *event, const char *action, const char *input,
               Outcome *ret_outcome) {
        const Device *d = c->device;
        char *const argv[] = { (char *)path,     (char *)"-t", d->type,         (char *)"-e",
                               (char *)event,    (char *)"-a", (char *)action,  (char *)"-s",
                               (char *)c->state, (char *)"-u", (char *)d->uuid, (char *)"-p",
                               d->parent,        NULL };

        return script_run(argv, input, ret_outcome);
}

static int compare(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_entry(const struct dirent *entry) {
        return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* What it said that it is for; NULL if it said nothing of that kind. */
static json_object *get_supports(const Outcome *o) {
        json_object *json, *supports = NULL;
        size_t n = o->size;

        while (n > 0 && o->output[n - 1] == '\0')
                n--;
        json = n > 0 ? device_parse_json(o->output, n) : NULL;
        if (json_object_is_type(json, json_type_object) && json_object_object_get_ex(json, "supports", &supports))
                json_object_get(supports);
        json_object_put(json);
        return supports;
}

/* One that was ended may be for this device: it has not said that it is not. Of what it is for it has said nothing. */
static bool is_answer(const Outcome *o, bool capabilities) {
        return o->status == -ETIMEDOUT ? !capabilities : o->status >= 0 && o->status != 2;
}

/* Those of a folder in their order, until one says that it is for this device; 1: one did. */
static int try_folder(Callouts *c, const char *folder, const char *event, const char *action, const char *input,
                      bool capabilities, Outcome *ret_outcome) {
        struct dirent **entries;
        int n, found = 0;

        n = scandir(folder, &entries, is_entry, compare);
        for (int i = 0; i < n; i++) {
                char path[PATH_MAX];

                if (found == 0 &&
                    (size_t)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) < sizeof(path) &&
                    run(c, path, event, action, input, ret_outcome) >= 0 && is_answer(ret_outcome, capabilities)) {
                        json_object *supports = capabilities ? get_supports(ret_outcome) : NULL;

                        if (!capabilities || supports) {
                                found = device_set(&c->script.path, path) < 0 ? -ENOMEM : 1;
                                c->script.supports = supports;
                                c->script.versioned = capabilities;
                        }
                }
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);

        return found;
}

static int try_all(Callouts *c, const char *event, const char *action, const char *input, bool capabilities,
                   Outcome *ret_outcome) {
        for (size_t i = 0; i < ELEMENTSOF(FOLDERS); i++) {
                char folder[PATH_MAX];
                int r;

                if (host_path(folder, "%s/callouts", FOLDERS[i]) < 0)
                        continue;
                r = try_folder(c, folder, event, action, input, capabilities, ret_outcome);
                if (r != 0)
                        return r;
        }

        return 0;
}

/* One that says by itself what it is for comes before those that have to be tried. */
static void look(Callouts *c) {
        Outcome outcome = { .status = -1 };

        if (!c->looked)
                (void)try_all(c, "get", "capabilities", CAPABILITIES, true, &outcome);
        c->looked = true;
        outcome_done(&outcome);
}

static bool has(json_object *supports, const char *list, const char *word) {
        json_object *words;

        if (!json_object_is_type(supports, json_type_object) || !json_object_object_get_ex(supports, list, &words) ||
            !json_object_is_type(words, json_type_array))
                return false;

        for (size_t i = 0; i < json_object_array_length(words); i++) {
                json_object *entry = json_object_array_get_idx(words, i);

                if (json_object_is_type(entry, json_type_string) && strcmp(json_object_get_string(entry), word) == 0)
                        return true;
        }

        return false;
}

/* 1: a script was run, and *ret_outcome is what it came to. 0: there is none. -EOPNOTSUPP: it is not for that. */
static int call(Callouts *c, const char *event, const char *action, const char *input, Outcome *ret_outcome) {
        int r;

        look(c);
        if (!c->script.path)
                return try_all(c, event, action, input, false, ret_outcome);
        if (c->script.versioned &&
            (!has(c->script.supports, "actions", action) || !has(c->script.supports, "events", event)))
                return -EOPNOTSUPP;

        r = run(c, c->script.path, event, action, input, ret_outcome);
        return r < 0 ? r : 1;
}

static char *format_config(const Device *d) {
        char *text = NULL;
        size_t size;
        Writer w = { .compact = true, .stream = open_memstream(&text, &size) };

        if (!w.stream)
                return NULL;
        writer_device(&w, d);
        if (fclose(w.stream) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

static int call_with_config(Callouts *c, const char *event) {
        _cleanup_(outcome_done) Outcome outcome = { .status = -1 };
        int r;

        c->config = c->config ?: format_config(c->device);
        r = c->config ? call(c, event, c->action, c->config, &outcome) : -ENOMEM;
        if (r == -EOPNOTSUPP)
                return fail(r, "callout %s does not support event '%s' of action '%s'", c->script.path, event,
                            c->action);
        if (r < 0)
                return fail(r, "a callout cannot be run: %s", strerrordesc_np(-r));
        if (r > 0 && outcome.status == -ETIMEDOUT)
                return fail(-ETIMEDOUT, "callout %s took too long", c->script.path);
        if (r > 0 && outcome.status > 0)
                return fail(-EPERM, "callout %s failed with status %d", c->script.path, outcome.status);
        return r;
}

int callouts_pre(Callouts *c) {
        return call_with_config(c, "pre");
}

void callouts_post(Callouts *c, bool success) {
        _cleanup_(outcome_done) Outcome outcome = { .status = -1 };

        c->state = success ? "success" : "failure";
        if (c->config)
                (void)call(c, "post", c->action, c->config, &outcome);
}

void callouts_notify(Callouts *c) {
        for (size_t i = 0; i < ELEMENTSOF(FOLDERS); i++) {
                struct dirent **entries;
                char folder[PATH_MAX], path[PATH_MAX];
                int n;

                if (host_path(folder, "%s/notifiers", FOLDERS[i]) < 0)
                        continue;
                n = scandir(folder, &entries, is_entry, compare);
                for (int k = 0; k < n; k++) {
                        Outcome outcome = { .status = -1 };

                        if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, entries[k]->d_name) < sizeof(path))
                                (void)run(c, path, "notify", c->action, NULL, &outcome);
                        outcome_done(&outcome);
                        free(entries[k]);
                }
                if (n >= 0)
                        free(entries);
        }
}

int callouts_get_attributes(Callouts *c) {
        _cleanup_(outcome_done) Outcome outcome = { .status = -1 };
        const char *problem;
        json_object *json;
        size_t n;
        int r;

        r = call(c, "get", "attributes", NULL, &outcome);
        if (r <= 0)
                return r;
        if (outcome.status != 0)
                return -EPERM;
        if (outcome.too_much)
                return -EBADMSG;

        n = outcome.size;
        while (n > 0 && outcome.output[n - 1] == '\0')
                n--;
        if (n == 0 || (n == 4 && memcmp(outcome.output, "[{}]", 4) == 0))
                return 0;
        json = device_parse_json(outcome.output, n);
        r = json ? device_load_attributes(c->device, json, &problem) : -EBADMSG;
        json_object_put(json);
        return r < 0 ? r : 1;
}

int callouts_live(Callouts *c) {
        look(c);
        return c->script.path ? call_with_config(c, "live") : 0;
}
