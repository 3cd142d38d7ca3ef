/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The streams of simulated vGPUs' states: a start, then blocks of the content, each with its sum, those that changed after they
 * were sent once more, then an end. A block is known to have changed by its sum: whoever writes to ROOT/content/NAME plays the
 * guest.
 *
 * A session is a file, ROOT/kernel/sessions/NAME.NUMBER, which its descriptor has open and which is gone when it is over. What is
 * written to one is put into a file beside it, which takes the content's place in the end.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

#include "sim/sim-vfio.h"
#include "util/file.h"
#include "util/text.h"

#define GET_PRECOPY_INFO _IO(VFIO_TYPE, VFIO_BASE + 21)

#define BLOCK_SIZE 65536U
#define START_MAGIC "SIMVGPU1"

/* How often in a second something comes, of what is slow. */
#define PIECES_PER_SECOND 20U

typedef struct Start {
        char magic[8];
        uint64_t size; /* of the content */
        char type[SIM_NAME_SIZE];
} Start;

typedef struct BlockHead {
        uint64_t number; /* so that none is left out, and none comes twice */
        uint64_t offset; /* the size of the content: this is the end */
        uint64_t size;
        uint64_t sum; /* of what is behind it, and of the three above */
} BlockHead;

typedef struct PrecopyInfo {
        uint32_t argsz;
        uint32_t flags;
        uint64_t initial_bytes;
        uint64_t dirty_bytes;
} PrecopyInfo;

static_assert(sizeof(PrecopyInfo) == 24, "the kernel's layout");

typedef enum Phase {
        PHASE_START,
        PHASE_HEAD,
        PHASE_BLOCK, /* of resuming: what belongs to the head */
        PHASE_END, /* nothing comes any more */
        PHASE_FAILED,
} Phase;

typedef struct Session {
        char name[SIM_NAME_SIZE];
        char type[SIM_NAME_SIZE];
        uint64_t number;
        bool resuming;
        uint32_t phase;
        uint64_t size; /* of the content */
        uint64_t n_blocks;
        uint64_t n_records;
        uint64_t next; /* block where to look on for one that changed */
        uint32_t at, n; /* in the buffer; resuming: of n so many are there */
        uint8_t buffer[sizeof(BlockHead) + BLOCK_SIZE];
        uint64_t sent[]; /* sums of the blocks as they were sent; 0: not yet */
} Session;

static size_t session_bytes(uint64_t n_blocks) {
        return sizeof(Session) + n_blocks * sizeof(uint64_t);
}

static int map(int fd, Session **ret_session) {
        struct stat st;
        void *p;

        if (fstat(fd, &st) < 0)
                return negative_errno();
        if ((size_t)st.st_size < sizeof(Session))
                return -ENODEV;

        p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return negative_errno();

        *ret_session = p;
        return 0;
}

static Session *session_unmap(Session *s) {
        if (s)
                (void)munmap(s, session_bytes(s->n_blocks));
        return NULL;
}
DEFINE_CLEANUP(Session *, session_unmap)

static void session_path(const char *name, uint64_t number, const char *suffix, char *buffer, size_t size) {
        (void)snprintf(buffer, size, "kernel/sessions/%.64s.%" PRIu64 "%s", name, number, suffix);
}

static int open_session(const SimHost *sim, const SimDevice *device, Session **ret_session) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[128];

        if (!device->has_session)
                return -ENODEV;
        session_path(device->name, device->session, "", path, sizeof(path));
        fd = openat(sim->root_fd, path, O_RDWR | O_CLOEXEC);
        return fd < 0 ? negative_errno() : map(fd, ret_session);
}

static uint64_t content_size(const SimHost *sim, const char *name) {
        _cleanup_(fd_closep) int fd = sim_content_open(sim, name);
        struct stat st;

        return fd >= 0 && fstat(fd, &st) >= 0 ? (uint64_t)st.st_size : 0;
}

