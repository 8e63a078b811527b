#include "count.h"

#include <ctype.h>

unsigned long count_words(FILE *stream)
{
    unsigned long words = 0;
    int inside = 0;

    for (int c; (c = getc(stream)) != EOF;) {
        int space = isspace(c);
        words += !space && !inside;
        inside = !space;
    }
    return words;
}
