/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * mdevgpuctl: shows and changes GPUs, vGPU types and vGPUs by asking mdevgpud over D-Bus.
 */

#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "agent.h"
#include "bus.h"
#include "options.h"
#include "pager.h"
#include "text.h"
#include "verbs.h"

typedef struct Verb {
        const char *name;
        size_t min, max; /* how many arguments */
        uint64_t takes; /* of enum Option */
        Status (*run)(Ctl *ctl, char **arguments);
        const char *synopsis, *summary, *text, *options;
} Verb;

static Status verb_help(Ctl *ctl, char **arguments);

#define HELP_GPU "GPU is the GPU's name in sysfs, for instance 0000:41:00.0, or just 41:00.0.\n"

#define HELP_LABEL "      --label=TEXT       A text of your own that lists show\n"
#define HELP_ATTR                                                                                                      \
        "      --attr=NAME=VALUE  Write VALUE to the attribute NAME; may be given several\n"                           \
        "                         times, and is done in that order\n"
#define HELP_AUTOSTART "      --autostart        Start it at each boot\n"
#define HELP_AFTER                                                                                                     \
        "      --after=WHAT       What becomes of it then: run (the default), it goes on;\n"                            \
        "                         stop, it stands still; destroy, it is removed\n"                                     \
        "      --no-precopy       Have it stand still from the beginning\n"                                             \
        "      --unmanaged        Also destroy one that was not created by mdevgpud\n"
#define HELP_INTO                                                                                                      \
        "      --uuid=UUID        Not that of the state; new: another one, made here\n"                                 \
        "      --type=TYPE        Not that of the state\n"                                                              \
        "      --label=TEXT       Not that of the state\n"
#define HELP_NO_WAIT "      --no-wait          Print the number of the job that does it, and leave it\n"
#define HELP_MANUAL "      --manual           Do not start it at boot\n"