int sim_session_begin(const SimHost *sim, SimDevice *device, bool resuming) {
        uint64_t size = content_size(sim, device->name), n_blocks = (size + BLOCK_SIZE - 1) / BLOCK_SIZE;
        _cleanup_(session_unmapp) Session *s = NULL;
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[128];
        int r;

        session_path(device->name, ++device->session, "", path, sizeof(path));
        fd = openat(sim->root_fd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, (off_t)session_bytes(n_blocks)) < 0)
                return negative_errno();
        r = map(fd, &s);
        if (r < 0)
                return r;

        s->n_blocks = n_blocks;
        s->size = size;
        s->number = device->session;
        s->resuming = resuming;
        s->n = resuming ? sizeof(Start) : 0;
        (void)text_copy(s->name, sizeof(s->name), device->name);
        (void)text_copy(s->type, sizeof(s->type), device->type);
        device->has_session = true;
        return TAKE_FD(fd);
}

void sim_session_end(const SimHost *sim, SimDevice *device) {
        char path[128];

        if (!device->has_session)
                return;

        session_path(device->name, device->session, "", path, sizeof(path));
        (void)unlinkat(sim->root_fd, path, 0);
        session_path(device->name, device->session, ".content", path, sizeof(path));
        (void)unlinkat(sim->root_fd, path, 0);
        device->has_session = false;
}

int sim_session_commit(const SimHost *sim, const SimDevice *device) {
        _cleanup_(session_unmapp) Session *s = NULL;
        char path[128], content[128];
        int r;

        r = open_session(sim, device, &s);
        if (r < 0 || s->phase != PHASE_END)
                return -EINVAL;

        session_path(device->name, device->session, ".content", path, sizeof(path));
        (void)snprintf(content, sizeof(content), "content/%s", device->name);
        return renameat(sim->root_fd, path, sim->root_fd, content) < 0 ? negative_errno() : 0;
}

static void fill_start(const Session *s, Start *start) {
        *start = (Start){ .size = s->size };
        memcpy(start->magic, START_MAGIC, sizeof(start->magic));
        memcpy(start->type, s->type, sizeof(start->type));
}

static uint64_t sum_of(const BlockHead *head, const void *data) {
        return XXH64(data, head->size, XXH64(head, offsetof(BlockHead, sum), 0));
}

static uint64_t block_length(const Session *s, uint64_t block) {
        return MIN((uint64_t)BLOCK_SIZE, s->size - block * BLOCK_SIZE);
}

/* Of a content that somebody has cut the rest counts as zeros. Its sum, which is never 0. */
static uint64_t read_block(const Session *s, int content_fd, uint64_t block, uint8_t *data) {
        uint64_t size = block_length(s, block);
        ssize_t n = pread(content_fd, data, size, (off_t)(block * BLOCK_SIZE));

        if (n < (ssize_t)size)
                memset(data + MAX(n, 0), 0, size - (uint64_t)MAX(n, 0));
        return XXH64(data, size, 0) | 1;
}

/* The next one that is not as it was sent; false: there is none. */
static bool find_block(const Session *s, int content_fd, uint8_t *data, uint64_t *ret_block, uint64_t *ret_sum) {
        for (uint64_t i = 0; i < s->n_blocks; i++) {
                uint64_t block = (s->next + i) % s->n_blocks, sum = read_block(s, content_fd, block, data);

                if (sum != s->sent[block]) {
                        *ret_block = block;
                        *ret_sum = sum;
                        return true;
                }
        }

        return false;
}

static void put_head(Session *s, uint64_t offset, uint64_t size) {
        BlockHead head = { .number = s->n_records++, .offset = offset, .size = size };

        head.sum = sum_of(&head, s->buffer + sizeof(head));
        memcpy(s->buffer, &head, sizeof(head));
        s->n = (uint32_t)(sizeof(head) + size);
}

/* What is to be read next comes into the buffer: 1; 0: that was all; -ENOMSG: for now. */
static int fill_buffer(Session *s, int content_fd, bool stopped) {
        uint64_t block, sum;

        s->at = s->n = 0;
        if (s->phase == PHASE_START) {
                Start start;

                fill_start(s, &start);
                memcpy(s->buffer, &start, sizeof(start));
                s->n = sizeof(start);
                s->phase = PHASE_HEAD;
        } else if (s->phase == PHASE_END)
                return 0;
        else if (find_block(s, content_fd, s->buffer + sizeof(BlockHead), &block, &sum)) {
                put_head(s, block * BLOCK_SIZE, block_length(s, block));
                s->sent[block] = sum;
                s->next = block + 1;
        } else if (!stopped)
                return -ENOMSG;
        else {
                put_head(s, s->size, 0);
                s->phase = PHASE_END;
        }

        return 1;
}

