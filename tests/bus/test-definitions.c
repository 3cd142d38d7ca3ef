/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vGPUs that are defined: the calls, what is signalled of them, and the files that hold them. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client.h"

#define UUID "c0ffee00-0000-4000-8000-000000000001"
#define UUID_PATH "/org/mdevgpu1/vgpu/_c0ffee00_0000_4000_8000_000000000001"
#define ABSENT_GPU "0000:42:00.0"
#define ATTRIBUTE "scheduling_weight"

#define NO_SUCH_VGPU ERROR_PREFIX "NoSuchVGpu"
#define NOT_MANAGED ERROR_PREFIX "NotManaged"
#define ALREADY_EXISTS ERROR_PREFIX "AlreadyExists"

/* One call of the manager that must fail with this error. */
#define REFUSED(h, name, member, ...)                                                                                  \
        do {                                                                                                           \
                sd_bus_error error_ = SD_BUS_ERROR_NULL;                                                               \
                sd_bus_message *reply_ = try_call((h)->bus, BUS_PATH, MANAGER_INTERFACE, member, &error_, __VA_ARGS__);\
                assert_error(reply_, &error_, name);                                                                   \
        } while (0)

#define DONE(h, member, ...) sd_bus_message_unref(manager_call((h)->bus, member, __VA_ARGS__))

static void assert_property(Harness *h, const char *property, const char *value) {
        g_autofree char *found = get_property(h->bus, UUID_PATH, VGPU_INTERFACE, property);

        if (!g_str_equal(found, value))
                g_error("%s is %s, not %s", property, found, value);
}

static char *definition_path(Harness *h, const char *parent) {
        return g_build_filename(h->dir, "host/etc/mdevctl.d", parent, UUID, NULL);
}

static char *definition(Harness *h, const char *parent) {
        g_autofree char *path = definition_path(h, parent);
        char *text = NULL;

        (void)g_file_get_contents(path, &text, NULL, NULL);
        return text;
}

static void assert_attribute(Harness *h, const char *value) {
        g_autofree char *path = g_build_filename(h->dir, "host/sys/bus/mdev/devices", UUID, ATTRIBUTE, NULL);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(g_strchomp(text), ==, value);
}

typedef struct Wanted {
        Harness *h;
        const char *property, *value;
} Wanted;

static bool has_value(void *userdata) {
        const Wanted *w = userdata;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *value = NULL;
        sd_bus_message *reply;

        reply = try_call(w->h->bus, UUID_PATH, "org.freedesktop.DBus.Properties", "Get", &error, "ss", VGPU_INTERFACE,
                         w->property);
        sd_bus_error_free(&error);
        if (!reply)
                return !w->value;
        value = message_dump(reply);
        sd_bus_message_unref(reply);
        return w->value && strstr(value, w->value);
}

/* What happens of its own accord; NULL: the object goes. */
static void wait_property(Harness *h, const char *property, const char *value) {
        harness_wait(h->bus, has_value, &(Wanted){ h, property, value });
}

static void define(Harness *h, const char *gpu) {
        DONE(h, "DefineVGpu", "sssa{sv}", gpu, TYPE, UUID, 2, "label", "s", "web", "attrs", "a(ss)", 1, ATTRIBUTE, "7");
}

