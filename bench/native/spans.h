/* Messages of protobuf at a path of fields, which for OTLP's spans are 1, 2, 2. */
static long count_messages(const unsigned char *at, const unsigned char *end, const char *path) {
    long found = 0;
    while (at < end) {
        uint64_t parts[2] = {0, 0}; /* the key, then a value or a length */
        for (int part = 0, shift = 0; part < 2 && at < end; at++) {
            parts[part] |= (uint64_t)(*at & 127) << shift;
            shift = *at & 128 ? shift + 7 : 0;
            if (shift > 63) return found;
            if (!(*at & 128) && part++ == 0 && ((parts[0] & 7) == 1 || (parts[0] & 7) == 5)) {
                parts[1] = (parts[0] & 7) == 1 ? 8 : 4;
                at++;
                break;
            }
        }
        if (!(parts[0] & 7)) continue;
        if (parts[1] > (uint64_t)(end - at)) return found;
        if ((parts[0] & 7) == 2 && parts[0] >> 3 == (uint64_t)(*path - '0'))
            found += path[1] ? count_messages(at, at + parts[1], path + 1) : 1;
        at += parts[1];
    }
    return found;
}