/* So much goes through at once. */
static size_t limit(const SimHost *sim, size_t size, uint64_t *ret_rate) {
        *ret_rate = sim_setting(sim, "state-rate");
        return *ret_rate == 0 ? size : MIN(size, (size_t)MAX(*ret_rate / PIECES_PER_SECOND, 1U));
}

static void take_time(size_t n, uint64_t rate) {
        uint64_t ns = rate == 0 ? 0 : (uint64_t)n * UINT64_C(1000000000) / rate;
        struct timespec time = { .tv_sec = (time_t)(ns / 1000000000U), .tv_nsec = (long)(ns % 1000000000U) };

        if (ns > 0)
                (void)nanosleep(&time, NULL);
}

/* Its descriptor outlives it, and its device. */
static int load(const SimHost *sim, int fd, Session **ret_session, SimDevice *ret_device) {
        int r;

        r = sim_vfio_check_data(sim, fd);
        if (r >= 0)
                r = map(fd, ret_session);
        return r < 0 ? r : sim_device_load(sim, (*ret_session)->name, ret_device);
}

ssize_t sim_read_data(const Host *host, int fd, void *buffer, size_t size) {
        _cleanup_(session_unmapp) Session *s = NULL;
        _cleanup_(fd_closep) int content_fd = -EBADF;
        const SimHost *sim = host->userdata;
        SimDevice device;
        uint64_t rate;
        size_t n = 0;
        int r;

        r = load(sim, fd, &s, &device);
        if (r < 0 || s->resuming)
                return r < 0 ? r : -EBADF;
        r = content_fd = sim_content_open(sim, s->name);
        size = limit(sim, size, &rate);
        while (r >= 0 && n < size) {
                size_t k;

                if (s->at == s->n && (r = fill_buffer(s, content_fd, !sim_state_precopies(device.state))) <= 0)
                        break;
                k = MIN(size - n, s->n - s->at);
                memcpy((uint8_t *)buffer + n, s->buffer + s->at, k);
                s->at += (uint32_t)k;
                n += k;
        }

        take_time(n, rate);
        return n > 0 ? (ssize_t)n : r;
}

static void expect(Session *s, Phase phase, size_t size) {
        s->phase = phase;
        s->at = 0;
        s->n = (uint32_t)size;
}

/* The head stays in the buffer until what belongs to it is there as well. */
static int take_head(Session *s) {
        BlockHead head;

        memcpy(&head, s->buffer, sizeof(head));
        if (head.number != s->n_records++)
                return -EINVAL;
        if (head.offset == s->size && head.size == 0 && head.sum == sum_of(&head, "")) {
                expect(s, PHASE_END, 0);
                return 0;
        }
        if (head.offset >= s->size || head.offset % BLOCK_SIZE != 0 ||
            head.size != block_length(s, head.offset / BLOCK_SIZE))
                return -EINVAL;

        s->phase = PHASE_BLOCK;
        s->n = (uint32_t)(sizeof(head) + head.size);
        return 0;
}

