/* The load of signalling: both telephones of many calls, each call whole.
 *
 *     telephones PROXY_PORT CALLER_PORT CALLEE_PORT CALLER CALLEE RATE AT_ONCE WARM_UP_SECONDS SECONDS
 *
 * INVITE, 100, 180, 200, ACK, BYE, 200: the caller's messages go to PROXY_PORT on 127.0.0.1, with the Route that
 * the Record-Routes of the 200 make; the callee sends its responses to where the request came from. RATE > 0: so many
 * calls a second, 180 after 40 ms, 200 after 80 ms, BYE 120 ms after the ACK. RATE = 0: AT_ONCE calls at any time,
 * everything at once. CALLER and CALLEE are the users of From and To; each call is another telephone's, by its Contact.
 *
 * Prints `ready`, waits for a line, prints `measure` after the warm-up, `end` after SECONDS more, and one line
 * of JSON when the calls under way have had time to end. Delays are from sending to the kernel's stamp of arrival at
 * the other telephone. `anchored` counts INVITEs whose description no longer names the caller's own port.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 1 << 17, QUEUE = 1 << 14, BUCKETS = 500000, SIZE = 4096, ROUTES = 512, RTP_PORT = 40000 };
enum { RING_NS = 40000000, ANSWER_NS = 80000000, TALK_NS = 120000000, DRAIN_NS = 1500000000 };
enum stage { FREE, CALLING, TALKING, ENDING };

struct histogram { uint64_t count, bucket[BUCKETS]; uint32_t highest; };
struct call { uint32_t number; enum stage stage; int is_called; uint64_t sent_ns; char routes[ROUTES], target[128]; };
struct task { uint64_t at; uint32_t number; uint16_t length; struct sockaddr_in to; char text[1500]; };
struct queue { struct task *tasks; uint32_t first, count; }; /* one delay each, so in order of time */

static int caller, callee, caller_port, callee_port, at_once;
static double rate;
static const char *caller_name, *callee_name;
static struct sockaddr_in proxy;
static struct call *calls;
static struct queue ringing, answering, talking;
static struct histogram opening, later, answers;
static uint32_t next_number = 1, under_way;
static uint64_t begun, completed, measured, refused, repeated, anchored, strange, unsent;
static int measuring, is_over, run;

static uint64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return (uint64_t)at.tv_sec * 1000000000ull + (uint64_t)at.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void note(struct histogram *histogram, uint64_t from, uint64_t to)
{
    uint64_t us = to > from ? (to - from) / 1000 : 0;
    uint32_t index = us < BUCKETS ? (uint32_t)us : BUCKETS - 1;
    if (!measuring)
        return;
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

static int open_side(int port)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1, bytes = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM, 0);
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own))
        fail("telephones: socket");
    return fd;
}

static void transmit(int fd, const struct sockaddr_in *to, const char *text, size_t length)
{
    if (sendto(fd, text, length, 0, (const struct sockaddr *)to, sizeof *to) != (ssize_t)length)
        unsent++;
}

static void later_on(struct queue *queue, uint64_t at, uint32_t number, const struct sockaddr_in *to, const char *text,
                     size_t length)
{
    struct task *task = &queue->tasks[(queue->first + queue->count++) % QUEUE];
    *task = (struct task){.at = at, .number = number, .length = (uint16_t)length};
    if (to)
        task->to = *to;
    memcpy(task->text, text, length);
}

/* --- the caller */

static int common(char *text, const char *method, const char *target, const struct call *call, const char *routes,
                  int cseq)
{
    return snprintf(text, SIZE,
                    "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;rport;branch=z9hG4bK-%d-%u-%s\r\n%s"
                    "Max-Forwards: 70\r\nFrom: <sip:%s@127.0.0.1:%d>;tag=a%u\r\nTo: <sip:%s@127.0.0.1>%s\r\n"
                    "Call-ID: call-%u@%d.127.0.0.1\r\nCSeq: %d %s\r\n",
                    method, target, caller_port, run, call->number, method, routes, caller_name, caller_port, call->number,
                    callee_name, call->stage == CALLING ? "" : ";tag=b", call->number, run, cseq, method);
}

static void invite(void)
{
    struct call *call = &calls[next_number % SLOTS];
    char text[SIZE], target[128], body[512];
    *call = (struct call){.number = next_number++, .stage = CALLING};
    snprintf(target, sizeof target, "sip:%s@127.0.0.1:%d", callee_name, ntohs(proxy.sin_port));
    int size = snprintf(body, sizeof body,
                        "v=0\r\no=- %u 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                        "m=audio %d RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
                        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n",
                        call->number, RTP_PORT);
    int length = common(text, "INVITE", target, call, "", 1);
    length += snprintf(text + length, SIZE - (size_t)length,
                       "Contact: <sip:t%u@127.0.0.1:%d>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n"
                       "User-Agent: telephones\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
                       call->number, caller_port, size, body);
    begun++;
    under_way++;
    call->sent_ns = now();
    transmit(caller, &proxy, text, (size_t)length);
}

