/* factor.inl: decompositions of one float type, for contexts that were given no LAPACK, and the readable twins of the
   fast ones. Column-major like those: element (i, j) of a is a[i + j * lda]. Unblocked and serial; every loop that may
   repeat has a bound, so nothing hangs on NaN. Included by factor_f32.c and factor_f64.c with T, S and EPS defined. */
#include <complex.h>
#include <math.h>
#include <string.h>
#include "kernels.h"

#define NAME_(a, b) a##b
#define NAME(a, b) NAME_(a, b)

static T dot(int n, const T *x, const T *y) {
  T a = 0;
  for (int i = 0; i < n; i++) a += x[i] * y[i];
  return a;
}
static void axpy(int n, T s, const T *x, T *y) {
  for (int i = 0; i < n; i++) y[i] += s * x[i];
}
static void rotate(int n, T *x, T *y, T c, T s) { /* (x, y) = (c x - s y, s x + c y) */
  for (int i = 0; i < n; i++) {
    T a = x[i], b = y[i];
    x[i] = c * a - s * b;
    y[i] = s * a + c * b;
  }
}
static void exchange(int n, T *x, T *y) {
  for (int i = 0; i < n; i++) {
    T t = x[i];
    x[i] = y[i], y[i] = t;
  }
}
static T length(int n, const T *x) { /* scaled, so that squares neither overflow nor vanish */
  T most = 0, sum = 0;
  for (int i = 0; i < n; i++) most = most >= (T)fabs(x[i]) ? most : (T)fabs(x[i]);
  if (!(most > 0) || isinf(most)) return most;
  for (int i = 0; i < n; i++) sum += x[i] / most * (x[i] / most);
  return most * (T)sqrt(sum);
}

/* a (m, n) = P L U, both factors in a; row k was exchanged with row pivots[k] - 1. Golub and Van Loan, 3.4. */
static int getrf(int m, int n, void *va, int lda, int *pivots) {
  T *a = va;
  int info = 0;
  for (int k = 0; k < (m < n ? m : n); k++) {
    T *col = a + (size_t)k * (size_t)lda;
    int p = k;
    for (int i = k + 1; i < m; i++)
      if (fabs(col[i]) > fabs(col[p])) p = i;
    pivots[k] = p + 1;
    if (col[p] == 0) {
      info = info ? info : k + 1;
      continue;
    }
    if (p != k)
      for (int j = 0; j < n; j++) {
        T *c = a + (size_t)j * (size_t)lda, t = c[k];
        c[k] = c[p], c[p] = t;
      }
    for (int i = k + 1; i < m; i++) col[i] /= col[k];
    for (int j = k + 1; j < n; j++) {
      T *c = a + (size_t)j * (size_t)lda;
      axpy(m - k - 1, -c[k], col + k + 1, c + k + 1);
    }
  }
  return info;
}

/* The upper triangle of a becomes u, a = u' u. */
static int potrf(int n, void *va, int lda) {
  T *a = va;
  for (int j = 0; j < n; j++) {
    T *col = a + (size_t)j * (size_t)lda;
    for (int i = 0; i < j; i++) {
      const T *u = a + (size_t)i * (size_t)lda;
      col[i] = (col[i] - dot(i, u, col)) / u[i];
    }
    T d = col[j] - dot(j, col, col);
    if (!(d > 0)) return j + 1;
    col[j] = (T)sqrt(d);
  }
  return 0;
}

/* The reflection 1 - tau v v' that sends x to (beta, 0, ...): v = (1, x[1..]) stays in x, beta in x[0]. */
static T reflector(int n, T *x) {
  T rest = length(n - 1, x + 1);
  if (rest == 0) return 0;
  T beta = (T)-copysign(hypot(x[0], rest), x[0]), tau = (beta - x[0]) / beta;
  for (int i = 1; i < n; i++) x[i] /= x[0] - beta;
  x[0] = beta;
  return tau;
}
static void reflect(int n, T tau, const T *v, T *x) { /* v[0] counts as 1 */
  T s = tau * (x[0] + dot(n - 1, v + 1, x + 1));
  x[0] -= s;
  axpy(n - 1, -s, v + 1, x + 1);
}

