/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The model of NVIDIA's resource manager behind real character devices, /dev/nvidiactl and /dev/nvidia0, by CUSE: open,
 * ioctl, close and permissions are the kernel's, and who may change something is asked of the caller's real capabilities.
 *
 *     nvidia-cuse VERSION <COMMANDS >ANSWERS
 *
 * Commands, a line each: vgpud, reload, refuse ID, timeout N, busy N, hang, resume, guest TYPE (0: it ends), state, quit.
 * "state" answers with what the model holds and what was done to it. It says "ready" once the devices are there.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../unit/nvidia-model.c"

#define MAJOR_NUMBER 195
#define CONTROL_MINOR 255
#define BUFFER_SIZE (128U * 1024U)
#define CAP_SYS_ADMIN_BIT 21

typedef struct Device {
        const char *name;
        unsigned minor;
        int fd;
} Device;

static NvidiaModel model;
static struct {
        uint64_t handle; /* the kernel's, for who waits */
        bool waits;
} polls[MODEL_FILES];
static Device devices[] = { { "nvidiactl", CONTROL_MINOR, -1 }, { "nvidia0", 0, -1 } };
static bool hang;

/* A request that is not answered until somebody says so. */
static struct {
        bool waits;
        Device *device;
        uint8_t request[BUFFER_SIZE];
} hung;

static void die(const char *what) {
        fprintf(stderr, "nvidia-cuse: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

static void reply(const Device *d, uint64_t unique, int error, const void *data, size_t size) {
        static uint8_t buffer[BUFFER_SIZE];
        struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + size), .error = error, .unique = unique };

        memcpy(buffer, &out, sizeof(out));
        if (size > 0)
                memcpy(buffer + sizeof(out), data, size);
        /* ENOENT: the caller was killed meanwhile. */
        if (write(d->fd, buffer, out.len) < 0 && errno != ENOENT)
                die("a reply");
}

static void init(const Device *d, uint64_t unique) {
        struct {
                struct cuse_init_out out;
                char name[64];
        } answer = {
                .out = {
                        .major = FUSE_KERNEL_VERSION,
                        .minor = FUSE_KERNEL_MINOR_VERSION,
                        .flags = CUSE_UNRESTRICTED_IOCTL,
                        .max_read = 4096,
                        .max_write = 4096,
                        .dev_major = MAJOR_NUMBER,
                        .dev_minor = d->minor,
                },
        };
        int n = snprintf(answer.name, sizeof(answer.name), "DEVNAME=%s", d->name);

        reply(d, unique, 0, &answer, sizeof(answer.out) + (size_t)n + 1);
}

/* The model's question "capable(CAP_SYS_ADMIN)", of whoever calls. */
static bool is_admin(uint32_t pid) {
        unsigned long long effective = 0;
        char path[64], line[256];
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%u/status", pid);
        f = fopen(path, "re");
        if (!f)
                return false;
        while (fgets(line, sizeof(line), f))
                (void)sscanf(line, "CapEff: %llx", &effective);
        (void)fclose(f);
        return effective >> CAP_SYS_ADMIN_BIT & 1;
}

/* Asks the kernel to call again with these pieces of the caller's memory. */
static void retry(const Device *d, uint64_t unique, const struct fuse_ioctl_iovec *pieces, unsigned n) {
        struct {
                struct fuse_ioctl_out out;
                struct fuse_ioctl_iovec in_and_out[4];
        } answer = { .out = { .flags = FUSE_IOCTL_RETRY, .in_iovs = n, .out_iovs = n } };

        for (unsigned i = 0; i < n; i++)
                answer.in_and_out[i] = answer.in_and_out[n + i] = pieces[i];
        reply(d, unique, 0, &answer, sizeof(answer.out) + 2 * n * sizeof(pieces[0]));
}

