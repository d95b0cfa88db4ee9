/* Bytes that grow, and the clock. Shared by upstream.c and load.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    char *at;
    size_t length, room;
} Buffer;

/* Room for so many more bytes, and one that is zero. */
static void reserve(Buffer *buffer, size_t more) {
    if (buffer->length + more + 1 <= buffer->room) return;
    buffer->room = (buffer->length + more + 1) * 2;
    buffer->at = realloc(buffer->at, buffer->room);
    if (!buffer->at) abort();
}

static void append(Buffer *buffer, const char *bytes, size_t length) {
    reserve(buffer, length);
    memcpy(buffer->at + buffer->length, bytes, length);
    buffer->length += length;
    buffer->at[buffer->length] = 0;
}

__attribute__((format(printf, 2, 3))) static void print(Buffer *buffer, const char *format, ...) {
    va_list arguments;
    reserve(buffer, 1024);
    va_start(arguments, format);
    size_t left = buffer->room - buffer->length;
    int length = vsnprintf(buffer->at + buffer->length, left, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= left) abort();
    buffer->length += (size_t)length;
}

/* Forget the first bytes. */
static void drop(Buffer *buffer, size_t length) {
    if (!length) return;
    buffer->length -= length;
    memmove(buffer->at, buffer->at + length, buffer->length);
    buffer->at[buffer->length] = 0;
}

static void release(Buffer *buffer) {
    free(buffer->at);
    *buffer = (Buffer){0};
}

/* What there is to read, up to 1 MiB; 0 at the end or on an error, -1 if there is nothing yet. */
static ssize_t receive(int file, Buffer *buffer) {
    reserve(buffer, 1 << 16);
    ssize_t got = read(file, buffer->at + buffer->length, buffer->room - buffer->length - 1);
    if (got < 0) return errno == EAGAIN || errno == EINTR ? -1 : 0;
    buffer->length += (size_t)got;
    buffer->at[buffer->length] = 0;
    return got;
}

/* Nanoseconds of CLOCK_MONOTONIC, which is one clock for all processes. */
static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Seconds of CPU of this process. */
static double cpu(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* As many files as the system lets us open. */
static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* The number after `content-length:` in a head, or -1. */
static long content_length(const char *head) {
    const char *found = strcasestr(head, "\r\ncontent-length:");
    return found ? atol(found + 17) : -1;
}
