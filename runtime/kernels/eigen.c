/* Eigenvalues and eigenvectors of any square matrix, in complex doubles: Hessenberg form by reflections, the QR algorithm
   with single shifts, vectors by back substitution (Golub and Van Loan, 7.4 to 7.6). Then what a real matrix demands is
   made exact: values that are not real stand in pairs, and a real value has a real vector. Column-major. */
#include <complex.h>
#include <math.h>
#include "kernels.h"

typedef double complex number;
#define AT(a, i, j) (a)[(i) + (size_t)(j) * (size_t)n]
static const double eps = 0x1p-52;

/* h becomes z* h z, zero below its first subdiagonal; x: n numbers. */
static void to_hessenberg(int n, number *h, number *z, number *x) {
  for (int k = 0; k < n; k++)
    for (int i = 0; i < n; i++) AT(z, i, k) = i == k;
  for (int k = 0; k + 2 < n; k++) {
    double size = 0;
    for (int i = k + 1; i < n; i++) size = hypot(size, cabs(AT(h, i, k)));
    if (size == 0) continue;
    double length = 0, first = creal(AT(h, k + 1, k)) < 0 ? -size : size; /* the input is real, and stays so */
    for (int i = k + 1; i < n; i++) {
      x[i] = AT(h, i, k) + (i == k + 1 ? first : 0);
      length = hypot(length, cabs(x[i]));
    }
    for (int i = k + 1; i < n; i++) x[i] /= length;
    for (int j = 0; j < n; j++) { /* h = (1 - 2 x x*) h */
      number s = 0;
      for (int i = k + 1; i < n; i++) s += conj(x[i]) * AT(h, i, j);
      for (int i = k + 1; i < n; i++) AT(h, i, j) -= 2 * s * x[i];
    }
    for (int side = 0; side < 2; side++) { /* h and z times (1 - 2 x x*) */
      number *m = side ? z : h;
      for (int i = 0; i < n; i++) {
        number s = 0;
        for (int j = k + 1; j < n; j++) s += AT(m, i, j) * x[j];
        for (int j = k + 1; j < n; j++) AT(m, i, j) -= 2 * s * conj(x[j]);
      }
    }
  }
}

/* The eigenvalue of the 2 x 2 block that ends at row `last` which is nearer to its last element. */
static number shift_of(int n, const number *h, int last) {
  number a = AT(h, last - 1, last - 1), d = AT(h, last, last), bc = AT(h, last - 1, last) * AT(h, last, last - 1);
  number half = (a - d) / 2, root = csqrt(half * half + bc);
  if (cabs(half + root) < cabs(half - root)) root = -root;
  return cabs(half + root) == 0 ? d : d - bc / (half + root);
}

/* One step on rows and columns first .. last: with h - shift = q r it becomes r q + shift. turn: n numbers. */
static void qr_step(int n, number *h, number *z, int first, int last, number shift, number *turn) {
  for (int i = 0; i < n; i++) AT(h, i, i) -= shift;
  for (int k = first; k < last; k++) { /* (c s; -s* c) from the left makes element (k + 1, k) zero; c^2 + |s|^2 = 1 */
    double size = hypot(cabs(AT(h, k, k)), cabs(AT(h, k + 1, k)));
    number up = size == 0 ? 1 : AT(h, k, k) / size, down = size == 0 ? 0 : AT(h, k + 1, k) / size;
    turn[2 * k] = up, turn[2 * k + 1] = down;
    for (int j = k; j < n; j++) {
      number a = AT(h, k, j), b = AT(h, k + 1, j);
      AT(h, k, j) = conj(up) * a + conj(down) * b;
      AT(h, k + 1, j) = up * b - down * a;
    }
  }
  for (int k = first; k < last; k++) {
    number up = turn[2 * k], down = turn[2 * k + 1];
    for (int side = 0; side < 2; side++) {
      number *m = side ? z : h;
      for (int i = 0; i < (side ? n : k + 2); i++) {
        number a = AT(m, i, k), b = AT(m, i, k + 1);
        AT(m, i, k) = a * up + b * down;
        AT(m, i, k + 1) = b * conj(up) - a * conj(down);
      }
    }
  }
  for (int i = 0; i < n; i++) AT(h, i, i) += shift;
}