static const Verb verbs[] = {
        { "list", 0, 0, 0, verb_list, "", "List vGPUs (what is done without a verb)", NULL, NULL },
        { "gpus", 0, 0, 0, verb_gpus, "", "List GPUs", NULL, NULL },
        { "types", 0, 1, 0, verb_types, "[GPU]", "List the vGPU types of all GPUs, or of one", NULL, NULL },
        { "status", 0, SIZE_MAX, 0, verb_status, "[GPU|UUID…]", "Show all about GPUs and vGPUs, or an overview",
          HELP_GPU "Here as everywhere a vGPU's label does for its UUID if only one has it.\n", NULL },
        { "users", 1, SIZE_MAX, 0, verb_users, "UUID…", "List the processes that use vGPUs", NULL, NULL },
        { "usage", 0, SIZE_MAX, 0, verb_usage, "[GPU…]", "Show what drivers say that GPUs and vGPUs use",
          HELP_GPU "Without it: of all GPUs whose drivers say anything.\n", NULL },
        { "attachment", 1, SIZE_MAX,
          OPTION_FORMAT | OPTION_DISPLAY | OPTION_RAMFB | OPTION_DOMAIN | OPTION_LIVE | OPTION_CONFIG, verb_attachment,
          "UUID…", "Print how VMs or containers get vGPUs", "For one virtual machine name all of its vGPUs.\n",
          "      --format=FORMAT    libvirt-xml (the default), qemu or cdi\n"
          "      --display          The vGPU shows the guest's picture\n"
          "      --ramfb            It does so from the firmware's start on\n"
          "      --domain=NAME      Do not print it: have libvirt's virsh attach it to NAME\n"
          "      --live             With --domain: while it runs; with --config both\n"
          "      --config           With --domain: when it starts the next time\n" },
        { "create", 2, 3, OPTION_PERSISTENT | OPTION_AUTOSTART | OPTION_LABEL | OPTION_ATTR | OPTION_NUMA_NODE |
                  OPTION_TAKE_DISPLAY,
          verb_create, "GPU TYPE [UUID]", "Create a vGPU and print its UUID",
          HELP_GPU
          "With \"\" instead mdevgpud chooses one that has room.\n"
          "TYPE is the id of a type, or its name if only one type has it; a name with\n"
          "blanks must be quoted. Without UUID one is generated.\n"
          "\n"
          "It is gone with the next boot unless it is defined too.\n",
          "      --persistent       Define it too, so that it can be started again\n"
          "      --autostart        Define it too, and start it at each boot\n" HELP_LABEL HELP_ATTR
          "      --numa-node=N      Rather choose a GPU on this NUMA node\n"
          "      --take-display     Also of a card that shows the console or a picture\n"
          "  -q, --quiet            Do not print the UUID\n" },
        { "destroy", 1, SIZE_MAX, OPTION_UNMANAGED, verb_destroy, "[--unmanaged] UUID…", "Remove vGPUs",
          "A vGPU that is in use is never removed. One that was not created by mdevgpud is\n"
          "removed with --unmanaged only. Its definition stays.\n",
          "      --unmanaged        Also remove one that was not created by mdevgpud\n" },
        { "define", 1, 3, OPTION_AUTOSTART | OPTION_MANUAL | OPTION_LABEL | OPTION_ATTR, verb_define,
          "GPU TYPE [UUID]|UUID", "Define a vGPU, to be started later",
          HELP_GPU "It need not be there; then TYPE must be the id of a type. Without UUID one is\n"
                   "generated. With UUID alone the vGPU that is active is defined as it is.\n"
                   "The UUID is printed. Nothing is created.\n",
          HELP_AUTOSTART HELP_MANUAL HELP_LABEL HELP_ATTR "  -q, --quiet            Do not print the UUID\n" },
        { "undefine", 1, SIZE_MAX, OPTION_UNMANAGED, verb_undefine, "[--unmanaged] UUID…",
          "Delete definitions of vGPUs",
          "A vGPU that is active stays active. A definition that was not written by\n"
          "mdevgpud is deleted with --unmanaged only.\n",
          "      --unmanaged        Also delete one that was not written by mdevgpud\n" },
        { "start", 1, SIZE_MAX, 0, verb_start, "UUID…", "Create vGPUs that are defined", NULL, NULL },
        { "modify", 1, 1,
          OPTION_AUTOSTART | OPTION_MANUAL | OPTION_LABEL | OPTION_TYPE | OPTION_ATTR | OPTION_LIVE | OPTION_CONFIG |
                  OPTION_UNMANAGED,
          verb_modify, "UUID", "Change a vGPU or its definition",
          "With neither --live nor --config the definition is changed, if there is one,\n"
          "else the active vGPU.\n",
          HELP_AUTOSTART HELP_MANUAL HELP_LABEL
          "      --type=TYPE        Make it one of another type\n" HELP_ATTR
          "      --live             Change the active vGPU; with --config both\n"
          "      --config           Change the definition\n"
          "      --unmanaged        Also change what was not made by mdevgpud\n" },
        { "autostart", 1, SIZE_MAX, OPTION_OFF | OPTION_UNMANAGED, verb_autostart, "[--off] UUID…",
          "Have vGPUs started at each boot, or not", "Only what is defined can be started.\n",
          "      --off              Do not start them at boot\n"
          "      --unmanaged        Also change a definition not written by mdevgpud\n" },
        { "topology", 1, 2, 0, verb_topology, "WORD [NAME]", "Bring GPUs and vGPUs into a named state",
          "WORD is one of\n"
          "  list    List the topologies\n"
          "  plan    Show what applying it would do, and what cannot be\n"
          "  diff    Show what differs from it; the exit status is 5 if something does\n"
          "  assert  The same\n"
          "  apply   Do it: all, or everything is as before; Ctrl-C cancels\n"
          "  export  Print what there is as a topology called NAME\n"
          "NAME is a topology, the default one without it.\n",
          "  -q, --quiet            Print nothing; the exit status tells\n" },
        { "vfs", 0, 2, OPTION_ATTR, verb_vfs, "[GPU [N]]", "List or change numbers of virtual functions",
          HELP_GPU "N is how many it shall have, 0 for none, or 'all'. It is refused while the GPU\n"
                   "has vGPUs. How many there are after a boot is said in mdevgpud.yaml(5).\n"
                   "Ctrl-C cancels.\n",
          "      --attr=NAME=VALUE  Write VALUE to attribute NAME of all functions first\n" },
        { "mixed-size", 0, 2, 0, verb_mixed_size, "[GPU [on|off]]", "Allow vGPUs of different sizes, or not",
          HELP_GPU "It is a setting of NVIDIA's driver, which takes it while the GPU has virtual\n"
                   "functions and no vGPUs, and forgets it when it is loaded.\n",
          NULL },
        { "migration", 1, 2, OPTION_PROBE, verb_migration, "GPU TYPE|UUID",
          "Show what there is to say of moving vGPUs",
          HELP_GPU "With a type it is what another host's 'mdevgpuctl compat' compares. With a UUID\n"
                   "it is whether that vGPU could be migrated now, and why not.\n",
          "      --probe            Open the vGPU and ask it, if nobody has it open\n" },
        { "compat", 2, 2, 0, verb_compat, "GPU FILE", "Say whether vGPUs can move between hosts",
          HELP_GPU "FILE has what 'mdevgpuctl migration GPU TYPE --json' printed on the other host;\n"
                   "with - it is standard input. The exit status is 0 if the answer is yes, 5 if it\n"
                   "is no, and 7 if nobody knows.\n",
          "  -q, --quiet            Print nothing; the exit status tells\n" },
        { "prepare-incoming", 2, 3, OPTION_LEASE | OPTION_LABEL | OPTION_ATTR, verb_prepare_incoming,
          "GPU TYPE [UUID]", "Create the vGPU that a migration goes to",
          HELP_GPU "It is removed again if nobody has opened it when its lease ends.\n",
          "      --lease=SECONDS    How long it waits, 300 without it\n" HELP_LABEL HELP_ATTR
          "  -q, --quiet            Do not print the UUID\n" },
        { "release-incoming", 1, SIZE_MAX, OPTION_KEEP, verb_release_incoming, "UUID…",
          "Remove vGPUs no migration comes to", NULL,
          "      --keep             Do not remove it: it is a vGPU as any other from now on\n" },
        { "save", 2, 2, OPTION_AFTER | OPTION_NO_PRECOPY | OPTION_REPLACE | OPTION_NO_WAIT | OPTION_UNMANAGED,
          verb_save, "UUID NAME",
          "Save the state of a vGPU that nobody uses",
          "mdevgpud keeps it under NAME, until it is deleted. Ctrl-C cancels.\n",
          HELP_AFTER "      --replace          Replace a saved state of this name\n" HELP_NO_WAIT
                     "  -q, --quiet            Do not say that it is done\n" },
        { "restore", 1, 2, OPTION_UUID | OPTION_TYPE | OPTION_LABEL | OPTION_NO_WAIT, verb_restore,
          "NAME [GPU]", "Make a vGPU of a saved state",
          HELP_GPU "Without it mdevgpud chooses one that has room. The UUID is printed. Ctrl-C\n"
                   "cancels.\n",
          HELP_INTO HELP_NO_WAIT "  -q, --quiet            Do not print the UUID, nor that it is done\n" },
        { "export-state", 2, 2, OPTION_AFTER | OPTION_NO_PRECOPY | OPTION_UNMANAGED, verb_export_state, "UUID FILE",
          "Write the state of a vGPU into a file",
          "FILE is - for standard output, and else must not be there yet; it is not there\n"
          "before all of it is. Ctrl-C cancels.\n",
          HELP_AFTER "  -q, --quiet            Do not say that it is done\n" },
        { "import-state", 1, 2, OPTION_UUID | OPTION_TYPE | OPTION_LABEL, verb_import_state,
          "FILE [GPU]", "Make a vGPU of a state in a file",
          "FILE is - for standard input.\n" HELP_GPU
          "Without it mdevgpud chooses one that has room. The UUID is printed. Ctrl-C\n"
          "cancels.\n",
          HELP_INTO "  -q, --quiet            Do not print the UUID, nor that it is done\n" },
        { "states", 0, 0, 0, verb_states, "", "List saved states", NULL, NULL },
        { "delete-state", 1, SIZE_MAX, 0, verb_delete_state, "NAME…", "Delete saved states", NULL, NULL },
        { "jobs", 0, 0, 0, verb_jobs, "", "List what goes on, or has ended just now", NULL, NULL },
        { "cancel", 1, 1, 0, verb_cancel, "ID", "Cancel a job", "What it has done is taken back.\n", NULL },
        { "check", 0, 0, 0, verb_check, "", "Check the configuration files, apply nothing",
          "Prints each problem as FILE:LINE:COLUMN: SEVERITY: MESSAGE.\n"
          "It fails if one of them is an error.\n",
          "  -q, --quiet            Print no problems; the exit status tells\n" },
        { "reload", 0, 0, 0, verb_reload, "", "Read the configuration files again and apply them",
          "With an error in them nothing changes: the last good configuration stays.\n",
          "  -q, --quiet            Do not say that drivers have not taken all types\n" },
        { "doctor", 0, 0, 0, verb_doctor, "", "Say what is wrong, and what to do about it",
          "It fails if something is wrong that should work. If the daemon does not answer\n"
          "it says why that is.\n",
          "  -q, --quiet            Print nothing; the exit status tells\n" },
        { "monitor", 0, 0, 0, verb_monitor, "", "Show what happens, as it happens",
          "With --json each event is an object on a line of its own.\n", NULL },
        { "metrics", 0, 0, 0, verb_metrics, "", "Print metrics in the text format of OpenMetrics",
          "Prometheus and others read it.\n", NULL },
        { "probe", 0, 0, 0, verb_probe, "", "Say what NVIDIA's driver answers on this machine",
          "Reports, for each GPU of NVIDIA's, its driver, whether vGPU types can be\n"
          "registered with it, and what it answers to each call that only reads.\n"
          "It needs no daemon, and most of it root.\n", NULL },
        { "import", 2, 2 + IMPORT_NAMES_MAX, 0, verb_import, "KIND FILE [NAME…]",
          "Print another tool's file in mdevgpud's own form",
          "KIND is one of\n"
          "  mdev-gpu             Mdev-GPU's generate-vgpu-types.yaml; types\n"
          "  vgpu-config          NVIDIA's vgpuConfig.xml; types; NAME is a card's DEVICE\n"
          "                       or DEVICE:SUBSYSTEM in hexadecimal digits\n"
          "  profile-override     profile_override.toml of vgpu_unlock-rs; types\n"
          "  vgpu-device-manager  Topologies; NAME is a configuration\n"
          "  mig-parted           Nothing of it has an equivalent; says what to do\n"
          "FILE is - for standard input. What has no equivalent is said, and stands in\n"
          "comments. It needs no daemon and changes nothing.\n",
          NULL },
        { "dump", 0, 0, 0, verb_dump, "", "Print a report of everything, for who helps",
          "It names this machine's GPUs, its vGPUs with their labels and users, the whole\n"
          "configuration of mdevgpud and the last lines of its journal.\n",
          NULL },
        /* Of the shells' scripts, not of people: without a summary it is in no list. */
        { "completion", 0, SIZE_MAX, 0, verb_completion, "", NULL, NULL, NULL },
        { "version", 0, 0, 0, verb_version, "", "Print the versions of mdevgpuctl and mdevgpud", NULL, NULL },
        { "help", 0, 1, 0, verb_help, "[VERB]", "Explain the command, or one verb", NULL, NULL },
};

