/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/ioctl.h>
#include <time.h>

#include "backend/nvidia-rm.h"
#include "util/file.h"
#include "util/text.h"

/* Escapes and their structs' sizes (nv-ioctl-numbers.h, nv_escape.h, nvos.h). */
#define ESCAPE(nr, size) _IOC(_IOC_READ | _IOC_WRITE, 'F', nr, size)
#define VERSION_BYTES 72U
#define ALLOC_BYTES 32U
#define FREE_BYTES 16U
#define CONTROL_BYTES 32U
#define CARD_BYTES 72U
#define CARDS_MAX 32U
#define ESCAPE_VERSION ESCAPE(0xd2, VERSION_BYTES)
#define ESCAPE_ALLOC ESCAPE(0x2b, ALLOC_BYTES)
#define ESCAPE_FREE ESCAPE(0x29, FREE_BYTES)
#define ESCAPE_CONTROL ESCAPE(0x2a, CONTROL_BYTES)
#define ESCAPE_CARDS ESCAPE(0xc8, CARD_BYTES *CARDS_MAX)
#define EVENT_BYTES 16U
#define ESCAPE_ALLOC_EVENT ESCAPE(0xce, EVENT_BYTES)
#define ESCAPE_FETCH_EVENT ESCAPE(0x52, EVENT_BYTES)

/* Asks for the version: from 530 on; before, it means that the caller's shall not be compared. */
#define VERSION_QUERY 0x32U

#define CLASS_ROOT 0x0041U
#define CLASS_DEVICE 0x0080U
#define CLASS_SUBDEVICE 0x2080U
#define CLASS_VGPU_CONFIG 0xa081U
#define CLASS_OS_EVENT 0x79U

/* NVA081_CTRL_EVENT_SET_NOTIFICATION_ACTION_REPEAT */
#define NOTIFY_ALWAYS 2U

#define NO_ID UINT32_MAX

/* 255 is the control node's. */
#define MINOR_MAX 254U

/* How often a busy driver is asked again, in all calls of one job together, and how long lies between: three seconds at
 * most, which a job's time has room for. */
#define RETRIES_MAX 60U
#define RETRY_NSEC 50000000L

static void sleep_before_retry(void) {
        const struct timespec ts = { .tv_nsec = RETRY_NSEC };

        (void)nanosleep(&ts, NULL);
}

static int status_result(uint32_t status) {
        return status > INT32_MAX ? INT32_MAX : (int)status;
}

/* The struct at args is in and out: it is set up anew for each try. status_at: where its status lies. */
static int call(NvidiaRm *rm, unsigned long request, uint8_t *args, size_t size, size_t status_at, bool repeatable) {
        uint8_t first[64];

        assert(size <= sizeof(first));
        memcpy(first, args, size);
        for (;;) {
                uint32_t status;
                int r;

                r = rm->host->ops->ioctl(rm->host, rm->control_fd, request, args);
                if (r < 0)
                        return r;

                status = nvidia_u32(args + status_at);
                /* What timed out may have been done all the same: a change is not made twice. */
                if (status != NVIDIA_BUSY_RETRY && (status != NVIDIA_TIMEOUT_RETRY || !repeatable))
                        return status_result(status);
                if (rm->n_retries >= RETRIES_MAX)
                        return status_result(status);

                rm->n_retries++;
                sleep_before_retry();
                memcpy(args, first, size);
        }
}

static int alloc(NvidiaRm *rm, uint32_t parent, uint32_t class, void *parameters, uint32_t size, uint32_t *ret_handle) {
        const NvidiaDialect *dialect = rm->dialect;
        uint8_t args[ALLOC_BYTES] = {};
        int r;

        nvidia_set_u32(args, rm->client);
        nvidia_set_u32(args + 4, parent);
        nvidia_set_u32(args + 12, class);
        nvidia_set_u64(args + 16, (uintptr_t)parameters);
        if (dialect->alloc_size_at > 0)
                nvidia_set_u32(args + dialect->alloc_size_at, size);

        r = call(rm, ESCAPE_ALLOC, args, sizeof(args), dialect->alloc_status_at, true);
        if (r != 0)
                return r;

        *ret_handle = nvidia_u32(args + 8);
        return *ret_handle != 0 ? 0 : -EPROTO;
}

static uint32_t object_of(const NvidiaRm *rm, uint32_t command) {
        switch (command >> 16) {
        case 0:
                return rm->client;
        case CLASS_DEVICE:
                return rm->device;
        case CLASS_SUBDEVICE:
                return rm->subdevice;
        case CLASS_VGPU_CONFIG:
                return rm->config;
        default:
                return 0;
        }
}

