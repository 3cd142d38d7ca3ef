/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Completion: what may stand where a person has pressed Tab. The shells' scripts hand over the words of the line and show
 * what this prints, so that there is one place that knows: CANDIDATE, a tab, a description.
 *
 * It says no errors, as the person is in the middle of typing, and starts no daemon.
 */

#include <ctype.h>
#include <glob.h>
#include <stdio.h>

#include "bus.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

/* What arguments of a verb are; the last one also stands for all that follow where `more` says so. */
typedef enum Kind {
        KIND_NONE,
        KIND_VERB,
        KIND_GPU,
        KIND_TYPE,
        KIND_VGPU, /* any */
        KIND_ACTIVE,
        KIND_INCOMING,
        KIND_DEFINED,
        KIND_STARTABLE, /* defined, and not active */
        KIND_GPU_OR_VGPU,
        KIND_GPU_OR_ACTIVE,
        KIND_TOPOLOGY_WORD,
        KIND_TOPOLOGY,
        KIND_JOB,
        KIND_ON_OFF,
        KIND_STATE,
        KIND_FOREIGN, /* a tool whose files import reads */
        KIND_FILE,
} Kind;

static const struct {
        const char *verb;
        Kind kinds[3];
        bool more;
} arguments_of[] = {
        { "types", { KIND_GPU }, false },
        { "status", { KIND_GPU_OR_VGPU }, true },
        { "users", { KIND_ACTIVE }, true },
        { "usage", { KIND_GPU }, true },
        { "attachment", { KIND_VGPU }, true },
        { "create", { KIND_GPU, KIND_TYPE }, false },
        { "destroy", { KIND_ACTIVE }, true },
        { "define", { KIND_GPU_OR_ACTIVE, KIND_TYPE }, false },
        { "undefine", { KIND_DEFINED }, true },
        { "start", { KIND_STARTABLE }, true },
        { "modify", { KIND_VGPU }, false },
        { "autostart", { KIND_DEFINED }, true },
        { "topology", { KIND_TOPOLOGY_WORD, KIND_TOPOLOGY }, false },
        { "vfs", { KIND_GPU }, false },
        { "mixed-size", { KIND_GPU, KIND_ON_OFF }, false },
        { "migration", { KIND_GPU_OR_ACTIVE, KIND_TYPE }, false },
        { "compat", { KIND_GPU }, false },
        { "prepare-incoming", { KIND_GPU, KIND_TYPE }, false },
        { "release-incoming", { KIND_INCOMING }, true },
        { "save", { KIND_ACTIVE }, false },
        { "restore", { KIND_STATE, KIND_GPU }, false },
        { "export-state", { KIND_ACTIVE, KIND_FILE }, false },
        { "import-state", { KIND_FILE, KIND_GPU }, false },
        { "delete-state", { KIND_STATE }, true },
        { "cancel", { KIND_JOB }, false },
        { "import", { KIND_FOREIGN, KIND_FILE }, false },
        { "help", { KIND_VERB }, false },
};

/* What was typed so far. */
typedef struct Line {
        const char *verb; /* NULL: none yet */
        const char *first; /* argument of it, or NULL */
        size_t n; /* arguments that are complete */
        const char *option; /* whose value is being typed, without its dashes, or NULL */
        const char *current; /* the word being typed, as far as it goes */
        const char *head; /* that goes before each candidate: "--format=" */
} Line;

static void candidate_print(const Line *line, const char *word, const char *description) {
        _cleanup_(freep) char *safe = NULL;

        if (!word || strncmp(word, line->current, strlen(line->current)) != 0)
                return;

        /* Neither a tab nor a newline may come from elsewhere, and no shell should get quotes from a name. */
        safe = text_escape(description ? description : "", 60, 0);
        printf("%s%s\t%s\n", line->head, word, safe ? safe : "");
}