static const char options_text[] =
        "Options:\n"
        "  -h, --help             Explain the command, or the verb it stands with\n"
        "      --version          Print the version of mdevgpuctl\n"
        "      --json[=FORM]      Print JSON; FORM is pretty (the default) or short\n"
        "      --no-legend        Print tables without headings\n"
        "      --no-pager         Do not show long output in a pager\n"
        "  -q, --quiet            No results of what makes, moves or judges something,\n"
        "                         no remarks of reload\n"
        "  -H, --host=[USER@]HOST Ask the daemon of another machine, over ssh\n"
        "      --address=ADDRESS  Ask over this D-Bus address instead of the system bus\n";

Status ctl_error(Status status, const char *format, ...) {
        _cleanup_(freep) char *message = NULL, *safe = NULL;
        char *line, *rest;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&message, format, ap);
        va_end(ap);
        if (r < 0)
                message = NULL;

        safe = message ? text_escape(message, 0, TEXT_KEEP_NEWLINES) : NULL;
        rest = safe;
        fprintf(stderr, "mdevgpuctl: %s\n", safe ? strsep(&rest, "\n") : "Out of memory.");

        /* A message may have lines, one for each error in the configuration; none of them looks like ours. */
        while ((line = strsep(&rest, "\n")))
                fprintf(stderr, "  %s\n", line);

        return status;
}