/* a (m, n) = q r by Householder reflections. Golub and Van Loan, 5.2. */
static int geqrf(int m, int n, void *va, int lda, void *vtau, void *work, int lwork) {
  T *a = va, *tau = vtau;
  if (lwork < 0) *(T *)work = 1;
  for (int k = 0; lwork >= 0 && k < (m < n ? m : n); k++) {
    T *v = a + k + (size_t)k * (size_t)lda;
    tau[k] = reflector(m - k, v);
    for (int j = k + 1; j < n; j++) reflect(m - k, tau[k], v, a + k + (size_t)j * (size_t)lda);
  }
  return 0;
}

/* The first n columns of the q that geqrf left as k reflections in a (m, n). */
static int orgqr(int m, int n, int k, void *va, int lda, const void *vtau, void *work, int lwork) {
  T *a = va;
  const T *tau = vtau;
  if (lwork < 0) *(T *)work = 1;
  for (int j = k; lwork >= 0 && j < n; j++) {
    memset(a + (size_t)j * (size_t)lda, 0, (size_t)m * sizeof *a);
    a[j + (size_t)j * (size_t)lda] = 1;
  }
  for (int i = k - 1; lwork >= 0 && i >= 0; i--) {
    T *v = a + i + (size_t)i * (size_t)lda;
    for (int j = i + 1; j < n; j++) reflect(m - i, tau[i], v, a + i + (size_t)j * (size_t)lda);
    for (int r = 1; r < m - i; r++) v[r] *= -tau[i];
    v[0] = 1 - tau[i];
    memset(v - i, 0, (size_t)i * sizeof *v);
  }
  return 0;
}

/* ---- singular values ---- */

/* Makes the columns of a (m, n) orthogonal by rotations, which v (ldv rows of it) follows. Hestenes, 1958. */
static int orthogonalise(int m, int n, T *a, int lda, int rows, T *v, int ldv) {
  for (int sweep = 0; sweep < 60; sweep++) {
    int turned = 0;
    for (int i = 0; i < n; i++)
      for (int j = i + 1; j < n; j++) {
        T *x = a + (size_t)i * (size_t)lda, *y = a + (size_t)j * (size_t)lda;
        T xx = dot(m, x, x), yy = dot(m, y, y), xy = dot(m, x, y);
        if (fabs(xy) <= EPS * (T)(m + 8) * sqrt(xx) * sqrt(yy)) continue;
        turned = 1;
        T zeta = (yy - xx) / (2 * xy), t = (T)(copysign(1, zeta) / (fabs(zeta) + hypot(1, zeta)));
        T c = (T)(1 / hypot(1, t)), s = c * t;
        rotate(m, x, y, c, s);
        rotate(rows, v + (size_t)i * (size_t)ldv, v + (size_t)j * (size_t)ldv, c, s);
      }
    if (!turned) return 0;
  }
  return 1;
}

/* Columns k .. n-1 of u (m, n) become orthogonal to all before them: of the unit vectors that with the least in them. */
static void complete(int m, int k, int n, T *u, int ldu) {
  for (; k < n; k++) {
    int best = 0;
    T least = (T)INFINITY, *x = u + (size_t)k * (size_t)ldu;
    for (int i = 0; i < m; i++) {
      T in = 0;
      for (int j = 0; j < k; j++) in += u[i + (size_t)j * (size_t)ldu] * u[i + (size_t)j * (size_t)ldu];
      if (in < least) least = in, best = i;
    }
    for (int i = 0; i < m; i++) x[i] = i == best;
    for (int twice = 0; twice < 2; twice++) {
      for (int j = 0; j < k; j++) axpy(m, -dot(m, u + (size_t)j * (size_t)ldu, x), u + (size_t)j * (size_t)ldu, x);
      T n2 = length(m, x);
      for (int i = 0; i < m; i++) x[i] /= n2;
    }
  }
}

/* w (m, n), m >= n, with the columns of a matrix and scratch v (n, n): values s falling, u (m, columns), right vectors as
 * the columns of v. */
