/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A stand-in for mdevgpud that answers as it is told, also as no daemon should:
 *
 *   fake-daemon ADDRESS good|empty|hostile|odd|wrong|huge
 *
 * Names beginning with '!' are orders. "!NAME" is answered with the error NAME, "!NAME=TEXT" says TEXT with it; "!hang"
 * is never answered; at "!drop" the daemon is gone; "!flags" answers with an error that tells the call's flags. Methods
 * and properties are answered by hand, as a vtable would not let a reply have a wrong signature.
 */

#include <errno.h>
#include <math.h>

#include "fake.h"

#define HUGE_ROWS 100000U

static const char *mode;

int is(const char *name) {
        return strcmp(mode, name) == 0;
}

int obey(sd_bus_message *m, const char *name) {
        char *order, *text;

        if (name[0] != '!')
                return 0;

        if (strcmp(name, "!hang") == 0)
                return 1;
        if (strcmp(name, "!drop") == 0)
                exit(EXIT_SUCCESS);
        if (strcmp(name, "!flags") == 0) {
                check(sd_bus_reply_method_errorf(m, ERROR_PREFIX "NotSupported", "interactive=%d",
                                                 sd_bus_message_get_allow_interactive_authorization(m)),
                      "reply");
                return 1;
        }

        order = strdup(name + 1);
        text = order ? strchr(order, '=') : NULL;
        if (text)
                *text++ = 0;
        check(sd_bus_reply_method_errorf(m, order, "%s", text ? text : "as ordered"), "reply");
        free(order);
        return 1;
}

static void gpu_rows(sd_bus_message *reply) {
        OPEN(reply, 'a', "(ssssoa{sv})");
        if (is("good")) {
                APPEND(reply, "(ssssoa{sv})", "0000:42:00.0", "Simulated GPU", "", "failed", ROOT "/gpu/b", 0);
                APPEND(reply, "(ssssoa{sv})", "0000:41:00.0", "GA100 [A100 PCIe 40GB]", "nvidia", "ready", GPU_PATH, 0);
        } else if (is("hostile"))
                APPEND(reply, "(ssssoa{sv})", "0000:41:00.0", HOSTILE, HOSTILE, HOSTILE, GPU_PATH, 0);
        else if (is("odd")) {
                /* Addresses that differ in their domain, or have none, and such as count otherwise than they sort. */
                APPEND(reply, "(ssssoa{sv})", "0000:4a:00.0", "", "", "ready", ROOT "/gpu/e", 0);
                APPEND(reply, "(ssssoa{sv})", "0000:43:00.0", "", "", "ready", ROOT "/gpu/d", 0);
                APPEND(reply, "(ssssoa{sv})", "43:00.0", "", "", "ready", ROOT "/gpu/c", 0);
                APPEND(reply, "(ssssoa{sv})", "0000:41:00.0", "", "", "ready", GPU_PATH, 0);
        }
        CLOSE(reply);
}

/* Rows that a filter leaves out. */
static int hides(const char *filter, const char *gpu) {
        return filter && strcmp(filter, gpu) != 0;
}

