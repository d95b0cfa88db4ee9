/* A model provider, and trace backends, that are never the bottleneck.
 *
 * `upstream` prints its port. A request for a chat completion is answered as its last `bench:TOKENS:RATE:TOOL` says,
 * which stands in what the user asks: so many tokens, RATE a second or all at once (0), after a call of the tool `add`
 * if TOOL is 1. A token is `#NUMBER:NANOSECONDS;`, the moment at which it was sent. What is posted elsewhere is taken
 * as spans: posts, bytes, and spans (OTLP's, protobuf or JSON) are counted. `GET /stats` says what was counted.
 */
#include "paced.h"
#include "spans.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static struct {
    long chats, tokens, posts[2], spans[2], bytes[2]; /* 0: OTLP, 1: HoneyHive */
    int64_t late;
} counted;
static int poll_file;

static void close_connection(Connection *connection) {
    unpace(connection);
    close(connection->file);
    release(&connection->in);
    release(&connection->out);
    connection->file = -1; /* freed after the events of this turn, one of which may be its own */
}

static void flush(Connection *connection) {
    if (connection->out.length) {
        ssize_t sent = send(connection->file, connection->out.at, connection->out.length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return; /* its end is told by epoll */
        drop(&connection->out, sent > 0 ? (size_t)sent : 0);
    }
    struct epoll_event event = {EPOLLIN | (connection->out.length ? EPOLLOUT : 0), {.ptr = connection}};
    epoll_ctl(poll_file, EPOLL_CTL_MOD, connection->file, &event);
}

static const char CHUNK[] = "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[";
static const char CALL[] = "\"tool_calls\":[{%s\"id\":\"call_%ld\",\"type\":\"function\",\"function\":"
                           "{\"name\":\"add\",\"arguments\":\"{\\\"a\\\": 1, \\\"b\\\": 2}\"}}]";
#define USAGE "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%d,\"total_tokens\":%d}"
#define PIECE "data: %s{\"index\":0,\"delta\":{%s\"content\":\"#%d:%lld;\"},\"finish_reason\":null}]}\n\n"

static void say(Buffer *to, int number) {
    counted.tokens++;
    print(to, PIECE, CHUNK, number ? "" : "\"role\":\"assistant\",", number, (long long)now());
}

static void say_end(Buffer *to, const char *reason, int tokens, int usage) {
    print(to, "data: %s{\"index\":0,\"delta\":{},\"finish_reason\":\"%s\"}]}\n\n", CHUNK, reason);
    if (usage) print(to, "data: %s]," USAGE "}\n\n", CHUNK, tokens, tokens + 10);
    print(to, "data: [DONE]\n\n");
}

/* A piece of a body whose length is not told beforehand. */
static void append_chunk(Buffer *out, const Buffer *piece) {
    print(out, "%zx\r\n", piece->length);
    append(out, piece->at, piece->length);
    append(out, "\r\n", 2);
}

static void answer(Connection *connection, const char *type, const Buffer *body) {
    print(&connection->out, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n", type, body->length);
    append(&connection->out, body->at ? body->at : "", body->length);
}

/* The next tokens of a paced stream that are due. */
static void go_on(Connection *connection, int64_t time) {
    static Buffer piece;
    piece.length = 0;
    if (time - connection->due > counted.late) counted.late = time - connection->due;
    say(&piece, connection->number++);
    connection->due += connection->period;
    if (connection->number == connection->tokens) {
        say_end(&piece, "stop", connection->tokens, connection->usage);
        unpace(connection);
    } else sink_or_rise(connection->place);
    append_chunk(&connection->out, &piece);
    if (connection->number == connection->tokens) print(&connection->out, "0\r\n\r\n");
    flush(connection);
}

static void complete_whole(Connection *connection, int tokens, int call) {
    static Buffer body;
    body.length = 0;
    print(&body, "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,"
                 "\"logprobs\":null,\"finish_reason\":\"%s\",\"message\":{\"role\":\"assistant\",\"content\":%s",
          call ? "tool_calls" : "stop", call ? "null," : "\"");
    if (call) print(&body, CALL, "", counted.chats);
    for (int number = 0; !call && number < tokens; number++, counted.tokens++)
        print(&body, "#%d:%lld;", number, (long long)now());
    print(&body, "%s}}]," USAGE "}", call ? "" : "\"", tokens, tokens + 10);
    answer(connection, "application/json", &body);
}

static void complete_streamed(Connection *connection, int tokens, int rate, int call) {
    static Buffer body;
    body.length = 0;
    print(&connection->out, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    if (rate && !call && tokens) {
        connection->number = 0;
        connection->tokens = tokens;
        connection->period = 1000000000 / rate;
        connection->due = now() + connection->period;
        pace(connection);
        return;
    }
    if (call) {
        print(&body, "data: %s{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,", CHUNK);
        print(&body, CALL, "\"index\":0,", counted.chats);
        print(&body, "},\"finish_reason\":null}]}\n\n");
    }
    for (int number = 0; !call && number < tokens; number++) {
        say(&body, number);
        append_chunk(&connection->out, &body);
        body.length = 0;
    }
    say_end(&body, call ? "tool_calls" : "stop", tokens, connection->usage);
    append_chunk(&connection->out, &body);
    print(&connection->out, "0\r\n\r\n");
}

static void complete(Connection *connection, const char *body) {
    int tokens = 50, rate = 0, tool = 0;
    const char *asked = body;
    for (const char *next = body; (next = strstr(next, "bench:")); next++) asked = next;
    sscanf(asked, "bench:%d:%d:%d", &tokens, &rate, &tool);
    int call = tool && !strstr(asked, "\"role\":\"tool\"") && !strstr(asked, "\"role\": \"tool\"");
    counted.chats++;
    connection->usage = strstr(body, "include_usage") != NULL;
    if (strstr(body, "\"stream\":true") || strstr(body, "\"stream\": true"))
        complete_streamed(connection, tokens, rate, call);
    else complete_whole(connection, tokens, call);
}

static void take_spans(Connection *connection, const char *head, const char *bytes, size_t length) {
    static Buffer body;
    int where = strncmp(head, "POST /v1/traces", 15) != 0;
    body.length = 0;
    counted.posts[where]++;
    counted.bytes[where] += (long)length;
    const unsigned char *begin = (const unsigned char *)bytes;
    if (strcasestr(head, "x-protobuf")) counted.spans[where] += count_messages(begin, begin + length, "122");
    if (strcasestr(head, "x-protobuf")) return answer(connection, "application/x-protobuf", &body);
    for (const char *at = bytes; (at = strstr(at, "\"spanId\"")); at++) counted.spans[where]++;
    const char *id = "\":\"00000000-0000-4000-8000-000000000000\"";
    print(&body, "{\"session_id%s,\"event_id%s,\"org_id%s,\"workspace_id%s,\"project_id%s,\"success\":true}", id, id, id,
          id, id);
    answer(connection, "application/json", &body);
}

static void tell(Connection *connection) {
    static Buffer body;
    body.length = 0;
    print(&body, "{\"chats\":%ld,\"tokens\":%ld,\"late_ms\":%.3f,\"cpu_s\":%.4f", counted.chats, counted.tokens,
          (double)counted.late / 1e6, cpu());
    for (int where = 0; where < 2; where++)
        print(&body, ",\"%s\":{\"posts\":%ld,\"spans\":%ld,\"bytes\":%ld}", where ? "honeyhive" : "otlp",
              counted.posts[where], counted.spans[where], counted.bytes[where]);
    print(&body, "}");
    counted.late = 0;
    answer(connection, "application/json", &body);
}

static void serve(Connection *connection) {
    char *end;
    while (connection->in.length && (end = strstr(connection->in.at, "\r\n\r\n"))) {
        char *head = connection->in.at, *body = end + 4;
        *end = 0;
        long length = content_length(head);
        size_t size = (size_t)(body - head) + (length > 0 ? (size_t)length : 0);
        if (connection->in.length < size) {
            *end = '\r';
            return;
        }
        char after = head[size];
        head[size] = 0;
        if (strstr(head, "/chat/completions")) complete(connection, body);
        else if (!strncmp(head, "GET /stats", 10)) tell(connection);
        else take_spans(connection, head, body, length > 0 ? (size_t)length : 0);
        head[size] = after;
        drop(&connection->in, size);
    }
}

static void accept_all(int listener) {
    int one = 1;
    for (int file; (file = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *connection = calloc(1, sizeof *connection);
        if (!connection) abort();
        connection->file = file;
        struct epoll_event event = {EPOLLIN, {.ptr = connection}};
        epoll_ctl(poll_file, EPOLL_CTL_ADD, file, &event);
    }
}

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) exit(1);
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(void) {
    struct epoll_event events[512], event = {EPOLLIN, {.ptr = NULL}};
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    poll_file = epoll_create1(0);
    int listener = listen_on_loopback();
    epoll_ctl(poll_file, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int64_t time = now();
        while (waiting && heap[1]->due <= time) go_on(heap[1], time);
        int64_t rest = waiting ? heap[1]->due - time : -1;
        struct timespec nap = {rest / 1000000000, rest % 1000000000};
        int count = epoll_pwait2(poll_file, events, 512, waiting ? &nap : NULL, NULL);
        for (int number = 0; number < count; number++) {
            Connection *connection = events[number].data.ptr;
            if (!connection) accept_all(listener);
            else if (events[number].events & EPOLLIN && !receive(connection->file, &connection->in))
                close_connection(connection);
            else if (events[number].events & (EPOLLERR | EPOLLHUP)) close_connection(connection);
            else {
                serve(connection);
                flush(connection);
            }
        }
        for (int number = 0; number < count; number++) {
            Connection *connection = events[number].data.ptr;
            if (connection && connection->file < 0) free(connection);
        }
    }
}