/* Defined, started, changed, stopped, undefined: what each says, and in which order. */
static void test_life(void) {
        g_autoptr(Harness) h = harness_new();
        g_autoptr(Recorder) recorder = NULL;
        g_autofree char *text = NULL, *gone = NULL;
        g_autoptr(Cache) cache = NULL;
        int i;

        harness_start_daemon(h, /* without_polkit= */ true);
        cache = cache_new(h);
        recorder = recorder_new(h);
        define(h, GPU);
        i = recorder_expect(recorder, 0, "InterfacesAdded " UUID_PATH);
        i = recorder_expect(recorder, i, "VGpuAdded " UUID);
        assert_property(h, "State", "'defined'");
        assert_property(h, "Persistent", "true");
        assert_property(h, "Autostart", "false");
        assert_property(h, "Managed", "true");
        assert_property(h, "Label", "'web'");
        assert_property(h, "Parent", "'" GPU "'");
        assert_property(h, "Gpu", "'" GPU_PATH "'");
        assert_property(h, "Type", "'" TYPE_PATH "'");
        assert_property(h, "TypeId", "'" TYPE "'");
        assert_property(h, "SysfsPath", "''");
        text = definition(h, GPU);
        g_assert_cmpstr(text, ==,
                        "{\n  \"mdev_type\": \"" TYPE "\",\n  \"start\": \"manual\",\n  \"attrs\": [\n    {\n"
                        "      \"" ATTRIBUTE "\": \"7\"\n    }\n  ]\n}");
        REFUSED(h, ALREADY_EXISTS, "DefineVGpu", "sssa{sv}", GPU, TYPE, UUID, 0);
        REFUSED(h, ALREADY_EXISTS, "CreateVGpu", "sssa{sv}", GPU, TYPE, UUID, 0);
        REFUSED(h, NO_SUCH_VGPU, "DestroyVGpu", "sa{sv}", UUID, 0);

        DONE(h, "StartVGpu", "sa{sv}", UUID, 0);
        i = recorder_expect(recorder, i, "PropertiesChanged " UUID_PATH " " VGPU_INTERFACE " State");
        assert_property(h, "State", "'active'");
        assert_property(h, "Managed", "true");
        assert_property(h, "SysfsPath", "'/sys/bus/mdev/devices/" UUID "'");
        assert_attribute(h, "7");
        REFUSED(h, ALREADY_EXISTS, "StartVGpu", "sa{sv}", UUID, 0);

        DONE(h, "ModifyVGpu", "sa{sv}", UUID, 4, "scope", "s", "both", "attrs", "a(ss)", 1, ATTRIBUTE, "9", "label", "s",
             "db", "autostart", "b", 1);
        assert_attribute(h, "9");
        assert_property(h, "Label", "'db'");
        assert_property(h, "Autostart", "true");
        cache_check(h, cache);

        DONE(h, "DestroyVGpu", "sa{sv}", UUID, 0);
        assert_property(h, "State", "'defined'");
        assert_property(h, "Label", "'db'");
        g_assert_cmpint(recorder_find(recorder, 0, "VGpuRemoved"), ==, -1);
        DONE(h, "UndefineVGpu", "sa{sv}", UUID, 0);
        i = recorder_expect(recorder, i, "InterfacesRemoved " UUID_PATH);
        (void)recorder_expect(recorder, i, "VGpuRemoved " UUID);
        gone = definition(h, GPU);
        g_assert_null(gone);
        REFUSED(h, NO_SUCH_VGPU, "UndefineVGpu", "sa{sv}", UUID, 0);
        REFUSED(h, NO_SUCH_VGPU, "StartVGpu", "sa{sv}", UUID, 0);
        REFUSED(h, NO_SUCH_VGPU, "ModifyVGpu", "sa{sv}", UUID, 0);
        cache_check(h, cache);
}

