/* Text in a buffer of fixed size: what does not fit is cut, and the buffer always ends in 0. Nothing here can fail. */
#include <stdio.h>
#include "base.h"

void np_text_init(np_text *t, char *buffer, size_t room) {
  *t = (np_text){.at = buffer, .room = room};
  if (room) buffer[0] = 0;
}

void np_text_add(np_text *t, const char *format, ...) {
  if (t->used + 1 >= t->room) return;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(t->at + t->used, t->room - t->used, format, args);
  va_end(args);
  if (n < 0) t->at[t->used] = 0;
  else if ((size_t)n < t->room - t->used) t->used += (size_t)n;
  else t->used = t->room - 1;
}

void np_text_shape(np_text *t, int ndim, const int64_t *shape) {
  np_text_add(t, "(");
  for (int i = 0; i < ndim; i++) np_text_add(t, i ? ", %lld" : "%lld", (long long)shape[i]);
  np_text_add(t, ")");
}
