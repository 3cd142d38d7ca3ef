/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "core/attachment.h"
#include "core/gpu.h"
#include "core/manager.h"
#include "core/type.h"
#include "util/file.h"
#include "util/text.h"

#define PATH_SIZE 512U

/* A card has at most eight functions, each of which may have to be attached. */
#define FUNCTIONS_MAX 8U

typedef struct PciFunction {
        unsigned domain, bus, slot, function;
        int32_t group; /* -1: not known */
} PciFunction;

static const char *const format_table[ATTACHMENT_FORMAT_MAX] = {
        [ATTACHMENT_LIBVIRT_XML] = "libvirt-xml",
        [ATTACHMENT_QEMU] = "qemu",
        [ATTACHMENT_CDI] = "cdi",
};

AttachmentFormat attachment_format_from_string(const char *s) {
        for (AttachmentFormat f = 0; f < ATTACHMENT_FORMAT_MAX; f++)
                if (streq(format_table[f], s))
                        return f;

        return ATTACHMENT_FORMAT_INVALID;
}

static bool parse_address(const char *address, PciFunction *ret) {
        int n = 0;

        return sscanf(address, "%4x:%2x:%2x.%1x%n", &ret->domain, &ret->bus, &ret->slot, &ret->function, &n) == 4 &&
               address[n] == '\0';
}

static int32_t read_group(const Host *host, const char *address) {
        char path[PATH_SIZE], group[32];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/iommu_group", address);
        return link_read_basename(host->sys_fd, path, group, sizeof(group)) < 0 ? -1 : (int32_t)strtol(group, NULL, 10);
}

static bool is_handed_over(const Host *host, const char *address) {
        char path[PATH_SIZE], driver[SYSFS_NAME_SIZE];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/driver", address);
        return link_read_basename(host->sys_fd, path, driver, sizeof(driver)) >= 0 && strstr(driver, "vfio");
}

/* The device of a vGPU that is one, and of a whole card the functions that were handed over with it. 0: no PCI device. */
static size_t read_functions(const VGpu *vgpu, PciFunction functions[static FUNCTIONS_MAX]) {
        const Host *host = vgpu->manager->host;
        PciFunction f;
        size_t n = 0;

        if (vgpu->kind == VGPU_MDEV || !parse_address(vgpu->parent, &f))
                return 0;

        f.group = vgpu->iommu_group;
        functions[n++] = f;
        for (unsigned i = 0; vgpu->kind == VGPU_WHOLE && i < FUNCTIONS_MAX; i++) {
                char address[32];

                (void)snprintf(address, sizeof(address), "%04x:%02x:%02x.%x", f.domain, f.bus, f.slot, i);
                if (i == f.function || !is_handed_over(host, address))
                        continue;
                functions[n] = f;
                functions[n].function = i;
                functions[n++].group = read_group(host, address);
        }

        return n;
}

/* vfio-pci, or what the type says: vfio-ccw and vfio-ap on s390x. */
static const char *get_device_api(const VGpu *vgpu) {
        const Type *type = vgpu_get_type(vgpu);

        if (type && (streq(type->report.device_api, "vfio-ccw") || streq(type->report.device_api, "vfio-ap")))
                return type->report.device_api;

        return "vfio-pci";
}

/* https://libvirt.org/formatdomain.html, host device assignment; libvirt 9.0. */
static void write_libvirt(const VGpu *vgpu, const AttachmentOptions *o, FILE *f) {
        PciFunction functions[FUNCTIONS_MAX];
        size_t n = read_functions(vgpu, functions);

        if (n == 0)
                fprintf(f,
                        "<hostdev mode='subsystem' type='mdev' model='%s'%s%s>\n"
                        "  <source>\n"
                        "    <address uuid='%s'/>\n"
                        "  </source>\n"
                        "</hostdev>\n",
                        get_device_api(vgpu), o->display ? " display='on'" : "", o->ramfb ? " ramfb='on'" : "",
                        vgpu->uuid);

        /* managed='no': the driver that it has now is the one that it needs, and we give it back. */
        for (size_t i = 0; i < n; i++)
                fprintf(f,
                        "<hostdev mode='subsystem' type='pci' managed='no'>\n"
                        "  <source>\n"
                        "    <address domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%x'/>\n"
                        "  </source>\n"
                        "</hostdev>\n",
                        functions[i].domain, functions[i].bus, functions[i].slot, functions[i].function);

        /* A display that is on needs somewhere to be shown, and no second adapter beside it. */
        if (o->display)
                fputs("<graphics type='vnc' port='-1' autoport='yes'/>\n"
                      "<video>\n"
                      "  <model type='none'/>\n"
                      "</video>\n",
                      f);
}

