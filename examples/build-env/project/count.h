#ifndef COUNT_H
#define COUNT_H

#include <stdio.h>

/* The number of words that a stream holds from here to its end. */
unsigned long count_words(FILE *stream);

#endif
