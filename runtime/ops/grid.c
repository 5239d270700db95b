/* Images read at places that a grid names: grid_sample, and affine_grid which makes such grids. A place becomes a few
 * elements (one, two or four a dimension) with weights, the same for all channels; weights have derivatives by the
 * place. Coordinates are those of the grid, from -1 to 1 over the image, x first. A task has some places of an image;
 * backward, a whole image, because places meet. */
#include "loops.h"
#include "pool.h"

enum { X, GRID, MODE, PADDING, CORNERS };
enum { MOST = 16, BLOCK = NP_GRAIN / 16 + 1 }; /* elements of a place: 4 x 4, 2 x 2 x 2; places of a task */

typedef struct sampling {
  neap_context *c;
  const np_pool_loops *k;
  int nd, mode, padding, corners, ctype;
  int64_t size, channels, n[3], area, places, per_image, images; /* size: bytes; n: of the image, the last dimension last */
  const char *x, *grid, *g;
  char *y, *gx, *ggrid;
} sampling;

typedef struct line {        /* of one dimension: which elements, and with what weight */
  int taps;
  int64_t at[4];             /* -1: outside */
  double w[4], slope[4];     /* the weight's derivative by the coordinate */
} line;

/* ---- coordinates ---- */

static double reflected(double v, double low, double high, double *slope) {
  if (high <= low) return *slope = 0;
  double far = fabs(v - low), span = high - low, turns = floor(far / span), extra = far - turns * span;
  if (v < low) *slope = -*slope;
  if (fmod(turns, 2) == 0) return extra + low;
  *slope = -*slope;
  return high - extra;
}

static double inside(double v, int64_t n, double *slope) {
  if (v <= 0) return *slope = 0;
  if (v >= (double)(n - 1)) return *slope = 0, (double)(n - 1);
  return v;
}

/* v, in elements, as the padding has it. */
static double padded(const sampling *s, double v, int64_t n, double *slope) {
  if (s->padding == NEAP_PADDING_MODE_REFLECTION) v = reflected(v, s->corners ? 0 : -0.5, s->corners ? (double)(n - 1) : (double)n - 0.5, slope);
  if (s->padding != NEAP_PADDING_MODE_ZEROS) v = inside(v, n, slope);
  return v;
}

static int64_t element(double v, int64_t n) { return v >= 0 && v <= (double)(n - 1) ? (int64_t)v : -1; }

static void cubic(double d, double w[4], double slope[4]) { /* Keys, 1981, with -3/4: weights of the elements -1, 0, 1, 2 at d */
  const double a = -0.75;
  for (int k = 0; k < 4; k++) {
    double v = d - (double)(k - 1), sign = v < 0 ? -1 : 1;
    v = fabs(v);
    w[k] = v <= 1 ? ((a + 2) * v - (a + 3)) * v * v + 1 : (((v - 5) * v + 8) * v - 4) * a;
    slope[k] = sign * (v <= 1 ? (3 * (a + 2) * v - 2 * (a + 3)) * v : ((3 * v - 10) * v + 8) * a);
  }
}

static void read_line(const sampling *s, double v, int64_t n, line *l) {
  double scale = s->corners ? (double)(n - 1) / 2 : (double)n / 2, unit = 1;
  v = s->corners ? (v + 1) / 2 * (double)(n - 1) : ((v + 1) * (double)n - 1) / 2;
  if (!(fabs(v) < 1e15)) v = -100; /* far outside; NaN too */
  if (s->mode == NEAP_MODE_BICUBIC) {
    double first = floor(v) - 1;
    l->taps = 4;
    cubic(v - first - 1, l->w, l->slope);
    for (int k = 0; k < 4; k++) l->at[k] = element(padded(s, first + k, n, &unit), n), l->slope[k] *= scale;
    return;
  }
  v = padded(s, v, n, &scale);
  if (s->mode == NEAP_MODE_NEAREST) {
    l->taps = 1, l->w[0] = 1, l->slope[0] = 0;
    l->at[0] = element(nearbyint(v), n);
    return;
  }
  double low = floor(v);
  l->taps = 2;
  l->w[0] = low + 1 - v, l->w[1] = v - low;
  l->slope[0] = -scale, l->slope[1] = scale;
  l->at[0] = element(low, n), l->at[1] = element(low + 1, n);
}

typedef struct place {
  int taps;
  int64_t at[MOST];
  double w[MOST], slope[3][MOST]; /* by grid coordinate */
} place;

static double coordinate(const sampling *s, int64_t i) {
  return s->ctype == NP_CF32 ? (double)((const float *)s->grid)[i] : ((const double *)s->grid)[i];
}

