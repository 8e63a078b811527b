/*
 * What every contender starts: a static program that ends at once. With a word `pause` it stays, small; with
 * BENCH_TARGET_SAYS in its environment it says that it ran, so that a contender that never starts it is found out.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "pause") == 0)
        pause();
    if (getenv("BENCH_TARGET_SAYS"))
        return write(1, "here I am\n", 10) != 10;
    return 0;
}