static int to_triangle(int n, number *h, number *z, number *turn) {
  for (int last = n - 1, steps = 0; last > 0;) {
    int first = last;
    for (; first > 0; first--) {
      double small = eps * (cabs(AT(h, first, first)) + cabs(AT(h, first - 1, first - 1)));
      if (cabs(AT(h, first, first - 1)) <= small) break;
    }
    if (first > 0) AT(h, first, first - 1) = 0;
    if (first == last) {
      last--, steps = 0;
      continue;
    }
    if (++steps > 60) return 1;
    number shift = steps % 10 ? shift_of(n, h, last) : AT(h, last, last) + cabs(AT(h, last, last - 1)); /* now and then another */
    qr_step(n, h, z, first, last, shift, turn);
  }
  return 0;
}

/* The vector of triangle h that belongs to its element (j, j), through z into v, of length 1. */
static void vector_of(int n, const number *h, const number *z, int j, double size, number *y, number *v) {
  double length = 0;
  y[j] = 1;
  for (int i = j - 1; i >= 0; i--) {
    number s = 0, gap = AT(h, j, j) - AT(h, i, i);
    for (int k = i + 1; k <= j; k++) s += AT(h, i, k) * y[k];
    if (cabs(gap) < eps * size) gap = eps * size;
    y[i] = s / gap;
  }
  for (int i = 0; i < n; i++) {
    v[i] = 0;
    for (int k = 0; k <= j; k++) v[i] += AT(z, i, k) * y[k];
    length = hypot(length, cabs(v[i]));
  }
  for (int i = 0; i < n; i++) v[i] /= length;
}

/* v turned so that its largest element is real; real: v made real altogether. */
static void settle(int n, number *v, int real) {
  int top = 0;
  double length = 0;
  for (int i = 1; i < n; i++)
    if (cabs(v[i]) > cabs(v[top])) top = i;
  number phase = conj(v[top]) / cabs(v[top]);
  for (int i = 0; i < n; i++) {
    v[i] *= phase;
    if (real || i == top) v[i] = creal(v[i]);
    length = hypot(length, cabs(v[i]));
  }
  for (int i = 0; i < n; i++) v[i] /= length;
}

/* Moves value i's partner to place i + 1 and makes the two conjugate; or makes value i real. */
static int pair_up(int n, number *w, number *v, int i, double size) {
  int best = -1;
  for (int k = i + 1; k < n; k++)
    if (best < 0 || cabs(w[k] - conj(w[i])) < cabs(w[best] - conj(w[i]))) best = k;
  if (best < 0 || fabs(cimag(w[i])) <= 16 * n * eps * size || cabs(w[best] - conj(w[i])) > fabs(cimag(w[i]))) {
    w[i] = creal(w[i]);
    settle(n, &AT(v, 0, i), 1);
    return 1;
  }
  number t = w[best];
  w[best] = w[i + 1];
  for (int k = 0; k < n; k++) {
    number u = AT(v, k, best);
    AT(v, k, best) = AT(v, k, i + 1);
    if (cimag(w[i]) < 0) AT(v, k, i) = u; /* the one above the real line comes first */
  }
  w[i] = cimag(w[i]) < 0 ? t : w[i];
  w[i + 1] = conj(w[i]);
  settle(n, &AT(v, 0, i), 0);
  for (int k = 0; k < n; k++) AT(v, k, i + 1) = conj(AT(v, k, i));
  return 2;
}

int np_eigen(int n, double complex *h, double complex *w, double complex *v, double complex *room) {
  number *z = room, *list = room + (size_t)n * (size_t)n;
  double size = 0;
  for (int j = 0; j < n; j++)
    for (int i = 0; i < n; i++) size = hypot(size, cabs(AT(h, i, j)));
  to_hessenberg(n, h, z, list);
  if (to_triangle(n, h, z, list)) return 1;
  for (int j = 0; j < n; j++) {
    w[j] = AT(h, j, j);
    vector_of(n, h, z, j, size > 0 ? size : 1, list, &AT(v, 0, j));
  }
  for (int i = 0; i < n;) i += pair_up(n, w, v, i, size);
  return 0;
}