static void read_place(const sampling *s, int64_t i, place *p) {
  line l[3];
  int count = 1;
  for (int d = 0; d < s->nd; d++) { /* the grid's first coordinate is of the last dimension */
    read_line(s, coordinate(s, i * s->nd + s->nd - 1 - d), s->n[d], &l[d]);
    count *= l[d].taps;
  }
  p->taps = 0;
  for (int k = 0; k < count; k++) {
    int rest = k, tap[3];
    int64_t at = 0, none = 0;
    for (int d = s->nd - 1; d >= 0; d--) tap[d] = rest % l[d].taps, rest /= l[d].taps;
    double w = 1;
    for (int d = 0; d < s->nd; d++) none |= l[d].at[tap[d]] < 0, at = at * s->n[d] + l[d].at[tap[d]], w *= l[d].w[tap[d]];
    if (none) continue;
    p->at[p->taps] = at;
    p->w[p->taps] = w;
    for (int e = 0; e < s->nd; e++) {
      double slope = 1;
      for (int d = 0; d < s->nd; d++) slope *= d == s->nd - 1 - e ? l[d].slope[tap[d]] : l[d].w[tap[d]];
      p->slope[e][p->taps] = slope;
    }
    p->taps++;
  }
}

/* ---- forward and backward ---- */

static void sample_task(void *arg, int64_t task) {
  const sampling *s = arg;
  int64_t image = task / s->per_image, first = task % s->per_image * BLOCK, last = np_min(s->places, first + BLOCK);
  place p;
  for (int64_t i = first; i < last && !np_cancelled(s->c); i++) {
    read_place(s, image * s->places + i, &p);
    s->k->gather(s->channels, s->x + image * s->channels * s->area * s->size, s->area, p.taps, p.at, p.w,
                 s->y + (image * s->channels * s->places + i) * s->size, s->places);
  }
}

static void back_task(void *arg, int64_t image) {
  const sampling *s = arg;
  int64_t whole = image * s->channels * s->area * s->size;
  place p;
  if (s->gx) memset(s->gx + whole, 0, (size_t)(s->channels * s->area * s->size));
  for (int64_t i = 0; i < s->places; i++) {
    const char *g = s->g + (image * s->channels * s->places + i) * s->size;
    read_place(s, image * s->places + i, &p);
    if (s->gx) s->k->scatter(s->channels, g, s->places, p.taps, p.at, p.w, s->gx + whole, s->area);
    for (int e = 0; e < s->nd && s->ggrid; e++)
      np_put_number(s->ctype == NP_CF32 ? NEAP_F32 : NEAP_F64, s->ggrid + ((image * s->places + i) * s->nd + e) * s->size,
                    s->k->gather_dot(s->channels, s->x + whole, s->area, p.taps, p.at, p.slope[e], g, s->places));
  }
}

static sampling sampling_of(neap_context *c, int native, const neap_value *a, const np_layout *x, const np_layout *grid) {
  sampling s = { .c = c, .k = c->kernels->pool[np_ctype(native)], .nd = x->ndim - 2, .mode = (int)a[MODE].i, .padding = (int)a[PADDING].i, .corners = (int)a[CORNERS].i,
    .ctype = np_ctype(native), .size = np_size_of(native), .channels = x->shape[1], .area = 1, .places = 1, .images = x->shape[0] };
  for (int d = 0; d < s.nd; d++) s.n[d] = x->shape[2 + d], s.area *= s.n[d], s.places *= grid->shape[1 + d];
  s.per_image = np_blocks(s.places, BLOCK);
  return s;
}

int np_grid_sample_infer(np_call *c) {
  const np_layout *x = &np_t(c, X)->at, *grid = &np_t(c, GRID)->at;
  int64_t shape[NEAP_MAX_DIMS] = { 0 };
  char text[NP_SHAPES_TEXT];
  int nd = x->ndim - 2;
  if (np_need_float(c, "x", np_t(c, X)) != 0 || np_need_float(c, "grid", np_t(c, GRID)) != 0) return c->ctx->error;
  np_shapes_text(text, x, " and ", grid);
  if (nd < 2 || nd > 3 || grid->ndim != x->ndim || grid->shape[0] != x->shape[0] || grid->shape[nd + 1] != nd)
    return np_reject(c, NEAP_ERR_SHAPE, "takes x (N, C, H, W) and a grid (N, h, w, 2), or x (N, C, D, H, W) and a grid (N, d, h, w, 3), got %s", text);
  if (x->dtype != grid->dtype)
    return np_reject(c, NEAP_ERR_DTYPE, "x is %s, grid %s: convert one of them with to()", np_dtypes[x->dtype].info.name, np_dtypes[grid->dtype].info.name);
  if (np_i(c, MODE) == NEAP_MODE_BICUBIC && nd != 2) return np_reject(c, NEAP_ERR_ARGUMENT, "mode 'bicubic' is for images (N, C, H, W), got %s", text);
  shape[0] = x->shape[0], shape[1] = x->shape[1];
  for (int d = 0; d < nd; d++) {
    shape[2 + d] = grid->shape[1 + d];
    if (x->shape[2 + d] == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no elements along dimension %lld: x and grid are %s", NP_DIM(c, 2 + d), text);
  }
  return np_spec(c, 0, x->dtype, x->ndim, shape);
}

int np_grid_sample_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0];
  int native = np_native_of(y->at.dtype);
  neap_tensor *x = np_contiguous_of(ctx, np_t(c, X), native), *grid = np_contiguous_of(ctx, np_t(c, GRID), native);
  neap_tensor *to = np_room(y, native);
  if (x && grid && to && y->at.count > 0) {
    sampling s = sampling_of(ctx, native, c->arg, &x->at, &grid->at);
    s.x = np_data(x), s.grid = np_data(grid), s.y = np_data(to);
    np_parallel(ctx, s.images * s.per_image, (double)(s.images * s.places) * (40 + 3 * (double)s.channels), sample_task, &s);
  }
  np_deliver(ctx, y, to);
  neap_release(x);
  neap_release(grid);
  return ctx->error;
}

