/* The load: calls of G.711 in both directions, one packet of 172 bytes per 20 ms each, spread over the 20 ms.
 *
 *     generator SECONDS WARM_UP_SECONDS STEP_US SEED
 *
 * Prints `ports A B`: the two UDP ports on 127.0.0.1 that all calls come from, one per side. Reads the number of
 * calls and per call the relay's ports towards side a and side b. Then it sends; prints `measure` when the warm-up
 * is over, `end` after SECONDS more, and one line of JSON when the last packet has had time to arrive.
 *
 * It wakes every STEP_US and sends what is due. Nothing waits in a receive call, so that the relay under test never
 * pays for waking it; the kernel stamps arrivals. Each packet carries call, number and time of sending: what comes
 * back changed, on the wrong side or from the wrong port is counted as `strange`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { PACKET = 172, HEADER = 12, BATCH = 64, BUCKETS = 200000 }; /* one bucket is one microsecond */
#define PTIME_NS 20000000ull
#define MAGIC 0x444f454c42414e44ull

struct tag { uint64_t magic, sent_ns; uint32_t stream, number; };
struct slot { uint64_t phase; uint32_t stream; };
struct histogram { uint64_t count, bucket[BUCKETS]; uint32_t highest; };

static uint64_t seed;
static int sockets[2];
static uint32_t streams;              /* stream = 2 × call + side of the sender */
static struct slot *slots;
static struct sockaddr_in *relay;     /* per stream: where it is sent to */
static uint8_t (*packets)[PACKET];
static uint32_t *numbers;
static uint64_t sent, received, strange, unsent;
static struct histogram delays, lateness;
static int measuring;

static uint64_t now(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000000000ull + (uint64_t)at.tv_nsec;
}

static uint64_t draw(void) /* splitmix64 */
{
    uint64_t z = seed += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void note(struct histogram *histogram, uint64_t ns)
{
    uint32_t index = ns / 1000 < BUCKETS ? (uint32_t)(ns / 1000) : BUCKETS - 1;
    histogram->bucket[index]++;
    histogram->count++;
    if (index > histogram->highest)
        histogram->highest = index;
}

static uint32_t quantile(const struct histogram *histogram, double share)
{
    uint64_t left = (uint64_t)(share * (double)histogram->count);
    uint32_t index = 0;
    while (index < histogram->highest && left >= histogram->bucket[index])
        left -= histogram->bucket[index++];
    return index;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int open_side(int *port)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t length = sizeof own;
    int on = 1, bytes = 16 << 20, fd = socket(AF_INET, SOCK_DGRAM, 0);
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) || getsockname(fd, (struct sockaddr *)&own, &length))
        fail("generator: socket");
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    *port = ntohs(own.sin_port);
    return fd;
}

static int by_phase(const void *one, const void *other)
{
    const struct slot *a = one, *b = other;
    return (a->phase > b->phase) - (a->phase < b->phase);
}

static void prepare(void)
{
    int calls, port[2];
    if (scanf("%d", &calls) != 1 || calls < 1)
        exit(2);
    streams = 2 * (uint32_t)calls;
    slots = calloc(streams, sizeof *slots);
    relay = calloc(streams, sizeof *relay);
    packets = calloc(streams, sizeof *packets);
    numbers = calloc(streams, sizeof *numbers);
    for (uint32_t stream = 0; stream < streams; stream++) {
        if (stream % 2 == 0 && scanf("%d %d", &port[0], &port[1]) != 2)
            exit(2);
        relay[stream] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port[stream % 2])};
        relay[stream].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        slots[stream] = (struct slot){draw() % PTIME_NS, stream};
        for (int index = 8; index < PACKET; index++)
            packets[stream][index] = (uint8_t)draw(); /* SSRC and audio */
        packets[stream][0] = 0x80;
        packets[stream][1] = 8;
    }
    qsort(slots, streams, sizeof *slots, by_phase);
}

static void stamp(uint32_t stream, uint64_t sent_ns)
{
    uint32_t number = numbers[stream]++;
    struct tag tag = {MAGIC, sent_ns, stream, number};
    uint16_t sequence = htons((uint16_t)number);
    uint32_t timestamp = htonl(number * 160);
    memcpy(packets[stream] + 2, &sequence, 2);
    memcpy(packets[stream] + 4, &timestamp, 4);
    memcpy(packets[stream] + HEADER, &tag, sizeof tag);
}

static void flush(int side, struct mmsghdr *batch, int *count)
{
    int done = 0;
    while (done < *count) {
        int result = sendmmsg(sockets[side], batch + done, (unsigned)(*count - done), 0);
        if (result <= 0) {
            unsent += (uint64_t)(*count - done);
            break;
        }
        done += result;
    }
    sent += (uint64_t)done;
    *count = 0;
}