static int control(NvidiaRm *rm, NvidiaControl which, void *parameters, size_t size) {
        const NvidiaControlInfo *info = &nvidia_controls[which];
        uint32_t object = object_of(rm, info->command);
        uint8_t args[CONTROL_BYTES] = {};

        if (object == 0)
                return -ENOTCONN;

        nvidia_set_u32(args, rm->client);
        nvidia_set_u32(args + 4, object);
        nvidia_set_u32(args + 8, info->command);
        nvidia_set_u64(args + 16, size > 0 ? (uintptr_t)parameters : 0);
        nvidia_set_u32(args + 24, (uint32_t)size);
        return call(rm, ESCAPE_CONTROL, args, sizeof(args), 28, !info->writes);
}

int nvidia_rm_control(NvidiaRm *rm, NvidiaControl which, void *parameters) {
        const NvidiaSize *size = &rm->dialect->controls[which];

        if (!size->there)
                return -EOPNOTSUPP;
        if (nvidia_controls[which].writes && !rm->may_write)
                return -EPERM;

        return control(rm, which, parameters, size->size);
}

int nvidia_rm_probe(NvidiaRm *rm, NvidiaControl which, void *parameters, size_t size) {
        assert(!nvidia_controls[which].writes);

        return control(rm, which, parameters, size);
}

bool nvidia_status_is_size(const NvidiaRm *rm, int status) {
        return status == (rm->version < nvidia_version_parse("550.40.07") ? NVIDIA_INVALID_PARAM_STRUCT
                                                                          : NVIDIA_INVALID_ARGUMENT);
}

void nvidia_rm_describe(int result, char buffer[static NVIDIA_STATUS_SIZE]) {
        if (result >= 0)
                nvidia_status_describe((uint32_t)result, buffer);
        else if (result == -EOPNOTSUPP)
                (void)snprintf(buffer, NVIDIA_STATUS_SIZE, "this driver has no such call");
        else
                (void)snprintf(buffer, NVIDIA_STATUS_SIZE, "%s", strempty(strerrordesc_np(-result)));
}

/* What the driver says of itself; empty where it does not (525 and before). */
static int query_version(NvidiaRm *rm, char ret_text[static NVIDIA_VERSION_SIZE]) {
        uint8_t args[VERSION_BYTES] = {};
        int r;

        nvidia_set_u32(args, VERSION_QUERY);
        r = rm->host->ops->ioctl(rm->host, rm->control_fd, ESCAPE_VERSION, args);
        if (r < 0)
                return r;

        memcpy(ret_text, args + 8, NVIDIA_VERSION_SIZE);
        ret_text[NVIDIA_VERSION_SIZE - 1] = '\0';
        text_sanitize(ret_text);
        return 0;
}

int nvidia_rm_open(NvidiaRm *rm, const Host *host, Error *error) {
        char loaded[NVIDIA_VERSION_SIZE];
        int r;

        *rm = NVIDIA_RM_NULL;
        rm->host = host;
        r = host->ops->open_node(host, NVIDIA_CONTROL_NODE, O_RDWR);
        if (r < 0)
                return error_set(error, r, "/dev/" NVIDIA_CONTROL_NODE " cannot be opened: %s", strerrordesc_np(-r));
        rm->control_fd = r;

        r = query_version(rm, rm->version_text);
        if (r < 0) {
                nvidia_rm_close(rm);
                return error_set(error, r, "/dev/" NVIDIA_CONTROL_NODE " does not tell the driver's version: %s",
                                 strerrordesc_np(-r));
        }

        attribute_read_text(host->sys_fd, "module/nvidia/version", loaded, sizeof(loaded));
        if (rm->version_text[0] == '\0')
                (void)text_copy(rm->version_text, sizeof(rm->version_text), loaded);
        else if (loaded[0] != '\0' && !streq(loaded, rm->version_text)) {
                nvidia_rm_close(rm);
                return error_set(error, -EPROTO, "the driver says it is %s, its module %s", rm->version_text, loaded);
        }

        rm->version = nvidia_version_parse(rm->version_text);
        return 0;
}