/* All of what CreateVGpu() can be asked for; and nothing of it, if one part is refused. */
static void test_create(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *text = NULL, *none = NULL;
        g_autoptr(Cache) cache = NULL;

        harness_start_daemon(h, /* without_polkit= */ true);
        cache = cache_new(h);
        REFUSED(h, ERROR_PREFIX "NotSupported", "CreateVGpu", "sssa{sv}", GPU, TYPE, UUID, 2, "persistent", "b", 1,
                "attrs", "a(ss)", 2, ATTRIBUTE, "7", "no_such", "1");
        REFUSED(h, ERROR_PREFIX "DriverRejected", "CreateVGpu", "sssa{sv}", GPU, TYPE, UUID, 2, "persistent", "b", 1,
                "attrs", "a(ss)", 1, ATTRIBUTE, "7000");
        REFUSED(h, ERROR_INVALID_ARGS, "CreateVGpu", "sssa{sv}", GPU, TYPE, UUID, 1, "label", "s", "two\nlines");
        REFUSED(h, ERROR_INVALID_ARGS, "CreateVGpu", "sssa{sv}", GPU, TYPE, UUID, 1, "attrs", "a(ss)", 1, "../remove",
                "1");
        REFUSED(h, ERROR_INVALID_ARGS, "CreateVGpu", "sssa{sv}", GPU, TYPE, UUID, 1, "lable", "s", "web");
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 0);
        none = definition(h, GPU);
        g_assert_null(none);

        DONE(h, "CreateVGpu", "sssa{sv}", GPU, TYPE, UUID, 3, "autostart", "b", 1, "label", "s", "web", "attrs", "a(ss)",
             2, ATTRIBUTE, "3", ATTRIBUTE, "4");
        assert_attribute(h, "4");
        assert_property(h, "State", "'active'");
        assert_property(h, "Persistent", "true");
        assert_property(h, "Autostart", "true");
        assert_property(h, "Label", "'web'");
        text = definition(h, GPU);
        g_assert_nonnull(strstr(text, "\"start\": \"auto\""));
        cache_check(h, cache);

        /* It goes on as what it is, and stays what it is. */
        g_assert_cmpint(harness_stop_daemon(h, SIGTERM), ==, 0);
        harness_start_daemon(h, /* without_polkit= */ true);
        assert_property(h, "State", "'active'");
        assert_property(h, "Label", "'web'");
        assert_property(h, "Managed", "true");

        DONE(h, "UndefineVGpu", "sa{sv}", UUID, 0);
        assert_property(h, "State", "'active'");
        assert_property(h, "Persistent", "false");
        assert_property(h, "Managed", "true");
        REFUSED(h, ERROR_PREFIX "NotSupported", "ModifyVGpu", "sa{sv}", UUID, 1, "autostart", "b", 1);
        DONE(h, "ModifyVGpu", "sa{sv}", UUID, 1, "label", "s", "live");
        g_assert_cmpint(harness_stop_daemon(h, SIGKILL), ==, SIGKILL);
        harness_start_daemon(h, /* without_polkit= */ true);
        assert_property(h, "Label", "'live'");
        destroy_vgpu(h->bus, UUID);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", NULL, NULL), ==, 0);
}

/* Defined for a GPU that is not there; it comes, and what is to start by itself does; it goes. */
static void test_absent_gpu(void) {
        g_autoptr(Harness) h = harness_new();
        g_autoptr(Cache) cache = NULL;

        harness_start_daemon(h, /* without_polkit= */ true);
        cache = cache_new(h);
        define(h, ABSENT_GPU);
        assert_property(h, "State", "'defined'");
        assert_property(h, "Gpu", "'/'");
        assert_property(h, "Type", "'/'");
        assert_property(h, "Parent", "'" ABSENT_GPU "'");
        REFUSED(h, ERROR_PREFIX "NoSuchGpu", "StartVGpu", "sa{sv}", UUID, 0);
        DONE(h, "ModifyVGpu", "sa{sv}", UUID, 1, "autostart", "b", 1);

        harness_act(h, "plug", ABSENT_GPU, NULL);
        wait_property(h, "State", "'active'");
        assert_attribute(h, "7");
        assert_property(h, "Managed", "true");
        cache_check(h, cache);

        harness_act(h, "unplug", ABSENT_GPU, NULL);
        wait_property(h, "State", "'defined'");
        assert_property(h, "Gpu", "'/'");
        cache_check(h, cache);

        /* Its coming anew is an occasion anew; what was stopped then stays stopped while the daemon begins anew. */
        harness_act(h, "plug", ABSENT_GPU, NULL);
        wait_property(h, "State", "'active'");
        destroy_vgpu(h->bus, UUID);
        g_assert_cmpint(harness_stop_daemon(h, SIGKILL), ==, SIGKILL);
        harness_start_daemon(h, /* without_polkit= */ true);
        assert_property(h, "State", "'defined'");
        assert_property(h, "Label", "'web'");
}

static void write_definition(Harness *h, const char *parent, const char *text) {
        g_autofree char *name = g_build_filename("host/etc/mdevctl.d", parent, UUID, NULL);

        harness_write(h, name, text);
}