/* With y = sum over elements of w(grid) x: gx = sum over places of w g, ggrid = sum over channels and elements of g x dw/dgrid. */
int np_grid_sample_back(np_back *b) {
  neap_context *c = b->ctx;
  int dtype = b->in[X].at.dtype, native = np_native_of(dtype);
  neap_tensor *x = neap_contiguous(c, neap_to(c, b->x[X], native)), *grid = neap_contiguous(c, neap_to(c, b->x[GRID], native));
  neap_tensor *g = neap_contiguous(c, neap_to(c, b->g[0], native));
  neap_tensor *gx = x && b->in[X].needs ? np_tensor_like(x, native) : NULL, *ggrid = grid && b->in[GRID].needs ? np_tensor_like(grid, native) : NULL;
  if (np_failed(c)) return c->error;
  sampling s = sampling_of(c, native, b->arg, &x->at, &grid->at);
  s.x = np_data(x), s.grid = np_data(grid), s.g = np_data(g), s.gx = gx ? np_data(gx) : NULL, s.ggrid = ggrid ? np_data(ggrid) : NULL;
  np_parallel(c, s.images, (double)(s.images * s.places) * (60 + 6 * (double)s.channels), back_task, &s);
  b->gx[X] = gx;
  b->gx[GRID] = ggrid;
  return c->error;
}

/* ---- affine_grid: theta size align_corners ---- */

/* From -1 to 1 over n elements, from middle to middle of the outermost or from edge to edge. */
static neap_tensor *steps(neap_context *c, int64_t n, int corners, int dtype) {
  double most = n == 1 ? 0 : corners ? 1 : (double)(n - 1) / (double)n;
  return neap_linspace(c, -most, most, n, dtype);
}

int np_affine_grid_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *theta = np_t(c, 0);
  const neap_value *size = &c->arg[1];
  int nd = size->n - 2;
  char text[128];
  np_shape_text(text, sizeof text, theta);
  if (np_need_float(c, "theta", theta) != 0) return ctx->error;
  if (nd < 2 || nd > 3) return np_reject(c, NEAP_ERR_ARGUMENT, "size is {N, C, H, W} or {N, C, D, H, W}, got %d numbers", size->n);
  if (theta->at.ndim != 3 || theta->at.shape[0] != size->is[0] || theta->at.shape[1] != nd || theta->at.shape[2] != nd + 1)
    return np_reject(c, NEAP_ERR_SHAPE, "theta must be of shape (%lld, %d, %d), got %s", (long long)size->is[0], nd, nd + 1, text);
  for (int d = 0; d < size->n; d++)
    if (size->is[d] < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "size has %lld for dimension %lld, it must be at least 1", (long long)size->is[d], NP_DIM(c, d));
  int64_t whole[4] = { 0 }, count = 1;
  for (int d = 0; d < nd; d++) whole[d] = size->is[2 + d], count *= whole[d];
  neap_tensor *column[4];
  for (int d = 0; d < nd; d++) { /* the coordinate of the last dimension first */
    int own = nd - 1 - d;
    int64_t view[3] = { 1, 1, 1 };
    view[own] = whole[own];
    column[d] = neap_expand(ctx, neap_reshape(ctx, steps(ctx, whole[own], (int)np_i(c, 2), theta->at.dtype), nd, view), nd, whole);
  }
  column[nd] = neap_ones(ctx, nd, whole, theta->at.dtype);
  neap_tensor *places = neap_reshape(ctx, neap_stack(ctx, nd + 1, column, -1), 2, (int64_t[]){ count, nd + 1 });
  neap_tensor *y = neap_matmul(ctx, places, neap_transpose(ctx, theta, 1, 2)); /* (N, places, nd) */
  int64_t shape[5] = { size->is[0] };
  for (int d = 0; d < nd; d++) shape[1 + d] = whole[d];
  shape[nd + 1] = nd;
  c->out[0] = neap_reshape(ctx, y, nd + 2, shape);
  return ctx->error;
}