/* One that begins so, or the one that is most like it; NULL if none is much. */
static const char *verb_find_similar(const char *name) {
        const char *similar = NULL;
        size_t least = 3;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                size_t distance = text_distance(name, verbs[i].name);

                if (!verbs[i].summary)
                        continue;
                if (strlen(name) > 2 && strncmp(name, verbs[i].name, strlen(name)) == 0)
                        return verbs[i].name;
                if (distance < least && distance < strlen(name)) {
                        least = distance;
                        similar = verbs[i].name;
                }
        }

        return similar;
}

static const Verb *verb_find(const char *name) {
        const char *similar;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].name, name))
                        return &verbs[i];

        similar = verb_find_similar(name);
        if (similar)
                (void)ctl_error(STATUS_USAGE, "There is no verb '%s'; is it '%s'? 'mdevgpuctl help' lists all.", name,
                                similar);
        else
                (void)ctl_error(STATUS_USAGE, "There is no verb '%s'; 'mdevgpuctl help' lists them.", name);
        return NULL;
}

static Status help_print(const Verb *verb) {
        if (verb && verb->summary) {
                printf("mdevgpuctl [OPTIONS] %s%s%s\n\n%s.\n", verb->name, *verb->synopsis ? " " : "", verb->synopsis,
                       verb->summary);
                if (verb->text)
                        fputs(verb->text, stdout);
                if (verb->options)
                        printf("\nOptions:\n%s", verb->options);
                puts("\n'mdevgpuctl help' lists the options that all verbs take.");
                return STATUS_DONE;
        }

        puts("mdevgpuctl [OPTIONS] [VERB [ARGUMENTS]]\n\nShow and change GPUs, vGPU types and vGPUs.\n\nVerbs:");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                if (!verbs[i].summary)
                        continue;

                int used = printf("  %s %s", verbs[i].name, verbs[i].synopsis);

                /* The ellipsis is one column but three bytes. */
                if (strstr(verbs[i].synopsis, "…"))
                        used -= 2;
                printf("%*s%s\n", used < 31 ? 31 - used : 1, "", verbs[i].summary);
        }
        printf("\n%s\nSee mdevgpuctl(1).\n", options_text);
        return STATUS_DONE;
}