static json_object *read_rows(Ctl *ctl, const BusList *list) {
        const BusMethod method = { NULL, BUS_ROOT, BUS_MANAGER, list->member, true };
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_object_putp) json_object *rows = NULL;
        json_object *named = NULL;

        if (bus_try(ctl, &method, list->expect, &error, &reply, list->filtered ? "a{sv}" : NULL, 0) != STATUS_DONE)
                return NULL;
        if (reply_read_value(reply, &rows) < 0 || rows_name(rows, list->keys, &named) < 0)
                return NULL;

        return named;
}

/* A line is taken apart at blanks, and shells obey some of the rest. */
static bool is_plain_word(const char *s) {
        for (; *s; s++)
                if (!isalnum((unsigned char)*s) && !strchr("._:@+-/", *s))
                        return false;

        return true;
}

/* Cards of a kind have the same types, and vGPUs may have the same label. */
static void print_rows(Ctl *ctl, const Line *line, const BusList *list, const char *word, const char *description,
                       bool (*wanted)(json_object *row, const Line *line)) {
        _cleanup_(json_object_putp) json_object *rows = read_rows(ctl, list), *printed = json_object_new_object();

        for (size_t i = 0; rows && printed && i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i), *value = NULL;
                const char *text;

                if (wanted && !wanted(row, line))
                        continue;
                (void)json_object_object_get_ex(row, word, &value);
                text = json_object_get_string(value);
                if (isempty(text) || json_object_object_get_ex(printed, text, NULL) ||
                    (streq(word, "label") && !is_plain_word(text)))
                        continue;
                candidate_print(line, text, object_string(row, description));
                (void)json_object_object_add(printed, text, NULL);
        }
}

static bool is_active(json_object *vgpu, const Line *line) {
        const char *state = object_string(vgpu, "state");

        return state && (streq(state, "active") || streq(state, "incoming"));
}

static bool is_incoming(json_object *vgpu, const Line *line) {
        const char *state = object_string(vgpu, "state");

        return state && streq(state, "incoming");
}

static bool is_defined(json_object *vgpu, const Line *line) {
        return object_is_true(vgpu, "persistent");
}

static bool is_startable(json_object *vgpu, const Line *line) {
        return is_defined(vgpu, line) && !is_active(vgpu, line);
}

/* Of the GPU that stands before it, whose domain may be left out; "" and what is no GPU are for all of them. */
static bool is_of_gpu(json_object *type, const Line *line) {
        const char *gpu = object_string(type, "gpu");

        if (!line->first || !*line->first || !gpu || streq(line->first, "\"\"") || streq(line->first, "''"))
                return true;

        return streq(gpu, line->first) || (strncmp(gpu, "0000:", 5) == 0 && streq(gpu + 5, line->first));
}

static const BusList list_topologies = {
        .member = "ListTopologies",
        .expect = "a(ssba{sv})",
        .keys = (const char *const[]){ "name", "file", "active", NULL },
};

static const BusList list_jobs = {
        .member = "ListJobs",
        .expect = "a(ussoa{sv})",
        .keys = (const char *const[]){ "id", "operation", "state", "path", NULL },
};

static void print_words(const Line *line, const char *const *words) {
        for (; *words; words += 2)
                candidate_print(line, words[0], words[1]);
}

static void print_vgpus(Ctl *ctl, const Line *line, bool (*wanted)(json_object *vgpu, const Line *line)) {
        print_rows(ctl, line, &bus_list_vgpus, "uuid", "type", wanted);
        print_rows(ctl, line, &bus_list_vgpus, "label", "uuid", wanted);
}

/* Folders end in a slash, behind which the shells go on. */
static void print_files(const Line *line) {
        _cleanup_(freep) char *pattern = NULL;
        glob_t found = {};

        if (!is_plain_word(line->current))
                return;
        if (asprintf(&pattern, "%s*", line->current) < 0) {
                pattern = NULL;
                return;
        }

        if (glob(pattern, GLOB_MARK, NULL, &found) == 0)
                for (size_t i = 0; i < found.gl_pathc; i++)
                        if (is_plain_word(found.gl_pathv[i]))
                                candidate_print(line, found.gl_pathv[i], NULL);
        globfree(&found);
}