static void send_due(uint64_t start, uint64_t at, uint64_t *position)
{
    static struct mmsghdr batch[2][BATCH];
    static struct iovec vectors[2][BATCH];
    int count[2] = {0, 0};
    uint64_t wall = now(CLOCK_REALTIME);
    for (;;) {
        struct slot *slot = &slots[*position % streams];
        uint64_t due = start + *position / streams * PTIME_NS + slot->phase;
        if (due > at)
            break;
        int side = slot->stream % 2, index = count[side]++;
        stamp(slot->stream, wall);
        vectors[side][index] = (struct iovec){packets[slot->stream], PACKET};
        batch[side][index].msg_hdr = (struct msghdr){
            .msg_name = &relay[slot->stream], .msg_namelen = sizeof *relay,
            .msg_iov = &vectors[side][index], .msg_iovlen = 1};
        if (measuring)
            note(&lateness, at - due);
        if (count[side] == BATCH)
            flush(side, batch[side], &count[side]);
        ++*position;
    }
    flush(0, batch[0], &count[0]);
    flush(1, batch[1], &count[1]);
}

static uint64_t arrival(struct msghdr *header)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part))
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec at;
            memcpy(&at, CMSG_DATA(part), sizeof at);
            return (uint64_t)at.tv_sec * 1000000000ull + (uint64_t)at.tv_nsec;
        }
    return now(CLOCK_REALTIME);
}

static void take(int side, const uint8_t *packet, unsigned length, struct msghdr *header)
{
    const struct sockaddr_in *from = header->msg_name;
    struct tag tag;
    memcpy(&tag, packet + HEADER, sizeof tag);
    size_t rest = HEADER + sizeof tag;
    if (length != PACKET || tag.magic != MAGIC || tag.stream >= streams || tag.stream % 2 == (uint32_t)side ||
        from->sin_port != relay[tag.stream ^ 1].sin_port || tag.number >= numbers[tag.stream] ||
        memcmp(packet + rest, packets[tag.stream] + rest, PACKET - rest)) {
        strange++;
        return;
    }
    received++;
    uint64_t at = arrival(header);
    if (measuring)
        note(&delays, at > tag.sent_ns ? at - tag.sent_ns : 0);
}

static void receive(int side)
{
    static uint8_t buffers[BATCH][PACKET + 1], control[BATCH][64];
    static struct sockaddr_in from[BATCH];
    struct mmsghdr batch[BATCH];
    struct iovec vectors[BATCH];
    int count;
    do {
        for (int index = 0; index < BATCH; index++) {
            vectors[index] = (struct iovec){buffers[index], sizeof buffers[index]};
            batch[index].msg_hdr = (struct msghdr){
                .msg_name = &from[index], .msg_namelen = sizeof *from, .msg_iov = &vectors[index], .msg_iovlen = 1,
                .msg_control = control[index], .msg_controllen = sizeof control[index]};
        }
        count = recvmmsg(sockets[side], batch, BATCH, MSG_DONTWAIT, NULL);
        for (int index = 0; index < count; index++)
            take(side, buffers[index], batch[index].msg_len, &batch[index].msg_hdr);
    } while (count == BATCH);
}

static void sleep_until(uint64_t at)
{
    struct timespec until = {(time_t)(at / 1000000000ull), (long)(at % 1000000000ull)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void run(uint64_t warm_up, uint64_t measured, uint64_t step)
{
    uint64_t start = now(CLOCK_MONOTONIC), position = 0, at = start;
    uint64_t measure = start + warm_up, end = measure + measured, last = end + 500000000ull;
    for (uint64_t next = start; at < last; next = at > next + step ? at : next + step) {
        sleep_until(next);
        at = now(CLOCK_MONOTONIC);
        send_due(start, at < end ? at : end, &position);
        receive(0);
        receive(1);
        if (!measuring && at >= measure && at < end) {
            measuring = 1;
            puts("measure");
        } else if (measuring && at >= end) {
            measuring = 0;
            puts("end");
        }
    }
}

int main(int count, char **arguments)
{
    int port[2];
    if (count != 5)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_TIMERSLACK, 1);
    seed = strtoull(arguments[4], NULL, 10);
    for (int side = 0; side < 2; side++)
        sockets[side] = open_side(&port[side]);
    printf("ports %d %d\n", port[0], port[1]);
    prepare();
    run((uint64_t)(atof(arguments[2]) * 1e9), (uint64_t)(atof(arguments[1]) * 1e9),
        strtoull(arguments[3], NULL, 10) * 1000);
    printf("{\"sent\": %lu, \"received\": %lu, \"strange\": %lu, \"unsent\": %lu, \"measured\": %lu, "
           "\"delay_us_p50\": %u, \"delay_us_p99\": %u, \"late_us_p99\": %u}\n",
           sent, received, strange, unsent, delays.count, quantile(&delays, 0.5), quantile(&delays, 0.99),
           quantile(&lateness, 0.99));
    return 0;
}