/* What somebody else defined is shown, and touched only if that is asked for; a broken one can do no more than be shown. */
static void test_unmanaged(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *gone = NULL, *path = NULL;
        g_autoptr(Cache) cache = NULL;

        harness_start_daemon(h, /* without_polkit= */ true);
        cache = cache_new(h);
        write_definition(h, GPU, "{\"mdev_type\": \"" TYPE "\", \"start\": \"manual\", \"attrs\": []}");
        wait_property(h, "State", "'defined'");
        assert_property(h, "Managed", "false");
        REFUSED(h, NOT_MANAGED, "UndefineVGpu", "sa{sv}", UUID, 0);
        REFUSED(h, NOT_MANAGED, "ModifyVGpu", "sa{sv}", UUID, 1, "label", "s", "mine");
        DONE(h, "StartVGpu", "sa{sv}", UUID, 0);
        assert_property(h, "Managed", "true");
        DONE(h, "DestroyVGpu", "sa{sv}", UUID, 0);
        assert_property(h, "Managed", "false");
        DONE(h, "ModifyVGpu", "sa{sv}", UUID, 2, "label", "s", "theirs", "unmanaged", "b", 1);
        assert_property(h, "Label", "'theirs'");
        assert_property(h, "Managed", "false");

        write_definition(h, GPU, "{\"mdev_type\": 7}");
        wait_property(h, "State", "'failed'");
        REFUSED(h, ERROR_PREFIX "ConfigInvalid", "StartVGpu", "sa{sv}", UUID, 0);
        g_assert_cmpuint(count_rows(h->bus, "ListVGpus", "state", "s", "failed"), ==, 1);
        cache_check(h, cache);
        write_definition(h, GPU, "{\"mdev_type\": \"" TYPE "\", \"start\": \"auto\", \"attrs\": []}");
        wait_property(h, "State", "'defined'");
        wait_property(h, "Autostart", "true");

        DONE(h, "UndefineVGpu", "sa{sv}", UUID, 1, "unmanaged", "b", 1);
        gone = definition(h, GPU);
        g_assert_null(gone);

        /* Ours, which somebody else deletes: its label goes with it. */
        define(h, GPU);
        path = definition_path(h, GPU);
        g_assert_cmpint(g_unlink(path), ==, 0);
        wait_property(h, "State", NULL);
        write_definition(h, GPU, "{\"mdev_type\": \"" TYPE "\", \"start\": \"manual\"}");
        wait_property(h, "State", "'defined'");
        assert_property(h, "Label", "''");
        assert_property(h, "Managed", "false");
        cache_check(h, cache);
}

/* Made by somebody else, then defined by us as what it is: ours only from its definition on. */
static void test_adopted(void) {
        g_autoptr(Harness) h = harness_new();
        g_autoptr(Cache) cache = NULL;

        harness_start_daemon(h, /* without_polkit= */ true);
        cache = cache_new(h);
        harness_act(h, "mdev-create", GPU, TYPE, UUID, NULL);
        wait_property(h, "State", "'active'");
        assert_property(h, "Managed", "false");
        REFUSED(h, NOT_MANAGED, "DestroyVGpu", "sa{sv}", UUID, 0);
        REFUSED(h, NOT_MANAGED, "ModifyVGpu", "sa{sv}", UUID, 1, "label", "s", "mine");
        REFUSED(h, ALREADY_EXISTS, "DefineVGpu", "sssa{sv}", GPU, LARGE_TYPE, UUID, 0);
        DONE(h, "DefineVGpu", "sssa{sv}", "", "", UUID, 0);
        assert_property(h, "Managed", "true");
        assert_property(h, "Persistent", "true");
        harness_act(h, "mdev-remove", UUID, NULL);
        wait_property(h, "State", "'defined'");

        /* Started by somebody else it is ours as well, as it is an instance of what we defined. */
        harness_act(h, "mdev-create", GPU, TYPE, UUID, NULL);
        wait_property(h, "State", "'active'");
        assert_property(h, "Managed", "true");
        DONE(h, "UndefineVGpu", "sa{sv}", UUID, 0);
        assert_property(h, "Managed", "false");
        cache_check(h, cache);
}

static void assert_users(Harness *h, bool any) {
        sd_bus_message *reply = manager_call(h->bus, "GetUsers", "sa{sv}", UUID, 0);
        g_autofree char *users = message_dump(reply);

        sd_bus_message_unref(reply);
        if (any != !!strstr(users, "'libvirtd'"))
                g_error("%s", users);
}

/* It has the group open while the device is removed for it, which is no use; with a container it would be one. */
static void check_libvirt(Harness *h) {
        g_autofree char *path = g_build_filename(h->dir, "host/dev/vfio/vfio", NULL), *group = NULL;
        char name[16];
        int fd, container;

        g_assert_cmpint(prctl(PR_GET_NAME, name), ==, 0);
        g_assert_cmpint(prctl(PR_SET_NAME, "libvirtd"), ==, 0);
        DONE(h, "StartVGpu", "sa{sv}", UUID, 0);
        group = get_property(h->bus, UUID_PATH, VGPU_INTERFACE, "IommuGroup");
        fd = harness_hold(h, group);
        assert_users(h, false);
        container = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        g_assert_cmpint(container, >=, 0);
        assert_users(h, true);
        (void)close(container);
        (void)close(fd);
        destroy_vgpu(h->bus, UUID);
        g_assert_cmpint(prctl(PR_SET_NAME, name), ==, 0);
}