static int tall_svd(int m, int n, T *w, T *v, T *s, int columns, T *u, int ldu) {
  memset(v, 0, (size_t)n * (size_t)n * sizeof *v);
  for (int i = 0; i < n; i++) v[i + (size_t)i * (size_t)n] = 1;
  if (orthogonalise(m, n, w, m, n, v, n)) return 1;
  for (int j = 0; j < n; j++) s[j] = length(m, w + (size_t)j * (size_t)m);
  for (int j = 0; j < n; j++) {
    int top = j;
    for (int i = j + 1; i < n; i++)
      if (s[i] > s[top]) top = i;
    if (top == j) continue;
    exchange(1, s + j, s + top);
    exchange(m, w + (size_t)j * (size_t)m, w + (size_t)top * (size_t)m);
    exchange(n, v + (size_t)j * (size_t)n, v + (size_t)top * (size_t)n);
  }
  if (!columns) return 0;
  int rank = 0;
  while (rank < n && s[rank] > s[0] * EPS * (T)m && s[rank] > 0) rank++;
  for (int j = 0; j < rank; j++)
    for (int i = 0; i < m; i++) u[i + (size_t)j * (size_t)ldu] = w[i + (size_t)j * (size_t)m] / s[j];
  complete(m, rank, columns, u, ldu);
  return 0;
}

static void transpose(int m, int n, const T *a, int lda, T *b, int ldb) { /* b (n, m) = a (m, n)' */
  for (int j = 0; j < n; j++)
    for (int i = 0; i < m; i++) b[j + (size_t)i * (size_t)ldb] = a[i + (size_t)j * (size_t)lda];
}

/* job 'N': values alone; 'S': the first min(m, n) vectors; 'A': all. One-sided Jacobi (Demmel and Veselic, 1992). */
static int gesdd(char job, int m, int n, void *va, int lda, void *s, void *vu, int ldu, void *vvt, int ldvt, void *work, int lwork, int *iwork) {
  T *a = va, *u = vu, *vt = vvt, *w = work;
  int k = m < n ? m : n, most = m < n ? n : m;
  size_t mn = (size_t)m * (size_t)n, need = mn + (size_t)k * (size_t)k + (size_t)most * (size_t)most;
  (void)iwork;
  if (lwork < 0) {
    *w = (T)need;
    return 0;
  }
  T *v = w + mn, *side = v + (size_t)k * (size_t)k; /* side: the larger set of vectors, before it is transposed */
  int all = job == 'A';
  if (m >= n) {
    for (int j = 0; j < n; j++) memcpy(w + (size_t)j * (size_t)m, a + (size_t)j * (size_t)lda, (size_t)m * sizeof *w);
    if (tall_svd(m, n, w, v, s, job == 'N' ? 0 : all ? m : n, u, ldu)) return 1;
    if (job != 'N') transpose(n, n, v, n, vt, ldvt);
    return 0;
  }
  transpose(m, n, a, lda, w, n);
  if (tall_svd(n, m, w, v, s, job == 'N' ? 0 : all ? n : m, side, n)) return 1;
  if (job == 'N') return 0;
  transpose(n, all ? n : m, side, n, vt, ldvt);
  for (int j = 0; j < m; j++) memcpy(u + (size_t)j * (size_t)ldu, v + (size_t)j * (size_t)m, (size_t)m * sizeof *u);
  return 0;
}

/* ---- symmetric eigenvalues ---- */

/* a (n, n), both triangles: values w rising; with job 'V' the vectors become a's columns. Cyclic Jacobi (Golub and Van
 * Loan, 8.5). */