static Status verb_help(Ctl *ctl, char **arguments) {
        const Verb *verb = NULL;

        if (arguments[0]) {
                verb = verb_find(arguments[0]);
                if (!verb)
                        return STATUS_USAGE;
        }

        return help_print(verb);
}

static Status parse_json(Ctl *ctl, const char *form) {
        if (!form || streq(form, "pretty"))
                ctl->output = OUTPUT_JSON_PRETTY;
        else if (streq(form, "short"))
                ctl->output = OUTPUT_JSON_SHORT;
        else
                return ctl_error(STATUS_USAGE, "--json=%s is neither pretty nor short.", form);

        return STATUS_DONE;
}

enum {
        OPTION_VERSION = 0x100,
        OPTION_JSON,
        OPTION_NO_LEGEND,
        OPTION_NO_PAGER,
        OPTION_ADDRESS,
};

/* Of what is not below OPTION_VALUE_FIRST. */
static uint64_t option_of_value(int value) {
        return UINT64_C(1) << (value - OPTION_VALUE_FIRST);
}

static Status parse_option(Ctl *ctl, int option, bool *help, bool *version) {
        switch (option) {
        case 'h':
                *help = true;
                return STATUS_DONE;
        case OPTION_VERSION:
                *version = true;
                return STATUS_DONE;
        case OPTION_JSON:
                return parse_json(ctl, optarg);
        case OPTION_NO_LEGEND:
                ctl->no_legend = true;
                return STATUS_DONE;
        case OPTION_NO_PAGER:
                ctl->no_pager = true;
                return STATUS_DONE;
        case 'q':
                ctl->quiet = true;
                return STATUS_DONE;
        case 'H':
                ctl->host = optarg;
                return STATUS_DONE;
        case OPTION_ADDRESS:
                ctl->address = optarg;
                return STATUS_DONE;
        case '?': /* getopt has said it */
                return STATUS_USAGE;
        default:
                return options_take(ctl, option_of_value(option), optarg);
        }
}

