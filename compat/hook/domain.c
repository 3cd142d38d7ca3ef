/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "domain.h"

static bool is_element(const xmlNode *node, const char *name, const char *namespace) {
        return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0 &&
               (namespace ? node->ns && strcmp((const char *)node->ns->href, namespace) == 0 : !node->ns);
}

static xmlNode *find_child(xmlNode *node, const char *name, const char *namespace) {
        for (xmlNode *child = node ? node->children : NULL; child; child = child->next)
                if (is_element(child, name, namespace))
                        return child;

        return NULL;
}

/* 0: there is none. */
static int get_attribute(xmlNode *node, const char *name, char **ret) {
        xmlChar *text = xmlGetNoNsProp(node, (const xmlChar *)name);

        if (!text)
                return 0;
        *ret = strdup((const char *)text);
        xmlFree(text);
        return *ret ? 1 : -ENOMEM;
}

/* Hexadecimal digits and four dashes, as libvirt itself writes it. */
static bool is_uuid(const char *s) {
        if (!s || strlen(s) != 36)
                return false;

        for (size_t i = 0; i < 36; i++)
                if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-' : !strchr("0123456789abcdefABCDEF", s[i]))
                        return false;
        return true;
}

static int parse_numa_node(xmlNode *node, Wish *wish, const char **ret_problem) {
        char *text = NULL, *end;
        unsigned long value;
        int r;

        r = get_attribute(node, "numa-node", &text);
        if (r <= 0)
                return r;

        errno = 0;
        value = strtoul(text, &end, 10);
        r = errno != 0 || *end || text[0] < '0' || text[0] > '9' || value > INT32_MAX ? -EBADMSG : 0;
        free(text);
        if (r < 0) {
                *ret_problem = "numa-node is no number of a node";
                return r;
        }

        wish->numa_node = (uint32_t)value;
        wish->has_numa_node = true;
        return 0;
}

static int parse_attributes(xmlNode *node, Wish *wish, const char **ret_problem) {
        for (xmlNode *child = node->children; child; child = child->next) {
                ManagerAttribute *attribute = &wish->attributes[wish->n_attributes];
                int r;

                if (!is_element(child, "attr", NAMESPACE))
                        continue;
                if (wish->n_attributes == ATTRIBUTES_MAX) {
                        *ret_problem = "there are too many attributes";
                        return -EBADMSG;
                }
                wish->n_attributes++;
                r = get_attribute(child, "name", &attribute->name);
                if (r > 0)
                        r = get_attribute(child, "value", &attribute->value);
                if (r == 0)
                        *ret_problem = "an <attr> has no name, or no value";
                if (r <= 0)
                        return r < 0 ? r : -EBADMSG;
        }

        return 0;
}

static int parse_wish(xmlNode *node, Wish *wish, const char **ret_problem) {
        int r;

        r = get_attribute(node, "uuid", &wish->uuid);
        if (r >= 0)
                r = get_attribute(node, "type", &wish->type);
        if (r >= 0)
                r = get_attribute(node, "gpu", &wish->gpu);
        if (r >= 0 && !wish->gpu)
                r = (wish->gpu = strdup("")) ? 0 : -ENOMEM;
        if (r < 0)
                return r;

        if (!is_uuid(wish->uuid) || !wish->type) {
                *ret_problem = !wish->type ? "a <vgpu> has no type" : "a <vgpu> has no UUID";
                return -EBADMSG;
        }

        r = parse_numa_node(node, wish, ret_problem);
        return r < 0 ? r : parse_attributes(node, wish, ret_problem);
}

