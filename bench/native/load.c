/* Clients that are never the bottleneck, and what they saw, as JSON.
 *
 * `load NAME=VALUE …`: port (several: `8000,8001`, clients take turns), path, body, type, header (one more line),
 * clients (each asks again when it was answered), requests (of all), base (the first one's number, which stands for
 * `@@` in path and body), tokens (of a stream; 0: a document), last (the number of the token a document has to end
 * with, -1: none), status (what is expected), frames (what a frame has to contain for its tokens to count: servers say
 * all of them again at the end), ramp_ms (until the last client begins), timeout_s.
 *
 * A token is `#NUMBER:NANOSECONDS;` of upstream.c, found in the bytes wherever it stands in a frame of server-sent
 * events, so that every server is read alike.
 */
#include "buffer.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { MOST_TOKENS = 65536 };

typedef struct {
    int file, busy, status, chunked, headed, request, seen_count;
    long left; /* bytes of the body, or of its chunk; -1: the size is next; -2: the line end after a chunk */
    int64_t begun;
    Buffer out, in, frame;
    unsigned char *seen;
} Client;

static const char *ports = "8000", *path = "/", *body = "", *type = "application/json", *header = "", *frames = "";
static int clients = 1, requests = 1, base, tokens, last = -1, status = 200, ramp_ms, timeout_s = 60;
static int asked, done, ok, failed, wrong_status, poll_file, listed[16], listed_count;
static long heard, lost, doubled, received;

typedef struct {
    float *at;
    size_t count, room;
} Numbers;
static Numbers latencies, firsts, lengths; /* milliseconds */

static void note(Numbers *numbers, double value) {
    if (numbers->count == numbers->room) {
        numbers->room = (numbers->room + 1024) * 2;
        numbers->at = realloc(numbers->at, numbers->room * sizeof *numbers->at);
        if (!numbers->at) abort();
    }
    numbers->at[numbers->count++] = (float)value;
}

static int compare(const void *one, const void *other) {
    float first = *(const float *)one, second = *(const float *)other;
    return (first > second) - (first < second);
}

static void tell(const char *name, Numbers *numbers) {
    qsort(numbers->at, numbers->count, sizeof *numbers->at, compare);
    size_t count = numbers->count;
    if (!count) printf(",\"%s\":null", name);
    else printf(",\"%s\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, numbers->at[count / 2],
                numbers->at[(size_t)((double)count * 0.99)], numbers->at[count - 1]);
}

/* With the request's number for each `@@`. */
static void append_numbered(Buffer *to, const char *text, int number) {
    for (const char *mark; (mark = strstr(text, "@@")); text = mark + 2) {
        append(to, text, (size_t)(mark - text));
        print(to, "%d", number);
    }
    append(to, text, strlen(text));
}

static void watch(Client *client) {
    struct epoll_event event = {EPOLLIN | (client->out.length ? EPOLLOUT : 0), {.ptr = client}};
    epoll_ctl(poll_file, EPOLL_CTL_MOD, client->file, &event);
}

static void push(Client *client) {
    ssize_t sent = send(client->file, client->out.at, client->out.length, MSG_NOSIGNAL);
    drop(&client->out, sent > 0 ? (size_t)sent : 0);
    watch(client);
}