static int syevd(char job, int n, void *va, int lda, void *vw, void *work, int lwork, int *iwork, int liwork) {
  T *a = va, *w = vw, *v = work;
  if (lwork < 0) {
    *v = (T)((double)n * n + 1);
    *iwork = 1;
    return 0;
  }
  (void)liwork;
  memset(v, 0, (size_t)n * (size_t)n * sizeof *v);
  for (int i = 0; i < n; i++) v[i + (size_t)i * (size_t)n] = 1;
  int turned = 1;
  for (int sweep = 0; turned && sweep < 60; sweep++) {
    turned = 0;
    for (int p = 0; p < n; p++)
      for (int q = p + 1; q < n; q++) {
        T *x = a + (size_t)p * (size_t)lda, *y = a + (size_t)q * (size_t)lda, off = y[p];
        if (off == 0 || fabs(off) <= EPS / 8 * sqrt(fabs(x[p])) * sqrt(fabs(y[q]))) continue;
        turned = 1;
        T zeta = (y[q] - x[p]) / (2 * off), t = (T)(copysign(1, zeta) / (fabs(zeta) + hypot(1, zeta)));
        T c = (T)(1 / hypot(1, t)), s = c * t;
        rotate(n, x, y, c, s);
        for (int i = 0; i < n; i++) { /* and the rows */
          T *z = a + (size_t)i * (size_t)lda, up = z[p], down = z[q];
          z[p] = c * up - s * down;
          z[q] = s * up + c * down;
        }
        x[q] = y[p] = 0;
        rotate(n, v + (size_t)p * (size_t)n, v + (size_t)q * (size_t)n, c, s);
      }
  }
  for (int i = 0; i < n; i++) w[i] = a[i + (size_t)i * (size_t)lda];
  for (int j = 0; j < n; j++) {
    int low = j;
    for (int i = j + 1; i < n; i++)
      if (w[i] < w[low]) low = i;
    exchange(low != j, w + j, w + low);
    if (low != j) exchange(n, v + (size_t)j * (size_t)n, v + (size_t)low * (size_t)n);
  }
  for (int j = 0; job == 'V' && j < n; j++) memcpy(a + (size_t)j * (size_t)lda, v + (size_t)j * (size_t)n, (size_t)n * sizeof *a);
  return turned;
}

/* ---- eigenvalues of any matrix: in complex doubles, see eigen.c ---- */

/* Of a pair the first column has the real parts, the second the imaginary ones of the value above the real line. */
static int geev(char job, int n, void *va, int lda, void *vre, void *vim, void *vv, int ldv, void *work, int lwork) {
  const T *a = va;
  T *re = vre, *im = vim, *out = vv;
  size_t nn = (size_t)n * (size_t)n;
  if (lwork < 0) {
    *(T *)work = (T)((double)(3 * nn + 3 * (size_t)n) * (sizeof(double complex) / sizeof(T)));
    return 0;
  }
  double complex *h = work, *v = h + nn, *w = v + nn, *room = w + n;
  for (int j = 0; j < n; j++)
    for (int i = 0; i < n; i++) h[i + (size_t)j * (size_t)n] = a[i + (size_t)j * (size_t)lda];
  if (np_eigen(n, h, w, v, room)) return 1;
  for (int j = 0; j < n; j++) {
    re[j] = (T)creal(w[j]), im[j] = (T)cimag(w[j]);
    for (int i = 0; job == 'V' && i < n; i++) {
      double complex e = v[i + (size_t)j * (size_t)n];
      out[i + (size_t)j * (size_t)ldv] = (T)(cimag(w[j]) < 0 ? -cimag(e) : creal(e));
    }
  }
  return 0;
}

/* ---- triangular systems: b (m, n) = inv(a) b, side 'L', or b inv(a), side 'R' ---- */

static void trsm(char side, char uplo, char diag, int m, int n, const void *va, int lda, void *vb, int ldb) {
  const T *a = va;
  T *b = vb;
  int upper = uplo == 'U', unit = diag == 'U';
  for (int jj = 0; jj < n; jj++) {
    if (side == 'L') {
      T *x = b + (size_t)jj * (size_t)ldb;
      for (int kk = 0; kk < m; kk++) {
        int k = upper ? m - 1 - kk : kk;
        const T *col = a + (size_t)k * (size_t)lda;
        if (!unit) x[k] /= col[k];
        if (upper) axpy(k, -x[k], col, x);
        else axpy(m - k - 1, -x[k], col + k + 1, x + k + 1);
      }
    } else {
      int j = upper ? jj : n - 1 - jj;
      const T *col = a + (size_t)j * (size_t)lda;
      T *x = b + (size_t)j * (size_t)ldb;
      for (int k = upper ? 0 : j + 1; k < (upper ? j : n); k++) axpy(m, -col[k], b + (size_t)k * (size_t)ldb, x);
      for (int i = 0; !unit && i < m; i++) x[i] /= col[j];
    }
  }
}

const neap_lapack_routines NAME(np_lapack_, S) = {
  .getrf = getrf, .potrf = potrf, .geqrf = geqrf, .orgqr = orgqr, .gesdd = gesdd, .syevd = syevd, .geev = geev, .trsm = trsm,
};
