/* The engine for ops that work on whole rows (softmax, layer norm, cross-entropy): it finds each row of each operand in
 * strided memory, hands it over as a contiguous run of the compute type, and stores what comes back. A row that already
 * lies so is handed over in place; others go through a buffer of their block's, in groups of neighbouring rows, so that
 * rows across memory (a softmax over channels) are turned square by square, or where the op can take rows side by side, left
 * as they are. At most 64 blocks, by sizes alone. */
#include "loops.h"

enum { OPERANDS = 6, MOST_BLOCKS = 64, GROUP = NP_SHEET, GROUP_ELEMENTS = 8192, SHORT = 32 };

typedef struct row_run {
  neap_context *c;
  const np_rows *r;
  np_row_task row;
  void *arg;
  int n_operands, n_dims;        /* of the grid of rows */
  int sheets;                    /* rows are handed over side by side */
  int64_t n, rows, per_block, group, stride[OPERANDS];
  int64_t shape[NEAP_MAX_DIMS], step[OPERANDS][NEAP_MAX_DIMS];
  uint8_t direct[OPERANDS];
  char *scratch;
  int64_t tile, size, block_bytes; /* bytes of one row, of an element, of a block's buffers */
} row_run;

static int64_t row_length(const np_rows *r) {
  int64_t n = 1;
  for (int i = r->axis; i < r->axis + r->n_axes; i++) n *= r->t[0]->at.shape[i];
  return n;
}

static int64_t rows_per_block(int64_t n, int64_t rows) {
  return np_max(np_max(1, NP_GRAIN / np_max(n, 1)), np_blocks(rows, MOST_BLOCKS));
}

int64_t np_rows_blocks(const np_rows *r) {
  int64_t n = row_length(r), rows = n ? r->t[0]->at.count / n : 0;
  return np_blocks(rows, rows_per_block(n, rows));
}

/* Whether dimension d of the grid, whose last is already in s, is one with it: then neighbours are more. */
static int joins(const row_run *s, int d) {
  const int last = s->n_dims - 1;
  int joined = s->n_dims > 0;
  for (int o = 0; o < s->n_operands && joined; o++) joined = s->step[o][last] == s->r->t[o]->at.shape[d] * s->r->t[o]->at.stride[d];
  return joined;
}

static void set_up(row_run *s) {
  const np_rows *r = s->r;
  const np_layout *first = &r->t[0]->at;
  int native = r->ctype == NP_CF32 ? NEAP_F32 : NEAP_F64, end = r->axis + r->n_axes;
  s->n_operands = r->n_in + r->n_out;
  s->n = row_length(r);
  s->rows = s->n ? first->count / s->n : 0;
  s->per_block = rows_per_block(s->n, s->rows);
  for (int d = 0; d < first->ndim; d++) {
    if ((d >= r->axis && d < end) || first->shape[d] == 1) continue;
    const int into = joins(s, d) ? s->n_dims - 1 : s->n_dims;
    s->shape[into] = first->shape[d] * (into < s->n_dims ? s->shape[into] : 1);
    for (int o = 0; o < s->n_operands; o++) s->step[o][into] = r->t[o]->at.stride[d];
    s->n_dims = into + 1;
  }
  s->size = np_size_of(native);
  s->tile = s->n * s->size;
  s->group = np_max(1, np_min(np_min(GROUP, GROUP_ELEMENTS / np_max(s->n, 1)), s->per_block));
  int across = 0;
  for (int o = 0; o < s->n_operands; o++) {
    s->stride[o] = r->n_axes == 1 && s->n > 1 ? r->t[o]->at.stride[r->axis] : 1;
    across += s->n_dims > 0 && s->stride[o] != 1 && s->step[o][s->n_dims - 1] == 1;
  }
  s->sheets = r->sheet && r->n_axes == 1 && s->n_dims > 0 && s->shape[s->n_dims - 1] > 4 && (s->n <= SHORT || across > 0);
  if (s->sheets) s->group = np_min(GROUP, s->per_block);
  for (int o = 0; o < s->n_operands; o++) {
    s->direct[o] = r->t[o]->at.dtype == native && (s->sheets ? s->step[o][s->n_dims - 1] : s->stride[o]) == 1;
    if (!s->direct[o]) s->block_bytes += (s->tile * s->group + 63) / 64 * 64;
  }
}

/* m rows of operand o between memory and the buffer, where they follow each other, or in a sheet lie side by side; step:
 * from one row to the next. */