static void send_within(struct call *call, const char *method, int cseq)
{
    char text[SIZE];
    int length = common(text, method, call->target, call, call->routes, cseq);
    length += snprintf(text + length, SIZE - (size_t)length, "Content-Length: 0\r\n\r\n");
    call->sent_ns = now();
    transmit(caller, &proxy, text, (size_t)length);
}

static uint32_t number_in(const char *text)
{
    const char *at = strcasestr(text, "\r\ncall-id: call-");
    return at ? (uint32_t)strtoul(at + 16, NULL, 10) : 0;
}

/* The Record-Routes of the 200 in reverse, as Route fields (RFC 3261 §12.1.2), and the Contact. */
static int learn(struct call *call, const char *text)
{
    const char *fields[8], *at = text, *contact = strcasestr(text, "\r\ncontact: <");
    int count = 0;
    while (count < 8 && (at = strcasestr(at, "\r\nrecord-route: ")))
        fields[count++] = at += 16;
    for (int length = 0; count--;) {
        int size = (int)strcspn(fields[count], "\r");
        length += snprintf(call->routes + length, ROUTES - (size_t)length, "Route: %.*s\r\n", size, fields[count]);
        if (length >= ROUTES)
            return 0;
    }
    if (!contact)
        return 0;
    contact += 12;
    snprintf(call->target, sizeof call->target, "%.*s", (int)strcspn(contact, ">"), contact);
    return 1;
}

static void end_call(struct call *call, uint64_t *counter)
{
    call->stage = FREE;
    under_way--;
    ++*counter;
    if (counter == &completed && measuring)
        measured++;
    if (rate == 0 && !is_over)
        invite();
}

static void answered(struct call *call, const char *text, int status, uint64_t sent, uint64_t at)
{
    if (status >= 300) {
        end_call(call, &refused);
    } else if (call->stage == CALLING && status >= 200) {
        note(&answers, sent, at);
        if (!learn(call, text)) {
            strange++;
            return;
        }
        call->stage = TALKING;
        send_within(call, "ACK", 1);
        later_on(&talking, now() + (rate > 0 ? TALK_NS : 0), call->number, NULL, "", 0);
    } else if (call->stage == ENDING && status >= 200) {
        note(&answers, sent, at);
        end_call(call, &completed);
    } else if (call->stage == CALLING && status == 180) {
        note(&answers, sent, at);
    }
}

/* --- the callee; its responses say when they were sent, in Timestamp */

static int copied(char *text, const char *request, const char *name, const char *suffix)
{
    int length = 0;
    size_t size = strlen(name);
    for (const char *line = strstr(request, "\r\n") + 2; *line != '\r'; line = strstr(line, "\r\n") + 2)
        if (!strncasecmp(line, name, size))
            length += sprintf(text + length, "%.*s%s\r\n", (int)strcspn(line, "\r"), line, suffix);
    return length;
}

static int response(char *text, const char *request, const char *start, int has_dialog, const char *body)
{
    int length = sprintf(text, "SIP/2.0 %s\r\n", start);
    length += copied(text + length, request, "via:", "");
    length += copied(text + length, request, "from:", "");
    length += copied(text + length, request, "to:", has_dialog ? ";tag=b" : "");
    length += copied(text + length, request, "call-id:", "");
    length += copied(text + length, request, "cseq:", "");
    if (has_dialog) {
        length += copied(text + length, request, "record-route:", "");
        length += sprintf(text + length, "Contact: <sip:%s@127.0.0.1:%d>\r\n", callee_name, callee_port);
    }
    if (*body)
        length += sprintf(text + length, "Content-Type: application/sdp\r\n");
    return length + sprintf(text + length, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
}

static void ring(const char *request, const struct sockaddr_in *from, uint32_t number)
{
    char text[SIZE], body[512];
    uint64_t at = now();
    sprintf(body, "v=0\r\no=- %u 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                  "m=audio %d RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
                  "a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n", number, RTP_PORT + 2);
    transmit(callee, from, text, (size_t)response(text, request, "100 Trying", 0, ""));
    later_on(&ringing, at + (rate > 0 ? RING_NS : 0), number, from, text,
             (size_t)response(text, request, "180 Ringing", 1, ""));
    later_on(&answering, at + (rate > 0 ? ANSWER_NS : 0), number, from, text,
             (size_t)response(text, request, "200 OK", 1, body));
}

static void called(const char *text, const struct sockaddr_in *from, struct call *call, uint64_t at)
{
    if (!strncmp(text, "INVITE ", 7)) {
        if (call->is_called++) {
            repeated++;
            return;
        }
        note(&opening, call->sent_ns, at);
        anchored += !strstr(text, "\r\nm=audio 40000 ");
        ring(text, from, call->number);
    } else if (!strncmp(text, "ACK ", 4)) {
        note(&later, call->sent_ns, at);
    } else if (!strncmp(text, "BYE ", 4)) {
        char answer[SIZE];
        size_t length = (size_t)response(answer, text, "200 OK", 0, "");
        note(&later, call->sent_ns, at);
        call->sent_ns = now();
        transmit(callee, from, answer, length);
    } else {
        strange++;
    }
}

/* --- both */

static uint64_t arrival(struct msghdr *header)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part))
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec at;
            memcpy(&at, CMSG_DATA(part), sizeof at);
            return (uint64_t)at.tv_sec * 1000000000ull + (uint64_t)at.tv_nsec;
        }
    return now();
}