static const struct option options[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, OPTION_VERSION },
        { "json", optional_argument, NULL, OPTION_JSON },
        { "no-legend", no_argument, NULL, OPTION_NO_LEGEND },
        { "no-pager", no_argument, NULL, OPTION_NO_PAGER },
        { "quiet", no_argument, NULL, 'q' },
        { "host", required_argument, NULL, 'H' },
        { "address", required_argument, NULL, OPTION_ADDRESS },
        { "unmanaged", no_argument, NULL, OPTION_VALUE(OPTION_UNMANAGED) },
        { "persistent", no_argument, NULL, OPTION_VALUE(OPTION_PERSISTENT) },
        { "autostart", no_argument, NULL, OPTION_VALUE(OPTION_AUTOSTART) },
        { "manual", no_argument, NULL, OPTION_VALUE(OPTION_MANUAL) },
        { "off", no_argument, NULL, OPTION_VALUE(OPTION_OFF) },
        { "label", required_argument, NULL, OPTION_VALUE(OPTION_LABEL) },
        { "type", required_argument, NULL, OPTION_VALUE(OPTION_TYPE) },
        { "attr", required_argument, NULL, OPTION_VALUE(OPTION_ATTR) },
        { "live", no_argument, NULL, OPTION_VALUE(OPTION_LIVE) },
        { "config", no_argument, NULL, OPTION_VALUE(OPTION_CONFIG) },
        { "numa-node", required_argument, NULL, OPTION_VALUE(OPTION_NUMA_NODE) },
        { "take-display", no_argument, NULL, OPTION_VALUE(OPTION_TAKE_DISPLAY) },
        { "format", required_argument, NULL, OPTION_VALUE(OPTION_FORMAT) },
        { "display", no_argument, NULL, OPTION_VALUE(OPTION_DISPLAY) },
        { "ramfb", no_argument, NULL, OPTION_VALUE(OPTION_RAMFB) },
        { "probe", no_argument, NULL, OPTION_VALUE(OPTION_PROBE) },
        { "lease", required_argument, NULL, OPTION_VALUE(OPTION_LEASE) },
        { "keep", no_argument, NULL, OPTION_VALUE(OPTION_KEEP) },
        { "domain", required_argument, NULL, OPTION_VALUE(OPTION_DOMAIN) },
        { "after", required_argument, NULL, OPTION_VALUE(OPTION_AFTER) },
        { "no-precopy", no_argument, NULL, OPTION_VALUE(OPTION_NO_PRECOPY) },
        { "replace", no_argument, NULL, OPTION_VALUE(OPTION_REPLACE) },
        { "no-wait", no_argument, NULL, OPTION_VALUE(OPTION_NO_WAIT) },
        { "uuid", required_argument, NULL, OPTION_VALUE(OPTION_UUID) },
        { NULL, 0, NULL, 0 },
};

