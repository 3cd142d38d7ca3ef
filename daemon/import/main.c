/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The program behind `mdevgpuctl import`: another tool's file in, mdevgpud's own form out. It asks no daemon and changes
 * nothing.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "import/import.h"
#include "util/text.h"

typedef struct Kind {
        const char *name;
        ImportReader read;
} Kind;

static const Kind kinds[] = {
        { "mdev-gpu", import_mdev_gpu },
        { "mig-parted", import_mig_parted },
        { "profile-override", import_profile_override },
#if HAVE_LIBXML2
        { "vgpu-config", import_vgpu_config },
#endif
        { "vgpu-device-manager", import_vgpu_device_manager },
};

static int usage(void) {
        fprintf(stderr, "mdevgpud-import KIND FILE [NAME…]\n\nKinds:");
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                fprintf(stderr, " %s", kinds[i].name);
        fprintf(stderr, "\n");
        return 2;
}

static ImportReader find_reader(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (streq(kinds[i].name, name))
                        return kinds[i].read;

        return NULL;
}

static int read_stream(FILE *stream, char **ret_text, size_t *ret_size) {
        _cleanup_(freep) char *text = NULL;
        size_t size = 0, allocated = 0, n;

        do {
                if (allocated - size < 2) {
                        char *larger;

                        allocated = MAX(allocated * 2, 65536U);
                        larger = realloc(text, allocated);
                        if (!larger)
                                return -ENOMEM;
                        text = larger;
                }
                errno = 0;
                n = fread(text + size, 1, allocated - size - 1, stream);
                size += n;
                if (size > IMPORT_SIZE_MAX)
                        return -EFBIG;
        } while (n > 0);

        if (ferror(stream))
                return errno > 0 ? negative_errno() : -EIO;
        text[size] = '\0';
        *ret_text = TAKE(text);
        *ret_size = size;
        return 0;
}

static int read_file(const char *path, char **ret_text, size_t *ret_size) {
        FILE *stream;
        int r;

        if (streq(path, "-"))
                return read_stream(stdin, ret_text, ret_size);

        stream = fopen(path, "re");
        if (!stream)
                return negative_errno();
        r = read_stream(stream, ret_text, ret_size);
        (void)fclose(stream);
        return r;
}

/* What somebody has to know stands above what he will paste. */
static void print_head(const Import *import, const char *kind) {
        _cleanup_(freep) char *file = strdup(import->file);

        if (file)
                text_sanitize(file);
        printf("# Of %s (%s)\n", file ?: "?", kind);
        for (size_t i = 0; i < import->report->n_problems; i++)
                printf("# Line %u: %s\n", import->report->problems[i].line, import->report->problems[i].message);
}

static void print(const Import *import, const char *kind) {
        print_head(import, kind);
        for (size_t i = 0; i < import->profiles->n_profiles; i++) {
                if (i > 0)
                        printf("--- # A file of its own for each of these\n");
                native_print_profile(stdout, import->profiles->profiles[i]);
        }
        if (import->topologies->n_topologies > 0)
                native_print_topologies(stdout, import->topologies);
}

static int import_file(const char *kind, ImportReader read, Import *import) {
        int r;

        import->profiles = profile_set_new();
        import->topologies = topology_set_new();
        if (!import->profiles || !import->topologies)
                return -ENOMEM;

        r = read(import);
        if (r >= 0 && import->n_names > 0 && import->profiles->n_profiles + import->topologies->n_topologies == 0) {
                r = config_report_add(import->report, import->file, 0, 0, PROBLEM_ERROR,
                                      "nothing of it is named '%s'%s", import->names[0],
                                      import->n_names > 1 ? ", or otherwise as was asked for" : "");
                r = r < 0 ? r : -EBADMSG;
        }
        config_report_print(import->report, stderr);
        if (r >= 0)
                print(import, kind);
        return r;
}

int main(int argc, char **argv) {
        _cleanup_(freep) char *text = NULL;
        ConfigReport report = {};
        Import import = { .report = &report };
        ImportReader read;
        int r;

        read = argc >= 3 ? find_reader(argv[1]) : NULL;
        if (!read)
                return usage();

        import.file = argv[2];
        import.names = argv + 3;
        import.n_names = (size_t)argc - 3;
        r = read_file(import.file, &text, &import.size);
        if (r >= 0) {
                import.text = text;
                r = import_file(argv[1], read, &import);
        }
        if (r < 0 && r != -EBADMSG)
                fprintf(stderr, "mdevgpud-import: %s cannot be read: %s\n", import.file, strerror(-r));
        if (r >= 0 && fflush(stdout) != 0) {
                fprintf(stderr, "mdevgpud-import: cannot write: %m\n");
                r = -EIO;
        }

        profile_set_free(import.profiles);
        topology_set_free(import.topologies);
        config_report_done(&report);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