static void type_rows(sd_bus_message *reply, const char *gpu) {
        OPEN(reply, 'a', "(ssssuuoa{sv})");
        if (is("good") && !hides(gpu, "0000:41:00.0")) {
                APPEND(reply, "(ssssuuoa{sv})", "0000:41:00.0", "nvidia-530", "Open vAmpere/2", "vfio-pci", 2, 1,
                       TYPE_PATH, 3, "framebuffer", "t", (uint64_t)19136 << 20, "registration", "s", "refused",
                       "reason", "s", "the driver said no");
                APPEND(reply, "(ssssuuoa{sv})", "0000:41:00.0", "nvidia-54", "Open vAmpere/8", "vfio-pci", 8,
                       UINT32_MAX, ROOT "/gpu/a/type/b", 0);
        }
        if (is("good") && !hides(gpu, "0000:42:00.0"))
                APPEND(reply, "(ssssuuoa{sv})", "0000:42:00.0", "sim-1", "Simulated", "vfio-pci", 4, 4,
                       ROOT "/gpu/b/type/c", 0);
        if (is("hostile"))
                APPEND(reply, "(ssssuuoa{sv})", HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1, 1, TYPE_PATH, 2, "registration",
                       "s", HOSTILE, "reason", "s", HOSTILE);
        if (is("odd") && !hides(gpu, "0000:41:00.0")) {
                APPEND(reply, "(ssssuuoa{sv})", "0000:41:00.0", "one-10", "A type with a name of many words, the first",
                       "vfio-pci", 4, 4, TYPE_PATH, 2, "registration", "s", "registered", "framebuffer", "t",
                       (uint64_t)1 << 30);
                APPEND(reply, "(ssssuuoa{sv})", "0000:41:00.0", "one-9", "A type with a name of many words, the second",
                       "vfio-pci", 4, 4, TYPE_PATH, 2, "registration", "s", "registered", "framebuffer", "t",
                       (uint64_t)1 << 30);
        }
        CLOSE(reply);
}

static void vgpu_row_huge(sd_bus_message *reply, unsigned i) {
        char uuid[64];

        (void)snprintf(uuid, sizeof uuid, "c0ffee00-0000-4000-8000-%012u", i);
        APPEND(reply, "(sssssoa{sv})", uuid, "0000:41:00.0", "nvidia-530", "active", "", VGPU_PATH, 0);
}

static void vgpu_rows(sd_bus_message *reply, const char *gpu) {
        static char long_label[1 << 20];

        OPEN(reply, 'a', "(sssssoa{sv})");
        if (is("good")) {
                if (!hides(gpu, "0000:41:00.0"))
                        APPEND(reply, "(sssssoa{sv})", UUID, "0000:41:00.0", "nvidia-530", "active", "web 1", VGPU_PATH,
                               3, "managed", "b", 1, "persistent", "b", 1, "autostart", "b", 0);
                if (!hides(gpu, "0000:43:00.0"))
                        APPEND(reply, "(sssssoa{sv})", UUID_DEFINED, "0000:43:00.0", "nvidia-530", "defined", "",
                               DEFINED_PATH, 3, "managed", "b", 1, "persistent", "b", 1, "autostart", "b", 1);
                if (!hides(gpu, "0000:42:00.0"))
                        APPEND(reply, "(sssssoa{sv})", UUID_FAILED, "0000:42:00.0", "sim-1", "failed", "",
                               ROOT "/vgpu/_2", 4, "managed", "b", 0, "last-error", "s", "", "persistent", "b", 0,
                               "autostart", "b", 0);
        } else if (is("hostile")) {
                memset(long_label, 'A', sizeof long_label - 1);
                APPEND(reply, "(sssssoa{sv})", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, VGPU_PATH, 0);
                APPEND(reply, "(sssssoa{sv})", UUID, "0000:41:00.0", long_label, "active", "", VGPU_PATH, 0);
        } else if (is("odd")) {
                /* A later daemon's additions: some new, one that would replace a column, one that is an escape. */
                APPEND(reply, "(sssssoa{sv})", UUID, "0000:41:00.0", "nvidia-530", "active", "", "/", 5, "Uuid", "s",
                       "forged", "InUse", "s", "no", "autostart", "b", 0, "placement-id", "u", 7, "\x1b[2J", "b", 1);
        } else if (is("huge")) {
                for (unsigned i = 0; i < HUGE_ROWS; i++)
                        vgpu_row_huge(reply, i);
        }
        CLOSE(reply);
}