void verbs_each(void (*each)(const char *name, const char *summary, void *userdata), void *userdata) {
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (verbs[i].summary)
                        each(verbs[i].name, verbs[i].summary, userdata);
}

void options_each(const char *verb, void (*each)(const struct option *option, void *userdata), void *userdata) {
        uint64_t takes = 0;

        for (size_t i = 0; verb && i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].name, verb))
                        takes = verbs[i].takes;

        for (const struct option *option = options; option->name; option++)
                if (option->val < OPTION_VALUE_FIRST || (takes & option_of_value(option->val)))
                        each(option, userdata);
}

static Status parse_options(Ctl *ctl, int argc, char **argv, bool *help, bool *version) {
        Status status;
        int option;

        while ((option = getopt_long(argc, argv, "hqH:", options, NULL)) >= 0) {
                status = parse_option(ctl, option, help, version);
                if (status != STATUS_DONE)
                        return status;
        }

        if (ctl->host && ctl->address)
                return ctl_error(STATUS_USAGE, "--host and --address exclude each other.");

        return STATUS_DONE;
}

static Status verb_check_usage(const Ctl *ctl, const Verb *verb, size_t n) {
        if (n < verb->min || n > verb->max)
                return ctl_error(STATUS_USAGE, "Too %s arguments; usage: mdevgpuctl %s%s%s",
                                 n < verb->min ? "few" : "many", verb->name, *verb->synopsis ? " " : "",
                                 verb->synopsis);

        return options_check(ctl);
}

static Status run(Ctl *ctl, int argc, char **argv) {
        static char *no_arguments[] = { NULL };
        bool help = false, version = false;
        const Verb *verb = NULL;
        char **arguments = no_arguments;
        Status status;

        status = parse_options(ctl, argc, argv, &help, &version);
        if (status != STATUS_DONE)
                return status;

        if (optind < argc) {
                verb = verb_find(argv[optind]);
                if (!verb)
                        return STATUS_USAGE;
                arguments = argv + optind + 1;
        }

        if (help)
                return help_print(verb);

        if (version) {
                printf("mdevgpuctl %s\n", MDEVGPUCTL_VERSION);
                return STATUS_DONE;
        }

        if (!verb)
                verb = &verbs[0];
        ctl->verb = verb->name;
        ctl->takes = verb->takes;

        status = verb_check_usage(ctl, verb, optind < argc ? (size_t)(argc - optind - 1) : 0);
        if (status != STATUS_DONE)
                return status;

        return verb->run(ctl, arguments);
}

static void terminal_learn(Ctl *ctl) {
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
        struct winsize size = {};

        if (!isatty(STDOUT_FILENO))
                return;

        ctl->columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0 ? size.ws_col : 80;
        ctl->color = isempty(no_color) && !isempty(term) && !streq(term, "dumb");
}

/* What could not be written was not shown, whatever else went well; a reader who has left a pager has seen enough. */
static Status output_finish(Status status) {
        if (pager_is_open()) {
                pager_close();
                return status;
        }

        if (fflush(stdout) != 0 || ferror(stdout))
                return status_first(status, ctl_error(STATUS_FAILED, "Cannot write: %s.", strerror(errno)));

        return status;
}

int main(int argc, char **argv) {
        Ctl ctl = {};
        Status status;

        (void)setlocale(LC_ALL, "");
        terminal_learn(&ctl);

        status = run(&ctl, argc, argv);

        bus_close(&ctl);
        agent_close();
        options_done(&ctl);
        return output_finish(status);
}
