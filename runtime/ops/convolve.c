/* The engine of convolutions. Forward and adjoint are one loop: a result at place j of its grid (phase r of the places where
 * it lies t apart) is a sum over taps of source elements at j u + a, where a belongs to the tap:
 *
 *   forward   t = 1, u = stride: tap k has a = k dilation - padding
 *   adjoint   t = stride, u = 1: phase r has the taps for which r + padding - k dilation is a multiple of the stride, a is the quotient
 *
 * A task lays a tile of the source out with its zeros, for u > 1 in phases, so that every tap is a distance in memory, and
 * then runs the kernel over the places of the tile, rows one after the other: what falls between two rows is computed
 * in vain and not copied. The gradient of the weights lays x out in the same way. Nothing is as large as a batch of columns. */
#include "convolve.h"
#include "conv.h"

enum { TASKS = 32, TILE_BYTES = 256 * 1024, PART_BYTES = 16 * 1024 * 1024, DOTS = 4 };

typedef struct phase {
  int64_t r[3], n[3];        /* where it begins, how many places it has */
  int64_t first, taps;       /* of the taps of all phases, in the order of phases */
} phase;

typedef struct plan {
  neap_context *ctx;
  const np_conv *k;
  int64_t size;              /* bytes of an element */
  int64_t images, groups, from_c, to_c, from[3], to[3]; /* the source's and the result's channels in a group, and sizes */
  int64_t u[3], t[3];
  int64_t low[3];            /* the least a */
  int64_t used[3], *rest[3]; /* the remainders of a - low by u that occur, of which a laid out tile has the elements */
  int64_t starts[3];         /* how many phases of the result have places */
  int64_t tile[3], tiles[3]; /* places of a tile; how many tiles */
  int64_t extent[3], plane, channel; /* elements of a laid out tile: of a phase, and of all its phases */
  int64_t volume, taps, room_rest; /* of the kernel; how many of its taps reach anything; its sizes added */
  int64_t n_phases;
  phase *phases;
  int64_t *a;                /* (volume, 3): a of each tap, by phases */
  int64_t *tap;              /* (volume): its number in the kernel */
  int64_t *at;               /* (from_c, taps) for each phase */
  char *w;                   /* (groups, phases, blocks of rows, from_c, taps, rows) */
  const char *x, *b;
  char *y;
  int64_t parts, part;       /* of the result's channels: how many, how many channels in each */
  int64_t units, per_task;
  char *scratch;
  int64_t room, wide;        /* bytes of a task's scratch; elements of a row of results in it */
} plan;

