#ifndef SV_MEMORY_H
#define SV_MEMORY_H
#include <stddef.h>

/* Ask for large pages under memory that is about to be written for the first time.  Only advice: the system
 * may not have them, and nothing but speed depends on it. */
void sv_advise_large(void *start, size_t n_bytes);

#endif
