/* Text read as numbers. */
#include <stdint.h>

typedef int64_t i64;
#define EXPORT __attribute__((visibility("default")))

static inline int blank(char c, int spaced) { return c == ' ' || (spaced && c == '\t'); }

/* Whole numbers of a text of `size` bytes, each line of which has `count` cells, with `mark` between them, or white space
 * where `mark` is ' ', and ends with a line feed. slots (count): the column of out (lines, width) that a cell goes to, -1
 * where it is skipped. Returns the number of lines; -1 where one is anything but digits, 18 at most, in the cells wanted,
 * and printable ASCII without quotes in the others: a slower reader says what is wrong, if anything. */
EXPORT i64 whole_numbers(const char *text, i64 size, char mark, i64 count, const i64 *slots, i64 width, i64 *out) {
    const char *at = text, *end = text + size;
    int spaced = mark == ' ';
    i64 lines = 0;
    for (; at < end; lines++, out += width) {
        while (blank(*at, spaced)) at++;
        if (*at == '#' || *at == '%') return -1;
        for (i64 cell = 0; cell < count; cell++) {
            while (blank(*at, spaced)) at++;
            const char *start = at;
            if (slots[cell] >= 0) {
                i64 value = 0;
                for (; *at >= '0' && *at <= '9'; at++) value = at - start < 18 ? value * 10 + (*at - '0') : 0;
                if (at == start || at - start > 18) return -1;
                out[slots[cell]] = value;
            } else {
                for (; *at != mark && *at != '\n' && !(spaced && *at == '\t'); at++)
                    if (*at < ' ' || *at > '~' || *at == '"') return -1;
                if (spaced && at == start) return -1;
            }
            const char *stop = at;
            while (blank(*at, spaced)) at++;
            int last = cell == count - 1;
            if (last ? *at != '\n' : spaced ? (at == stop || *at == '\n') : *at != mark) return -1;
            at += last || !spaced;
        }
    }
    return lines;
}