static void dial(Client *client) {
    int one = 1;
    int port = listed[asked % listed_count];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->file = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(client->file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connect(client->file, (struct sockaddr *)&address, sizeof address);
    struct epoll_event event = {EPOLLIN, {.ptr = client}};
    epoll_ctl(poll_file, EPOLL_CTL_ADD, client->file, &event);
}

static void ask(Client *client) {
    static Buffer text;
    if (asked == requests) return;
    if (client->file < 0) dial(client);
    client->request = base + asked++;
    client->busy = 1;
    client->headed = client->chunked = client->seen_count = client->status = 0;
    client->in.length = client->frame.length = text.length = 0;
    if (tokens) memset(client->seen, 0, (size_t)tokens);
    append_numbered(&text, body, client->request);
    append(&client->out, *body ? "POST " : "GET ", *body ? 5 : 4);
    append_numbered(&client->out, path, client->request);
    print(&client->out, " HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: %s\r\ncontent-length: %zu\r\n%s%s\r\n", type,
          text.length, header, *header ? "\r\n" : "");
    append(&client->out, text.at, text.length);
    client->begun = now();
    watch(client);
}

/* The request's end. */
static void finish(Client *client, int whole) {
    done++;
    client->busy = 0;
    lost += tokens - client->seen_count;
    if (client->status && client->status != status) wrong_status = client->status;
    if (whole && client->status == status && client->seen_count == tokens) ok++;
    else failed++;
    note(&lengths, (double)(now() - client->begun) / 1e6);
    if (!whole) {
        close(client->file);
        client->file = -1;
        client->out.length = 0;
    }
    ask(client);
}

/* The tokens of one frame. */
static void hear(Client *client, char *at) {
    int64_t time = now();
    if (*frames && !strstr(at, frames)) return;
    while ((at = strchr(at, '#'))) {
        char *rest;
        long number = strtol(++at, &rest, 10);
        if (rest == at || *rest != ':') continue;
        long long sent = strtoll(rest + 1, &rest, 10);
        if (*rest != ';' || number < 0 || number >= tokens) continue;
        at = rest;
        heard++;
        if (client->seen[number]) doubled++;
        else client->seen[number] = 1, client->seen_count++;
        if (client->seen_count == 1) note(&firsts, (double)(time - client->begun) / 1e6);
        note(&latencies, (double)(time - sent) / 1e6);
    }
}

static void take_body(Client *client, const char *bytes, size_t length) {
    append(&client->frame, bytes, length);
    if (!tokens) return;
    size_t used = 0;
    for (char *from = client->frame.at, *end; (end = strpbrk(from, "\n")); from = end + 1) {
        int blank = end[1] == '\n' ? 1 : end[1] == '\r' && end[2] == '\n' ? 2 : 0;
        if (!blank) continue;
        *end = 0;
        hear(client, client->frame.at + used);
        end += blank;
        used = (size_t)(end + 1 - client->frame.at);
    }
    drop(&client->frame, used);
}

static void end_body(Client *client) {
    char mark[32];
    snprintf(mark, sizeof mark, "#%d:", last);
    int whole = last < 0 || (client->frame.length && strstr(client->frame.at, mark));
    if (client->status != status && failed < 3) fprintf(stderr, "%d: %.300s\n", client->status, client->frame.at);
    finish(client, whole || tokens);
}

/* One step through what was received; 0 where more is needed. */
static int step(Client *client) {
    Buffer *in = &client->in;
    if (!client->headed) {
        char *end = in->length ? strstr(in->at, "\r\n\r\n") : NULL;
        if (!end) return 0;
        end[2] = 0;
        client->headed = 1;
        client->status = in->length > 12 ? atoi(in->at + 9) : 0;
        client->chunked = strcasestr(in->at, "\r\ntransfer-encoding: chunked") != NULL;
        client->left = client->chunked ? -1 : content_length(in->at);
        drop(in, (size_t)(end + 4 - in->at));
        if (client->left < 0 && !client->chunked) client->left = 0;
        if (client->left || client->chunked) return 1;
        end_body(client);
        return 0;
    }
    if (client->left > 0) {
        size_t part = in->length < (size_t)client->left ? in->length : (size_t)client->left;
        if (!part) return 0;
        take_body(client, in->at, part);
        drop(in, part);
        client->left -= (long)part;
        if (!client->left && client->chunked) client->left = -2;
        else if (!client->left) end_body(client);
        return client->busy;
    }
    char *end = in->length ? strstr(in->at, "\r\n") : NULL;
    if (!end) return 0;
    long size = client->left == -2 ? -1 : strtol(in->at, NULL, 16);
    if (!size && !strncmp(end, "\r\n\r\n", 4)) {
        drop(in, (size_t)(end + 4 - in->at));
        end_body(client);
        return 0;
    }
    if (!size) return 0;
    drop(in, (size_t)(end + 2 - in->at));
    client->left = size;
    return 1;
}

static void happen(Client *client, uint32_t events) {
    if (events & EPOLLOUT && client->out.length) push(client);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t got = receive(client->file, &client->in);
    if (got > 0) received += got;
    while (got > 0 && client->busy && step(client)) {}
    if (got) return;
    if (client->busy) finish(client, 0);
    else if (client->file >= 0) close(client->file), client->file = -1;
}

static void set(const char *argument) {
    static const struct { const char *name; const char **text; int *number; } known[] = {
        {"port", &ports, 0}, {"path", &path, 0}, {"body", &body, 0}, {"type", &type, 0}, {"header", &header, 0},
        {"frames", &frames, 0}, {"clients", 0, &clients}, {"requests", 0, &requests}, {"base", 0, &base},
        {"tokens", 0, &tokens}, {"last", 0, &last}, {"status", 0, &status}, {"ramp_ms", 0, &ramp_ms},
        {"timeout_s", 0, &timeout_s},
    };
    const char *value = strchr(argument, '=');
    for (size_t number = 0; value && number < sizeof known / sizeof *known; number++) {
        size_t length = strlen(known[number].name);
        if ((size_t)(value - argument) != length || strncmp(argument, known[number].name, length)) continue;
        if (known[number].text) *known[number].text = value + 1;
        else *known[number].number = atoi(value + 1);
        return;
    }
    fprintf(stderr, "What is %s?\n", argument);
    exit(2);
}

int main(int count, char **arguments) {
    struct epoll_event events[512];
    for (int number = 1; number < count; number++) set(arguments[number]);
    for (const char *at = ports; at && listed_count < 16; at = strchr(at, ',')) listed[listed_count++] = atoi(at += *at == ',');
    if (tokens > MOST_TOKENS) return 2;
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    poll_file = epoll_create1(0);
    Client *all = calloc((size_t)clients, sizeof *all);
    int64_t begin = now(), end = begin + timeout_s * 1000000000LL;
    double used = cpu();
    for (int begun = 0; done < requests && now() < end;) {
        int64_t due = 0;
        for (; begun < clients && (due = begin + ramp_ms * 1000000LL * begun / clients) <= now(); begun++) {
            all[begun].file = -1;
            all[begun].seen = calloc((size_t)tokens + 1, 1);
            ask(&all[begun]);
        }
        int ready = epoll_wait(poll_file, events, 512, begun < clients ? 1 : 100);
        for (int number = 0; number < ready; number++) happen(events[number].data.ptr, events[number].events);
    }
    double wall = (double)(now() - begin) / 1e9;
    for (int number = 0; number < clients; number++)
        if (all[number].busy) lost += tokens - all[number].seen_count;
    printf("{\"requests\":%d,\"ok\":%d,\"failed\":%d,\"unfinished\":%d,\"wrong_status\":%d,\"wall_s\":%.4f,\"cpu_s\":%.4f",
           requests, ok, failed, requests - done, wrong_status, wall, cpu() - used);
    printf(",\"tokens\":%ld,\"lost\":%ld,\"doubled\":%ld,\"bytes\":%ld", heard, lost, doubled, received);
    tell("latency_ms", &latencies);
    tell("first_ms", &firsts);
    tell("request_ms", &lengths);
    printf("}\n");
    return 0;
}