static void print_verb(const char *name, const char *summary, void *userdata) {
        candidate_print(userdata, name, summary);
}

static const char *const on_off_words[] = { "on", "Sizes may be mixed", "off", "They may not", NULL };

static const char *const topology_words[] = {
        "list",   "List the topologies",
        "plan",   "Show what applying it would do",
        "diff",   "Show what differs",
        "assert", "The same",
        "apply",  "Do it",
        "export", "Print what there is",
        NULL,
};

static const char *const foreign_tools[] = {
        "mdev-gpu",
        "Mdev-GPU's generate-vgpu-types.yaml",
        "vgpu-config",
        "NVIDIA's vgpuConfig.xml",
        "profile-override",
        "profile_override.toml of vgpu_unlock-rs",
        "vgpu-device-manager",
        "NVIDIA's vgpu-device-manager",
        "mig-parted",
        "Says what to do instead",
        NULL,
};

static void print_kind(Ctl *ctl, const Line *line, Kind kind) {
        if (kind == KIND_GPU || kind == KIND_GPU_OR_VGPU || kind == KIND_GPU_OR_ACTIVE)
                print_rows(ctl, line, &bus_list_gpus, "address", "name", NULL);

        switch (kind) {
        case KIND_VERB:
                verbs_each(print_verb, (void *)(uintptr_t)line);
                break;
        case KIND_TYPE:
                print_rows(ctl, line, &bus_list_types, "id", "name", is_of_gpu);
                break;
        case KIND_VGPU:
        case KIND_GPU_OR_VGPU:
                print_vgpus(ctl, line, NULL);
                break;
        case KIND_ACTIVE:
        case KIND_GPU_OR_ACTIVE:
                print_vgpus(ctl, line, is_active);
                break;
        case KIND_INCOMING:
                print_vgpus(ctl, line, is_incoming);
                break;
        case KIND_DEFINED:
                print_vgpus(ctl, line, is_defined);
                break;
        case KIND_STARTABLE:
                print_vgpus(ctl, line, is_startable);
                break;
        case KIND_TOPOLOGY_WORD:
                print_words(line, topology_words);
                break;
        case KIND_ON_OFF:
                print_words(line, on_off_words);
                break;
        case KIND_TOPOLOGY:
                print_rows(ctl, line, &list_topologies, "name", "file", NULL);
                break;
        case KIND_FOREIGN:
                print_words(line, foreign_tools);
                break;
        case KIND_FILE:
                print_files(line);
                break;
        case KIND_STATE:
                print_rows(ctl, line, &bus_list_states, "name", "uuid", NULL);
                break;
        case KIND_JOB:
                print_rows(ctl, line, &list_jobs, "id", "operation", NULL);
                break;
        default:
                break;
        }
}

static void print_option(const struct option *option, void *userdata) {
        const Line *line = userdata;
        char word[64];

        (void)snprintf(word, sizeof(word), "--%s%s", option->name, option->has_arg == required_argument ? "=" : "");
        candidate_print(line, word, NULL);
}

/* What stands behind "--NAME=", where that is known. */
static void print_option_values(Ctl *ctl, const Line *line) {
        static const char *const formats[] = { "libvirt-xml", NULL, "qemu", NULL, "cdi", NULL, NULL, NULL };
        static const char *const forms[] = { "pretty", NULL, "short", NULL, NULL, NULL };
        static const char *const afters[] = { "run",     "It goes on",    "stop", "It stands still",
                                              "destroy", "It is removed", NULL };
        static const char *const uuids[] = { "new", "Another one, made here", NULL };

        if (streq(line->option, "format"))
                print_words(line, formats);
        else if (streq(line->option, "json"))
                print_words(line, forms);
        else if (streq(line->option, "after"))
                print_words(line, afters);
        else if (streq(line->option, "uuid"))
                print_words(line, uuids);
        else if (streq(line->option, "type"))
                print_rows(ctl, line, &bus_list_types, "id", "name", NULL);
}