static int64_t volume_of(const int64_t n[3]) { return n[0] * n[1] * n[2]; }
static int64_t floor_of(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
static int64_t rounded(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

/* ---- the plan ---- */

/* Lists the taps of every phase. */
static void list_taps(plan *p, const np_conv_shape *s, int adjoint) {
  int64_t n = 0;
  for (int d = 0; d < 3; d++) p->low[d] = INT64_MAX;
  for (int64_t f = 0; f < p->n_phases; f++) {
    phase *h = &p->phases[f];
    int64_t rest = f;
    for (int d = 2; d >= 0; d--) {
      h->r[d] = rest % p->starts[d], rest /= p->starts[d];
      h->n[d] = (p->to[d] - h->r[d] - 1) / p->t[d] + 1;
    }
    h->first = n;
    for (int64_t k = 0; k < p->volume; k++) {
      int64_t place[3] = { k / (s->kernel[1] * s->kernel[2]), k / s->kernel[2] % s->kernel[1], k % s->kernel[2] };
      int64_t a[3];
      int fits = 1;
      for (int d = 0; d < 3; d++) {
        a[d] = place[d] * s->dilation[d] - s->padding[d];
        if (adjoint) a[d] = h->r[d] - a[d], fits &= a[d] % s->stride[d] == 0, a[d] /= s->stride[d];
      }
      if (!fits) continue;
      for (int d = 0; d < 3; d++) p->low[d] = np_min(p->low[d], p->a[3 * n + d] = a[d]);
      p->tap[n++] = k;
    }
    h->taps = n - h->first;
  }
  p->taps = n;
}

static int64_t slot_of(const plan *p, int d, int64_t a) { /* among the remainders; used[d]: not there */
  int64_t i = 0;
  while (i < p->used[d] && p->rest[d][i] != (a - p->low[d]) % p->u[d]) i++;
  return i;
}

static void list_remainders(plan *p) {
  for (int d = 0; d < 3; d++) {
    if (p->taps == 0) p->low[d] = p->rest[d][0] = 0, p->used[d] = 1; /* no element is read: any will do */
    for (int64_t k = 0; k < p->taps; k++) {
      int64_t a = p->a[3 * k + d], i = slot_of(p, d, a);
      if (i == p->used[d]) p->rest[d][p->used[d]++] = (a - p->low[d]) % p->u[d];
    }
  }
}

static void measure(plan *p) { /* extents of a laid out tile */
  for (int d = 0; d < 3; d++) {
    int64_t most = 0;
    for (int64_t k = 0; k < p->taps; k++) most = np_max(most, (p->a[3 * k + d] - p->low[d]) / p->u[d]);
    p->extent[d] = p->tile[d] + most;
  }
  p->plane = volume_of(p->extent);
  p->channel = p->plane * volume_of(p->used);
}

/* A tile fits a cache, and there are enough of them for many threads: all by sizes alone. */
static void cut_tiles(plan *p, int64_t channels, double flops) {
  static const int64_t least[3] = { 1, 4, 256 };
  for (int d = 0; d < 3; d++) p->tile[d] = np_max(1, (p->to[d] - 1) / p->t[d] + 1);
  for (;;) {
    measure(p);
    int64_t units = p->images * p->groups;
    for (int d = 0; d < 3; d++) p->tiles[d] = np_blocks(np_max(1, (p->to[d] - 1) / p->t[d] + 1), p->tile[d]), units *= p->tiles[d];
    int large = channels * p->channel * p->size > TILE_BYTES, few = units < 16 && flops > 2e7, d = 0;
    if (!large && !few) return;
    while (d < 3 && p->tile[d] < (few && !large ? 4 : 2) * least[d]) d++;
    if (d == 3) return;
    p->tile[d] = (p->tile[d] + 1) / 2;
  }
}

static void place_taps(plan *p, int64_t channels) {
  for (int64_t f = 0; f < p->n_phases; f++) {
    const phase *h = &p->phases[f];
    for (int64_t i = 0; i < h->taps; i++) {
      const int64_t *a = p->a + 3 * (h->first + i);
      int64_t at = 0, which = 0;
      for (int d = 0; d < 3; d++) {
        at = at * p->extent[d] + (a[d] - p->low[d]) / p->u[d];
        which = which * p->used[d] + slot_of(p, d, a[d]);
      }
      for (int64_t c = 0; c < channels; c++) p->at[h->first * channels + c * h->taps + i] = c * p->channel + which * p->plane + at;
    }
  }
}

static size_t list_bytes(const plan *p, int64_t channels) {
  return (size_t)p->n_phases * sizeof(phase) + (size_t)(p->volume * (4 + channels) + p->room_rest) * sizeof(int64_t);
}

/* For `channels` of the source at a time; `beside`: how many more are kept beside them. */
static int open_plan(plan *p, neap_context *c, int dtype, const np_conv_shape *s, int adjoint, int64_t channels, int64_t beside) {
  *p = (plan){ .ctx = c, .k = c->kernels->conv[np_ctype(dtype)], .size = np_size_of(dtype), .images = s->n, .groups = s->groups,
    .from_c = adjoint ? s->o : s->c, .to_c = adjoint ? s->c : s->o, .volume = volume_of(s->kernel) };
  for (int d = 0; d < 3; d++) {
    p->from[d] = adjoint ? s->y[d] : s->x[d], p->to[d] = adjoint ? s->x[d] : s->y[d];
    p->u[d] = adjoint ? 1 : s->stride[d], p->t[d] = adjoint ? s->stride[d] : 1;
    p->starts[d] = np_max(1, np_min(p->t[d], p->to[d]));
    p->room_rest += s->kernel[d];
  }
  p->n_phases = volume_of(p->starts);
  p->phases = np_alloc(c, list_bytes(p, channels));
  if (!p->phases) return c->error;
  p->a = (int64_t *)(p->phases + p->n_phases);
  p->tap = p->a + 3 * p->volume;
  p->at = p->tap + p->volume;
  for (int d = 0; d < 3; d++) p->rest[d] = d == 0 ? p->at + p->volume * channels : p->rest[d - 1] + s->kernel[d - 1];
  list_taps(p, s, adjoint);
  list_remainders(p);
  double work = 2.0 * (double)s->n * (double)s->groups * (double)(s->c * s->o) * (double)volume_of(s->y) * (double)p->volume;
  cut_tiles(p, channels + beside, work);
  place_taps(p, channels);
  return NEAP_OK;
}

/* ---- laying out ---- */

/* Channels [first, first + count) of an image, from tile j on, into `to`, which holds zeros where the tile has some. */
static void lay_out(const plan *p, const char *image, int64_t count, const int64_t j[3], char *to) {
  int64_t v[3], lo[3], hi[3];
  for (int64_t f = 0; f < volume_of(p->used); f++) {
    int64_t base[3], rest = f, any = 1;
    for (int d = 2; d >= 0; d--) {
      v[d] = p->rest[d][rest % p->used[d]], rest /= p->used[d];
      base[d] = p->low[d] + j[d] * p->u[d] + v[d]; /* element e of the tile is element base + e u of the source */
      lo[d] = base[d] < 0 ? (-base[d] + p->u[d] - 1) / p->u[d] : 0;
      hi[d] = np_min(p->extent[d], floor_of(p->from[d] - 1 - base[d], p->u[d]) + 1);
      any &= lo[d] < hi[d];
    }
    if (!any) continue;
    for (int64_t c = 0; c < count; c++)
      for (int64_t e = lo[0]; e < hi[0]; e++) {
        const char *from = image + (((c * p->from[0] + base[0] + e * p->u[0]) * p->from[1] + base[1] + lo[1] * p->u[1]) * p->from[2] + base[2] + lo[2] * p->u[2]) * p->size;
        char *row = to + (c * p->channel + f * p->plane + (e * p->extent[1] + lo[1]) * p->extent[2] + lo[2]) * p->size;
        p->ctx->kernels->copy2d((int)p->size, hi[1] - lo[1], hi[2] - lo[2], from, p->u[1] * p->from[2], p->u[2], row, p->extent[2], 1);
      }
  }
}

static void tile_origin(const plan *p, int64_t tile, int64_t j[3]) {
  for (int d = 2; d >= 0; d--) j[d] = tile % p->tiles[d] * p->tile[d], tile /= p->tiles[d];
}

/* ---- forward and adjoint ---- */

static int64_t rows_at(const plan *p, int64_t left) { /* the next block of so many rows that are left */
  int64_t m = p->k->rows;
  while (m > left) m /= 2;
  return m;
}

/* Lays the weights out as the kernel reads them; res, src: strides of a result's and a source's channel in w. */
static void pack_weights(const plan *p, const char *w, int64_t res, int64_t src) {
  int64_t whole = p->to_c * p->from_c * p->volume;
  for (int64_t g = 0; g < p->groups; g++)
    for (int64_t f = 0; f < p->n_phases; f++) {
      const phase *h = &p->phases[f];
      char *to = p->w + (g * whole + h->first * p->to_c * p->from_c) * p->size;
      for (int64_t o = 0, m; o < p->to_c; o += m) {
        m = rows_at(p, p->to_c - o);
        for (int64_t c = 0; c < p->from_c; c++)
          for (int64_t i = 0; i < h->taps; i++, to += m * p->size)
            p->ctx->kernels->copy2d((int)p->size, 1, m, w + (g * whole + o * res + c * src + p->tap[h->first + i]) * p->size, 0, res, to, 0, 1);
      }
    }
}

/* One phase of a laid out tile: channels [o, end) of the result image y. */
static void run_phase(const plan *p, const phase *h, int64_t group, int64_t o, int64_t end, const int64_t j[3], const char *tile, char *wide, char *y) {
  int64_t n[3], k = p->from_c * h->taps, area = volume_of(p->to), start = 0, e1 = p->extent[1], e2 = p->extent[2];
  for (int d = 0; d < 3; d++) {
    n[d] = np_min(p->tile[d], h->n[d] - j[d]);
    if (n[d] <= 0) return;
    start = start * p->to[d] + j[d] * p->t[d] + h->r[d];
  }
  int64_t length = ((n[0] - 1) * e1 + n[1] - 1) * e2 + n[2];
  int direct = volume_of(p->t) == 1 && (n[0] * n[1] == 1 || e2 == p->to[2]) && (n[0] == 1 || e1 == p->to[1]);
  const int64_t *at = p->at + h->first * p->from_c;
  const char *w = p->w + ((group * p->volume + h->first) * p->to_c * p->from_c) * p->size;
  for (int64_t m, row = o; row < end; row += m) {
    m = rows_at(p, p->to_c - row);
    const char *weights = w + row * k * p->size, *b = p->b ? p->b + (group * p->to_c + row) * p->size : NULL;
    char *to = y + (row * area + start) * p->size;
    p->k->taps((int)m, length, k, tile, at, weights, b, direct ? to : wide, direct ? area : p->wide);
    for (int64_t i = 0; i < m && !direct; i++)
      for (int64_t d = 0; d < n[0]; d++)
        p->ctx->kernels->copy2d((int)p->size, n[1], n[2], wide + (i * p->wide + d * e1 * e2) * p->size, e2, 1,
                                to + (i * area + d * p->t[0] * p->to[1] * p->to[2]) * p->size, p->t[1] * p->to[2], p->t[2]);
  }
}

static void map_task(void *arg, int64_t task) {
  const plan *p = arg;
  int64_t last = -1, end = np_min(p->units, (task + 1) * p->per_task), bytes = (p->from_c * p->channel + p->k->lanes) * p->size;
  char *tile = p->scratch + task * p->room, *wide = tile + rounded(bytes, 64);
  for (int64_t unit = task * p->per_task; unit < end && !np_cancelled(p->ctx); unit++) { /* (tile, image, group, part) */
    int64_t part = unit % p->parts, group = unit / p->parts % p->groups, image = unit / (p->parts * p->groups) % p->images;
    int64_t which = unit / (p->parts * p->groups * p->images), j[3];
    tile_origin(p, which, j);
    if (which != last) memset(tile, 0, (size_t)bytes);
    last = which;
    lay_out(p, p->x + (image * p->groups + group) * p->from_c * volume_of(p->from) * p->size, p->from_c, j, tile);
    char *y = p->y + (image * p->groups + group) * p->to_c * volume_of(p->to) * p->size;
    for (int64_t f = 0; f < p->n_phases; f++)
      run_phase(p, &p->phases[f], group, part * p->part, np_min(p->to_c, (part + 1) * p->part), j, tile, wide, y);
  }
}

static int map(neap_context *c, int dtype, const np_conv_shape *s, int adjoint, const char *x, const char *w, const char *b, char *y) {
  plan p;
  if (s->n * s->groups * (adjoint ? s->c * volume_of(s->x) : s->o * volume_of(s->y)) == 0) return NEAP_OK;
  if (open_plan(&p, c, dtype, s, adjoint, adjoint ? s->o : s->c, 0) != 0) return c->error;
  size_t weights = (size_t)(p.groups * p.to_c * p.from_c * p.volume * p.size) + 64;
  int64_t tiles = volume_of(p.tiles), whole = tiles * p.images * p.groups;
  p.part = rounded(np_max(np_blocks(p.to_c, np_max(1, 16 / whole)), 16), p.k->rows);
  p.parts = np_blocks(p.to_c, p.part);
  p.units = whole * p.parts;
  p.per_task = np_blocks(p.units, TASKS);
  int64_t tasks = np_blocks(p.units, p.per_task);
  p.wide = p.plane;
  p.room = rounded((p.from_c * p.channel + p.k->lanes) * p.size, 64) + rounded(p.k->rows * p.wide * p.size, 64);
  p.w = np_alloc(c, weights);
  p.scratch = p.w ? np_alloc(c, (size_t)(tasks * p.room)) : NULL;
  if (p.scratch) {
    int64_t kept = s->c * p.volume;
    p.x = x, p.b = b, p.y = y;
    pack_weights(&p, w, adjoint ? p.volume : kept, adjoint ? kept : p.volume);
    double flops = 2.0 * (double)(s->n * s->groups) * (double)(s->c * s->o) * (double)volume_of(s->y) * (double)p.volume;
    np_parallel(c, tasks, flops / 60 + 1e3, map_task, &p);
  }
  np_free(c, p.scratch, (size_t)(tasks * p.room));
  np_free(c, p.w, weights);
  np_free(c, p.phases, list_bytes(&p, p.from_c));
  return c->error;
}

/* ---- a kernel that covers the whole image: products of matrices, x (n, c volume), w (o, c volume), y (n, o) ---- */

static int covers(const np_conv_shape *s) {
  for (int d = 0; d < 3; d++)
    if (s->y[d] != 1 || s->padding[d] || s->x[d] != s->kernel[d] || (s->dilation[d] != 1 && s->kernel[d] != 1)) return 0;
  return s->groups == 1 && s->n > 0 && s->c > 0 && s->o > 0;
}

/* rows times columns of b, each number of b for `wide` columns. */
static void fill_bias(neap_context *c, int64_t size, int64_t rows, int64_t n, int64_t wide, const char *b, char *to) {
  for (int64_t i = 0; i < n && b; i++) c->kernels->copy2d((int)size, rows, wide, b + i * size, 0, 0, to + i * wide * size, n * wide, 1);
}

int np_conv_forward(neap_context *c, int dtype, const np_conv_shape *s, const char *x, const char *w, const char *b, char *y) {
  if (covers(s)) {
    int64_t k = s->c * volume_of(s->kernel);
    fill_bias(c, np_size_of(dtype), s->n, s->o, 1, b, y);
    return np_product(c, dtype, 0, 1, s->n, s->o, k, 1, x, k, w, k, b ? 1 : 0, y, s->o);
  }
  return map(c, dtype, s, 0, x, w, b, y);
}
int np_conv_adjoint(neap_context *c, int dtype, const np_conv_shape *s, const char *y, const char *w, const char *b, char *x) {
  if (covers(s)) {
    int64_t volume = volume_of(s->kernel), k = s->c * volume;
    fill_bias(c, np_size_of(dtype), s->n, s->c, volume, b, x);
    return np_product(c, dtype, 0, 0, s->n, k, s->o, 1, y, s->o, w, k, b ? 1 : 0, x, k);
  }
  return map(c, dtype, s, 1, y, w, b, x);
}

/* ---- the gradient of the weights ---- */

typedef struct sums {
  plan p;                    /* of x: per block of channels */
  int64_t block, blocks;     /* channels of x in a task; how many blocks */
  int64_t parts, part;       /* of the images */
  int64_t o, wide;           /* channels of y in a group; rounded up to whole vectors */
  const char *g;
  char *sum, *w;             /* (groups, parts, c, volume, wide) sums; the result */
  void (*dot)(int64_t n, const void *x, const void *z, void *y);
  int dots;                  /* few channels of y: products of whole runs of places, wide then is o */
} sums;

/* y's channels beside each other for every place of the tile; or, for dots, its rows as x's lie, with zeros between. */
static void lay_out_y(const sums *s, const char *g, const int64_t j[3], const int64_t n[3], char *to) {
  const plan *p = &s->p;
  int64_t area = volume_of(p->to);
  for (int64_t d = 0; d < n[0]; d++) {
    const char *from = g + (((j[0] + d) * p->to[1] + j[1]) * p->to[2] + j[2]) * p->size;
    if (s->dots) {
      for (int64_t o = 0; o < s->o; o++)
        p->ctx->kernels->copy2d((int)p->size, n[1], n[2], from + o * area * p->size, p->to[2], 1,
                                to + (o * p->plane + d * p->extent[1] * p->extent[2]) * p->size, p->extent[2], 1);
      continue;
    }
    for (int64_t h = 0; h < n[1]; h++)
      p->ctx->kernels->copy2d((int)p->size, s->o, n[2], from + h * p->to[2] * p->size, area, 1, to + (d * n[1] + h) * n[2] * s->wide * p->size, 1, s->wide);
  }
}

static void add_dots(const sums *s, int64_t channels, int64_t length, const char *tile, const char *y, char *sum) {
  const plan *p = &s->p;
  for (int64_t q = 0; q < channels * p->volume; q++)
    for (int64_t o = 0; o < s->o; o++) {
      double v;
      char *to = sum + (q * s->wide + o) * p->size;
      s->dot(length, tile + p->at[q] * p->size, y + o * p->plane * p->size, &v);
      if (p->size == 4) *(float *)to = (float)(*(float *)to + v);
      else *(double *)to += v;
    }
}

static void weights_task(void *arg, int64_t task) { /* (group, block of channels, part of the images) */
  const sums *s = arg;
  const plan *p = &s->p;
  int64_t part = task % s->parts, block = task / s->parts % s->blocks, group = task / (s->parts * s->blocks), x_area = volume_of(p->from);
  int64_t first = block * s->block, channels = np_min(s->block, p->from_c - first), y_area = volume_of(p->to);
  int64_t bytes = (s->block * p->channel + p->k->lanes) * p->size;
  char *tile = p->scratch + task * p->room, *y = tile + rounded(bytes, 64);
  char *sum = s->sum + (((group * s->parts + part) * p->from_c + first) * p->volume * s->wide) * p->size;
  memset(sum, 0, (size_t)(channels * p->volume * s->wide * p->size));
  memset(y, 0, (size_t)(p->room - rounded(bytes, 64)));
  for (int64_t t = 0; t < volume_of(p->tiles); t++) {
    int64_t j[3], n[3];
    tile_origin(p, t, j);
    for (int d = 0; d < 3; d++) n[d] = np_min(p->tile[d], p->to[d] - j[d]);
    memset(tile, 0, (size_t)bytes);
    if (s->dots) memset(y, 0, (size_t)(p->room - rounded(bytes, 64)));
    for (int64_t i = part * s->part; i < np_min(p->images, (part + 1) * s->part) && !np_cancelled(p->ctx); i++) {
      int64_t image = i * p->groups + group;
      lay_out(p, p->x + (image * p->from_c + first) * x_area * p->size, channels, j, tile);
      lay_out_y(s, s->g + image * s->o * y_area * p->size, j, n, y);
      if (s->dots) add_dots(s, channels, ((n[0] - 1) * p->extent[1] + n[1] - 1) * p->extent[2] + n[2], tile, y, sum);
      else p->k->taps_grad(s->wide, channels * p->volume, tile, p->at, n, p->extent[1] * p->extent[2], p->extent[2], y, sum, s->wide);
    }
  }
}

/* The parts' sums added in order, and turned: w (groups o, c volume). */
static void deliver_task(void *arg, int64_t group) {
  const sums *s = arg;
  const plan *p = &s->p;
  int64_t rows = p->from_c * p->volume, bytes = rows * s->wide * p->size;
  char *sum = s->sum + group * s->parts * bytes;
  for (int64_t i = 1; i < s->parts; i++) p->ctx->kernels->reduce[p->size == 4 ? NP_CF32 : NP_CF64]->axpy(rows * s->wide, 1, sum + i * bytes, sum);
  p->ctx->kernels->copy2d((int)p->size, s->o, rows, sum, 1, s->wide, s->w + group * s->o * rows * p->size, rows, 1);
}

int np_conv_weights(neap_context *c, int dtype, const np_conv_shape *shape, const char *y, const char *x, char *w) {
  int64_t size = np_size_of(dtype), lanes = c->kernels->conv[np_ctype(dtype)]->lanes, volume = volume_of(shape->kernel);
  int64_t all = shape->groups * shape->o * shape->c * volume;
  sums s = { .o = shape->o, .g = y, .w = w, .dot = c->kernels->reduce[np_ctype(dtype)]->dot };
  if (all == 0) return NEAP_OK;
  if (covers(shape)) return np_product(c, dtype, 1, 0, s.o, shape->c * volume, shape->n, 1, y, s.o, x, shape->c * volume, 0, w, shape->c * volume);
  if (shape->n * volume_of(shape->y) == 0) {
    memset(w, 0, (size_t)(all * size));
    return NEAP_OK;
  }
  s.dots = s.o < DOTS && volume_of(shape->y) >= 64;
  s.wide = s.dots ? s.o : rounded(s.o, lanes);
  int64_t bytes = shape->c * volume * s.wide * size;
  s.parts = np_max(1, np_min(np_min(shape->n, np_blocks(16, shape->groups)), PART_BYTES / (bytes * shape->groups)));
  s.part = np_blocks(shape->n, s.parts);
  s.parts = np_blocks(shape->n, s.part);
  s.block = np_blocks(shape->c, np_blocks(16, s.parts * shape->groups));
  s.blocks = np_blocks(shape->c, s.block);
  if (open_plan(&s.p, c, dtype, shape, 0, s.block, s.wide) != 0) return c->error;
  int64_t tasks = shape->groups * s.parts * s.blocks, places = s.dots ? s.p.plane * s.o : volume_of(s.p.tile) * s.wide;
  size_t sum_bytes = (size_t)(bytes * s.parts * shape->groups);
  s.p.room = rounded((s.block * s.p.channel + lanes) * size, 64) + rounded(places * size, 64);
  s.p.x = x;
  s.sum = np_alloc(c, sum_bytes);
  s.p.scratch = s.sum ? np_alloc(c, (size_t)(tasks * s.p.room)) : NULL;
  if (s.p.scratch) {
    double flops = 2.0 * (double)(shape->n * shape->groups) * (double)(shape->c * shape->o) * (double)volume_of(shape->y) * (double)volume;
    np_parallel(c, tasks, flops / 60 + 1e3, weights_task, &s);
    np_parallel(c, shape->groups, (double)all * (double)s.parts, deliver_task, &s);
  }
  np_free(c, s.p.scratch, (size_t)(tasks * s.p.room));
  np_free(c, s.sum, sum_bytes);
  np_free(c, s.p.phases, list_bytes(&s.p, s.block));
  return c->error;
}