static void handle_ioctl(const Device *d, const struct fuse_in_header *header, const struct fuse_ioctl_in *in,
                         uint8_t *data) {
        size_t size = _IOC_SIZE(in->cmd), second = 0;
        struct fuse_ioctl_iovec pieces[2] = { { .base = in->arg, .len = size } };
        static struct {
                struct fuse_ioctl_out out;
                uint8_t data[BUFFER_SIZE];
        } answer;
        uint64_t pointer = 0;

        if (in->in_size == 0 && size > 0) {
                retry(d, header->unique, pieces, 1);
                return;
        }

        second = nvidia_model_second(in->cmd, data, &pointer);
        if (in->in_size == size && second > 0) {
                pieces[1] = (struct fuse_ioctl_iovec){ .base = pointer, .len = second };
                retry(d, header->unique, pieces, 2);
                return;
        }

        model.admin = is_admin(header->pid);
        answer.out = (struct fuse_ioctl_out){
                .result = nvidia_model_ioctl(&model, (unsigned)in->fh, in->cmd, data, second > 0 ? data + size : NULL),
        };
        memcpy(answer.data, data, size + second);
        reply(d, header->unique, 0, &answer, sizeof(answer.out) + size + second);
}

static void handle_poll(const Device *d, uint64_t unique, const struct fuse_poll_in *in) {
        struct fuse_poll_out out = {};

        if (in->flags & FUSE_POLL_SCHEDULE_NOTIFY) {
                polls[in->fh].handle = in->kh;
                polls[in->fh].waits = true;
        }
        out.revents = model.files[in->fh].n_pending > 0 ? POLLIN | POLLPRI : 0;
        reply(d, unique, 0, &out, sizeof(out));
}

/* Wakes who waits for the node; he asks again what there is. */
static void notified(NvidiaModel *m, unsigned file) {
        struct {
                struct fuse_out_header header;
                struct fuse_notify_poll_wakeup_out wakeup;
        } message = {
                .header = { .len = sizeof(message), .error = FUSE_NOTIFY_POLL },
                .wakeup = { .kh = polls[file].handle },
        };

        if (!polls[file].waits)
                return;
        polls[file].waits = false;
        if (write(devices[m->files[file].control ? 0 : 1].fd, &message, sizeof(message)) < 0)
                die("a notice");
}

static void run_guest(uint32_t type) {
        ModelGpu *gpu = &model.gpus[0];

        gpu->n_guests = type != 0;
        gpu->guests[0] = (ModelGuest){ .type = type,
                                       .pid = 1,
                                       .encoder = 40,
                                       .framebuffer = UINT64_C(3) << 30,
                                       .licensed = true,
                                       .driver = "550.54.14",
                                       .vm = "web1" };
        nvidia_model_notify(&model, gpu, type != 0 ? 0 : 2);
}

static void handle(Device *d, uint8_t *request) {
        const struct fuse_in_header *header = (const void *)request;
        uint8_t *body = request + sizeof(*header);
        struct fuse_open_out opened = {};
        int file;

        switch (header->opcode) {
        case CUSE_INIT:
                init(d, header->unique);
                break;
        case FUSE_OPEN:
                file = nvidia_model_open(&model, d->name);
                opened.fh = (uint64_t)file;
                reply(d, header->unique, file < 0 ? file : 0, &opened, file < 0 ? 0 : sizeof(opened));
                break;
        case FUSE_RELEASE:
                polls[((const struct fuse_release_in *)(const void *)body)->fh].waits = false;
                nvidia_model_close(&model, (unsigned)((const struct fuse_release_in *)(const void *)body)->fh);
                reply(d, header->unique, 0, NULL, 0);
                break;
        case FUSE_IOCTL:
                if (hang && !hung.waits) {
                        hung.waits = true;
                        hung.device = d;
                        memcpy(hung.request, request, header->len);
                } else
                        handle_ioctl(d, header, (const void *)body, body + sizeof(struct fuse_ioctl_in));
                break;
        case FUSE_POLL:
                handle_poll(d, header->unique, (const void *)body);
                break;
        case FUSE_INTERRUPT: /* what it is about goes on all the same, as a driver's call would */
                break;
        default:
                reply(d, header->unique, -ENOSYS, NULL, 0);
        }
}