void nvidia_rm_close(NvidiaRm *rm) {
        if (rm->client != 0) {
                uint8_t args[FREE_BYTES] = {};

                /* The tree goes with its root, before the GPU is let go. */
                nvidia_set_u32(args, rm->client);
                nvidia_set_u32(args + 8, rm->client);
                (void)rm->host->ops->ioctl(rm->host, rm->control_fd, ESCAPE_FREE, args);
        }

        rm->gpu_fd = fd_close(rm->gpu_fd);
        rm->control_fd = fd_close(rm->control_fd);
        rm->client = rm->device = rm->subdevice = rm->config = 0;
        rm->may_write = false;
}

typedef struct Place {
        unsigned domain, bus, slot;
} Place;

static bool parse_place(const char *gpu, Place *ret) {
        unsigned function;

        return sscanf(gpu, "%x:%x:%x.%x", &ret->domain, &ret->bus, &ret->slot, &function) == 4;
}

/* Of a list of cards that the control node gives, which needs no client. */
static int query_minor(const NvidiaRm *rm, const Place *place, uint32_t *ret_minor) {
        uint8_t cards[CARD_BYTES * CARDS_MAX] = {};
        int r;

        r = rm->host->ops->ioctl(rm->host, rm->control_fd, ESCAPE_CARDS, cards);
        if (r < 0)
                return r;

        for (size_t i = 0; i < CARDS_MAX; i++) {
                const uint8_t *card = cards + i * CARD_BYTES;

                if (card[0] == 0 || nvidia_u32(card + 4) != place->domain || card[8] != place->bus ||
                    card[9] != place->slot)
                        continue;
                *ret_minor = nvidia_u32(card + 56);
                return *ret_minor <= MINOR_MAX ? 0 : -EBADMSG;
        }

        return -ENODEV;
}

/* The N of /dev/nvidiaN, which is not the card's place in any list. */
static int read_minor(const Host *host, const char *gpu, uint32_t *ret_minor) {
        static const char key[] = "Device Minor:";
        char path[512], text[4096], *p, *end;
        unsigned long v;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "driver/nvidia/gpus/%s/information", gpu);
        n = attribute_read(host->proc_fd, path, text, sizeof(text));
        if (n < 0)
                return (int)n;

        p = strstr(text, key);
        if (!p)
                return -EBADMSG;
        p += strlen(key);
        p += strspn(p, " \t");

        errno = 0;
        v = strtoul(p, &end, 10);
        if (errno != 0 || end == p || *p == '-' || (*end != '\n' && *end != '\0') || v > MINOR_MAX)
                return -EBADMSG;

        *ret_minor = (uint32_t)v;
        return 0;
}

/* Among the cards that the driver knows, the one at this place on the bus. */
static int find_gpu_id(NvidiaRm *rm, const Place *place, uint32_t *ret_id) {
        uint8_t ids[384] = {};
        int r;

        assert(rm->dialect->controls[NVIDIA_CONTROL_PROBED_IDS].size <= sizeof(ids));
        r = nvidia_rm_control(rm, NVIDIA_CONTROL_PROBED_IDS, ids);
        if (r != 0)
                return r;

        for (size_t i = 0; i < 32; i++) {
                uint8_t info[12] = {};
                uint32_t id = nvidia_u32(ids + i * 4);

                if (id == NO_ID)
                        break;

                nvidia_set_u32(info, id);
                r = nvidia_rm_control(rm, NVIDIA_CONTROL_PCI_INFO, info);
                if (r < 0)
                        return r;
                if (r == 0 && nvidia_u32(info + 4) == place->domain && (nvidia_u32(info + 8) & 0xffff) == place->bus &&
                    nvidia_u32(info + 8) >> 16 == place->slot) {
                        *ret_id = id;
                        return 0;
                }
        }

        return -ENODEV;
}

static int alloc_tree(NvidiaRm *rm) {
        uint8_t id_info[32] = {}, device[56] = {}, subdevice[4] = {};
        int r;

        nvidia_set_u32(id_info, rm->gpu_id);
        r = nvidia_rm_control(rm, NVIDIA_CONTROL_ID_INFO, id_info);
        if (r != 0)
                return r;

        memcpy(device, id_info + 8, sizeof(uint32_t));
        r = alloc(rm, rm->client, CLASS_DEVICE, device, sizeof(device), &rm->device);
        if (r != 0)
                return r;

        memcpy(subdevice, id_info + 12, sizeof(uint32_t));
        return alloc(rm, rm->device, CLASS_SUBDEVICE, subdevice, sizeof(subdevice), &rm->subdevice);
}

