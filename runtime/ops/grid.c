/* Images read at places that a grid names: grid_sample, and affine_grid which makes such grids. A place becomes a few
 * elements (one, two or four a dimension) with weights, the same for all channels; weights have derivatives by the
 * place. Coordinates are those of the grid, from -1 to 1 over the image, x first. A task has some places of an image;
 * backward, a whole image, because places meet. */
#include "loops.h"
#include "sampling.h"

enum { X, GRID, MODE, PADDING, CORNERS };

typedef struct sampling {
  neap_context *c;
  const np_grid_loops *k;
  np_grid grid;
  int64_t size, channels, area, places, blocks, images; /* size: bytes; blocks: of places, an image */
  const char *x, *at, *g;    /* at: the coordinates */
  char *y, *gx, *gat;
} sampling;

/* Block number `block` of an image's places, which begins at place *first. */
static void locate(const sampling *s, int64_t image, int64_t block, int slopes, np_places *p, int64_t *first) {
  *first = block * NP_PLACES;
  s->k->locate(&s->grid, (int)np_min(NP_PLACES, s->places - *first), s->at + (image * s->places + *first) * s->grid.nd * s->size, slopes, p);
}

static void sample_task(void *arg, int64_t task) {
  const sampling *s = arg;
  int64_t image = task / s->blocks, first;
  np_places p;
  if (np_cancelled(s->c)) return;
  locate(s, image, task % s->blocks, 0, &p, &first);
  s->k->read(&p, s->channels, s->x + image * s->channels * s->area * s->size, s->area, s->y + (image * s->channels * s->places + first) * s->size, s->places);
}

static void back_task(void *arg, int64_t image) {
  const sampling *s = arg;
  int64_t whole = image * s->channels * s->area * s->size, first;
  np_places p;
  if (s->gx) memset(s->gx + whole, 0, (size_t)(s->channels * s->area * s->size));
  for (int64_t block = 0; block < s->blocks; block++) {
    locate(s, image, block, s->gat != NULL, &p, &first);
    const char *g = s->g + (image * s->channels * s->places + first) * s->size;
    if (s->gx) s->k->spread(&p, s->channels, g, s->places, s->gx + whole, s->area);
    if (s->gat) s->k->slopes(&p, s->channels, s->x + whole, s->area, g, s->places, s->gat + (image * s->places + first) * s->grid.nd * s->size);
  }
}

np_grid np_grid_of(const neap_value *a, const np_layout *x) {
  const int64_t mode = a[MODE].i, padding = a[PADDING].i, nd = x->ndim - 2;
  np_grid g = { .nd = (int)nd, .line_taps = mode == NEAP_MODE_NEAREST ? 1 : mode == NEAP_MODE_BICUBIC ? 4 : 2, .corners = a[CORNERS].i != 0,
    .reflect = padding == NEAP_PADDING_MODE_REFLECTION, .clamp = padding != NEAP_PADDING_MODE_ZEROS };
  for (int64_t d = 0; d < nd; d++) g.n[nd - 1 - d] = x->shape[2 + d];
  return g;
}

static sampling sampling_of(neap_context *c, int native, const neap_value *a, const np_layout *x, const np_layout *at) {
  sampling s = { .c = c, .k = c->kernels->grid[np_ctype(native)], .size = np_size_of(native), .channels = x->shape[1], .area = 1, .places = 1,
    .images = x->shape[0], .grid = np_grid_of(a, x) };
  for (int d = 0; d < s.grid.nd; d++) s.area *= x->shape[2 + d], s.places *= at->shape[1 + d];
  s.blocks = np_blocks(s.places, NP_PLACES);
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
  if (np_need_image(c, np_t(c, X), nd) != 0) return c->ctx->error;
  for (int d = 0; d < nd; d++) shape[2 + d] = grid->shape[1 + d];
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
    s.x = np_data(x), s.at = np_data(grid), s.y = np_data(to);
    np_parallel(ctx, s.images * s.blocks, (double)(s.images * s.places) * (4 + (double)s.channels), sample_task, &s);
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
  s.x = np_data(x), s.at = np_data(grid), s.g = np_data(g), s.gx = gx ? np_data(gx) : NULL, s.gat = ggrid ? np_data(ggrid) : NULL;
  np_parallel(c, s.images, (double)(s.images * s.places) * (8 + 4 * (double)s.channels), back_task, &s);
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
