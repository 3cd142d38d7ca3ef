/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>

#include "host.h"
#include "options.h"

#define CHANGES (VERB_DEFINE | VERB_UNDEFINE | VERB_MODIFY | VERB_START | VERB_STOP)

typedef struct Option {
        const char *name;
        char letter;
        unsigned verbs;
        const char *value; /* what stands for it in the help; NULL: it takes none */
        size_t offset;
        const char *help;
} Option;

static const Option OPTIONS[] = {
        { "uuid", 'u', CHANGES | VERB_LIST, "UUID", offsetof(Options, uuid), "The device" },
        { "parent", 'p', (CHANGES & ~(unsigned)VERB_STOP) | VERB_LIST | VERB_TYPES, "PARENT", offsetof(Options, parent),
          "The device that carries it, by its name in sysfs" },
        { "type", 't', VERB_DEFINE | VERB_MODIFY | VERB_START, "TYPE", offsetof(Options, type), "Its type" },
        { "jsonfile", 0, VERB_DEFINE | VERB_MODIFY | VERB_START, "FILE", offsetof(Options, jsonfile),
          "Its type, start and attributes as JSON" },
        { "auto", 'a', VERB_DEFINE | VERB_MODIFY, NULL, offsetof(Options, autostart), "It starts by itself" },
        { "manual", 'm', VERB_MODIFY, NULL, offsetof(Options, manual), "It does not" },
        { "addattr", 0, VERB_MODIFY, "NAME", offsetof(Options, addattr), "Add an attribute" },
        { "value", 0, VERB_MODIFY, "VALUE", offsetof(Options, value), "The value of that" },
        { "delattr", 0, VERB_MODIFY, NULL, offsetof(Options, delattr), "Remove an attribute" },
        { "index", 'i', VERB_MODIFY, "N", offsetof(Options, index), "Where; without it at the end" },
        { "live", 'l', VERB_MODIFY, NULL, offsetof(Options, live), "Change the active device" },
        { "defined", 'd', VERB_MODIFY | VERB_LIST, NULL, offsetof(Options, defined), "The definition" },
        { "dumpjson", 0, VERB_LIST | VERB_TYPES, NULL, offsetof(Options, dumpjson), "As JSON" },
        { "verbose", 'v', VERB_LIST, NULL, offsetof(Options, verbose), "With attributes" },
        { "force", 'f', CHANGES, NULL, offsetof(Options, force), "Also if a callout refuses" },
};

static const struct {
        const char *name;
        Verb verb;
        const char *help; /* NULL: hidden */
} VERBS[] = {
        { "define", VERB_DEFINE, "Define a mediated device" },
        { "undefine", VERB_UNDEFINE, "Remove a definition" },
        { "modify", VERB_MODIFY, "Change a definition, or an active device" },
        { "start", VERB_START, "Make a device, one that is defined or another" },
        { "stop", VERB_STOP, "Remove a device" },
        { "list", VERB_LIST, "List devices that are active, or defined ones" },
        { "types", VERB_TYPES, "List types" },
        { "start-parent-mdevs", VERB_START_PARENT, NULL },
};

static int usage(const char *format, ...) _printf_(1, 2);

static int usage(const char *format, ...) {
        va_list ap;

        fputs("error: ", stderr);
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputs("\n\nFor more information try --help\n", stderr);
        return -EINVAL;
}

static int help_verbs(FILE *stream) {
        fputs("mdevctl of mdevgpud " MDEVGPUD_VERSION ", as mdevctl " MDEVCTL_VERSION "\n\nUSAGE:\n"
              "    mdevctl <SUBCOMMAND>\n\nSUBCOMMANDS:\n",
              stream);
        for (size_t i = 0; i < ELEMENTSOF(VERBS); i++)
                if (VERBS[i].help)
                        fprintf(stream, "    %-12s%s\n", VERBS[i].name, VERBS[i].help);
        return stream == stdout ? 0 : -EINVAL;
}