typedef struct OptionSearch {
        const char *name;
        size_t length;
        int has_arg; /* -1: there is none of that name */
} OptionSearch;

static void match_option(const struct option *option, void *userdata) {
        OptionSearch *search = userdata;

        if (strlen(option->name) == search->length && strncmp(option->name, search->name, search->length) == 0)
                search->has_arg = option->has_arg;
}

/* A word "--NAME" or "--NAME=VALUE"; whether the next word is its value. Where to ask is obeyed here, too. */
static bool option_takes_next(Ctl *ctl, const char *word, const char *verb) {
        const char *equals = strchr(word, '=');
        OptionSearch search = { .name = word + 2, .has_arg = -1 };

        if (streq(word, "-H"))
                return true;
        if (strncmp(word, "--", 2) != 0)
                return false;

        search.length = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
        options_each(verb, match_option, &search);
        if (equals && strncmp(word, "--address=", strlen("--address=")) == 0)
                ctl->address = equals + 1;
        if (equals && strncmp(word, "--host=", strlen("--host=")) == 0)
                ctl->host = equals + 1;
        return search.has_arg == required_argument && !equals;
}

static void take_value(Ctl *ctl, const char *option, const char *value) {
        if (streq(option, "--address"))
                ctl->address = value;
        else if (streq(option, "--host") || streq(option, "-H"))
                ctl->host = value;
}

/* The words before the one that is being typed. */
static void read_words(Ctl *ctl, char **words, size_t n, Line *line) {
        for (size_t i = 0; i < n; i++) {
                if (words[i][0] == '-' && words[i][1]) {
                        if (!option_takes_next(ctl, words[i], line->verb))
                                continue;
                        if (++i < n)
                                take_value(ctl, words[i - 1], words[i]);
                        else
                                line->option = words[i - 1] + strspn(words[i - 1], "-");
                        continue;
                }

                if (!line->verb)
                        line->verb = words[i];
                else if (line->n++ == 0)
                        line->first = words[i];
        }
}

static Kind kind_of_argument(const Line *line) {
        for (size_t i = 0; i < ELEMENTSOF(arguments_of); i++) {
                size_t last = 0;

                if (!streq(arguments_of[i].verb, line->verb))
                        continue;
                while (last + 1 < ELEMENTSOF(arguments_of[i].kinds) && arguments_of[i].kinds[last + 1] != KIND_NONE)
                        last++;
                if (line->n <= last)
                        return arguments_of[i].kinds[line->n];
                return arguments_of[i].more ? arguments_of[i].kinds[last] : KIND_NONE;
        }

        return KIND_NONE;
}

Status verb_completion(Ctl *ctl, char **arguments) {
        _cleanup_(freep) char *option = NULL, *head = NULL;
        Line line = { .current = "", .head = "" };
        size_t n = 0;
        char *equals;

        while (arguments[n])
                n++;
        if (n > 0)
                line.current = arguments[n - 1];
        read_words(ctl, arguments, n > 0 ? n - 1 : 0, &line);

        if (!line.option && strncmp(line.current, "--", 2) == 0 && (equals = strchr(line.current, '='))) {
                option = strndup(line.current + 2, (size_t)(equals - line.current) - 2);
                head = strndup(line.current, (size_t)(equals - line.current) + 1);
                if (!option || !head)
                        return ctl_oom();
                line.option = option;
                line.head = head;
                line.current = equals + 1;
        }

        if (line.option)
                print_option_values(ctl, &line);
        else if (line.current[0] == '-')
                options_each(line.verb, print_option, &line);
        else
                print_kind(ctl, &line, line.verb ? kind_of_argument(&line) : KIND_VERB);
        return STATUS_DONE;
}