static void problem_rows(sd_bus_message *reply) {
        OPEN(reply, 'a', "(suuss)");
        if (is("good")) {
                APPEND(reply, "(suuss)", "/etc/mdevgpud/types.d/a.yaml", 3, 9, "error",
                       "unknown key 'nmae', is it 'name'?");
                APPEND(reply, "(suuss)", "/etc/mdevgpud/types.d/b.yaml", UINT32_MAX, UINT32_MAX, "error",
                       "cannot be read: Permission denied");
        }
        if (is("good") || is("huge"))
                APPEND(reply, "(suuss)", "/etc/mdevgpud/types.d/c.yaml", 1, 1, "warning", "exceeds the card");
        if (is("hostile"))
                APPEND(reply, "(suuss)", HOSTILE, 1, 1, "error", HOSTILE);
        CLOSE(reply);
}

static void property_maxima(sd_bus_message *reply) {
        APPEND(reply, "{sv}", "Byte", "y", UINT8_MAX);
        APPEND(reply, "{sv}", "Short", "n", INT16_MAX);
        APPEND(reply, "{sv}", "UShort", "q", UINT16_MAX);
        APPEND(reply, "{sv}", "IommuGroup", "i", INT32_MAX);
        APPEND(reply, "{sv}", "VendorId", "u", UINT32_MAX);
        APPEND(reply, "{sv}", "Long", "x", INT64_MAX);
        APPEND(reply, "{sv}", "Framebuffer", "t", UINT64_MAX);
        APPEND(reply, "{sv}", "AlmostMaximum", "t", UINT64_MAX - 1);
        APPEND(reply, "{sv}", "Negative", "x", INT64_MIN);
        APPEND(reply, "{sv}", "NotANumber", "d", (double)NAN);
        APPEND(reply, "{sv}", "Half", "d", 0.5);
        APPEND(reply, "{sv}", "NowhereAtAll", "o", "/");
}

static void property_containers(sd_bus_message *reply) {
        APPEND(reply, "{sv}", "Strings", "as", 2, "a", "b\x1b");
        APPEND(reply, "{sv}", "NoStrings", "as", 0);
        APPEND(reply, "{sv}", "Bytes", "ay", 3, 0, 1, 255);
        APPEND(reply, "{sv}", "ByNumber", "a{us}", 1, 1, "one");
        APPEND(reply, "{sv}", "ByName", "a{sv}", 1, "InnerName", "(su)", "x", 1);
        APPEND(reply, "{sv}", "StartedByUID", "u", 0);
        APPEND(reply, "{sv}", "", "b", 1);
        APPEND(reply, "{sv}", "File", "h", 0);

        OPEN(reply, 'e', "sv");
        APPEND(reply, "s", "Nested");
        for (unsigned i = 0; i < 40; i++)
                OPEN(reply, 'v', "v");
        APPEND(reply, "v", "s", "the innermost");
        for (unsigned i = 0; i < 40; i++)
                CLOSE(reply);
        CLOSE(reply);
}

static void properties_manager(sd_bus_message *reply) {
        APPEND(reply, "{sv}", "Version", "s", is("hostile") ? HOSTILE : "9.8.7");
        if (is("odd"))
                return;

        OPEN(reply, 'e', "sv");
        APPEND(reply, "s", "ConfigErrors");
        OPEN(reply, 'v', "a(suuss)");
        problem_rows(reply);
        CLOSE(reply);
        CLOSE(reply);
        APPEND(reply, "{sv}", "Degraded", "b", is("good"));
}

static const char *long_sentence(void) {
        static char sentence[1000];

        memset(sentence, 'a', sizeof sentence - 2);
        sentence[sizeof sentence - 2] = '.';
        return sentence;
}

static void properties_gpu(sd_bus_message *reply) {
        APPEND(reply, "{sv}", "Address", "s", "0000:41:00.0");
        APPEND(reply, "{sv}", "Name", "s", is("hostile") ? HOSTILE : "GA100 [A100 PCIe 40GB]");
        APPEND(reply, "{sv}", "DriverVersion", "s", "535.54.06");
        APPEND(reply, "{sv}", "Reason", "s", is("huge") ? long_sentence() : "");
        APPEND(reply, "{sv}", "FramebufferTotal", "t", (uint64_t)40 << 30);
        APPEND(reply, "{sv}", "FramebufferUsed", "t", UINT64_MAX);
        APPEND(reply, "{sv}", "PendingTypes", "b", 0);
}