/* QEMU 7.2: ramfb is a property of the device that cannot be unplugged. */
static void write_qemu(const VGpu *vgpu, const AttachmentOptions *o, FILE *f) {
        PciFunction functions[FUNCTIONS_MAX];
        size_t n = read_functions(vgpu, functions);

        if (n == 0)
                fprintf(f, "-device %s%s,sysfsdev=/sys/bus/mdev/devices/%s%s%s\n", get_device_api(vgpu),
                        o->ramfb ? "-nohotplug" : "", vgpu->uuid, o->display ? ",display=on" : "",
                        o->ramfb ? ",ramfb=on" : "");
        for (size_t i = 0; i < n; i++)
                fprintf(f, "%s-device vfio-pci,sysfsdev=/sys/bus/pci/devices/%04x:%02x:%02x.%x", i > 0 ? " " : "",
                        functions[i].domain, functions[i].bus, functions[i].slot, functions[i].function);
        if (n > 0)
                (void)fputc('\n', f);
}

/* https://github.com/cncf-tags/container-device-interface, version 0.5.0 of the document. */
static int write_cdi(const VGpu *vgpu, FILE *f, Error *error) {
        PciFunction functions[FUNCTIONS_MAX];
        size_t n = read_functions(vgpu, functions);

        if (!vgpu->present || vgpu->iommu_group < 0)
                return error_set(error, -ERROR_NO_SUCH_VGPU,
                                 "vGPU %s has no device node that a container could be given: %s", vgpu->uuid,
                                 vgpu->present ? "it is in no IOMMU group" : "it is not active");

        fprintf(f,
                "{\n"
                "  \"cdiVersion\": \"0.5.0\",\n"
                "  \"kind\": \"org.mdevgpu1/vgpu\",\n"
                "  \"devices\": [\n"
                "    {\n"
                "      \"name\": \"%s\",\n"
                "      \"containerEdits\": {\n"
                "        \"deviceNodes\": [\n"
                "          {\"path\": \"/dev/vfio/%i\"}",
                vgpu->uuid, (int)vgpu->iommu_group);
        for (size_t i = 1; i < n; i++) {
                bool known = functions[i].group < 0;

                for (size_t k = 0; k < i; k++)
                        known = known || functions[k].group == functions[i].group;
                if (!known)
                        fprintf(f, ",\n          {\"path\": \"/dev/vfio/%i\"}", (int)functions[i].group);
        }
        fputs("\n"
              "        ]\n"
              "      }\n"
              "    }\n"
              "  ],\n"
              "  \"containerEdits\": {\n"
              "    \"deviceNodes\": [\n"
              "      {\"path\": \"/dev/vfio/vfio\"}\n"
              "    ]\n"
              "  }\n"
              "}\n",
              f);
        return 0;
}

static int check(const VGpu *vgpu, AttachmentFormat format, const AttachmentOptions *o, Error *error) {
        if (o->ramfb && !o->display)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'ramfb' goes with 'display' only");
        if (o->display && format == ATTACHMENT_CDI)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'display' means nothing to a container");
        if (o->display && (vgpu->kind != VGPU_MDEV || !streq(get_device_api(vgpu), "vfio-pci")))
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "vGPU %s shows no picture through the virtual machine: only mediated PCI devices do",
                                 vgpu->uuid);

        return 0;
}

int attachment_write(const VGpu *vgpu, AttachmentFormat format, const AttachmentOptions *options, char **ret_text,
                     Error *error) {
        char *text = NULL;
        size_t size;
        FILE *f;
        int r;

        r = check(vgpu, format, options, error);
        if (r < 0)
                return r;
        f = open_memstream(&text, &size);
        if (!f)
                return error_set_errno(error, -ENOMEM, "the attachment cannot be written");

        if (format == ATTACHMENT_LIBVIRT_XML)
                write_libvirt(vgpu, options, f);
        else if (format == ATTACHMENT_QEMU)
                write_qemu(vgpu, options, f);
        else
                r = write_cdi(vgpu, f, error);

        if (fclose(f) != 0 && r >= 0)
                r = error_set_errno(error, -ENOMEM, "the attachment cannot be written");
        if (r < 0) {
                free(text);
                return r;
        }

        *ret_text = text;
        return 0;
}