static int help_options(Verb verb) {
        const char *name = "list";

        for (size_t i = 0; i < ELEMENTSOF(VERBS); i++)
                if (VERBS[i].verb == verb)
                        name = VERBS[i].name;

        printf("USAGE:\n    mdevctl %s %s\n\nOPTIONS:\n", name, verb == VERB_START_PARENT ? "<PARENT>" : "[OPTIONS]");
        for (size_t i = 0; i < ELEMENTSOF(OPTIONS); i++) {
                const Option *option = &OPTIONS[i];
                char text[64];

                if (!(option->verbs & verb))
                        continue;
                (void)snprintf(text, sizeof(text), "--%s%s%s%s", option->name, option->value ? " <" : "",
                               option->value ?: "", option->value ? ">" : "");
                printf("    %c%c%c %-22s%s\n", option->letter ? '-' : ' ', option->letter ?: ' ',
                       option->letter ? ',' : ' ', text, option->help);
        }
        printf("    -h, %-22sPrint this\n", "--help");
        return 0;
}

static int print_version(void) {
        puts("mdevctl " MDEVCTL_VERSION " (mdevgpud " MDEVGPUD_VERSION ")");
        return 0;
}

/* Whatever is known, but given twice or without its value: said when all has been read, as --help may come yet. */
static int set(Options *o, const Option *option, const char *value) {
        void *field = (char *)o + option->offset;
        bool *flag = field;
        const char **text = field;

        if (option->value ? *text != NULL : *flag)
                o->twice = option->name;
        if (!option->value)
                *flag = true;
        else if (value)
                *text = value;
        else
                o->lacking = option->name;
        return 1;
}

/* What stands in the next argument, if that can be a value. */
static const char *take_next(int argc, char **argv, int *i) {
        const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;

        if (!next || (next[0] == '-' && next[1] != '\0'))
                return NULL;

        (*i)++;
        return next;
}

static const Option *find(Verb verb, const char *name, size_t n, char letter) {
        for (size_t i = 0; i < ELEMENTSOF(OPTIONS); i++) {
                const Option *option = &OPTIONS[i];

                if (!(option->verbs & verb))
                        continue;
                if (name ? strlen(option->name) == n && memcmp(option->name, name, n) == 0 : option->letter == letter)
                        return option;
        }

        return NULL;
}

static int parse_long(Options *o, int argc, char **argv, int *i) {
        const char *name = argv[*i] + 2, *equals = strchr(name, '=');
        const Option *option;

        if (strcmp(name, "help") == 0)
                return help_options(o->verb);
        if (strcmp(name, "version") == 0 && o->verb == VERB_LIST)
                return print_version();

        option = find(o->verb, name, equals ? (size_t)(equals - name) : strlen(name), 0);
        if (!option)
                return usage("Found argument '%s', which is not known here", argv[*i]);
        if (equals && !option->value)
                return usage("The argument '--%s' takes no value", option->name);
        return set(o, option, !option->value ? NULL : equals ? equals + 1 : take_next(argc, argv, i));
}

static int parse_short(Options *o, int argc, char **argv, int *i) {
        for (const char *s = argv[*i] + 1; *s; s++) {
                const Option *option;

                if (*s == 'h')
                        return help_options(o->verb);
                if (*s == 'V' && o->verb == VERB_LIST)
                        return print_version();
                option = find(o->verb, NULL, 0, *s);
                if (!option)
                        return usage("Found argument '-%c', which is not known here", *s);
                if (option->value)
                        return set(o, option, s[1] == '\0' ? take_next(argc, argv, i) : s[1] == '=' ? s + 2 : s + 1);
                (void)set(o, option, NULL);
        }

        return 1;
}

static int parse_words(Options *o, int argc, char **argv, int first) {
        bool words = false;

        for (int i = first; i < argc; i++) {
                int r = 1;

                if (!words && strcmp(argv[i], "--") == 0)
                        words = true;
                else if (!words && argv[i][0] == '-' && argv[i][1] == '-')
                        r = parse_long(o, argc, argv, &i);
                else if (!words && argv[i][0] == '-' && argv[i][1] != '\0')
                        r = parse_short(o, argc, argv, &i);
                else if (o->verb == VERB_START_PARENT && !o->parent)
                        o->parent = argv[i];
                else
                        r = usage("Found argument '%s', which is not known here", argv[i]);
                if (r <= 0)
                        return r;
        }

        return 1;
}