static int attach_failed(int r, const char *what, Error *error) {
        char sentence[NVIDIA_STATUS_SIZE];

        nvidia_rm_describe(r, sentence);
        return error_set(error, r < 0 ? r : -ERROR_DRIVER_REJECTED, "%s: %s", what, sentence);
}

int nvidia_rm_attach(NvidiaRm *rm, const char *gpu, Error *error) {
        char node[32];
        Place place;
        int r;

        assert(rm->dialect && rm->client == 0);
        if (!parse_place(gpu, &place))
                return error_set(error, -ENODEV, "%s is no PCI device", gpu);

        r = alloc(rm, 0, CLASS_ROOT, NULL, 0, &rm->client);
        if (r != 0)
                return attach_failed(r, "the driver gives no connection", error);

        r = find_gpu_id(rm, &place, &rm->gpu_id);
        if (r == -ENODEV)
                return error_set(error, r, "the driver does not know this card");
        if (nvidia_status_is_size(rm, r))
                return error_set(error, -ERROR_NOT_SUPPORTED, "driver %s does not tell its cards as layout %s does",
                                 rm->version_text, rm->dialect->layout);
        if (r != 0)
                return attach_failed(r, "the driver does not tell its cards", error);

        r = read_minor(rm->host, gpu, &rm->minor);
        if (r == -ENOENT)
                r = query_minor(rm, &place, &rm->minor);
        if (r < 0)
                return attach_failed(r, "the number of the GPU's node is not known", error);

        (void)snprintf(node, sizeof(node), "nvidia%u", rm->minor);
        r = rm->host->ops->open_node(rm->host, node, O_RDWR);
        if (r < 0)
                return error_set(error, r, "/dev/%s cannot be opened: %s", node, strerrordesc_np(-r));
        rm->gpu_fd = r;

        r = alloc_tree(rm);
        return r != 0 ? attach_failed(r, "the driver gives no access to the GPU", error) : 0;
}

int nvidia_rm_alloc_config(NvidiaRm *rm) {
        return alloc(rm, rm->subdevice, CLASS_VGPU_CONFIG, NULL, 0, &rm->config);
}

int nvidia_rm_open_events(NvidiaRm *rm, int *ret_fd) {
        _cleanup_(fd_closep) int fd = -EBADF;
        uint8_t args[EVENT_BYTES] = {};
        uint32_t status;
        int r;

        fd = rm->host->ops->open_node(rm->host, NVIDIA_CONTROL_NODE, O_RDWR);
        if (fd < 0)
                return fd;

        /* Events are told by the file on which this is called; the number names it in what follows (escape.c, osapi.c). */
        nvidia_set_u32(args, rm->client);
        nvidia_set_u32(args + 4, rm->device);
        nvidia_set_u32(args + 8, (uint32_t)fd);
        r = rm->host->ops->ioctl(rm->host, fd, ESCAPE_ALLOC_EVENT, args);
        if (r < 0)
                return r;
        status = nvidia_u32(args + 12);
        if (status != 0)
                return status_result(status);

        *ret_fd = TAKE_FD(fd);
        return 0;
}

int nvidia_rm_listen(NvidiaRm *rm, int event_fd, uint32_t which) {
        uint8_t parameters[24] = {}, notify[8] = {};
        uint32_t event;
        int r;

        nvidia_set_u32(parameters, rm->client);
        nvidia_set_u32(parameters + 4, rm->config);
        nvidia_set_u32(parameters + 8, CLASS_OS_EVENT);
        nvidia_set_u32(parameters + 12, which);
        nvidia_set_u64(parameters + 16, (uint64_t)event_fd);
        r = alloc(rm, rm->config, CLASS_OS_EVENT, parameters, sizeof(parameters), &event);
        if (r != 0)
                return r;

        nvidia_set_u32(notify, which);
        nvidia_set_u32(notify + 4, NOTIFY_ALWAYS);
        return nvidia_rm_control(rm, NVIDIA_CONTROL_NOTIFY, notify);
}

int nvidia_rm_fetch_event(NvidiaRm *rm, int event_fd, bool *ret_more) {
        uint8_t args[EVENT_BYTES] = {}, event[16] = {};
        int r;

        nvidia_set_u64(args, (uintptr_t)event);
        r = rm->host->ops->ioctl(rm->host, event_fd, ESCAPE_FETCH_EVENT, args);
        if (r < 0)
                return r;

        *ret_more = nvidia_u32(args + 8) != 0;
        return status_result(nvidia_u32(args + 12));
}