static int receive(int fd)
{
    static char text[65536];
    struct sockaddr_in from;
    char control[128];
    struct iovec vector = {text, sizeof text - 1};
    struct msghdr header = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &vector, .msg_iovlen = 1,
                            .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(fd, &header, MSG_DONTWAIT);
    if (length < 0)
        return 0;
    text[length] = 0;
    uint32_t number = number_in(text);
    struct call *call = &calls[number % SLOTS];
    if (!number || call->number != number || call->stage == FREE)
        strange++;
    else if (fd == callee)
        called(text, &from, call, arrival(&header));
    else if (!strncmp(text, "SIP/2.0 ", 8))
        answered(call, text, atoi(text + 8), call->sent_ns, arrival(&header));
    else
        strange++;
    return 1;
}

static void run_due(struct queue *queue, int fd, uint64_t at)
{
    while (queue->count && queue->tasks[queue->first].at <= at) {
        struct task *task = &queue->tasks[queue->first];
        struct call *call = &calls[task->number % SLOTS];
        if (call->number == task->number && call->stage != FREE) {
            if (fd == callee) {
                call->sent_ns = now();
                transmit(fd, &task->to, task->text, task->length);
            } else {
                call->stage = ENDING;
                send_within(call, "BYE", 2);
            }
        }
        queue->first = (queue->first + 1) % QUEUE;
        queue->count--;
    }
}

static void work_until(uint64_t end, uint64_t start)
{
    struct pollfd both[2] = {{.fd = caller, .events = POLLIN}, {.fd = callee, .events = POLLIN}};
    struct timespec step = {0, 200000};
    for (uint64_t at; (at = now()) < end;) {
        while (rate > 0 && !is_over && (double)begun * 1e9 / rate <= (double)(at - start))
            invite();
        run_due(&ringing, callee, at);
        run_due(&answering, callee, at);
        run_due(&talking, caller, at);
        if (ppoll(both, 2, &step, NULL) > 0)
            for (int busy = 1, round = 0; busy && round < 32; round++)
                busy = receive(callee) + receive(caller);
    }
}

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

int main(int count, char **words)
{
    if (count != 10)
        return 2;
    proxy = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
    proxy.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    caller_port = atoi(words[2]), callee_port = atoi(words[3]);
    caller_name = words[4], callee_name = words[5];
    rate = atof(words[6]), at_once = atoi(words[7]);
    uint64_t warm_up = (uint64_t)(atof(words[8]) * 1e9), length = (uint64_t)(atof(words[9]) * 1e9);
    run = (int)getpid(); /* tells this run's calls from those of another */
    calls = calloc(SLOTS, sizeof *calls);
    ringing.tasks = calloc(QUEUE, sizeof *ringing.tasks);
    answering.tasks = calloc(QUEUE, sizeof *answering.tasks);
    talking.tasks = calloc(QUEUE, sizeof *talking.tasks);
    caller = open_side(caller_port), callee = open_side(callee_port);
    say("ready");
    while (getchar() != '\n')
        ;
    uint64_t start = now();
    for (int index = 0; rate == 0 && index < at_once; index++)
        invite();
    work_until(start + warm_up, start);
    measuring = 1;
    say("measure");
    work_until(start + warm_up + length, start);
    measuring = 0;
    say("end");
    is_over = 1;
    work_until(now() + DRAIN_NS, start);
    printf("{\"begun\": %lu, \"completed\": %lu, \"measured\": %lu, \"refused\": %lu, \"unfinished\": %u, "
           "\"repeated\": %lu, \"anchored\": %lu, \"strange\": %lu, \"unsent\": %lu, ",
           begun, completed, measured, refused, under_way, repeated, anchored, strange, unsent);
    printf("\"opening_us_p50\": %u, \"opening_us_p99\": %u, \"later_us_p50\": %u, \"later_us_p99\": %u, "
           "\"answer_us_p50\": %u, \"answer_us_p99\": %u}\n",
           quantile(&opening, 0.5), quantile(&opening, 0.99), quantile(&later, 0.5), quantile(&later, 0.99),
           quantile(&answers, 0.5), quantile(&answers, 0.99));
    return 0;
}