static int parse_wishes(xmlNode *vgpus, Domain *domain, const char **ret_problem) {
        for (xmlNode *node = vgpus ? vgpus->children : NULL; node; node = node->next) {
                int r;

                if (!is_element(node, "vgpu", NAMESPACE))
                        continue;
                if (domain->n_wishes == VGPUS_MAX) {
                        *ret_problem = "it asks for too many vGPUs";
                        return -EBADMSG;
                }
                r = parse_wish(node, &domain->wishes[domain->n_wishes++], ret_problem);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* A number as libvirt writes those of addresses, hexadecimal behind 0x, or decimal; the domain may be left out. */
static int parse_number(xmlNode *node, const char *name, bool needed, unsigned long max, unsigned *ret) {
        char *text = NULL, *end;
        unsigned long value;
        int r;

        *ret = 0;
        r = get_attribute(node, name, &text);
        if (r <= 0)
                return r < 0 ? r : needed ? -EBADMSG : 0;

        errno = 0;
        value = strtoul(text, &end, 0);
        r = errno != 0 || *end || text[0] < '0' || text[0] > '9' || value > max ? -EBADMSG : 0;
        free(text);
        *ret = (unsigned)value;
        return r;
}

static int parse_pci_address(xmlNode *address, char **ret) {
        unsigned domain, bus, slot, function;
        int r;

        r = parse_number(address, "domain", false, UINT32_MAX, &domain);
        if (r >= 0)
                r = parse_number(address, "bus", true, 0xFF, &bus);
        if (r >= 0)
                r = parse_number(address, "slot", true, 0x1F, &slot);
        if (r >= 0)
                r = parse_number(address, "function", false, 7, &function);
        if (r < 0)
                return r;
        return asprintf(ret, "%04x:%02x:%02x.%x", domain, bus, slot, function) < 0 ? -ENOMEM : 0;
}

static int parse_mdev_uuid(xmlNode *address, char **ret) {
        char *uuid = NULL;
        int r;

        r = get_attribute(address, "uuid", &uuid);
        if (r > 0 && is_uuid(uuid)) {
                *ret = uuid;
                return 0;
        }
        free(uuid);
        return r < 0 ? r : -EBADMSG;
}

static int parse_device(xmlNode *hostdev, char **ret) {
        xmlNode *address = find_child(find_child(hostdev, "source", NULL), "address", NULL);
        char *type = NULL;
        int r;

        r = address ? get_attribute(hostdev, "type", &type) : -EBADMSG;
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;

        if (strcmp(type, "mdev") == 0)
                r = parse_mdev_uuid(address, ret);
        else
                r = strcmp(type, "pci") == 0 ? parse_pci_address(address, ret) : -EBADMSG;
        free(type);
        return r;
}

/* What QEMU will open, whoever made it. What is not understood here is libvirt's to judge. */
static int parse_devices(xmlNode *devices, Domain *domain) {
        for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
                int r;

                if (!is_element(node, "hostdev", NULL) || domain->n_devices == VGPUS_MAX)
                        continue;
                r = parse_device(node, &domain->devices[domain->n_devices]);
                if (r == -ENOMEM)
                        return r;
                if (r >= 0)
                        domain->n_devices++;
        }

        return 0;
}

static int parse_uuid(xmlNode *root, Domain *domain) {
        xmlNode *node = find_child(root, "uuid", NULL);
        xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
        bool good = is_uuid((const char *)text);

        if (good)
                memcpy(domain->uuid, text, sizeof(domain->uuid));
        xmlFree(text);
        return good ? 0 : -EBADMSG;
}

int domain_parse(const char *text, size_t size, Domain *ret_domain, const char **ret_problem) {
        xmlDoc *document;
        xmlNode *root;
        int r;

        *ret_domain = (Domain){ .wishes = calloc(VGPUS_MAX, sizeof(Wish)) };
        *ret_problem = "it is no domain of libvirt's";
        if (!ret_domain->wishes)
                return -ENOMEM;

        document = size > INT_MAX ? NULL
                                  : xmlReadMemory(text, (int)size, NULL, NULL,
                                                  XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
        root = document ? xmlDocGetRootElement(document) : NULL;
        r = root && is_element(root, "domain", NULL) ? parse_uuid(root, ret_domain) : -EBADMSG;
        if (r >= 0)
                r = parse_wishes(find_child(find_child(root, "metadata", NULL), "vgpus", NAMESPACE), ret_domain,
                                 ret_problem);
        if (r >= 0)
                r = parse_devices(find_child(root, "devices", NULL), ret_domain);
        if (r < 0)
                domain_done(ret_domain);
        xmlFreeDoc(document);
        xmlCleanupParser();
        return r;
}

void domain_done(Domain *domain) {
        for (size_t i = 0; i < domain->n_wishes; i++) {
                Wish *wish = &domain->wishes[i];

                free(wish->uuid);
                free(wish->type);
                free(wish->gpu);
                for (size_t k = 0; k < wish->n_attributes; k++) {
                        free(wish->attributes[k].name);
                        free(wish->attributes[k].value);
                }
        }
        for (size_t i = 0; i < domain->n_devices; i++)
                free(domain->devices[i]);
        free(domain->wishes);
        *domain = (Domain){};
}