static void properties_type(sd_bus_message *reply) {
        APPEND(reply, "{sv}", "Name", "s", is("hostile") ? HOSTILE : "Open vAmpere/2");
}

static void properties_vgpu(sd_bus_message *reply) {
        APPEND(reply, "{sv}", "Uuid", "s", UUID);
        APPEND(reply, "{sv}", "State", "s", "active");
        APPEND(reply, "{sv}", "Gpu", "o", GPU_PATH);
        APPEND(reply, "{sv}", "Type", "o", TYPE_PATH);
        APPEND(reply, "{sv}", "Parent", "s", "0000:41:00.0");
        APPEND(reply, "{sv}", "TypeId", "s", "nvidia-530");
        APPEND(reply, "{sv}", "Label", "s", is("hostile") ? HOSTILE : "web 1");
        APPEND(reply, "{sv}", "Persistent", "b", 1);
        APPEND(reply, "{sv}", "Autostart", "b", 0);
        APPEND(reply, "{sv}", "Managed", "b", 1);
        APPEND(reply, "{sv}", "InUse", "s", is("odd") ? "unknown" : "yes");
        APPEND(reply, "{sv}", "IommuGroup", "i", 12);
        if (is("odd")) {
                property_maxima(reply);
                property_containers(reply);
        }
}

/* Its GPU is not there. */
static void properties_defined(sd_bus_message *reply) {
        APPEND(reply, "{sv}", "Uuid", "s", UUID_DEFINED);
        APPEND(reply, "{sv}", "SysfsPath", "s", "");
        APPEND(reply, "{sv}", "State", "s", "defined");
        APPEND(reply, "{sv}", "Gpu", "o", "/");
        APPEND(reply, "{sv}", "Type", "o", "/");
        APPEND(reply, "{sv}", "Parent", "s", "0000:43:00.0");
        APPEND(reply, "{sv}", "TypeId", "s", "nvidia-530");
        APPEND(reply, "{sv}", "Label", "s", "");
        APPEND(reply, "{sv}", "Persistent", "b", 1);
        APPEND(reply, "{sv}", "Autostart", "b", 1);
        APPEND(reply, "{sv}", "InUse", "s", "no");
        APPEND(reply, "{sv}", "IommuGroup", "i", -1);
}

static int get_all(sd_bus_message *m, sd_bus_message *reply) {
        const char *interface;

        check(sd_bus_message_read(m, "s", &interface), "read");
        if (strcmp(interface, "org.mdevgpu1.Job") == 0)
                return answer_job(m, reply);

        OPEN(reply, 'a', "{sv}");
        if (strcmp(interface, "org.mdevgpu1.Manager") == 0)
                properties_manager(reply);
        else if (strcmp(interface, "org.mdevgpu1.Gpu") == 0)
                properties_gpu(reply);
        else if (strcmp(sd_bus_message_get_path(m), DEFINED_PATH) == 0)
                properties_defined(reply);
        else if (strcmp(interface, "org.mdevgpu1.VGpu") == 0)
                properties_vgpu(reply);
        else if (strcmp(interface, "org.mdevgpu1.Type") == 0)
                properties_type(reply);
        CLOSE(reply);
        return 0;
}

static int list_gpus(sd_bus_message *m, sd_bus_message *reply) {
        gpu_rows(reply);
        return 0;
}

static const char *read_filter(sd_bus_message *m) {
        const char *key, *gpu = NULL;

        check(sd_bus_message_enter_container(m, 'a', "{sv}"), "enter");
        while (sd_bus_message_read(m, "{sv}", &key, "s", &gpu) > 0)
                if (strcmp(key, "gpu") != 0)
                        check(-EINVAL, key);

        return gpu;
}