static void move(const row_run *s, int o, int64_t m, int64_t step, char *memory, char *buffer, int store) {
  const np_kernels *k = s->c->kernels;
  int dtype = s->r->t[o]->at.dtype, ctype = s->r->ctype;
  int64_t lines = s->sheets ? s->n : m, n = s->sheets ? m : s->n, apart = s->sheets ? s->stride[o] : step, along = s->sheets ? step : s->stride[o];
  if (np_is_native(dtype) && np_ctype(dtype) == ctype) {
    if (store) k->copy2d((int)s->size, lines, n, buffer, n, 1, memory, apart, along);
    else k->copy2d((int)s->size, lines, n, memory, apart, along, buffer, n, 1);
    return;
  }
  int64_t size = np_size_of(dtype);
  for (int64_t i = 0; i < lines; i++) {
    if (store) k->store[ctype][dtype](n, buffer + i * n * s->size, memory + i * apart * size, along);
    else k->load[dtype][ctype](n, memory + i * apart * size, along, buffer + i * n * s->size);
  }
}

static void run_rows(const row_run *s, int64_t block, int64_t row, int64_t m, char *const *tiles, const int64_t *ahead) {
  char *now[OPERANDS];
  for (int64_t i = 0; i < m; i++) {
    for (int o = 0; o < s->n_operands; o++) now[o] = tiles[o] + i * ahead[o];
    s->row(s->arg, row + i, block, now);
  }
}
static void run_sheet(const row_run *s, int64_t row, int64_t m, char *const *tiles) {
  np_sheet sheets[OPERANDS];
  for (int o = 0; o < s->n_operands; o++) sheets[o] = (np_sheet){ tiles[o], s->direct[o] ? s->stride[o] : m };
  s->r->sheet(s->arg, row, (int)m, sheets);
}

/* Rows row .. row + m, neighbours along the last dimension of the grid. */
static void run_group(const row_run *s, int64_t block, int64_t row, int64_t m) {
  const np_rows *r = s->r;
  char *tiles[OPERANDS], *memory[OPERANDS], *buffer = s->scratch + block * s->block_bytes;
  int64_t at[OPERANDS] = { 0 }, step[OPERANDS] = { 0 }, ahead[OPERANDS], rest = row;
  for (int d = s->n_dims - 1; d >= 0; d--) {
    int64_t i = rest % s->shape[d];
    rest /= s->shape[d];
    for (int o = 0; o < s->n_operands; o++) at[o] += i * s->step[o][d];
  }
  for (int o = 0; o < s->n_operands; o++) {
    int64_t size = np_size_of(r->t[o]->at.dtype);
    if (s->n_dims) step[o] = s->step[o][s->n_dims - 1];
    memory[o] = tiles[o] = np_data(r->t[o]) + at[o] * size;
    ahead[o] = step[o] * size;
    if (s->direct[o]) continue;
    tiles[o] = buffer;
    ahead[o] = s->tile;
    buffer += (s->tile * s->group + 63) / 64 * 64;
    if (o < r->n_in) move(s, o, m, step[o], memory[o], tiles[o], 0);
  }
  if (s->sheets) run_sheet(s, row, m, tiles);
  else run_rows(s, block, row, m, tiles, ahead);
  for (int o = r->n_in; o < s->n_operands; o++)
    if (!s->direct[o]) move(s, o, m, step[o], memory[o], tiles[o], 1);
}

static void row_block(void *arg, int64_t block) {
  const row_run *s = arg;
  if (np_cancelled(s->c)) return;
  int64_t last = np_min((block + 1) * s->per_block, s->rows), line = s->n_dims ? s->shape[s->n_dims - 1] : 1;
  for (int64_t row = block * s->per_block, m; row < last; row += m) {
    m = np_min(np_min(s->group, last - row), line - row % line);
    run_group(s, block, row, m);
  }
}

int np_rows_run(neap_context *c, const np_rows *r, np_row_task row, void *arg) {
  row_run s = { .c = c, .r = r, .row = row, .arg = arg };
  set_up(&s);
  if (s.rows == 0) return NEAP_OK;
  int64_t blocks = np_blocks(s.rows, s.per_block);
  size_t bytes = (size_t)(blocks * s.block_bytes);
  if (bytes && !(s.scratch = np_alloc(c, bytes))) return NEAP_ERR_MEMORY;
  np_parallel(c, blocks, (double)s.rows * ((double)s.n * r->ns + 10), row_block, &s);
  if (bytes) np_free(c, s.scratch, bytes);
  return NEAP_OK;
}