static void serve(Device *d) {
        static uint8_t request[BUFFER_SIZE] __attribute__((aligned(8)));
        ssize_t n;

        n = read(d->fd, request, sizeof(request));
        if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
                return;
        if (n < (ssize_t)sizeof(struct fuse_in_header))
                die("a request");
        handle(d, request);
}

static void print_state(void) {
        const ModelGpu *gpu = &model.gpus[0];
        unsigned n_open = 0;

        for (unsigned i = 0; i < MODEL_FILES; i++)
                n_open += model.files[i].used;
        printf("open %u objects %u state %u lowest %u set-info %u discards %u updates %u types", n_open,
               model.n_objects, gpu->state, gpu->lowest, model.n_set_info, model.n_discards, model.n_updates);
        for (unsigned i = 0; i < gpu->n_list; i++)
                printf(" %u", gpu->list[i]);
        printf("\n");
}

static void command(const char *line) {
        unsigned v = 0;

        if (strcmp(line, "vgpud") == 0)
                nvidia_model_run_vgpud(&model, &model.gpus[0]);
        else if (strcmp(line, "reload") == 0)
                nvidia_model_reload(&model);
        else if (sscanf(line, "refuse %u", &v) == 1)
                model.refuse_id = v;
        else if (sscanf(line, "guest %u", &v) == 1)
                run_guest(v);
        else if (sscanf(line, "timeout %u", &v) == 1)
                model.n_timeout = v;
        else if (sscanf(line, "busy %u", &v) == 1)
                model.n_busy = v;
        else if (strcmp(line, "hang") == 0)
                hang = true;
        else if (strcmp(line, "resume") == 0) {
                hang = false;
                if (hung.waits) {
                        hung.waits = false;
                        handle(hung.device, hung.request);
                }
        } else if (strcmp(line, "quit") == 0)
                exit(EXIT_SUCCESS);
        else if (strcmp(line, "state") == 0)
                print_state();
        else
                printf("not known: %s\n", line);
        (void)fflush(stdout);
}

static void read_commands(void) {
        static char buffer[4096];
        static size_t n;
        char *end;
        ssize_t k;

        k = read(STDIN_FILENO, buffer + n, sizeof(buffer) - 1 - n);
        if (k <= 0)
                exit(EXIT_SUCCESS);
        n += (size_t)k;
        buffer[n] = '\0';
        while ((end = strchr(buffer, '\n'))) {
                *end++ = '\0';
                command(buffer);
                n -= (size_t)(end - buffer);
                memmove(buffer, end, n + 1);
        }
}

int main(int argc, char **argv) {
        struct pollfd polled[3] = { { .fd = STDIN_FILENO, .events = POLLIN } };

        if (argc != 2 || !nvidia_model_init(&model, argv[1])) {
                fprintf(stderr, "nvidia-cuse: it needs the version of a driver that is known\n");
                return 2;
        }
        model.notified = notified;
        (void)nvidia_model_plug(&model, 0, 0x41, 0, devices[1].minor);

        for (unsigned i = 0; i < 2; i++) {
                devices[i].fd = open("/dev/cuse", O_RDWR | O_CLOEXEC);
                if (devices[i].fd < 0)
                        die("/dev/cuse");
                serve(&devices[i]);
                polled[1 + i] = (struct pollfd){ .fd = devices[i].fd, .events = POLLIN };
        }
        printf("ready\n");
        (void)fflush(stdout);

        for (;;) {
                if (poll(polled, 3, -1) < 0 && errno != EINTR)
                        die("poll");
                for (unsigned i = 0; i < 2; i++)
                        if (polled[1 + i].revents)
                                serve(&devices[i]);
                if (polled[0].revents)
                        read_commands();
        }
}