static int list_types(sd_bus_message *m, sd_bus_message *reply) {
        const char *gpu = read_filter(m);

        if (gpu && obey(m, gpu))
                return 1;

        type_rows(reply, gpu);
        return 0;
}

static int list_vgpus(sd_bus_message *m, sd_bus_message *reply) {
        vgpu_rows(reply, read_filter(m));
        return 0;
}

static int check_config(sd_bus_message *m, sd_bus_message *reply) {
        problem_rows(reply);
        return 0;
}

static int get_object(sd_bus_message *m, sd_bus_message *reply) {
        const char *name;

        check(sd_bus_message_read(m, "s", &name), "read");
        if (obey(m, name))
                return 1;

        APPEND(reply, "o",
               strcmp(sd_bus_message_get_member(m), "GetGpu") == 0 ? GPU_PATH
               : strcmp(name, UUID_DEFINED) == 0                   ? DEFINED_PATH
                                                                   : VGPU_PATH);
        return 0;
}

static int get_users(sd_bus_message *m, sd_bus_message *reply) {
        const char *uuid;

        check(sd_bus_message_read(m, "s", &uuid), "read");
        if (obey(m, uuid))
                return 1;

        OPEN(reply, 'a', "a{sv}");
        if (is("hostile"))
                APPEND(reply, "a{sv}", 6, "pid", "u", 1, "uid", "u", 0, "comm", "s", HOSTILE, "unit", "s", HOSTILE,
                       "vm", "s", HOSTILE, "Uuid", "s", "forged");
        else if (strcmp(uuid, UUID) == 0) {
                APPEND(reply, "a{sv}", 5, "pid", "u", 4242, "uid", "u", 64055, "comm", "s", "qemu-system-x86", "unit",
                       "s", "machine-qemu.scope", "vm", "s", "web");
                APPEND(reply, "a{sv}", 3, "pid", "u", 77, "comm", "s", "", "since", "t", (uint64_t)5);
        }
        CLOSE(reply);
        return 0;
}

static int get_usage(sd_bus_message *m, sd_bus_message *reply) {
        bool hostile = is("hostile");
        const char *gpu;

        check(sd_bus_message_read(m, "s", &gpu), "read");
        if (obey(m, gpu))
                return 1;

        OPEN(reply, 'a', "{sv}");
        APPEND(reply, "{sv}{sv}{sv}", "framebuffer-total", "t", UINT64_MAX, "framebuffer-used", "t", 12ULL << 30,
               hostile ? HOSTILE : "migration", "b", 1);
        OPEN(reply, 'e', "sv");
        APPEND(reply, "s", "vgpus");
        OPEN(reply, 'v', "aa{sv}");
        OPEN(reply, 'a', "a{sv}");
        APPEND(reply, "a{sv}", 8, "uuid", "s", UUID, "pid", "u", 4242, "type", "s", "nvidia-530", "vm", "s",
               hostile ? HOSTILE : "web", "framebuffer-used", "t", 12ULL << 30, "encoder", "u", 40, "guest-driver", "s",
               hostile ? HOSTILE : "550.54.14", "licensed", "b", 1);
        APPEND(reply, "a{sv}", 3, "uuid", "s", "", "pid", "u", 0, "type", "s", "nvidia-54");
        CLOSE(reply);
        CLOSE(reply);
        CLOSE(reply);
        CLOSE(reply);
        return 0;
}

/* What was asked for, as the text. */
static int get_attachment(sd_bus_message *m, sd_bus_message *reply) {
        char text[256];
        const char *word;
        size_t n;

        check(sd_bus_message_read(m, "s", &word), "read");
        n = (size_t)snprintf(text, sizeof(text), "%s ", is("hostile") ? HOSTILE : word);
        check(sd_bus_message_enter_container(m, 'a', "{sv}"), "enter");
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                check(sd_bus_message_read(m, "s", &word), "read");
                check(sd_bus_message_skip(m, "v"), "skip");
                check(sd_bus_message_exit_container(m), "exit");
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s ", word);
        }
        (void)snprintf(text + n, sizeof(text) - n, "\n");
        APPEND(reply, "s", text);
        return 0;
}