static int open_incoming(const SimHost *sim, const Session *s) {
        char path[128];
        int fd;

        session_path(s->name, s->number, ".content", path, sizeof(path));
        fd = openat(sim->root_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        return fd < 0 ? negative_errno() : fd;
}

static int take_start(const SimHost *sim, Session *s) {
        _cleanup_(fd_closep) int fd = -EBADF;
        Start start;

        fill_start(s, &start);
        if (memcmp(&start, s->buffer, sizeof(start)) != 0)
                return -EINVAL;

        fd = open_incoming(sim, s);
        if (fd < 0 || ftruncate(fd, (off_t)s->size) < 0)
                return negative_errno();
        expect(s, PHASE_HEAD, sizeof(BlockHead));
        return 0;
}

static int take_block(const SimHost *sim, Session *s) {
        _cleanup_(fd_closep) int fd = -EBADF;
        const uint8_t *data = s->buffer + sizeof(BlockHead);
        BlockHead head;

        memcpy(&head, s->buffer, sizeof(head));
        if (head.sum != sum_of(&head, data))
                return -EINVAL;

        fd = open_incoming(sim, s);
        if (fd < 0 || pwrite(fd, data, head.size, (off_t)head.offset) != (ssize_t)head.size)
                return negative_errno();
        expect(s, PHASE_HEAD, sizeof(BlockHead));
        return 0;
}

/* The buffer has what was expected. */
static int take(const SimHost *sim, Session *s) {
        switch (s->phase) {
        case PHASE_START:
                return take_start(sim, s);
        case PHASE_HEAD:
                return take_head(s);
        default:
                return take_block(sim, s);
        }
}

ssize_t sim_write_data(const Host *host, int fd, const void *data, size_t size) {
        _cleanup_(session_unmapp) Session *s = NULL;
        const SimHost *sim = host->userdata;
        SimDevice device;
        uint64_t rate;
        size_t n = 0;
        int r;

        r = load(sim, fd, &s, &device);
        if (r < 0 || !s->resuming)
                return r < 0 ? r : -EBADF;
        if (s->phase >= PHASE_END && size > 0) /* nothing follows the end */
                r = -EINVAL;
        size = limit(sim, size, &rate);
        while (r >= 0 && n < size && s->phase < PHASE_END) {
                size_t k = MIN(size - n, s->n - s->at);

                memcpy(s->buffer + s->at, (const uint8_t *)data + n, k);
                s->at += (uint32_t)k;
                n += k;
                if (s->at == s->n)
                        r = take(sim, s);
        }

        if (r < 0)
                s->phase = PHASE_FAILED;
        take_time(n, rate);
        return r < 0 ? r : (ssize_t)n;
}

/* Bytes of blocks that were never sent, and of those that have changed since; with their heads. */
static void count_left(const SimHost *sim, const Session *s, uint64_t *ret_initial, uint64_t *ret_dirty) {
        _cleanup_(fd_closep) int content_fd = sim_content_open(sim, s->name);
        uint8_t data[BLOCK_SIZE];

        *ret_initial = s->phase == PHASE_START ? sizeof(Start) : 0;
        *ret_dirty = 0;
        for (uint64_t i = 0; i < s->n_blocks; i++) {
                uint64_t size = block_length(s, i) + sizeof(BlockHead);

                if (s->sent[i] == 0)
                        *ret_initial += size;
                else if (s->sent[i] != read_block(s, content_fd, i, data))
                        *ret_dirty += size;
        }

        *(*ret_initial > 0 ? ret_initial : ret_dirty) += s->n - s->at;
}

int sim_session_size(const SimHost *sim, const SimDevice *device, uint64_t *ret_size) {
        _cleanup_(session_unmapp) Session *s = NULL;
        uint64_t size, initial, dirty;

        if (sim_state_saves(device->state) && open_session(sim, device, &s) >= 0) {
                count_left(sim, s, &initial, &dirty);
                *ret_size = initial + dirty + (s->phase < PHASE_END ? sizeof(BlockHead) : 0);
                return 0;
        }

        size = content_size(sim, device->name);
        *ret_size = sizeof(Start) + size + ((size + BLOCK_SIZE - 1) / BLOCK_SIZE + 1) * sizeof(BlockHead);
        return 0;
}

int sim_session_ioctl(const SimHost *sim, int fd, unsigned long request, void *argument) {
        _cleanup_(session_unmapp) Session *s = NULL;
        PrecopyInfo *info = argument;
        SimDevice device;
        int r;

        r = load(sim, fd, &s, &device);
        if (r < 0)
                return r;
        if (request != GET_PRECOPY_INFO || s->resuming)
                return -ENOTTY;
        if (info->argsz < sizeof(*info) || !sim_state_precopies(device.state))
                return -EINVAL;

        info->flags = 0;
        count_left(sim, s, &info->initial_bytes, &info->dirty_bytes);
        return 0;
}