static int check_values(Options *o) {
        o->index_number = -1;
        if (o->uuid) {
                if (device_parse_uuid(o->uuid, o->uuid_text) < 0)
                        return usage("'%s' is no UUID", o->uuid);
                o->uuid = o->uuid_text;
        }
        if (o->index) {
                char *end;

                errno = 0;
                o->index_number = strtol(o->index, &end, 10);
                if (errno != 0 || end == o->index || *end || o->index_number < 0 || o->index_number > UINT32_MAX ||
                    !strchr("+0123456789", o->index[0]))
                        return usage("'%s' is no index", o->index);
        }

        return 1;
}

static int check_modify(const Options *o) {
        unsigned n = o->autostart + o->manual + !!o->addattr + o->delattr + !!o->jsonfile;

        if (n != 1)
                return usage("One of --auto, --manual, --addattr, --delattr and --jsonfile is needed");
        if (!o->addattr != !o->value)
                return usage("--addattr and --value belong together");
        if (o->index && !o->addattr && !o->delattr)
                return usage("--index is for --addattr and --delattr");
        if (o->jsonfile && o->type)
                return usage("--type cannot be used with --jsonfile");
        if (o->live && (o->addattr || o->index || o->type))
                return usage("--live needs --jsonfile");
        return 1;
}

static int check(const Options *o) {
        if (o->lacking)
                return usage("The argument '--%s' needs a value", o->lacking);
        if (o->twice)
                return usage("The argument '--%s' was given more than once", o->twice);

        switch (o->verb) {
        case VERB_DEFINE:
        case VERB_START:
                if (!o->uuid && !o->parent)
                        return usage("--uuid or --parent is needed");
                if (o->jsonfile && (o->type || o->autostart))
                        return usage("--type and --auto cannot be used with --jsonfile");
                return 1;
        case VERB_UNDEFINE:
        case VERB_STOP:
                return o->uuid ? 1 : usage("--uuid is needed");
        case VERB_MODIFY:
                return o->uuid ? check_modify(o) : usage("--uuid is needed");
        case VERB_START_PARENT:
                return o->parent ? 1 : usage("<PARENT> is needed");
        default:
                return 1;
        }
}

static bool find_verb(const char *name, Verb *ret_verb) {
        for (size_t i = 0; i < ELEMENTSOF(VERBS); i++)
                if (strcmp(VERBS[i].name, name) == 0) {
                        *ret_verb = VERBS[i].verb;
                        return true;
                }

        return false;
}

static bool ends_with(const char *s, const char *end) {
        size_t n = strlen(s), k = strlen(end);

        return n >= k && strcmp(s + n - k, end) == 0;
}

/* 1: *o says which subcommand it is. */
static int parse_verb(Options *o, int argc, char **argv) {
        const char *word = argc > 1 ? argv[1] : NULL;

        if (!word)
                return help_verbs(stderr);
        if (strncmp(word, "-h", 2) == 0 || strcmp(word, "--help") == 0)
                return help_verbs(stdout);
        if (strncmp(word, "-V", 2) == 0 || strcmp(word, "--version") == 0)
                return print_version();
        if (strcmp(word, "help") == 0) {
                if (argc == 2 || (argc == 3 && strcmp(argv[2], "help") == 0))
                        return help_verbs(stdout);
                return argc == 3 && find_verb(argv[2], &o->verb) ? help_options(o->verb)
                                                                 : usage("'%s' is not known", argv[argc - 1]);
        }

        return find_verb(word, &o->verb) ? 1 : usage("'%s' is not known", word);
}

int options_parse(Options *o, int argc, char **argv) {
        int r, first = 2;

        *o = (Options){};
        if (argc > 0 && ends_with(argv[0], "lsmdev")) {
                o->verb = VERB_LIST;
                first = 1;
                r = 1;
        } else
                r = parse_verb(o, argc, argv);
        if (r > 0)
                r = parse_words(o, argc, argv, first);
        if (r > 0)
                r = check(o);
        return r > 0 ? check_values(o) : r;
}