static int reload(sd_bus_message *m, sd_bus_message *reply) {
        if (!is("hostile"))
                return 0;

        check(sd_bus_reply_method_errorf(m, "org.mdevgpu1.Error.ConfigInvalid", "a.yaml:1:1: error\nb.yaml:2:2: error"),
              "reply");
        return 1;
}

static const struct {
        const char *member, *takes;
        int (*answer)(sd_bus_message *m, sd_bus_message *reply); /* 1: has answered by itself */
} methods[] = {
        { "GetAll", "s", get_all },
        { "ListGpus", "a{sv}", list_gpus },
        { "ListTypes", "a{sv}", list_types },
        { "ListVGpus", "a{sv}", list_vgpus },
        { "CheckConfig", "", check_config },
        { "GetGpu", "s", get_object },
        { "GetVGpu", "s", get_object },
        { "GetUsers", "sa{sv}", get_users },
        { "GetUsage", "sa{sv}", get_usage },
        { "GetAttachment", "sa{sv}", get_attachment },
        { "CreateVGpu", "sssa{sv}", answer_create },
        { "DefineVGpu", "sssa{sv}", answer_create },
        { "DestroyVGpu", "sa{sv}", answer_change },
        { "UndefineVGpu", "sa{sv}", answer_change },
        { "StartVGpu", "sa{sv}", answer_change },
        { "ModifyVGpu", "sa{sv}", answer_change },
        { "SaveState", "ssa{sv}", answer_save },
        { "RestoreState", "ssa{sv}", answer_save },
        { "ExportState", "sha{sv}", answer_export },
        { "ImportState", "sha{sv}", answer_import },
        { "ListSavedStates", "", answer_states },
        { "DeleteSavedState", "sa{sv}", answer_change },
        { "Cancel", "a{sv}", answer_cancel },
        { "Reload", "a{sv}", reload },
};

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
                sd_bus_message *reply = NULL;
                int answered;

                if (!sd_bus_message_is_method_call(m, NULL, methods[i].member))
                        continue;

                if (!sd_bus_message_has_signature(m, methods[i].takes))
                        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "%s takes '%s', not '%s'",
                                                          methods[i].member, methods[i].takes,
                                                          sd_bus_message_get_signature(m, true));

                check(sd_bus_message_new_method_return(m, &reply), "reply");
                if (is("wrong")) {
                        APPEND(reply, "(ss)", "not", "this");
                        answered = 0;
                } else
                        answered = methods[i].answer(m, reply);
                if (!answered)
                        check(sd_bus_send(NULL, reply, NULL), "send");
                sd_bus_message_unref(reply);
                return 1;
        }

        return 0;
}

int main(int argc, char **argv) {
        sd_bus *bus = NULL;
        int r;

        if (argc != 3) {
                fprintf(stderr, "usage: fake-daemon ADDRESS MODE\n");
                return 2;
        }
        mode = argv[2];

        check(sd_bus_new(&bus), "new");
        check(sd_bus_set_address(bus, argv[1]), "address");
        check(sd_bus_set_bus_client(bus, true), "client");
        check(sd_bus_negotiate_fds(bus, true), "fds");
        check(sd_bus_start(bus), "start");
        check(sd_bus_add_fallback(bus, NULL, ROOT, on_call, NULL), "fallback");
        check(sd_bus_request_name(bus, "org.mdevgpu1", 0), "name");

        puts("ready");
        fflush(stdout);

        do {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        } while (r >= 0);

        /* The bus has gone, which ends every test. */
        sd_bus_unref(bus);
        return 0;
}
