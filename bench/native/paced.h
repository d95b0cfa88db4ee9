/* Connections, and a heap of those whose next token is due some time: the first one is the earliest. */
#include "buffer.h"

typedef struct {
    int file, number, tokens, place; /* place: in the heap of paced streams, from 1; 0: not in it */
    int64_t due, period;
    int usage;
    Buffer in, out;
} Connection;

static Connection **heap;
static int waiting, room;

static void place(Connection *connection, int where) {
    heap[where] = connection;
    connection->place = where;
}

static void sink_or_rise(int where) {
    Connection *moved = heap[where];
    for (; where > 1 && heap[where / 2]->due > moved->due; where /= 2) place(heap[where / 2], where);
    for (int child; (child = where * 2) <= waiting; where = child) {
        if (child < waiting && heap[child + 1]->due < heap[child]->due) child++;
        if (heap[child]->due >= moved->due) break;
        place(heap[child], where);
    }
    place(moved, where);
}

static void pace(Connection *connection) {
    if (++waiting >= room) {
        room = (room + 16) * 2;
        heap = realloc(heap, sizeof *heap * (size_t)room);
        if (!heap) abort();
    }
    place(connection, waiting);
    sink_or_rise(waiting);
}

static void unpace(Connection *connection) {
    int where = connection->place;
    if (!where) return;
    connection->place = 0;
    Connection *last = heap[waiting--];
    if (last == connection) return;
    place(last, where);
    sink_or_rise(where);
}