/* Who holds it: pid, uid, name. */
static void test_users(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *none = NULL, *users = NULL, *group = NULL, *wanted = NULL;
        sd_bus_message *reply;
        int fd;

        harness_start_daemon(h, /* without_polkit= */ true);
        REFUSED(h, NO_SUCH_VGPU, "GetUsers", "sa{sv}", UUID, 0);
        define(h, GPU);
        reply = manager_call(h->bus, "GetUsers", "sa{sv}", UUID, 0);
        none = message_dump(reply);
        g_assert_cmpstr(none, ==, "( )");
        sd_bus_message_unref(reply);

        DONE(h, "StartVGpu", "sa{sv}", UUID, 0);
        group = get_property(h->bus, UUID_PATH, VGPU_INTERFACE, "IommuGroup");
        fd = harness_hold(h, group);
        reply = manager_call(h->bus, "GetUsers", "sa{sv}", UUID, 0);
        users = message_dump(reply);
        wanted = g_strdup_printf("( ( ( 'pid' ( %i ) ) ( 'uid' ( 0 ) ) ( 'comm' ( 'test-bus-defini' ) )", (int)getpid());
        if (!g_str_has_prefix(users, wanted))
                g_error("%s\n%s", users, wanted);
        sd_bus_message_unref(reply);
        REFUSED(h, ERROR_PREFIX "InUse", "DestroyVGpu", "sa{sv}", UUID, 0);
        (void)close(fd);
        destroy_vgpu(h->bus, UUID);
        check_libvirt(h);
        REFUSED(h, ERROR_INVALID_ARGS, "GetUsers", "sa{sv}", UUID, 1, "probe", "b", 1);
}

/* What it and its vGPUs use: read anew, in the driver's words. */
static void test_usage(void) {
        g_autoptr(Harness) h = harness_new();
        g_autofree char *usage = NULL, *used = NULL;
        sd_bus_message *reply;

        harness_start_daemon(h, /* without_polkit= */ true);
        REFUSED(h, ERROR_PREFIX "NoSuchGpu", "GetUsage", "sa{sv}", "0000:99:00.0", 0);
        REFUSED(h, ERROR_INVALID_ARGS, "GetUsage", "sa{sv}", GPU, 1, "fresh", "b", 1);
        REFUSED(h, ERROR_PREFIX "NotSupported", "GetUsage", "sa{sv}", OTHER_GPU, 0);
        DONE(h, "GetUsage", "sa{sv}", GPU, 0);
        used = get_property(h->bus, GPU_PATH, GPU_INTERFACE, "FramebufferUsed");
        g_assert_cmpstr(used, ==, "0");

        define(h, GPU);
        DONE(h, "StartVGpu", "sa{sv}", UUID, 0);
        reply = manager_call(h->bus, "GetUsage", "sa{sv}", GPU, 0);
        usage = message_dump(reply);
        if (!strstr(usage, "( 'uuid' ( '" UUID "' ) )") || !strstr(usage, "( 'type' ( '" TYPE "' ) )") ||
            !strstr(usage, "( 'open' ( false ) )") || !strstr(usage, "( 'framebuffer-total' ( "))
                g_error("%s", usage);
        sd_bus_message_unref(reply);
        g_free(used);
        used = get_property(h->bus, GPU_PATH, GPU_INTERFACE, "FramebufferUsed");
        g_assert_cmpstr(used, !=, "0");
        destroy_vgpu(h->bus, UUID);
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/definitions/life", test_life);
        g_test_add_func("/definitions/create", test_create);
        g_test_add_func("/definitions/absent-gpu", test_absent_gpu);
        g_test_add_func("/definitions/unmanaged", test_unmanaged);
        g_test_add_func("/definitions/adopted", test_adopted);
        g_test_add_func("/definitions/users", test_users);
        g_test_add_func("/definitions/usage", test_usage);

        return g_test_run();
}
