/* sheet.h: rows of softmax and cross-entropy, up to NP_SHEET of them side by side, one table per float type. Element i of row j is
   x[i * xs + j], so that a pass runs across the rows: for short rows, and for those that lie across memory. Sums are kept
   in double. What a function writes may be what it reads. */
#ifndef NP_SHEET_H
#define NP_SHEET_H

#include <stdint.h>

enum { NP_SHEET = 64 };

typedef struct np_sheet { /* of m rows of n elements; ld: from one element of a row to the next */
  char *data;
  int64_t ld;
} np_sheet;

typedef struct np_sheet_loops {
  void (*logsumexp)(int64_t n, int m, np_sheet x, double *L);
  void (*softmax)(int64_t n, int m, np_sheet x, np_sheet y);
  void (*log_softmax)(int64_t n, int m, np_sheet x, np_sheet y);
  void (*softmax_grad)(int64_t n, int m, np_sheet y, np_sheet g, np_sheet dx);     /* dx = y (g - sum g y) */
  void (*log_softmax_grad)(int64_t n, int m, np_sheet y, np_sheet g, np_sheet dx); /* dx = g - exp(y) sum g */
  void (*weigh)(int64_t n, int m, np_sheet x, const void *w, double *sum);         /* sum of w x; w NULL: of x */
  /* dx[i][j] = a[j] softmax(x)[i][j] - b[j] w[i]; w NULL: ones. */
  void (*entropy_grad)(int64_t n, int m, np_sheet x, const double *a, const double *b, const void *w, np_sheet dx);
} np_sheet_loops;

#endif
